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
//! let ended = machine.end(Some(qmp))?;
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
mod cause;
#[cfg(target_os = "linux")]
mod cgroup;
mod error;
mod limits;
mod machine;
mod removal;
#[cfg(target_os = "linux")]
mod uids;
mod workdir;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

pub use agent::{Agent, AgentError};
pub use cause::Cause;
#[cfg(target_os = "linux")]
pub use cgroup::{Cgroup, CgroupError, CgroupLimits, CgroupReport, Controller};
pub use error::LaunchError;
pub use machine::{End, Ended, Killer, Machine};
#[cfg(target_os = "linux")]
pub use uids::{UserId, UserIdError};
pub use workdir::{WorkDir, WorkDirError};

pub use crate::process::{CONFINED_OOM_SCORE, CONFINED_OPEN_FILES, Limits, Tap};
use crate::process::{Environment, Output, Program, Watch};
use crate::{QemuCommand, Since};

/// How a command is started. [The module](self) has an example.
pub struct Launch<'a> {
    command: &'a QemuCommand,
    tap: Option<Tap>,
    log: Option<Log<'a>>,
    exit_with_parent: bool,
    passed: Vec<BorrowedFd<'a>>,
    environment: Environment,
    limits: Limits,
    oom_score_adj: Option<i16>,
    cgroup: Option<OwnedFd>,
}

/// Where the console goes.
enum Log<'a> {
    Path(&'a Path),
    File(File),
}

impl std::fmt::Debug for Launch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Launch").field("command", self.command).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<'a> Launch<'a> {
    /// Starts this command.
    pub fn new(command: &'a QemuCommand) -> Self {
        Self {
            command,
            tap: None,
            log: None,
            exit_with_parent: false,
            passed: Vec::new(),
            environment: Environment::default(),
            limits: Limits::new(),
            oom_score_adj: None,
            cgroup: None,
        }
    }

    /// Starts QEMU in a control group. [`Cgroup`] has an example.
    ///
    /// # Errors
    ///
    /// The group is not there any more.
    #[cfg(target_os = "linux")]
    pub fn cgroup(mut self, group: &Cgroup) -> Result<Self, CgroupError> {
        self.cgroup = Some(group.procs()?);
        Ok(self)
    }

    /// Hands on what QEMU writes to its standard output, in the thread that reads it. While `tap` runs, output waits in the
    /// pipe; QEMU waits only once that is full.
    #[must_use]
    pub fn tap(mut self, tap: impl FnMut(&[u8]) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// Writes QEMU's standard output to a file too, at most 16 MiB of it. What was in the file is gone then. It has to be this
    /// user's, and no link; a device, such as `/dev/null`, is fine.
    #[must_use]
    pub fn console_log(mut self, path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        self.log = Some(Log::Path(path.as_ref()));
        self
    }

    /// The same, to a file that is open already: where others can write to its directory, it is made with
    /// [`WorkDir::create_file`].
    #[must_use]
    pub fn console_file(mut self, file: File) -> Self {
        self.log = Some(Log::File(file));
        self
    }

    /// Starts QEMU without this process's environment: it holds secrets, and names of files that a loader reads. What QEMU is to
    /// have is given with [`env`](Self::env).
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::{QemuCommand, launch::Launch};
    /// let command = QemuCommand::new("env")?;
    /// let machine = Launch::new(&command).env_clear().env("LANG", "C").start()?;
    /// assert!(machine.wait(Instant::now() + Duration::from_secs(10)).is_some());
    /// assert_eq!(machine.end(None)?.console, b"LANG=C\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.environment.cleared = true;
        self
    }

    /// Sets a variable of QEMU's environment.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let key = key.into();
        self.environment.added.retain(|(other, _)| *other != key);
        self.environment.added.push((key, value.into()));
        self
    }

    /// Limits what QEMU may use. [`Limits`] has an example.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How readily the kernel ends QEMU when memory runs out: 0 as others, 1000 before all others. A negative number, which only
    /// root can give, protects it. (Linux: `man 5 proc_pid_oom_score_adj`)
    #[must_use]
    pub fn oom_score_adj(mut self, score: i16) -> Self {
        self.oom_score_adj = Some(score);
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
    /// [`LaunchError::Start`], [`LaunchError::Limit`], [`LaunchError::NoProc`] and [`LaunchError::ConsoleLog`]. That QEMU does not like an argument
    /// shows a little later: in [`Machine::qmp`].
    pub fn start(self) -> Result<Machine, LaunchError> {
        limits::check()?;
        crate::backend::check_template(self.command)?;
        // With another namespace's, bubblewrap and others fail in ways of their own, or work by chance.
        if !crate::process::is_visible() {
            return Err(LaunchError::NoProc);
        }
        for (key, value) in &self.environment.added {
            let (name, value) = (key.as_encoded_bytes(), value.as_encoded_bytes());
            if name.is_empty() || name.contains(&b'=') || name.contains(&0) || value.contains(&0) {
                return Err(LaunchError::Environment { key: key.to_string_lossy().into_owned() });
            }
        }
        let log = match self.log {
            None => None,
            Some(Log::File(file)) => Some(file),
            Some(Log::Path(path)) => Some(
                crate::process::create(path)
                    .map_err(|source| LaunchError::ConsoleLog { path: path.display().to_string(), source })?,
            ),
        };
        let started = Instant::now();
        let mut command = self.command.clone();
        if self.exit_with_parent {
            command.arg("-run-with").and_then(|command| command.arg("exit-with-parent=on"))?;
        }
        let program = Program {
            // This thread waits until the program runs, and holds them meanwhile.
            passed: self.passed.iter().map(AsRawFd::as_raw_fd).collect(),
            environment: self.environment,
            limits: self.limits,
            oom_score_adj: self.oom_score_adj,
            cgroup: self.cgroup,
            ..Program::new(command)
        };
        let failed = |source| LaunchError::Start {
            program: self.command.args().next().unwrap_or_default().display().to_string(),
            source,
        };
        // Before: a control group may have no room for the program's first moments.
        let oom_kills = cause::oom_kills();
        // Whatever fails from here on, dropping `watch` ends the program.
        let (watch, stdout, stderr) = Watch::start(program).map_err(failed)?;
        let stdout = Output::collect(stdout, self.tap, log).map_err(failed)?;
        let stderr = Output::collect(stderr, None, None).map_err(failed)?;
        Ok(Machine::new(watch, stdout, stderr, started, oom_kills))
    }
}
