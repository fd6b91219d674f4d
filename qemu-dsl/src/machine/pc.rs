use super::{HasIsaSerial, HasUart, IoEventFd, MachineType, RunsUnder, common_options};
use crate::accel::{Accelerator, Architecture, Hvf, Kvm, Tcg, X86_64};
use crate::bus::{HasBus, Isa, Pci, Virtio};
use crate::opts::{QemuOpts, Transport};

/// The machine type `pc`: the i440FX PC of 1996 with PCI. Every x86 kernel boots on it.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::machine::Pc::new()).unwrap(), b"pc");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "pc")]
pub struct Pc {
    /// Merging of equal memory pages (KSM).
    mem_merge: Option<bool>,
    /// Guest memory in core dumps of QEMU.
    dump_guest_core: Option<bool>,
}

/// The machine type `q35`: the PC of 2009 with PCI Express.
///
/// ```
/// assert_eq!(qemu_dsl::opts::to_text(&qemu_dsl::machine::Q35::new()).unwrap(), b"q35");
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[qemu(implied = "q35")]
pub struct Q35 {
    /// Merging of equal memory pages (KSM).
    mem_merge: Option<bool>,
    /// Guest memory in core dumps of QEMU.
    dump_guest_core: Option<bool>,
}

macro_rules! pc {
    ($($name:ident $max_cpus:literal)*) => {$(
        impl $name {
            /// The machine with QEMU's defaults.
            pub const fn new() -> Self {
                Self { mem_merge: None, dump_guest_core: None }
            }
        }

        common_options!($name);

        #[diagnostic::do_not_recommend]
        impl MachineType for $name {
            type Arch = X86_64;

            fn architecture(&self) -> Architecture {
                Architecture::X86_64
            }

            fn transport(&self) -> Transport {
                Transport::Pci
            }

            fn max_cpus(&self) -> Option<u32> {
                Some($max_cpus)
            }

            fn uart(&self) -> Option<&'static str> {
                Some("ttyS0")
            }
        }

        #[diagnostic::do_not_recommend]
        impl RunsUnder<Kvm<X86_64>> for $name {}
        #[diagnostic::do_not_recommend]
        impl RunsUnder<Hvf<X86_64>> for $name {}
        #[diagnostic::do_not_recommend]
        impl RunsUnder<Tcg> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasBus<Virtio> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasBus<Pci> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasBus<Isa> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasIsaSerial for $name {}
        #[diagnostic::do_not_recommend]
        impl HasUart for $name {}
        #[diagnostic::do_not_recommend]
        impl<A: Accelerator> IoEventFd<A> for $name {}
    )*};
}
// pc_i440fx_machine_options and pc_q35_machine_options, hw/i386/. Newer versions allow more on q35.
pc!(Pc 255 Q35 288);
