//! The probes against real binaries.

use std::path::{Path, PathBuf};
use std::process::Command;
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

/// A QEMU that counts how often it is started.
struct Counted {
    dir: tempfile::TempDir,
}

impl Counted {
    fn new() -> Self {
        let counted = Self { dir: tempfile::tempdir().unwrap() };
        counted.install("");
        counted
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("qemu")
    }

    /// Puts the program there anew, which another comment makes another program.
    fn install(&self, comment: &str) {
        let (starts, qemu) = (self.dir.path().join("starts"), qemus()[0].binary(host_arch()));
        let script = format!("#!/bin/sh\n#{comment}\necho >>{}\nexec {} \"$@\"\n", starts.display(), qemu.display());
        std::fs::write(self.program(), script).unwrap();
        std::fs::set_permissions(self.program(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// How often it has been started since the last call.
    fn starts(&self) -> usize {
        let path = self.dir.path().join("starts");
        let starts = std::fs::read(&path).unwrap_or_default().len();
        let _ = std::fs::remove_file(path);
        starts
    }

    /// What another process finds, which has only the files to remember things by.
    fn in_another_process(&self, how: &str, cache: &Path) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prober"));
        let output = command.arg(how).arg(cache).arg(self.program()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// In a process, answers are remembered for as long as the binary stays the same.
#[test]
fn another_binary_is_asked_anew() {
    let counted = Counted::new();
    let options = ProbeOptions::new().force_emulation(true).qemu(counted.program());
    let first = probe(&options).unwrap();
    assert_eq!(counted.starts(), 1);
    assert!(std::sync::Arc::ptr_eq(&first, &probe(&options).unwrap()));
    assert_eq!(counted.starts(), 0);
    counted.install("another");
    assert!(!std::sync::Arc::ptr_eq(&first, &probe(&options).unwrap()));
    assert_eq!(counted.starts(), 1);
    probe_now(&options).unwrap();
    assert_eq!(counted.starts(), 1, "nothing is remembered here");
}

/// Between processes, answers are remembered in files.
#[test]
fn another_process_need_not_ask_again() {
    let counted = Counted::new();
    let cache = counted.dir.path().join("cache");
    assert_eq!(counted.in_another_process("read", &cache), counted.in_another_process("none", &cache));
    assert_eq!(counted.starts(), 2);
    assert!(!cache.exists(), "nobody has been asked to write");
    let asked = counted.in_another_process("write", &cache);
    assert_eq!(counted.starts(), 1);
    for how in ["read", "write"] {
        assert_eq!(counted.in_another_process(how, &cache), asked);
        assert_eq!(counted.starts(), 0, "{how}");
    }
    counted.in_another_process("none", &cache);
    assert_eq!(counted.starts(), 1);
    counted.install("another");
    for expected in [1, 0] {
        counted.in_another_process("write", &cache);
        assert_eq!(counted.starts(), expected);
    }
    let kept: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "the new answers are in the place of the old ones: {kept:?}");
    std::fs::write(&kept[0], "damaged").unwrap();
    for expected in [1, 0] {
        assert_eq!(counted.in_another_process("write", &cache), asked);
        assert_eq!(counted.starts(), expected);
    }
}
