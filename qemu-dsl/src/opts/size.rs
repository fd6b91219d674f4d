use std::fmt;

/// A number of bytes, always written with its unit.
///
/// QEMU reads a bare number in some places as bytes and in others as MiB (`-m`), so the unit is never left out.
///
/// ```
/// use qemu_dsl::opts::Size;
/// assert_eq!(Size::mib(256).to_string(), "256M");
/// assert_eq!(Size::mib(2048).to_string(), "2G");
/// assert_eq!(Size::bytes(1500).to_string(), "1500B");
/// assert_eq!(Size::mib(1).as_bytes(), 1 << 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

const UNITS: [(u64, &str); 5] = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"), (1, "B")];

impl Size {
    /// So many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB, 1024 bytes each.
    pub const fn kib(kib: u32) -> Self {
        Self((kib as u64) << 10)
    }

    /// So many MiB, 1024 KiB each.
    pub const fn mib(mib: u32) -> Self {
        Self((mib as u64) << 20)
    }

    /// So many GiB, 1024 MiB each.
    pub const fn gib(gib: u32) -> Self {
        Self((gib as u64) << 30)
    }

    /// The size in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The number and the largest unit that divides the size without a rest.
    pub(crate) fn parts(self) -> (u64, &'static str) {
        UNITS
            .into_iter()
            .find(|(unit, _)| self.0 != 0 && self.0.is_multiple_of(*unit))
            .map_or((self.0, "B"), |(unit, name)| (self.0 / unit, name))
    }

    /// Reads a number with a unit of [`UNITS`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let (unit, _) = UNITS.into_iter().find(|(_, name)| *name == &text[digits.len()..])?;
        digits.parse::<u64>().ok()?.checked_mul(unit).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = self.parts();
        write!(f, "{number}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for bytes in [0, 1, 1023, 1024, 1 << 20, (1 << 20) + 1, 3 << 30, 1 << 50, u64::MAX] {
            let size = Size::bytes(bytes);
            assert_eq!(Size::parse(&size.to_string()), Some(size));
        }
        assert_eq!(Size::parse("1"), None, "a bare number means different things in different options");
        assert_eq!(Size::parse("18446744073709551615G"), None);
    }
}
