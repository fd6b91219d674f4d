//! The table of switches against the binaries: which have them, which take an argument, and how it is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::flag::{FLAGS, Flag, Release, Repeat, Syntax, Targets};
use tests::{Qemu, qemus};

const ARCHITECTURES: [Architecture; 3] = [Architecture::X86_64, Architecture::Aarch64, Architecture::Riscv64];
/// How long a QEMU may take to end.
const LIMIT: Duration = Duration::from_secs(30);

/// What QEMU says to these arguments, until it ends or for as long as it may take.
fn says(qemu: &Qemu, arch: Architecture, dir: &Path, args: &[&str]) -> String {
    let log = dir.join(format!("{:?}.log", std::thread::current().id()));
    let file = std::fs::File::create(&log).unwrap();
    let mut child = Command::new(qemu.binary(arch))
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(3));
    }
    let _ = child.kill();
    child.wait().unwrap();
    String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
}

fn has(flag: &Flag, qemu: &Qemu) -> bool {
    flag.exists_in(qemu.version).unwrap_or_else(|| panic!("QEMU {} is none of the releases", qemu.version))
}

/// The target on which the switch can be tried.
fn target(flag: &Flag) -> Option<Architecture> {
    match flag.targets {
        Targets::All => Some(Architecture::X86_64),
        Targets::Some(list) => list.first().map(|(arch, _)| *arch),
        Targets::Build => None,
    }
}

