//! The program against files, names and guests that are made to harm whoever starts it.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

mod place;

use place::{FACTS, Place, TCG, boots, minimal, os, silent_qemu, stderr};

/// Nothing of a text is obeyed by a terminal.
fn assert_harmless(said: &[u8], what: &str) {
    let text = std::str::from_utf8(said).expect("what is shown is text");
    let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c));
    assert_eq!(bad, None, "{what}: {text:?}");
}

/// What the jail of a planned command shows for reading.
fn shown(place: &Place, home: &Path, args: &[&OsStr]) -> Vec<String> {
    let facts = place.file("facts.json", FACTS.replace('}', r#","bwrap":true}"#));
    let mut command = place.command();
    command.env("HOME", home).args(["--dry-run", "--format", "json", "--facts"]).arg(&facts).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let words: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    let binds = words.windows(3).filter(|words| words[0] == "--ro-bind" && words[1] == words[2]);
    binds.map(|words| words[1].clone()).collect()
}

/// A QEMU in `~/bin`, `~/.local/bin` or `/tmp` is no reason to show what else is there.
#[test]
fn a_jail_shows_nobody_s_home() {
    let place = Place::new();
    let home = place.dir.path().join("home");
    for dir in ["bin", ".local/bin", "opt/qemu/bin", "downloads"] {
        std::fs::create_dir_all(home.join(dir)).unwrap();
        std::fs::write(home.join(dir).join("q"), "").unwrap();
    }
    let link = place.dir.path().join("q");
    std::os::unix::fs::symlink(home.join("opt/qemu/bin/q"), &link).unwrap();
    let at = |path: &Path| -> Vec<String> {
        let shown = shown(&place, &home, &[OsStr::new("--qemu"), path.as_ref()]);
        shown.into_iter().filter(|path| !path.starts_with("/usr") && !path.contains("target/guest")).collect()
    };
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    for file in ["bin/q", ".local/bin/q", "downloads/q", "opt/../bin/q"] {
        let expected =
            if file == "opt/../bin/q" { vec![home.join(file), home.join("bin/q")] } else { vec![home.join(file)] };
        assert_eq!(at(&home.join(file)), expected.into_iter().map(text).collect::<Vec<_>>());
    }
    assert_eq!(at(&home.join("opt/qemu/bin/q")), [text(home.join("opt/qemu"))], "a tree of its own");
    assert_eq!(at(&link), [text(link.clone()), text(home.join("opt/qemu"))], "a link, and where it leads");
    for file in ["/tmp/bin/q", "/bin/../opt/bin/q", "/q"] {
        assert_eq!(at(file.as_ref()), [file]);
    }
    assert_eq!(at("/opt/qemu/bin/q".as_ref()), ["/opt/qemu"]);
}

#[test]
fn what_no_jail_shows_is_refused() {
    let place = Place::new();
    let facts = place.file("facts.json", TCG);
    let (qemu, started) = silent_qemu(&place);
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink("/proc", &link).unwrap();
    let minimal = minimal();
    for (path, why) in [
        ("/", "a jail that shows / is none"),
        ("/usr/..", "a jail that shows / is none"),
        ("/proc", "a /proc of its own"),
        ("/usr/../dev/shm", "a /dev of its own"),
        ("/sys/fs/cgroup", "a /sys of its own"),
        (link.to_str().unwrap(), "a /proc of its own"),
        ("/no/such/file", "cannot be read: No such file"),
    ] {
        let mut args = vec![OsStr::new("--facts"), facts.as_ref(), "--qemu".as_ref(), qemu.as_ref()];
        args.extend([OsStr::new("--kernel-dir"), minimal.as_ref(), "--jail-read".as_ref(), path.as_ref()]);
        let said = place.refused(&args);
        assert!(said.contains(why) && said.contains(path), "{path}: {said}");
        assert!(!started.exists(), "nothing is started");
        if path != "/no/such/file" {
            args.push("--dry-run".as_ref());
            assert!(place.refused(&args).contains(why), "{path}");
        }
    }
}

/// A QEMU with a tree of its own, which says so on the guest's console.
fn tree(place: &Place) -> PathBuf {
    let tree = place.dir.path().join("qemu-of-mine");
    std::fs::create_dir_all(tree.join("bin")).unwrap();
    std::fs::create_dir_all(tree.join("lib")).unwrap();
    std::fs::write(tree.join("lib/says"), "echo from the tree").unwrap();
    place.script(
        "qemu-of-mine/bin/qemu-system-x86_64",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *guest=*) . {}/lib/says ;; esac\nexec /usr/bin/qemu-system-x86_64 \"$@\"\n",
            tree.display()
        ),
    );
    // Root's QEMU is another user, who may not read what only its owner may.
    std::fs::set_permissions(place.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    tree
}

/// The QEMU that was probed is the one that runs, though a jail has another `PATH`.
#[test]
fn the_qemu_of_the_callers_path_runs() {
    let place = Place::new();
    let tree = tree(&place);
    let minimal = minimal();
    let path = format!("{}:{}", tree.join("bin").display(), std::env::var("PATH").unwrap());
    for (isolation, qemu) in [
        ("jail", None),
        ("jail", Some("qemu-system-x86_64")),
        ("jail", Some("bin/qemu-system-x86_64")),
        ("namespaces", None),
    ] {
        let mut command = place.command();
        command.current_dir(&tree).args(boots(&minimal)).args(["--isolation", isolation]).env("PATH", &path);
        if let Some(qemu) = qemu {
            command.args(["--qemu", qemu]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{isolation}, {qemu:?}: {}", stderr(&output));
        let console = String::from_utf8_lossy(&output.stdout);
        assert!(console.contains("from the tree"), "{isolation}, {qemu:?}: {console}");
    }
    // As it would be: the same word, whoever starts it then.
    let mut command = place.command();
    command.args(boots(&minimal)).args(["--dry-run", "--isolation", "jail"]).env("PATH", &path);
    let output = command.output().unwrap();
    let binary = tree.join("bin/qemu-system-x86_64");
    assert!(String::from_utf8_lossy(&output.stdout).contains(binary.to_str().unwrap()), "{output:?}");
    let output = place.run(boots(&minimal).into_iter().chain(os(&["--dry-run"])));
    assert!(String::from_utf8_lossy(&output.stdout).contains(" qemu-system-x86_64 "), "{output:?}");
}

/// Names of files, and what is in them, reach people and not their terminals.
#[test]
fn no_name_and_no_file_writes_to_the_terminal() {
    let place = Place::new();
    let evil = |name: &str| {
        place.dir.path().join(OsStr::from_bytes(&[name.as_bytes(), b"\x1b]0;x\x07\xe2\x80\xae\r"].concat()))
    };
    let facts = place.file("facts.json", TCG);
    std::fs::write(evil("facts"), FACTS.replace("\"arch\"", "\"\x1b[2J\u{9b}m\"").replace('\x1b', "\\u001b")).unwrap();
    let minimal = minimal();
    let dir = place.dir.path().join("d");
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(minimal.join("rootfs-x86_64.qcow2"), dir.join("overlay.qcow2")).unwrap();
    let refused = |args: &[&OsStr]| {
        let mut all = vec![OsStr::new("--facts"), facts.as_ref(), "--qemu".as_ref(), "/bin/false".as_ref()];
        all.extend([OsStr::new("--kernel-dir"), minimal.as_ref()]);
        // The last of two is one too many.
        all.retain(|word| !args.contains(word) || !word.as_bytes().starts_with(b"--"));
        if args.contains(&OsStr::new("--facts")) {
            all.retain(|word| *word != facts.as_os_str());
        }
        if args.contains(&OsStr::new("--kernel-dir")) {
            all.retain(|word| *word != minimal.as_os_str());
        }
        all.extend(args);
        let output = place.command().args(&all).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert_harmless(&output.stderr, &format!("{args:?}"));
        stderr(&output)
    };
    let unknown = refused(&[OsStr::new("--facts"), evil("facts").as_ref()]);
    assert!(unknown.contains("unknown field `^[[2J\\u{9b}m`"), "{unknown}");
    for option in ["--facts", "--kernel-dir", "--dir", "--base", "--cgroup", "--jail-read"] {
        let said = refused(&[OsStr::new(option), evil("no").as_ref()]);
        assert!(said.contains("no^[]0;x^G\\u{202e}^M"), "{option}: {said}");
    }
    let memory = refused(&[OsStr::new("--memory"), OsStr::new("\x1b[31m")]);
    assert!(memory.contains("invalid value '^[[31m' for '--memory"), "{memory}");
    let option = refused(&[OsStr::new("--\x1b[31m")]);
    assert!(option.contains("unexpected argument '--^[[31m'"), "{option}");
    for variable in ["TMPDIR", "XDG_RUNTIME_DIR"] {
        let mut command = place.command();
        command.env(variable, evil("no")).args([OsStr::new("--facts"), facts.as_ref(), "--qemu".as_ref()]);
        let output = command.args(["/bin/false", "--kernel-dir"]).arg(&minimal).output().unwrap();
        assert_harmless(&output.stderr, variable);
    }
}

/// Clap's exit statuses and streams are as they were.
#[test]
fn help_and_version_are_output() {
    let place = Place::new();
    for option in ["--help", "--version"] {
        let output = place.run([option]);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{option}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("sandbox"), "{option}");
    }
}

/// The remedy for a disk that names a stranger's file is a command, and it works.
#[test]
fn the_remedy_for_a_disk_can_be_pasted() {
    let place = Place::new();
    let dir = place.dir.path().join("it's; $(a) dir");
    std::fs::create_dir(&dir).unwrap();
    let base = place.dir.path().join("base image.qcow2");
    std::fs::copy(minimal().join("rootfs-x86_64.qcow2"), &base).unwrap();
    let overlay = dir.join("overlay.qcow2");
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd"]).arg(&overlay).arg("64M");
    assert!(command.status().unwrap().success());
    let minimal = minimal();
    let run = || {
        let mut command = place.command();
        command.current_dir(place.dir.path()).args(boots(&minimal)).arg("--dir").arg(&dir);
        command.args(["--base", "base image.qcow2"]).output().unwrap()
    };
    let output = run();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let remedy = said.split('`').find(|part| part.starts_with("qemu-img rebase")).expect(&said);
    let remedy = remedy.replace("FORMAT", "qcow2");
    assert!(Command::new("sh").args(["-c", &remedy]).status().unwrap().success(), "{remedy}");
    let output = run();
    assert!(output.status.success(), "{remedy}: {}", stderr(&output));
}

/// No --base helps against data that are in another file.
#[test]
fn a_disk_with_its_data_elsewhere_has_its_own_remedy() {
    let place = Place::new();
    let dir = place.dir.path().join("d");
    std::fs::create_dir(&dir).unwrap();
    let data = format!("data_file={}", place.dir.path().join("data").display());
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-o", &data]).arg(dir.join("overlay.qcow2")).arg("1M");
    assert!(command.status().unwrap().success());
    let minimal = minimal();
    let mut args = boots(&minimal);
    args.extend([OsStr::new("--dir"), dir.as_ref()]);
    let said = place.refused(&args);
    assert!(said.contains("external data file") && said.contains("qemu-img convert"), "{said}");
    assert!(!said.contains("--base"), "{said}");
}

/// What a guest did not do is said, and not that it never answered.
#[test]
fn the_step_that_a_guest_does_not_take_is_named() {
    let poweroff = "poweroff) echo \"bye\" >&3; end ;;";
    for (instead, timeout, status, words) in [
        ("poweroff) end ;;", "60", 1, "it ended, and did not answer `poweroff` before"),
        ("poweroff) $busybox sleep 600 ;;", "20", 4, "the guest did not answer `poweroff` within 20 s"),
    ] {
        let place = Place::new();
        let dir = place.guest_with(poweroff, instead);
        let output = place.run(boots(&dir).into_iter().chain(os(&["--timeout", timeout])));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// A guest that has answered is no success where QEMU fails then.
#[test]
fn a_qemu_that_fails_after_the_answer_is_status_3() {
    let place = Place::new();
    let dir = place
        .guest_with("echo \"bye\" >&3; end ;;", "echo \"bye\" >&3; echo the-end >/dev/console; $busybox sleep 600 ;;");
    // It dies where the guest says so, before anybody asks it to end.
    let pid = place.dir.path().join("pid");
    let qemu = place.script(
        "qemu",
        &format!(
            "#!/bin/sh\ncase \"$*\" in *guest=*) ;; *) exec qemu-system-x86_64 \"$@\" ;; esac\n\
             sh -c 'echo $$ >{0}; exec qemu-system-x86_64 \"$@\"' sh \"$@\" |\n\
             {{ grep -q the-end; kill -9 $(cat {0}); }}\nexit 7\n",
            pid.display()
        ),
    );
    let mut args = boots(&dir);
    args.extend([OsStr::new("--qemu"), qemu.as_ref(), "--isolation".as_ref(), "none".as_ref()]);
    // As its own user: it writes where this test can read.
    let facts = place.file("facts.json", TCG);
    args.extend([OsStr::new("--facts"), facts.as_ref()]);
    let output = place.run(args);
    let said = stderr(&output);
    assert!(said.contains("the guest answered\n") && said.contains("exit status: 7: QEMU failed"), "{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("sandbox: the guest answered, and its power-off is not what ended QEMU: QEMU failed"),
        "{said}"
    );
}

/// An answer is `pong` and a number; what else comes is not shown whole.
#[test]
fn an_answer_that_is_none_is_short() {
    for (answer, shown) in [
        ("$busybox head -c 900000 /dev/zero | $busybox tr '\\0' x >&3; echo >&3", "... (900005 bytes)"),
        ("echo nan >&3", "answered `pong nan`"),
        ("printf '1\\033]0;TITLE\\007\\n' >&3", "answered `pong 1^[]0;TITLE^G`"),
    ] {
        let place = Place::new();
        let dir = place.guest_with("echo \"pong $uptime\" >&3", &format!("printf 'pong ' >&3; {answer}"));
        let output = place.run(boots(&dir));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{}", &said[..said.len().min(2000)]);
        assert!(said.contains(shown) && said.contains("was expected"), "{}", &said[..said.len().min(2000)]);
        assert!(said.len() < 2000, "{} bytes", said.len());
        assert_harmless(&output.stderr, answer);
    }
}

fn dry_run_with_facts(place: &Place, facts: &OsStr, stdin: Stdio) -> Output {
    let args = [OsStr::new("--dry-run"), "--facts".as_ref(), facts];
    place.command().args(args).stdin(stdin).output().unwrap()
}

/// Facts may come out of a pipe, but not never.
#[test]
fn facts_that_do_not_come_are_not_waited_for() {
    let place = Place::new();
    let fifo = place.dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let asked = Instant::now();
    let nobody = std::thread::scope(|scope| {
        let nobody = scope.spawn(|| dry_run_with_facts(&place, fifo.as_ref(), Stdio::null()));
        // This one writes a part, and stays.
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&FACTS.as_bytes()[..10]).unwrap();
        let part = dry_run_with_facts(&place, "/dev/stdin".as_ref(), reader.into());
        assert!(stderr(&part).contains("its end did not come within 10s"), "{part:?}");
        assert_eq!(part.status.code(), Some(2));
        drop(writer);
        nobody.join().unwrap()
    });
    assert!(stderr(&nobody).contains("its end did not come within 10s"), "{nobody:?}");
    assert_eq!(nobody.status.code(), Some(2));
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    // A writer that comes late is in time.
    let late = std::thread::scope(|scope| {
        let reader = scope.spawn(|| dry_run_with_facts(&place, fifo.as_ref(), Stdio::null()));
        // Opening waits for the reader.
        std::fs::File::options().write(true).open(&fifo).unwrap().write_all(FACTS.as_bytes()).unwrap();
        reader.join().unwrap()
    });
    assert!(late.status.success(), "{late:?}");
    let script = "exec \"$0\" --dry-run --facts <(printf '%s' \"$1\")";
    let mut bash = Command::new("bash");
    let output = bash.args(["-c", script, env!("CARGO_BIN_EXE_sandbox"), FACTS]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A rule that is taken and does nothing is told of.
#[test]
fn rules_that_allow_nothing_are_told() {
    let place = Place::new();
    let facts = place.file("facts.json", FACTS);
    for (rule, why) in [
        ("127.0.0.1", Some("127.0.0.0/8 is the host's loopback; no rule opens it")),
        ("239.0.0.1", Some("224.0.0.0/4 is multicast; no rule opens it")),
        ("192.168.127.1:80", Some("192.168.127.0/24 is the network of the guest and gvproxy")),
        ("0.0.0.0/0", None),
        ("10.0.0.0/8", None),
    ] {
        let args: [OsString; 5] =
            ["--dry-run".into(), "--facts".into(), facts.clone().into(), "--net-allow".into(), rule.into()];
        let output = place.run(args);
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("note: --net-allow "), why.is_some(), "{rule}: {said}");
        assert!(why.is_none_or(|why| said.contains(why)), "{said}");
    }
}
