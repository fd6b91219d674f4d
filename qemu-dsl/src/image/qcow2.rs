//! The header of qcow2 images. (QEMU, docs/interop/qcow2.txt; what QEMU makes of it: `qcow2_do_open`, block/qcow2.c)

use std::io::{self, Read, Seek};
use std::path::Path;

use super::{Image, Named, Role};
use crate::backend::Format;
use crate::bytes::{be32, be64, read_at};

pub(super) const MAGIC: &[u8] = b"QFI\xfb";
/// As much of the header as has anything of interest.
pub(super) const HEADER: usize = 104;
/// Header extensions lie in the first cluster, of 2 MiB at most. They are walked through, not read.
const MAX_EXTENSIONS: usize = 256;
/// The longest name that QEMU takes. (`PATH_MAX`-like bounds in block/qcow2.c and include/block/block_int-common.h)
const MAX_NAME: u32 = 1023;
/// The longest name of a format that QEMU takes. (`bs->backing_format`)
const MAX_FORMAT: u32 = 15;

const BACKING_FORMAT: u32 = 0xe279_2aca;
const DATA_FILE: u32 = 0x4441_5441;

/// An external data file.
const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
/// Dirty, corrupt, external data file, compression type, extended L2 entries.
const KNOWN_INCOMPATIBLE: u64 = 0b1_1111;

