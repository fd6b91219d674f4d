//! What is chosen for a sandbox, and why nothing can be.

use crate::QemuVersion;
use crate::accel::Architecture;
use crate::facts::{Acceleration, FactsError};
use crate::isolation::Isolation;
use crate::vm::BuildErrors;

/// The machine type of a plan.
///
/// ```
/// assert_eq!(qemu_dsl::sandbox::MachineKind::Microvm.name(), "microvm");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineKind {
    /// `microvm` without ACPI.
    Microvm,
    /// `microvm` with ACPI.
    MicrovmAcpi,
    /// `pc`.
    Pc,
    /// `q35`.
    Q35,
    /// `virt`.
    Virt,
}

impl MachineKind {
    /// QEMU's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Microvm | Self::MicrovmAcpi => "microvm",
            Self::Pc => "pc",
            Self::Q35 => "q35",
            Self::Virt => "virt",
        }
    }
}

/// The console of a plan.
///
/// ```
/// assert_eq!(qemu_dsl::sandbox::ConsoleKind::Pl011.linux_name(), "ttyAMA0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleKind {
    /// A virtconsole.
    Virtconsole,
    /// The ISA serial port.
    IsaSerial,
    /// The PL011 UART.
    Pl011,
}

impl ConsoleKind {
    /// What Linux calls it.
    pub const fn linux_name(self) -> &'static str {
        match self {
            Self::Virtconsole => "hvc0",
            Self::IsaSerial => "ttyS0",
            Self::Pl011 => "ttyAMA0",
        }
    }
}

/// What the table says for a configuration and facts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choices {
    pub(super) machine: MachineKind,
    pub(super) console: ConsoleKind,
    pub(super) accel: Acceleration,
    pub(super) isolation: Isolation,
    /// What the user should know: of the guest kernel, and of the isolation.
    pub(super) remarks: [Option<&'static str>; 2],
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Facts that cannot all be true.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// A host of an architecture that no sandbox has been tried on.
    #[error(
        "the facts say `arch` is `{arch}`, and there are plans for x86_64 and aarch64 hosts only: use `Vm` itself there"
    )]
    Architecture {
        /// The host's architecture.
        arch: Architecture,
    },
    /// A network with a QEMU that has no `-netdev stream`.
    #[error(
        "a network needs QEMU 7.2 or later for `-netdev stream`, and the binary is {version}: use a newer QEMU, or no network and no exposed ports"
    )]
    NetworkVersion {
        /// The binary's version.
        version: QemuVersion,
    },
    /// An isolation that the host does not have.
    #[error("this host has no isolation `{asked}`: {remedy}")]
    Isolation {
        /// What was asked for.
        asked: Isolation,
        /// What to do.
        remedy: &'static str,
    },
    /// Less isolation than is required.
    #[error("the isolation `{required}` is required, and the strongest here is `{level}`: {remedy}")]
    RequiredIsolation {
        /// What is required.
        required: Isolation,
        /// What there is.
        level: Isolation,
        /// What to do.
        remedy: &'static str,
    },
    /// A jail, and a user who is not root and wants another one.
    #[error(
        "a jail cannot run QEMU as another user, for `sudo` does not work in it: leave out the user, the jail is the stronger of the two; or ask for the isolation `namespaces`"
    )]
    JailWithUser,
    /// A path that a jail has of its own.
    #[error("a jail does not show `{}`: it has a root, a /proc and a /dev of its own, and no /sys; name what is needed, below them", path.escape_debug())]
    NotShown {
        /// The path.
        path: String,
    },
    /// A relative path in a jail, which has directories of its own.
    #[error("the path `{}` is relative, and in a jail it has to be absolute", path.escape_debug())]
    Relative {
        /// The path.
        path: String,
    },
    /// What the builder found.
    #[error(transparent)]
    Build(#[from] BuildErrors),
}
