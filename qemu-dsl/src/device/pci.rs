//! Devices that are PCI devices and nothing else.

use super::{DiskSerial, IntoDiskSerial};
use crate::backend::{BlockNode, IntoBlockNode};
use crate::bus::{Pci, ProvidesBus};
use crate::opts::{OptType, OptValue, QemuOpts, Unique, ValueWriter};

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
#[qemu(device = "nvme", bus = Pci, build = "A controller for `drive`.")]
pub struct Nvme {
    /// The disk image.
    #[qemu(with = |drive: impl IntoBlockNode| drive.into_block_node())]
    drive: BlockNode,
    /// The serial number, which an `NVMe` controller must have.
    #[qemu(with = |serial: impl IntoDiskSerial| serial.into_disk_serial())]
    serial: DiskSerial,
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
    chassis: Chassis,
    /// The slot in the chassis.
    slot: Option<u16>,
}

impl ProvidesBus for PcieRootPort {
    type Provides = Pci;
    // The bus of a bridge has the bridge's own name. (`pci_bridge_initfn`, hw/pci/pci_bridge.c)
    const SUFFIX: &'static str = "";
}

/// A chassis, and the slot in it, 0 where none is named. (`pcie_chassis_add_slot`, `hw/pci/pcie_port.c`)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chassis {
    chassis: u8,
    slot: u16,
}

impl OptValue for Chassis {
    const TYPE: OptType = OptType::Integer;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.claim(Unique::Chassis(self.chassis, self.slot));
        value.integer(self.chassis);
    }
}

impl PcieRootPort {
    /// A port in `chassis`.
    pub const fn new(chassis: u8) -> Self {
        Self { chassis: Chassis { chassis, slot: 0 }, slot: None }
    }

    /// The slot in the chassis: without it 0.
    #[must_use]
    pub const fn slot(mut self, slot: u16) -> Self {
        self.chassis.slot = slot;
        self.slot = Some(slot);
        self
    }
}
