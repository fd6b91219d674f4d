//! Devices that are PCI devices and nothing else.

use super::{DiskSerial, IntoDiskSerial};
use crate::backend::BlockNode;
use crate::bus::Pci;
use crate::opts::QemuOpts;
use crate::setters::setters;

/// An `NVMe` controller with one namespace: `nvme`. Linux calls the first one `/dev/nvme0n1`.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let disk = vm.drive(Drive::new("root.raw", Format::Raw));
/// vm.add(Nvme::new(disk, DiskSerial::new("disk-1")?));
/// assert!(vm.build().unwrap().to_string().contains("nvme,drive=drive0,serial=disk-1"));
/// # Ok::<(), qemu_dsl::device::DiskSerialError>(())
/// ```
#[derive(QemuOpts, Debug)]
#[qemu(device = "nvme", bus = Pci, write_only)]
pub struct Nvme {
    /// The disk image.
    drive: BlockNode,
    /// The serial number, which an `NVMe` controller must have.
    serial: DiskSerial,
}

impl Nvme {
    /// A controller for `drive`.
    pub fn new(drive: BlockNode, serial: impl IntoDiskSerial) -> Self {
        Self { drive, serial: serial.into_disk_serial() }
    }
}

/// A PCI Express port that one device can be plugged into, also later: `pcie-root-port`.
///
/// ```
/// use qemu_dsl::device::PcieRootPort;
/// assert_eq!(qemu_dsl::opts::to_text(&PcieRootPort::new(1).slot(2)).unwrap(), b"pcie-root-port,chassis=1,slot=2");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(device = "pcie-root-port", bus = Pci)]
pub struct PcieRootPort {
    /// The chassis; each port of a machine has its own pair of chassis and slot.
    chassis: u8,
    /// The slot in the chassis.
    slot: Option<u16>,
}

impl PcieRootPort {
    /// A port in `chassis`.
    pub const fn new(chassis: u8) -> Self {
        Self { chassis, slot: None }
    }
}

setters! { PcieRootPort {
    /// The slot in the chassis.
    slot: u16,
} }
