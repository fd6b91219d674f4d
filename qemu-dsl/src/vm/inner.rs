//! What all VMs share, whatever their types: one copy of the code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::error::{BuildError, BuildErrors};
use super::explain::{Explained, Notes, Reason};
use super::globals::MachineMemory;
use super::{Target, checks};
use crate::accel::Architecture;
use crate::backend::{Chardev, TemplateMemory};
use crate::command::{CommandError, Pushed};
use crate::device::{PORT, VirtConsole};
use crate::kernel::Kernel;
use crate::machine::{MachineFacts, Uart};
use crate::opts::{
    Claim, Context, Decimal, Handle as _, Id, Issued, OptError, OptWriter, Part, PartKind, PartRef, QemuOpts as _,
    Role, Sort, Token, Trait, Transport, Unique, VmTag,
};
use crate::{Memory, QemuCommand};

/// A device, where it has an id. Nobody counts its uses.
const DEVICE: &PartKind =
    &PartKind { flag: "-device", prefix: "device", what: "a device", user: "", is_shared: true, sort: Sort::Free };

/// The memory of a VM, where it is an object.
const MEMORY: &PartKind =
    &PartKind { flag: "-object", prefix: "mem", what: "memory", user: "", is_shared: true, sort: Sort::Free };

/// What a VM has once: said again, it replaces what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Once {
    Name,
    NoReboot,
    Sandbox,
    Smp,
    Kernel,
}

impl Once {
    const COUNT: usize = Self::Kernel as usize + 1;
}

/// What the typed builder knows of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Board {
    pub(crate) facts: &'static MachineFacts,
    /// The version in the machine type's name.
    pub(crate) version: Option<(u16, u16)>,
    /// Whether guest code runs on the host's processor.
    pub(crate) hardware: bool,
    pub(crate) only_for: Option<Architecture>,
}

/// Writes the options of one argument.
pub(crate) type Write<'a> = dyn Fn(&mut OptWriter<'_>) + 'a;

/// Whether there is a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KernelState {
    None,
    /// The builder writes `console=`.
    Linux,
    /// The command line stays as it is.
    AsItIs,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub(crate) struct Inner {
    pub(super) command: QemuCommand,
    pub(super) context: Context,
    tag: VmTag,
    pub(super) board: Board,
    pub(super) mmio_devices: u32,
    pub(super) pci_devices: u32,
    /// Whether the machine is meant to have no kernel.
    pub(super) kernel_elsewhere: bool,
    stdio_taken: bool,
    /// Whether the memory is a file that VMs start from.
    template: bool,
    /// Where what there is once stands: the first argument, and how many.
    once: [(u32, u32); Once::COUNT],
    /// The kernel, whose command line waits for the console.
    pub(super) kernel: KernelState,
    /// The CPUs, and how many there can be.
    pub(super) cpus: (u32, Option<u32>),
    /// Whether virtio-mmio devices have ioeventfd under this accelerator, whatever the version.
    pub(super) mmio_ioeventfd: bool,
    /// What Linux calls the console, if there is one.
    pub(super) console: Option<&'static str>,
    /// What Linux calls the UART that has its messages beside the console.
    log: Option<&'static str>,
    /// Whether `-serial` says what the first port is.
    has_serial: bool,
    /// Whether the VM has been built: what is left is a shell.
    pub(super) is_built: bool,
    pub(super) errors: Vec<BuildError>,
    notes: Option<Notes>,
}

impl Inner {
    pub(crate) fn new(target: &Target<'_>, reuse: Option<QemuCommand>, board: Board) -> Self {
        let tag = VmTag::next();
        let mut command = reuse.unwrap_or_else(QemuCommand::with_room);
        command.clear();
        let mut context = Context::new(board.facts.transport, target.version);
        context.vm = Some(tag);
        Self {
            command,
            context,
            tag,
            board,
            mmio_devices: 0,
            pci_devices: 0,
            kernel_elsewhere: false,
            stdio_taken: false,
            template: false,
            once: [(0, 0); Once::COUNT],
            kernel: KernelState::None,
            cpus: (1, None),
            mmio_ioeventfd: false,
            console: None,
            log: None,
            has_serial: false,
            is_built: false,
            errors: Vec::new(),
            notes: target.explain.then(Notes::default),
        }
    }

