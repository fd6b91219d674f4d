//! A machine that runs, and its end.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::agent::{Agent, AgentError, Channel};
use super::cause::{self, Cause, Traces};
use super::error::{LaunchError, complained_about};
use crate::connect::connect_pinned;
use crate::deadline::left;
use crate::process::{Alive, Output, Target, Watch, peer};
use crate::qmp::{Qmp, QmpError};
use crate::status::ended_with;

/// How long a guest may take to power off.
const POWER_LIMIT: Duration = Duration::from_secs(5);
/// How long QEMU may take to end after `quit`.
const QUIT_LIMIT: Duration = Duration::from_secs(5);
/// How long QEMU may take to end after SIGTERM.
const TERM_LIMIT: Duration = Duration::from_secs(2);
/// How long the end of a program that has closed its sockets may take to show.
const END_PAUSE: Duration = Duration::from_millis(100);
/// How long what a program has written before its end may take to be read. It stands in a pipe already; the machine may be busy.
const OUTPUT_PAUSE: Duration = Duration::from_secs(1);
/// Pauses between attempts to connect to a socket that QEMU has not made yet. QEMU's end interrupts them.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);

/// A running QEMU. Dropping it kills QEMU. [The module](super) has an example.
#[derive(Debug)]
pub struct Machine {
    watch: Watch,
    stdout: Output,
    stderr: Output,
    started: Instant,
    powering_off: Option<End>,
    /// The channels that agents were connected to, by their sockets.
    channels: Mutex<HashMap<PathBuf, Channel>>,
    /// How many processes the kernel had ended for want of memory before the machine was started.
    oom_kills: u64,
}

impl Machine {
    pub(super) fn new(watch: Watch, stdout: Output, stderr: Output, started: Instant, oom_kills: u64) -> Self {
        let channels = Mutex::default();
        Self { watch, stdout, stderr, started, powering_off: None, channels, oom_kills }
    }
}

/// How a machine came to its end.
///
/// ```
/// assert_eq!(qemu_dsl::launch::End::Quit.to_string(), "QMP quit");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself: the guest powered off, or QEMU failed.
    Itself,
    /// The guest powered off after [`Machine::power_down`].
    PowerDown,
    /// After QMP's `quit`.
    Quit,
    /// After SIGTERM.
    Term,
    /// After SIGKILL.
    Kill,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Itself => "by itself",
            Self::PowerDown => "power button",
            Self::Quit => "QMP quit",
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
        })
    }
}

/// The end of a machine. [The module](super) has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ended {
    /// What ended it.
    pub how: End,
    /// Why it ended.
    pub cause: Cause,
    /// Its status.
    pub status: ExitStatus,
    /// The end of what its console showed.
    pub console: Vec<u8>,
    /// The end of its standard error.
    pub stderr: String,
    /// How many reads and writes of the guest's failed because the host's disk was full, as far as QMP told.
    pub nospace_errors: u64,
    /// How many of its processes are left: 0, unless they belong to a user whose processes this one may not kill.
    pub processes_left: usize,
}

/// Kills a machine from another thread, such as one that waits for signals.
///
/// ```
/// use std::time::{Duration, Instant};
/// use qemu_dsl::{QemuCommand, launch::Launch};
/// let mut command = QemuCommand::new("sleep")?;
/// command.arg("60")?;
/// let machine = Launch::new(&command).start()?;
/// let killer = machine.killer();
/// std::thread::spawn(move || killer.kill());
/// assert!(machine.wait(Instant::now() + Duration::from_secs(10)).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Killer(Target);

impl Killer {
    /// Kills the machine, if it still runs, and does not wait.
    pub fn kill(&self) {
        self.0.signal(Signal::SIGKILL);
    }
}

impl Machine {
    /// A way to kill the machine from another thread.
    pub fn killer(&self) -> Killer {
        Killer(self.watch.target())
    }

