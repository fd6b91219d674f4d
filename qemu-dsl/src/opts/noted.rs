//! What a builder notes while options are written: which parts are used where, and which values must differ.

use std::ops::Range;

use super::{Part, Sort};

/// A kind of values that must differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unique {
    /// The name of a port, on the virtio-serial controller with this number.
    PortName(u32),
    /// The serial number of a disk.
    DiskSerial,
    /// The MAC address of a network device.
    Mac,
    /// A network device without one: QEMU chooses.
    AutomaticMac,
    /// A place in the boot order.
    BootIndex(u32),
    /// The chassis and the slot of a PCI Express port.
    Chassis(u8, u16),
    /// A device of which there is one at most.
    Single(&'static str),
    /// A file descriptor that is handed to QEMU.
    Fd(i32),
    /// A path, and what it is for.
    Path(Role),
    /// Anything else, by a name of its own.
    Named(&'static str),
    /// None at all: the use of an I/O thread or a shared image, whether by a virtio-mmio device, in the argument that the text's place
    /// tells.
    Use { part: u32, mmio: bool },
}

impl Unique {
    /// One bit for each kind, whatever it holds.
    pub(crate) const fn bit(&self) -> u32 {
        match self {
            Self::PortName(_) => 1,
            Self::DiskSerial => 1 << 1,
            Self::Mac => 1 << 2,
            Self::AutomaticMac => 1 << 3,
            Self::BootIndex(_) => 1 << 4,
            Self::Chassis(..) => 1 << 5,
            Self::Single(_) => 1 << 6,
            Self::Fd(_) => 1 << 7,
            Self::Path(_) => 1 << 8,
            Self::Named(_) => 1 << 9,
            Self::Use { .. } => 1 << 10,
        }
    }

    /// The kind that a derive names.
    pub(crate) fn of(name: &'static str) -> Self {
        match name {
            "mac" => Self::Mac,
            "serial" => Self::DiskSerial,
            name => Self::Named(name),
        }
    }
}

/// What QEMU does with the file or socket at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Disk,
    ReadOnlyDisk,
    Log,
    Listens,
    Template,
    TemplateReader,
}

impl Role {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Disk => "a disk image that the guest writes",
            Self::ReadOnlyDisk => "a disk image that the guest reads",
            Self::Log => "a log file",
            Self::Listens => "a socket that QEMU listens on",
            Self::Template => "a memory template that the guest writes",
            Self::TemplateReader => "a memory template that the guest starts from",
        }
    }

    /// Whether nobody else can have the path.
    pub(crate) const fn is_exclusive(self) -> bool {
        matches!(self, Self::Disk | Self::Log | Self::Listens | Self::Template)
    }
}

/// A value that must differ from others of its kind.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) kind: Unique,
    /// Where its text stands in the command; nowhere, where the kind says it all.
    pub(crate) text: Range<usize>,
    /// Whether the text stands in an option, where commas are doubled.
    pub(crate) escaped: bool,
}

/// What is noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted {
    pub(crate) claims: Vec<Claim>,
    /// The parts so far, that others refer to.
    pub(crate) parts: Vec<Part>,
    /// The argument that is being written.
    pub(crate) argument: usize,
}

impl Noted {
    pub(crate) fn clear(&mut self) {
        self.claims.clear();
        self.parts.clear();
    }

    /// Counts the use of a part, in the argument that is being written.
    pub(crate) fn uses(&mut self, number: u32, mmio: bool) {
        let Some(part) = self.parts.get_mut(number as usize) else { return };
        part.uses += 1;
        if matches!(part.kind.sort, Sort::Thread | Sort::SharedImage) {
            let kind = Unique::Use { part: number, mmio };
            self.claims.push(Claim { kind, text: self.argument..self.argument, escaped: true });
        }
    }
}
