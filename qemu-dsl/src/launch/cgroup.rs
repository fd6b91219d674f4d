//! Control groups: what a machine may use of the host, all of its processes together. (Linux, cgroup v2:
//! `Documentation/admin-guide/cgroup-v2.rst`)

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// Where systems mount the tree.
const MOUNT: &str = "/sys/fs/cgroup";
/// The controllers that limits need.
const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "io"];
/// How long a group may take to be empty once it is killed.
const EMPTY_LIMIT: Duration = Duration::from_secs(1);

/// What the processes of a group may use together. What is not set has no limit of the group's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupLimits {
    memory: Option<u64>,
    pids: Option<u64>,
    cpu_percent: Option<u32>,
    io_bytes: Option<u64>,
    io_operations: Option<u64>,
}

impl CgroupLimits {
    /// No limit.
    pub const fn new() -> Self {
        Self { memory: None, pids: None, cpu_percent: None, io_bytes: None, io_operations: None }
    }

    /// The most memory, in bytes, with no swap beside it: `memory.max`. Beyond it the kernel ends all of the group.
    #[must_use]
    pub const fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The most processes and threads: `pids.max`.
    #[must_use]
    pub const fn pids(mut self, count: u64) -> Self {
        self.pids = Some(count);
        self
    }

    /// The most processor time, in percent of one processor: `cpu.max`.
    #[must_use]
    pub const fn cpu_percent(mut self, percent: u32) -> Self {
        self.cpu_percent = Some(percent);
        self
    }

    /// The most that is read, and the most that is written, in bytes a second, of the disk that the machine's files are on:
    /// `io.max`.
    #[must_use]
    pub const fn io_bytes(mut self, bytes: u64) -> Self {
        self.io_bytes = Some(bytes);
        self
    }

    /// The same in operations a second.
    #[must_use]
    pub const fn io_operations(mut self, count: u64) -> Self {
        self.io_operations = Some(count);
        self
    }
}

/// What the limits of a group did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CgroupReport {
    /// The most memory that was used at once, in bytes, where the kernel tells (Linux 5.19).
    pub memory_peak: Option<u64>,
    /// How many processes the kernel ended because the group had no memory left.
    pub oom_kills: u64,
    /// How often a process or thread could not be made.
    pub pids_refused: u64,
    /// Processor time, in microseconds.
    pub cpu_usec: u64,
    /// How long the group had to wait because its processor time was used up, in microseconds.
    pub cpu_throttled_usec: u64,
}

/// Why there is no group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// There is no tree that this process may make groups in.
    #[error("no control group can be made: {reason}")]
    NotDelegated {
        /// Why not.
        reason: String,
    },
    /// A file of a group cannot be written.
    #[error("the control group's `{path}` cannot be set: {source}")]
    Set {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// A control group for one machine. Dropping it ends all that is left in it, and removes it.
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
}

impl Cgroup {
    /// The tree that was delegated to this process: its own group, if it may make groups there (`Delegate=yes` of systemd, which
    /// marks it; or a group that belongs to this user, who is not root).
    ///
    /// # Errors
    ///
    /// [`CgroupError::NotDelegated`], with the reason.
    pub fn delegated() -> Result<PathBuf, CgroupError> {
        let none = |reason: String| CgroupError::NotDelegated { reason };
        let groups = std::fs::read_to_string("/proc/self/cgroup")
            .map_err(|error| none(format!("/proc/self/cgroup: {error}")))?;
        let own = groups.lines().find_map(|line| line.strip_prefix("0::/"));
        let own = own.ok_or_else(|| none("this process is in no group of version 2".to_owned()))?;
        let path = Path::new(MOUNT).join(own);
        check_tree(&path)?;
        let data = path.metadata().map_err(|error| none(format!("{}: {error}", path.display())))?;
        let user = nix::unistd::geteuid();
        let marked = is_marked(&path);
        if !(marked || (!user.is_root() && data.uid() == user.as_raw())) {
            return Err(none(format!(
                "{} was not delegated: start with `systemd-run --user --scope -p Delegate=yes`, or name a tree",
                path.display()
            )));
        }
        Ok(path)
    }

