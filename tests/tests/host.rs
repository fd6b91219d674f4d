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
            assert_eq!(info.target, arch.name());
            assert!(info.has_machine("none") && !info.has_machine("no-such-machine"));
            assert_eq!([info.has_machine("pc"), info.has_machine("microvm")], [arch == X86_64; 2]);
            assert_eq!(info.has_machine("virt"), arch == Aarch64);
            let firmware = if arch == X86_64 { "vgabios-stdvga.bin" } else { "efi-virtio.rom" };
            assert!(info.data_dirs.iter().any(|dir| dir.join(firmware).is_file()), "{:?}", info.data_dirs);
            assert_eq!(probed.accelerator().is_ok(), arch == host_arch());
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
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    install(&script, "#!/no/such/shell\n");
    for (binary, expected) in [
        ("/nonexistent/qemu", "there is no `/nonexistent/qemu`: install QEMU, or name another binary"),
        ("no-such-qemu", "there is no `no-such-qemu` in PATH: install QEMU"),
        ("/bin/true", "does not answer as QEMU does: it ended with exit status 0"),
        ("/bin/false", "does not answer as QEMU does: it ended with exit status 1"),
        ("/usr", "`/usr` is a directory, and no program"),
        ("/etc/passwd", "`/etc/passwd` may not be executed"),
        (script.to_str().unwrap(), "is a script for `/no/such/shell`, which cannot be started"),
    ] {
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

fn install(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// How often a probe without KVM starts the binary: for one session, and to list its directories.
const STARTS: usize = 2;

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
        install(&self.program(), &script);
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
        self.behind(&[], how, cache)
    }

    /// The same of a process that something confines.
    fn behind(&self, wrapper: &[&str], how: &str, cache: &Path) -> String {
        let prober = env!("CARGO_BIN_EXE_prober");
        let mut command = Command::new(wrapper.first().unwrap_or(&prober));
        if let Some((_, rest)) = wrapper.split_first() {
            command.args(rest).arg(prober);
        }
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
    assert_eq!(counted.starts(), STARTS);
    assert!(std::sync::Arc::ptr_eq(&first, &probe(&options).unwrap()));
    assert_eq!(counted.starts(), 0);
    counted.install("another");
    assert!(!std::sync::Arc::ptr_eq(&first, &probe(&options).unwrap()));
    assert_eq!(counted.starts(), STARTS);
    probe_now(&options).unwrap();
    assert_eq!(counted.starts(), STARTS, "nothing is remembered here");
}

/// Between processes, answers are remembered in files.
#[test]
fn another_process_need_not_ask_again() {
    let counted = Counted::new();
    let cache = counted.dir.path().join("cache");
    assert_eq!(counted.in_another_process("read", &cache), counted.in_another_process("none", &cache));
    assert_eq!(counted.starts(), 2 * STARTS);
    assert!(!cache.exists(), "nobody has been asked to write");
    let asked = counted.in_another_process("write", &cache);
    assert_eq!(counted.starts(), STARTS);
    for how in ["read", "write"] {
        assert_eq!(counted.in_another_process(how, &cache), asked);
        assert_eq!(counted.starts(), 0, "{how}");
    }
    counted.in_another_process("none", &cache);
    assert_eq!(counted.starts(), STARTS);
    counted.install("another");
    for expected in [STARTS, 0] {
        counted.in_another_process("write", &cache);
        assert_eq!(counted.starts(), expected);
    }
    let kept: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "the new answers are in the place of the old ones: {kept:?}");
    std::fs::write(&kept[0], "damaged").unwrap();
    for expected in [STARTS, 0] {
        assert_eq!(counted.in_another_process("write", &cache), asked);
        assert_eq!(counted.starts(), expected);
    }
}

fn in_path(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut files = std::env::split_paths(&path).map(|dir| dir.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| panic!("{program} is not in PATH"))
}

/// What runs out of a directory.
fn running(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let commands = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(dir)).map(|command| command.replace('\0', " ")).collect()
}

/// Nothing that came of a probe stays, whatever a script in the place of QEMU does with it.
#[test]
fn a_probe_ends_what_came_of_it() {
    for how in [
        "$real \"$@\"; exit $?",
        "setsid $real \"$@\"; exit $?",
        "setsid --fork $real \"$@\"",
        "exec 3<&0; $real \"$@\" <&3 & wait",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (real, script) = (dir.path().join("real"), dir.path().join("qemu"));
        std::os::unix::fs::symlink(in_path(X86_64.qemu_binary()), &real).unwrap();
        install(&script, &format!("#!/bin/sh\nreal={}\n{how}\n", real.display()));
        let probed = probe_now(&ProbeOptions::new().qemu(&script).force_emulation(true)).unwrap();
        // A script that ends may take with it what has not left its group yet.
        assert!(probed.qemu.is_ok() || how.contains("--fork"), "{how}: {:?}", probed.qemu);
        let _ = run_test_guest(script.as_os_str(), X86_64, &["-accel", "tcg", "-cpu", "486"]);
        // Who has left the family is asked to end, and does so in its own time.
        let deadline = Instant::now() + Duration::from_secs(10);
        while how.contains("--fork") && !running(dir.path()).is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(running(dir.path()), Vec::<String>::new(), "{how}");
    }
}