    /// What every VM starts with.
    pub(crate) fn start(
        &mut self,
        target: &Target<'_>,
        accelerator: &Write<'_>,
        cpu: &Write<'_>,
        machine: &Write<'_>,
        memory: Memory,
        template: Option<&TemplateMemory<'_>>,
    ) {
        self.errors.extend(self.board.foreign());
        if let Some(version) = target.version
            && !version.is_at_least(5, 2)
        {
            self.error(BuildError::OldQemu { version });
        }
        self.program(target);
        if let Some(max) = self.board.facts.max_memory
            && memory > max
        {
            self.error(BuildError::TooMuchMemory { mib: memory.mib(), max: max.mib() });
        }
        let start = self.command.size();
        self.options("-accel", "how guest code runs", None, &mut |writer| accelerator(writer));
        self.mmio_ioeventfd = self.command.bytes(start..self.command.size()).starts_with(b"-accel\0kvm");
        self.options("-cpu", "the CPU model that the guest sees", None, &mut |writer| cpu(writer));
        self.command.scratch.template = template.map(|template| template.memory().size().as_bytes());
        let template = template.map(|template| (self.template_memory(), template.object()));
        self.options("-machine", "the machine type", None, &mut |writer| {
            machine(writer);
            MachineMemory { memory_backend: template.as_ref().map(|(id, _)| *id) }.write_opts(writer);
        });
        self.flag("-nodefaults", "no device that was not asked for");
        self.flag("-no-user-config", "no configuration file of the host's changes the VM");
        self.raw("-m", "the guest's memory", &[Decimal::new(memory.mib()).as_bytes(), b"M"]);
        if let Some((id, object)) = &template {
            let why = "the guest's memory is a file";
            self.options("-object", why, Some(id), &mut |writer| object.write_opts(writer));
        }
        self.flag("-nographic", "no display");
        self.raw("-monitor", "no human monitor: QMP is the only one", &[b"none"]);
    }

    fn program(&mut self, target: &Target<'_>) {
        for wrapper in target.wrappers {
            self.note("wrapper", wrapper.why);
            for word in wrapper.words() {
                if word.is_empty() {
                    self.error(BuildError::EmptyWrapper { why: wrapper.why });
                }
                self.push(|command| command.push(word.as_bytes()));
            }
        }
        let binary = target.binary.unwrap_or_else(|| OsStr::new(self.board.facts.architecture.qemu_binary()));
        self.note("program", "the QEMU binary");
        if binary.is_empty() {
            self.error(CommandError::NoProgram.into());
        }
        self.push(|command| command.push(binary.as_bytes()));
    }

    pub(crate) fn board(&self) -> Board {
        self.board
    }

    pub(crate) fn error(&mut self, error: BuildError) {
        self.errors.push(error);
    }

    #[inline]
    fn push(&mut self, add: impl FnOnce(&mut QemuCommand) -> Pushed) {
        let pushed = add(&mut self.command);
        self.pushed(pushed);
    }

    #[inline]
    fn pushed(&mut self, pushed: Pushed) {
        if let Err(error) = pushed {
            self.error((*error).into());
        }
    }

    #[inline]
    fn note(&mut self, flag: &'static str, why: &'static str) {
        if let Some(notes) = &mut self.notes {
            notes.add(self.command.len(), flag, Reason::new(why));
        }
    }

    /// Replaces the reason of the last option with this flag, if anybody wants reasons.
    pub(crate) fn because(&mut self, flag: &'static str, reason: impl FnOnce() -> Reason) {
        if let Some(notes) = &mut self.notes {
            notes.replace(flag, reason());
        }
    }

