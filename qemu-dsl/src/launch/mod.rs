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
//! Dropping a [`Machine`] kills QEMU and waits until it is gone, with all processes that came of it. On Linux the kernel kills
//! QEMU when the launching *process* dies, however it dies: QEMU is started by the thread that waits for it, which lives as
//! long as QEMU does, so the thread that called [`Launch::start`] may end. A wrapper that changes the user (`sudo`) loses that
//! tie, as the kernel clears it then: `unshare --pid --kill-child` before it keeps it, and so does
//! [`Launch::exit_with_parent`] with QEMU 10.2 and later.

mod agent;
mod error;
mod family;
mod gvproxy;
mod limits;
mod machine;
mod output;
mod relay;
mod spawn;
mod watch;
mod workdir;
mod zombie;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Instant;

pub use agent::{Agent, AgentError};
pub use error::LaunchError;
pub use gvproxy::{Gvproxy, GvproxyError};
pub use machine::{End, Ended, Killer, Machine};
pub use workdir::{WorkDir, WorkDirError};

use crate::sandbox::Plan;
use crate::{QemuCommand, QemuVersion, Since};
use output::Output;
use spawn::Program;
use watch::Watch;

/// How a command is started. [The module](self) has an example.
pub struct Launch<'a> {
    command: &'a QemuCommand,
    tap: Option<Tap>,
    console_log: Option<&'a Path>,
    exit_with_parent: bool,
    passed: Vec<BorrowedFd<'a>>,
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

impl<'a> Launch<'a> {
    /// Starts this command.
    pub fn new(command: &'a QemuCommand) -> Self {
        Self { command, tap: None, console_log: None, exit_with_parent: false, passed: Vec::new() }
    }

    /// Starts a sandbox. Where its QEMU can, it is told to end with its parent ([`exit_with_parent`](Self::exit_with_parent)).
    ///
    /// ```no_run
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::launch::Launch;
    /// use qemu_dsl::sandbox::{SandboxConfig, plan};
    /// let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/usr/lib/sandbox")?;
    /// let plan = plan(&config, &HostFacts::example())?;
    /// let machine = Launch::sandbox(&plan).console_log(&config.paths().console_log).start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sandbox(plan: &'a Plan) -> Self {
        let launch = Self::new(plan.command());
        match plan.qemu_version().and_then(QemuVersion::since) {
            Some(proof) => launch.exit_with_parent(proof),
            None => launch,
        }
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

    /// Tells QEMU itself to end with its parent, which helps behind wrappers that change the user:
    /// `-run-with exit-with-parent=on`, QEMU 10.2 and later. (QEMU documentation, "Invocation", `-run-with`)
    ///
    /// ```
    /// use qemu_dsl::launch::Launch;
    /// use qemu_dsl::{QemuCommand, QemuVersion};
    /// let command = QemuCommand::new("qemu-system-x86_64")?;
    /// let mut launch = Launch::new(&command);
    /// if let Some(proof) = QemuVersion::new(11, 1, 0).since() {
    ///     launch = launch.exit_with_parent(proof);
    /// }
    /// # Ok::<(), qemu_dsl::CommandError>(())
    /// ```
    #[must_use]
    pub fn exit_with_parent(mut self, _proof: Since<10, 2>) -> Self {
        self.exit_with_parent = true;
        self
    }

    /// Leaves a file descriptor open in QEMU, under the number that it has here.
    /// [`PassedSocket`](crate::backend::PassedSocket) has an example. Wrappers such as `sudo` close it.
    #[must_use]
    pub fn pass_fd(mut self, fd: &'a impl AsFd) -> Self {
        self.passed.push(fd.as_fd());
        self
    }

    /// Starts the command: no shell, its own process group, nothing on its standard input, umask 007.
    ///
    /// # Errors
    ///
    /// [`LaunchError::Start`], [`LaunchError::Limit`] and [`LaunchError::ConsoleLog`]. That QEMU does not like an argument
    /// shows a little later: in [`Machine::qmp`].
    pub fn start(self) -> Result<Machine, LaunchError> {
        limits::check()?;
        let log = match self.console_log {
            None => None,
            Some(path) => Some(
                output::create(path)
                    .map_err(|source| LaunchError::ConsoleLog { path: path.display().to_string(), source })?,
            ),
        };
        let started = Instant::now();
        let mut command = self.command.clone();
        if self.exit_with_parent {
            command.arg("-run-with").and_then(|command| command.arg("exit-with-parent=on"))?;
        }
        // This thread waits until the program runs, and holds them meanwhile.
        let passed = self.passed.iter().map(AsRawFd::as_raw_fd).collect();
        let program = Program { command, dir: None, passed };
        let (watch, stdout, stderr) = Watch::start(program).map_err(|source| LaunchError::Start {
            program: self.command.args().next().unwrap_or_default().display().to_string(),
            source,
        })?;
        let stdout = Output::collect(stdout, self.tap, log);
        let stderr = Output::collect(stderr, None, None);
        Ok(Machine::new(watch, stdout, stderr, started))
    }
}

impl Plan {
    /// Starts the sandbox with nothing but its plan: [`Launch::sandbox`] has options.
    ///
    /// # Errors
    ///
    /// As [`Launch::start`].
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::sandbox::{SandboxConfig, plan};
    /// let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/usr/lib/sandbox")?;
    /// let machine = plan(&config, &HostFacts::example())?.launch()?;
    /// let mut agent = machine.agent(&config.paths().cmd, Instant::now() + Duration::from_secs(60))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn launch(&self) -> Result<Machine, LaunchError> {
        Launch::sandbox(self).start()
    }
}
