//! The directory of a machine's sockets and disks.

use std::ffi::CString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, fchmod, fstatat};
use nix::unistd::{Gid, fchown, getegid, geteuid};

use super::removal;

/// A directory for one machine, which nobody else can have meanwhile: it is locked. A new one is for its owner alone, and is removed
/// with all that is in it when this is dropped; what is left of owners that were killed is removed when the next one is made.
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
    /// The directory itself, whatever becomes of its path. Its lock is held through this.
    dir: File,
    /// Group and mode, to be given back, of a directory that stays.
    kept: Option<Kept>,
    /// Files whose group and mode are to be given back.
    given: std::sync::Mutex<Vec<(File, Kept)>>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    group: u32,
    mode: u32,
}

impl Kept {
    fn of(data: &std::fs::Metadata) -> Self {
        Self { group: data.gid(), mode: data.mode() & 0o7777 }
    }

    fn restore(self, file: &File) {
        // The mode first: a group that gets it back has not got more meanwhile.
        let _ = fchmod(file, mode(self.mode));
        let _ = fchown(file, None, Some(Gid::from_raw(self.group)));
    }
}

/// Why there is no work directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkDirError {
    /// It cannot be made.
    #[error("no work directory can be made in `{parent}`: {source}")]
    Make {
        /// Where it was to be.
        parent: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else could put other files in its place.
    #[error(
        "`{parent}` is no safe place: `{part}` {why}, so that somebody else could put another directory or disk there; use a directory of your own"
    )]
    Unsafe {
        /// Where it was to be.
        parent: String,
        /// The directory at fault.
        part: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An existing directory cannot be used.
    #[error("the work directory `{path}` cannot be used: {source}")]
    Open {
        /// The directory.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Another machine has it.
    #[error("the work directory `{path}` is in use by {}: wait for its end, or use another one", owner(*pid))]
    InUse {
        /// The directory.
        path: String,
        /// The process that has locked it, where the system tells.
        pid: Option<i32>,
    },
    /// It cannot be shared with the group that QEMU runs in.
    #[error(
        "`{path}` cannot be given to group {group}: {source}; a user who is not root has to be a member of it, and it has to exist here"
    )]
    Give {
        /// The directory, or the file in it.
        path: String,
        /// The group.
        group: u32,
        /// Why not.
        source: io::Error,
    },
}

