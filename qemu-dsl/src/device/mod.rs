//! Devices: `-device`. One file a family.
//!
//! A wrapper author's own device is a struct with a derive:
//!
//! ```
//! use qemu_dsl::bus::Pci;
//! use qemu_dsl::prelude::*;
//!
//! /// QEMU's teaching device.
//! #[derive(QemuOpts)]
//! #[qemu(device = "edu", bus = Pci)]
//! struct Edu {
//!     #[qemu(rename = "dma_mask")]
//!     dma_mask: u64,
//! }
//!
//! let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
//! vm.add(Edu { dma_mask: 0xfff_ffff });
//! assert!(vm.build().unwrap().to_string().contains("-device edu,dma_mask=268435455"));
//! ```

mod balloon;
mod blk;
mod disk_serial;
mod mac;
mod net;
mod pci;
mod rng;
mod serial;
mod transport;

pub use balloon::VirtioBalloon;
pub use blk::VirtioBlk;
pub use disk_serial::{DiskSerial, DiskSerialError, IntoDiskSerial};
pub use mac::{IntoMacAddress, MacAddress, MacAddressError};
pub use net::VirtioNet;
pub use pci::{Nvme, PcieRootPort};
pub use rng::VirtioRng;
pub(crate) use serial::VirtConsole;
pub use serial::{ConsolePort, SerialPort, VirtSerialPort, VirtioSerial};
pub use transport::{OnMmio, OnPci};

use crate::bus::Bus;
use crate::opts::QemuOpts;

/// A device: a type with `#[derive(QemuOpts)]` and `#[qemu(device = "...")]`. [The module](self) has an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a device",
    label = "not a device",
    note = "give the struct `#[derive(QemuOpts)]` and `#[qemu(device = \"name\", bus = Pci)]`, or `#[qemu(device = \"virtio-name\", virtio)]`"
)]
pub trait Device: QemuOpts {
    /// The bus it plugs into.
    type Bus: Bus;
    /// QEMU's name of it; without the transport's suffix for virtio devices.
    const NAME: &'static str;
    /// Whether a VM has at most one.
    const SINGLE: bool = false;
}