pub(super) enum Failure {
    Read(io::Error),
    Header(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

fn bad<T>(reason: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::Header(reason.into()))
}

/// What the header extensions say.
#[derive(Default)]
struct Extensions {
    backing_format: Option<Vec<u8>>,
    data_file: Option<Vec<u8>>,
}

/// Reads an image whose first bytes are `head`.
pub(super) fn read(path: &Path, head: &[u8], source: &mut (impl Read + Seek)) -> Result<Image, Failure> {
    let fields =
        || Some((be32(head, 4)?, be64(head, 8)?, be32(head, 16)?, be32(head, 20)?, be64(head, 24)?, be32(head, 32)?));
    let (Some((version, backing_at, backing_size, cluster_bits, virtual_size, crypt)), Some(snapshots)) =
        (fields(), be32(head, 60))
    else {
        return bad("it is cut off");
    };
    if !(9..=21).contains(&cluster_bits) {
        return bad(format!("clusters of 2^{cluster_bits} bytes, and 9 to 21 are possible"));
    }
    let cluster = 1_u64 << cluster_bits;
    let (incompatible, length) = match version {
        2 => (0, 72),
        3 => match (be64(head, 72), be32(head, 100)) {
            (Some(incompatible), Some(length)) => (incompatible, u64::from(length)),
            _ => return bad("it is cut off"),
        },
        _ => return bad(format!("version {version}, and QEMU has 2 and 3")),
    };
    if (version == 3 && length < 104) || length > cluster {
        return bad(format!("a header of {length} bytes"));
    }
    let unknown = incompatible & !KNOWN_INCOMPATIBLE;
    if unknown != 0 {
        return bad(format!("incompatible features that are not known here: {unknown:#x}"));
    }
    if crypt > 2 {
        return bad(format!("encryption method {crypt}, and QEMU has 0 to 2"));
    }
    if backing_at > cluster {
        return bad("the name of the backing file lies outside of the first cluster");
    }
    let end = if backing_at == 0 { cluster } else { backing_at };
    let Extensions { backing_format, data_file } = extensions(source, length, end)?;
    let backing = if backing_at == 0 || backing_size == 0 {
        None
    } else {
        if backing_size > MAX_NAME || u64::from(backing_size) > cluster - backing_at {
            return bad(format!("a name of {backing_size} bytes for the backing file"));
        }
        let name = text(source, backing_at, backing_size)?;
        // The name ends at a NUL, as in QEMU; one that is empty then names nothing.
        (!name.is_empty()).then_some(Named { role: Role::Backing, name, format: backing_format })
    };
    // Without the feature bit, QEMU does not look at the name.
    let data_file = (incompatible & INCOMPATIBLE_DATA_FILE != 0).then(|| Named {
        role: Role::Data,
        name: data_file.unwrap_or_default(),
        format: None,
    });
    Ok(Image {
        path: path.to_owned(),
        format: Format::Qcow2,
        version: Some(version),
        virtual_size,
        encrypted: crypt != 0,
        snapshots,
        backing,
        data_file,
    })
}

/// The extensions between `at` and `end`.
fn extensions(source: &mut (impl Read + Seek), mut at: u64, end: u64) -> Result<Extensions, Failure> {
    let mut found = Extensions::default();
    for _ in 0..MAX_EXTENSIONS {
        if at >= end {
            return Ok(found);
        }
        let header = read_at(source, at, 8)?;
        let (Some(kind), Some(length)) = (be32(&header, 0), be32(&header, 4)) else {
            return bad("it is cut off");
        };
        at += 8;
        if u64::from(length) > end.saturating_sub(at) {
            return bad(format!("a header extension of {length} bytes"));
        }
        let (field, most) = match kind {
            0 => return Ok(found),
            BACKING_FORMAT => (&mut found.backing_format, MAX_FORMAT),
            DATA_FILE => (&mut found.data_file, MAX_NAME),
            _ => {
                at += u64::from(length).next_multiple_of(8);
                continue;
            }
        };
        if length > most {
            return bad(format!("a header extension of {length} bytes, for a name of {most} at most"));
        }
        // Of two, one would be looked at here and the other used by QEMU.
        if field.replace(text(source, at, length)?).is_some() {
            return bad("a header extension twice");
        }
        at += u64::from(length).next_multiple_of(8);
    }
    bad(format!("more than {MAX_EXTENSIONS} header extensions"))
}

/// A text, which ends at a NUL as it does for QEMU.
fn text(source: &mut (impl Read + Seek), at: u64, length: u32) -> Result<Vec<u8>, Failure> {
    let mut bytes = read_at(source, at, length as usize)?;
    if bytes.len() != length as usize {
        return bad("it is cut off");
    }
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::image::ImageError;

    /// A header, its extensions and the name of a backing file, as qemu-img writes them.
    fn image(version: u32, incompatible: u64, extensions: &[(u32, &[u8])], backing: &[u8]) -> Vec<u8> {
        let length = if version == 2 { 72_u32 } else { 104 };
        let mut tail = Vec::new();
        for (kind, data) in extensions {
            tail.extend_from_slice(&kind.to_be_bytes());
            tail.extend_from_slice(&u32::try_from(data.len()).unwrap().to_be_bytes());
            tail.extend_from_slice(data);
            tail.resize(tail.len().next_multiple_of(8), 0);
        }
        tail.extend_from_slice(&[0; 8]);
        let at = if backing.is_empty() { 0 } else { u64::from(length) + tail.len() as u64 };
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(&version.to_be_bytes());
        head.extend_from_slice(&at.to_be_bytes());
        head.extend_from_slice(&u32::try_from(backing.len()).unwrap().to_be_bytes());
        head.extend_from_slice(&16_u32.to_be_bytes());
        head.extend_from_slice(&(1_u64 << 20).to_be_bytes());
        head.resize(72, 0);
        if version == 3 {
            head.extend_from_slice(&incompatible.to_be_bytes());
            head.resize(100, 0);
            head.extend_from_slice(&length.to_be_bytes());
        }
        [head, tail, backing.to_vec()].concat()
    }

    fn parsed(bytes: &[u8]) -> Result<Image, ImageError> {
        Image::from_reader("dir/image".as_ref(), &mut Cursor::new(bytes))
    }

    fn names(bytes: &[u8]) -> Vec<(Role, String)> {
        let image = parsed(bytes).unwrap();
        image.names().map(|named| (named.role(), named.name().to_str().unwrap().to_owned())).collect()
    }

    fn reason(bytes: &[u8]) -> String {
        match parsed(bytes) {
            Err(ImageError::Header { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_that_an_image_names_is_found() {
        let with_format: &[(u32, &[u8])] = &[(BACKING_FORMAT, b"raw"), (0x6803_f857, &[0; 48])];
        for version in [2, 3] {
            let bytes = image(version, 0, with_format, b"/etc/passwd");
            assert_eq!(names(&bytes), [(Role::Backing, "/etc/passwd".to_owned())]);
            let image = parsed(&bytes).unwrap();
            assert_eq!(image.version(), Some(version));
            assert_eq!(image.virtual_size(), 1 << 20);
            assert_eq!(image.names().next().unwrap().format(), Some("raw".as_ref()));
        }
        let data: &[(u32, &[u8])] = &[(DATA_FILE, b"/etc/passwd")];
        assert_eq!(names(&image(3, INCOMPATIBLE_DATA_FILE, data, b"")), [(Role::Data, "/etc/passwd".to_owned())]);
        assert_eq!(names(&image(3, 0, data, b"")), [], "without the bit QEMU does not open it");
        assert_eq!(names(&image(3, INCOMPATIBLE_DATA_FILE, &[], b"")), [(Role::Data, String::new())]);
        assert_eq!(names(&image(3, 0, &[], b"a\0b")), [(Role::Backing, "a".to_owned())], "as QEMU sees it");
        assert_eq!(names(&image(3, 0, &[], b"")), []);
    }

    #[test]
    fn a_bad_header_is_an_error() {
        let good = image(3, 0, &[], b"base");
        let with = |at: usize, bytes: &[u8]| {
            let mut image = good.clone();
            image[at..at + bytes.len()].copy_from_slice(bytes);
            reason(&image)
        };
        assert!(with(4, &4_u32.to_be_bytes()).contains("version 4"));
        assert!(with(20, &8_u32.to_be_bytes()).contains("2^8"));
        assert!(with(20, &22_u32.to_be_bytes()).contains("2^22"));
        assert!(with(32, &3_u32.to_be_bytes()).contains("encryption method 3"));
        assert!(with(72, &(1_u64 << 5).to_be_bytes()).contains("0x20"));
        assert!(with(100, &96_u32.to_be_bytes()).contains("96 bytes"));
        assert!(with(100, &0x1_0001_u32.to_be_bytes()).contains("65537 bytes"));
        assert!(with(16, &1024_u32.to_be_bytes()).contains("1024 bytes"));
        assert!(with(8, &0x1_0001_u64.to_be_bytes()).contains("outside"));
        assert!(with(8, &0xfffe_u64.to_be_bytes()).contains("a name of 4 bytes"));
        assert_eq!(reason(&good[..good.len() - 1]), "it is cut off");
        assert_eq!(reason(&good[..20]), "it is cut off");
        let twice: &[(u32, &[u8])] = &[(DATA_FILE, b"a"), (DATA_FILE, b"b")];
        assert!(reason(&image(3, 0, twice, b"")).contains("twice"));
        assert!(reason(&image(3, 0, &[(BACKING_FORMAT, &[b'x'; 16])], b"")).contains("15 at most"));
        assert!(reason(&image(3, 0, &[(DATA_FILE, &[b'x'; 1024])], b"")).contains("1023 at most"));
        let many = vec![(1_u32, &b""[..]); MAX_EXTENSIONS + 1];
        assert!(reason(&image(3, 0, &many, b"")).contains("more than 256"));
    }

    /// A source that counts what is read of it.
    struct Counted<'a> {
        inner: Cursor<&'a [u8]>,
        read: usize,
    }

    impl Read for Counted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.inner.read(buffer)?;
            self.read += count;
            Ok(count)
        }
    }

    impl Seek for Counted<'_> {
        fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
            self.inner.seek(to)
        }
    }

