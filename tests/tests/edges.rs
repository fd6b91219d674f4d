//! Launchers that are short of something, and machines all the same: an error, no panic, and nothing that is left.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::launch::{Launch, WorkDir};
use tests::jail;

const STAND_IN: &str = env!("CARGO_BIN_EXE_stand_in");
const LAUNCHER: &str = env!("CARGO_BIN_EXE_launcher");

/// A user who has nothing that runs: far from the ids of systems, sandboxes and other tests.
const USER: u32 = 0x6fff_1234;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn command(words: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> QemuCommand {
    let mut words = words.into_iter();
    let mut command = QemuCommand::new(words.next().unwrap()).unwrap();
    for word in words {
        command.arg(word).unwrap();
    }
    command
}

/// Whether a program with this on its command line runs.
fn runs(token: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.windows(token.len()).any(|part| part == token.as_bytes()))
}

/// What a launcher says that is started behind other words, and launches a stand-in with a fault. Nothing is left of it.
fn launcher(before: &[&str], how: &str, fault: &str, dir: &Path) -> (String, Output) {
    let token = format!("qemu-dsl-edges-{}-{}-x", std::process::id(), dir.file_name().unwrap().display());
    let socket = dir.join("qmp.sock");
    let mut words = before.to_vec();
    words.extend([LAUNCHER, how, socket.to_str().unwrap(), STAND_IN, fault, socket.to_str().unwrap(), &token]);
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    let deadline = soon();
    while runs(&token) {
        assert!(Instant::now() < deadline, "{how}: the stand-in is left");
        std::thread::yield_now();
    }
    let _ = std::fs::remove_file(socket);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (said, output)
}

/// A thread or a process is needed at each step of a start, and there is room for one less, and one less.
#[test]
fn a_start_without_room_for_a_thread() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root can become a user who has nothing else that counts
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(USER), Some(USER)).unwrap();
    let user = format!("--reuid={USER}");
    let group = format!("--regid={USER}");
    let before = ["prlimit", "--nproc=64", "--", "setpriv", &user, &group, "--clear-groups", "--"];
    let mut refused = 0;
    for room in 0.. {
        let (said, output) = launcher(&before, &format!("threads-{room}"), "none", dir.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("panicked"), "{room}: {said}{stderr}");
        if said == "ready\n" {
            break;
        }
        assert!(said.contains("cannot be started: no thread or process can be made"), "{room}: {said}");
        assert!(said.contains("ulimit -u") && said.contains("pids.max"), "{room}: {said}");
        refused += 1;
    }
    // The thread that starts QEMU, QEMU, and a thread for each of its outputs.
    assert_eq!(refused, 4);
}

/// A /proc of another process namespace: nobody can be told from anybody else.
#[test]
fn a_foreign_proc_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = vec!["unshare"];
    if !nix::unistd::geteuid().is_root() {
        before.extend(["--user", "--map-current-user"]);
    }
    before.extend(["--pid", "--fork", "--"]);
    let (said, output) = launcher(&before, "return", "none", dir.path());
    assert!(output.status.success() && said.contains("processes cannot be seen"), "{said}");
    // With its own, it works.
    before.insert(before.len() - 1, "--mount-proc");
    let (said, output) = launcher(&before, "return", "none", dir.path());
    assert!(output.status.success() && said == "ready\n", "{said}");
}

/// A limit of file sizes ends the log, and neither the launcher nor the machine.
#[test]
fn a_limit_of_file_sizes_costs_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (said, output) = launcher(&["prlimit", "--fsize=4096", "--"], "log", "flood-console", dir.path());
    assert_eq!(output.status.signal(), None, "{said}");
    assert_eq!(said, "ready\nended by QMP quit\n");
    assert_eq!(std::fs::metadata(dir.path().join("console.log")).unwrap().len(), 4096);
}

/// A tap that panics is called no more, and costs neither the log nor the program its output.
#[test]
fn a_tap_that_panics_costs_nothing_else() {
    const BYTES: usize = 1 << 20;
    let dir = WorkDir::create(&std::env::temp_dir(), "edges").unwrap();
    let log = dir.create_file("console.log").unwrap();
    let program = command(["head", "-c", &BYTES.to_string(), "/dev/zero"]);
    let machine = Launch::new(&program).console_file(log).tap(|_| panic!("on purpose")).start().unwrap();
    assert!(machine.wait(soon()).expect("it ends by itself").success());
    machine.end(None).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("console.log")).unwrap().len(), BYTES as u64);
}

/// What this process has open does not get into a jail, nor what the jail is made with.
#[test]
fn a_jail_inherits_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let place = jail::place(parent.path());
    let mut leaky = tempfile::tempfile().unwrap();
    leaky.write_all(b"secret").unwrap();
    let leaky = nix::fcntl::fcntl(&leaky, nix::fcntl::FcntlArg::F_DUPFD(100)).unwrap();
    let mut words = jail::words(&place, "sh".as_ref());
    // A pattern would open the directory itself.
    words.extend(["sh", "-c", "for fd in $(seq 0 199); do [ -e /proc/$$/fd/$fd ] && echo $fd; done"].map(Into::into));
    let machine = Launch::new(&command(&words)).start().unwrap();
    machine.wait(soon()).expect("it ends by itself");
    let ended = machine.end(None).unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.console), "0\n1\n2\n", "{leaky} is open: {}", ended.stderr);
}
