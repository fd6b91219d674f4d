//! A guest whose QEMU gets little of the processor: as on a host that is full.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::launch::Launch;
use qemu_dsl::sandbox::{SandboxConfig, plan};
use tests::minimal_guest_dir;
use tests::plans::bare;

/// For so long QEMU stands still, in turn with [`RUNS`]. Far less than a tick of the guest's clock fits into the latter: so a kernel
/// that looks whether ticks come while a delay passes sees too few of them, and panics, in two boots of three.
const STANDS: Duration = Duration::from_millis(60);
const RUNS: Duration = Duration::from_millis(1);

/// Linux looks whether timer interrupts come, and panics where they are late; under emulation that says nothing of the machine.
#[test]
fn a_guest_whose_ticks_are_late_boots() {
    let guest = minimal_guest_dir();
    for _ in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(guest.join("rootfs-x86_64.qcow2"), dir.path().join("overlay.qcow2")).unwrap();
        let config = SandboxConfig::new("starved", dir.path(), &guest).unwrap();
        let plan = plan(&config, &bare(Architecture::X86_64, Os::Linux, Acceleration::Tcg)).unwrap();
        let machine = Launch::new(plan.command()).start().unwrap();
        let pid = Pid::from_raw(machine.pid().try_into().unwrap());
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut stood = 0;
        let console = loop {
            let console = String::from_utf8_lossy(&machine.console()).into_owned();
            // From before the kernel sets its timers up, until it has.
            if console.contains("Calibrating delay") || console.contains("Kernel panic") {
                break console;
            }
            assert!(Instant::now() < deadline, "{console}");
            if console.contains("Memory: ") {
                stood += 1;
                kill(pid, Signal::SIGSTOP).unwrap();
                std::thread::sleep(STANDS);
                kill(pid, Signal::SIGCONT).unwrap();
            }
            std::thread::sleep(RUNS);
        };
        assert!(stood > 0 && !console.contains("Kernel panic"), "stood still {stood} times\n{console}");
        let mut events = machine.agent(&config.paths().event, deadline).unwrap();
        events.wait_for("ready", deadline).unwrap_or_else(|error| panic!("{error}\n{console}"));
    }
}
