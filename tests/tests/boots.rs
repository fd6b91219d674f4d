//! Guests boot under TCG: console, agent, disk, power-off.

use std::time::{Duration, Instant};

use qemu_dsl::HostFacts;
use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::launch::{Agent, End, Launch};
use qemu_dsl::sandbox::{SandboxConfig, plan};
use tests::plans::bare;
use tests::{Qemu, guest_dir, qemus};

/// Boots the plan of a host that has nothing but TCG, and talks to the guest.
fn boot(qemu: &Qemu, arch: Architecture) {
    let guest = guest_dir();
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), dir.path().join("overlay.qcow2")).unwrap();
    let config = SandboxConfig::new("boot", dir.path(), &guest).unwrap().qemu(qemu.binary(arch)).unwrap();
    let facts = HostFacts { qemu_version: Some(qemu.version), ..bare(arch, Os::Linux, Acceleration::Tcg) };
    let plan = plan(&config, &facts).unwrap();

    let deadline = Instant::now() + Duration::from_mins(2);
    let mut machine = Launch::new(plan.command()).start().unwrap();
    let mut events = Agent::new(machine.connect(&config.paths().event, deadline).unwrap()).unwrap();
    let mut commands = Agent::new(machine.connect(&config.paths().cmd, deadline).unwrap()).unwrap();
    let said = |machine: &qemu_dsl::launch::Machine| String::from_utf8_lossy(&machine.console()).into_owned();
    let disk = events.next_line(deadline).unwrap_or_else(|error| panic!("{error}\n{}", said(&machine)));
    assert_eq!(disk, "disk /dev/vda ext4");
    events.wait_for("ready", deadline).unwrap();
    let answer = commands.ask("ping", deadline).unwrap();
    let uptime: f64 = answer.strip_prefix("pong ").expect("a pong").parse().expect("an uptime");
    assert!(uptime > 0.0);
    assert_eq!(commands.ask("what?", deadline).unwrap(), "error unknown command");
    assert_eq!(commands.ask("poweroff", deadline).unwrap(), "bye");
    machine.powering_off();
    let off = machine.wait(Instant::now() + Duration::from_secs(30));
    let console = said(&machine);
    assert!(off.is_some(), "the guest does not power off\n{console}");
    let ended = machine.end(None);
    assert_eq!((ended.how, ended.status.code(), ended.processes_left), (End::Itself, Some(0), 0), "{}", ended.stderr);
    assert!(console.contains("Linux version") && console.contains("init: ready"), "the console shows all of the boot");
}

#[test]
fn x86_64_boots_to_the_agents_answer() {
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        boot(qemu, Architecture::X86_64);
    }
}

#[test]
fn aarch64_boots_to_the_agents_answer() {
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        boot(qemu, Architecture::Aarch64);
    }
}
