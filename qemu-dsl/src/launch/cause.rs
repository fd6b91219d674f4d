//! Why a machine ended.

use std::fmt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use super::machine::End;
use crate::qmp::{Qmp, ShutdownReason};
use crate::status::signal;

/// Why a machine ended: as far as QEMU said it over QMP, and its status and the host tell.
///
/// ```
/// use std::time::{Duration, Instant};
/// use qemu_dsl::{QemuCommand, launch::{Cause, Launch}};
/// let mut command = QemuCommand::new("sh")?;
/// command.arg("-c")?.arg("kill -SYS $$")?;
/// let machine = Launch::new(&command).start()?;
/// assert!(machine.wait(Instant::now() + Duration::from_secs(10)).is_some());
/// assert_eq!(machine.end(None)?.cause, Cause::Seccomp);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The guest powered off.
    PowerOff,
    /// The guest rebooted, which ends a machine that does not (`-no-reboot`).
    Reset,
    /// The guest's kernel panicked: `pvpanic` said so, or it rebooted after its console had said so.
    Panic,
    /// The guest ended it, and without a QMP session nobody knows how.
    Guest,
    /// This process ended it: over QMP, or by a signal.
    Host,
    /// QEMU ended with an error: its standard error tells.
    Failed,
    /// A signal that this process did not send ended QEMU; its number.
    Signal(i32),
    /// QEMU made a system call that its seccomp filter forbids (SIGSYS).
    Seccomp,
    /// The host, or QEMU's control group, had no memory left, and the kernel ended QEMU.
    OutOfMemory,
    /// QEMU reached a resource limit (SIGXCPU, SIGXFSZ).
    Limit,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOff => "the guest powered off",
            Self::Reset => "the guest rebooted",
            Self::Panic => "the guest's kernel panicked",
            Self::Guest => "the guest ended",
            Self::Host => "it was ended",
            Self::Failed => "QEMU failed",
            Self::Signal(number) => {
                let name = Signal::try_from(*number).map_or("an unknown signal", Signal::as_str);
                return write!(f, "QEMU was ended by {name}, which somebody else sent, or a fault of its own");
            }
            Self::Seccomp => "QEMU made a system call that its seccomp filter forbids",
            Self::OutOfMemory => "the kernel ended QEMU for want of memory",
            Self::Limit => "QEMU reached a resource limit",
        })
    }
}

/// What there is to conclude from.
pub(super) struct Traces<'a> {
    pub(super) how: End,
    pub(super) status: ExitStatus,
    pub(super) qmp: Option<&'a Qmp>,
    pub(super) console: &'a [u8],
    pub(super) stderr: &'a str,
    /// Whether the kernel has ended processes for want of memory while the machine ran.
    pub(super) out_of_memory: bool,
}

/// What Linux says on its console when it panics. (kernel/panic.c)
const PANIC: &[u8] = b"Kernel panic - not syncing";
/// What `unshare` of util-linux says, instead of passing it on, when SIGKILL has ended what it started: it tries to make that
/// signal end itself in the usual way, which the kernel refuses. (sys-utils/unshare.c)
const KILLED_BEHIND_UNSHARE: &str = "unshare: sigprocmask unblock failed";

impl Traces<'_> {
    pub(super) fn cause(&self) -> Cause {
        if matches!(self.how, End::Quit | End::Term | End::Kill) {
            return Cause::Host;
        }
        match self.signal() {
            Some(Signal::SIGSYS) => return Cause::Seccomp,
            Some(Signal::SIGXCPU | Signal::SIGXFSZ) => return Cause::Limit,
            Some(Signal::SIGKILL) if self.out_of_memory => return Cause::OutOfMemory,
            Some(signal) => return Cause::Signal(signal as i32),
            None => {}
        }
        let panicked = || memchr::memmem::find(self.console, PANIC).is_some();
        let said = self.qmp.and_then(Qmp::shutdown).map(|shutdown| &shutdown.reason);
        match said {
            _ if self.qmp.is_some_and(Qmp::guest_panicked) => Cause::Panic,
            Some(ShutdownReason::GuestPanic) => Cause::Panic,
            Some(ShutdownReason::GuestShutdown) => Cause::PowerOff,
            Some(ShutdownReason::GuestReset) if panicked() => Cause::Panic,
            Some(ShutdownReason::GuestReset) => Cause::Reset,
            Some(ShutdownReason::HostSignal | ShutdownReason::HostQmpQuit | ShutdownReason::HostUi) => Cause::Host,
            _ if !self.status.success() => Cause::Failed,
            _ if panicked() => Cause::Panic,
            _ => Cause::Guest,
        }
    }

    fn signal(&self) -> Option<Signal> {
        let behind_unshare = self.status.code() == Some(1) && self.stderr.contains(KILLED_BEHIND_UNSHARE);
        signal(self.status).or(behind_unshare.then_some(Signal::SIGKILL))
    }
}

/// How many processes the kernel has ended for want of memory since the boot. (`man 5 proc_vmstat`, `oom_kill`, Linux 4.13)
pub(super) fn oom_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or_default()
}