    /// Makes a group below `tree`, with these limits; `files` is a file or directory on the disk that input and output are limited
    /// of. Where `tree` has processes of its own, this process moves itself into a group `launcher` beside the new one: the kernel
    /// wants processes in leaves only.
    ///
    /// # Errors
    ///
    /// [`CgroupError`]; nothing is left then.
    pub fn create(tree: &Path, name: &str, limits: &CgroupLimits, files: &Path) -> Result<Self, CgroupError> {
        check_tree(tree)?;
        let available = read(&tree.join("cgroup.controllers"));
        let wanted: Vec<&str> =
            CONTROLLERS.into_iter().filter(|name| available.split_ascii_whitespace().any(|one| one == *name)).collect();
        let missing = [
            ("memory", limits.memory.is_some()),
            ("pids", limits.pids.is_some()),
            ("cpu", limits.cpu_percent.is_some()),
        ];
        if let Some((missing, _)) = missing.into_iter().find(|(name, needed)| *needed && !wanted.contains(name)) {
            let reason = format!("{} has no controller `{missing}`", tree.display());
            return Err(CgroupError::NotDelegated { reason });
        }
        enable(tree, &wanted)?;
        let path = tree.join(format!("qemu-dsl-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|source| CgroupError::Set { path: path.display().to_string(), source })?;
        // From here on, dropping it removes it.
        let group = Self { path };
        if let Some(bytes) = limits.memory {
            group.set("memory.max", &bytes.to_string())?;
            // What the kernel has not been built with, it cannot be told.
            let _ = group.set("memory.swap.max", "0");
            group.set("memory.oom.group", "1")?;
        }
        if let Some(count) = limits.pids {
            group.set("pids.max", &count.to_string())?;
        }
        if let Some(percent) = limits.cpu_percent {
            group.set("cpu.max", &format!("{} 100000", u64::from(percent) * 1000))?;
        }
        if wanted.contains(&"io") {
            group.limit_io(limits, files)?;
        }
        Ok(group)
    }

    fn limit_io(&self, limits: &CgroupLimits, files: &Path) -> Result<(), CgroupError> {
        let mut text = String::new();
        for (key, value) in [
            ("rbps", limits.io_bytes),
            ("wbps", limits.io_bytes),
            ("riops", limits.io_operations),
            ("wiops", limits.io_operations),
        ] {
            if let Some(value) = value {
                // Writing into a `String` does not fail.
                let _ = write!(text, " {key}={value}");
            }
        }
        match disk_of(files) {
            // A file system in memory has no disk to limit.
            Some(disk) if !text.is_empty() => self.set("io.max", &format!("{disk}{text}")),
            _ => Ok(()),
        }
    }

    /// The group's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the limits have done so far.
    pub fn report(&self) -> CgroupReport {
        let number = |file: &str, key: &str| field(&read(&self.path.join(file)), key).unwrap_or_default();
        CgroupReport {
            memory_peak: read(&self.path.join("memory.peak")).trim().parse().ok(),
            oom_kills: number("memory.events", "oom_kill"),
            pids_refused: number("pids.events", "max"),
            cpu_usec: number("cpu.stat", "usage_usec"),
            cpu_throttled_usec: number("cpu.stat", "throttled_usec"),
        }
    }

    /// The file through which a process gets into the group.
    pub(super) fn procs(&self) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))?.into())
    }

    fn set(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        write(&self.path.join(file), value)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Linux 5.14; before, what is in it has been ended by its machine.
        let _ = self.set("cgroup.kill", "1");
        let deadline = Instant::now() + EMPTY_LIMIT;
        // Nothing tells of the moment but the directory itself, which cannot be removed before.
        while std::fs::remove_dir(&self.path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn check_tree(tree: &Path) -> Result<(), CgroupError> {
    match statfs(tree) {
        Ok(kind) if kind.filesystem_type() == CGROUP2_SUPER_MAGIC => Ok(()),
        Ok(_) => Err(CgroupError::NotDelegated { reason: format!("{} is no cgroup v2 tree", tree.display()) }),
        Err(error) => Err(CgroupError::NotDelegated { reason: format!("{}: {error}", tree.display()) }),
    }
}

/// Whether systemd has marked a group as delegated. (systemd: "Control Group APIs and Delegation")
fn is_marked(path: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| xattr(path, name).is_some_and(|value| value == b"1"))
}

/// Lets groups below `tree` have the controllers.
fn enable(tree: &Path, controllers: &[&str]) -> Result<(), CgroupError> {
    let file = tree.join("cgroup.subtree_control");
    let enabled = read(&file);
    let missing: Vec<String> = controllers
        .iter()
        .filter(|name| !enabled.split_ascii_whitespace().any(|one| one == **name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let all = missing.join(" ");
    match write(&file, &all) {
        Err(CgroupError::Set { source, .. }) if source.raw_os_error() == Some(nix::libc::EBUSY) => {}
        done => return done,
    }
    // Processes are in it: this one, at best.
    let leaf = tree.join("launcher");
    match std::fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::Set { path: leaf.display().to_string(), source: error });
        }
        _ => {}
    }
    write(&leaf.join("cgroup.procs"), "0")?;
    write(&file, &all)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let written = OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|source| CgroupError::Set { path: path.display().to_string(), source })
}

/// `KEY NUMBER` in a file of lines.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The numbers of the disk that a file is on, as `io.max` wants them: of the whole disk, not of its partition.
fn disk_of(path: &Path) -> Option<String> {
    let device = path.metadata().ok()?.dev();
    let own = format!("{}:{}", nix::libc::major(device), nix::libc::minor(device));
    let entry = std::fs::canonicalize(format!("/sys/dev/block/{own}")).ok()?;
    if !entry.join("partition").exists() {
        return Some(own);
    }
    Some(read(&entry.parent()?.join("dev")).trim().to_owned()).filter(|numbers| !numbers.is_empty())
}

/// An extended attribute. (`man 2 getxattr`)
#[allow(unsafe_code)]
fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    let name = std::ffi::CString::new(name).ok()?;
    let mut value = [0_u8; 16];
    // SAFETY: both names end with a NUL, and the kernel writes at most so many bytes as the buffer has; `nix` has no wrapper.
    let length = unsafe { nix::libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(length).ok().map(|length| value[..length].to_vec())
}
