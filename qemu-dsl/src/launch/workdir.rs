//! The directory of a machine's sockets and disks.

use std::io;
use std::path::{Path, PathBuf};

/// A directory for one machine. A new one is for its owner alone, and is removed with all that is in it when this is dropped.
///
/// ```
/// use qemu_dsl::launch::WorkDir;
/// let dir = WorkDir::create(&std::env::temp_dir(), "job-1")?;
/// let path = dir.path().to_owned();
/// assert!(path.is_dir());
/// drop(dir);
/// assert!(!path.exists());
/// # Ok::<(), qemu_dsl::launch::WorkDirError>(())
/// ```
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
}

/// Why there is no work directory.
#[derive(Debug, thiserror::Error)]
#[error("no work directory can be made in `{parent}`: {source}")]
pub struct WorkDirError {
    parent: String,
    source: io::Error,
}

impl WorkDir {
    /// Makes `vm-<name>-XXXXXX` in `parent`, with random letters, mode 0700.
    ///
    /// # Errors
    ///
    /// [`WorkDirError`] when `parent` is not there or cannot be written.
    pub fn create(parent: &Path, name: &str) -> Result<Self, WorkDirError> {
        let path = nix::unistd::mkdtemp(&parent.join(format!("vm-{name}-XXXXXX")));
        let path = path.map_err(|errno| WorkDirError { parent: parent.display().to_string(), source: errno.into() })?;
        Ok(Self { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // There is nobody to tell when this fails; what is left is for the owner alone.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
