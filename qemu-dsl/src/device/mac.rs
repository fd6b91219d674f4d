use std::fmt;
use std::str::FromStr;

use crate::opts::{OptType, OptValue, OptWriter, Unique, ValueWriter};

/// The MAC address of a network device: six bytes, not all zero, and not the address of a group. (IEEE 802, clause 8)
///
/// QEMU takes a group's address and says nothing, and replaces zeros with an address of its own.
///
/// ```
/// use qemu_dsl::device::MacAddress;
/// let mac = MacAddress::parse("52:54:00:12:34:56")?;
/// assert_eq!(mac, MacAddress::new([0x52, 0x54, 0, 0x12, 0x34, 0x56])?);
/// assert!(MacAddress::parse("01:00:5e:00:00:01").is_err());
/// # Ok::<(), qemu_dsl::device::MacAddressError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// An address from its bytes.
    ///
    /// # Errors
    ///
    /// [`MacAddressError`] for the address of a group, and for zeros.
    pub const fn new(bytes: [u8; 6]) -> Result<Self, MacAddressError> {
        if matches!(bytes, [0, 0, 0, 0, 0, 0]) {
            Err(MacAddressError::Zero)
        } else if bytes[0] & 1 != 0 {
            Err(MacAddressError::Group { first: bytes[0] })
        } else {
            Ok(Self(bytes))
        }
    }

    /// An address from its text: pairs of hexadecimal digits with colons between them.
    ///
    /// # Errors
    ///
    /// [`MacAddressError`] for other text, and as [`new`](Self::new).
    pub const fn parse(text: &str) -> Result<Self, MacAddressError> {
        let text = text.as_bytes();
        let mut bytes = [0; 6];
        let mut i = 0;
        while i < 17 {
            let byte = if i < text.len() { text[i] } else { 0 };
            if i % 3 == 2 {
                if byte != b':' {
                    return Err(MacAddressError::Format { offset: i });
                }
            } else {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    b'a'..=b'f' => byte - b'a' + 10,
                    b'A'..=b'F' => byte - b'A' + 10,
                    _ => return Err(MacAddressError::Format { offset: i }),
                };
                bytes[i / 3] = bytes[i / 3] << 4 | digit;
            }
            i += 1;
        }
        if text.len() > 17 {
            return Err(MacAddressError::Format { offset: 17 });
        }
        Self::new(bytes)
    }
}

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, MacAddressError> {
        Self::parse(text)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if index > 0 { ":" } else { "" })?;
        }
        Ok(())
    }
}

impl OptValue for MacAddress {
    const TYPE: OptType = OptType::Text;

    fn write_value(&self, value: &mut ValueWriter<'_, '_>) {
        value.unique(Unique::Mac, |value| value.display(self));
    }

    fn write_absent(writer: &mut OptWriter<'_>) {
        writer.claim(Unique::AutomaticMac);
    }
}

/// What can be given where a [`MacAddress`] is wanted: a `MacAddress`. The trait is there for its message; it has no example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `MacAddress`",
    label = "expected a `MacAddress`",
    note = "write `MacAddress::parse(text)?`: QEMU takes the address of a group, and no frame would reach the guest"
)]
pub trait IntoMacAddress {
    #[doc(hidden)]
    fn into_mac_address(self) -> MacAddress;
}

#[diagnostic::do_not_recommend]
impl IntoMacAddress for MacAddress {
    fn into_mac_address(self) -> MacAddress {
        self
    }
}

/// Why something is not a [`MacAddress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MacAddressError {
    /// Text of another form.
    #[error(
        "a MAC address is six pairs of hexadecimal digits with colons between them, and byte {offset} is not: write it as 52:54:00:00:00:01"
    )]
    Format {
        /// Where it is.
        offset: usize,
    },
    /// The address of a group of devices.
    #[error(
        "a MAC address that starts with {first:02x} is the address of a group: clear the lowest bit of its first byte"
    )]
    Group {
        /// The first byte.
        first: u8,
    },
    /// Zeros.
    #[error(
        "a MAC address of zeros means none, and QEMU would take another one: choose one, such as 52:54:00:00:00:01"
    )]
    Zero,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_names_what_is_wrong() {
        for text in ["52:54:00:12:34:56", "02:00:00:00:00:00", "fe:ff:ff:ff:ff:ff"] {
            assert_eq!(MacAddress::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(MacAddress::parse("52:54:00:AB:CD:EF").unwrap().to_string(), "52:54:00:ab:cd:ef");
        for (text, offset) in [
            ("", 0),
            ("5", 1),
            ("52-54-00-12-34-56", 2),
            ("52:54:00:12:34:5g", 16),
            ("52:54:00:12:34", 14),
            ("52:54:00:12:34:56:", 17),
            ("52:54:00:12:34:56,id=x", 17),
        ] {
            assert_eq!(MacAddress::parse(text), Err(MacAddressError::Format { offset }), "{text}");
        }
        assert_eq!(MacAddress::parse("01:00:5e:00:00:01"), Err(MacAddressError::Group { first: 1 }));
        assert_eq!(MacAddress::parse("00:00:00:00:00:00"), Err(MacAddressError::Zero));
    }
}
