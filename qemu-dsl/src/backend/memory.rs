//! Guest memory in a file: `-object memory-backend-file`.

use std::path::Path;

use crate::Memory;
use crate::opts::{OptType, OptValue, QemuOpts, Role, Size, Unique, ValueWriter};

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

    /// The guest's writes stay in the VM: those that start from the template. Launching looks at it before QEMU starts:
    /// where it is not there, QEMU would make it, and the guest would start from zeros.
    pub fn copy_on_write(file: &'a (impl AsRef<Path> + ?Sized), memory: Memory) -> Self {
        Self { file: file.as_ref(), memory, share: false }
    }

    pub(crate) const fn memory(&self) -> Memory {
        self.memory
    }

    pub(crate) const fn object(&self) -> MemoryFile<'a> {
        MemoryFile {
            size: self.memory.size(),
            mem_path: TemplatePath { file: self.file, share: self.share },
            share: self.share,
        }
    }
}

/// Why VMs cannot start from a memory template.
#[cfg(feature = "host")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It is not there, may not be read, or is no file.
    #[error(
        "the memory template {0}: QEMU would start from zeros, so let a VM with `TemplateMemory::shared` write it first"
    )]
    File(#[from] crate::files::FileError),
    /// It is smaller than the memory.
    #[error("the memory template `{}` has {has} bytes, and the VM's memory {needs}: the rest would be zeros", path.display())]
    TooSmall {
        /// The file.
        path: std::path::PathBuf,
        /// How many bytes it has.
        has: u64,
        /// How many bytes of memory the VM has.
        needs: u64,
    },
}

/// Looks at the template that a command starts from, if it does.
#[cfg(feature = "host")]
pub(crate) fn check_template(command: &crate::QemuCommand) -> Result<(), TemplateError> {
    let Some((path, needs)) = command.template() else { return Ok(()) };
    let file = crate::files::open(&path)?;
    let has = file.metadata().map_err(crate::files::FileError::read(&path))?.len();
    if has < needs { Err(TemplateError::TooSmall { path, has, needs }) } else { Ok(()) }
}

/// The path of a template.
#[derive(Debug, Clone, Copy)]
struct TemplatePath<'a> {
    file: &'a Path,
    share: bool,
}

impl OptValue for TemplatePath<'_> {
    const TYPE: OptType = OptType::Path;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        if self.file.as_os_str().is_empty() {
            return value.refuse("a memory template needs a path, and this one is empty");
        }
        let role = if self.share { Role::Template } else { Role::TemplateReader };
        value.unique(Unique::Path(role), |value| self.file.write_value(value));
    }
}

#[derive(QemuOpts, Debug, Clone, Copy)]
#[qemu(implied = "memory-backend-file")]
pub(crate) struct MemoryFile<'a> {
    /// How much memory.
    size: Size,
    /// The file.
    mem_path: TemplatePath<'a>,
    /// Whether the guest's writes go to the file.
    share: bool,
}
