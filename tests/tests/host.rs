//! The probes against real binaries.

use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture::{self, Aarch64, X86_64};
use qemu_dsl::host::{ProbeOptions, probe, probe_now, run_test_guest};
use tests::qemus;

/// The test guest is sound: where there is no question of the host's abilities, it runs to its end.
#[test]
fn the_test_guest_of_the_kvm_proof_runs_under_emulation() {
    for qemu in qemus() {
        for (arch, cpu) in [(X86_64, "max"), (Aarch64, "cortex-a57")] {
            let result = run_test_guest(&qemu.binary(arch), arch, &["-accel", "tcg", "-cpu", cpu]);
            assert_eq!(result, Ok(()), "{arch} with QEMU {}", qemu.version);
        }
    }
}

/// A vCPU that cannot run the guest is noticed: this CPU model has no long mode.
#[test]
fn a_test_guest_that_fails_is_noticed() {
    for qemu in qemus() {
        let started = Instant::now();
        let result = run_test_guest(&qemu.binary(X86_64), X86_64, &["-accel", "tcg", "-cpu", "486"]);
        assert!(result.is_err(), "QEMU {}", qemu.version);
        assert!(started.elapsed() < Duration::from_secs(10), "the proof has a limit");
    }
}

#[test]
fn the_binary_tells_about_itself() {
    for qemu in qemus() {
        for arch in [X86_64, Aarch64] {
            let probed = probe_now(&ProbeOptions::new().qemu(qemu.binary(arch)).force_emulation(true)).unwrap();
            let info = probed.qemu.as_ref().unwrap();
            assert_eq!(info.version, qemu.version);
            assert!(info.accelerators.iter().any(|name| name == "tcg"), "{info:?}");
            assert_eq!(
                info.accelerators.iter().any(|name| name == "kvm"),
                arch == host_arch(),
                "KVM is for one's own kind"
            );
            assert!(info.seccomp && info.io_uring, "Debian builds QEMU with both");
            assert!(info.has_device("virtio-blk-device") && info.has_device("virtio-blk-pci"));
            assert!(!info.has_device("no-such-device"));
            assert!(!probed.verdict("acceleration").unwrap().yes);
        }
    }
}

fn host_arch() -> Architecture {
    if std::env::consts::ARCH == "aarch64" { Aarch64 } else { X86_64 }
}

#[test]
fn what_is_no_qemu_is_said_to_be_none() {
    for (binary, expected) in
        [("/nonexistent/qemu", "no `/nonexistent/qemu`"), ("/bin/true", "does not answer as QEMU does")]
    {
        let probed = probe_now(&ProbeOptions::new().qemu(binary)).unwrap();
        assert_eq!(probed.facts.qemu_version, None);
        assert!(!probed.facts.seccomp && !probed.facts.io_uring, "nothing is claimed of a binary that says nothing");
        let verdict = probed.verdict("qemu").unwrap();
        assert!(!verdict.yes && verdict.reason.contains(expected), "{verdict}");
    }
}

/// A probe takes its time once, for all callers.
#[test]
fn callers_at_the_same_time_share_one_probe() {
    let options = ProbeOptions::new().force_emulation(true);
    let probes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| probe(&options).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(probes.iter().all(|probed| std::sync::Arc::ptr_eq(probed, &probes[0])));
}
