//! Boots the sandbox, talks to its agent, ends it.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use qemu_dsl::launch::{AgentError, Ended, Killer, LaunchError, Machine, WorkDir};
use qemu_dsl::network::{Network, NetworkError, NetworkOptions};
use qemu_dsl::sandbox::{NetworkMode, Plan, SandboxConfig, VmId, plan};

use crate::cli::Cli;
use crate::console;
use crate::input::{self, Facts, InputError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the guest did not answer within {0} s; the console shows how far it came")]
    Timeout(u64),
    #[error("the guest failed: {0}")]
    Guest(String),
    #[error("ended by {0}")]
    Interrupted(Signal),
    #[error("{0} processes of the VM are left")]
    Left(usize),
}

impl RunError {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Input(_) | Self::Network(NetworkError::Start { .. } | NetworkError::Port { .. }) => 2,
            Self::Launch(LaunchError::Timeout { .. }) | Self::Timeout(_) => 4,
            Self::Launch(_) | Self::Network(_) | Self::Left(_) => 3,
            Self::Guest(_) => 1,
            Self::Interrupted(signal) => u8::try_from(128 + *signal as i32).unwrap_or(1),
        }
    }
}

/// What the guest said, and when.
struct Answer {
    text: String,
    after: Duration,
}

pub(crate) fn run(cli: &Cli, facts: &Facts) -> Result<(), RunError> {
    let interrupts = Interrupts::catch();
    if let Some(probed) = &facts.probed {
        if let Err(error) = &probed.qemu {
            return Err(InputError::Qemu(error.to_string()).into());
        }
        if let Some(verdict) = probed.verdicts.first() {
            eprintln!("sandbox: {verdict}");
        }
    }
    let group = cli.user.as_deref().map(group_of).transpose()?;
    let (dir, _removed_at_the_end) = work_dir(cli, group)?;
    let config = input::config(cli, dir, facts.facts.arch)?;
    check_files(cli, &config, facts)?;
    let plan = plan(&config, &facts.facts).map_err(InputError::from)?;
    if let Some(remark) = plan.remark() {
        eprintln!("sandbox: note: {remark}");
    }
    let result = boot(cli, &config, &plan, &interrupts);
    if cli.dir.is_some() {
        remove_sockets(&config);
    }
    let (answer, ended) = interrupts.or(result)?;
    summary(&plan, facts, &answer, &ended);
    if ended.processes_left > 0 { Err(RunError::Left(ended.processes_left)) } else { Ok(()) }
}

fn boot(cli: &Cli, config: &SandboxConfig, plan: &Plan, interrupts: &Interrupts) -> Result<(Answer, Ended), RunError> {
    let deadline = Instant::now() + Duration::from_secs(cli.timeout);
    let paths = config.paths();
    // It ends when this function does, after QEMU.
    let _network = network(cli, config)?;
    let mut machine = plan.launcher().console_log(&paths.console_log).tap(console::show).start()?;
    interrupts.end_with(machine.killer());
    let talked = talk(&machine, config, deadline).map_err(|error| explain(error, &machine, cli.timeout));
    let qmp = machine.qmp(&paths.qmp, Instant::now() + Duration::from_secs(1));
    if talked.is_ok() {
        machine.powering_off();
    }
    let ended = machine.end(qmp.ok());
    let answer = talked?;
    Ok((answer, ended?))
}

/// The network, with gvproxy's own sockets in a directory that QEMU has nothing to do with.
fn network(cli: &Cli, config: &SandboxConfig) -> Result<Option<(Network, WorkDir)>, RunError> {
    let mode = config.network();
    if mode == NetworkMode::None {
        return Ok(None);
    }
    let dir = WorkDir::create(&input::work_parent(), "gvproxy").map_err(InputError::from)?;
    let options = NetworkOptions::new(mode, dir.path(), &config.paths().gvproxy).gvproxy(&cli.gvproxy);
    Ok(Some((Network::start(options.expose(config.exposed().iter().copied()))?, dir)))
}

/// Waits for the agent, asks it, and tells it to power off.
fn talk(machine: &Machine, config: &SandboxConfig, deadline: Instant) -> Result<Answer, TalkError> {
    let mut events = machine.agent(&config.paths().event, deadline)?;
    let mut commands = machine.agent(&config.paths().cmd, deadline)?;
    events.wait_for("ready", deadline)?;
    let text = commands.ask("ping", deadline)?;
    let after = machine.started().elapsed();
    if !text.starts_with("pong ") {
        return Err(TalkError::Answer(text));
    }
    commands.ask("poweroff", deadline)?;
    Ok(Answer { text, after })
}

#[derive(Debug, thiserror::Error)]
enum TalkError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the agent answered `{}`, and `pong` with the uptime was expected", .0.escape_debug())]
    Answer(String),
}

/// A broken channel is a symptom: the cause is what became of QEMU.
fn explain(error: TalkError, machine: &Machine, timeout: u64) -> RunError {
    match error {
        TalkError::Launch(error) => error.into(),
        TalkError::Agent(AgentError::Timeout) => RunError::Timeout(timeout),
        TalkError::Agent(AgentError::Closed | AgentError::Io(_)) => {
            match machine.wait(Instant::now() + Duration::from_secs(1)) {
                Some(status) if status.success() => {
                    RunError::Guest("it ended before its agent answered; the console shows why".to_owned())
                }
                Some(status) => machine.exited(status).into(),
                None => RunError::Guest("its agent closed the channel".to_owned()),
            }
        }
        error => RunError::Guest(error.to_string()),
    }
}