    /// The process id of the started program: QEMU, or the outermost wrapper.
    ///
    /// ```
    /// use qemu_dsl::{QemuCommand, launch::Launch};
    /// let command = QemuCommand::new("true")?;
    /// assert!(Launch::new(&command).start()?.pid() > 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pid(&self) -> u32 {
        self.watch.pid()
    }

    /// When the program was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Waits for the program's end, until `deadline`; [`None`] when it still runs then.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::{QemuCommand, launch::Launch};
    /// let command = QemuCommand::new("true")?;
    /// let machine = Launch::new(&command).start()?;
    /// let status = machine.wait(Instant::now() + Duration::from_secs(10)).expect("`true` ends");
    /// assert!(status.success());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        self.watch.wait(deadline)
    }

    /// What the program has written to its standard output, the last 64 KiB of it.
    pub fn console(&self) -> Vec<u8> {
        self.stdout.kept()
    }

    /// What the program has written to its standard error, the last 64 KiB of it.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.kept()).into_owned()
    }

    /// Connects to a Unix socket that QEMU listens on, once it does.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Exited`] as soon as QEMU ends, [`LaunchError::Timeout`] at the deadline, [`LaunchError::Stranger`] when
    /// another process listens.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::{QemuCommand, launch::{Launch, LaunchError}};
    /// let command = QemuCommand::new("false")?;
    /// let machine = Launch::new(&command).start()?;
    /// let error = machine.connect("/nonexistent", Instant::now() + Duration::from_secs(10)).unwrap_err();
    /// assert!(matches!(error, LaunchError::Exited { .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(&self, path: impl AsRef<Path>, deadline: Instant) -> Result<UnixStream, LaunchError> {
        let path = path.as_ref();
        loop {
            match connect_pinned(path, left(deadline)) {
                Ok(stream) => return self.checked(stream, path),
                Err(error) if is_not_yet(&error) => {}
                Err(source) => return Err(LaunchError::Socket { path: path.display().to_string(), source }),
            }
            if let Some(status) = self.wait((Instant::now() + CONNECT_PAUSE).min(deadline)) {
                return Err(self.exited(status));
            }
            if Instant::now() >= deadline {
                return Err(LaunchError::Timeout { path: path.display().to_string(), stderr: self.stderr() });
            }
        }
    }

    /// The stream, if it is one of the started program's own processes that listens: a socket in a directory that others can
    /// write to may be anybody's.
    fn checked(&self, stream: UnixStream, path: &Path) -> Result<UnixStream, LaunchError> {
        let failed = |source| LaunchError::Socket { path: path.display().to_string(), source };
        let Some(peer) = peer(&stream).map_err(|error| failed(error.into()))? else { return Ok(stream) };
        if self.watch.is_own(peer.pid) {
            return Ok(stream);
        }
        // What has just ended cannot be told apart any more: then the program's end is the reason.
        if !peer.is_alive()
            && let Some(status) = self.wait(Instant::now() + END_PAUSE)
        {
            return Err(self.exited(status));
        }
        Err(LaunchError::Stranger { path: path.display().to_string(), pid: peer.pid, uid: peer.uid })
    }

    /// Connects to a guest agent's channel. Whenever a channel has broken off, another call opens it again: QEMU takes one
    /// client at a time, and keeps listening. Where an earlier connection has left a question without an answer, the new one
    /// answers none before [`Agent::synchronize`].
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// ```no_run
    /// # use std::time::{Duration, Instant};
    /// # use qemu_dsl::{QemuCommand, launch::Launch};
    /// # let command = QemuCommand::new("qemu-system-x86_64")?;
    /// let machine = Launch::new(&command).start()?;
    /// let deadline = Instant::now() + Duration::from_secs(60);
    /// let mut agent = machine.agent("/run/vm/cmd.sock", deadline)?;
    /// println!("{}", agent.ask("ping", deadline)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn agent(&self, path: impl AsRef<Path>, deadline: Instant) -> Result<Agent, LaunchError> {
        let path = path.as_ref();
        let stream = self.connect(path, deadline)?;
        let failed = |error: AgentError| LaunchError::Socket {
            path: path.display().to_string(),
            source: io::Error::other(error.to_string()),
        };
        let channel = {
            let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
            channels.entry(path.to_owned()).or_default().clone()
        };
        Agent::on_channel(stream, channel).map_err(failed)
    }

    /// Connects to QMP.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and what QMP itself finds.
    pub fn qmp(&self, path: impl AsRef<Path>, deadline: Instant) -> Result<Qmp, LaunchError> {
        let path = path.as_ref();
        Qmp::over_socket(path, deadline, || self.connect(path, deadline)).map_err(|error| match error {
            // A QEMU that fails after it made its sockets closes them: the reason is its end.
            LaunchError::Qmp(_) => match self.wait(Instant::now() + END_PAUSE) {
                Some(status) => self.exited(status),
                None => error,
            },
            other => other,
        })
    }

    /// The error for a QEMU that has ended.
    pub fn exited(&self, status: ExitStatus) -> LaunchError {
        self.stderr.wait_for_end(OUTPUT_PAUSE);
        let stderr = self.stderr();
        LaunchError::Exited { status: ended_with(status), argument: complained_about(&stderr), stderr }
    }

    /// Says that the guest was asked to power off: [`end`](Self::end) then gives it time to do so before `quit`.
    pub fn powering_off(&mut self) {
        self.powering_off = Some(End::Itself);
    }

    /// Presses the power button: a guest that listens for it shuts down, and [`end`](Self::end) gives it time to do so. A
    /// `Microvm` without ACPI has no such button, and `Virt` and `VirtPcie` need a guest that reads their GPIO keys.
    ///
    /// # Errors
    ///
    /// As [`Qmp::execute`].
    ///
    /// ```no_run
    /// # use std::time::{Duration, Instant};
    /// # use qemu_dsl::{QemuCommand, launch::Launch};
    /// # let command = QemuCommand::new("qemu-system-x86_64")?;
    /// let mut machine = Launch::new(&command).start()?;
    /// let mut qmp = machine.qmp("/run/vm/qmp.sock", Instant::now() + Duration::from_secs(5))?;
    /// machine.power_down(&mut qmp)?;
    /// println!("{}", machine.end(Some(qmp))?.how);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn power_down(&mut self, qmp: &mut Qmp) -> Result<(), QmpError> {
        qmp.execute("system_powerdown", None, POWER_LIMIT)?;
        self.powering_off = Some(End::PowerDown);
        Ok(())
    }

    /// Ends the machine: the guest's own power-off, for 5 s if it is under way; QMP's `quit`; after 5 s SIGTERM; after 2 s
    /// more SIGKILL. When this returns without an error, the program is gone.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Alive`] for a program that is there 2 s after SIGKILL: one that another process traces, that runs as a user
    /// whose processes this one may not signal, or that waits in the kernel. It is as ended as this process can make it.
    pub fn end(mut self, mut qmp: Option<Qmp>) -> Result<Ended, LaunchError> {
        let (mut how, status) = self.end_in_steps(qmp.as_mut())?;
        if status.signal() == Some(Signal::SIGKILL as i32) && self.watch.target().was_killed() {
            how = End::Kill;
        }
        // The program is gone: what is still to be read stands in the pipes, and in the session.
        for output in [&self.stdout, &self.stderr] {
            output.wait_for_end(OUTPUT_PAUSE);
        }
        if let Some(qmp) = &mut qmp {
            qmp.drain(Instant::now() + END_PAUSE);
        }
        let processes_left = self.watch.processes_left();
        let (console, stderr) = (self.console(), self.stderr());
        let out_of_memory = cause::oom_kills() > self.oom_kills;
        let traces = Traces { how, status, qmp: qmp.as_ref(), console: &console, stderr: &stderr, out_of_memory };
        let cause = traces.cause();
        let nospace_errors = qmp.as_ref().map_or(0, Qmp::nospace_errors);
        Ok(Ended { how, cause, status, console, stderr, nospace_errors, processes_left })
    }

    fn end_in_steps(&mut self, qmp: Option<&mut Qmp>) -> Result<(End, ExitStatus), LaunchError> {
        self.watch.remember_family();
        let grace = if self.powering_off.is_some() { POWER_LIMIT } else { Duration::ZERO };
        if let Some(status) = self.wait(Instant::now() + grace) {
            return Ok((self.powering_off.unwrap_or(End::Itself), status));
        }
        if let Some(qmp) = qmp {
            // A refusal or a broken session is no reason to stop: the next steps do not need QMP.
            let how = match qmp.quit_answered(QUIT_LIMIT) {
                Ok(()) => Some(End::Quit),
                // It ended before anybody told it to.
                Err(QmpError::Closed) => Some(self.powering_off.unwrap_or(End::Itself)),
                Err(_) => None,
            };
            if let Some(how) = how
                && let Some(status) = self.wait(Instant::now() + QUIT_LIMIT)
            {
                return Ok((how, status));
            }
        }
        self.watch.target().signal(Signal::SIGTERM);
        if let Some(status) = self.wait(Instant::now() + TERM_LIMIT) {
            return Ok((End::Term, status));
        }
        let killed = self.watch.kill();
        killed.map(|status| (End::Kill, status)).map_err(|Alive { pid, why }| LaunchError::Alive { pid, why })
    }
}

/// Whether a connection failed because nobody listens yet, or too many clients wait.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock)
}
