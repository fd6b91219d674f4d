//! A kernel's configuration, as it lies beside kernels: plain, or compressed as `/proc/config.gz` is.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::identify::compression;
use crate::files::{self, FileError};

/// The longest configuration that is read, packed or not: a distribution's has 300 KB.
const MAX: u64 = 4 << 20;

/// Why a kernel's configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read, or is no file.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is too long for a configuration.
    #[error("the kernel configuration `{}` has more than {limit} bytes{}: is it the right file?", path.display(), if *unpacked { " unpacked" } else { "" })]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        limit: u64,
        /// Whether it is that long when unpacked.
        unpacked: bool,
    },
    /// gzip, and damaged.
    #[error("the kernel configuration `{}` is compressed with gzip and damaged ({reason}): copy it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the unpacker says.
        reason: String,
    },
    /// Compressed with something else than gzip.
    #[error("the kernel configuration `{}` is compressed with {with}: unpack it", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The format.
        with: &'static str,
    },
    /// Text in UTF-16.
    #[error("the kernel configuration `{}` is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`", path.display())]
    Utf16 {
        /// The file.
        path: PathBuf,
    },
}

/// The text of a kernel's `.config`, plain or compressed with gzip. What is no UTF-8 in it is replaced: options are ASCII.
///
/// # Errors
///
/// [`ConfigError`]: it cannot be read, is too long, or in a form that this does not read. Text that is no configuration is none here:
/// [`MmioDiscovery::from_config`](super::MmioDiscovery::from_config) tells.
///
/// ```no_run
/// use qemu_dsl::kernel::{MmioDiscovery, read_config};
/// let discovery = MmioDiscovery::from_config(&read_config("/proc/config.gz".as_ref())?);
/// # Ok::<(), qemu_dsl::kernel::ConfigError>(())
/// ```
pub fn read_config(path: &Path) -> Result<String, ConfigError> {
    let too_long = |unpacked| ConfigError::TooLong { path: path.to_owned(), limit: MAX, unpacked };
    let bytes = bounded(files::open(path)?).map_err(FileError::read(path))?.ok_or_else(|| too_long(false))?;
    let bytes = match compression(&bytes) {
        None => bytes,
        Some("gzip") => bounded(MultiGzDecoder::new(&bytes[..]))
            .map_err(|error| ConfigError::Damaged { path: path.to_owned(), reason: error.to_string() })?
            .ok_or_else(|| too_long(true))?,
        Some(with) => return Err(ConfigError::Compressed { path: path.to_owned(), with }),
    };
    if is_utf16(&bytes) {
        return Err(ConfigError::Utf16 { path: path.to_owned() });
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// All of it, or [`None`] where it is too long.
fn bounded(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX).then_some(bytes))
}

/// A byte order mark, or ASCII with every other byte zero.
fn is_utf16(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [1..=0x7f, 0, 1..=0x7f, 0, ..] | [0, 1..=0x7f, 0, 1..=0x7f, ..]
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    const TEXT: &str = "CONFIG_64BIT=y\r\nCONFIG_VIRTIO_MMIO=m\r\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<String, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        read_config(file.path())
    }

    #[test]
    fn plain_or_packed_it_is_the_same_text() {
        assert_eq!(read(TEXT.as_bytes()).unwrap(), TEXT);
        assert_eq!(read(&gzip(TEXT.as_bytes())).unwrap(), TEXT);
        assert_eq!(read(&[b"\xef\xbb\xbf", TEXT.as_bytes()].concat()).unwrap(), TEXT);
        assert_eq!(read(b"").unwrap(), "");
        assert_eq!(super::super::MmioDiscovery::from_config(TEXT), super::super::MmioDiscovery::AcpiOnly);
        read(b"CONFIG_LOCALVERSION=\"\xe4\"\n").unwrap();
    }

    #[test]
    fn what_is_not_read_is_said() {
        let utf16: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [b"\xff\xfe", &utf16[..]].concat();
        for bytes in [utf16, marked] {
            assert!(matches!(read(&bytes), Err(ConfigError::Utf16 { .. })));
        }
        let packed = gzip(TEXT.as_bytes());
        assert!(matches!(read(&packed[..packed.len() - 9]), Err(ConfigError::Damaged { .. })));
        assert!(matches!(read(b"\xfd7zXZ\0...."), Err(ConfigError::Compressed { with: "xz", .. })));
        assert!(matches!(read_config("/dev/null".as_ref()), Err(ConfigError::File(FileError::NotAFile { .. }))));
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let long = 64 << 20;
        let mut source = io::repeat(b'#').take(long);
        assert_eq!(bounded(&mut source).unwrap(), None);
        assert_eq!(source.limit(), long - MAX - 1, "no more is read, and kept");
        let most = usize::try_from(MAX).unwrap();
        assert_eq!(read(&gzip(&vec![b'#'; most])).unwrap().len(), most);
        let bomb = gzip(&vec![b'#'; 64 << 20]);
        assert!(matches!(read(&bomb), Err(ConfigError::TooLong { unpacked: true, .. })));
        assert!(matches!(read(&vec![b'#'; most + 1]), Err(ConfigError::TooLong { unpacked: false, .. })));
    }
}
