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

mod kvm;
mod payload;
mod process;
mod qemu;
mod sys;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub use kvm::run_test_guest;
pub use qemu::{QemuInfo, QemuProbeError};

use crate::accel::Architecture;
use crate::facts::{Acceleration, HostFacts, Os};

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
pub struct Probed {
    /// The facts.
    pub facts: HostFacts,
    /// The answers behind them, each with its reason.
    pub verdicts: Vec<Verdict>,
    /// What the QEMU binary says about itself.
    pub qemu: Result<QemuInfo, QemuProbeError>,
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

/// Finds out what the host can do. What was found, failures too, is kept for the life of the process: callers with the same
/// options get the same answer, and callers at the same time wait for one probe.
///
/// # Errors
///
/// [`ProbeError`] on a system that this crate does not know. Everything else is an answer: no QEMU, no KVM, and so on.
pub fn probe(options: &ProbeOptions) -> Result<Arc<Probed>, ProbeError> {
    type Cell = Arc<OnceLock<Result<Arc<Probed>, ProbeError>>>;
    static CACHE: Mutex<Vec<(ProbeOptions, Cell)>> = Mutex::new(Vec::new());
    let cell = {
        let mut cache = CACHE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, cell)) = cache.iter().find(|(known, _)| known == options) {
            Arc::clone(cell)
        } else {
            let cell = Cell::default();
            cache.push((options.clone(), Arc::clone(&cell)));
            cell
        }
    };
    cell.get_or_init(|| probe_now(options).map(Arc::new)).clone()
}

/// The same without the cache.
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
    let os = os()?;
    let arch = arch()?;
    let qemu = options.qemu.as_deref().unwrap_or_else(|| OsStr::new(arch.qemu_binary()));
    // Side by side: each of the three starts a program and mostly waits for it.
    let (info, (accel, accel_verdict), namespaces) = std::thread::scope(|scope| {
        let info = scope.spawn(|| qemu::ask(qemu, LIMIT));
        let accel = scope.spawn(|| acceleration(os, arch, qemu, options.force_emulation));
        let namespaces = scope.spawn(|| namespaces(os, options.allow_network));
        (joined(info), joined(accel), joined(namespaces))
    });
    let (accel, accel_verdict) = with_binary(accel, accel_verdict, info.as_ref());
    let tsc_deadline = tsc_deadline(os, arch);
    let io_uring = io_uring(os, info.as_ref());
    let seccomp = seccomp(os, info.as_ref());
    let facts = HostFacts {
        arch,
        os,
        accel,
        tsc_deadline: tsc_deadline.yes,
        io_uring: io_uring.yes,
        unshare: namespaces.yes,
        qemu_version: info.as_ref().ok().map(|info| info.version),
        seccomp: seccomp.yes,
    };
    let version = match &info {
        Ok(info) => Verdict::yes("qemu", format!("{} is version {}", qemu.display(), info.version)),
        Err(error) => Verdict::no("qemu", error.to_string()),
    };
    let verdicts = vec![accel_verdict, tsc_deadline, io_uring, namespaces, version, seccomp];
    Ok(Probed { facts, verdicts, qemu: info })
}

/// The result of a probe's thread. A panic in it is a bug of this crate, and goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn os() -> Result<Os, ProbeError> {
    match std::env::consts::OS {
        "linux" => Ok(Os::Linux),
        "macos" => Ok(Os::Macos),
        os => Err(ProbeError::Os { os }),
    }
}

fn arch() -> Result<Architecture, ProbeError> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(Architecture::X86_64),
        "aarch64" => Ok(Architecture::Aarch64),
        arch => Err(ProbeError::Arch { arch }),
    }
}

fn acceleration(os: Os, arch: Architecture, qemu: &OsStr, forced: bool) -> (Acceleration, Verdict) {
    let (accel, verdict) = match os {
        _ if forced => return (Acceleration::Tcg, Verdict::no("acceleration", "emulation was asked for")),
        Os::Linux => (Acceleration::Kvm, kvm::prove(qemu, arch)),
        Os::Macos => (Acceleration::Hvf, hvf()),
    };
    (if verdict.yes { accel } else { Acceleration::Tcg }, verdict)
}

/// What the binary says about its accelerators: a more useful reason than what starting it without one gives.
fn with_binary(
    accel: Acceleration,
    verdict: Verdict,
    info: Result<&QemuInfo, &QemuProbeError>,
) -> (Acceleration, Verdict) {
    let question = verdict.question;
    match info {
        Ok(info) if matches!(question, "kvm" | "hvf") && !info.accelerators.iter().any(|name| name == question) => {
            (Acceleration::Tcg, Verdict::no(question, format!("this QEMU binary was built without {question}")))
        }
        _ => (accel, verdict),
    }
}

