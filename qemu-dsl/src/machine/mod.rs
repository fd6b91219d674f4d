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
//! | [`RiscvVirt`] | riscv64 | virtio-mmio, 8 | virtconsole, 16550A | QEMU's board has `PCIe`; this type does not let you use it |
//! | [`RiscvVirtPcie`] | riscv64 | virtio-pci | virtconsole, 16550A | the same board |
//! | [`AnyMachine`] | any | the machine's own | virtconsole, its UART | chosen at run time |
//! | [`AnyPciMachine`] | any | virtio-pci | virtconsole, its UART | chosen at run time, PCI devices too |
//! | [`AnyVirtioMachine`] | any | the machine's own | virtconsole | chosen at run time, with UART and timers or without |
//!
//! [`ALL`] has what they provide, and how much of it, as data; [`machine!`](crate::machine!) is how each is defined, and how
//! you define one of your own, in a few lines. By hand it is:
//!
//! ```
//! use qemu_dsl::accel::{Aarch64, Architecture};
//! use qemu_dsl::bus::{HasBus, Pci, Virtio};
//! use qemu_dsl::cpu::Max;
//! use qemu_dsl::machine::{MachineFacts, MachineType, RunsUnder};
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
//!     fn facts(&self) -> &'static MachineFacts {
//!         const { &MachineFacts::new("sbsa-ref", Architecture::Aarch64, Transport::Pci).boots_disks() }
//!     }
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
mod define;
mod facts;
mod microvm;
mod pc;
mod uart;
mod versions;
mod virt;

pub use any::{ALL, AnyMachine, AnyPciMachine, AnyVirtioMachine, Choosable};
pub use facts::{Limit, MachineFacts};
pub use microvm::{
    Acpi, FirmwareTables, IsaSerialOff, IsaSerialOn, IsaSerialSetting, LoadsKernelWithoutRoms, Microvm, NoAcpi, Pcie,
    TimersOff, TimersOn, TimersSetting,
};
pub use pc::{Pc, Q35};
pub use uart::Uart;
pub use versions::Versions;
#[doc(hidden)]
pub use versions::{MachineName, Named};
pub use virt::{GicVersion, RiscvVirt, RiscvVirtPcie, Virt, VirtPcie};

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

    /// What it provides, with the options that it has.
    fn facts(&self) -> &'static MachineFacts;

    /// The version in its name, where it has one: 8.2 of `pc-q35-8.2`.
    fn version(&self) -> Option<(u16, u16)> {
        None
    }

    /// The guest's instruction set, as a value.
    fn architecture(&self) -> Architecture {
        self.facts().architecture
    }

    /// How virtio devices are attached.
    fn transport(&self) -> Transport {
        self.facts().transport
    }

    /// The name of the UART that Linux gives a console on: `ttyS0`, `ttyAMA0`. [`None`] without one.
    fn uart(&self) -> Option<&'static str> {
        self.facts().uart.map(Uart::linux_name)
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
    note = "`Virt` and `VirtPcie` have a PL011 instead: use `pl011_console`; `RiscvVirt` and `RiscvVirtPcie` a 16550A: use `uart_console`"
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
pub trait HasUart: MachineType {
    /// The UART: who promises one says what Linux calls it, or there would be a console that shows nothing.
    const UART: Uart;
}

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
    note = "`Pc`, `Q35`, `VirtPcie` and `RiscvVirtPcie` have it under every accelerator"
)]
pub trait IoEventFd<A>: MachineType {}

crate::opts::family! { "-machine" MACHINES: Microvm, Pc, Q35, Virt, VirtPcie, RiscvVirt, RiscvVirtPcie }
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
    fn the_first_case_that_fits_counts() {
        let gic = |version, highmem| Virt::new().gic_version(version).highmem(highmem).facts().text;
        assert_eq!(Virt::new().facts().text, "virt");
        assert_eq!(gic(GicVersion::V2, false), "virt,gic-version=2,highmem=off");
        assert_eq!(gic(GicVersion::V3, true), "virt,gic-version=3");
        assert_eq!(Virt::new().highmem(false).facts().max_memory, Some(crate::mib!(3072)));
        let off = Microvm::with_pcie().without_isa_serial().without_timers(TscDeadline::PROVEN);
        assert!(off.facts().needs_hardware && off.facts().uart.is_none());
        assert_eq!(AnyVirtioMachine::from(off).facts(), off.facts());
        assert_eq!(AnyMachine::from(VirtPcie::new().versioned(9, 0)).version(), Some((9, 0)));
    }

    /// Attributes take no text that is made, so what they say is compared with the table.
    #[test]
    fn messages_name_the_machine_types_that_the_table_has() {
        let source = |text: &str, start: &str| {
            let note = text.lines().find(|line| line.contains(start)).unwrap_or_else(|| panic!("no note `{start}`"));
            note.to_owned()
        };
        let own = include_str!("mod.rs");
        let check = |note: String, fits: &dyn Fn(&MachineFacts) -> bool| {
            for row in ALL.iter().copied().flatten() {
                let named = note.contains(&format!("`{}`", row.of.trim_end_matches("::new()")));
                assert_eq!(named, fits(row), "{}: {note}", row.of);
            }
        };
        let bus = include_str!("../bus.rs");
        let pci = |row: &MachineFacts| row.transport == Transport::Pci;
        check(source(bus, "have PCI;").split(" have PCI;").next().unwrap().to_owned(), &pci);
        check(source(bus, "have virtio-mmio\"").split("have PCI;").nth(1).unwrap_or_default().to_owned(), &|row| {
            !pci(row) && row.of != "Microvm::with_acpi()"
        });
        let uart = |uart: Uart, arch: Architecture| {
            move |row: &MachineFacts| row.uart == Some(uart) && row.architecture == arch && !row.of.contains("with_")
        };
        check(source(own, "have one; `Microvm::without_isa_serial()`"), &uart(Uart::ISA_SERIAL, Architecture::X86_64));
        let pl011 = source(own, "have one; `Pc`, `Q35` and `Microvm` have an ISA");
        check(pl011.split(';').next().unwrap().to_owned(), &uart(Uart::PL011, Architecture::Aarch64));
    }
}