    proptest! {
        /// Whatever the bytes are: an answer, and little is read for it.
        #[test]
        fn any_bytes_have_an_answer(
            version in 2_u32..=3,
            incompatible in 0_u64..64,
            backing in proptest::collection::vec(any::<u8>(), 0..64),
            kinds in proptest::collection::vec((prop_oneof![Just(BACKING_FORMAT), Just(DATA_FILE), any::<u32>()],
                proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
            damage in proptest::collection::vec((0_usize..300, any::<u8>()), 0..8),
            cut in 0_usize..400,
        ) {
            let extensions: Vec<(u32, &[u8])> = kinds.iter().map(|(kind, data)| (*kind, &data[..])).collect();
            let mut bytes = image(version, incompatible, &extensions, &backing);
            for (at, byte) in damage {
                if let Some(place) = bytes.get_mut(at).filter(|_| at >= 4) {
                    *place = byte;
                }
            }
            bytes.truncate(cut.max(4));
            let mut source = Counted { inner: Cursor::new(&bytes), read: 0 };
            if let Ok(image) = Image::from_reader("x".as_ref(), &mut source) {
                for named in image.names() {
                    prop_assert!(named.name.len() <= 1023);
                }
            }
            prop_assert!(source.read <= HEADER + MAX_EXTENSIONS * 8 + 2 * 1023 + 15);
        }
    }
}
