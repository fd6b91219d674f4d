//! Disk images from elsewhere: what they are, and which other files they name.
//!
//! A qcow2 image can say that its blocks are in other files: a backing file, or an external data file. QEMU opens whatever it names, with
//! the rights of whoever starts QEMU, and the guest reads it. So an image that somebody else has made is looked at first:
//!
//! ```no_run
//! use qemu_dsl::image::{Allowed, Image};
//! Image::read("upload.qcow2".as_ref())?.check(&Allowed::nothing())?;
//! # Ok::<(), qemu_dsl::image::ImageError>(())
//! ```
//!
//! What is found holds for as long as nobody else can write the image, or replace it or the files that it names.
//! [`Drive::standalone`](crate::backend::Drive::standalone) and [`Drive::backed_by`](crate::backend::Drive::backed_by) make QEMU itself
//! ignore the backing file that an image names; against an external data file there is this check only.

mod error;
mod qcow2;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

pub use error::ImageError;

use crate::backend::Format;
use crate::bytes::read_at;
use crate::files::FileError;

/// A disk image, by its header. [The module](self) has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    path: PathBuf,
    format: Format,
    version: Option<u32>,
    virtual_size: u64,
    encrypted: bool,
    snapshots: u32,
    backing: Option<Named>,
    data_file: Option<Named>,
}

/// What an image names another file for.
///
/// ```
/// assert_eq!(qemu_dsl::image::Role::Backing.to_string(), "backing file");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Blocks that the image does not have are read from it.
    Backing,
    /// It has all of the image's blocks, which are read and written there.
    Data,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Backing => "backing file",
            Self::Data => "external data file",
        })
    }
}

/// Another file that an image names. [`Image::names`] has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    role: Role,
    name: Vec<u8>,
    format: Option<Vec<u8>>,
}

impl Named {
    /// What it is named for.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The name, as it stands in the image: a path, or what QEMU takes for more, such as `nbd:...` and `json:...`. Empty for an external data
    /// file that the image does not name.
    pub fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    /// The format that the image says the file has. Without one, QEMU guesses it from what is in the file.
    pub fn format(&self) -> Option<&OsStr> {
        self.format.as_deref().map(OsStr::from_bytes)
    }

    /// The path that QEMU opens when `image` names this: relative names start at the image's directory. [`None`] for what is no path.
    /// (`path_combine` and `path_has_protocol`, block.c)
    pub fn path(&self, image: &Path) -> Option<PathBuf> {
        let colon = self.name.iter().position(|byte| *byte == b':');
        let slash = self.name.iter().position(|byte| *byte == b'/');
        let protocol = colon.is_some_and(|colon| slash.is_none_or(|slash| colon < slash));
        if self.name.is_empty() || protocol {
            return None;
        }
        let path = PathBuf::from(OsString::from_vec(self.name.clone()));
        Some(image.parent().map_or(path.clone(), |dir| dir.join(path)))
    }
}

/// Which other files an image may name. [The module](self) has an example.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    base: Option<PathBuf>,
}

impl Allowed {
    /// None: the image stands alone.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// This one, as the backing file. It stands alone itself.
    pub fn only(base: impl Into<PathBuf>) -> Self {
        Self { base: Some(base.into()) }
    }
}

impl Image {
    /// Reads the header of the image at `path`. A FIFO or a device is an error at once.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no file, or has a qcow2 header that QEMU would refuse.
    #[cfg(feature = "host")]
    pub fn read(path: &Path) -> Result<Self, ImageError> {
        Self::from_reader(path, &mut crate::files::open(path)?)
    }

    /// Reads the header of a file that is open already; `path` is for messages, and relative names start at its directory.
    ///
    /// # Errors
    ///
    /// It cannot be read, or has a qcow2 header that QEMU would refuse.
    ///
    /// ```
    /// use std::io::Cursor;
    /// use qemu_dsl::backend::Format;
    /// use qemu_dsl::image::Image;
    /// let image = Image::from_reader("disk.raw".as_ref(), &mut Cursor::new([0; 512]))?;
    /// assert_eq!((image.format(), image.virtual_size()), (Format::Raw, 512));
    /// # Ok::<(), qemu_dsl::image::ImageError>(())
    /// ```
    pub fn from_reader(path: &Path, source: &mut (impl Read + Seek)) -> Result<Self, ImageError> {
        let failed = |error| ImageError::from(FileError::read(path)(error));
        let length = source.seek(SeekFrom::End(0)).map_err(failed)?;
        let head = read_at(source, 0, qcow2::HEADER).map_err(failed)?;
        if !head.starts_with(qcow2::MAGIC) {
            return Ok(Self {
                path: path.to_owned(),
                format: Format::Raw,
                version: None,
                virtual_size: length,
                encrypted: false,
                snapshots: 0,
                backing: None,
                data_file: None,
            });
        }
        qcow2::read(path, &head, source).map_err(|error| match error {
            qcow2::Failure::Read(error) => failed(error),
            qcow2::Failure::Header(reason) => ImageError::Header { path: path.to_owned(), reason },
        })
    }

