//! Starting, talking to and ending real QEMU. `faults.rs` has what can go wrong.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture;
use qemu_dsl::backend::PassedSocket;
use qemu_dsl::launch::{End, Launch, LaunchError, Machine};
use qemu_dsl::prelude::*;
use qemu_dsl::qmp::{Qmp, QmpError, RunState};
use qemu_dsl::vm::Target;
use tests::{Qemu, minimal_guest_dir, qemus};

const LIMIT: Duration = Duration::from_secs(30);

fn soon() -> Instant {
    Instant::now() + LIMIT
}

/// A `pc` with everything that typed QMP asks about, stopped before its first instruction.
fn stopped(qemu: &Qemu, dir: &Path) -> (Machine, Qmp) {
    let (disk, socket) = (dir.join("disk.raw"), dir.join("qmp.sock"));
    std::fs::write(&disk, vec![0; 1 << 20]).unwrap();
    let binary = qemu.binary(Architecture::X86_64);
    let target = Target::default().binary(&binary).version(qemu.version);
    let mut vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
    vm.qmp(SocketPath::new(&socket).unwrap()).raw_arg("-S");
    let drive = vm.drive(Drive::new(&disk, Format::Raw).readonly(true));
    vm.add(VirtioBlk::new(drive)).add(VirtioBalloon::new());
    let console = vm.chardev(NullChardev {});
    let command = vm.isa_serial_console(console).build().unwrap();
    let machine = Launch::new(&command).start().unwrap();
    let qmp = machine.qmp(&socket, soon()).unwrap();
    (machine, qmp)
}

#[test]
fn typed_qmp() {
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        let (machine, mut qmp) = stopped(&qemu, dir.path());
        assert_eq!(qmp.version(), qemu.version);
        assert_eq!(qmp.status(LIMIT).unwrap(), RunState::Paused);
        qmp.cont(LIMIT).unwrap();
        assert_eq!(qmp.status(LIMIT).unwrap(), RunState::Running);
        qmp.stop(LIMIT).unwrap();
        let names: Vec<String> = qmp.events(Duration::from_millis(200)).map(|event| event.unwrap().name).collect();
        assert_eq!(names, ["RESUME", "STOP"], "QEMU {}", qemu.version);
        let chardevs = qmp.chardevs(LIMIT).unwrap();
        assert!(
            chardevs.iter().any(|chardev| chardev.label == "chardev0" && chardev.filename == "null"),
            "{chardevs:?}"
        );
        let blocks = qmp.blocks(LIMIT).unwrap();
        assert_eq!((&*blocks[0].device, blocks[0].read_only), ("drive0", true));
        assert_eq!(blocks[0].file.as_deref(), dir.path().join("disk.raw").to_str());
        assert_eq!(qmp.balloon(LIMIT).unwrap(), 64 << 20);
        qmp.set_balloon(32 << 20, LIMIT).unwrap();
        let refused = qmp.execute("nope", None, LIMIT).unwrap_err();
        assert!(matches!(refused, QmpError::Refused { ref class, .. } if class == "CommandNotFound"), "{refused}");
        // What fits by default, and the longest reply that there is, on one line.
        let devices = serde_json::json!({ "implements": "device", "abstract": false });
        let devices = qmp.execute("qom-list-types", Some(devices), LIMIT).unwrap();
        assert!(devices.as_array().unwrap().len() > 200);
        qmp.set_memory_limit(16 << 20);
        let schema = qmp.execute("query-qmp-schema", None, LIMIT).unwrap();
        assert!(schema.to_string().len() > 100_000);
        let ended = machine.end(Some(qmp)).unwrap();
        assert_eq!((ended.how, ended.status.code(), ended.processes_left), (End::Quit, Some(0), 0));
    }
}

#[test]
fn the_power_button_is_pressed_and_a_guest_that_does_not_care_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (mut machine, mut qmp) = stopped(&qemus()[0], dir.path());
    qmp.cont(LIMIT).unwrap();
    machine.power_down(&mut qmp).unwrap();
    assert!(qmp.events(LIMIT).any(|event| event.unwrap().name == "POWERDOWN"));
    assert_eq!(machine.end(Some(qmp)).unwrap().how, End::Quit);
}

