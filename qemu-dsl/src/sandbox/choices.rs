//! What is chosen for a sandbox, and why nothing can be.

use crate::QemuVersion;
use crate::backend::SocketPathError;
use crate::facts::{Acceleration, FactsError};
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
    pub(super) remark: Option<&'static str>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Facts that cannot all be true.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// A network with a QEMU that has no `-netdev stream`.
    #[error(
        "a network needs QEMU 7.2 or later for `-netdev stream`, and the binary is {version}: use a newer QEMU, or no network and no exposed ports"
    )]
    NetworkVersion {
        /// The binary's version.
        version: QemuVersion,
    },
    /// A socket whose path is not possible.
    #[error(transparent)]
    Socket(#[from] SocketPathError),
    /// What the builder found.
    #[error(transparent)]
    Build(#[from] BuildErrors),
}
