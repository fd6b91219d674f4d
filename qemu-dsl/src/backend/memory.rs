//! Guest memory in a file: `-object memory-backend-file`.

use std::path::Path;

use crate::Memory;
use crate::opts::{QemuOpts, Size};

/// Guest memory that starts as the contents of a file, for VMs that all start from one state: the first one writes the
/// template, those after it read it and keep their changes to themselves. (QEMU documentation, "Invocation",
/// `memory-backend-file`; "Mapped-ram")
///
/// The sizes of the back end and of `-m` are one value here: QEMU takes two that differ. A balloon does not go together with
/// it: pages that it hands back are the file's.
///
/// ```
/// use qemu_dsl::backend::TemplateMemory;
/// use qemu_dsl::prelude::*;
/// let memory = TemplateMemory::copy_on_write("/dev/shm/template", mib!(256));
/// let vm = Vm::new(Pc::new(), Tcg::new(), Haswell::new(), memory);
/// let command = vm.build()?.to_string();
/// assert!(command.contains("-machine pc,memory-backend=mem0"));
/// assert!(command.contains("-object memory-backend-file,id=mem0,size=256M,mem-path=/dev/shm/template,share=off"));
/// # Ok::<(), qemu_dsl::vm::BuildErrors>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TemplateMemory<'a> {
    file: &'a Path,
    memory: Memory,
    share: bool,
}

impl<'a> TemplateMemory<'a> {
    /// The guest's writes go to the file: the VM that makes the template.
    pub fn shared(file: &'a (impl AsRef<Path> + ?Sized), memory: Memory) -> Self {
        Self { file: file.as_ref(), memory, share: true }
    }

    /// The guest's writes stay in the VM: those that start from the template.
    pub fn copy_on_write(file: &'a (impl AsRef<Path> + ?Sized), memory: Memory) -> Self {
        Self { file: file.as_ref(), memory, share: false }
    }

    pub(crate) const fn memory(&self) -> Memory {
        self.memory
    }

    pub(crate) const fn object(&self) -> MemoryFile<'a> {
        MemoryFile { size: self.memory.size(), mem_path: self.file, share: self.share }
    }
}

#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(implied = "memory-backend-file", write_only)]
pub(crate) struct MemoryFile<'a> {
    /// How much memory.
    size: Size,
    /// The file.
    mem_path: &'a Path,
    /// Whether the guest's writes go to the file.
    share: bool,
}
