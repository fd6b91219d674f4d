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

use std::fmt;
use std::marker::PhantomData;

use crate::machine::MachineType;
use crate::opts::{Extra, Handle, Issued, OptType, OptValue, PartKind, QemuOpts, Sort, Token, Transport, ValueWriter};

/// A kind of bus. [The module](self) has an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bus",
    label = "not a bus",
    note = "buses are types of `qemu_dsl::bus`; for one of your own, implement `Bus`"
)]
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

/// A device: a type with `#[derive(QemuOpts)]` and `#[qemu(device = "...")]`. [`device`](crate::device) has an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a device",
    label = "not a device",
    note = "a back end is added with `vm.drive`, `vm.chardev`, `vm.netdev`, `vm.rng_backend` or `vm.backend`, and a device gets the handle that returns; devices that may be there or not are added with `vm.add_all`",
    note = "for a struct of your own: `#[derive(QemuOpts)]` and `#[qemu(device = \"name\", bus = Pci)]`, or `#[qemu(device = \"virtio-name\", virtio)]`"
)]
pub trait Device: QemuOpts {
    /// The bus it plugs into.
    type Bus: Bus;
    /// QEMU's name of it; without the transport's suffix for virtio devices.
    const NAME: &'static str;
    /// Whether a VM has at most one.
    const SINGLE: bool = false;
}

#[diagnostic::do_not_recommend]
impl<D: Device> Device for Extra<D> {
    type Bus = D::Bus;
    const NAME: &'static str = D::NAME;
    const SINGLE: bool = D::SINGLE;
}

#[diagnostic::do_not_recommend]
impl<D: ProvidesBus> ProvidesBus for Extra<D> {
    type Provides = D::Provides;
    const SUFFIX: &'static str = D::SUFFIX;
}

/// A device that provides a bus for others: a controller, a bridge, a port. [`Vm::add_bus`](crate::Vm::add_bus) adds it.
///
/// ```
/// use qemu_dsl::bus::{Bus, ProvidesBus};
/// use qemu_dsl::prelude::*;
///
/// pub struct Scsi;
/// impl Bus for Scsi {}
///
/// #[derive(QemuOpts)]
/// #[qemu(device = "virtio-scsi", virtio)]
/// struct VirtioScsi {}
/// impl ProvidesBus for VirtioScsi {
///     type Provides = Scsi;
/// }
///
/// #[derive(QemuOpts)]
/// #[qemu(device = "scsi-hd", bus = Scsi)]
/// struct ScsiDisk {
///     drive: qemu_dsl::backend::BlockNode,
/// }
///
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let scsi = vm.add_bus(VirtioScsi {});
/// let drive = vm.drive(Drive::new("disk.qcow2", Format::Qcow2));
/// vm.add_to(&scsi, ScsiDisk { drive });
/// assert!(vm.build()?.to_string().contains("-device scsi-hd,drive=drive0,bus=bus0.0"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` provides no bus",
    label = "no controller",
    note = "a device that other devices plug into says so with `impl ProvidesBus`; other devices are added with `vm.add`"
)]
pub trait ProvidesBus: Device {
    /// What the bus is.
    type Provides: Bus;
    /// What stands behind the device's id in the name of its bus: `.0`, where the device does not name it itself.
    /// (`qbus_init_internal`, hw/core/bus.c)
    const SUFFIX: &'static str = ".0";
}

/// A bus that a device of a VM provides. [`Vm::add_bus`](crate::Vm::add_bus) returns it; [`ProvidesBus`] has an example.
#[must_use = "a bus that no device is on does nothing: `vm.add_to(&bus, device)`"]
pub struct ProvidedBus<B> {
    part: Issued,
    suffix: &'static str,
    bus: PhantomData<fn() -> B>,
}

impl<B> ProvidedBus<B> {
    pub(crate) const KIND: &'static PartKind = &PartKind {
        flag: "-device",
        prefix: "bus",
        what: "the bus of the device",
        user: "a device: `vm.add_to(&bus, device)`",
        is_shared: true,
        sort: Sort::Counted,
    };

    pub(crate) const fn new(part: Issued, suffix: &'static str) -> Self {
        Self { part, suffix, bus: PhantomData }
    }

    /// The id of the device that provides it.
    pub const fn id(&self) -> crate::Id {
        self.part.id
    }
}

impl<B> fmt::Debug for ProvidedBus<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProvidedBus({}{})", self.part.id, self.suffix)
    }
}

impl<B> Handle for ProvidedBus<B> {
    const KIND: &'static PartKind = Self::KIND;

    fn from_issued(part: Issued, _: Token) -> Self {
        Self::new(part, ".0")
    }

    fn part(&self, _: Token) -> Issued {
        self.part
    }
}

impl<B> OptValue for ProvidedBus<B> {
    const TYPE: OptType = OptType::Reference("bus");

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.handle(&self.part.id, self.part.place);
        value.text(self.suffix);
    }
}

/// A device that plugs into machine type `M` through a bus of kind `B`. Every [`Device`] does
/// whose bus the machine type has; there is nothing to implement, so there is no example.
#[diagnostic::on_unimplemented(
    message = "the device `{Self}` plugs into a `{B}` bus, and the machine type `{M}` has none",
    label = "this device needs a `{B}` bus",
    note = "a virtio device without `OnPci` or `OnMmio` around it fits every machine type",
    note = "`Pc`, `Q35`, `VirtPcie`, `RiscvVirtPcie` and `Microvm::with_pcie()` have PCI; `Microvm`, `Virt` and `RiscvVirt` have virtio-mmio",
    note = "a bus that another device provides comes from `vm.add_bus(...)`, and its devices are added with `vm.add_to(&bus, ...)`",
    note = "in a generic function, give the machine type the bus: `M: HasBus<{B}>`"
)]
pub trait PlugsInto<M: ?Sized, B> {}

#[diagnostic::do_not_recommend]
impl<D, M, B> PlugsInto<M, B> for D
where
    D: Device<Bus = B>,
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

/// A bus that every machine type with virtio has: what [`AnyVm::add`](crate::vm::AnyVm::add) takes. Sealed.
#[diagnostic::on_unimplemented(
    message = "not every machine type has a `{Self}` bus",
    label = "a device for some machine types only",
    note = "`AnyVm` takes virtio devices and channels; for others, name the machine type's bus: `fn f<M: HasBus<{Self}>, A: Accelerator, C: Console>(vm: &mut Vm<M, A, C>)`"
)]
pub trait OnEveryMachine: Bus + sealed::Sealed {}

#[diagnostic::do_not_recommend]
impl OnEveryMachine for Virtio {}
#[diagnostic::do_not_recommend]
impl OnEveryMachine for OfHandle {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Virtio {}
    impl Sealed for super::OfHandle {}
}
