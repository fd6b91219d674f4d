//! An architecture that the library does not know, in three definitions: the architecture, a machine type for it, a CPU model.
//! What must be given: QEMU's name of each, the emulator's, the machine's buses and console. Limits are worth giving too: the
//! builder counts what it knows a limit of.

use qemu_dsl::QemuCommand;
use qemu_dsl::accel::{Arch, Architecture};
use qemu_dsl::bus::{HasBus, Pci, Virtio, VirtioMmio};
use qemu_dsl::cpu::CpuFor;
use qemu_dsl::machine::OfArch;
use qemu_dsl::prelude::*;
use qemu_dsl::vm::{BuildErrors, Target};

/// RISC-V, 32 bits.
#[derive(Debug, Clone, Copy)]
struct Riscv32;

impl Arch for Riscv32 {
    const ARCH: Option<Architecture> = Some(Architecture::other("riscv32", "qemu-system-riscv32"));
}

qemu_dsl::machine! {
    /// QEMU's board `virt` for riscv32. (QEMU documentation, "'virt' Generic Virtual Platform")
    struct Riscv32Virt = "virt" {
        arch: Riscv32,
        transport: Mmio,
        buses: [Virtio, VirtioMmio, Pci],
        uart: Ns16550a,
        accelerators: [Tcg],
        ioeventfd: [],
        facts: [cpus(&[((5, 2), 8), ((7, 2), 512)]), mmio_slots(&[((5, 2), 8)])],
    }
}

/// The plain model.
#[derive(QemuOpts)]
#[qemu(implied = "rv32")]
struct Rv32 {}
impl<M: OfArch<Riscv32>> CpuFor<M, Tcg> for Rv32 {}

/// A helper for every machine type with virtio, of whatever architecture.
fn add_random<M: HasBus<Virtio>>(vm: &mut Vm<M, Tcg>) {
    let random = vm.rng_backend(RngRandom::urandom());
    vm.add(VirtioRng::new(random));
}

/// With QMP at a path: a VM with so many devices on virtio-mmio, and one on PCI.
pub(crate) fn define(
    target: &Target<'_>,
    qmp: SocketPath<'_>,
    kernel: &str,
    devices: u32,
) -> Result<QemuCommand, BuildErrors> {
    let mut vm = Vm::for_target(target, Riscv32Virt::new(), Tcg::new(), Rv32 {}, mib!(256));
    vm.kernel(Kernel::new(kernel)).because("-kernel", || Reason::new("an example"));
    vm.qmp(qmp);
    for _ in 0..devices {
        add_random(&mut vm);
    }
    vm.add(OnPci(VirtioBalloon::new()));
    let stdio = vm.chardev(Stdio::new());
    vm.uart_console(stdio).build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", define(&Target::default(), SocketPath::new("qmp.sock")?, "Image", 8)?);
    Ok(())
}
