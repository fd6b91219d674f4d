//! Files that somebody else has put there: opened without waiting for anything, and only if they are files.
//!
//! A FIFO in the place of a kernel would stop whoever opens it until somebody writes, and some devices act when they are opened.
//! So a path is looked at first.

use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "host")]
pub use open::open;

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The system does not let it be read.
    #[error("`{}` cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is there, and it is something else.
    #[error("`{}` is {what}, and a file is needed", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// "a directory", "a FIFO", ...
        what: &'static str,
    },
}

impl FileError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Read { path: path.to_owned(), source }
    }
}

#[cfg(feature = "host")]
mod open {
    use std::fs::{File, Metadata, OpenOptions};
    use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
    use std::path::Path;

    use nix::libc;

    use super::FileError;

    /// Opens a file for reading. A FIFO, a device, a socket and a directory are errors, at once; symbolic links are followed.
    ///
    /// # Errors
    ///
    /// [`FileError`]: it is not there, may not be read, or is no file.
    ///
    /// ```
    /// use qemu_dsl::files::{FileError, open};
    /// assert!(matches!(open("/dev/null".as_ref()), Err(FileError::NotAFile { what: "a device", .. })));
    /// ```
    pub fn open(path: &Path) -> Result<File, FileError> {
        // Opening a device can do something; a FIFO's writer would see a reader come and go.
        is_file(path, &std::fs::metadata(path).map_err(FileError::read(path))?)?;
        let flags = libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(FileError::read(path))?;
        // What stands there may have been replaced in between.
        is_file(path, &file.metadata().map_err(FileError::read(path))?)?;
        Ok(file)
    }

    fn is_file(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
        let kind = metadata.file_type();
        let what = match kind {
            _ if kind.is_file() => return Ok(()),
            _ if kind.is_dir() => "a directory",
            _ if kind.is_fifo() => "a FIFO",
            _ if kind.is_socket() => "a socket",
            _ => "a device",
        };
        Err(FileError::NotAFile { path: path.to_owned(), what })
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::*;

    #[test]
    fn only_files_are_opened_and_nothing_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink("fifo", at("link")).unwrap();
        std::os::unix::fs::symlink("file", at("good-link")).unwrap();
        let what = |path: PathBuf| match open(&path) {
            Ok(_) => "a file",
            Err(FileError::NotAFile { what, .. }) => what,
            Err(FileError::Read { .. }) => "nothing",
        };
        let found = ["fifo", "link", "socket", "file", "good-link", "missing", "."].map(|name| what(at(name)));
        assert_eq!(found, ["a FIFO", "a FIFO", "a socket", "a file", "a file", "nothing", "a directory"]);
        assert_eq!(what("/dev/zero".into()), "a device");
    }
}
