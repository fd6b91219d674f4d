//! Starting QEMU, watching it, and ending it: nothing of it is left behind.
//!
//! ```no_run
//! use std::time::{Duration, Instant};
//! use qemu_dsl::launch::{Launch, End};
//! use qemu_dsl::prelude::*;
//!
//! let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
//! vm.qmp(SocketPath::new("/run/vm/qmp.sock")?);
//! let command = vm.build()?;
//!
//! let machine = Launch::new(&command).start()?;
//! let mut qmp = machine.qmp("/run/vm/qmp.sock", Instant::now() + Duration::from_secs(5))?;
//! println!("{}", qmp.execute("query-status", None, Duration::from_secs(1))?);
//! let ended = machine.end(Some(qmp));
//! assert_eq!(ended.how, End::Quit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Threads and file descriptors
//!
//! A running machine has three threads (one for each output of QEMU, one that waits for its end) and two pipes. It is
//! synchronous; from an async program, call it on a thread for blocking work, such as `tokio::task::spawn_blocking`.
//!
//! # No orphans
//!
//! Dropping a [`Machine`] kills QEMU and waits until it is gone. On Linux the kernel kills QEMU when the launching
//! *process* dies, however it dies: QEMU is started by the thread that waits for it, which lives as long as QEMU does, so the
//! thread that called [`Launch::start`] may end. A wrapper that changes the user (`sudo`) loses that tie, as the kernel clears
//! it then; `unshare --kill-child` before it keeps it.

mod agent;
mod output;
mod spawn;
mod watch;
mod workdir;

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

pub use agent::{Agent, AgentError};
pub use workdir::{WorkDir, WorkDirError};

use crate::QemuCommand;
use crate::qmp::{Qmp, QmpError};
use crate::status::ended_with;
use output::Output;
use watch::Watch;

/// How long QEMU may take to end after `quit`.
const QUIT_LIMIT: Duration = Duration::from_secs(5);
/// How long QEMU may take to end after SIGTERM.
const TERM_LIMIT: Duration = Duration::from_secs(2);
/// Pauses between attempts to connect to a socket that QEMU has not made yet. QEMU's end interrupts them.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);

/// How a command is started. [The module](self) has an example.
pub struct Launch<'a> {
    command: &'a QemuCommand,
    tap: Option<Tap>,
    console_log: Option<&'a Path>,
}

/// Takes what the console shows, as it comes.
pub type Tap = Box<dyn FnMut(&[u8]) + Send>;

impl std::fmt::Debug for Launch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch")
            .field("command", self.command)
            .field("console_log", &self.console_log)
            .finish_non_exhaustive()
    }
}

/// Why QEMU is not running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program cannot be started.
    #[error("`{program}` cannot be started: {source}{}", hint(source))]
    Start {
        /// The program: QEMU, or the outermost wrapper.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The console's log cannot be written.
    #[error("the console log `{path}` cannot be written: {source}")]
    ConsoleLog {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// QEMU ended by itself.
    #[error("QEMU ended with {status}{}{}", argument.as_ref().map(|a| format!(" over the argument `{a}`")).unwrap_or_default(), said(stderr))]
    Exited {
        /// How it ended: "exit status 1", "SIGABRT".
        status: String,
        /// The end of its standard error.
        stderr: String,
        /// The argument that it complains about.
        argument: Option<String>,
    },
    /// QEMU runs, and a socket of its was not there in time.
    #[error("QEMU did not answer at `{path}` in time{}", said(stderr))]
    Timeout {
        /// The socket.
        path: String,
        /// The end of its standard error.
        stderr: String,
    },
    /// The socket was there, and what answered was not right.
    #[error("QEMU's socket `{path}` cannot be used: {source}")]
    Socket {
        /// The socket.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// QMP failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

fn hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound { "; install QEMU, or name another binary" } else { "" }
}

fn said(stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() { String::new() } else { format!("; it said:\n{stderr}") }
}

impl<'a> Launch<'a> {
    /// Starts this command.
    pub fn new(command: &'a QemuCommand) -> Self {
        Self { command, tap: None, console_log: None }
    }

    /// Hands on what QEMU writes to its standard output, in the thread that reads it. While `tap` runs, output waits in the
    /// pipe; QEMU waits only once that is full.
    #[must_use]
    pub fn tap(mut self, tap: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Writes QEMU's standard output to a file too, at most 16 MiB of it.
    #[must_use]
    pub fn console_log(mut self, path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        self.console_log = Some(path.as_ref());
        self
    }

    /// Starts the command: no shell, its own process group, nothing on its standard input, umask 007.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Start`] and [`LaunchError::ConsoleLog`]. That QEMU does not like an argument shows a little later:
    /// in [`Machine::qmp`].
    pub fn start(self) -> Result<Machine, LaunchError> {
        let log = match self.console_log {
            None => None,
            Some(path) => Some(
                output::create(path)
                    .map_err(|source| LaunchError::ConsoleLog { path: path.display().to_string(), source })?,
            ),
        };
        let started = Instant::now();
        let (watch, stdout, stderr) = Watch::start(self.command).map_err(|source| LaunchError::Start {
            program: self.command.args().next().unwrap_or_default().display().to_string(),
            source,
        })?;
        let stdout = Output::collect(stdout, self.tap, log);
        let stderr = Output::collect(stderr, None, None);
        Ok(Machine { watch, stdout, stderr, started, powering_off: false })
    }
}

/// A running QEMU. Dropping it kills QEMU. [The module](self) has an example.
#[derive(Debug)]
pub struct Machine {
    watch: Watch,
    stdout: Output,
    stderr: Output,
    started: Instant,
    powering_off: bool,
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
            Self::Quit => "QMP quit",
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
        })
    }
}

