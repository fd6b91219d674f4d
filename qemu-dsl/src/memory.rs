//! Amounts of memory: `-m`.

use crate::opts::Size;

/// The memory of a VM, in whole MiB and at least one.
///
/// QEMU accepts `-m 0` and takes a bare number for MiB, or for bytes, depending on the place. This type does neither.
///
/// ```
/// use qemu_dsl::{Memory, mib};
/// let fixed = mib!(256); // checked when it is compiled
/// let from_data = Memory::from_mib(256)?;
/// assert_eq!(fixed, from_data);
/// assert!(Memory::from_mib(0).is_err());
/// # Ok::<(), qemu_dsl::MemoryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(u32);

impl Memory {
    /// So many MiB.
    ///
    /// # Errors
    ///
    /// [`MemoryError`] for 0.
    pub const fn from_mib(mib: u32) -> Result<Self, MemoryError> {
        if mib == 0 { Err(MemoryError::Zero) } else { Ok(Self(mib)) }
    }

    /// How many MiB.
    pub const fn mib(self) -> u32 {
        self.0
    }

    /// The size in bytes.
    pub const fn size(self) -> Size {
        Size::mib(self.0)
    }
}

/// Why a number of MiB cannot be a VM's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// No memory at all.
    #[error("a VM needs memory: at least 1 MiB")]
    Zero,
}

/// The [`Memory`] of so many MiB, checked when it is compiled.
///
/// ```
/// assert_eq!(qemu_dsl::mib!(256).mib(), 256);
/// ```
///
/// ```compile_fail
/// let none = qemu_dsl::mib!(0);
/// ```
#[macro_export]
macro_rules! mib {
    ($mib:expr) => {{
        // A named constant: `cargo check` evaluates it too.
        const CHECKED: $crate::Memory = match $crate::Memory::from_mib($mib) {
            Ok(memory) => memory,
            Err(_) => panic!("a VM needs memory: at least 1 MiB"),
        };
        CHECKED
    }};
}