fn owner(pid: Option<i32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

/// The mode of a directory that QEMU's group shares: it can make files, and removes none but its own.
const SHARED: u32 = 0o3770;
/// The file by which a directory is known to have been made here: names alone could be anybody's.
const MARK: &str = ".qemu-dsl";

/// A name of a file, and no path.
fn plain(name: &str) -> io::Result<CString> {
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` is no name of a file", name.escape_debug()),
        ));
    }
    Ok(CString::new(name)?)
}

/// Removes a directory that is locked, and all that is in it.
fn remove(dir: &File, path: &Path) {
    let _ = fchmod(dir, mode(0o700));
    if removal::empty(dir).is_ok() {
        let _ = std::fs::remove_dir(path);
    }
}

/// How often a name is tried that somebody else takes away at the same moment.
const TRIES: usize = 8;

impl WorkDir {
    /// Makes `vm-<name>-XXXXXX` in `parent`, with random letters, mode 0700, and locks it. Directories of that form that this function
    /// has made for this user, by a mark in them, and that nobody has locked are what is left of owners that were killed: they
    /// are removed.
    ///
    /// # Errors
    ///
    /// [`WorkDirError::Make`] when `parent` is not there or cannot be written, or `name` has a slash; [`WorkDirError::Unsafe`]
    /// where somebody else could replace the directory.
    pub fn create(parent: &Path, name: &str) -> Result<Self, WorkDirError> {
        let failed = |source: io::Error| WorkDirError::Make { parent: parent.display().to_string(), source };
        // Without links, each of which could lead elsewhere a moment later.
        let real = std::fs::canonicalize(parent).map_err(failed)?;
        if !real.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        plain(name).map_err(failed)?;
        if let Some((part, why)) = not_safe(&real) {
            return Err(WorkDirError::Unsafe {
                parent: parent.display().to_string(),
                part: part.display().to_string(),
                why,
            });
        }
        sweep(&real);
        for _ in 0..TRIES {
            let path = nix::unistd::mkdtemp(&real.join(format!("vm-{name}-XXXXXX")));
            let path = path.map_err(|errno| failed(errno.into()))?;
            // A umask may have taken the owner's own rights away.
            let usable = std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700));
            let opened = usable.and_then(|()| open_dir(&path)).and_then(|dir| lock(&dir).map(|()| dir));
            // Whoever sweeps at this moment may have found it before it was locked.
            match opened {
                Ok(dir) if is_at(&dir, &path) => {
                    let made = Self { path, dir, kept: None, given: std::sync::Mutex::default() };
                    made.create_file(MARK).map_err(failed)?;
                    return Ok(made);
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::WouldBlock) => {}
                Err(error) => {
                    let _ = std::fs::remove_dir(&path);
                    return Err(failed(error));
                }
            }
        }
        Err(failed(io::Error::other("each new directory was removed at once by somebody else")))
    }

    /// Locks a directory that is there already, and that stays. Nobody else may enter it meanwhile (mode 0700); in the end it is as it
    /// was, and no file in it changes the user of whoever runs it.
    ///
    /// # Errors
    ///
    /// [`WorkDirError::InUse`], with the owner; [`WorkDirError::Open`] for what is no directory; [`WorkDirError::Unsafe`] for one in
    /// which somebody else could put another disk in the place of the one that was looked at.
    ///
    /// ```
    /// use qemu_dsl::launch::{WorkDir, WorkDirError};
    /// let new = WorkDir::create(&std::env::temp_dir(), "job-1")?;
    /// let error = WorkDir::open(new.path()).unwrap_err();
    /// assert!(matches!(error, WorkDirError::InUse { .. }));
    /// # Ok::<(), WorkDirError>(())
    /// ```
    pub fn open(path: &Path) -> Result<Self, WorkDirError> {
        let failed = |source| WorkDirError::Open { path: path.display().to_string(), source };
        // Without links, each of which could lead elsewhere a moment later.
        let real = std::fs::canonicalize(path).map_err(failed)?;
        let dir = open_dir(&real).map_err(failed)?;
        match lock(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(WorkDirError::InUse { path: path.display().to_string(), pid: who_locks(&dir) });
            }
            Err(error) => return Err(failed(error)),
        }
        let data = dir.metadata().map_err(failed)?;
        if let Some((part, why)) = not_safe(&real) {
            let part = part.display().to_string();
            return Err(WorkDirError::Unsafe { parent: path.display().to_string(), part, why });
        }
        let mut kept = Kept::of(&data);
        if kept.mode == SHARED {
            // Its last owner was killed, and has not given it back.
            kept = Kept { group: getegid().as_raw(), mode: 0o700 };
        }
        fchmod(&dir, mode(0o700)).map_err(|errno| failed(errno.into()))?;
        Ok(Self { path: real, dir, kept: Some(kept), given: std::sync::Mutex::default() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file in the directory, for its owner alone (0600), whatever anybody has done to the directory meanwhile: no link is
    /// followed, and what has that name already is removed.
    ///
    /// # Errors
    ///
    /// It cannot be made; what has that name cannot be removed; `name` has a slash.
    pub fn create_file(&self, name: &str) -> io::Result<File> {
        self.remove(name)?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Opens a file of the directory for reading and writing: no link is followed, and nothing but a file is opened.
    ///
    /// # Errors
    ///
    /// It is not there, or no file; `name` has a slash.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        plain(name)?;
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        let file: File = openat(&self.dir, name, flags, Mode::empty())?.into();
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
    }

    /// Removes what has this name in the directory, whatever it is, with all that is in it; nothing where there is nothing.
    ///
    /// # Errors
    ///
    /// It cannot be removed; `name` has a slash.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        removal::entry(&self.dir, &plain(name)?)
    }

    /// Lets a group use the directory and these files in it: the group that QEMU runs in. It comes last: from here on what is in the
    /// directory may be anybody's. The group can make files in it, and remove none but its own (mode 3770).
    ///
    /// # Errors
    ///
    /// [`WorkDirError::Give`]: this process may not give them to that group, or a file is not there.
    ///
    /// ```
    /// use qemu_dsl::launch::WorkDir;
    /// let dir = WorkDir::create(&std::env::temp_dir(), "job-1")?;
    /// dir.give_to_group(nix::unistd::getegid().as_raw(), &[])?;
    /// # Ok::<(), qemu_dsl::launch::WorkDirError>(())
    /// ```
    pub fn give_to_group(&self, group: u32, files: &[&str]) -> Result<(), WorkDirError> {
        let failed = |path: PathBuf| {
            move |source: io::Error| WorkDirError::Give { path: path.display().to_string(), group, source }
        };
        for name in files {
            let give = || -> io::Result<()> {
                let file = self.open_file(name)?;
                let data = file.metadata()?;
                if data.nlink() != 1 {
                    return Err(io::Error::other("it has another name too"));
                }
                give(&file, group, 0o660)?;
                if self.kept.is_some() {
                    let mut given = self.given.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    given.push((file, Kept::of(&data)));
                }
                Ok(())
            };
            give().map_err(failed(self.path.join(name)))?;
        }
        give(&self.dir, group, SHARED).map_err(failed(self.path.clone()))
    }
}

/// The group before the mode: nobody else's group may use it for a moment.
fn give(file: &File, group: u32, bits: u32) -> io::Result<()> {
    fchown(file, None, Some(Gid::from_raw(group)))?;
    Ok(fchmod(file, mode(bits))?)
}

#[allow(clippy::cast_possible_truncation, clippy::unnecessary_cast)] // 12 bits; mode_t is 16 bits wide on macOS
fn mode(bits: u32) -> Mode {
    Mode::from_bits_truncate(bits as libc::mode_t)
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // There is nobody to tell when any of this fails; what is left is for the owner alone.
        if let Some(kept) = self.kept {
            let given = self.given.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
            // The first time that a file was given, it was what it had been.
            for (file, kept) in given.drain(..).rev() {
                kept.restore(&file);
            }
            // A machine may have left a program that makes whoever runs it this user: where that is not sure, nobody else enters.
            let kept = if removal::disarm(&self.dir).is_ok() { kept } else { Kept { mode: 0o700, ..kept } };
            kept.restore(&self.dir);
        } else if is_at(&self.dir, &self.path) {
            remove(&self.dir, &self.path);
        }
    }
}

fn open_dir(path: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Locks an open directory, or says [`io::ErrorKind::WouldBlock`]. The lock ends with the process, however that ends.
fn lock(dir: &File) -> io::Result<()> {
    dir.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        TryLockError::Error(error) => error,
    })
}

