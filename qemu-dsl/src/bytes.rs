//! Numbers in the headers of files that nobody vouches for: what lies past the end is [`None`].

use std::io::{Read, Seek, SeekFrom};

macro_rules! numbers {
    ($($name:ident: $ty:ident::$from:ident;)*) => {$(
        pub(crate) fn $name(bytes: &[u8], at: usize) -> Option<$ty> {
            let end = at.checked_add(size_of::<$ty>())?;
            Some($ty::$from(bytes.get(at..end)?.try_into().ok()?))
        }
    )*};
}

numbers! {
    le16: u16::from_le_bytes;
    le32: u32::from_le_bytes;
    le64: u64::from_le_bytes;
    be16: u16::from_be_bytes;
    be32: u32::from_be_bytes;
    be64: u64::from_be_bytes;
}

/// Whether `magic` stands at `at`.
pub(crate) fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// Reads up to `most` bytes at `offset`: fewer, or none, where the file ends before.
pub(crate) fn read_at(source: &mut (impl Read + Seek), offset: u64, most: usize) -> std::io::Result<Vec<u8>> {
    source.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    source.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
