//! What can be a VM's memory, and its CPUs: `-m` and `-smp`.

use crate::Memory;
use crate::backend::TemplateMemory;

/// What can be given where a VM's memory is wanted: a [`Memory`], or a [`TemplateMemory`] which has an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Memory`",
    label = "expected a `Memory`",
    note = "write `mib!(256)` for a literal, which is checked when it is compiled",
    note = "write `Memory::from_mib(mib)?` for a number from elsewhere: its unit is always MiB"
)]
pub trait IntoMemory {
    #[doc(hidden)]
    fn memory(&self) -> Memory;

    #[doc(hidden)]
    fn template(&self) -> Option<&TemplateMemory<'_>> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl IntoMemory for Memory {
    fn memory(&self) -> Memory {
        *self
    }
}

#[diagnostic::do_not_recommend]
impl IntoMemory for TemplateMemory<'_> {
    fn memory(&self) -> Memory {
        self.memory()
    }

    fn template(&self) -> Option<&TemplateMemory<'_>> {
        Some(self)
    }
}

/// What can be given where the CPUs are wanted: an [`Smp`]. The trait is there for its message; it has no example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `Smp`",
    label = "expected an `Smp`",
    note = "write `Smp::new(2)?`: a VM has one CPU at least, and machine types have a limit"
)]
pub trait IntoSmp {
    #[doc(hidden)]
    fn into_smp(self) -> Smp;
}

#[diagnostic::do_not_recommend]
impl IntoSmp for Smp {
    fn into_smp(self) -> Smp {
        self
    }
}

/// The CPUs of a VM.
///
/// ```
/// use qemu_dsl::Smp;
/// let two_of_four = Smp::new(2)?.max(4)?; // two now, two more can be plugged in
/// assert!(Smp::new(0).is_err());
/// assert!(Smp::new(4)?.max(2).is_err());
/// # Ok::<(), qemu_dsl::SmpError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Smp {
    cpus: u32,
    maxcpus: Option<u32>,
}

impl Smp {
    /// One CPU.
    pub const ONE: Self = Self { cpus: 1, maxcpus: None };

    /// So many CPUs.
    ///
    /// # Errors
    ///
    /// [`SmpError`] for 0.
    pub const fn new(cpus: u32) -> Result<Self, SmpError> {
        if cpus == 0 { Err(SmpError::Zero) } else { Ok(Self { cpus, maxcpus: None }) }
    }

    /// How many CPUs there can be after plugging in more.
    ///
    /// # Errors
    ///
    /// [`SmpError`] when there are more already.
    pub const fn max(mut self, maxcpus: u32) -> Result<Self, SmpError> {
        if self.cpus > maxcpus {
            return Err(SmpError::OverMax { cpus: self.cpus, maxcpus });
        }
        self.maxcpus = Some(maxcpus);
        Ok(self)
    }

    /// The CPUs at the start, and the maximum.
    pub(crate) fn numbers(self) -> (u32, Option<u32>) {
        (self.cpus, self.maxcpus)
    }
}

/// Why numbers cannot be a VM's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SmpError {
    /// No CPU at all.
    #[error("a VM needs at least 1 CPU")]
    Zero,
    /// More CPUs than there can be.
    #[error("{cpus} CPUs are more than the maximum of {maxcpus}: raise the maximum")]
    OverMax {
        /// The CPUs at the start.
        cpus: u32,
        /// The maximum.
        maxcpus: u32,
    },
}
