//! What real QEMU makes of each mistake, and whether `docs/rules.md` says so.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture;
use qemu_dsl::launch::{Agent, Launch, Machine};
use qemu_dsl::qmp::Qmp;
use qemu_dsl::vm::BuildErrors;
use serde_json::json;
use tests::rules::{Does, Held, Loss, RULES, Rule, Twin};
use tests::{Judged, Qemu, guest_dir, judge, minimal_guest_dir, qemus};

/// How long a guest that boots may take. A healthy one takes a few seconds.
const LIMIT: Duration = Duration::from_mins(2);
/// How long a guest that does not boot is watched.
const WATCHED: Duration = Duration::from_secs(12);

/// The twin's command, with QMP, and with `more` behind the kernel command line.
fn command(qemu: &Qemu, twin: &Twin, dir: &Path, more: &str) -> QemuCommand {
    let mut command = QemuCommand::new(qemu.binary(twin.arch)).unwrap();
    for arg in ["-nodefaults", "-no-user-config", "-display", "none"] {
        command.arg(arg).unwrap();
    }
    let accel_given = twin.args.contains("-accel ");
    if !accel_given {
        command.arg("-accel").unwrap().arg("tcg").unwrap();
    }
    let words = format!("{} -qmp unix:{{dir}}/qmp.sock,server=on,wait=off", twin.args);
    let words = words.replace("{dir}", dir.to_str().unwrap()).replace("{long}", &"x".repeat(2100));
    let mut is_cmdline = false;
    for word in words.split(' ') {
        command.arg(if is_cmdline { format!("{word}{more}") } else { word.to_owned() }).unwrap();
        is_cmdline = word == "-append";
    }
    command
}

/// Boots the test guest on the twin's machine, with channels to its agent and `more` behind the kernel command line.
fn boot(qemu: &Qemu, twin: &Twin, dir: &Path, more: &str) -> Machine {
    // Debian's kernel does not find virtio-mmio devices without ACPI.
    let has_pci = twin.args.contains("-M q35") || twin.args.contains("-M pc");
    let guest = if twin.arch == Architecture::X86_64 && !has_pci { minimal_guest_dir() } else { guest_dir() };
    let mut command = command(qemu, twin, dir, more);
    let file = |name: &str| format!("{}/{name}-{}", guest.display(), twin.arch);
    let chardev = |name: &str| format!("socket,id={name},path={}/{name}.sock,server=on,wait=off", dir.display());
    for args in [
        ["-m", "256M"],
        ["-kernel", &file("vmlinuz")],
        ["-initrd", &file("initramfs")],
        ["-device", if has_pci { "virtio-serial-pci" } else { "virtio-serial-device" }],
        ["-chardev", &chardev("event")],
        ["-device", "virtserialport,chardev=event,name=org.dualeai.event"],
        ["-chardev", &chardev("cmd")],
        ["-device", "virtserialport,chardev=cmd,name=org.dualeai.cmd"],
    ] {
        command.arg(args[0]).unwrap().arg(args[1]).unwrap();
    }
    Launch::new(&command).start().unwrap()
}

/// Whether the guest's agent is there in time.
fn is_ready(machine: &Machine, dir: &Path, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let mut events = Agent::new(machine.connect(dir.join("event.sock"), deadline).unwrap()).unwrap();
    events.wait_for("ready", deadline).is_ok()
}

fn console(machine: &Machine) -> String {
    String::from_utf8_lossy(&machine.console()).into_owned()
}

fn suffers(qemu: &Qemu, twin: &Twin, does: Does, dir: &Path) {
    let at = format!("QEMU {} {}", qemu.version, twin.args);
    let Does::Loses(loss) = does else {
        // On a microvm with ACPI under TCG a kernel often fails to calibrate its TSC against the PIT, and stops there.
        let machine = boot(qemu, twin, dir, " tsc_early_khz=2000000");
        return assert!(is_ready(&machine, dir, LIMIT), "{at}: the guest boots\n{}", console(&machine));
    };
    let machine = boot(qemu, twin, dir, "");
    match loss {
        Loss::Console => {
            assert!(is_ready(&machine, dir, LIMIT), "{at}: the guest runs");
            assert_eq!(console(&machine), "", "{at}");
        }
        Loss::Cmdline => {
            assert!(is_ready(&machine, dir, LIMIT), "{at}: the guest runs");
            let console = console(&machine);
            assert!(console.contains("init: no root= on the kernel command line"), "{at}: {console}");
        }
        Loss::Abort => {
            let status = machine.wait(Instant::now() + LIMIT).unwrap_or_else(|| panic!("{at}: QEMU runs"));
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{at}: {status}");
            return;
        }
        Loss::Boot => {
            assert!(!is_ready(&machine, dir, WATCHED), "{at}: the guest boots after all");
        }
        Loss::BootWith(message) => {
            assert!(!is_ready(&machine, dir, WATCHED), "{at}: the guest boots after all");
            let console = console(&machine);
            assert!(console.contains(message), "{at}: {console}");
        }
        Loss::Template => {
            assert!(is_ready(&machine, dir, LIMIT), "{at}: the guest runs\n{}", console(&machine));
            shrink(machine.qmp(dir.join("qmp.sock"), Instant::now() + LIMIT).unwrap());
            let template = std::fs::read(dir.join("template")).unwrap();
            assert!(template[FILLED].contains(&0), "{at}: the template is as it was");
            return;
        }
    }
    assert!(machine.wait(Instant::now()).is_none(), "{at}: QEMU runs, and nothing tells of the mistake");
}

