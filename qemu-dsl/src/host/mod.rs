//! Probes of the host: what it and its QEMU can do, and why not.
//!
//! [`probe`] asks everything at once, each question with a time limit, and keeps the reason of every "no". The answers are
//! [`HostFacts`].
//!
//! ```no_run
//! use qemu_dsl::host::{ProbeOptions, probe};
//! let probed = probe(&ProbeOptions::new())?;
//! for verdict in &probed.verdicts {
//!     println!("{verdict}");
//! }
//! # Ok::<(), qemu_dsl::host::ProbeError>(())
//! ```

mod basis;
mod cache;
#[cfg(target_os = "linux")]
mod kvm;
mod missing;
#[cfg(target_os = "linux")]
mod payload;
mod process;
mod qemu;
mod questions;
#[cfg(target_os = "linux")]
mod sys;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use basis::Basis;
pub use cache::cache_dir;
#[cfg(target_os = "linux")]
pub use kvm::run_test_guest;
pub use missing::{Missing, Needs};
pub use qemu::{QemuInfo, QemuProbeError};

use crate::QemuCommand;
use crate::accel::Architecture;
use crate::facts::{Acceleration, HostFacts, Os};
pub use crate::programs::{find_program, find_program_in_jail};

/// How long a probe that starts a program may take, where nothing else is said.
const LIMIT: Duration = Duration::from_secs(5);

/// What to probe for.
///
/// ```
/// use qemu_dsl::host::ProbeOptions;
/// let options = ProbeOptions::new().qemu("/opt/qemu/bin/qemu-system-x86_64").force_emulation(true);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ProbeOptions {
    qemu: Option<OsString>,
    force_emulation: bool,
    allow_network: bool,
    cache: Option<PathBuf>,
    read_only: bool,
}

impl ProbeOptions {
    /// The host's own architecture, with the QEMU from `PATH`.
    pub fn new() -> Self {
        Self::default()
    }

    /// The QEMU binary that will be started.
    #[must_use]
    pub fn qemu(mut self, qemu: impl Into<OsString>) -> Self {
        self.qemu = Some(qemu.into());
        self
    }

    /// Does not look for hardware acceleration: it will not be used.
    #[must_use]
    pub fn force_emulation(mut self, force: bool) -> Self {
        self.force_emulation = force;
        self
    }

    /// Keeps the answers in this directory for other processes, until the next boot at the latest; [`cache_dir`] is the usual one
    /// and has an example. Only [`probe`] looks there. Answers that others could have written, or that took too long, do not
    /// count. On macOS nothing is kept.
    #[must_use]
    pub fn cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Some(dir.into());
        self.read_only = false;
        self
    }

    /// Uses answers that are kept in this directory, and writes nothing.
    #[must_use]
    pub fn read_only_cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Some(dir.into());
        self.read_only = true;
        self
    }

    fn binary(&self, arch: Architecture) -> &OsStr {
        self.qemu.as_deref().unwrap_or_else(|| OsStr::new(arch.qemu_binary()))
    }

    /// Whether the VM will have the host's network, which decides the namespaces that are tried.
    #[must_use]
    pub fn allow_network(mut self, allow: bool) -> Self {
        self.allow_network = allow;
        self
    }
}

/// The answer to one question, with its reason.
///
/// ```
/// use qemu_dsl::host::Verdict;
/// let verdict = Verdict::no("kvm", "/dev/kvm does not exist");
/// assert_eq!(verdict.to_string(), "kvm: no, /dev/kvm does not exist");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was asked: `kvm`, `tsc_deadline`, ...
    pub question: &'static str,
    /// The answer.
    pub yes: bool,
    /// Why.
    pub reason: String,
}

impl Verdict {
    /// A "yes" with its reason.
    pub fn yes(question: &'static str, reason: impl Into<String>) -> Self {
        Self { question, yes: true, reason: reason.into() }
    }

    /// A "no" with its reason.
    pub fn no(question: &'static str, reason: impl Into<String>) -> Self {
        Self { question, yes: false, reason: reason.into() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.question, if self.yes { "yes" } else { "no" }, self.reason)
    }
}

/// What the probes found. [The module](self) has an example.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Probed {
    /// The facts.
    pub facts: HostFacts,
    /// The answers behind them, each with its reason.
    pub verdicts: Vec<Verdict>,
    /// The QEMU binary that was asked.
    pub binary: OsString,
    /// What it says about itself.
    pub qemu: Result<QemuInfo, QemuProbeError>,
    /// Whether the answers would be the same the next time: nothing took too long, and nothing was killed.
    pub certain: bool,
}

