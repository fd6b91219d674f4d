//! The sandbox: the smallest, fastest and most locked-down VM that the host can run, for code that nobody trusts.
//!
//! A qcow2 overlay as root disk, two channels to a guest agent, a balloon, a network through gvproxy or none, QMP. What
//! the VM looks like follows from [`SandboxConfig`] and [`HostFacts`](crate::HostFacts) alone: [`plan`] touches nothing.
//!
//! | host | machine | transport | console |
//! |---|---|---|---|
//! | `x86_64`, KVM, TSC deadline | microvm without PIT, PIC and RTC | virtio-mmio | `hvc0`, a virtconsole |
//! | `x86_64`, KVM or HVF, no TSC deadline | microvm | virtio-mmio | `hvc0`, a virtconsole |
//! | `x86_64`, TCG | pc | virtio-pci | `ttyS0`, the ISA serial port |
//! | aarch64 | virt | virtio-mmio | `ttyAMA0`, the PL011 |
//!
//! [`Profile::Fast`] boots faster under TCG; [`Planner`] plans faster, for many sandboxes.
//!
//! ```
//! use qemu_dsl::HostFacts;
//! use qemu_dsl::sandbox::{SandboxConfig, plan};
//!
//! let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/usr/lib/sandbox")?.memory(512)?;
//! let plan = plan(&config, &HostFacts::example())?;
//! assert!(plan.command().to_string().contains("-device virtio-blk-device,drive=hd0,iothread=iothread0-job-1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choices;
mod config;
mod confinement;
#[cfg(feature = "host")]
mod launch;
#[cfg(feature = "host")]
mod network;
#[cfg(feature = "host")]
mod place;
mod plan;
mod planner;
mod reasons;
mod rows;

pub use crate::policy::{ExposedPort, NetworkMode};
pub use choices::{ConsoleKind, MachineKind, PlanError};
pub use config::{ConfigError, Paths, Profile, SandboxConfig, VmId, WORK_FILES};
pub use confinement::Confinement;
#[cfg(feature = "host")]
pub use launch::{OPEN_FILES, limits};
#[cfg(feature = "host")]
pub use network::{SandboxNetwork, SandboxNetworkError};
#[cfg(feature = "host")]
pub use place::{Place, PlaceError, PlaceOptions, work_parent};
pub use plan::{Plan, plan, plan_reusing};
pub use planner::Planner;
