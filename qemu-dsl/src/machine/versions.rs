use std::marker::PhantomData;

use crate::QemuVersion;
use crate::opts::{Head, OptError, OptWriter, QemuOpts, Schema};

/// The names of a machine type that end in a version, such as `pc-q35-8.2`: a machine that looks to its guest as it did in that
/// version of QEMU, in later ones too.
///
/// ```
/// use qemu_dsl::machine::Versions;
/// // `virt-2.6` is the oldest; from QEMU 11.1 on it is `virt-5.2`.
/// const VIRT: Versions = Versions::new("virt-", &[((5, 2), (2, 6)), ((11, 1), (5, 2))]);
/// assert!(VIRT.check((8, 2), None).is_ok());
/// assert!(VIRT.check((8, 3), None).is_err(), "there was no 8.3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    prefix: &'static str,
    oldest: &'static [(Release, Release)],
}

/// Major and minor version.
type Release = (u16, u16);

impl Versions {
    /// Names that start with `prefix`; and for versions of QEMU the oldest machine that they have.
    pub const fn new(prefix: &'static str, oldest: &'static [(Release, Release)]) -> Self {
        Self { prefix, oldest }
    }

    /// What stands before the version.
    pub const fn prefix(self) -> &'static str {
        self.prefix
    }

    /// Whether there is a machine of this version, in this QEMU if it is known.
    ///
    /// # Errors
    ///
    /// The reason, in words.
    pub fn check(self, (major, minor): Release, qemu: Option<QemuVersion>) -> Result<(), String> {
        let wanted = format!("{}{major}.{minor}", self.prefix);
        // Minor versions: 1.x and 2.x counted on, 3.x had two, since then three a year.
        let last = match major {
            0..=1 => 7,
            2 => 12,
            3 => 1,
            _ => 2,
        };
        let first = self.oldest.first().map(|(_, oldest)| *oldest);
        if minor > last || first.is_some_and(|oldest| (major, minor) < oldest) {
            return Err(format!("there never was a `{wanted}`: QEMU's versions are 4.0, 4.1, 4.2, 5.0 and so on"));
        }
        let Some(qemu) = qemu else { return Ok(()) };
        if !qemu.is_at_least(major, minor) {
            return Err(format!(
                "QEMU {qemu} is older than `{wanted}`: its newest is `{}{}.{}`",
                self.prefix, qemu.major, qemu.minor
            ));
        }
        let known = self.oldest.iter().rev().find(|((major, minor), _)| qemu.is_at_least(*major, *minor));
        match known {
            Some((_, oldest)) if (major, minor) < *oldest => Err(format!(
                "QEMU {qemu} no longer has `{wanted}`: its oldest is `{}{}.{}`",
                self.prefix, oldest.0, oldest.1
            )),
            _ => Ok(()),
        }
    }
}

/// A machine type with a name: what [`machine!`](crate::machine!) implements.
#[doc(hidden)]
pub trait Named {
    const NAME: &'static str;
    const VERSIONS: Option<Versions>;
}

/// What `-machine` starts with: the machine type's name, and the version in it if one was asked for.
#[doc(hidden)]
pub struct MachineName<M> {
    pub version: Option<Release>,
    of: PhantomData<M>,
}

impl<M> MachineName<M> {
    pub const NEW: Self = Self { version: None, of: PhantomData };
}

// By hand, since derives would ask the same of `M`.
impl<M> Clone for MachineName<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for MachineName<M> {}
impl<M> PartialEq for MachineName<M> {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version
    }
}
impl<M> Eq for MachineName<M> {}
impl<M> Default for MachineName<M> {
    fn default() -> Self {
        Self::NEW
    }
}
impl<M: Named> std::fmt::Debug for MachineName<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.version, M::VERSIONS) {
            (Some((major, minor)), Some(versions)) => write!(f, "{}{major}.{minor}", versions.prefix),
            _ => f.write_str(M::NAME),
        }
    }
}

impl<M: Named> QemuOpts for MachineName<M> {
    const SCHEMA: &'static Schema = &Schema::new(Head::Implied(M::NAME), &[]);

    fn write_opts(&self, writer: &mut OptWriter<'_>) {
        match (self.version, M::VERSIONS) {
            (Some(version), Some(versions)) => {
                if let Err(reason) = versions.check(version, writer.context().version) {
                    writer.fail(OptError::Value { option: "type".to_owned(), reason });
                }
                writer.versioned(versions.prefix, version);
            }
            _ => writer.implied(M::NAME),
        }
    }
}
