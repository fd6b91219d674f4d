//! For authors of QEMU wrappers: a device, a character device and a machine type that the library does not know, in the same
//! checks as its own.

use qemu_dsl::accel::{Aarch64, Architecture};
use qemu_dsl::backend::{Chardev, ChardevBackend};
use qemu_dsl::bus::{HasBus, Pci, Virtio};
use qemu_dsl::cpu::Max;
use qemu_dsl::machine::{HasPl011, MachineType, RunsUnder};
use qemu_dsl::opts::Transport;
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

/// QEMU's Arm server reference board.
#[derive(QemuOpts)]
#[qemu(implied = "sbsa-ref")]
struct SbsaRef {}

impl MachineType for SbsaRef {
    type Arch = Aarch64;

    fn architecture(&self) -> Architecture {
        Architecture::Aarch64
    }

    fn transport(&self) -> Transport {
        Transport::Pci
    }

    fn uart(&self) -> Option<&'static str> {
        Some("ttyAMA0")
    }
}
impl RunsUnder<Tcg> for SbsaRef {}
impl HasBus<Virtio> for SbsaRef {}
impl HasBus<Pci> for SbsaRef {}
impl HasPl011 for SbsaRef {}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut vm = Vm::new(SbsaRef {}, Tcg::new(), Max::new(), mib!(1024));
    let pty = vm.chardev(Pty {});
    vm.add(PciSerial { chardev: pty });
    vm.add(VirtioBalloon::new());
    let stdio = vm.chardev(Stdio::new());
    println!("{}", vm.pl011_console(stdio).build()?);
    Ok(())
}
