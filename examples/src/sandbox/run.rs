//! Boots the sandbox, talks to its agent, ends it.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use qemu_dsl::isolation::Isolation;
use qemu_dsl::launch::{AgentError, Cause, Ended, LaunchError, Machine};
use qemu_dsl::network::NetworkError;
use qemu_dsl::sandbox::{Place, Plan, SandboxConfig, SandboxNetwork, SandboxNetworkError, limits, plan};
use qemu_dsl::text::visible_line;

use crate::cli::Cli;
use crate::console;
use crate::input::{self, Facts, InputError};
use crate::interrupts::Interrupts;
use crate::prepare;
use crate::summary::{self, Answer, Limited};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the guest did not {what} within {seconds} s; the console shows how far it came")]
    Timeout { what: &'static str, seconds: u64 },
    #[error("the guest failed: {0}")]
    Guest(String),
    #[error("ended by {0}")]
    Interrupted(Signal),
    #[error("the guest answered, and its power-off is not what ended QEMU: {0}")]
    Ended(Cause),
    #[error("{0} processes of the VM are left")]
    Left(usize),
}

impl From<SandboxNetworkError> for RunError {
    fn from(error: SandboxNetworkError) -> Self {
        match error {
            SandboxNetworkError::Network(error) => Self::Network(error),
            SandboxNetworkError::Place(error) => Self::Input(error.into()),
            other => Self::Input(InputError::Qemu(other.to_string())),
        }
    }
}

impl RunError {
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Input(_) | Self::Network(NetworkError::Start { .. } | NetworkError::Port { .. }) => 2,
            Self::Launch(LaunchError::Timeout { .. }) | Self::Timeout { .. } => 4,
            Self::Launch(_) | Self::Network(_) | Self::Ended(_) | Self::Left(_) => 3,
            Self::Guest(_) => 1,
            Self::Interrupted(signal) => u8::try_from(128 + *signal as i32).unwrap_or(1),
        }
    }
}

pub(crate) fn run(cli: &Cli, facts: &Facts, interrupts: &Interrupts) -> Result<(), RunError> {
    let result = prepared(cli, facts, interrupts);
    interrupts.or(result)
}

fn prepared(cli: &Cli, facts: &Facts, interrupts: &Interrupts) -> Result<(), RunError> {
    if let Some(probed) = &facts.probed {
        if let Err(error) = &probed.qemu {
            return Err(InputError::Qemu(error.to_string()).into());
        }
        probed.accelerator().map_err(InputError::from)?;
        if let Some(verdict) = probed.verdicts.first() {
            crate::tell(&verdict.to_string());
        }
    }
    // It goes last, with all that is in it.
    let place = prepare::place(cli, facts)?;
    let config = input::config(cli, place.path(), facts, Some(&place))?;
    let plan = plan(&config, &facts.facts).map_err(InputError::from)?;
    if let Some(probed) = &facts.probed {
        probed.check(plan.command()).map_err(InputError::from)?;
    }
    for remark in plan.remarks() {
        crate::tell(&format!("note: {remark}"));
    }
    // What was not asked for has a reason.
    if let Some(probed) =
        facts.probed.as_ref().filter(|_| cli.isolation.is_none() && plan.isolation() < Isolation::Jail)
        && let Some(verdict) = probed.verdict("bwrap").filter(|verdict| !verdict.yes)
    {
        crate::tell(&format!("note: {verdict}"));
    }
    interrupts.check()?;
    let disk = prepare::files(cli, &config, &place, facts, interrupts)?;
    let result = boot(cli, facts, &config, &plan, &place, disk, interrupts);
    if cli.dir.is_some() {
        remove_sockets(&place);
    }
    let (answer, ended, limited) = interrupts.or(result)?;
    summary::tell(&plan, facts, &answer, &ended, &limited);
    match ended.cause {
        _ if ended.processes_left > 0 => Err(RunError::Left(ended.processes_left)),
        Cause::Failed | Cause::Signal(_) | Cause::Seccomp | Cause::OutOfMemory | Cause::Limit => {
            Err(RunError::Ended(ended.cause))
        }
        _ => Ok(()),
    }
}

