use crate::opts::{OptType, OptValue, Unique, ValueWriter};

/// The serial number of a disk, by which a guest finds it (`/dev/disk/by-id`): 1 to 20 printable ASCII characters. QEMU cuts
/// off what is longer and says nothing. (`VIRTIO_BLK_ID_BYTES`, `include/uapi/linux/virtio_blk.h`; `NVMe` base
/// specification, "Identify Controller")
///
/// ```
/// use qemu_dsl::device::DiskSerial;
/// let serial = DiskSerial::new("disk-1")?;
/// assert!(DiskSerial::new("more than twenty characters").is_err());
/// # Ok::<(), qemu_dsl::device::DiskSerialError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSerial {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl DiskSerial {
    /// The most bytes that a serial number can have.
    pub const MAX: usize = 20;

    /// Checks the text.
    ///
    /// # Errors
    ///
    /// [`DiskSerialError`] when it is empty, too long, or holds something else than printable ASCII.
    pub const fn new(text: &str) -> Result<Self, DiskSerialError> {
        let text = text.as_bytes();
        if text.is_empty() {
            return Err(DiskSerialError::Empty);
        }
        if text.len() > Self::MAX {
            return Err(DiskSerialError::TooLong { len: text.len() });
        }
        let mut bytes = [0; Self::MAX];
        let mut i = 0;
        while i < text.len() {
            if !matches!(text[i], b' '..=b'~') {
                return Err(DiskSerialError::Byte { byte: text[i], offset: i });
            }
            bytes[i] = text[i];
            i += 1;
        }
        #[allow(clippy::cast_possible_truncation)] // at most MAX
        Ok(Self { len: text.len() as u8, bytes })
    }
}

impl OptValue for DiskSerial {
    const TYPE: OptType = OptType::Text;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.unique(Unique::DiskSerial, |value| value.text(&self.bytes[..usize::from(self.len)]));
    }
}

/// What can be given where a [`DiskSerial`] is wanted: a `DiskSerial`. The trait is there for its message; it has no example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `DiskSerial`",
    label = "expected a `DiskSerial`",
    note = "write `DiskSerial::new(text)?`: a disk's serial number has at most 20 bytes, and QEMU would cut off the rest"
)]
pub trait IntoDiskSerial {
    #[doc(hidden)]
    fn into_disk_serial(self) -> DiskSerial;
}

#[diagnostic::do_not_recommend]
impl IntoDiskSerial for DiskSerial {
    fn into_disk_serial(self) -> DiskSerial {
        self
    }
}

/// Why a text is not a [`DiskSerial`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskSerialError {
    /// The text is empty.
    #[error("a disk's serial number cannot be empty: give it 1 to 20 characters")]
    Empty,
    /// The text is longer than 20 bytes.
    #[error("a disk's serial number has at most 20 bytes, and this one has {len}: shorten it")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// A byte that is not printable ASCII.
    #[error("a disk's serial number is printable ASCII, and byte {offset} is `{}`: remove it", byte.escape_ascii())]
    Byte {
        /// The byte.
        byte: u8,
        /// Where it is.
        offset: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_wrong() {
        assert!(DiskSerial::new(&"x".repeat(20)).is_ok());
        assert_eq!(DiskSerial::new(&"x".repeat(21)), Err(DiskSerialError::TooLong { len: 21 }));
        assert_eq!(DiskSerial::new(""), Err(DiskSerialError::Empty));
        assert_eq!(DiskSerial::new("a\n"), Err(DiskSerialError::Byte { byte: b'\n', offset: 1 }));
    }
}
