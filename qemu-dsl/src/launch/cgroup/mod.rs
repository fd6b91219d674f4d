//! Control groups: what a machine may use of the host, all of its processes together. (Linux, cgroup v2:
//! `Documentation/admin-guide/cgroup-v2.rst`)

mod disk;
mod error;
mod limits;
mod removal;
mod tree;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub use error::CgroupError;
pub use limits::{CgroupLimits, CgroupReport, Controller};

/// What the names of groups start with.
const PREFIX: &str = "qemu-dsl-";
/// The longest name of a group, in bytes: with what stands before and behind it, it is a file's.
const NAME_LIMIT: usize = 200;
/// How often another name is tried.
const ATTEMPTS: u32 = 16;

/// A control group for one machine. Dropping it ends all that is left in it, and removes it; what is left of owners that were killed
/// is ended and removed when the next one is made.
///
/// ```no_run
/// use qemu_dsl::launch::{Cgroup, CgroupLimits, Launch};
/// # let command = qemu_dsl::QemuCommand::new("qemu-system-x86_64")?;
/// let tree = Cgroup::delegated()?;
/// let group = Cgroup::create(&tree, "job-1", &CgroupLimits::new().memory(512 << 20).pids(256), "/run/vm-job-1".as_ref())?;
/// let machine = Launch::new(&command).cgroup(&group)?.start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    /// Its lock tells others that the group has an owner. It ends with the process, however that ends.
    _lock: File,
}

impl Cgroup {
    /// The tree that was delegated to this process: its own group, if it may make groups there (`Delegate=yes` of systemd, which
    /// marks it; or a group that belongs to this user, who is not root). Where [`create`](Self::create) has moved this process, it is
    /// the same tree still.
    ///
    /// # Errors
    ///
    /// [`CgroupError::NotDelegated`], with the reason.
    pub fn delegated() -> Result<PathBuf, CgroupError> {
        tree::delegated()
    }

    /// Makes a group below `tree`, with these limits; `files` is a file or directory on the disk that input and output are limited
    /// of: those of a file system in memory, of the network, or on several disks are not. `name` is a part of the group's name, which
    /// is another one each time.
    ///
    /// Where this process itself is in `tree`, it moves into a group `launcher` beside the new one: the kernel wants processes in
    /// leaves only. So no other process may be there: neither a child that was started before, nor a shell.
    ///
    /// # Errors
    ///
    /// [`CgroupError`]; no group is left then.
    pub fn create(tree: &Path, name: &str, limits: &CgroupLimits, files: &Path) -> Result<Self, CgroupError> {
        check_name(name)?;
        tree::check(tree)?;
        let needed: Vec<Controller> = limits.controllers().collect();
        if let Some(missing) = needed.iter().find(|controller| !tree::has(tree, **controller)) {
            return Err(tree::missing(tree, *missing));
        }
        tree::check_way_into(tree)?;
        tree::enable(tree, &needed)?;
        removal::sweep(tree);
        // From here on, dropping it removes it.
        let group = Self::make(tree, name)?;
        group.limit(limits, files)?;
        Ok(group)
    }

    fn make(tree: &Path, name: &str) -> Result<Self, CgroupError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut last = io::ErrorKind::AlreadyExists.into();
        for _ in 0..ATTEMPTS {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = tree.join(format!("{PREFIX}{name}-{}-{count}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => {}
                // A process of the same number has left it, or one of another process namespace has it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    last = error;
                    continue;
                }
                Err(source) => return Err(CgroupError::Make { path: path.display().to_string(), source }),
            }
            match removal::lock(&path) {
                Ok(Some(lock)) => return Ok(Self { path, _lock: lock }),
                // Whoever sweeps at this moment has found it before it was locked.
                Ok(None) => last = io::ErrorKind::WouldBlock.into(),
                Err(error) => last = error,
            }
            let _ = std::fs::remove_dir(&path);
        }
        Err(CgroupError::Make { path: tree.join(format!("{PREFIX}{name}")).display().to_string(), source: last })
    }

    fn limit(&self, limits: &CgroupLimits, files: &Path) -> Result<(), CgroupError> {
        if let Some(bytes) = limits.memory {
            self.set("memory.max", &bytes.to_string())?;
            // It is not there on kernels that were built without swap, or started without its accounting.
            if self.path.join("memory.swap.max").exists() {
                self.set("memory.swap.max", "0")?;
            }
            self.set("memory.oom.group", "1")?;
        }
        if let Some(count) = limits.pids {
            self.set("pids.max", &count.to_string())?;
        }
        if let Some(percent) = limits.cpu_percent {
            self.set("cpu.max", &format!("{} 100000", u64::from(percent) * 1000))?;
        }
        match (limits.io(), disk::of(files)) {
            (Some(limits), Some(disk)) => self.set("io.max", &format!("{disk}{limits}")),
            _ => Ok(()),
        }
    }

    /// The group's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the limits have done so far.
    pub fn report(&self) -> CgroupReport {
        CgroupReport::read(&self.path)
    }

    /// The file through which a process gets into the group.
    pub(super) fn procs(&self) -> Result<OwnedFd, CgroupError> {
        let path = self.path.join("cgroup.procs");
        let opened = OpenOptions::new().write(true).open(&path);
        opened.map(Into::into).map_err(|source| CgroupError::Set {
            path: path.display().to_string(),
            value: "a process".to_owned(),
            source,
        })
    }

    fn set(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        tree::write(&self.path.join(file), value)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        removal::end(&self.path, Instant::now() + removal::LIMIT);
    }
}

fn check_name(name: &str) -> Result<(), CgroupError> {
    // A line break would be one in other processes' /proc/PID/cgroup, too.
    if name.is_empty() || name.len() > NAME_LIMIT || name.contains(['/', '\n', '\0']) {
        return Err(CgroupError::Name { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_part_of_a_files() {
        for name in ["job-1", "a.b_c", "..", " ", "ä=,:", &"x".repeat(NAME_LIMIT)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "a/b", "/", "../x", "a\nb", "a\0b", &"x".repeat(NAME_LIMIT + 1)] {
            let error = check_name(name).unwrap_err().to_string();
            assert!(!error.contains('\n') && error.contains("no name of a control group"), "{error}");
        }
    }
}