    /// Adds a flag alone.
    pub(crate) fn flag(&mut self, flag: &'static str, why: &'static str) {
        self.note(flag, why);
        self.push(|command| command.push(flag.as_bytes()));
    }

    /// Adds a flag and a raw value that is put together from parts.
    pub(crate) fn raw(&mut self, flag: &'static str, why: &'static str, parts: &[&[u8]]) {
        self.note(flag, why);
        self.push(|command| command.push_parts(flag, parts));
    }

    /// Adds a flag and options.
    pub(crate) fn options(
        &mut self,
        flag: &'static str,
        why: &'static str,
        id: Option<&Id>,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) {
        self.note(flag, why);
        let pushed = self.command.push_option(flag, &self.context, id, write);
        self.pushed(pushed);
    }

    /// Adds what there is once, in the place of what there is already.
    pub(crate) fn once(&mut self, what: Once, add: impl FnOnce(&mut Self)) {
        let (first, count) = self.once[what as usize];
        if count > 0 {
            self.command.remove(first as usize, count as usize);
            for (later, _) in self.once.iter_mut().filter(|(later, _)| *later > first) {
                *later -= count;
            }
            if let Some(notes) = &mut self.notes {
                notes.remove(first as usize, count as usize);
            }
        }
        let first = self.command.len();
        add(self);
        #[allow(clippy::cast_possible_truncation)] // a command has at most 2^32 bytes
        {
            self.once[what as usize] = (first as u32, (self.command.len() - first) as u32);
        }
    }

    /// Adds one argument as it is.
    pub(crate) fn raw_arg(&mut self, arg: &OsStr) {
        let bytes = arg.as_bytes();
        if bytes.is_empty() || (bytes[0] == b'-' && bytes.contains(&b' ')) {
            self.error(BuildError::RawArgument { arg: arg.to_string_lossy().into_owned() });
        }
        self.note("raw", "a raw argument of the definition");
        self.push(|command| command.push(arg.as_bytes()));
    }

    /// Adds the console on port 0 of a virtio-serial controller.
    pub(crate) fn virtconsole(&mut self, console: &VirtConsole) {
        if !self.takes_console() {
            return;
        }
        if !self.has_serial {
            self.has_serial = true;
            self.raw("-serial", "the console is a virtconsole, and a second one would take its output", &[b"none"]);
        }
        self.device(None, "virtconsole", false, None, &mut |writer| console.write_opts(writer));
        self.because("-device", || Reason::new("the console, hvc0 in the guest, on the controller's port 0"));
        self.console = Some("hvc0");
    }

    /// Makes the machine's UART the console, by connecting it with a character device.
    pub(crate) fn serial(&mut self, uart: Uart, chardev: &Chardev) {
        if self.takes_console() {
            self.console = self.connect_uart(uart, chardev, "the console, on the machine's UART");
        }
    }

    /// Connects the machine's UART for the kernel's messages.
    pub(crate) fn log(&mut self, uart: Uart, chardev: &Chardev) {
        self.log = self.connect_uart(uart, chardev, "the kernel's messages, on the machine's UART");
    }