fn hvf() -> Verdict {
    match process::output("sysctl", &["-n", "kern.hv_support"], LIMIT) {
        Ok(text) if text.trim() == "1" => Verdict::yes("hvf", "kern.hv_support is 1"),
        Ok(text) => Verdict::no("hvf", format!("kern.hv_support is {}", text.trim())),
        Err(error) => Verdict::no("hvf", error),
    }
}

fn tsc_deadline(os: Os, arch: Architecture) -> Verdict {
    const QUESTION: &str = "tsc_deadline";
    const FLAG: &str = "tsc_deadline_timer";
    if arch != Architecture::X86_64 {
        return Verdict::no(QUESTION, "only x86_64 has one");
    }
    match os {
        Os::Linux => match std::fs::read_to_string("/proc/cpuinfo") {
            Ok(text) => {
                let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
                if flags.split_ascii_whitespace().any(|flag| flag == FLAG) {
                    Verdict::yes(QUESTION, format!("{FLAG} is among the flags in /proc/cpuinfo"))
                } else {
                    Verdict::no(QUESTION, format!("{FLAG} is not among the flags in /proc/cpuinfo"))
                }
            }
            Err(error) => Verdict::no(QUESTION, format!("/proc/cpuinfo cannot be read: {error}")),
        },
        Os::Macos => match process::output("sysctl", &["-n", "machdep.cpu.features"], LIMIT) {
            Ok(text) if text.split_ascii_whitespace().any(|flag| flag == "TSCTMR") => {
                Verdict::yes(QUESTION, "TSCTMR is in machdep.cpu.features")
            }
            Ok(_) => Verdict::no(QUESTION, "TSCTMR is not in machdep.cpu.features"),
            Err(error) => Verdict::no(QUESTION, error),
        },
    }
}

fn io_uring(os: Os, info: Result<&QemuInfo, &QemuProbeError>) -> Verdict {
    const QUESTION: &str = "io_uring";
    const SETTING: &str = "/proc/sys/kernel/io_uring_disabled";
    if os != Os::Linux {
        return Verdict::no(QUESTION, "only Linux has it");
    }
    // The file exists since Linux 6.6; without it there is nothing that disables io_uring but a seccomp filter.
    let disabled = std::fs::read_to_string(SETTING).unwrap_or_default();
    match disabled.trim() {
        "2" => return Verdict::no(QUESTION, format!("{SETTING} is 2")),
        "1" if !nix::unistd::geteuid().is_root() => {
            return Verdict::no(QUESTION, format!("{SETTING} is 1 and this process is not privileged"));
        }
        _ => {}
    }
    if let Err(error) = sys::io_uring_exists() {
        return Verdict::no(QUESTION, format!("the system call io_uring_setup says: {error}"));
    }
    match info {
        Ok(info) if info.io_uring => {
            Verdict::yes(QUESTION, "the kernel has it, and the binary lists it among its aio modes")
        }
        Ok(_) => Verdict::no(QUESTION, "the binary does not list it among its aio modes"),
        Err(_) => Verdict::no(QUESTION, "the binary could not be asked"),
    }
}

fn seccomp(os: Os, info: Result<&QemuInfo, &QemuProbeError>) -> Verdict {
    const QUESTION: &str = "seccomp";
    match (os, info) {
        (Os::Macos, _) => Verdict::no(QUESTION, "only Linux has it"),
        (Os::Linux, Ok(info)) if info.seccomp => Verdict::yes(QUESTION, "the binary has the option -sandbox"),
        (Os::Linux, Ok(_)) => Verdict::no(QUESTION, "the binary has no option -sandbox"),
        (Os::Linux, Err(_)) => Verdict::no(QUESTION, "the binary could not be asked"),
    }
}

fn namespaces(os: Os, allow_network: bool) -> Verdict {
    const QUESTION: &str = "unshare";
    if os != Os::Linux {
        return Verdict::no(QUESTION, "only Linux has namespaces");
    }
    let words = crate::namespaces::unshare(allow_network);
    let args: Vec<&str> = words[1..].iter().copied().chain(["true"]).collect();
    match process::output(words[0], &args, LIMIT) {
        Ok(_) => Verdict::yes(QUESTION, format!("`{} true` worked", words.join(" "))),
        Err(error) => Verdict::no(QUESTION, error),
    }
}
