//! For authors of QEMU wrappers: devices that provide a bus, and devices on it. Whoever has the bus has the proof that its
//! controller is there.

use qemu_dsl::backend::BlockNode;
use qemu_dsl::bus::{Bus, Pci, ProvidesBus};
use qemu_dsl::prelude::*;

/// A SCSI bus.
struct Scsi;
impl Bus for Scsi {}

/// A SCSI controller.
#[derive(QemuOpts)]
#[qemu(device = "virtio-scsi", virtio, rename_all = "snake_case")]
struct VirtioScsi {
    num_queues: Option<u16>,
}
impl ProvidesBus for VirtioScsi {
    type Provides = Scsi;
}

/// A disk on a SCSI bus: without one it cannot be added.
#[derive(QemuOpts)]
#[qemu(device = "scsi-hd", bus = Scsi)]
struct ScsiDisk {
    drive: BlockNode,
    #[qemu(rename = "scsi-id")]
    scsi_id: u8,
}

/// A USB bus.
struct Usb;
impl Bus for Usb {}

/// A USB 3 controller.
#[derive(QemuOpts)]
#[qemu(device = "qemu-xhci", bus = Pci)]
struct Xhci {}
impl ProvidesBus for Xhci {
    type Provides = Usb;
}

/// A pointer that knows where it is.
#[derive(QemuOpts)]
#[qemu(device = "usb-tablet", bus = Usb)]
struct UsbTablet {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(256));
    let scsi = vm.add_bus(VirtioScsi { num_queues: Some(1) });
    for (scsi_id, image) in [(0, "root.qcow2"), (1, "data.qcow2")] {
        let drive = vm.drive(Drive::new(image, Format::Qcow2));
        vm.add_to(&scsi, ScsiDisk { drive, scsi_id });
    }
    let usb = vm.add_bus_as(id!("usb"), Xhci {});
    vm.add_to(&usb, UsbTablet {});
    // A port of PCI Express is a bus too, for devices that can be unplugged.
    let port = vm.add_bus(PcieRootPort::new(1));
    let random = vm.rng_backend(RngRandom::urandom());
    vm.add_to(&port, OnPci(VirtioRng::new(random)));
    println!("{}", vm.build()?);
    Ok(())
}