    fn connect_uart(&mut self, uart: Uart, chardev: &Chardev, why: &'static str) -> Option<&'static str> {
        let uart = uart.or(self.board.facts.uart);
        if uart.is_none() || self.has_serial {
            self.error(if self.has_serial { BuildError::UartTaken } else { BuildError::NoUart });
            return None;
        }
        self.has_serial = true;
        let part = chardev.part(Token::OWN);
        if part.place.vm == self.tag {
            self.uses(part.place.part);
            self.raw("-serial", why, &[b"chardev:", part.id.as_bytes()]);
        } else {
            let source = OptError::ForeignHandle { option: "chardev".to_owned(), id: part.id.to_string() };
            self.error(CommandError::Option { flag: "-serial", source }.into());
        }
        uart.map(Uart::linux_name)
    }

    /// Whether there is no console yet; otherwise that is an error.
    fn takes_console(&mut self) -> bool {
        if self.console.is_some() {
            self.error(BuildError::SecondConsole);
        }
        self.console.is_none()
    }

    /// Notes the use of a part in an argument that is not written by a writer.
    fn uses(&mut self, part: u32) {
        self.command.scratch.noted.argument = self.command.len();
        self.command.scratch.noted.uses(part, false);
    }

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
    fn note_device(&mut self, name: &'static str, single: bool, slot: Option<Transport>) {
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
    fn template_memory(&mut self) -> Id {
        self.template = true;
        self.issue(MEMORY, None).id
    }

    /// The machine is meant to have no kernel.
    pub(crate) fn without_kernel(&mut self) {
        self.kernel_elsewhere = true;
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

    pub(crate) fn kernel(&mut self, kernel: &Kernel<'_>) {
        for (path, what) in [(Some(kernel.image), "a kernel"), (kernel.initrd, "an initial RAM disk")] {
            if path.is_some_and(|path| path.as_os_str().is_empty()) {
                self.error(BuildError::EmptyPath { what });
            }
        }
        self.raw("-kernel", "the guest kernel, booted without a boot loader", &[kernel.image.as_os_str().as_bytes()]);
        if let Some(initrd) = kernel.initrd {
            self.raw("-initrd", "the initial RAM disk", &[initrd.as_os_str().as_bytes()]);
        }
        self.kernel = if kernel.is_linux { KernelState::Linux } else { KernelState::AsItIs };
        self.command.scratch.cmdline.clear();
        self.command.scratch.cmdline.extend_from_slice(kernel.cmdline.unwrap_or_default().as_bytes());
    }

    fn append(&mut self) {
        let consoles = match self.kernel {
            KernelState::None => return,
            KernelState::AsItIs => [None, None],
            // Linux gives `/dev/console` to the last one.
            KernelState::Linux => [self.log, self.console],
        };
        let cmdline = std::mem::take(&mut self.command.scratch.cmdline);
        if let Some(console) = self.console
            && self.kernel == KernelState::Linux
        {
            self.errors.extend(checks::console_parameters(&cmdline, console));
        }
        let mut parts: [&[u8]; 7] = [&[]; 7];
        let mut at = 0;
        for console in consoles.into_iter().flatten() {
            parts[at..at + 3].copy_from_slice(&[b"console=", console.as_bytes(), b" "]);
            at += 3;
        }
        if cmdline.is_empty() {
            // Without the last space.
            at = at.saturating_sub(1);
        }
        parts[at] = &cmdline;
        let parts = &parts[..=at];
        let len = parts.iter().map(|part| part.len()).sum();
        self.check_cmdline(len);
        if len > 0 {
            self.raw("-append", "the kernel command line, with the VM's console first", parts);
        }
        self.command.scratch.cmdline = cmdline;
    }

    /// Ends the VM: the kernel command line, and what can be counted only now.
    pub(crate) fn finish(&mut self) {
        if self.is_built {
            return self.error(BuildError::BuiltAlready);
        }
        if !self.has_serial {
            self.raw("-serial", "no console was asked for", &[b"none"]);
        }
        self.append();
        let nuls = self.command.nuls(0).map(BuildError::from);
        self.errors.extend(nuls);
        self.check();
    }

    /// What is left of a VM that has been built.
    fn shell(&self) -> Self {
        let shell = Self::new(&Target::default(), Some(QemuCommand::default()), self.board);
        Self { is_built: true, ..shell }
    }

    /// The VM itself, in whose place a shell stays.
    pub(crate) fn take(&mut self) -> Self {
        let shell = self.shell();
        std::mem::replace(self, shell)
    }

    pub(crate) fn build(self) -> Result<QemuCommand, BuildErrors> {
        if self.errors.is_empty() { Ok(self.command) } else { Err(BuildErrors(self.errors)) }
    }

    pub(crate) fn build_explained(self) -> Result<Explained, BuildErrors> {
        let notes = self.notes.clone().unwrap_or_default();
        self.build().map(|command| Explained { command, notes })
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
