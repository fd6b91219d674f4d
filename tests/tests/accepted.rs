//! Real QEMU takes every plan that this machine can start, and says nothing.

use std::collections::BTreeSet;
use std::path::Path;

use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::sandbox::{Confinement, NetworkMode, Place, Plan, SandboxConfig, plan};
use qemu_dsl::{HostFacts, QemuCommand};
use tests::plans::{configs, hosts};
use tests::{Judged, Qemu, guest_dir, judge, qemus};

/// What QEMU may say, and why that is no fault of a plan.
const EXPECTED_ON_STDERR: &[(&str, &str)] = &[
    // A vCPU that TCG emulates has the features that TCG has, whatever the model's name promises.
    (
        "warning: TCG doesn't support requested feature",
        "Haswell has TSC deadline and others, which TCG does not emulate",
    ),
];

/// The plan's command with a binary of the test's, and without what this machine cannot do: another accelerator stands in
/// for KVM and HVF, wrappers are left out. All else is judged as it is.
fn startable(plan: &Plan, qemu: &Qemu, arch: Architecture) -> QemuCommand {
    let mut command = QemuCommand::new(qemu.binary(arch)).unwrap();
    let args: Vec<String> = plan.command().args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
    let start = args.iter().position(|arg| arg == "-accel").unwrap();
    let hardware = args[start + 1] == "kvm" || args[start + 1] == "hvf";
    let no_ioeventfd = hardware && !qemu.version.is_at_least(10, 0);
    let mut args = args[start..].iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "kvm" | "hvf" => command.arg("tcg"),
            "host" => command.arg("max"),
            "host,-svm,-vmx" => command.arg("max,-svm,-vmx"),
            // Under the stand-in an old QEMU has no ioeventfd on virtio-mmio.
            "-object" if no_ioeventfd => {
                args.next();
                continue;
            }
            arg if no_ioeventfd => command.arg(arg.replace(",iothread=iothread0-vm-1", "")),
            arg => command.arg(arg),
        }
        .unwrap();
    }
    command
}

fn unexpected(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| !EXPECTED_ON_STDERR.iter().any(|(known, _)| line.contains(known))).collect()
}

/// Facts that change no argument of QEMU's own are left out.
fn worth_starting(facts: &HostFacts, config: &SandboxConfig, seen: &mut BTreeSet<String>) -> Option<Plan> {
    let plan = plan(config, facts).ok()?;
    let args: Vec<String> = plan.command().args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let start = args.iter().position(|arg| arg == "-accel")?;
    seen.insert(args[start..].join("\n")).then_some(plan)
}

fn all_plans_are_accepted(arch: Architecture) {
    let guest = guest_dir();
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        let overlay = dir.path().join("overlay.qcow2");
        std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), &overlay).unwrap();
        // QEMU connects at once where it cannot connect again later.
        let _gvproxy = std::os::unix::net::UnixListener::bind(dir.path().join("gvproxy.sock")).unwrap();
        let mut seen = BTreeSet::new();
        let mut started = 0;
        for facts in hosts(Some(qemu.version)).iter().filter(|facts| facts.arch == arch) {
            for config in configs(dir.path(), &guest) {
                let Some(plan) = worth_starting(facts, &config, &mut seen) else {
                    let too_old = config.network() != NetworkMode::None && !qemu.version.is_at_least(7, 2);
                    assert!(too_old || plan(&config, facts).is_ok(), "{facts:?} has no plan");
                    continue;
                };
                let command = startable(&plan, &qemu, arch);
                match judge(&command, &config.paths().qmp) {
                    Judged::Accepted { stderr } => {
                        assert_eq!(unexpected(&stderr), Vec::<&str>::new(), "{}\n{command}", qemu.version);
                    }
                    Judged::Rejected { stderr } => panic!("QEMU {} rejects {command}\n{stderr}", qemu.version),
                }
                started += 1;
            }
        }
        println!("QEMU {}: {started} different {arch} plans accepted", qemu.version);
        // Without a network, which 5.2 does not have, there are fewest.
        assert!(started >= 5, "only {started} plans");
    }
}

#[test]
fn x86_64_plans_are_accepted() {
    all_plans_are_accepted(Architecture::X86_64);
}

#[test]
fn aarch64_plans_are_accepted() {
    all_plans_are_accepted(Architecture::Aarch64);
}

/// The plan with KVM itself, where the binary survives that here; the proof of the probe says whether it must.
#[test]
fn the_plan_of_this_host_is_accepted_as_it_is() {
    let guest = guest_dir();
    for qemu in qemus() {
        let options = qemu_dsl::host::ProbeOptions::new().qemu(qemu.binary(host_arch()));
        let probed = qemu_dsl::host::probe_now(&options).unwrap();
        assert_eq!(probed.facts.qemu_version, Some(qemu.version));
        let parent = tempfile::tempdir().unwrap();
        let place = Place::new().parent(parent.path()).make(&"vm-1".parse().unwrap(), &probed.facts).unwrap();
        let disk = guest.join(format!("rootfs-{}.qcow2", host_arch()));
        std::fs::copy(disk, place.path().join("overlay.qcow2")).unwrap();
        place.hand_over().unwrap();
        let config = SandboxConfig::new("vm-1", place.path(), &guest).unwrap().qemu(qemu.binary(host_arch())).unwrap();
        // Those of the tests are unpacked somewhere; the jail shows what is in /usr.
        let tree = Path::new(&qemu.binary(host_arch())).ancestors().nth(2).map(Path::to_owned);
        let confinement =
            tree.filter(|tree| tree.is_absolute()).into_iter().fold(Confinement::new(), Confinement::read);
        let config = config.confinement(place.confinement(confinement));
        let plan = plan(&config, &probed.facts).unwrap();
        match judge(plan.command(), &config.paths().qmp) {
            Judged::Accepted { stderr } => assert_eq!(unexpected(&stderr), Vec::<&str>::new(), "{}", qemu.version),
            Judged::Rejected { stderr } => panic!("QEMU {} rejects {}\n{stderr}", qemu.version, plan.command()),
        }
    }
}

fn host_arch() -> Architecture {
    match std::env::consts::ARCH {
        "aarch64" => Architecture::Aarch64,
        _ => Architecture::X86_64,
    }
}

/// The stand-in for hardware acceleration must not hide what the plan says about it.
#[test]
fn the_stand_in_replaces_the_accelerator_alone() {
    let qemu = &qemus()[0];
    let facts = HostFacts::example().with_qemu_version(Some(qemu.version));
    let config = SandboxConfig::new("vm-1", Path::new("/x"), Path::new("/y")).unwrap();
    let plan = plan(&config, &facts).unwrap();
    assert_eq!((facts.os, facts.accel), (Os::Linux, Acceleration::Kvm));
    let command = startable(&plan, qemu, Architecture::X86_64).to_string();
    assert!(
        command.contains(
            "-accel tcg -cpu max,-svm,-vmx -machine microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off"
        )
    );
}
