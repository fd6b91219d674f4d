//! Buses: what devices plug into and machine types provide.
//!
//! A wrapper author's own bus is a type that implements [`Bus`], and [`HasBus`] for the machine types that have it:
//!
//! ```
//! use qemu_dsl::bus::{Bus, HasBus};
//! use qemu_dsl::machine::Q35;
//! use qemu_dsl::prelude::*;
//!
//! /// The system management bus.
//! pub struct Smbus;
//! impl Bus for Smbus {}
//! impl HasBus<Smbus> for Q35 {}
//!
//! #[derive(QemuOpts)]
//! #[qemu(device = "smbus-eeprom", bus = Smbus)]
//! struct Eeprom { address: u8 }
//!
//! let mut vm = Vm::new(Q35::new(), Tcg::new(), Haswell::new(), mib!(64));
//! vm.add(Eeprom { address: 0x50 });
//! # vm.build().unwrap();
//! ```

use crate::machine::MachineType;
use crate::opts::Transport;

/// A kind of bus. [The module](self) has an example.
pub trait Bus {
    /// Which of the machine's slots a device on this bus takes, if it takes one: a virtio-mmio transport, or a place on the PCI
    /// bus. They are counted. `transport` is that of the machine's virtio devices.
    fn slot(_transport: Transport) -> Option<Transport> {
        None
    }
}

/// A machine type that has a bus of kind `B`. [The module](self) has an example.
#[diagnostic::on_unimplemented(
    message = "the machine type `{Self}` has no `{B}` bus",
    label = "needs a machine type with a `{B}` bus"
)]
pub trait HasBus<B: Bus>: MachineType {}

/// A device that plugs into machine type `M` through a bus of kind `B`. Every [`Device`](crate::device::Device) does
/// whose bus the machine type has; there is nothing to implement, so there is no example.
#[diagnostic::on_unimplemented(
    message = "the device `{Self}` plugs into a `{B}` bus, and the machine type `{M}` has none",
    label = "this device needs a `{B}` bus",
    note = "a virtio device without `OnPci` or `OnMmio` around it fits every machine type",
    note = "`Pc`, `Q35`, `VirtPcie`, `RiscvVirtPcie` and `Microvm::with_pcie()` have PCI; `Microvm`, `Virt` and `RiscvVirt` have virtio-mmio"
)]
pub trait PlugsInto<M: ?Sized, B> {}

#[diagnostic::do_not_recommend]
impl<D, M, B> PlugsInto<M, B> for D
where
    D: crate::device::Device<Bus = B>,
    M: HasBus<B>,
    B: Bus,
{
}

macro_rules! buses {
    ($($(#[$meta:meta])* $name:ident $(, |$transport:ident| $slot:expr)?;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl Bus for $name {
            $(fn slot($transport: Transport) -> Option<Transport> {
                $slot
            })?
        }
    )*};
}

buses! {
    /// The machine's virtio transport, whichever it is. A marker: it stands in types only, so it has no example.
    Virtio, |transport| Some(transport);
    /// virtio-mmio transports. A marker: it stands in types only, so it has no example.
    VirtioMmio, |_transport| Some(Transport::Mmio);
    /// PCI or PCI Express. A marker: it stands in types only, so it has no example.
    Pci, |_transport| Some(Transport::Pci);
    /// ISA. A marker: it stands in types only, so it has no example.
    Isa;
    /// A bus that another device of the VM provides; the handle in the device proves that it is there. A marker: it
    /// stands in types only, so it has no example.
    OfHandle;
}

#[diagnostic::do_not_recommend]
impl<M: MachineType> HasBus<OfHandle> for M {}
