//! An architecture that the library does not know, in three definitions: the architecture, a machine type for it, a CPU model.
//! What must be given: QEMU's name of each, the emulator's, the machine's buses and console; limits are worth giving, since the
//! builder then counts.

use qemu_dsl::accel::{Arch, Architecture};
use qemu_dsl::bus::{HasBus, Virtio, VirtioMmio};
use qemu_dsl::cpu::CpuFor;
use qemu_dsl::machine::OfArch;
use qemu_dsl::prelude::*;

/// The 68000 family.
#[derive(Debug, Clone, Copy)]
struct M68k;

impl Arch for M68k {
    const ARCH: Option<Architecture> = Some(Architecture::other("m68k", "qemu-system-m68k"));
}

qemu_dsl::machine! {
    /// QEMU's board `virt` for m68k: virtio-mmio and nothing else. (QEMU documentation, "'virt' generic virtual platform")
    struct M68kVirt = "virt" {
        arch: M68k,
        transport: Mmio,
        buses: [Virtio, VirtioMmio],
        uart: Named("ttyGF0"),
        accelerators: [Tcg],
        ioeventfd: [],
        facts: [cpus(&[((6, 0), 1)]), mmio_slots(&[((6, 0), 128)])],
    }
}

/// Motorola's 68040.
#[derive(QemuOpts)]
#[qemu(implied = "m68040")]
struct M68040 {}
impl<M: OfArch<M68k>> CpuFor<M, Tcg> for M68040 {}

/// A helper does not care about the architecture.
fn add_disk<M: HasBus<Virtio>>(vm: &mut Vm<M, Tcg>, image: &str) {
    let disk = vm.drive(Drive::new(image, Format::Raw));
    vm.add(VirtioBlk::new(disk));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut vm = Vm::new(M68kVirt::new(), Tcg::new(), M68040 {}, mib!(256));
    vm.kernel(Kernel::new("vmlinux").cmdline("root=/dev/vda"));
    add_disk(&mut vm, "root.raw");
    let stdio = vm.chardev(Stdio::new());
    println!("{}", vm.uart_console(stdio).build()?);
    Ok(())
}
