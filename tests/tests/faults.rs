//! More than a thousand launches with faults drawn at random: after each, nothing is left, and the error is the right one, in
//! time. `docs/reliability.md` lists the faults.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, mknod};
use nix::unistd::Pid;
use qemu_dsl::QemuCommand;
use qemu_dsl::accel::Architecture;
use qemu_dsl::launch::{AgentError, End, Launch, LaunchError, Machine, WorkDir};
use qemu_dsl::prelude::*;
use qemu_dsl::qmp::QmpError;
use qemu_dsl::sandbox::Place;
use tests::faults::{By, FAULTS, Fault, GUEST_FAULTS, markdown};
use tests::{jail, minimal_guest_dir, qemus};

const STAND_IN: &str = env!("CARGO_BIN_EXE_stand_in");
const LAUNCHER: &str = env!("CARGO_BIN_EXE_launcher");
/// Launches without guests.
const LAUNCHES: u64 = 1000;
/// Launches with guests.
const GUESTS: usize = 50;
/// How long QEMU may take to listen where it hangs, in a test.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long it may take where it works: machines are busy.
const GENEROUS: Duration = Duration::from_secs(30);

fn seed() -> u64 {
    let given = std::env::var("QEMU_DSL_SEED").ok().map(|text| text.parse().expect("QEMU_DSL_SEED is a number"));
    given.unwrap_or_else(|| fastrand::u64(..))
}

/// The processes with this token on their command line.
fn processes(token: &str) -> Vec<i32> {
    let pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let cmdline = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        cmdline.windows(token.len()).any(|part| part == token.as_bytes())
    };
    pids.filter(|pid| *pid != i32::try_from(std::process::id()).unwrap()).filter(has).collect()
}

/// Waits until no process has the token: those that the kernel kills are gone a moment later.
fn all_gone(token: &str, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while !processes(token).is_empty() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// One launch, and where its files are.
struct Try<'a> {
    fault: &'a Fault,
    token: String,
    parent: PathBuf,
}