/// The end of a machine. [The module](self) has an example.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What ended it.
    pub how: End,
    /// Its status.
    pub status: ExitStatus,
    /// The end of its standard error.
    pub stderr: String,
    /// How many processes of its process group are left: 0, or something is wrong with this crate.
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
pub struct Killer(watch::Target);

impl Killer {
    /// Kills the machine, if it still runs, and does not wait.
    pub fn kill(&self) {
        self.0.signal(nix::sys::signal::Signal::SIGKILL);
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
    /// [`LaunchError::Exited`] as soon as QEMU ends, [`LaunchError::Timeout`] at the deadline.
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
    pub fn connect(
        &self,
        path: impl AsRef<Path>,
        deadline: Instant,
    ) -> Result<std::os::unix::net::UnixStream, LaunchError> {
        let path = path.as_ref();
        loop {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(stream) => return Ok(stream),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {}
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

    /// Connects to QMP.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and what QMP itself finds.
    pub fn qmp(&self, path: impl AsRef<Path>, deadline: Instant) -> Result<Qmp, LaunchError> {
        let stream = self.connect(path, deadline)?;
        let output = stream.try_clone().map_err(QmpError::from)?;
        let left = deadline.saturating_duration_since(Instant::now());
        match Qmp::over(stream.into(), output.into(), left) {
            Ok(qmp) => Ok(qmp),
            // A QEMU that fails after it made its sockets closes them: the reason is its end.
            Err(error) => match self.wait(Instant::now() + Duration::from_millis(100)) {
                Some(status) => Err(self.exited(status)),
                None => Err(error.into()),
            },
        }
    }

    /// The error for a QEMU that has ended.
    pub fn exited(&self, status: ExitStatus) -> LaunchError {
        self.stderr.wait_for_end(Duration::from_millis(100));
        let stderr = self.stderr();
        LaunchError::Exited { status: ended_with(status), argument: complained_about(&stderr), stderr }
    }

    /// Says that the guest was asked to power off: [`end`](Self::end) then gives it time to do so before `quit`.
    pub fn powering_off(&mut self) {
        self.powering_off = true;
    }

    /// Ends the machine: the guest's own power-off, if it is under way; QMP's `quit`; after 5 s SIGTERM; after 2 s more
    /// SIGKILL. When this returns, the program is gone.
    pub fn end(mut self, qmp: Option<Qmp>) -> Ended {
        let (how, status) = self.end_in_steps(qmp);
        self.stderr.wait_for_end(Duration::from_millis(100));
        Ended { how, status, stderr: self.stderr(), processes_left: self.watch.processes_left() }
    }

    fn end_in_steps(&mut self, qmp: Option<Qmp>) -> (End, ExitStatus) {
        let grace = if self.powering_off { QUIT_LIMIT } else { Duration::ZERO };
        if let Some(status) = self.wait(Instant::now() + grace) {
            return (End::Itself, status);
        }
        if let Some(mut qmp) = qmp {
            // A refusal or a broken session is no reason to stop: the next steps do not need QMP.
            let asked = qmp.execute("quit", None, QUIT_LIMIT);
            if (asked.is_ok() || matches!(asked, Err(QmpError::Closed)))
                && let Some(status) = self.wait(Instant::now() + QUIT_LIMIT)
            {
                return (End::Quit, status);
            }
        }
        self.watch.target().signal(nix::sys::signal::Signal::SIGTERM);
        if let Some(status) = self.wait(Instant::now() + TERM_LIMIT) {
            return (End::Term, status);
        }
        (End::Kill, self.watch.kill())
    }
}

/// The argument in `qemu-system-x86_64: -device foo: 'foo' is not a valid device model name`.
fn complained_about(stderr: &str) -> Option<String> {
    let complaint = stderr.lines().rev().find(|line| line.contains(": -") && !line.contains("warning:"))?;
    let (_, rest) = complaint.split_once(": -")?;
    let (argument, _) = rest.split_once(": ")?;
    Some(format!("-{argument}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_argument_that_qemu_complains_about() {
        let stderr = "qemu: warning: x\nqemu-system-x86_64: -device foo,a=b: 'foo' is not a valid device model name\n";
        assert_eq!(complained_about(stderr), Some("-device foo,a=b".to_owned()));
        assert_eq!(complained_about("qemu-system-x86_64: failed to set MSR"), None);
    }
}
