//! Parts of a VM: their ids, what is known of them, and devices.

use super::error::BuildError;
use super::inner::Inner;
use crate::command::CommandError;
use crate::device::PORT;
use crate::opts::{
    Claim, Id, Issued, OptError, OptWriter, Part, PartKind, PartRef, Role, Sort, Trait, Transport, Unique,
};

/// A device, where it has an id. Nobody counts its uses.
const DEVICE: &PartKind =
    &PartKind { flag: "-device", prefix: "device", what: "a device", user: "", is_shared: true, sort: Sort::Free };

/// The memory of a VM, where it is an object.
const MEMORY: &PartKind =
    &PartKind { flag: "-object", prefix: "mem", what: "memory", user: "", is_shared: true, sort: Sort::Free };

impl Inner {
    /// Adds something that others refer to by its id, which is made when there is none.
    pub(crate) fn part(
        &mut self,
        kind: &'static PartKind,
        id: Option<Id>,
        why: &'static str,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) -> Issued {
        let part = self.issue(kind, id);
        self.options(kind.flag, why, Some(&part.id), write);
        part
    }

    /// Adds a device.
    pub(crate) fn device(
        &mut self,
        id: Option<Id>,
        name: &'static str,
        single: bool,
        slot: Option<Transport>,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) {
        self.note_device(name, single, slot);
        if let Some(id) = id {
            self.issue(DEVICE, Some(id));
        }
        self.options("-device", "a device of the definition", id.as_ref(), write);
    }

    /// What is counted of devices.
    pub(super) fn note_device(&mut self, name: &'static str, single: bool, slot: Option<Transport>) {
        let is_balloon = name.starts_with("virtio-balloon");
        if single || is_balloon {
            let base = base_name(name);
            let claim = Claim { kind: Unique::Single(base), text: 0..0, escaped: true };
            self.command.scratch.noted.claims.push(claim);
        }
        if is_balloon && self.template {
            self.error(BuildError::BalloonOnTemplate);
        }
        match slot {
            Some(Transport::Mmio) => self.mmio_devices += 1,
            Some(Transport::Pci) => self.pci_devices += 1,
            None => {}
        }
    }

    /// The same with an id that is a part's already.
    pub(crate) fn named_device(
        &mut self,
        id: &Id,
        name: &'static str,
        single: bool,
        slot: Option<Transport>,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) {
        self.note_device(name, single, slot);
        self.options("-device", "a device of the definition", Some(id), write);
    }

    /// The id of memory that is a template.
    pub(super) fn template_memory(&mut self) -> Id {
        self.template = true;
        self.issue(MEMORY, None).id
    }

    /// Counts a virtio-serial controller.
    pub(crate) fn next_controller(&mut self) -> u32 {
        let number = self.context.controllers;
        self.context.controllers += 1;
        number
    }

    pub(crate) fn take_stdio(&mut self) {
        if std::mem::replace(&mut self.stdio_taken, true) {
            self.error(BuildError::StdioTwice);
        }
    }

    /// What a builder knows of a part of its own.
    pub(crate) fn part_mut(&mut self, place: PartRef) -> Option<&mut Part> {
        self.command.scratch.noted.parts.get_mut(place.part as usize).filter(|_| place.vm == self.tag)
    }

    /// A part without an id of QEMU's: a port, of which the number is known.
    pub(crate) fn issue_port(&mut self, nr: u32) -> PartRef {
        const PORT_ID: Id = crate::id!("port");
        let (kind, is_spare) = (PORT, nr == 0);
        self.add_part(Part { kind, id: PORT_ID, most: 1, uses: 0, next: nr, is_spare, trait_of: Trait::None })
    }

    /// Notes what is known of a part.
    pub(crate) fn mark(&mut self, part: PartRef, trait_of: Trait) {
        if let Some(part) = self.part_mut(part) {
            part.trait_of = trait_of;
        }
    }

    /// Lets a number of users have a part.
    pub(crate) fn share(&mut self, part: PartRef, most: u32) {
        if let Some(part) = self.part_mut(part) {
            part.most = most;
        }
    }

    /// Lets a part be there without a user.
    pub(crate) fn keep(&mut self, part: PartRef, id: &dyn std::fmt::Display) {
        if let Some(part) = self.part_mut(part) {
            part.is_spare = true;
        } else {
            let source = OptError::ForeignHandle { option: "spare".to_owned(), id: id.to_string() };
            self.error(CommandError::Option { flag: "spare", source }.into());
        }
    }

    /// Whether a part of this kind has this id.
    pub(crate) fn has_id(&self, kind: &PartKind, id: &Id) -> bool {
        let mut same = self.command.scratch.noted.parts.iter().filter(|part| part.id == *id);
        same.any(|part| part.kind.space() == kind.space() && !kind.space().is_empty())
    }

    /// Notes the path in the last argument.
    pub(crate) fn claim_path(&mut self, role: Role, before: usize, len: usize) {
        self.command.claim_path(role, before, len);
    }

    /// A part: its id, which is made where there is none, and its number.
    pub(crate) fn issue(&mut self, kind: &'static PartKind, id: Option<Id>) -> Issued {
        let (id, next) = match id {
            Some(id) => {
                self.check_id(kind, &id);
                (id, 0)
            }
            None => self.made_id(kind),
        };
        let most = if kind.is_shared { u32::MAX } else { 1 };
        let place = self.add_part(Part { kind, id, most, uses: 0, next, is_spare: false, trait_of: Trait::None });
        Issued { id, place }
    }

    fn add_part(&mut self, part: Part) -> PartRef {
        let parts = &mut self.command.scratch.noted.parts;
        #[allow(clippy::cast_possible_truncation)] // a command has at most 2^32 bytes
        let place = PartRef { vm: self.tag, part: parts.len() as u32 };
        parts.push(part);
        place
    }

    fn check_id(&mut self, kind: &PartKind, id: &Id) {
        if self.has_id(kind, id) {
            self.error(BuildError::DuplicateId { flag: kind.flag, id: id.to_string() });
        } else if is_reserved(kind, id) {
            self.error(BuildError::ReservedId { id: id.to_string() });
        }
    }

    /// A new id, and the number that the next one can have.
    fn made_id(&self, kind: &PartKind) -> (Id, u32) {
        // From the last number on: the ones before are taken, or somebody's own.
        let parts = &self.command.scratch.noted.parts;
        let last = parts.iter().rev().find(|part| part.next > 0 && part.kind.prefix == kind.prefix);
        let mut next = last.map_or(0, |last| last.next);
        loop {
            let id = Id::numbered(kind.prefix, next);
            next += 1;
            if !self.has_id(kind, &id) {
                return (id, next);
            }
        }
    }
}

/// The name of a device without the suffix of its transport.
fn base_name(name: &'static str) -> &'static str {
    let name = name.strip_suffix("-non-transitional").or_else(|| name.strip_suffix("-transitional")).unwrap_or(name);
    let base = ["-pci", "-device", "-ccw"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    if base.starts_with("virtio-") || base.starts_with("vhost-") { base } else { name }
}

/// Whether QEMU gives the id itself: to the chardevs of `-qmp` and `-monitor`, and to the machine's memory. (`monitor_parse`, system/vl.c;
/// `default_ram_id` of the machine types)
fn is_reserved(kind: &PartKind, id: &Id) -> bool {
    match kind.flag {
        "-chardev" => id.as_bytes().starts_with(b"compat_monitor"),
        "-object" => id.as_bytes().ends_with(b".ram"),
        _ => false,
    }
}