impl Try<'_> {
    /// Launches, and says what came of it.
    fn run(&self) -> String {
        let place = self.fault.by.is_jailed().then(|| jail::place(&self.parent));
        let dir = place.is_none().then(|| WorkDir::create(&self.parent, "faults").unwrap());
        let path = place.as_ref().map(Place::path).or(dir.as_ref().map(WorkDir::path)).unwrap();
        let socket = path.join("qmp.sock");
        let before = |program: &str| place.as_ref().map_or(Vec::new(), |place| jail::words(place, program.as_ref()));
        match self.fault.by {
            By::Launcher | By::JailedLauncher => return self.launcher(&socket, before(STAND_IN)),
            By::Guest | By::JailedGuest => return self.guest(path, before("qemu-system-x86_64")),
            By::StandIn | By::Wrapped | By::Jailed | By::Qemu => {}
        }
        let command = self.command(&socket, before(STAND_IN));
        let _stranger = (self.fault.name == "stranger").then(|| Stranger::listen(&socket));
        if self.fault.name == "stale-socket" {
            // Not by a listener of this process: what other threads launch has a copy of it until it executes its program.
            mknod(&socket, SFlag::S_IFSOCK, Mode::S_IRUSR | Mode::S_IWUSR, 0).unwrap();
        }
        let mut launch = Launch::new(&command);
        if self.fault.name == "console-log-full" {
            launch = launch.console_log("/dev/full");
        }
        let machine = if self.fault.name == "thread-ends" {
            std::thread::scope(|scope| scope.spawn(|| launch.start()).join().unwrap())
        } else {
            launch.start()
        };
        match machine {
            Ok(machine) => self.talk(machine, &socket),
            Err(error) => Self::word(&error),
        }
    }

    fn command(&self, socket: &Path, jail: Vec<OsString>) -> QemuCommand {
        let socket = socket.to_str().unwrap();
        let words: Vec<String> = match self.fault.by {
            By::Qemu => {
                let qmp = format!("unix:{socket},server=on,wait=off");
                let mut words =
                    vec!["qemu-system-x86_64", "-M", "none", "-nodefaults", "-display", "none", "-qmp", &qmp];
                words.extend(["-name", &self.token]);
                if self.fault.name == "bad-option" {
                    words.extend(["-device", "nope"]);
                }
                words.into_iter().map(ToOwned::to_owned).collect()
            }
            by => {
                let program = if self.fault.name == "no-program" { "/nonexistent/qemu" } else { STAND_IN };
                let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--"];
                let wrapper = if by == By::Wrapped { &unshare[..] } else { &[] };
                let own = [program, self.fault.name, socket, &self.token];
                wrapper.iter().copied().chain(own).map(ToOwned::to_owned).collect()
            }
        };
        command(jail.into_iter().chain(words.into_iter().map(OsString::from)))
    }

    /// How long the fault has to be waited for.
    fn patience(&self) -> Duration {
        let hangs = ["hang-before-sockets", "hang-after-sockets", "silent", "no-reply", "stopped"];
        let floods = ["flood-greeting", "flood-blank-lines", "flood-late-ids"];
        if hangs.contains(&self.fault.name) || floods.contains(&self.fault.name) { PATIENCE } else { GENEROUS }
    }

    fn talk(&self, machine: Machine, socket: &Path) -> String {
        let started = Instant::now();
        let mut qmp = match machine.qmp(socket, started + self.patience()) {
            Ok(qmp) => qmp,
            Err(error) => {
                self.in_time(started);
                return Self::word(&error);
            }
        };
        let signal = |signal| kill(Pid::from_raw(machine.pid().try_into().unwrap()), signal).unwrap();
        match self.fault.name {
            "dropped" => {
                drop(machine);
                return "killed".to_owned();
            }
            "killed" if self.fault.by == By::Qemu => signal(Signal::SIGKILL),
            // What is killed behind a wrapper may still answer, or not.
            "killed" | "killed-inside" => {
                let outermost = i32::try_from(machine.pid()).unwrap();
                let pid = if self.fault.name == "killed" { outermost } else { self.stand_in() };
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
                let status = machine.wait(Instant::now() + GENEROUS).expect("bwrap ends");
                return Self::word(&machine.exited(status));
            }
            "stopped" => signal(Signal::SIGSTOP),
            _ => {}
        }
        let asked = Instant::now();
        if let Err(error) = qmp.status(self.patience()) {
            self.in_time(asked);
            return Self::word(&LaunchError::Qmp(error));
        }
        let ended = machine.end(Some(qmp)).unwrap();
        assert_eq!(ended.processes_left, 0, "{}", self.fault.name);
        self::ended(ended.how)
    }

    /// The stand-in itself, behind what stands before it.
    fn stand_in(&self) -> i32 {
        let is_own =
            |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(STAND_IN));
        processes(&self.token).into_iter().find(is_own).expect("it runs")
    }

    fn in_time(&self, since: Instant) {
        assert!(
            since.elapsed() < self.patience() + Duration::from_secs(1),
            "{} takes {:?}",
            self.fault.name,
            since.elapsed()
        );
    }

    /// The outcome, in the words of the table; what the error lacks is said too.
    fn word(error: &LaunchError) -> String {
        match error {
            LaunchError::Exited { argument: Some(argument), stderr, .. } => {
                assert!(argument.starts_with("-device nope") && stderr.contains("nope"), "{error}");
                "Exited, with status, message and argument".to_owned()
            }
            LaunchError::Exited { status, .. } if status.starts_with("SIG") => "Exited, with the signal".to_owned(),
            LaunchError::Exited { stderr, .. } if stderr.contains("/nonexistent/qemu: No such file") => {
                "Exited, with status and message".to_owned()
            }
            LaunchError::Timeout { .. } => "Timeout at the deadline".to_owned(),
            LaunchError::Start { .. } if error.to_string().contains("install QEMU") => {
                "Start, with a remedy".to_owned()
            }
            LaunchError::Stranger { pid, .. } if *pid > 1 => "Stranger, with its process id".to_owned(),
            LaunchError::Qmp(QmpError::Timeout { .. }) => "QMP timeout at the deadline".to_owned(),
            LaunchError::Qmp(QmpError::Closed) => "QMP closed".to_owned(),
            LaunchError::Qmp(QmpError::Malformed { text }) if text.contains("garbage") => "QMP malformed".to_owned(),
            LaunchError::Qmp(QmpError::TooLong { .. }) => "QMP too long".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// Another process launches, and comes to grief.
    fn launcher(&self, socket: &Path, jail: Vec<OsString>) -> String {
        let mut command = Command::new(LAUNCHER);
        command.arg(self.fault.name).arg(socket).args(jail);
        command.args([STAND_IN, "none"]).arg(socket).arg(&self.token);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        lines.read_line(&mut said).unwrap();
        let signal = match self.fault.name {
            "kill" | "thread" => Some(Signal::SIGKILL),
            "term" => Some(Signal::SIGTERM),
            _ => None,
        };
        if said == "ready\n" {
            // The launcher's own command line has the token too.
            assert!(processes(&self.token).len() >= 2 || signal.is_none(), "the stand-in runs");
            if let Some(signal) = signal {
                kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
            }
            child.wait().unwrap();
            return if all_gone(&self.token, Duration::from_secs(5)) { "QEMU ends" } else { "QEMU lives on" }
                .to_owned();
        }
        lines.read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        if said.contains("limit of open files is 16") && said.contains("ulimit -n 64") {
            "Limit, with a remedy".to_owned()
        } else if said.contains("cannot be started") && said.contains("Too many open files") {
            "Start, with the reason".to_owned()
        } else {
            said
        }
    }

    /// A guest boots, and something happens meanwhile.
    fn guest(&self, dir: &Path, jail: Vec<OsString>) -> String {
        let guest = minimal_guest_dir();
        let arch = Architecture::X86_64;
        let [kernel, initrd] = ["vmlinuz", "initramfs"].map(|name| guest.join(format!("{name}-{arch}")));
        let [cmd, event, qmp] = ["cmd.sock", "event.sock", "qmp.sock"].map(|name| dir.join(name));
        let mut vm = Vm::new(Microvm::new(), Tcg::new(), Haswell::new(), mib!(128));
        vm.name(&self.token).no_reboot().qmp(SocketPath::new(&qmp).unwrap());
        vm.kernel(Kernel::new(&kernel).initrd(&initrd).cmdline("panic=-1 reboot=t"));
        let (port, [commands, events]) = vm.virtio_serial();
        for (port, path, name) in [(commands, &cmd, "org.dualeai.cmd"), (events, &event, "org.dualeai.event")] {
            let socket = vm.chardev(Socket::listen(SocketPath::new(path).unwrap()));
            vm.add(VirtSerialPort::new(port, socket).name(name));
        }
        let stdio = vm.chardev(qemu_dsl::backend::Stdio::new());
        let own = vm.virtconsole(port, stdio).build().unwrap();
        let command = command(jail.into_iter().chain(own.args().map(Into::into)));
        let mut machine = Launch::new(&command).start().unwrap();
        let deadline = Instant::now() + GENEROUS * 4;
        let mut session = machine.qmp(&qmp, deadline).unwrap();
        let mut events = machine.agent(&event, deadline).unwrap();
        // Sometime in the boot.
        let moment = Duration::from_millis(fastrand::u64(0..600));
        match self.fault.name {
            "power-off" => {
                events.wait_for("ready", deadline).unwrap();
                let mut agent = machine.agent(&cmd, deadline).unwrap();
                assert!(agent.ask("ping", deadline).unwrap().starts_with("pong "));
                agent.tell("poweroff", deadline).unwrap();
                machine.powering_off();
                ended(machine.end(Some(session)).unwrap().how)
            }
            "impatient" => {
                let soon = Instant::now() + Duration::from_millis(20);
                let error = events.wait_for("never", soon).unwrap_err();
                assert!(soon.elapsed() < Duration::from_secs(1));
                if matches!(error, AgentError::Timeout) {
                    "agent timeout at the deadline".to_owned()
                } else {
                    error.to_string()
                }
            }
            "killed" => {
                let _ = machine.wait(Instant::now() + moment);
                machine.killer().kill();
                let status = machine.wait(Instant::now() + GENEROUS).expect("QEMU is gone");
                drop(session.status(GENEROUS).unwrap_err());
                Self::word(&machine.exited(status))
            }
            "quit" => {
                let _ = machine.wait(Instant::now() + moment);
                ended(machine.end(Some(session)).unwrap().how)
            }
            _ => {
                let _ = machine.wait(Instant::now() + moment);
                drop(machine);
                "killed".to_owned()
            }
        }
    }
}

fn command(mut words: impl Iterator<Item = OsString>) -> QemuCommand {
    let mut command = QemuCommand::new(words.next().expect("a program")).unwrap();
    for word in words {
        command.arg(word).unwrap();
    }
    command
}

fn ended(how: End) -> String {
    match how {
        End::Itself => "ended by itself".to_owned(),
        how => format!("ended by {how}"),
    }
}

/// A process that listens where QEMU should.
struct Stranger(std::process::Child);

impl Stranger {
    fn listen(socket: &Path) -> Self {
        let child = Command::new(STAND_IN).arg("none").arg(socket).arg("the-stranger").spawn().unwrap();
        let deadline = Instant::now() + GENEROUS;
        while !socket.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Self(child)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs one launch in a directory of its own, and looks what is left.
fn check(fault: &Fault, seed: u64, number: u64) {
    let token = format!("qemu-dsl-faults-{seed}-{number}-x");
    let parent = tempfile::tempdir().unwrap();
    let outcome = Try { fault, token: token.clone(), parent: parent.path().to_owned() }.run();
    let at = format!("launch {number} of seed {seed}: {} ({:?})", fault.name, fault.by);
    assert_eq!(outcome, fault.outcome, "{at}");
    assert!(all_gone(&token, Duration::from_secs(2)), "{at}: processes {:?} are left", processes(&token));
    let left: Vec<_> = std::fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{at}: {left:?} are left");
}

fn draw(random: &mut fastrand::Rng) -> &'static Fault {
    let all: u32 = FAULTS.iter().map(|fault| fault.weight).sum();
    let mut at = random.u32(..all);
    for fault in FAULTS {
        if at < fault.weight {
            return fault;
        }
        at -= fault.weight;
    }
    unreachable!("the weights add up")
}

/// Does something with each number below `count`, in a few threads.
fn side_by_side(count: u64, each: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    each(number);
                }
            });
        }
    });
}

