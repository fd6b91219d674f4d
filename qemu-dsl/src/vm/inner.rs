//! What all VMs share, whatever their types: one copy of the code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use memchr::memchr_iter;

use super::Target;
use super::error::{BuildError, BuildErrors};
use super::explain::{Explained, Notes, Reason};
use super::globals::MachineMemory;
use crate::accel::Architecture;
use crate::backend::{Chardev, ReadOnlyImage, TemplateMemory};
use crate::command::{CommandError, Pushed};
use crate::device::VirtConsole;
use crate::kernel::Kernel;
use crate::machine::{MachineFacts, Uart};
use crate::opts::{Context, Decimal, Id, Noted, OptError, OptWriter, QemuOpts as _, Transport, Unique, VmTag};
use crate::{Memory, QemuCommand};

/// The longest command line that x86 and arm64 kernels keep; what is behind it is lost, and nobody says so. (`COMMAND_LINE_SIZE`,
/// arch/*/include/uapi/asm/setup.h: 2048 with NUL)
const MAX_CMDLINE: usize = 2047;

/// A kind of thing that has ids of its own in QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Drive,
    Chardev,
    Netdev,
    IoThread,
    Rng,
    Memory,
    Device,
}

impl Kind {
    const COUNT: usize = Self::Device as usize + 1;

    /// How ids of this kind are made, what several of them are called, and the flag that adds one.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Drive => ("drive", "drives", "-drive"),
            Self::Chardev => ("chardev", "chardevs", "-chardev"),
            Self::Netdev => ("netdev", "netdevs", "-netdev"),
            Self::IoThread => ("iothread", "objects", "-object"),
            Self::Rng => ("rng", "objects", "-object"),
            Self::Memory => ("mem", "objects", "-object"),
            Self::Device => ("device", "devices", "-device"),
        }
    }

    /// Which ids must differ: objects share one space.
    fn space(self) -> u8 {
        match self {
            Self::Drive => 0,
            Self::Chardev => 1,
            Self::Netdev => 2,
            Self::IoThread | Self::Rng | Self::Memory => 3,
            Self::Device => 4,
        }
    }
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

#[derive(Debug)]
pub(crate) struct Inner {
    command: QemuCommand,
    context: Context,
    tag: VmTag,
    board: Board,
    mmio_devices: u32,
    pci_devices: u32,
    /// Whether the machine is meant to have no kernel.
    kernel_elsewhere: bool,
    singles: [Option<&'static str>; 4],
    /// The next number for an id of each kind.
    numbers: [u32; Kind::COUNT],
    stdio_taken: bool,
    /// Whether the memory is a file that VMs start from.
    template: bool,
    /// Whether there is a kernel, whose command line waits for the console.
    kernel: bool,
    /// What Linux calls the console, if there is one.
    console: Option<&'static str>,
    errors: Vec<BuildError>,
    notes: Option<Notes>,
}

impl Inner {
    pub(crate) fn new(target: &Target<'_>, reuse: Option<QemuCommand>, board: Board) -> Self {
        let tag = VmTag::next();
        let mut command = reuse.unwrap_or_else(QemuCommand::with_room);
        command.clear();
        let mut context = Context::new(board.facts.transport, target.version);
        context.vm = Some(tag);
        let mut inner = Self {
            command,
            context,
            tag,
            board,
            mmio_devices: 0,
            pci_devices: 0,
            kernel_elsewhere: false,
            singles: [None; 4],
            numbers: [0; Kind::COUNT],
            stdio_taken: false,
            template: false,
            kernel: false,
            console: None,
            errors: Vec::new(),
            notes: target.explain.then(Notes::default),
        };
        inner.errors.extend(board.foreign());
        inner.program(target);
        inner
    }

    /// What every VM starts with.
    pub(crate) fn start(
        mut self,
        accelerator: &Write<'_>,
        cpu: &Write<'_>,
        machine: &Write<'_>,
        memory: Memory,
        template: Option<&TemplateMemory<'_>>,
    ) -> Self {
        if let Some(max) = self.board.facts.max_memory
            && memory > max
        {
            self.error(BuildError::TooMuchMemory { mib: memory.mib(), max: max.mib() });
        }
        self.options("-accel", "how guest code runs", None, &mut |writer| accelerator(writer));
        self.options("-cpu", "the CPU model that the guest sees", None, &mut |writer| cpu(writer));
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
        self
    }