impl Probed {
    /// The answer to one question.
    ///
    /// ```no_run
    /// # use qemu_dsl::host::{ProbeOptions, probe};
    /// let probed = probe(&ProbeOptions::new())?;
    /// println!("{}", probed.verdict("kvm").map_or("not asked", |verdict| &verdict.reason));
    /// # Ok::<(), qemu_dsl::host::ProbeError>(())
    /// ```
    pub fn verdict(&self, question: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.question == question)
    }

    /// How the binary runs guests of the host's architecture. [`HostFacts::accel`](field@HostFacts::accel) says `tcg` of every host
    /// without hardware acceleration; whether the binary has it, is said here.
    ///
    /// # Errors
    ///
    /// [`Missing`]: the binary has nothing that works here, or is for guests of another architecture. One that could not be asked
    /// lacks nothing that is known.
    ///
    /// ```no_run
    /// # use qemu_dsl::host::{ProbeOptions, probe};
    /// let accelerator = probe(&ProbeOptions::new())?.accelerator()?;
    /// println!("{}", accelerator.name());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accelerator(&self) -> Result<Acceleration, Missing> {
        let accel = self.facts.accel;
        let Ok(info) = &self.qemu else { return Ok(accel) };
        info.check(&Needs::new(self.facts.arch), &self.binary)?;
        if accel != Acceleration::Tcg || info.has_accelerator(accel.name()) {
            return Ok(accel);
        }
        let why = ["kvm", "hvf", "acceleration"].into_iter().find_map(|question| self.verdict(question));
        Err(Missing::NothingRuns {
            binary: self.binary.display().to_string(),
            reason: why.map_or_else(String::new, |verdict| verdict.reason.clone()),
        })
    }

    /// Whether the binary has what a command needs that runs it. Of a binary that could not be asked nothing is known to be missing.
    ///
    /// # Errors
    ///
    /// [`Missing`] names the first thing that it lacks.
    ///
    /// ```no_run
    /// # use qemu_dsl::host::{ProbeOptions, probe};
    /// # use qemu_dsl::prelude::*;
    /// let command = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(128)).build()?;
    /// probe(&ProbeOptions::new())?.check(&command)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self, command: &QemuCommand) -> Result<(), Missing> {
        match &self.qemu {
            Ok(info) => info.check(&Needs::of(command, self.facts.arch), &self.binary),
            Err(_) => Ok(()),
        }
    }
}

/// Why a host cannot be probed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// An operating system that this crate does not know.
    #[error("the operating system `{os}` is not supported: Linux and macOS are")]
    Os {
        /// Its name.
        os: &'static str,
    },
    /// A processor architecture that this crate does not know.
    #[error("the architecture `{arch}` is not supported: x86_64 and aarch64 are")]
    Arch {
        /// Its name.
        arch: &'static str,
    },
}

/// The answers that take a program to find.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answers {
    qemu: Result<QemuInfo, QemuProbeError>,
    acceleration: Acceleration,
    acceleration_verdict: Verdict,
    isolation: Vec<Verdict>,
    /// Whether they will be the same the next time: nothing took too long.
    certain: bool,
}

