//! For authors of QEMU wrappers: a device, a character device and a machine type that the library does not know, in the same
//! checks as its own.

use qemu_dsl::accel::Aarch64;
use qemu_dsl::backend::{Chardev, ChardevBackend};
use qemu_dsl::bus::{Pci, Virtio};
use qemu_dsl::cpu::Max;
use qemu_dsl::prelude::*;

/// A UART on a PCI card.
#[derive(QemuOpts)]
#[qemu(device = "pci-serial", bus = Pci)]
struct PciSerial {
    /// Moved in: no second device can have it.
    chardev: Chardev,
}

/// A character device that ends in a pseudo-terminal.
#[derive(QemuOpts)]
#[qemu(implied = "pty")]
struct Pty {}
impl ChardevBackend for Pty {}

qemu_dsl::machine! {
    /// QEMU's Arm server reference board.
    struct SbsaRef = "sbsa-ref" {
        arch: Aarch64,
        transport: Pci,
        buses: [Virtio, Pci],
        uart: Pl011,
        accelerators: [Tcg],
        ioeventfd: [any],
        facts: [cpus(&[((5, 2), 512)]), boots_disks()],
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut vm = Vm::new(SbsaRef::new(), Tcg::new(), Max::new(), mib!(1024));
    let pty = vm.chardev(Pty {});
    vm.add(PciSerial { chardev: pty });
    vm.add(VirtioBalloon::new());
    let stdio = vm.chardev(Stdio::new());
    println!("{}", vm.pl011_console(stdio).build()?);
    Ok(())
}
