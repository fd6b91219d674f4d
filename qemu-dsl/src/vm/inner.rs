//! What all VMs share, whatever their types: one copy of the code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::Target;
use super::error::{BuildError, BuildErrors};
use super::explain::{Explained, Notes, Reason};
use super::globals::MachineMemory;
use crate::accel::Architecture;
use crate::backend::TemplateMemory;
use crate::command::{CommandError, Pushed};
use crate::machine::MachineFacts;
use crate::opts::{Context, Decimal, Id, OptWriter, QemuOpts as _, VmTag};
use crate::{Memory, QemuCommand};

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
    pub(super) tag: VmTag,
    pub(super) board: Board,
    pub(super) mmio_devices: u32,
    pub(super) pci_devices: u32,
    /// Whether the machine is meant to have no kernel.
    pub(super) kernel_elsewhere: bool,
    pub(super) stdio_taken: bool,
    /// Whether the memory is a file that VMs start from.
    pub(super) template: bool,
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
    pub(super) log: Option<&'static str>,
    /// Whether `-serial` says what the first port is.
    pub(super) has_serial: bool,
    /// Whether the VM has been built: what is left is a shell.
    pub(super) is_built: bool,
    pub(super) errors: Vec<BuildError>,
    pub(super) notes: Option<Notes>,
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
    pub(super) fn push(&mut self, add: impl FnOnce(&mut QemuCommand) -> Pushed) {
        let pushed = add(&mut self.command);
        self.pushed(pushed);
    }

    #[inline]
    pub(super) fn pushed(&mut self, pushed: Pushed) {
        if let Err(error) = pushed {
            self.error((*error).into());
        }
    }

    #[inline]
    pub(super) fn note(&mut self, flag: &'static str, why: &'static str) {
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

    /// The machine is meant to have no kernel.
    pub(crate) fn without_kernel(&mut self) {
        self.kernel_elsewhere = true;
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