    /// Its format. What has no qcow2 header is raw: no other format is ever given to QEMU by this library, and QEMU never guesses.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The version of the format: 2 or 3 for qcow2.
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// The size of the disk that the guest sees, in bytes; a raw file's length.
    pub fn virtual_size(&self) -> u64 {
        self.virtual_size
    }

    /// Whether QEMU needs a key to read it.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// How many snapshots it has inside.
    pub fn snapshots(&self) -> u32 {
        self.snapshots
    }

    /// The other files that it names.
    ///
    /// ```no_run
    /// use qemu_dsl::image::Image;
    /// for named in Image::read("overlay.qcow2".as_ref())?.names() {
    ///     println!("{}: {}", named.role(), named.name().display());
    /// }
    /// # Ok::<(), qemu_dsl::image::ImageError>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &Named> {
        self.backing.iter().chain(&self.data_file)
    }

    /// Whether it names no other files than `allowed`. Whether a name stands for the file that is allowed is the file system's to say:
    /// links and detours count as the file that they lead to. That file is read, too: it must name no others.
    ///
    /// # Errors
    ///
    /// [`ImageError`] tells which file it names, and what to do.
    ///
    /// ```no_run
    /// use qemu_dsl::image::{Allowed, Image};
    /// Image::read("overlay.qcow2".as_ref())?.check(&Allowed::only("/srv/base.qcow2"))?;
    /// # Ok::<(), qemu_dsl::image::ImageError>(())
    /// ```
    #[cfg(feature = "host")]
    pub fn check(&self, allowed: &Allowed) -> Result<(), ImageError> {
        let refused = |named: &Named| ImageError::Names {
            path: self.path.clone(),
            role: named.role,
            name: named.name().to_owned(),
        };
        if let Some(data) = &self.data_file {
            return Err(refused(data));
        }
        let Some(named) = &self.backing else { return Ok(()) };
        let Some(base) = &allowed.base else { return Err(refused(named)) };
        let target = named.path(&self.path).ok_or_else(|| refused(named))?;
        if !is_same_file(&target, base)? {
            return Err(ImageError::AnotherBase {
                path: self.path.clone(),
                name: named.name().to_owned(),
                base: base.clone(),
            });
        }
        // Without a format QEMU guesses it, and takes a raw disk that a guest has written a header into for that.
        let format = match named.format.as_deref() {
            Some(b"raw") => Format::Raw,
            Some(b"qcow2") => Format::Qcow2,
            _ => {
                return Err(ImageError::BackingFormat {
                    path: self.path.clone(),
                    base: base.clone(),
                    format: named.format().map(OsStr::to_owned),
                });
            }
        };
        if format == Format::Raw {
            return Ok(());
        }
        Self::read(base)?.check(&Allowed::nothing())
    }
}

/// Whether two paths lead to one file.
#[cfg(feature = "host")]
fn is_same_file(named: &Path, base: &Path) -> Result<bool, ImageError> {
    use std::os::unix::fs::MetadataExt as _;
    let id = |data: std::fs::Metadata| (data.dev(), data.ino());
    let base = std::fs::metadata(base).map_err(FileError::read(base)).map(id)?;
    // What is not there is not the base.
    Ok(std::fs::metadata(named).is_ok_and(|data| id(data) == base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_qemu_opens() {
        let path = |name: &str, image: &str| {
            let named = Named { role: Role::Backing, name: name.into(), format: None };
            named.path(image.as_ref()).map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(path("base", "/d/image").as_deref(), Some("/d/base"));
        assert_eq!(path("../base", "d/image").as_deref(), Some("d/../base"));
        assert_eq!(path("base", "image").as_deref(), Some("base"));
        assert_eq!(path("/etc/passwd", "/d/image").as_deref(), Some("/etc/passwd"));
        assert_eq!(path("./a:b", "/d/image").as_deref(), Some("/d/./a:b"));
        for protocol in ["json:{\"driver\":\"null-co\"}", "nbd://host/x", "fat:/etc", "file:base", ":", ""] {
            assert_eq!(path(protocol, "/d/image"), None, "{protocol}");
        }
    }
}