    fn program(&mut self, target: &Target<'_>) {
        for wrapper in target.wrappers {
            self.note("wrapper", wrapper.why);
            for word in wrapper.words() {
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

    pub(crate) fn tag(&self) -> VmTag {
        self.tag
    }

    pub(crate) fn board(&self) -> Board {
        self.board
    }

    pub(crate) fn error(&mut self, error: BuildError) {
        self.errors.push(error);
    }

    #[inline]
    fn push(&mut self, add: impl FnOnce(&mut QemuCommand) -> Pushed) {
        if let Err(error) = add(&mut self.command) {
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
        self.push(|command| {
            command.push(flag.as_bytes())?;
            command.push_parts(parts).inspect_err(|_| command.pop())
        });
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
        let context = self.context;
        self.push(|command| command.push_option(flag, context, id, write));
    }

    /// Adds one argument as it is.
    pub(crate) fn raw_arg(&mut self, arg: &OsStr) {
        self.note("raw", "a raw argument of the definition");
        self.push(|command| command.push(arg.as_bytes()));
    }

    /// Adds the console on port 0 of a virtio-serial controller.
    pub(crate) fn virtconsole(&mut self, console: &VirtConsole) {
        self.raw("-serial", "the console is a virtconsole, and a second one would take its output", &[b"none"]);
        self.device(None, "virtconsole", false, None, &mut |writer| console.write_opts(writer));
        self.because("-device", || Reason::new("the console, hvc0 in the guest, on the controller's port 0"));
        self.console = Some("hvc0");
    }

    /// Makes a UART of the machine's the console, by connecting it with a character device.
    pub(crate) fn serial(&mut self, uart: Uart, chardev: &Chardev) {
        self.console = uart.or(self.board.facts.uart).map(Uart::linux_name);
        if chardev.vm() == self.tag {
            self.raw("-serial", "the console, on the machine's UART", &[b"chardev:", chardev.id().as_bytes()]);
        } else {
            let source = OptError::ForeignHandle { option: "chardev".to_owned(), id: chardev.id().to_string() };
            self.error(CommandError::Option { flag: "-serial", source }.into());
        }
    }

    /// Adds something that others refer to by its id, which is made when there is none.
    pub(crate) fn part(
        &mut self,
        kind: Kind,
        id: Option<Id>,
        why: &'static str,
        write: &mut dyn FnMut(&mut OptWriter<'_>),
    ) -> Id {
        let id = self.claim(kind, id);
        self.options(kind.words().2, why, Some(&id), write);
        id
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
        if single {
            self.single(name);
        }
        if name == "virtio-balloon" && self.template {
            self.error(BuildError::BalloonOnTemplate);
        }
        match slot {
            Some(Transport::Mmio) => self.mmio_devices += 1,
            Some(Transport::Pci) => self.pci_devices += 1,
            None => {}
        }
        let id = id.map(|id| self.claim(Kind::Device, Some(id)));
        self.options("-device", "a device of the definition", id.as_ref(), write);
    }

    /// The id of memory that is a template.
    pub(crate) fn template_memory(&mut self) -> Id {
        self.template = true;
        self.claim(Kind::Memory, None)
    }

    /// The name of a block node; drives have theirs in the same space.
    pub(crate) fn node_name(&mut self, id: Option<Id>) -> Id {
        let id = self.claim(Kind::Drive, id);
        if id.as_str().len() > ReadOnlyImage::MAX_NODE_NAME {
            self.error(BuildError::NodeName { id: id.to_string() });
        }
        id
    }

    pub(crate) fn check_cpus(&mut self, cpus: u32, max: Option<u32>) {
        let errors = self.board.check_cpus(self.context.version, cpus, max);
        self.errors.extend(errors.into_iter().flatten());
    }

    /// The machine is meant to have no kernel.
    pub(crate) fn without_kernel(&mut self) {
        self.kernel_elsewhere = true;
    }

    /// Values that have to differ and do not.
    fn check_uniques(&mut self) {
        let uniques = &self.command.scratch.uniques;
        let value = |(kind, range): &Noted| (*kind, self.command.bytes(range.clone()));
        for (count, noted) in uniques.iter().map(value).enumerate() {
            if uniques[..count].iter().any(|earlier| value(earlier) == noted) {
                let text = String::from_utf8_lossy(noted.1).replace(",,", ",");
                self.errors.push(match noted.0 {
                    Unique::PortName(_) => BuildError::PortName { name: text },
                    Unique::DiskSerial => BuildError::SameSerial { serial: text },
                    Unique::Mac => BuildError::SameMac { mac: text },
                });
            }
        }
    }

    fn single(&mut self, name: &'static str) {
        if self.singles.contains(&Some(name)) {
            self.error(BuildError::Single { device: name });
        } else if let Some(free) = self.singles.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(name);
        }
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

    fn claim(&mut self, kind: Kind, id: Option<Id>) -> Id {
        let (prefix, kinds, _) = kind.words();
        let space = kind.space();
        let taken = |command: &QemuCommand, id: &Id| {
            command.scratch.ids.iter().any(|(known, other)| *known == space && other == id)
        };
        let id = match id {
            Some(id) => {
                if taken(&self.command, &id) {
                    self.error(BuildError::DuplicateId { kind: kinds, id: id.to_string() });
                }
                id
            }
            // From the last number on: the ones before are taken, or somebody's own.
            None => loop {
                let number = &mut self.numbers[kind as usize];
                let id = Id::numbered(prefix, *number);
                *number += 1;
                if !taken(&self.command, &id) {
                    break id;
                }
            },
        };
        self.command.scratch.ids.push((space, id));
        id
    }

    pub(crate) fn kernel(&mut self, kernel: &Kernel<'_>) {
        self.raw("-kernel", "the guest kernel, booted without a boot loader", &[kernel.image.as_os_str().as_bytes()]);
        if let Some(initrd) = kernel.initrd {
            self.raw("-initrd", "the initial RAM disk", &[initrd.as_os_str().as_bytes()]);
        }
        let cmdline = kernel.cmdline.unwrap_or_default().as_bytes();
        for at in memchr_iter(b'=', cmdline) {
            let start = at.saturating_sub("console".len());
            let first = start == 0 || cmdline[start - 1].is_ascii_whitespace();
            if cmdline[start..].starts_with(b"console=") && first {
                let end = cmdline[at..].iter().position(u8::is_ascii_whitespace).map_or(cmdline.len(), |end| at + end);
                let parameter = String::from_utf8_lossy(&cmdline[start..end]).into_owned();
                self.error(BuildError::ConsoleInCmdline { parameter });
            }
        }
        self.kernel = true;
        self.command.scratch.cmdline.clear();
        self.command.scratch.cmdline.extend_from_slice(cmdline);
    }

    fn append(&mut self) {
        if !self.kernel {
            return;
        }
        let cmdline = std::mem::take(&mut self.command.scratch.cmdline);
        let len = self.console.map_or(0, |console| "console= ".len() + console.len()) + cmdline.len();
        // A microvm without ACPI announces each device there: ` virtio_mmio.device=512@0xfeb00e00:12`.
        let devices = if self.board.facts.announces_mmio { 37 * self.mmio_devices as usize } else { 0 };
        if len + devices > MAX_CMDLINE {
            self.error(BuildError::CmdlineTooLong { len, max: MAX_CMDLINE.saturating_sub(devices) });
        }
        let why = "the kernel command line, with the VM's console first";
        match self.console {
            Some(console) if cmdline.is_empty() => self.raw("-append", why, &[b"console=", console.as_bytes()]),
            Some(console) => self.raw("-append", why, &[b"console=", console.as_bytes(), b" ", &cmdline]),
            None if cmdline.is_empty() => {}
            None => self.raw("-append", why, &[&cmdline]),
        }
        self.command.scratch.cmdline = cmdline;
    }

    /// Ends the VM: the kernel command line, and what can be counted only now.
    pub(crate) fn finish(&mut self) {
        if self.console.is_none() {
            self.raw("-serial", "no console was asked for", &[b"none"]);
        }
        self.append();
        let nuls = self.command.nuls(0).map(BuildError::from);
        self.errors.extend(nuls);
        self.check_uniques();
        let boots = self.kernel || self.kernel_elsewhere;
        let errors = self.board.check(self.context.version, self.mmio_devices, self.pci_devices, boots);
        self.errors.extend(errors.into_iter().flatten());
    }

    pub(crate) fn build(self) -> Result<QemuCommand, BuildErrors> {
        if self.errors.is_empty() { Ok(self.command) } else { Err(BuildErrors(self.errors)) }
    }

    pub(crate) fn build_explained(self) -> Result<Explained, BuildErrors> {
        let notes = self.notes.clone().unwrap_or_default();
        self.build().map(|command| Explained { command, notes })
    }
}