#[test]
fn a_thousand_launches_leave_nothing() {
    let seed = seed();
    println!("seed {seed}");
    side_by_side(LAUNCHES, |number| {
        // Each of the table's faults once, then as they are drawn.
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(number));
        let fault = usize::try_from(number).ok().and_then(|number| FAULTS.get(number));
        check(fault.unwrap_or_else(|| draw(&mut random)), seed, number);
    });
}

/// The jail of an ordinary user, which is another one than root's.
#[test]
fn jails_of_an_ordinary_user_leave_nothing() {
    if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(std::env::current_exe().unwrap()).args(["--exact", "jails_of_an_ordinary_user_leave_nothing"]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let seed = seed();
    let jailed: Vec<_> = FAULTS.iter().chain(GUEST_FAULTS).filter(|fault| fault.by.is_jailed()).collect();
    side_by_side(jailed.len() as u64, |number| {
        check(jailed[usize::try_from(number).unwrap()], seed, 2_000_000 + number);
    });
}

#[test]
fn guests_leave_nothing() {
    assert!(!qemus().is_empty());
    let seed = seed();
    println!("seed {seed}");
    for (number, fault) in GUEST_FAULTS.iter().cycle().take(GUESTS).enumerate() {
        check(fault, seed, 1_000_000 + number as u64);
    }
}

#[test]
fn the_page_is_up_to_date() {
    let page = std::fs::read_to_string(tests::root().join("docs/reliability.md")).unwrap_or_default();
    assert!(page == markdown(), "docs/reliability.md is old: run `cargo run -p tests --bin reliability`");
}
