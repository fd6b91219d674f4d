//! QEMU versions, and proof that a binary is new enough.

use std::fmt;

/// The version of a QEMU binary, as QMP's greeting reports it.
///
/// ```
/// use qemu_dsl::QemuVersion;
/// let version = QemuVersion::new(9, 2, 0);
/// assert!(version >= QemuVersion::new(7, 2, 22));
/// assert_eq!(version.to_string(), "9.2.0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "[u16; 3]", into = "[u16; 3]"))]
pub struct QemuVersion {
    /// The major version: 9 of 9.2.0.
    pub major: u16,
    /// The minor version: 2 of 9.2.0.
    pub minor: u16,
    /// The micro version: 0 of 9.2.0.
    pub micro: u16,
}

impl QemuVersion {
    /// A version from its three numbers.
    pub const fn new(major: u16, minor: u16, micro: u16) -> Self {
        Self { major, minor, micro }
    }

    /// Whether this is QEMU `major.minor` or later.
    pub const fn is_at_least(self, major: u16, minor: u16) -> bool {
        self.major > major || (self.major == major && self.minor >= minor)
    }

    /// Whether this is QEMU `major.minor.x` or earlier.
    pub const fn is_at_most(self, major: u16, minor: u16) -> bool {
        self.major < major || (self.major == major && self.minor <= minor)
    }

    /// Proof that this version is `MAJOR.MINOR` or later; [`None`] when it is not.
    ///
    /// The numbers are inferred from the place the proof is used in:
    ///
    /// ```
    /// use qemu_dsl::QemuVersion;
    /// use qemu_dsl::backend::Reconnect;
    ///
    /// let version = QemuVersion::new(10, 0, 0);
    /// if let Some(proof) = version.since() {
    ///     let _ = Reconnect::milliseconds(250, proof); // needs `Since<9, 2>`
    /// }
    /// ```
    pub const fn since<const MAJOR: u16, const MINOR: u16>(self) -> Option<Since<MAJOR, MINOR>> {
        if self.is_at_least(MAJOR, MINOR) { Some(Since(())) } else { None }
    }
}

impl QemuVersion {
    /// Proof that this version is one of `MAJOR.MINOR` to `LAST_MAJOR.LAST_MINOR`; [`None`] when it is not.
    ///
    /// ```
    /// use qemu_dsl::QemuVersion;
    /// use qemu_dsl::backend::Reconnect;
    ///
    /// if let Some(proof) = QemuVersion::new(8, 2, 0).between() {
    ///     let _ = Reconnect::seconds(1, proof); // needs `Between<8, 0, 10, 1>`
    /// }
    /// assert!(QemuVersion::new(11, 1, 0).between::<8, 0, 10, 1>().is_none());
    /// ```
    pub const fn between<const MAJOR: u16, const MINOR: u16, const LAST_MAJOR: u16, const LAST_MINOR: u16>(
        self,
    ) -> Option<Between<MAJOR, MINOR, LAST_MAJOR, LAST_MINOR>> {
        if self.is_at_least(MAJOR, MINOR) && self.is_at_most(LAST_MAJOR, LAST_MINOR) { Some(Between(())) } else { None }
    }
}

impl From<[u16; 3]> for QemuVersion {
    fn from([major, minor, micro]: [u16; 3]) -> Self {
        Self { major, minor, micro }
    }
}

impl From<QemuVersion> for [u16; 3] {
    fn from(version: QemuVersion) -> Self {
        [version.major, version.minor, version.micro]
    }
}

impl fmt::Display for QemuVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// Proof that the QEMU binary is version `MAJOR.MINOR` or later.
///
/// Only [`QemuVersion::since`] makes one; see there for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since<const MAJOR: u16, const MINOR: u16>(());

/// What can be given where a [`Since`] is wanted: that. The trait is there for its message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not prove QEMU {MAJOR}.{MINOR}",
    label = "expected a `Since<{MAJOR}, {MINOR}>`",
    note = "a version proves what it is new enough for: `if let Some(proof) = version.since() {{ ... }}`"
)]
pub trait ProvesSince<const MAJOR: u16, const MINOR: u16>: Copy {}

#[diagnostic::do_not_recommend]
impl<const MAJOR: u16, const MINOR: u16> ProvesSince<MAJOR, MINOR> for Since<MAJOR, MINOR> {}

/// Proof that the QEMU binary is one of version `MAJOR.MINOR` to `LAST_MAJOR.LAST_MINOR`.
///
/// Only [`QemuVersion::between`] makes one; see there for an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between<const MAJOR: u16, const MINOR: u16, const LAST_MAJOR: u16, const LAST_MINOR: u16>(());