/// What took too long is asked again, by this process too; and what was slow is gone.
#[test]
fn a_slow_answer_is_not_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (script, slow) = (dir.path().join("qemu"), dir.path().join("slow"));
    let real = qemus()[0].binary(host_arch());
    let text = format!("#!/bin/sh\n[ ! -e {} ] || sleep 100\nexec {} \"$@\"\n", slow.display(), real.display());
    install(&script, &text);
    std::fs::write(&slow, "").unwrap();
    let options = ProbeOptions::new().force_emulation(true).qemu(&script);
    let started = Instant::now();
    let first = probe(&options).unwrap();
    assert!(first.qemu.is_err() && !first.certain, "{first:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "a probe has a limit");
    assert_eq!(running(dir.path()), Vec::<String>::new());
    std::fs::remove_file(&slow).unwrap();
    let second = probe(&options).unwrap();
    assert!(second.qemu.is_ok() && second.certain, "{second:?}");
    assert!(std::sync::Arc::ptr_eq(&second, &probe(&options).unwrap()));
}

/// A failure that will be the same is remembered.
#[test]
fn a_certain_failure_is_remembered() {
    let options = ProbeOptions::new().force_emulation(true).qemu("/bin/false");
    let first = probe(&options).unwrap();
    assert!(first.qemu.is_err() && first.certain);
    assert!(std::sync::Arc::ptr_eq(&first, &probe(&options).unwrap()));
}

/// What was found in a free process says nothing of one that is confined, though it is the same user.
#[test]
fn answers_are_for_processes_that_may_do_the_same() {
    let counted = Counted::new();
    let cache = counted.dir.path().join("cache");
    let free = counted.in_another_process("write", &cache);
    assert_eq!(counted.starts(), STARTS);
    let denied = [env!("CARGO_BIN_EXE_denied")];
    for wrapper in [&["setpriv", "--no-new-privs", "--"][..], &["setpriv", "--bounding-set=-net_raw", "--"], &denied] {
        let found = counted.behind(wrapper, "read", &cache);
        assert_eq!(counted.starts(), STARTS, "{wrapper:?}");
        assert_eq!(found == free, !found.contains("unshare failed"), "{wrapper:?}");
    }
    if nix::unistd::geteuid().is_root() {
        // The same files, users and namespaces behind another root directory.
        let script = "mount --make-rprivate / && mount --rbind / \"$0\" && \"$@\" && exec chroot \"$0\" \"$@\"";
        let other = counted.dir.path().join("root");
        std::fs::create_dir(&other).unwrap();
        let wrapper = ["unshare", "--mount", "--", "sh", "-c", script, other.to_str().unwrap()];
        counted.behind(&wrapper, "write", &cache.with_file_name("other"));
        assert_eq!(counted.starts(), 2 * STARTS, "in a chroot");
    }
    assert_eq!(counted.in_another_process("read", &cache), free);
    assert_eq!(counted.starts(), 0);
    let found = counted.behind(&denied, "read", &cache);
    assert!(found.contains("unshare: false"), "{found}");
}

/// The working directory chooses no program, whatever `PATH` says.
#[test]
fn nothing_is_run_from_the_working_directory() {
    let dir = tempfile::tempdir().unwrap();
    let ran = dir.path().join("ran");
    for name in ["unshare", "bwrap", "setpriv", "true", X86_64.qemu_binary(), Aarch64.qemu_binary()] {
        install(&dir.path().join(name), &format!("#!/bin/sh\necho $0 >>{}\n", ran.display()));
    }
    let path = std::env::var("PATH").unwrap();
    for path in [format!(".:{path}"), format!(":{path}"), format!("{path}:.")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prober"));
        command.args(["none", "x", host_arch().qemu_binary()]).current_dir(dir.path()).env("PATH", &path);
        assert!(command.output().unwrap().status.success());
        assert!(!ran.exists(), "{path}: {:?}", std::fs::read_to_string(&ran));
    }
}

/// What this process has open stays its own, whoever forgot to say so.
#[test]
fn probes_inherit_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (script, list) = (dir.path().join("qemu"), dir.path().join("fds"));
    let real = qemus()[0].binary(host_arch());
    let text = format!("#!/bin/sh\nls -l /proc/$$/fd >>{}\nexec {} \"$@\"\n", list.display(), real.display());
    install(&script, &text);
    let leak = std::fs::File::create(dir.path().join("leak")).unwrap();
    nix::fcntl::fcntl(&leak, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    probe_now(&ProbeOptions::new().force_emulation(true).qemu(&script)).unwrap();
    let list = std::fs::read_to_string(list).unwrap();
    assert!(list.contains("pipe:") && !list.contains("leak"), "{list}");
}

/// A binary that has neither the machine nor the accelerator of a plan says so, before anything is started.
#[test]
fn what_a_binary_lacks_is_known_before_the_start() {
    use qemu_dsl::prelude::*;
    let emulation = |binary: &str| probe_now(&ProbeOptions::new().force_emulation(true).qemu(binary)).unwrap();
    let command = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(128)).build().unwrap();
    if host_arch() == X86_64 {
        assert_eq!(emulation(X86_64.qemu_binary()).check(&command), Ok(()));
        let error = emulation(Aarch64.qemu_binary()).check(&command).unwrap_err().to_string();
        assert!(error.contains("emulates aarch64, and the guest is x86_64"), "{error}");
    }
    // Debian's build for microvm has no TCG.
    let microvm = "/usr/bin/qemu-system-x86_64-microvm";
    if host_arch() != X86_64 || !Path::new(microvm).exists() {
        eprintln!("NOT CHECKED: there is no {microvm}");
        return;
    }
    let probed = emulation(microvm);
    assert!(!probed.verdict("tcg").unwrap().yes);
    let error = probed.accelerator().unwrap_err().to_string();
    assert!(
        error.contains("built without the accelerator `tcg`") && error.contains("emulation was asked for"),
        "{error}"
    );
    let error = probed.check(&command).unwrap_err().to_string();
    assert!(error.contains("has no machine type `pc`: it has microvm"), "{error}");
}