fn boot(
    cli: &Cli,
    facts: &Facts,
    config: &SandboxConfig,
    plan: &Plan,
    place: &Place,
    disk: u64,
    interrupts: &Interrupts,
) -> Result<(Answer, Ended, Limited), RunError> {
    let deadline = Instant::now() + Duration::from_secs(cli.timeout);
    let paths = config.paths();
    let log = place
        .dir()
        .create_file("console.log")
        .map_err(|source| LaunchError::ConsoleLog { path: paths.console_log.display().to_string(), source })?;
    // First: with gvproxy in it, this program's own group could have none below it.
    let group = prepare::cgroup(cli, place)?;
    // It ends when this function does, after QEMU.
    let network = SandboxNetwork::start(&cli.gvproxy, config, &facts.facts, plan, place)?;
    let mut launch = plan.launcher().limits(limits(Some(disk))).console_file(log).tap(console::show());
    if let Ok(group) = &group {
        launch = launch.cgroup(group).map_err(InputError::from)?;
    }
    // From here on the directory may be anybody's who has broken out.
    place.hand_over().map_err(InputError::from)?;
    interrupts.check()?;
    let mut machine = launch.start()?;
    interrupts.end_with(machine.killer());
    let (talked, qmp) = match machine.qmp(&paths.qmp, deadline) {
        Ok(qmp) => (talk(&machine, config, deadline).map_err(|error| explain(error, &machine, cli.timeout)), Some(qmp)),
        Err(error) => (Err(error.into()), None),
    };
    if talked.is_ok() {
        machine.powering_off();
    }
    let ended = machine.end(qmp);
    let limited = Limited {
        group: group.map(|group| group.report()),
        network: network.as_ref().map(|network| network.network().counts()),
    };
    let network = network.as_ref().and_then(|network| network.network().wait(Instant::now()));
    match (talked, ended) {
        (Ok(answer), ended) => Ok((answer, ended?, limited)),
        (Err(RunError::Guest(what)), Ok(ended)) if ended.cause != Cause::Host => {
            Err(RunError::Guest(format!("{what}: {}", ended.cause)))
        }
        // A guest that waits for its network says nothing of why.
        (Err(error @ RunError::Timeout { .. }), _) => Err(network.map_or(error, RunError::Network)),
        (Err(error), _) => Err(error),
    }
}

/// Waits for the agent, asks it, and tells it to power off.
fn talk(machine: &Machine, config: &SandboxConfig, deadline: Instant) -> Result<Answer, TalkError> {
    let mut events = machine.agent(&config.paths().event, deadline)?;
    let mut commands = machine.agent(&config.paths().cmd, deadline)?;
    let at = |step| move |error| TalkError::Agent { step, error };
    events.wait_for("ready", deadline).map_err(at("say `ready`"))?;
    let text = commands.ask("ping", deadline).map_err(at("answer `ping`"))?;
    let after = machine.started().elapsed();
    let uptime = uptime(&text).ok_or(TalkError::Answer(text))?;
    commands.ask("poweroff", deadline).map_err(at("answer `poweroff`"))?;
    Ok(Answer { uptime, after })
}

/// The seconds in `pong SECONDS`.
fn uptime(answer: &str) -> Option<f64> {
    answer.strip_prefix("pong ")?.parse().ok().filter(|uptime: &f64| uptime.is_finite())
}

#[derive(Debug, thiserror::Error)]
enum TalkError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("it did not {step}: {error}")]
    Agent { step: &'static str, error: AgentError },
    #[error("the agent answered `{}`, and `pong` with the uptime was expected", beginning(.0))]
    Answer(String),
}

/// How much of an answer is shown that is none, in bytes.
const SHOWN: usize = 200;

/// As much of a guest's answer as a line has room for.
fn beginning(text: &str) -> String {
    let part = &text[..text.floor_char_boundary(SHOWN)];
    let more = if part.len() < text.len() { format!("... ({} bytes)", text.len()) } else { String::new() };
    format!("{}{more}", visible_line(part.as_bytes()))
}

/// A broken channel is a symptom: the cause is what became of QEMU.
fn explain(error: TalkError, machine: &Machine, seconds: u64) -> RunError {
    match error {
        TalkError::Launch(error) => error.into(),
        TalkError::Agent { step, error: AgentError::Timeout } => RunError::Timeout { what: step, seconds },
        TalkError::Agent { step, error: AgentError::Closed | AgentError::Io(_) } => {
            match machine.wait(Instant::now() + Duration::from_secs(1)) {
                Some(status) if status.success() => {
                    RunError::Guest(format!("it ended, and did not {step} before; the console shows more"))
                }
                Some(status) => machine.exited(status).into(),
                None => RunError::Guest(format!("its agent closed the channel, and did not {step} before")),
            }
        }
        error => RunError::Guest(error.to_string()),
    }
}

/// QEMU leaves its sockets behind when it is killed.
fn remove_sockets(place: &Place) {
    for socket in ["cmd.sock", "event.sock", "qmp.sock"] {
        let _ = place.dir().remove(socket);
    }
}
