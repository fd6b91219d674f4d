//! Names of hosts.

use std::fmt;
use std::str::FromStr;

use super::PolicyError;

/// A name of DNS, or with `*.` before it, all names below one. Letters count as equal in both cases; a dot at the end says nothing.
///
/// ```
/// use qemu_dsl::policy::HostName;
/// let name: HostName = "*.Example.org.".parse()?;
/// assert_eq!(name.to_string(), "*.example.org");
/// assert!("example".parse::<HostName>().is_ok());
/// assert!("192.0.2.1".parse::<HostName>().is_err(), "that is an address");
/// # Ok::<(), qemu_dsl::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName {
    /// In lower case, without a dot at the end.
    name: String,
    below: bool,
}

/// How long a name is at most, as text. (RFC 1035, 2.3.4: 255 octets in a message, two of which are no text)
pub(crate) const MAX_NAME: usize = 253;

/// Whether a byte is one of a name's.
pub(crate) fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

impl HostName {
    /// Whether a name is this, or below it, without a dot at its end.
    pub(crate) fn holds(&self, name: &[u8]) -> bool {
        let own = self.name.as_bytes();
        if !self.below {
            return name.eq_ignore_ascii_case(own);
        }
        let Some((first, last)) = name.len().checked_sub(own.len()).and_then(|at| name.split_at_checked(at)) else {
            return false;
        };
        first.len() > 1 && first.ends_with(b".") && last.eq_ignore_ascii_case(own)
    }
}

impl FromStr for HostName {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let bad = |reason| PolicyError::Name { text: text.to_owned(), reason };
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.len() > MAX_NAME {
            return Err(bad("it has more than 253 characters"));
        }
        if !name.is_ascii() {
            return Err(bad("it has characters that DNS does not have: write it as `xn--...` (RFC 5890)"));
        }
        if name.contains('*') {
            return Err(bad("`*.` goes before a name, and means all names below it"));
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err(bad("each part between dots has 1 to 63 characters"));
            }
            if !label.bytes().all(is_plain) || label.starts_with('-') || label.ends_with('-') {
                return Err(bad("its parts are letters, digits, `_`, and `-` between those; no port goes with it"));
            }
        }
        if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(bad("it ends with a number, as an address does: allow addresses with a rule"));
        }
        Ok(Self { name: name.to_ascii_lowercase(), below })
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.below { "*." } else { "" })?;
        f.write_str(&self.name)
    }
}
