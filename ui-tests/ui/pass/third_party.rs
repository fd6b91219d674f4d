//! A wrapper author's own bus, machine type, CPU model, devices, back end and option values.
use qemu_dsl::accel::{Aarch64, Architecture};
use qemu_dsl::backend::{Chardev, ChardevBackend};
use qemu_dsl::bus::{Bus, HasBus, Pci, Virtio};
use qemu_dsl::cpu::CpuFor;
use qemu_dsl::machine::{HasPl011, HasUart, MachineFacts, MachineType, RunsUnder, Uart};
use qemu_dsl::opts::Transport;
use qemu_dsl::prelude::*;

struct I2c;
impl Bus for I2c {}

#[derive(QemuOpts)]
#[qemu(implied = "sbsa-ref")]
struct SbsaRef {}

impl MachineType for SbsaRef {
    type Arch = Aarch64;

    fn facts(&self) -> &'static MachineFacts {
        const { &MachineFacts::new("sbsa-ref", Architecture::Aarch64, Transport::Pci).uart(Uart::PL011).boots_disks() }
    }
}
impl RunsUnder<Tcg> for SbsaRef {}
impl HasBus<Virtio> for SbsaRef {}
impl HasBus<Pci> for SbsaRef {}
impl HasBus<I2c> for SbsaRef {}
impl HasPl011 for SbsaRef {}
impl HasUart for SbsaRef {
    const UART: Uart = Uart::PL011;
}

#[derive(QemuOpts)]
#[qemu(implied = "neoverse-n1")]
struct NeoverseN1 {}
impl<M: MachineType<Arch = Aarch64>> CpuFor<M, Tcg> for NeoverseN1 {}

#[derive(QemuOpts)]
#[qemu(device = "tmp105", bus = I2c)]
struct Thermometer {
    address: u8,
}

#[derive(QemuOpts)]
#[qemu(device = "pci-serial", bus = Pci)]
struct PciSerial {
    chardev: Chardev,
    speed: Speed,
}

#[derive(QemuOpts)]
#[qemu(value)]
enum Speed {
    #[qemu(rename = "115200")]
    Fast,
}

#[derive(QemuOpts)]
#[qemu(implied = "pty")]
struct Pty {}
impl ChardevBackend for Pty {}

fn main() {
    let mut vm = Vm::new(SbsaRef {}, Tcg::new(), NeoverseN1 {}, mib!(1024));
    vm.add(Thermometer { address: 0x48 });
    let pty = vm.chardev(Pty {});
    vm.add(PciSerial { chardev: pty, speed: Speed::Fast });
    let stdio = vm.chardev(Stdio::new());
    let command = vm.pl011_console(stdio).build().unwrap().to_string();
    assert!(command.contains("-device pci-serial,chardev=chardev0,speed=115200"), "{command}");
}
