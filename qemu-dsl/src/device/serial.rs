//! virtio-serial: a controller with numbered ports, for a console and for channels to a guest agent.

use crate::backend::{Chardev, IntoChardev};
use crate::bus::OfHandle;
use crate::opts::{
    Id, OptError, OptType, OptValue, OptWriter, PartKind, PartRef, QemuOpts, Schema, Sort, Unique, ValueWriter,
};

/// A virtio-serial controller: `virtio-serial`. [`Vm::virtio_serial`](crate::Vm::virtio_serial) adds it and returns its
/// ports; there is an example.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(device = "virtio-serial", virtio, rename_all = "snake_case")]
pub struct VirtioSerial {
    /// How many ports there are, the console's port 0 included: 1 to 511.
    max_ports: u32,
}

impl VirtioSerial {
    /// The most ports that a controller can have. (`VIRTIO_SERIAL_MAX_PORTS`, hw/char/virtio-serial-bus.c: 511)
    pub const MAX_PORTS: u32 = 511;

    pub(crate) const fn with_ports(max_ports: u32) -> Self {
        Self { max_ports }
    }

    /// The id of a controller but the first, which needs none: where it is alone, ports find it by themselves.
    pub(crate) fn id(controller: u32) -> Id {
        Id::numbered("virtio-serial", controller)
    }
}

/// A controller among the parts of a VM. Its flag is that of devices: its id is one of theirs.
pub(crate) const CONTROLLER: &PartKind = &PartKind {
    flag: "-device",
    prefix: "virtio-serial",
    what: "the virtio-serial controller",
    user: "a console or a `VirtSerialPort`: one of its ports",
    is_shared: true,
    sort: Sort::Counted,
};

/// The same without an id: the first one needs none.
pub(crate) const FIRST_CONTROLLER: &PartKind = &PartKind { flag: "", ..*CONTROLLER };

/// A port among the parts of a VM. It has no flag, and no id.
pub(crate) const PORT: &PartKind = &PartKind {
    flag: "",
    prefix: "port",
    what: "the virtio-serial port",
    user: "one `VirtSerialPort`",
    is_shared: false,
    sort: Sort::Port,
};

/// A virtio-serial controller of a VM.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Controller {
    /// Its number among those of the VM.
    pub(crate) number: u32,
    /// Its id. The first one has none of itself.
    pub(crate) id: Option<Id>,
    pub(crate) part: PartRef,
}

/// Where a port is: its number, and its controller where there is more than one.
#[derive(Debug)]
struct Place {
    nr: u32,
    controller: Controller,
    part: PartRef,
}

/// The port of a virtio-serial controller that is for a console: port 0. A VM whose console is elsewhere leaves it.
/// [`Vm::virtio_serial`](crate::Vm::virtio_serial) returns it.
#[derive(Debug)]
pub struct ConsolePort(Place);

/// A port of a virtio-serial controller for a channel: any but port 0.
/// [`Vm::virtio_serial`](crate::Vm::virtio_serial) returns it.
#[must_use = "a port that no device has is not there for the guest: `vm.add(VirtSerialPort::new(port, chardev))`"]
#[derive(Debug)]
pub struct SerialPort(Place);

impl ConsolePort {
    pub(crate) const fn new(controller: Controller, part: PartRef) -> Self {
        Self(Place { nr: 0, controller, part })
    }
}

impl SerialPort {
    pub(crate) const fn new(nr: u32, controller: Controller, part: PartRef) -> Self {
        Self(Place { nr, controller, part })
    }

    /// The port, and its controller: for what is kept for later.
    pub(crate) const fn parts(&self) -> [PartRef; 2] {
        [self.0.part, self.0.controller.part]
    }

    /// The number of the port: 1 and up.
    pub const fn nr(&self) -> u32 {
        self.0.nr
    }
}

/// The bus that a controller provides: its id and `.0`; the first one's has QEMU's name, for a controller without an id.
/// (`qbus_init_internal`, hw/core/bus.c)
struct BusOf<'a>(&'a Option<Id>);

impl OptValue for BusOf<'_> {
    const TYPE: OptType = OptType::Reference("bus");

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        match self.0 {
            None => value.text("virtio-serial-bus.0"),
            Some(id) => value.display(&format_args!("{id}.0")),
        }
    }
}

#[derive(QemuOpts)]
struct PlaceOptions<'a> {
    bus: Option<BusOf<'a>>,
    nr: u32,
}

impl QemuOpts for Place {
    const SCHEMA: &'static Schema = PlaceOptions::SCHEMA;

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        if !writer.uses(self.part) || !writer.uses(self.controller.part) {
            let id = format!("port {}", self.nr);
            return writer.fail(OptError::ForeignHandle { option: "nr".to_owned(), id });
        }
        // Of several buses, QEMU would take any that it finds first.
        let bus = (writer.context().controllers > 1).then_some(BusOf(&self.controller.id));
        PlaceOptions { bus, nr: self.nr }.write_opts(writer);
    }
}

/// The name of a port, which no other port of its controller can have.
#[derive(Debug)]
struct PortName<'a> {
    name: &'a str,
    controller: u32,
}

impl OptValue for PortName<'_> {
    const TYPE: OptType = OptType::Text;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.unique(Unique::PortName(self.controller), |value| value.text(self.name));
    }
}

/// A channel between guest and host: `virtserialport`. The guest finds it as `/dev/virtio-ports/<name>`.
///
/// ```
/// use qemu_dsl::prelude::*;
/// let mut vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), mib!(64));
/// let (_, [agent]) = vm.virtio_serial();
/// let socket = vm.chardev(Socket::listen(SocketPath::new("agent.sock")?));
/// vm.add(VirtSerialPort::new(agent, socket).name("org.example.agent"));
/// assert!(vm.build()?.to_string().contains("virtserialport,chardev=chardev0,name=org.example.agent,nr=1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(QemuOpts, Debug)]
#[qemu(device = "virtserialport", bus = OfHandle)]
pub struct VirtSerialPort<'a> {
    /// The character device on the host's side.
    chardev: Chardev,
    /// The name in the guest.
    name: Option<PortName<'a>>,
    /// Which port it is.
    #[qemu(flatten)]
    place: Place,
}

impl<'a> VirtSerialPort<'a> {
    /// A channel on `port`, with `chardev` on the host's side.
    pub fn new(port: SerialPort, chardev: impl IntoChardev) -> Self {
        Self { chardev: chardev.into_chardev(), name: None, place: port.0 }
    }

    /// The name in the guest.
    #[must_use]
    pub const fn name(mut self, name: &'a str) -> Self {
        self.name = Some(PortName { name, controller: self.place.controller.number });
        self
    }
}

/// A console on a virtio-serial port: `virtconsole`, the guest's `hvc0`. Added by the builder's console method only.
#[derive(QemuOpts, Debug)]
#[qemu(implied = "virtconsole")]
pub(crate) struct VirtConsole {
    /// The character device on the host's side.
    chardev: Chardev,
    /// Which port it is.
    #[qemu(flatten)]
    place: Place,
}

impl VirtConsole {
    pub(crate) const fn new(port: ConsolePort, chardev: Chardev) -> Self {
        Self { chardev, place: port.0 }
    }
}
