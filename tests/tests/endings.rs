//! How machines end, and why, and what cannot be ended.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::launch::{Cause, End, Launch, LaunchError};
use tests::jail;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// Why a program ended, by what is left of it.
#[test]
fn a_result_says_why() {
    let cause = |script: &str| {
        let mut command = QemuCommand::new("sh").unwrap();
        command.arg("-c").unwrap().arg(script).unwrap();
        let machine = Launch::new(&command).start().unwrap();
        machine.wait(soon()).expect("it ends by itself");
        machine.end(None).unwrap()
    };
    for (script, expected, words) in [
        ("exit 0", Cause::Guest, "guest"),
        ("exit 3", Cause::Failed, "failed"),
        ("kill -KILL $$", Cause::Signal(9), "SIGKILL"),
        ("kill -SYS $$", Cause::Seccomp, "seccomp"),
        ("kill -XFSZ $$", Cause::Limit, "limit"),
        ("unshare --pid --fork --kill-child -- sh -c 'kill -KILL $PPID'; exit 137", Cause::Signal(9), "SIGKILL"),
        ("echo 'Kernel panic - not syncing: VFS'", Cause::Panic, "panicked"),
    ] {
        let ended = cause(script);
        assert_eq!((ended.how, ended.cause), (End::Itself, expected), "{script}: {}", ended.stderr);
        assert!(ended.cause.to_string().contains(words), "{}", ended.cause);
    }
}

/// A process below `parent` that runs `name`.
fn below(parent: u32, name: &str) -> Option<i32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).find_map(|pid: u32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        if comm.trim() == name { pid.try_into().ok() } else { below(pid, name) }
    })
}

/// SIGKILL behind what stands before QEMU: `unshare` reports something else, bubblewrap an exit status.
#[test]
fn a_kill_behind_a_wrapper_is_told() {
    let parent = tempfile::tempdir().unwrap();
    let place = jail::place(parent.path());
    let mut wrappers = vec![jail::words(&place, "sleep".as_ref())];
    // Only root makes process namespaces without users.
    if nix::unistd::geteuid().is_root() {
        wrappers.push(["unshare", "--pid", "--fork", "--kill-child", "--"].map(Into::into).into());
    }
    for wrapper in wrappers {
        let mut command = QemuCommand::new(&wrapper[0]).unwrap();
        for word in wrapper[1..].iter().cloned().chain(["sleep".into(), "600".into()]) {
            command.arg(word).unwrap();
        }
        let machine = Launch::new(&command).start().unwrap();
        let sleeps = loop {
            if let Some(pid) = below(machine.pid(), "sleep") {
                break pid;
            }
            std::thread::yield_now(); // there is no event for it
        };
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(sleeps), nix::sys::signal::Signal::SIGKILL).unwrap();
        machine.wait(soon()).expect("it ends");
        let ended = machine.end(None).unwrap();
        assert_eq!(ended.cause, Cause::Signal(9), "{}: {:?} {}", wrapper[0].display(), ended.status, ended.stderr);
    }
}

/// A program that SIGKILL does not end: who traces it does not let go.
#[test]
fn a_program_that_is_held_is_an_error_in_time() {
    let mut command = QemuCommand::new("sleep").unwrap();
    command.arg("600").unwrap();
    let machine = Launch::new(&command).start().unwrap();
    let pid = machine.pid();
    let mut tracer = Command::new(env!("CARGO_BIN_EXE_tracer"));
    let mut tracer = tracer.arg(pid.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(tracer.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "ready\n");
    let asked = Instant::now();
    let error = machine.end(None).unwrap_err();
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    let expected = format!("process {} traces it", tracer.id());
    assert!(matches!(&error, LaunchError::Alive { why, .. } if why.contains(&expected)), "{error}");
    drop(tracer.stdin.take());
    tracer.wait().unwrap();
}

/// A program that this user may not signal, as one that `sudo` has started.
#[test]
fn a_program_of_another_user_is_an_error_in_time() {
    if !nix::unistd::geteuid().is_root() {
        return; // only root can make such a program
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let become_root = dir.path().join("become-root");
    let launcher = dir.path().join("launcher");
    std::fs::copy("/usr/bin/setpriv", &become_root).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_launcher"), &launcher).unwrap();
    std::fs::set_permissions(&become_root, PermissionsExt::from_mode(0o4755)).unwrap();
    let asked = Instant::now();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&launcher);
    // It sleeps for longer than its end takes, and not for ever.
    command.args(["end", "-"]).arg(&become_root).args(["--reuid=0", "--regid=0", "--clear-groups", "sleep", "20"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("there still after SIGKILL: it runs as user 0"), "{said}");
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}