/// QEMU has its client, and room for two more; connecting by itself would wait for ever.
#[test]
fn clients_of_a_busy_socket_wait_until_their_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let (machine, qmp) = stopped(&qemus()[0], dir.path());
    let socket = dir.path().join("qmp.sock");
    let mut waiting = Vec::new();
    let error = loop {
        match machine.connect(&socket, Instant::now() + Duration::from_millis(100)) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 100, "QEMU has no room for so many");
    };
    assert!(matches!(error, LaunchError::Timeout { .. }), "{error}");
    assert_eq!(machine.end(Some(qmp)).unwrap().how, End::Quit, "the first client is served all the same");
}

#[test]
fn a_passed_socket_is_there_before_qemu_is() {
    for qemu in qemus() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("qmp.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        let early = UnixStream::connect(&socket).unwrap();
        let binary = qemu.binary(Architecture::X86_64);
        let target = Target::default().binary(&binary).version(qemu.version);
        let mut vm = Vm::for_target(&target, Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
        let chardev = vm.chardev(PassedSocket::new(&listener));
        vm.qmp_on(chardev).raw_arg("-S");
        let command = vm.build().unwrap();
        let machine = Launch::new(&command).pass_fd(&listener).start().unwrap();
        let mut qmp = Qmp::over(early.try_clone().unwrap().into(), early.into(), LIMIT).unwrap();
        assert_eq!(qmp.status(LIMIT).unwrap(), RunState::Paused, "QEMU {}", qemu.version);
        drop(qmp);
        let again = machine.qmp(&socket, soon()).unwrap();
        assert_eq!(machine.end(Some(again)).unwrap().how, End::Quit);
    }
}

/// What a program is born with: its own group, an umask, empty signal masks, and no descriptor that nobody passed on.
#[test]
fn a_program_starts_as_from_a_shell() {
    // Rust closes its files on exec; others forget to.
    let leaky = std::fs::File::open("/etc/passwd").unwrap();
    let leaky = nix::fcntl::fcntl(&leaky, nix::fcntl::FcntlArg::F_DUPFD(100)).unwrap();
    let passed = std::fs::File::open("/etc/passwd").unwrap();
    // The masks are read by the shell itself: while it starts a program, it blocks all signals.
    let script = "umask; ls -l /proc/$$/fd | sed -n 's/.* \\([0-9]*\\) -> \\(.*\\)/fd \\1 \\2/p'; \
                  while read -r line; do case $line in SigBlk:*|SigIgn:*) echo \"$line\" ;; esac; done </proc/$$/status; \
                  cut -d' ' -f1,5,6 /proc/$$/stat; echo \"$CARGO_PKG_NAME $0 $1\"; exit 7";
    let mut command = QemuCommand::new("sh").unwrap();
    for arg in ["-c", script, "name", "a b"] {
        command.arg(arg).unwrap();
    }
    let machine = Launch::new(&command).pass_fd(&passed).start().unwrap();
    machine.wait(soon()).expect("it ends by itself");
    let ended = machine.end(None).unwrap();
    assert_eq!((ended.how, ended.status.code()), (End::Itself, Some(7)), "{}", ended.stderr);
    let said = String::from_utf8(ended.console).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "0007", "{said}");
    let open = |number: i32| lines.iter().find_map(|line| line.strip_prefix(&format!("fd {number} ")));
    assert_eq!(open(0), Some("/dev/null"), "{said}");
    assert!(open(1).unwrap().starts_with("pipe:") && open(2).unwrap().starts_with("pipe:"), "{said}");
    assert_eq!(open(std::os::fd::AsRawFd::as_raw_fd(&passed)), Some("/etc/passwd"), "{said}");
    assert_eq!(open(leaky), None, "{said}");
    let mask = |key: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(key)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0, "{said}");
    assert_eq!(mask("SigIgn:") & 1 << (nix::libc::SIGPIPE - 1), 0, "{said}");
    let ids: Vec<&str> = lines[lines.len() - 2].split(' ').collect();
    assert!(ids[0] == ids[1] && ids[0] == ids[2], "a group and a session of its own: {said}");
    assert_eq!(lines[lines.len() - 1], "tests name a b", "{said}");
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let no_program = dir.path().join("no-program");
    std::fs::write(&no_program, "#!/nonexistent/interpreter\n").unwrap();
    for (program, mode, expected) in [
        ("/nonexistent/program", None, "there is no `/nonexistent/program`: install QEMU"),
        ("no-such-program-anywhere", None, "in PATH: install QEMU"),
        (no_program.to_str().unwrap(), Some(0o644), "may not be executed"),
        (no_program.to_str().unwrap(), Some(0o755), "is a script for `/nonexistent/interpreter`"),
        (dir.path().to_str().unwrap(), None, "is a directory, and no program"),
    ] {
        if let Some(mode) = mode {
            std::fs::set_permissions(&no_program, PermissionsExt::from_mode(mode)).unwrap();
        }
        let error = Launch::new(&QemuCommand::new(program).unwrap()).start().unwrap_err();
        assert!(matches!(error, LaunchError::Start { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{program}: {error}");
    }
}

/// What leaves the environment behind leaves the keys of the session behind too: whoever breaks out would read them.
#[test]
fn keys_of_the_session_stay() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_keys")).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "inherited: true\ncleared: false\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn variables_that_no_environment_can_hold_are_refused() {
    let command = QemuCommand::new("true").unwrap();
    for (key, value) in [("A=B", "x"), ("", "x"), ("A", "x\0y"), ("A\0", "x")] {
        let error = Launch::new(&command).env(key, value).start().unwrap_err();
        assert!(matches!(error, LaunchError::Environment { .. }), "{error}");
    }
}

/// A killer's work is told as such.
#[test]
fn who_was_killed_was_killed() {
    let mut command = QemuCommand::new("sleep").unwrap();
    command.arg("600").unwrap();
    let machine = Launch::new(&command).start().unwrap();
    machine.killer().kill();
    assert_eq!(machine.end(None).unwrap().how, End::Kill);
}

/// A socket that is a link leads where its maker wants, with this process's rights.
#[test]
fn no_link_is_followed_to_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let (service, link) = (dir.path().join("service.sock"), dir.path().join("qmp.sock"));
    let _service = UnixListener::bind(&service).unwrap();
    std::os::unix::fs::symlink(&service, &link).unwrap();
    let mut command = QemuCommand::new("sleep").unwrap();
    command.arg("600").unwrap();
    let machine = Launch::new(&command).start().unwrap();
    let error = machine.connect(&link, soon()).unwrap_err();
    assert!(error.to_string().contains("it is a link, and none is followed"), "{error}");
}

#[test]
fn sockets_are_for_user_and_group_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (machine, qmp) = stopped(&qemus()[0], dir.path());
    let mode = std::fs::metadata(dir.path().join("qmp.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    assert_eq!(mode & 0o060, 0o060, "{mode:o}");
    machine.end(Some(qmp)).unwrap();
}

/// An argument that QEMU does not like is named, long before the deadline.
#[test]
fn a_failure_is_told_at_once() {
    for qemu in qemus() {
        let mut command = QemuCommand::new(qemu.binary(Architecture::X86_64)).unwrap();
        command.arg("-M").unwrap().arg("none").unwrap().arg("-device").unwrap().arg("nope,a=b").unwrap();
        let machine = Launch::new(&command).start().unwrap();
        let asked = Instant::now();
        let error = machine.connect("/nonexistent/socket", asked + Duration::from_mins(10)).unwrap_err();
        let LaunchError::Exited { argument, stderr, status } = error else { panic!("{error}") };
        assert_eq!(argument.as_deref(), Some("-device nope,a=b"));
        assert_eq!(status, "exit status 1");
        assert!(stderr.contains("not a valid device model name"), "{stderr}");
        assert!(asked.elapsed() < LIMIT);
    }
}

/// QEMU behind a wrapper that leads it out of the process group and the session, as `sudo` with a terminal of its own does.
fn out_of_the_group(qemu: &Qemu, token: &str, socket: &Path) -> QemuCommand {
    let mut command = QemuCommand::new("sh").unwrap();
    for arg in ["-c", "setsid \"$@\" & wait", "sh"] {
        command.arg(arg).unwrap();
    }
    command.arg(qemu.binary(Architecture::X86_64)).unwrap();
    let qmp = format!("unix:{},server=on,wait=off", socket.display());
    for arg in ["-M", "none", "-nodefaults", "-display", "none", "-name", token, "-qmp", &qmp] {
        command.arg(arg).unwrap();
    }
    command
}

/// The QEMU with this name, once it runs.
fn pid_of(token: &str) -> Option<i32> {
    let mut pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid: &i32| {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first = cmdline.split(|byte| *byte == 0).next().unwrap_or_default();
        first.ends_with(b"qemu-system-x86_64") && cmdline.windows(token.len()).any(|part| part == token.as_bytes())
    })
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = soon();
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn dropping_the_handle_ends_what_has_left_the_group() {
    let token = format!("qemu-dsl-left-the-group-{}", std::process::id());
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("qmp.sock");
    let machine = Launch::new(&out_of_the_group(&qemus()[0], &token, &socket)).start().unwrap();
    wait_until("QEMU runs", || UnixStream::connect(&socket).is_ok());
    assert!(pid_of(&token).is_some());
    drop(machine);
    assert_eq!(pid_of(&token), None);
}

/// The kernel's tie does not reach through such a wrapper; QEMU's own does.
#[test]
fn qemu_ends_with_its_parent() {
    for qemu in qemus() {
        let Some(proof) = qemu.version.since::<10, 2>() else { continue };
        for tied in [true, false] {
            let token = format!("qemu-dsl-parent-{tied}-{}", std::process::id());
            let dir = tempfile::tempdir().unwrap();
            let socket = dir.path().join("qmp.sock");
            let command = out_of_the_group(&qemu, &token, &socket);
            let launch = Launch::new(&command);
            let machine = if tied { launch.exit_with_parent(proof) } else { launch }.start().unwrap();
            // It listens once it has read its arguments.
            wait_until("QEMU runs", || UnixStream::connect(&socket).is_ok());
            let pid = pid_of(&token).unwrap();
            let parent = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let parent: i32 = parent.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(parent), nix::sys::signal::Signal::SIGKILL).unwrap();
            if tied {
                wait_until("QEMU ends with its parent", || pid_of(&token).is_none());
            } else {
                machine.wait(soon()).expect("the wrapper is gone");
                assert_eq!(pid_of(&token), Some(pid), "without it, QEMU lives on");
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
            }
        }
    }
}

/// A guest's agent over a connection that breaks off and is made again.
#[test]
fn an_agent_is_reached_again() {
    let guest = minimal_guest_dir();
    let dir = tempfile::tempdir().unwrap();
    let [cmd, event] = ["cmd.sock", "event.sock"].map(|name| dir.path().join(name));
    let [kernel, initrd] = ["vmlinuz", "initramfs"].map(|name| guest.join(format!("{name}-x86_64")));
    let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(128));
    vm.no_reboot().kernel(Kernel::new(&kernel).initrd(&initrd).cmdline("panic=-1 reboot=t"));
    let (_, [commands, events]) = vm.virtio_serial();
    for (port, path, name) in [(commands, &cmd, "org.dualeai.cmd"), (events, &event, "org.dualeai.event")] {
        let socket = vm.chardev(Socket::listen(SocketPath::new(path).unwrap()));
        vm.add(VirtSerialPort::new(port, socket).name(name));
    }
    let console = vm.chardev(qemu_dsl::backend::Stdio::new());
    let mut machine = Launch::new(&vm.isa_serial_console(console).build().unwrap()).start().unwrap();
    machine.agent(&event, soon()).unwrap().wait_for("ready", soon()).unwrap();
    for _ in 0..5 {
        let mut agent = machine.agent(&cmd, soon()).unwrap();
        assert!(agent.ask("ping", soon()).unwrap().starts_with("pong "));
    }
    // Bytes of any kind, in frames, and lines again.
    let mut agent = machine.agent(&cmd, soon()).unwrap();
    let all: Vec<u8> = (0..=255).collect();
    let frames: [&[u8]; 5] = [b"two\nlines", b"", &all, b"\0", &vec![b'x'; 20_000]];
    agent.tell(&format!("frames {}", frames.len()), soon()).unwrap();
    for frame in frames {
        agent.send_frame(frame, soon()).unwrap();
        assert_eq!(agent.next_frame(soon()).unwrap(), frame);
    }
    assert!(agent.ask("ping", soon()).unwrap().starts_with("pong "));
    drop(agent);
    let answer = machine.agent(&cmd, soon()).unwrap().ask("poweroff", soon()).unwrap();
    assert_eq!(answer, "bye");
    machine.powering_off();
    let ended = machine.end(None).unwrap();
    assert_eq!((ended.how, ended.processes_left), (End::Itself, 0));
}
