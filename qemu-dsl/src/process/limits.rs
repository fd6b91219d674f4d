//! What a program may use.

use nix::sys::resource::{Resource, getrlimit};

/// How readily the kernel ends what is confined, when memory runs out: before services, and after what asked to go first. Half of
/// what makes a process the first to go. (`man 5 proc_pid_oom_score_adj`)
pub const CONFINED_OOM_SCORE: i16 = 500;
/// How many files what is confined may have open: far more than QEMU does, with one for each of its devices.
pub const CONFINED_OPEN_FILES: u64 = 1024;
/// Threads and processes: QEMU has a pool of at most 64 threads, and wrappers are a handful.
const PROCESSES: u64 = 256;

/// How many tasks the host has: a user's share of them counts against his limit, and the kernel tells only the sum cheaply.
/// (`man 5 proc_loadavg`)
fn tasks() -> u64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(['/', ' ']).nth(4).and_then(|total| total.parse().ok()).unwrap_or(1 << 15)
}

/// Resource limits of a program and of what comes of it. What is not set is as in this process, and what this process may not
/// have is not given. (`man 2 getrlimit`)
///
/// ```
/// use qemu_dsl::launch::{Launch, Limits};
/// # let command = qemu_dsl::QemuCommand::new("qemu-system-x86_64")?;
/// let launch = Launch::new(&command).limits(Limits::new().core(0).file_size(1 << 30));
/// # Ok::<(), qemu_dsl::CommandError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    core: Option<u64>,
    open_files: Option<u64>,
    file_size: Option<u64>,
    processes: Option<u64>,
    memory: Option<u64>,
}

impl Limits {
    /// No limit but this process's own.
    pub const fn new() -> Self {
        Self { core: None, open_files: None, file_size: None, processes: None, memory: None }
    }

    /// Those of what is confined: no core dumps, which hold the guest's memory; [`CONFINED_OPEN_FILES`] files; and 256 processes and
    /// threads more than the host has now.
    pub fn confined() -> Self {
        Self::new().core(0).open_files(CONFINED_OPEN_FILES).processes(tasks() + PROCESSES)
    }

    /// The largest core dump, in bytes: `RLIMIT_CORE`.
    #[must_use]
    pub const fn core(mut self, bytes: u64) -> Self {
        self.core = Some(bytes);
        self
    }

    /// One more than the highest file descriptor: `RLIMIT_NOFILE`.
    #[must_use]
    pub const fn open_files(mut self, count: u64) -> Self {
        self.open_files = Some(count);
        self
    }

    /// The largest file that can be written, in bytes: `RLIMIT_FSIZE`. Beyond it writing fails (EFBIG); the signal that comes with
    /// it is ignored, so that the guest sees an I/O error.
    #[must_use]
    pub const fn file_size(mut self, bytes: u64) -> Self {
        self.file_size = Some(bytes);
        self
    }

    /// The most processes and threads that the program's user may have, on the whole host: `RLIMIT_NPROC`.
    #[must_use]
    pub const fn processes(mut self, count: u64) -> Self {
        self.processes = Some(count);
        self
    }

    /// The most address space, in bytes: `RLIMIT_AS`. QEMU maps far more than it uses.
    #[must_use]
    pub const fn address_space(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// The limits that are set, none above what this process may have.
    pub(super) fn set(self) -> Vec<(Resource, u64)> {
        let all = [
            (Resource::RLIMIT_CORE, self.core),
            (Resource::RLIMIT_NOFILE, self.open_files),
            (Resource::RLIMIT_FSIZE, self.file_size),
            #[cfg(target_os = "linux")]
            (Resource::RLIMIT_NPROC, self.processes),
            #[cfg(target_os = "linux")]
            (Resource::RLIMIT_AS, self.memory),
        ];
        let allowed = |resource| getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard);
        all.into_iter().filter_map(|(resource, value)| Some((resource, value?.min(allowed(resource))))).collect()
    }
}
