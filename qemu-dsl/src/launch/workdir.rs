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

    /// The same for a QEMU that runs as another user: `group` may use the directory too (mode 2770), and what is made in it
    /// belongs to that group.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create); and when this process may not give the directory to `group`.
    ///
    /// ```
    /// use qemu_dsl::launch::WorkDir;
    /// let own_group = nix::unistd::getegid().as_raw();
    /// let dir = WorkDir::create_for_group(&std::env::temp_dir(), "job-1", own_group)?;
    /// # Ok::<(), qemu_dsl::launch::WorkDirError>(())
    /// ```
    pub fn create_for_group(parent: &Path, name: &str, group: u32) -> Result<Self, WorkDirError> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = Self::create(parent, name)?;
        // The group before the mode: nobody else's group may use the directory for a moment.
        let given = std::os::unix::fs::chown(&dir.path, None, Some(group))
            .and_then(|()| std::fs::set_permissions(&dir.path, std::fs::Permissions::from_mode(0o2770)));
        given.map_err(|source| WorkDirError { parent: parent.display().to_string(), source })?;
        Ok(dir)
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
