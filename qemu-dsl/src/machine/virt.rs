use super::{HasPl011, HasUart, IoEventFd, MachineType, RunsUnder};
use crate::Memory;
use crate::accel::{Aarch64, Accelerator, Architecture, Hvf, Kvm, Tcg};
use crate::bus::{HasBus, Pci, Virtio, VirtioMmio};
use crate::opts::{QemuOpts, Transport};

/// The options of the board `virt`.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "virt")]
struct Board {
    /// EL2 for the guest, so that it can run VMs itself.
    virtualization: Option<bool>,
    /// Memory and devices above 4 GiB.
    highmem: Option<bool>,
    /// The version of the interrupt controller.
    gic_version: Option<GicVersion>,
    /// Merging of equal memory pages (KSM).
    mem_merge: Option<bool>,
    /// Guest memory in core dumps of QEMU.
    dump_guest_core: Option<bool>,
}

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

/// The machine type `virt` (aarch64) with virtio-mmio devices only: for guests without a PCI driver, which find their
/// devices faster. (QEMU documentation, "'virt' generic virtual platform")
///
/// QEMU's board does have PCI Express, and would accept PCI devices that such a guest never sees. [`VirtPcie`] is the same
/// board with PCI.
///
/// ```
/// use qemu_dsl::machine::{GicVersion, Virt};
/// use qemu_dsl::opts;
/// let machine = Virt::new().virtualization(false).highmem(false).gic_version(GicVersion::V3);
/// assert_eq!(opts::to_text(&machine)?, b"virt,virtualization=off,highmem=off,gic-version=3");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Virt {
    #[qemu(flatten)]
    board: Board,
}

/// The machine type `virt` (aarch64) with its PCI Express bus; virtio devices are PCI devices there.
///
/// ```
/// use qemu_dsl::machine::VirtPcie;
/// assert_eq!(qemu_dsl::opts::to_text(&VirtPcie::new()).unwrap(), b"virt");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VirtPcie {
    #[qemu(flatten)]
    board: Board,
}

/// hw/arm/virt.c, `NUM_VIRTIO_TRANSPORTS`.
const MMIO_SLOTS: u32 = 32;

macro_rules! virt {
    ($($name:ident $transport:ident $slots:expr;)*) => {$(
        impl $name {
            /// The board with QEMU's defaults.
            pub const fn new() -> Self {
                Self {
                    board: Board {
                        virtualization: None,
                        highmem: None,
                        gic_version: None,
                        mem_merge: None,
                        dump_guest_core: None,
                    },
                }
            }

            /// EL2 for the guest, so that it can run VMs itself.
            #[must_use]
            pub const fn virtualization(mut self, on: bool) -> Self {
                self.board.virtualization = Some(on);
                self
            }

            /// Memory and devices above 4 GiB. Off is for guests without LPAE, and bounds memory to 3 GiB.
            #[must_use]
            pub const fn highmem(mut self, on: bool) -> Self {
                self.board.highmem = Some(on);
                self
            }

            /// The version of the interrupt controller.
            #[must_use]
            pub const fn gic_version(mut self, version: GicVersion) -> Self {
                self.board.gic_version = Some(version);
                self
            }

            /// Whether the host may merge equal pages of guest memory (KSM). Off saves the host work, and keeps guests
            /// from finding out about each other's pages.
            #[must_use]
            pub const fn mem_merge(mut self, on: bool) -> Self {
                self.board.mem_merge = Some(on);
                self
            }

            /// Leaves guest memory out of the host's core dumps. QEMU has the option on Linux only, hence the proof.
            #[must_use]
            pub const fn without_core_dump(mut self, _linux: crate::accel::LinuxHost) -> Self {
                self.board.dump_guest_core = Some(false);
                self
            }
        }

        #[diagnostic::do_not_recommend]
        impl MachineType for $name {
            type Arch = Aarch64;

            fn architecture(&self) -> Architecture {
                Architecture::Aarch64
            }

            fn transport(&self) -> Transport {
                Transport::$transport
            }

            fn mmio_slots(&self) -> Option<u32> {
                $slots
            }

            fn max_cpus(&self) -> Option<u32> {
                // GIC_NCPU, include/hw/intc/arm_gic_common.h; virt_machine_class_init, hw/arm/virt.c
                Some(if self.board.gic_version == Some(GicVersion::V2) { 8 } else { 512 })
            }

            fn max_memory(&self) -> Option<Memory> {
                // It starts at 1 GiB. (base_memmap, hw/arm/virt.c)
                (self.board.highmem == Some(false)).then_some(crate::mib!(3072))
            }

            fn uart(&self) -> Option<&'static str> {
                Some("ttyAMA0")
            }
        }

        #[diagnostic::do_not_recommend]
        impl RunsUnder<Kvm<Aarch64>> for $name {}
        #[diagnostic::do_not_recommend]
        impl RunsUnder<Hvf<Aarch64>> for $name {}
        #[diagnostic::do_not_recommend]
        impl RunsUnder<Tcg> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasBus<Virtio> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasPl011 for $name {}
        #[diagnostic::do_not_recommend]
        impl HasUart for $name {}
    )*};
}
virt! {
    Virt Mmio Some(MMIO_SLOTS);
    VirtPcie Pci Some(MMIO_SLOTS);
}

#[diagnostic::do_not_recommend]
impl HasBus<VirtioMmio> for Virt {}
#[diagnostic::do_not_recommend]
impl HasBus<VirtioMmio> for VirtPcie {}
#[diagnostic::do_not_recommend]
impl HasBus<Pci> for VirtPcie {}
#[diagnostic::do_not_recommend]
impl IoEventFd<Kvm<Aarch64>> for Virt {}
#[diagnostic::do_not_recommend]
impl<A: Accelerator> IoEventFd<A> for VirtPcie {}
