//! Machine types, and what each of them provides.
//!
//! | machine type | architecture | virtio transport | console ports | also |
//! |---|---|---|---|---|
//! | [`Microvm`] | `x86_64` | virtio-mmio, 8 | virtconsole, ISA serial | the only one without firmware tables |
//! | [`Microvm::with_acpi`] | `x86_64` | virtio-mmio, 24 | the same | for guests that cannot read devices from the command line |
//! | [`Microvm::with_pcie`] | `x86_64` | virtio-pci | the same | PCI Express, and ACPI with it |
//! | [`Pc`], [`Q35`] | `x86_64` | virtio-pci | virtconsole, ISA serial | |
//! | [`Virt`] | aarch64 | virtio-mmio, 32 | virtconsole, PL011 | QEMU's board has `PCIe`; this type does not let you use it |
//! | [`VirtPcie`] | aarch64 | virtio-pci | virtconsole, PL011 | the same board |
//! | [`AnyMachine`] | either | the machine's own | virtconsole, its UART | chosen at run time |
//!
//! A machine type of your own:
//!
//! ```
//! use qemu_dsl::accel::{Aarch64, Architecture};
//! use qemu_dsl::bus::{HasBus, Pci, Virtio};
//! use qemu_dsl::cpu::Max;
//! use qemu_dsl::machine::{MachineType, RunsUnder};
//! use qemu_dsl::opts::Transport;
//! use qemu_dsl::prelude::*;
//!
//! /// QEMU's Arm server reference board.
//! #[derive(QemuOpts)]
//! #[qemu(implied = "sbsa-ref")]
//! struct SbsaRef {}
//!
//! impl MachineType for SbsaRef {
//!     type Arch = Aarch64;
//!     fn architecture(&self) -> Architecture { Architecture::Aarch64 }
//!     fn transport(&self) -> Transport { Transport::Pci }
//! }
//! impl RunsUnder<Tcg> for SbsaRef {}
//! impl HasBus<Virtio> for SbsaRef {}
//! impl HasBus<Pci> for SbsaRef {}
//!
//! let mut vm = Vm::new(SbsaRef {}, Tcg::new(), Max::new(), mib!(1024));
//! vm.add(VirtioBalloon::new());
//! assert!(vm.build().unwrap().to_string().contains("virtio-balloon-pci"));
//! ```

mod any;
mod microvm;
mod pc;
mod virt;

pub use any::AnyMachine;
pub use microvm::{
    Acpi, FirmwareTables, IsaSerialOff, IsaSerialOn, IsaSerialSetting, LoadsKernelWithoutRoms, Microvm, NoAcpi, Pcie,
    TimersOff, TimersOn, TimersSetting,
};
pub use pc::{Pc, Q35};
pub use virt::{GicVersion, Virt, VirtPcie};

use crate::Memory;
use crate::accel::{Arch, Architecture};
use crate::opts::{QemuOpts, Transport};

/// A machine type: `-machine`. [The module](self) has an example of one of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a machine type",
    label = "not a machine type",
    note = "use one of `qemu_dsl::machine`, or implement `MachineType` for `{Self}`"
)]
pub trait MachineType: QemuOpts {
    /// The guest's instruction set.
    type Arch: Arch;

    /// The guest's instruction set, as a value.
    fn architecture(&self) -> Architecture;

    /// How virtio devices are attached.
    fn transport(&self) -> Transport;

    /// How many virtio-mmio devices fit, where there is a limit.
    fn mmio_slots(&self) -> Option<u32> {
        None
    }

    /// How many CPUs there can be, where there is a limit.
    fn max_cpus(&self) -> Option<u32> {
        None
    }

    /// How much memory there can be, where there is a limit.
    fn max_memory(&self) -> Option<Memory> {
        None
    }

    /// The name of the UART that Linux gives a console on: `ttyS0`, `ttyAMA0`. [`None`] without one.
    fn uart(&self) -> Option<&'static str> {
        None
    }
}

/// A machine type for guests of architecture `A`. Every machine type is, for its own; there is nothing to implement, so
/// there is no example.
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` is not for `{A}` guests",
    label = "another architecture"
)]
pub trait OfArch<A: Arch>: MachineType {}

#[diagnostic::do_not_recommend]
impl<M: MachineType> OfArch<M::Arch> for M {}

/// A machine type that runs under the accelerator `A`. [The module](self) has an example.
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` does not run under the accelerator `{A}`",
    label = "does not run under `{A}`",
    note = "KVM and HVF run only guests of the host's own architecture: use `Tcg` for another one",
    note = "a `Microvm` without timers needs a TSC deadline timer, which `Tcg` does not emulate: without it, it never boots"
)]
pub trait RunsUnder<A>: MachineType {}