/// The group of the user that QEMU runs as: it has to reach the work directory.
fn group_of(user: &str) -> Result<u32, InputError> {
    match nix::unistd::User::from_name(user) {
        Ok(Some(user)) => Ok(user.gid.as_raw()),
        _ => Err(InputError::NoUser { user: user.to_owned() }),
    }
}

/// The work directory: the given one, or a new one that ends with the returned guard.
fn work_dir(cli: &Cli, group: Option<u32>) -> Result<(PathBuf, Option<WorkDir>), InputError> {
    match &cli.dir {
        Some(dir) if dir.is_dir() => Ok((dir.clone(), None)),
        Some(dir) => Err(InputError::NoDir { path: dir.display().to_string() }),
        None => {
            let id: VmId = cli.vm_id.parse()?;
            let dir = match group {
                None => WorkDir::create(&input::work_parent(), id.short())?,
                Some(group) => WorkDir::create_for_group(&input::work_parent(), id.short(), group)?,
            };
            Ok((dir.path().to_owned(), Some(dir)))
        }
    }
}

fn check_files(cli: &Cli, config: &SandboxConfig, facts: &Facts) -> Result<(), InputError> {
    const KERNEL: &str = "scripts/setup guest makes one, --kernel-dir names another directory";
    const OVERLAY: &str = "make it with `qemu-img create -f qcow2`, or leave out --dir";
    let arch = facts.facts.arch;
    readable("guest kernel", config.kernel(arch), KERNEL)?;
    readable("initramfs", config.initramfs(arch), KERNEL)?;
    if cli.dir.is_none() {
        let base = config.paths().kernel_dir.join(format!("rootfs-{arch}.qcow2"));
        readable("root disk", &base, KERNEL)?;
        make_overlay(&base, &config.paths().overlay)?;
        if cli.user.is_some() {
            // The directory has given it its group, which QEMU's user is in.
            let shared = std::fs::Permissions::from_mode(0o660);
            std::fs::set_permissions(&config.paths().overlay, shared)
                .map_err(|error| InputError::Overlay(error.to_string()))?;
        }
    }
    readable("disk overlay", &config.paths().overlay, OVERLAY)
}

fn readable(what: &'static str, path: &Path, remedy: &'static str) -> Result<(), InputError> {
    let opened = File::open(path).and_then(|file| {
        if file.metadata()?.is_file() { Ok(()) } else { Err(std::io::Error::other("it is not a file")) }
    });
    opened.map_err(|source| InputError::File { what, path: path.display().to_string(), source, remedy })
}

fn make_overlay(base: &Path, overlay: &Path) -> Result<(), InputError> {
    let failed = |error: std::io::Error| InputError::Overlay(error.to_string());
    // Absolute: QEMU reads a backing file's relative name from the overlay's directory.
    let base = std::fs::canonicalize(base).map_err(failed)?;
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(base).arg(overlay);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| InputError::Overlay(format!("`qemu-img` cannot be started: {error}; install qemu-utils")))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(InputError::Overlay(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// QEMU leaves its sockets behind when it is killed.
fn remove_sockets(config: &SandboxConfig) {
    let paths = config.paths();
    for socket in [&paths.cmd, &paths.event, &paths.qmp] {
        let _ = std::fs::remove_file(socket);
    }
}

fn summary(plan: &Plan, facts: &Facts, answer: &Answer, ended: &Ended) {
    let accel = plan.accelerator().name();
    let why = facts.probed.as_ref().and_then(|probed| probed.verdicts.first());
    let why = why.map_or_else(|| "from the facts file".to_owned(), ToString::to_string);
    let uptime = answer.text.strip_prefix("pong ").unwrap_or_default();
    eprintln!("\nsandbox: the guest answered");
    eprintln!("  accelerator     {accel} ({why})");
    eprintln!("  machine         {}, console {}", plan.machine().name(), plan.console().linux_name());
    eprintln!("  boot time       {:.2} s from start to answer; guest uptime {uptime} s", answer.after.as_secs_f64());
    eprintln!("  end             {}, {}", ended.how, ended.status);
    eprintln!("  processes left  {}", ended.processes_left);
}

/// SIGINT and SIGTERM: they end the machine, and with it every wait of the program.
struct Interrupts {
    signal: Arc<AtomicI32>,
    machine: Arc<Mutex<Option<Killer>>>,
}

impl Interrupts {
    fn catch() -> Self {
        let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        let interrupts = Self { signal: Arc::default(), machine: Arc::default() };
        // Blocked in this thread and all that it starts; the programs that it starts get them back.
        if signals.thread_block().is_ok() {
            let (signal, machine) = (Arc::clone(&interrupts.signal), Arc::clone(&interrupts.machine));
            std::thread::spawn(move || {
                while let Ok(caught) = signals.wait() {
                    signal.store(caught as i32, Ordering::SeqCst);
                    if let Some(killer) = &*machine.lock().unwrap_or_else(PoisonError::into_inner) {
                        killer.kill();
                    }
                }
            });
        }
        interrupts
    }

    fn end_with(&self, killer: Killer) {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        if self.signal.load(Ordering::SeqCst) != 0 {
            killer.kill();
        }
        *machine = Some(killer);
    }

    /// The signal as the reason, if one came.
    fn or<T>(&self, result: Result<T, RunError>) -> Result<T, RunError> {
        match Signal::try_from(self.signal.load(Ordering::SeqCst)) {
            Ok(signal) => Err(RunError::Interrupted(signal)),
            Err(_) => result,
        }
    }
}
