use super::{
    FirmwareTables, HasUart, IoEventFd, IsaSerialSetting, MachineFacts, MachineType, Microvm, Pc, Q35, RiscvVirt,
    RiscvVirtPcie, RunsUnder, TimersSetting, Uart, Virt, VirtPcie,
};
use crate::accel::{AnyAccel, AnyArch, Tcg};
use crate::bus::{HasBus, Pci, Virtio};
use crate::opts::{Head, OptWriter, QemuOpts, Schema};

/// One of the library's machine types, with the settings that stand in types as values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub struct Erased(Choice);

/// A machine type that can be chosen at run time: each of the library's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one of the library's machine types",
    label = "cannot be chosen at run time",
    note = "for a machine type of your own, write the function with a type parameter: `fn f<M: HasBus<Virtio>>(machine: M)`"
)]
pub trait Choosable: MachineType {
    #[doc(hidden)]
    fn erased(self) -> Erased;
}

macro_rules! choices {
    ($($name:ident)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Choice {
            Microvm(Microvm, &'static MachineFacts),
            $($name($name),)*
        }

        /// What all of the library's machine types provide: the rows of each.
        ///
        /// ```
        /// use qemu_dsl::machine::ALL;
        /// let q35 = ALL.iter().copied().flatten().find(|row| row.of == "Q35").unwrap();
        /// assert_eq!(q35.pci_slots.at(None), Some(30));
        /// ```
        pub const ALL: &[&[MachineFacts]] = &[Microvm::FACTS, $($name::FACTS,)*];

        impl Erased {
            fn write_opts(&self, writer: &mut OptWriter<'_>) {
                match &self.0 {
                    Choice::Microvm(machine, _) => machine.write_opts(writer),
                    $(Choice::$name(machine) => machine.write_opts(writer),)*
                }
            }

            fn facts(&self) -> &'static MachineFacts {
                match &self.0 {
                    Choice::Microvm(_, facts) => facts,
                    $(Choice::$name(machine) => machine.facts(),)*
                }
            }

            fn version(&self) -> Option<(u16, u16)> {
                match &self.0 {
                    Choice::Microvm(..) => None,
                    $(Choice::$name(machine) => machine.version(),)*
                }
            }
        }

        $(
            #[diagnostic::do_not_recommend]
            impl Choosable for $name {
                fn erased(self) -> Erased {
                    Erased(Choice::$name(self))
                }
            }
        )*
    };
}
choices!(Pc Q35 Virt VirtPcie RiscvVirt RiscvVirtPcie);

#[diagnostic::do_not_recommend]
impl<S: IsaSerialSetting, T: TimersSetting, F: FirmwareTables> Choosable for Microvm<S, T, F> {
    fn erased(self) -> Erased {
        let facts = self.facts();
        Erased(Choice::Microvm(self.with(), facts))
    }
}

macro_rules! erased {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(Erased);

        impl QemuOpts for $name {
            // Head and options are those of the value.
            const SCHEMA: &'static Schema = &Schema::new(Head::None, &[]);

            fn write_opts(&self, writer: &mut OptWriter<'_>) {
                self.0.write_opts(writer);
            }
        }

        #[diagnostic::do_not_recommend]
        impl MachineType for $name {
            type Arch = AnyArch;

            fn facts(&self) -> &'static MachineFacts {
                self.0.facts()
            }

            fn version(&self) -> Option<(u16, u16)> {
                self.0.version()
            }
        }

        #[diagnostic::do_not_recommend]
        impl RunsUnder<AnyAccel> for $name {}
        #[diagnostic::do_not_recommend]
        impl HasBus<Virtio> for $name {}
    )*};
}
erased! {
    /// A machine type that is chosen at run time. It has what all machine types have, so what compiles with it is valid on
    /// every one of them. Machine types enter it with their UART and their timers on.
    ///
    /// ```
    /// use qemu_dsl::machine::{AnyMachine, MachineType, Microvm, Virt};
    ///
    /// fn machine(aarch64: bool) -> AnyMachine {
    ///     if aarch64 { Virt::new().into() } else { Microvm::new().into() }
    /// }
    /// assert_eq!(machine(true).uart(), Some("ttyAMA0"));
    /// ```
    AnyMachine;

    /// A machine type with PCI that is chosen at run time. Machine types enter it with their UART and their timers on.
    ///
    /// ```
    /// use qemu_dsl::cpu::BestCpu;
    /// use qemu_dsl::machine::AnyPciMachine;
    /// use qemu_dsl::prelude::*;
    ///
    /// fn machine(modern: bool) -> AnyPciMachine {
    ///     if modern { Q35::new().into() } else { Pc::new().into() }
    /// }
    /// let mut vm = Vm::new(machine(true), Tcg::new(), BestCpu::new(), mib!(64));
    /// let disk = vm.drive(Drive::new("root.raw", Format::Raw));
    /// vm.add(Nvme::new(disk, DiskSerial::new("root")?));
    /// # vm.build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    AnyPciMachine;

    /// A machine type with virtio that is chosen at run time, with whatever settings: its UART may be off, and so may its timers.
    /// The console is a virtconsole then, and a machine without timers is an error under TCG when the VM is built.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::machine::{AnyVirtioMachine, Microvm};
    ///
    /// let machine = Microvm::new().without_isa_serial();
    /// let machine: AnyVirtioMachine = match HostFacts::example().tsc_deadline() {
    ///     Some(proof) => machine.without_timers(proof).into(),
    ///     None => machine.into(),
    /// };
    /// ```
    AnyVirtioMachine;
}

// Not in the macro: compiler messages show these.
impl<M: Choosable + HasBus<Virtio> + HasUart + RunsUnder<Tcg>> From<M> for AnyMachine {
    fn from(machine: M) -> Self {
        Self(machine.erased())
    }
}

impl<M: Choosable + HasBus<Virtio> + HasBus<Pci> + HasUart + RunsUnder<Tcg>> From<M> for AnyPciMachine {
    fn from(machine: M) -> Self {
        Self(machine.erased())
    }
}

impl<M: Choosable + HasBus<Virtio>> From<M> for AnyVirtioMachine {
    fn from(machine: M) -> Self {
        Self(machine.erased())
    }
}

#[diagnostic::do_not_recommend]
impl RunsUnder<Tcg> for AnyMachine {}
#[diagnostic::do_not_recommend]
impl RunsUnder<Tcg> for AnyPciMachine {}
#[diagnostic::do_not_recommend]
impl HasUart for AnyMachine {
    const UART: Uart = Uart::OF_MACHINE;
}
#[diagnostic::do_not_recommend]
impl HasUart for AnyPciMachine {
    const UART: Uart = Uart::OF_MACHINE;
}
#[diagnostic::do_not_recommend]
impl HasBus<Pci> for AnyPciMachine {}
// Virtio devices of each are PCI devices, which have it everywhere.
#[diagnostic::do_not_recommend]
impl IoEventFd<Tcg> for AnyPciMachine {}
#[diagnostic::do_not_recommend]
impl IoEventFd<AnyAccel> for AnyPciMachine {}