/// A machine type with a first ISA serial port, `ttyS0`, that is switched on.
///
/// ```
/// use qemu_dsl::machine::{HasIsaSerial, Pc};
/// fn has_com1<M: HasIsaSerial>(_: &M) {}
/// has_com1(&Pc::new());
/// ```
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` has no ISA serial port, or it is switched off",
    label = "needs a machine type with an ISA serial port that is on",
    note = "`Pc`, `Q35` and `Microvm` have one; `Microvm::without_isa_serial()` switches it off: QEMU would accept it and show nothing",
    note = "`Virt` and `VirtPcie` have a PL011 instead: use `pl011_console`"
)]
pub trait HasIsaSerial: MachineType {}

/// A machine type with a PL011 UART, `ttyAMA0`.
///
/// ```
/// use qemu_dsl::machine::{HasPl011, Virt};
/// fn has_pl011<M: HasPl011>(_: &M) {}
/// has_pl011(&Virt::new());
/// ```
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` has no PL011 UART",
    label = "needs a machine type with a PL011",
    note = "`Virt` and `VirtPcie` have one; `Pc`, `Q35` and `Microvm` have an ISA serial port: use `isa_serial_console`"
)]
pub trait HasPl011: MachineType {}

/// A machine type with a UART of either kind that is switched on: [`AnyMachine`] too.
///
/// ```
/// use qemu_dsl::machine::{HasUart, Q35, Virt};
/// fn has_uart<M: HasUart>(_: &M) {}
/// has_uart(&Q35::new());
/// has_uart(&Virt::new());
/// ```
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` has no UART that is switched on",
    label = "needs a machine type with a UART",
    note = "`Microvm::without_isa_serial()` switches its only one off: use `virtconsole`"
)]
pub trait HasUart: MachineType {}

/// A machine type whose disks can be served by an I/O thread under accelerator `A`, with every version of QEMU.
///
/// ```
/// use qemu_dsl::accel::Tcg;
/// use qemu_dsl::machine::{IoEventFd, Pc};
/// fn can<M: IoEventFd<Tcg>>(_: &M) {}
/// can(&Pc::new());
/// ```
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` has no ioeventfd under the accelerator `{A}`, and an I/O thread needs it",
    label = "no ioeventfd with `{Self}` under `{A}`",
    note = "virtio-mmio has it under `Kvm`, and under `Tcg` from QEMU 10.0 on: `iothread_since(proof)` takes the proof of the version",
    note = "`Pc`, `Q35` and `VirtPcie` have it under every accelerator"
)]
pub trait IoEventFd<A>: MachineType {}

/// Options that every machine type of QEMU has.
macro_rules! common_options {
    ($(@[$($generics:tt)*])? $ty:ty) => {
        impl$(<$($generics)*>)? $ty {
            /// Whether the host may merge equal pages of guest memory (KSM). Off saves the host work, and keeps guests
            /// from finding out about each other's pages. (`mem-merge=`)
            #[must_use]
            pub const fn mem_merge(mut self, on: bool) -> Self {
                self.mem_merge = Some(on);
                self
            }

            /// Leaves guest memory out of the host's core dumps. QEMU has the option on Linux only, hence the proof.
            /// (`dump-guest-core=off`)
            #[must_use]
            pub const fn without_core_dump(mut self, _linux: $crate::accel::LinuxHost) -> Self {
                self.dump_guest_core = Some(false);
                self
            }
        }
    };
}
use common_options;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accel::{LinuxHost, Proof as _, TscDeadline};
    use crate::opts::to_text;

    fn text(machine: &impl MachineType) -> String {
        String::from_utf8(to_text(machine).unwrap()).unwrap()
    }

    #[test]
    fn machine_options() {
        assert_eq!(text(&Microvm::new()), "microvm,acpi=off,x-option-roms=off");
        assert_eq!(
            text(
                &Microvm::new()
                    .without_timers(TscDeadline::PROVEN)
                    .without_isa_serial()
                    .mem_merge(false)
                    .without_core_dump(LinuxHost::PROVEN)
            ),
            "microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=off,mem-merge=off,dump-guest-core=off"
        );
        assert_eq!(text(&Microvm::with_acpi()), "microvm,acpi=on,x-option-roms=on");
        assert_eq!(text(&Microvm::with_pcie()), "microvm,acpi=on,x-option-roms=on,pcie=on");
        assert_eq!(text(&Pc::new().mem_merge(true)), "pc,mem-merge=on");
        assert_eq!(text(&Q35::new()), "q35");
        assert_eq!(
            text(&Virt::new().gic_version(GicVersion::V3).highmem(false).virtualization(false)),
            "virt,virtualization=off,highmem=off,gic-version=3"
        );
    }

    #[test]
    fn slots() {
        assert_eq!(Microvm::new().mmio_slots(), Some(8));
        assert_eq!(Microvm::with_acpi().mmio_slots(), Some(24));
        assert_eq!(Microvm::with_pcie().transport(), Transport::Pci);
        assert_eq!(Virt::new().mmio_slots(), Some(32));
        assert_eq!(AnyMachine::from(Virt::new()).mmio_slots(), Some(32));
        assert_eq!(AnyMachine::from(Pc::new()).transport(), Transport::Pci);
    }
}