/// The part of the template that is filled: not that in which firmware and kernel look for tables.
const FILLED: std::ops::Range<usize> = 64 << 20..192 << 20;

fn template() -> Vec<u8> {
    let mut template = vec![0; 256 << 20];
    template[FILLED].fill(0xa5);
    template
}

/// Takes memory from the guest until it has half.
fn shrink(mut qmp: Qmp) {
    let second = Duration::from_secs(10);
    qmp.execute("balloon", Some(json!({ "value": 128 << 20 })), second).unwrap();
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        let event = qmp.next_event(Duration::from_secs(1)).unwrap();
        if event.is_some_and(|event| event.name == "BALLOON_CHANGE" && event.data["actual"].as_u64() < Some(200 << 20))
        {
            return;
        }
    }
    panic!("the balloon does not take memory");
}

/// What QEMU does otherwise than the table says.
fn differs(qemu: &Qemu, twin: &Twin) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("disk.raw"), vec![0; 1 << 20]).unwrap();
    if twin.args.contains("{dir}/template") {
        std::fs::write(dir.path().join("template"), template()).unwrap();
    }
    let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("listen.sock")).unwrap();
    let at = format!("QEMU {} {}", qemu.version, twin.args);
    let does = twin.outcome(qemu.version);
    if let Does::Loses(_) | Does::Boots = does {
        suffers(qemu, twin, does, dir.path());
        return None;
    }
    let judged = judge(&command(qemu, twin, dir.path(), ""), &dir.path().join("qmp.sock"));
    match (does, judged) {
        (Does::Rejects(message), Judged::Rejected { stderr }) if stderr.contains(message) => None,
        (Does::Accepts, Judged::Accepted { stderr }) if stderr.is_empty() => None,
        (does, judged) => Some(format!("{at}: the table says {does:?}, and QEMU did this: {judged:?}")),
    }
}

fn twins(boots: bool) {
    let mut differences = Vec::new();
    for qemu in qemus() {
        for twin in RULES.iter().flat_map(|rule| rule.twins) {
            if boots == matches!(twin.outcome(qemu.version), Does::Loses(_) | Does::Boots) {
                differences.extend(differs(&qemu, twin));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn qemu_does_what_the_table_says() {
    twins(false);
}

#[test]
fn guests_suffer_what_the_table_says() {
    twins(true);
}

/// The guests above fail because of the mistake: without it they boot, and show it.
#[test]
fn without_the_mistake_the_guest_boots() {
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        for (arch, args) in [
            (Architecture::X86_64, "-M microvm,acpi=off -serial stdio -append console=ttyS0"),
            (Architecture::Aarch64, "-M virt -cpu cortex-a57 -serial stdio -append console=ttyAMA0"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let twin = Twin { arch, args, does: &[] };
            let machine = boot(qemu, &twin, dir.path(), "");
            assert!(is_ready(&machine, dir.path(), LIMIT), "QEMU {} {args}", qemu.version);
            assert!(console(&machine).contains("Linux version"), "QEMU {} {args}", qemu.version);
        }
    }
}

#[test]
fn each_rule_has_its_cases_and_no_case_is_without_a_rule() {
    let ui = tests::root().join("ui-tests/ui");
    let (mut named, mut by_build) = (BTreeSet::new(), 0);
    for rule in RULES {
        match rule.held {
            Held::Compiler(cases) => named.extend(cases.iter().map(ToString::to_string)),
            Held::RunTime { error, .. } => {
                // Others are constructors' own, before there is a VM.
                if let Some(errors) = error().downcast_ref::<BuildErrors>() {
                    let broken = errors.errors()[0].rule().map(|rule| rule.id);
                    assert_eq!(broken, Some(rule.id), "{errors}");
                    by_build += 1;
                }
            }
            Held::Replaced { command, .. } => assert!(!command().is_empty()),
        }
        assert!(!rule.twins.is_empty(), "{}", rule.id);
    }
    assert!(by_build > 30, "{by_build} rules are broken by a VM");
    let mut there = BTreeSet::new();
    for kind in std::fs::read_dir(ui).unwrap().map(Result::unwrap).filter(|kind| kind.file_name() != "pass") {
        for case in std::fs::read_dir(kind.path()).unwrap().map(Result::unwrap) {
            let name = case.file_name().into_string().unwrap();
            there.extend(name.strip_suffix(".rs").map(|name| format!("{}/{name}", kind.file_name().display())));
        }
    }
    assert_eq!(named, there);
}

/// The library's table and this one are of the same rules, and what QEMU takes everywhere is a rule of the library's own.
#[test]
fn every_rule_of_the_library_has_its_twins() {
    let ids = |all: &mut dyn Iterator<Item = &'static str>| all.collect::<Vec<_>>();
    let library = ids(&mut qemu_dsl::rule::RULES.iter().map(|rule| rule.id));
    assert_eq!(library, ids(&mut RULES.iter().map(|rule| rule.id)));
    assert_eq!(library.iter().collect::<BTreeSet<_>>().len(), library.len(), "an id twice");
    let accepted =
        |rule: &Rule| rule.twins.iter().flat_map(|twin| twin.does).all(|(_, does)| matches!(does, Does::Accepts));
    let wrong: Vec<_> = RULES.iter().filter(|rule| rule.of().is_policy != accepted(rule)).map(|rule| rule.id).collect();
    assert_eq!(wrong, [""; 0], "policy is what QEMU accepts");
}

#[test]
fn the_page_is_up_to_date() {
    let page = std::fs::read_to_string(tests::root().join("docs/rules.md")).unwrap_or_default();
    assert!(page == tests::rules::markdown(), "docs/rules.md is old: run `cargo run -p tests --bin rules`");
}
