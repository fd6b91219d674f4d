use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::Decimal;

/// The most bytes that an [`Id`] may have.
const CAPACITY: usize = 95;

/// An id, as QEMU understands it: a letter, then letters, digits, `-`, `.` and `_`; at most 95 bytes.
///
/// QMP clients name things by their ids, so they are part of a VM's interface. (QEMU: `util/id.c`, `id_wellformed`.
/// QEMU sets no length; 95 bytes keep an id, and every handle, free of heap memory.)
///
/// ```
/// use qemu_dsl::{Id, id};
///
/// const DISK: Id = id!("hd0"); // a literal is checked when it is compiled
/// let from_data = Id::parse("net-1")?;
/// assert_eq!(DISK.as_str(), "hd0");
/// assert_eq!(from_data.as_str(), "net-1");
/// assert!(Id::parse("a,b").is_err());
/// # Ok::<(), qemu_dsl::opts::IdError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Id {
    len: u8,
    bytes: [u8; CAPACITY],
}

impl Id {
    /// Checks `text` and makes an id of it.
    ///
    /// # Errors
    ///
    /// [`IdError`] says which byte is not allowed, or that the text is empty or too long.
    pub const fn parse(text: &str) -> Result<Self, IdError> {
        let text = text.as_bytes();
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > CAPACITY {
            return Err(IdError::TooLong { len: text.len() });
        }
        if !text[0].is_ascii_alphabetic() {
            return Err(IdError::Start { byte: text[0] });
        }
        let mut bytes = [0; CAPACITY];
        let mut i = 0;
        while i < text.len() {
            if !is_id_byte(text[i]) {
                return Err(IdError::Byte { byte: text[i], offset: i });
            }
            bytes[i] = text[i];
            i += 1;
        }
        #[allow(clippy::cast_possible_truncation)] // at most CAPACITY
        Ok(Self { len: text.len() as u8, bytes })
    }

    /// The id's text.
    ///
    /// ```
    /// assert_eq!(qemu_dsl::id!("hd0").as_str(), "hd0");
    /// ```
    pub fn as_str(&self) -> &str {
        // Only ASCII bytes get in, so this cannot fail; an empty text would be QEMU's to reject.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }

    /// The id's bytes: ASCII.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// `prefix` and a number. The caller vouches for the prefix: a literal of a few letters.
    pub(crate) fn numbered(prefix: &'static str, number: u32) -> Self {
        let number = Decimal::new(number);
        let mut id = Self { len: 0, bytes: [0; CAPACITY] };
        for part in [prefix.as_bytes(), number.as_bytes()] {
            let start = usize::from(id.len);
            id.bytes[start..start + part.len()].copy_from_slice(part);
            #[allow(clippy::cast_possible_truncation)] // a few letters and ten digits
            {
                id.len += part.len() as u8;
            }
        }
        id
    }
}

/// Whether `byte` may stand in an id behind its first letter.
pub(crate) const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// What can be given where an [`Id`] is wanted: an `Id`. The trait is there for its message; it has no example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `Id`",
    label = "expected an `Id`",
    note = "write `id!(\"hd0\")` for a literal, which is checked when it is compiled",
    note = "write `Id::parse(text)?` for text from elsewhere: QEMU would reject a bad one only at the start"
)]
pub trait IntoId {
    #[doc(hidden)]
    fn into_id(self) -> Id;
}

#[diagnostic::do_not_recommend]
impl IntoId for Id {
    fn into_id(self) -> Id {
        self
    }
}

/// An [`Id`] from a literal, checked when it is compiled.
///
/// ```
/// let disk = qemu_dsl::id!("hd0");
/// assert_eq!(disk.as_str(), "hd0");
/// ```
///
/// ```compile_fail
/// let disk = qemu_dsl::id!("hd,0");
/// ```
#[macro_export]
macro_rules! id {
    ($text:literal) => {{
        // A named constant: `cargo check` evaluates it too.
        const CHECKED: $crate::opts::Id = match $crate::opts::Id::parse($text) {
            Ok(id) => id,
            Err(_) => panic!("not a QEMU id: a letter, then letters, digits, `-`, `.` and `_`; at most 95 bytes"),
        };
        CHECKED
    }};
    ($($text:tt)+) => {
        compile_error!("`id!` takes text in quotes, which is checked when it is compiled; for text from elsewhere write `Id::parse(text)?`")
    };
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({:?})", self.as_str())
    }
}

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        // Most ids differ in their length already. Behind it there are zeros.
        self.len == other.len && self.bytes == other.bytes
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// Why a text is not an [`Id`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is empty.
    #[error("an id cannot be empty: give it a letter, then letters, digits, `-`, `.` or `_`")]
    Empty,
    /// The text is longer than 95 bytes.
    #[error("an id has at most 95 bytes, and this one has {len}: shorten it")]
    TooLong {
        /// How many bytes it has.
        len: usize,
    },
    /// The text does not start with a letter.
    #[error("an id starts with a letter, not with `{}`: put a letter before it", byte.escape_ascii())]
    Start {
        /// The first byte.
        byte: u8,
    },
    /// A byte that an id cannot have.
    #[error("an id has only letters, digits, `-`, `.` and `_`, and byte {offset} is `{}`: remove it", byte.escape_ascii())]
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
    fn accepts_what_qemu_accepts() {
        for good in ["a", "Z9", "a-b.c_d", &"a".repeat(95)] {
            assert_eq!(Id::parse(good).map(|id| id.as_str().to_owned()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn names_the_byte_that_is_wrong() {
        assert_eq!(Id::parse(""), Err(IdError::Empty));
        assert_eq!(Id::parse("0a"), Err(IdError::Start { byte: b'0' }));
        assert_eq!(Id::parse("a,b"), Err(IdError::Byte { byte: b',', offset: 1 }));
        assert_eq!(Id::parse("aé"), Err(IdError::Byte { byte: 0xc3, offset: 1 }));
        assert_eq!(Id::parse(&"a".repeat(96)), Err(IdError::TooLong { len: 96 }));
    }

    #[test]
    fn numbers_an_id() {
        assert_eq!(Id::numbered("chardev", 0).as_str(), "chardev0");
        assert_eq!(Id::numbered("net", u32::MAX).as_str(), "net4294967295");
    }
}
