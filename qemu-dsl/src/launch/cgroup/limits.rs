//! What a group may use, and what its limits did.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use super::tree;

/// A part of the kernel that limits one kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Processor time.
    Cpu,
    /// Input and output of disks.
    Io,
}

impl Controller {
    /// Its name in `cgroup.controllers`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Io => "io",
        }
    }

    /// Its name in version 1.
    pub(super) const fn old_name(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            other => other.name(),
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the processes of a group may use together. What is not set has no limit of the group's own.
///
/// ```
/// use qemu_dsl::launch::{CgroupLimits, Controller};
/// let limits = CgroupLimits::new().memory(1 << 30).pids(256);
/// assert!(limits.controllers().eq([Controller::Memory, Controller::Pids]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupLimits {
    pub(super) memory: Option<u64>,
    pub(super) pids: Option<u64>,
    pub(super) cpu_percent: Option<u32>,
    pub(super) io_bytes: Option<u64>,
    pub(super) io_operations: Option<u64>,
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

    /// The most processor time, in percent of one processor, 1 at least: `cpu.max`.
    #[must_use]
    pub const fn cpu_percent(mut self, percent: u32) -> Self {
        self.cpu_percent = Some(percent);
        self
    }

    /// The most that is read, and the most that is written, in bytes a second, 1 at least, of the disk that the machine's files are
    /// on: `io.max`.
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

    /// What they need a tree to have.
    pub fn controllers(&self) -> impl Iterator<Item = Controller> + use<> {
        let needed = [
            (Controller::Memory, self.memory.is_some()),
            (Controller::Pids, self.pids.is_some()),
            (Controller::Cpu, self.cpu_percent.is_some()),
            (Controller::Io, self.io().is_some()),
        ];
        needed.into_iter().filter(|(_, needed)| *needed).map(|(controller, _)| controller)
    }

    /// These limits as far as `tree` has the controllers for them, and the controllers that it does not have: users' sessions of
    /// systemd are not given all of them. [`Cgroup::create`](super::Cgroup::create) takes all or nothing.
    #[must_use]
    pub fn available_in(mut self, tree: &Path) -> (Self, Vec<Controller>) {
        let missing: Vec<Controller> = self.controllers().filter(|controller| !tree::has(tree, *controller)).collect();
        for controller in &missing {
            match controller {
                Controller::Memory => self.memory = None,
                Controller::Pids => self.pids = None,
                Controller::Cpu => self.cpu_percent = None,
                Controller::Io => (self.io_bytes, self.io_operations) = (None, None),
            }
        }
        (self, missing)
    }

    /// What `io.max` takes behind a disk's numbers.
    pub(super) fn io(&self) -> Option<String> {
        let mut text = String::new();
        for (key, value) in [
            ("rbps", self.io_bytes),
            ("wbps", self.io_bytes),
            ("riops", self.io_operations),
            ("wiops", self.io_operations),
        ] {
            if let Some(value) = value {
                // Writing into a `String` does not fail.
                let _ = write!(text, " {key}={value}");
            }
        }
        Some(text).filter(|text| !text.is_empty())
    }
}

/// What the limits of a group did. What has no limit is not counted, but for processor time.
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

impl CgroupReport {
    pub(super) fn read(group: &Path) -> Self {
        let number = |file: &str, key: &str| field(&tree::read(&group.join(file)), key).unwrap_or_default();
        Self {
            memory_peak: tree::read(&group.join("memory.peak")).trim().parse().ok(),
            oom_kills: number("memory.events", "oom_kill"),
            pids_refused: number("pids.events", "max"),
            cpu_usec: number("cpu.stat", "usage_usec"),
            cpu_throttled_usec: number("cpu.stat", "throttled_usec"),
        }
    }
}

/// `KEY NUMBER` in a file of lines.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_one_of_its_whole_name() {
        let events = "low 0\nhigh 0\nmax 31\noom 2\noom_kill 4\noom_group_kill 1\n";
        assert_eq!(field(events, "oom_kill"), Some(4));
        assert_eq!(field(events, "oom"), Some(2));
        assert_eq!(field(events, "kill"), None);
    }

    #[test]
    fn input_and_output_are_one_line() {
        assert_eq!(CgroupLimits::new().memory(1).io(), None);
        assert_eq!(CgroupLimits::new().io_bytes(5).io().unwrap(), " rbps=5 wbps=5");
        assert_eq!(CgroupLimits::new().io_operations(7).io().unwrap(), " riops=7 wiops=7");
    }
}
