use super::{IoEventFd, Versions};
use crate::accel::{Aarch64, AnyAccel, Hvf, Kvm, Riscv64, Tcg};
use crate::bus::{Pci, Virtio, VirtioMmio};
use crate::opts::QemuOpts;

/// The version of the interrupt controller of [`Virt`], which has an example. (QEMU documentation, "'virt' generic virtual
/// platform", `gic-version`)
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
pub enum GicVersion {
    /// `GICv2`: at most 8 CPUs.
    #[qemu(rename = "2")]
    V2,
    /// `GICv3`.
    #[qemu(rename = "3")]
    V3,
}

/// Arm's board `virt`, for guests with a driver for PCI and for those without.
macro_rules! arm {
    (
        $(#[$meta:meta])*
        $name:ident $transport:ident [$($bus:ty),*] [$($ioeventfd:tt)*] [$($fact:ident($($value:expr),*)),*]
    ) => {
        crate::machine! {
            $(#[$meta])*
            pub struct $name = "virt" {
                arch: Aarch64,
                transport: $transport,
                buses: [$($bus),*],
                uart: Pl011,
                accelerators: [Kvm<Aarch64>, Hvf<Aarch64>, Tcg, AnyAccel],
                ioeventfd: [$($ioeventfd)*],
                facts: [
                    cpus(&[((2, 6), 255), ((3, 0), 512)]),
                    // Without a version of the interrupt controller, older ones take the second: 8 CPUs.
                    tcg_cpus(&[((5, 2), 8), ((10, 0), 512)]),
                    mmio_slots(&[((5, 2), 32)])
                    $(, $fact($($value),*))*
                ],
            }
            versions Versions::new("virt-", &[((5, 2), (2, 6)), ((11, 1), (5, 2))]);
            options {
                /// EL2 for the guest, so that it can run VMs itself.
                virtualization: bool,
                /// Memory and devices above 4 GiB. Off is for guests without LPAE, and bounds memory to 3 GiB.
                highmem: bool,
                /// The version of the interrupt controller.
                gic_version: GicVersion,
            }
            // Memory starts at 1 GiB, and a redistributor for each CPU of a GICv3 has room for 123 below 4 GiB.
            when |machine| {
                machine.gic_version == Some(GicVersion::V2) && machine.highmem == Some(false) => "gic-version=2,highmem=off"
                    [cpus(&[((5, 2), 8)]), tcg_cpus(&[((5, 2), 8)]), max_memory(crate::mib!(3072))],
                machine.gic_version == Some(GicVersion::V2) => "gic-version=2"
                    [cpus(&[((5, 2), 8)]), tcg_cpus(&[((5, 2), 8)])],
                machine.gic_version == Some(GicVersion::V3) && machine.highmem == Some(false) => "gic-version=3,highmem=off"
                    [cpus(&[((5, 2), 123)]), tcg_cpus(&[((5, 2), 123)]), max_memory(crate::mib!(3072))],
                machine.gic_version == Some(GicVersion::V3) => "gic-version=3"
                    [tcg_cpus(&[((5, 2), 123), ((7, 2), 512)])],
                machine.highmem == Some(false) => "highmem=off"
                    [tcg_cpus(&[((5, 2), 8), ((10, 0), 123)]), max_memory(crate::mib!(3072))],
            }
        }
    };
}

arm! {
    /// The machine type `virt` (aarch64) with virtio-mmio devices only: for guests without a PCI driver, which find their
    /// devices faster. (QEMU documentation, "'virt' generic virtual platform")
    ///
    /// QEMU's board does have PCI Express, and would accept PCI devices that such a guest never sees. [`VirtPcie`] is the same
    /// board with PCI. It boots nothing by itself: it needs a kernel, or firmware.
    ///
    /// ```
    /// use qemu_dsl::machine::{GicVersion, Virt};
    /// use qemu_dsl::opts;
    /// let machine = Virt::new().virtualization(false).highmem(false).gic_version(GicVersion::V3);
    /// assert_eq!(opts::to_text(&machine)?, b"virt,virtualization=off,highmem=off,gic-version=3");
    /// # Ok::<(), opts::OptError>(())
    /// ```
    Virt Mmio [Virtio, VirtioMmio] [] []
}

// Not in the macro: compiler messages show it.
#[diagnostic::do_not_recommend]
impl IoEventFd<Kvm<Aarch64>> for Virt {}

arm! {
    /// The machine type `virt` (aarch64) with its PCI Express bus; virtio devices are PCI devices there.
    ///
    /// ```
    /// use qemu_dsl::machine::VirtPcie;
    /// use qemu_dsl::opts::to_text;
    /// assert_eq!(to_text(&VirtPcie::new()).unwrap(), b"virt");
    /// assert_eq!(to_text(&VirtPcie::new().versioned(9, 0)).unwrap(), b"virt-9.0");
    /// ```
    VirtPcie Pci [Virtio, VirtioMmio, Pci] [any] [pci_slots(&[((5, 2), 31)])]
}

/// RISC-V's board `virt`, for guests with a driver for PCI and for those without.
macro_rules! riscv {
    (
        $(#[$meta:meta])*
        $name:ident $transport:ident [$($bus:ty),*] [$($ioeventfd:tt)*] [$($fact:ident($($value:expr),*)),*]
    ) => {
        crate::machine! {
            $(#[$meta])*
            pub struct $name = "virt" {
                arch: Riscv64,
                transport: $transport,
                buses: [$($bus),*],
                uart: Ns16550a,
                accelerators: [Kvm<Riscv64>, Tcg, AnyAccel],
                ioeventfd: [$($ioeventfd)*],
                facts: [cpus(&[((5, 2), 8), ((7, 2), 512)]), mmio_slots(&[((5, 2), 8)]) $(, $fact($($value),*))*],
            }
        }
    };
}

riscv! {
    /// The machine type `virt` (riscv64) with virtio-mmio devices only. QEMU gives it its own `OpenSBI` as firmware, which starts the
    /// kernel; without a kernel it has nothing to boot. (QEMU documentation, "'virt' Generic Virtual Platform")
    ///
    /// ```
    /// use qemu_dsl::cpu::Rv64;
    /// use qemu_dsl::machine::RiscvVirt;
    /// use qemu_dsl::prelude::*;
    /// let mut vm = Vm::new(RiscvVirt::new(), Tcg::new(), Rv64::new(), mib!(256));
    /// vm.kernel(Kernel::new("Image"));
    /// let stdio = vm.chardev(Stdio::new());
    /// let command = vm.uart_console(stdio).build()?.to_string();
    /// assert!(command.starts_with("qemu-system-riscv64 -accel tcg -cpu rv64 -machine virt "));
    /// assert!(command.ends_with("-append console=ttyS0"));
    /// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
    /// ```
    RiscvVirt Mmio [Virtio, VirtioMmio] [] []
}

#[diagnostic::do_not_recommend]
impl IoEventFd<Kvm<Riscv64>> for RiscvVirt {}

riscv! {
    /// The machine type `virt` (riscv64) with its PCI Express bus; virtio devices are PCI devices there.
    ///
    /// ```
    /// use qemu_dsl::machine::{MachineType, RiscvVirtPcie};
    /// assert_eq!(RiscvVirtPcie::new().facts().pci_slots.at(None), Some(31));
    /// ```
    RiscvVirtPcie Pci [Virtio, VirtioMmio, Pci] [any] [pci_slots(&[((5, 2), 31)])]
}