/// Finds out what the host can do. What was found, failures too, is remembered while what it depends on stays the same: the
/// binary (path, inode, size, time of its last change), `/dev/kvm` and the KVM module, the programs that isolate, the user, what this
/// process itself is confined to, the options. What took too long is asked again. Callers at the same time wait for one probe. A
/// binary that is a script counts as itself, not as what it starts.
///
/// # Errors
///
/// [`ProbeError`] on a system that this crate does not know. Everything else is an answer: no QEMU, no KVM, and so on.
pub fn probe(options: &ProbeOptions) -> Result<Arc<Probed>, ProbeError> {
    type Cell = Arc<OnceLock<Arc<Probed>>>;
    static MEMORY: Mutex<Vec<(Basis, Cell)>> = Mutex::new(Vec::new());
    let memory = || MEMORY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (os, arch) = (questions::os()?, questions::arch()?);
    let qemu = options.binary(arch);
    let basis = Basis::now(options, qemu);
    let cell = {
        let mut memory = memory();
        if let Some((_, cell)) = memory.iter().find(|(known, _)| *known == basis) {
            Arc::clone(cell)
        } else {
            memory.retain(|(known, _)| known.subject() != basis.subject());
            let cell = Cell::default();
            memory.push((basis.clone(), Arc::clone(&cell)));
            cell
        }
    };
    let probed = cell.get_or_init(|| {
        let dir = options.cache.as_deref().filter(|_| basis.is_lasting());
        let answers = dir.and_then(|dir| cache::read(dir, &basis)).unwrap_or_else(|| {
            let answers = ask(options, os, arch);
            if let Some(dir) = dir.filter(|_| !options.read_only) {
                // Nothing depends on it: the next process asks again.
                let _ = cache::write(dir, &basis, &answers);
            }
            answers
        });
        Arc::new(conclude(qemu, os, arch, answers))
    });
    if !probed.certain {
        // It was true for those who asked by now; whoever asks later may be told better.
        memory().retain(|(_, known)| !Arc::ptr_eq(known, &cell));
    }
    Ok(Arc::clone(probed))
}

/// The same, with nothing remembered.
///
/// # Errors
///
/// As [`probe`].
///
/// ```no_run
/// use qemu_dsl::host::{ProbeOptions, probe_now};
/// let probed = probe_now(&ProbeOptions::new().force_emulation(true))?;
/// println!("{:?}", probed.facts);
/// # Ok::<(), qemu_dsl::host::ProbeError>(())
/// ```
pub fn probe_now(options: &ProbeOptions) -> Result<Probed, ProbeError> {
    let (os, arch) = (questions::os()?, questions::arch()?);
    Ok(conclude(options.binary(arch), os, arch, ask(options, os, arch)))
}

/// Starts what has to be started.
fn ask(options: &ProbeOptions, os: Os, arch: Architecture) -> Answers {
    let qemu = options.binary(arch);
    // Side by side: each starts a program and mostly waits for it.
    let (info, acceleration, isolation) = std::thread::scope(|scope| {
        let info = scope.spawn(|| qemu::ask(qemu, LIMIT));
        let accel = scope.spawn(|| questions::acceleration(os, arch, qemu, options.force_emulation));
        let isolation = scope.spawn(|| questions::isolation(os, options.allow_network));
        (joined(info), joined(accel), joined(isolation))
    });
    let (qemu, asked) = info;
    let (acceleration, verdict, proven) = acceleration;
    let (isolation, tried) = isolation;
    let (acceleration, acceleration_verdict) = questions::with_binary(acceleration, verdict, arch, qemu.as_ref());
    Answers { qemu, acceleration, acceleration_verdict, isolation, certain: asked && proven && tried }
}

/// The facts: what the answers say, and what there is to be read without starting anything.
fn conclude(binary: &OsStr, os: Os, arch: Architecture, answers: Answers) -> Probed {
    let Answers { qemu, acceleration, acceleration_verdict, isolation, certain } = answers;
    let tsc_deadline = questions::tsc_deadline(os, arch);
    let io_uring = questions::io_uring(os, qemu.as_ref());
    let seccomp = questions::seccomp(os, qemu.as_ref());
    let tcg = questions::tcg(qemu.as_ref());
    let root = questions::root();
    let holds = |question| isolation.iter().any(|verdict: &Verdict| verdict.question == question && verdict.yes);
    let facts = HostFacts::new(arch, os)
        .with_accel(acceleration)
        .with_tsc_deadline(tsc_deadline.yes)
        .with_io_uring(io_uring.yes)
        .with_unshare(holds("unshare"))
        .with_unshare_user(holds("unshare_user"))
        .with_bwrap(holds("bwrap"))
        .with_root(root.yes)
        .with_qemu_version(qemu.as_ref().ok().map(|info| info.version))
        .with_seccomp(seccomp.yes);
    let version = match &qemu {
        Ok(info) => Verdict::yes("qemu", format!("{} is version {}", binary.display(), info.version)),
        Err(error) => Verdict::no("qemu", error.to_string()),
    };
    let mut verdicts = vec![acceleration_verdict, tcg, tsc_deadline, io_uring];
    verdicts.push(root);
    verdicts.extend(isolation);
    verdicts.extend([version, seccomp]);
    Probed { facts, verdicts, binary: binary.to_owned(), qemu, certain }
}

/// The result of a probe's thread. A panic in it is a bug of this crate, and goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