/// What `each` finds wrong with the switches, asked on as many threads as there are processors.
fn on_threads(each: impl Fn(&Flag, &Path) -> Option<String> + Sync) -> Vec<String> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let ask = |first| {
            let dir = tempfile::tempdir().unwrap();
            FLAGS.iter().skip(first).step_by(threads).filter_map(|flag| each(flag, dir.path())).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..threads).map(|first| scope.spawn(move || ask(first))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// Nothing, where the two are equal.
fn compare<T: PartialEq + std::fmt::Debug>(found: T, expected: T, at: &str) -> Option<String> {
    (found != expected).then(|| format!("{at}: {found:?} and not {expected:?}"))
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn the_table_is_sorted_and_finds_each_row() {
    assert!(FLAGS.is_sorted_by(|a, b| a.name < b.name));
    for flag in FLAGS {
        assert_eq!(Flag::named(flag.name), Some(flag));
        assert_eq!(flag.repeat == Repeat::Same, !flag.takes_argument(), "{}", flag.name);
    }
}

/// QEMU looks all switches up before it does anything, and names the first that it does not have. So one start asks for many.
#[test]
fn each_version_has_the_switches_that_the_table_says_with_arguments_or_without() {
    let dir = tempfile::tempdir().unwrap();
    for qemu in qemus() {
        for arch in ARCHITECTURES {
            let (with, without): (Vec<&Flag>, Vec<&Flag>) =
                FLAGS.iter().filter(|flag| has(flag, &qemu)).partition(|flag| flag.takes_argument());
            assert!(with.len() > 80 && without.len() > 15, "{} and {}", with.len(), without.len());
            // A switch that takes an argument after all takes the next one's name for it, and that one's argument is left over. One that
            // takes none leaves its argument over.
            let mut words = Vec::new();
            for (index, flag) in with.iter().enumerate() {
                words.extend(without.get(index).map(|flag| format!("-{}", flag.name)));
                words.extend([format!("-{}", flag.name), format!("-argument-of-{}", flag.name)]);
            }
            words.push("-the-last".to_owned());
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let said = says(&qemu, arch, dir.path(), &words);
            assert!(said.contains("-the-last: invalid option"), "QEMU {} {arch}: {said}", qemu.version);
        }
    }
}

#[test]
fn a_version_that_lacks_a_switch_refuses_it() {
    for qemu in qemus() {
        let wrong = on_threads(|flag, dir| {
            if has(flag, &qemu) {
                return None;
            }
            let said = says(&qemu, Architecture::X86_64, dir, &[&format!("-{}", flag.name), "x"]);
            (!said.contains("invalid option")).then_some(said)
        });
        assert_eq!(wrong, NOTHING, "QEMU {}", qemu.version);
    }
}

/// The help text names no switch that the table lacks.
#[test]
fn every_switch_of_the_help_is_in_the_table() {
    let dir = tempfile::tempdir().unwrap();
    for qemu in qemus() {
        for arch in ARCHITECTURES {
            let help = says(&qemu, arch, dir.path(), &["-help"]);
            let mut count = 0;
            for line in help.lines().filter(|line| line.starts_with('-')) {
                let words = line.split([' ', ',', '[', '=']).filter(|word| word.starts_with('-') && word.len() > 1);
                // `-h or -help`, `-fda/-fdb file`
                for word in words.flat_map(|word| word.split('/')).take(2) {
                    let name = word.trim_start_matches('-');
                    let is_name = !name.is_empty()
                        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
                    if is_name && (line.starts_with(word) || line.contains(" or -") || line.contains("/-")) {
                        let flag = Flag::named(name).unwrap_or_else(|| panic!("QEMU {}: {line}", qemu.version));
                        assert!(has(flag, &qemu), "QEMU {} {line}", qemu.version);
                        count += 1;
                    }
                }
            }
            assert!(count > 90, "QEMU {} {arch} names only {count}", qemu.version);
        }
    }
}

#[test]
fn switches_work_on_the_targets_that_the_table_says() {
    for qemu in qemus() {
        let wrong = on_threads(|flag, dir| {
            if !has(flag, &qemu) || flag.targets == Targets::Build {
                return None;
            }
            ARCHITECTURES.into_iter().find_map(|arch| {
                let name = format!("-{}", flag.name);
                let args: &[&str] =
                    if flag.takes_argument() { &[&name, "help", "-version"] } else { &[&name, "-version"] };
                let said = says(&qemu, arch, dir, args);
                let works = match flag.targets {
                    Targets::Some(list) => {
                        let known = list.iter().find(|(known, _)| *known == arch);
                        known.is_some_and(|(_, since)| since.version() <= qemu.version)
                    }
                    _ => true,
                };
                let refused = said.contains("not supported for this target");
                compare(!refused, works, &format!("{arch} {name}: {said}"))
            })
        });
        assert_eq!(wrong, NOTHING, "QEMU {}", qemu.version);
    }
}

/// What QEMU says to a switch with this argument. One that it takes it would run with, but for a device that there is not.
fn refuses(qemu: &Qemu, arch: Architecture, dir: &Path, flag: &Flag, value: &str) -> String {
    let name = format!("-{}", flag.name);
    let args = ["-M", "none", "-nodefaults", "-display", "none", "-S", &name, value, "-device", "no-such-device"];
    says(qemu, arch, dir, &args)
}

#[test]
fn arguments_are_read_as_the_table_says() {
    for qemu in qemus() {
        let version = Some(qemu.version);
        let wrong = on_threads(|flag, dir| {
            let arch = target(flag).filter(|_| has(flag, &qemu) && flag.takes_argument())?;
            let syntax = flag.syntax(version);
            let said = refuses(&qemu, arch, dir, flag, "zz=1,yy");
            if said.contains("There is no option group") {
                return None; // a module that is not installed
            }
            let keyval = said.contains("Expected '=' after parameter 'yy'");
            // A text that is no address of a migration is read for its channel.
            let is_keyval = matches!(syntax, Syntax::Keyval(_) | Syntax::Display)
                || (flag.name == "incoming" && flag.reads_json(version));
            let json = refuses(&qemu, arch, dir, flag, "{").contains("JSON parse error");
            let wrong = compare((keyval, json), (is_keyval, flag.reads_json(version)), flag.name);
            // Since 6.0 a boolean without a value is warned of; a head is none.
            if wrong.is_some() || !qemu.version.is_at_least(7, 2) {
                return wrong;
            }
            let warned = |value: &str| refuses(&qemu, arch, dir, flag, value).contains("short-form boolean option");
            let is_opts = matches!(syntax, Syntax::Opts(_) | Syntax::Netdev | Syntax::Global);
            let has_head = matches!(syntax, Syntax::Opts(Some(_)) | Syntax::Netdev);
            // A head that is refused hides what comes behind it.
            let warns = ["zz,yy", "1,yy", "on,yy"].into_iter().any(warned);
            compare((warns, warned("zz")), (is_opts, is_opts && !has_head), flag.name)
        });
        assert_eq!(wrong, NOTHING, "QEMU {}", qemu.version);
    }
}

/// A word alone is the implied key's value: QEMU says the same of both.
#[test]
fn implied_keys_have_the_names_that_the_table_says() {
    for qemu in qemus() {
        let wrong = on_threads(|flag, dir| {
            let arch = target(flag).filter(|_| has(flag, &qemu))?;
            let key = match flag.syntax(Some(qemu.version)) {
                Syntax::Opts(Some(key)) | Syntax::Keyval(Some(key)) => key,
                Syntax::Netdev | Syntax::Display => "type",
                _ => return None,
            };
            // What is missed first must be there.
            let more = match flag.name {
                "netdev" | "tpmdev" | "audiodev" => ",id=x",
                "audio" => ",model=hda",
                _ => "",
            };
            let refuses = |head: &str| refuses(&qemu, arch, dir, flag, &format!("{head}{more}")).replace(head, "zz");
            let (short, long) = (refuses("zz"), refuses(&format!("{key}=zz")));
            // And not whatever key it is.
            let other = refuses(&format!("not-{key}=zz"));
            if long == other && !long.contains("not enabled in this build") {
                return Some(format!("-{}: {long}", flag.name));
            }
            compare(&short, &long, flag.name)
        });
        assert_eq!(wrong, NOTHING, "QEMU {}", qemu.version);
    }
}

/// Groups whose options come together have no ids. (5.2 takes one there.)
#[test]
fn groups_that_are_merged_take_no_id() {
    // Each adds to variables, so that they are merged without being one group.
    const BY_HAND: [&str; 2] = ["overcommit", "run-with"];
    // Its options are read by a visitor that refuses an id.
    const REFUSES: [&str; 1] = ["acpitable"];
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        let wrong = on_threads(|flag, dir| {
            let is_opts = matches!(flag.syntax(Some(qemu.version)), Syntax::Opts(_));
            let arch = target(flag).filter(|_| has(flag, qemu) && is_opts)?;
            let said = refuses(qemu, arch, dir, flag, "id=x");
            if said.contains("There is no option group") {
                return None; // a module that is not installed
            }
            let merged = said.contains("Invalid parameter 'id'") && !REFUSES.contains(&flag.name);
            let expected = flag.repeat == Repeat::Merge && !BY_HAND.contains(&flag.name);
            compare(merged, expected, &format!("-{}: {said}", flag.name))
        });
        assert_eq!(wrong, NOTHING, "QEMU {}", qemu.version);
    }
}

#[test]
fn between_two_releases_that_differ_nothing_is_said() {
    use qemu_dsl::QemuVersion;
    let mut counts = BTreeMap::new();
    for flag in FLAGS {
        *counts.entry(flag.exists_in(QemuVersion::new(9, 0, 0))).or_insert(0) += 1;
        assert_eq!(flag.exists_in(QemuVersion::new(4, 2, 0)), None);
        assert_eq!(flag.exists_in(QemuVersion::new(12, 0, 0)), Some(flag.releases.1 == Release::V11_1));
    }
    assert!(counts.len() == 3 && counts[&None] > 5, "{counts:?}");
}