/// Whether a path still leads to an open directory.
fn is_at(dir: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (dir.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}

/// The process that has locked a directory. (`man 5 proc_locks`)
fn who_locks(dir: &File) -> Option<i32> {
    let inode = dir.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let line = locks.lines().find(|line| line.contains("FLOCK") && line.split([' ', ':']).any(|part| part == inode))?;
    line.split_ascii_whitespace().nth(4)?.parse().ok().filter(|pid| *pid > 0)
}

/// The first directory on the way to `path` that others could exchange for another, and why.
fn not_safe(path: &Path) -> Option<(&Path, &'static str)> {
    path.ancestors().find_map(|part| {
        let Ok(data) = std::fs::symlink_metadata(part) else { return Some((part, "cannot be looked at")) };
        fault(&data).map(|why| (part, why))
    })
}

/// Why others could exchange what is in a directory.
fn fault(data: &std::fs::Metadata) -> Option<&'static str> {
    if !is_trusted(data.uid()) {
        return Some("belongs to another user");
    }
    // A group with the number of its only member is no other.
    let private_group = data.gid() == getegid().as_raw() && data.gid() == geteuid().as_raw();
    let others = if private_group { 0o002 } else { 0o022 };
    let others_write = data.mode() & others != 0 && data.mode() & libc::S_ISVTX == 0;
    others_write.then_some("can be written by others, without the sticky bit")
}

/// Whether a user may be trusted with a directory: this one, and root. In a user namespace the host's root has no number, and
/// appears as the one that stands for all such. (`man 7 user_namespaces`, "Unmapped user and group IDs")
fn is_trusted(uid: u32) -> bool {
    if uid == 0 || uid == geteuid().as_raw() {
        return true;
    }
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let unmapped = read("/proc/sys/kernel/overflowuid").trim().parse() == Ok(uid);
    unmapped && read("/proc/self/uid_map").split_ascii_whitespace().nth(2).is_some_and(|count| count != "4294967295")
}

/// At most so many directories are removed at once: whoever makes one waits for it.
const SWEPT: usize = 16;

/// Removes work directories whose owners were killed.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    let own = geteuid().as_raw();
    // Others can make any number of them in a directory like /tmp: those are passed over by their owners.
    let is_own = |path: &PathBuf| std::fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == own);
    let named = entries.flatten().filter(|entry| is_work_dir(entry.file_name().as_bytes())).map(|entry| entry.path());
    for path in named.filter(is_own).take(SWEPT) {
        let Ok(dir) = open_dir(&path) else { continue };
        let mark = fstatat(&dir, MARK, AtFlags::AT_SYMLINK_NOFOLLOW);
        let is_marked =
            mark.is_ok_and(|mark| mark.st_uid == own && mark.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits());
        // While it is locked here, nobody can take it for new.
        if is_marked && lock(&dir).is_ok() && is_at(&dir, &path) {
            remove(&dir, &path);
        }
    }
}

/// Whether a name is of the form `vm-<name>-XXXXXX`.
fn is_work_dir(name: &[u8]) -> bool {
    let Some((head, random)) = name.len().checked_sub(6).map(|at| name.split_at(at)) else { return false };
    head.starts_with(b"vm-") && head.ends_with(b"-") && random.iter().all(u8::is_ascii_alphanumeric)
}
