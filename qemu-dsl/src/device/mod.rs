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

pub use disk_serial::{DiskSerial, DiskSerialError, IntoDiskSerial};
pub use mac::{IntoMacAddress, MacAddress, MacAddressError};
pub(crate) use serial::{CONTROLLER, Controller, FIRST_CONTROLLER, PORT};
pub use serial::{ConsolePort, SerialPort};
pub use transport::{OnMmio, OnPci};

pub use crate::bus::Device;

crate::opts::family! { "-device" DEVICES {
    pub balloon::VirtioBalloon,
    pub blk::VirtioBlk,
    pub net::VirtioNet,
    pub pci::Nvme,
    pub pci::PcieRootPort,
    pub rng::VirtioRng,
    pub(crate) serial::VirtConsole,
    pub serial::VirtSerialPort,
    pub serial::VirtioSerial,
} }
