use super::{FirmwareTables, HasUart, IsaSerialOn, MachineType, Microvm, Pc, Q35, RunsUnder, TimersOn, Virt, VirtPcie};
use crate::Memory;
use crate::accel::{AnyAccel, AnyArch, Architecture, Tcg};
use crate::bus::{HasBus, Virtio};
use crate::opts::{OptWriter, QemuOpts, Schema, Transport};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyMachine(Choice);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Microvm { text: Microvm, transport: Transport, slots: Option<u32> },
    Pc(Pc),
    Q35(Q35),
    Virt(Virt),
    VirtPcie(VirtPcie),
}

macro_rules! each {
    ($self:ident, $machine:ident => $body:expr) => {
        match &$self.0 {
            Choice::Microvm { text: $machine, .. } => $body,
            Choice::Pc($machine) => $body,
            Choice::Q35($machine) => $body,
            Choice::Virt($machine) => $body,
            Choice::VirtPcie($machine) => $body,
        }
    };
}

impl QemuOpts for AnyMachine {
    const SCHEMA: &'static Schema = Pc::SCHEMA;

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        each!(self, machine => machine.write_opts(writer));
    }
}

#[diagnostic::do_not_recommend]
impl MachineType for AnyMachine {
    type Arch = AnyArch;

    fn architecture(&self) -> Architecture {
        each!(self, machine => machine.architecture())
    }

    fn transport(&self) -> Transport {
        match &self.0 {
            Choice::Microvm { transport, .. } => *transport,
            _ => each!(self, machine => machine.transport()),
        }
    }

    fn mmio_slots(&self) -> Option<u32> {
        match &self.0 {
            Choice::Microvm { slots, .. } => *slots,
            _ => each!(self, machine => machine.mmio_slots()),
        }
    }

    fn max_cpus(&self) -> Option<u32> {
        each!(self, machine => machine.max_cpus())
    }

    fn max_memory(&self) -> Option<Memory> {
        each!(self, machine => machine.max_memory())
    }

    fn uart(&self) -> Option<&'static str> {
        each!(self, machine => machine.uart())
    }
}

#[diagnostic::do_not_recommend]
impl RunsUnder<Tcg> for AnyMachine {}
#[diagnostic::do_not_recommend]
impl RunsUnder<AnyAccel> for AnyMachine {}
#[diagnostic::do_not_recommend]
impl HasBus<Virtio> for AnyMachine {}
#[diagnostic::do_not_recommend]
impl HasUart for AnyMachine {}

impl<F: FirmwareTables> From<Microvm<IsaSerialOn, TimersOn, F>> for AnyMachine {
    fn from(machine: Microvm<IsaSerialOn, TimersOn, F>) -> Self {
        Self(Choice::Microvm { text: machine.erased(), transport: F::TRANSPORT, slots: F::MMIO_SLOTS })
    }
}

macro_rules! from {
    ($($name:ident)*) => {$(
        impl From<$name> for AnyMachine {
            fn from(machine: $name) -> Self {
                Self(Choice::$name(machine))
            }
        }
    )*};
}
from!(Pc Q35 Virt VirtPcie);
