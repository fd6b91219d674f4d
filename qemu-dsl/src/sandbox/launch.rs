//! Starting a plan.

use super::plan::Plan;
use crate::isolation::ENVIRONMENT;
use crate::launch::{Launch, LaunchError, Limits, Machine};

/// Half of what makes a process the first to go: a sandbox goes before services, and after what asked to go first.
const OOM_SCORE: i16 = 500;
/// How many files a sandbox's QEMU may have open: far more than it does, with one for each of its devices.
pub const OPEN_FILES: u64 = 1024;
/// Threads and processes of one sandbox: QEMU has a pool of at most 64 threads, and wrappers are a handful.
const PROCESSES: u64 = 256;

/// The resource limits of a sandbox's QEMU: no core dumps, which hold the guest's memory; open files; processes; and where its disk
/// is bounded, to `disk` bytes as the guest sees it, the size of a file.
pub fn limits(disk: Option<u64>) -> Limits {
    let limits = Limits::new().core(0).open_files(OPEN_FILES).processes(tasks() + PROCESSES);
    match disk {
        // A qcow2 image has tables beside its data: less than a thousandth of it. (QEMU's docs/interop/qcow2.txt)
        Some(disk) => limits.file_size(disk.saturating_add(disk / 512).saturating_add(16 << 20)),
        None => limits,
    }
}

/// How many tasks the host has: a user's share of them counts against his limit, and the kernel tells only the sum cheaply.
/// (`man 5 proc_loadavg`)
fn tasks() -> u64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(['/', ' ']).nth(4).and_then(|total| total.parse().ok()).unwrap_or(1 << 15)
}

impl Plan {
    /// How the sandbox is started: confined as far as the command itself does not say it. The environment is empty but for what
    /// QEMU needs, core dumps are off, and a host that runs out of memory ends the sandbox before its services.
    ///
    /// ```no_run
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::sandbox::{SandboxConfig, plan};
    /// let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/usr/lib/sandbox")?;
    /// let plan = plan(&config, &HostFacts::example())?;
    /// let machine = plan.launcher().console_log(&config.paths().console_log).start()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn launcher(&self) -> Launch<'_> {
        let mut launch = Launch::new(self.command()).env_clear().limits(limits(None)).oom_score_adj(OOM_SCORE);
        for (key, value) in ENVIRONMENT {
            launch = launch.env(key, value);
        }
        // Wrappers and QEMU are found where this process would find them; a jail has directories of its own.
        if let Some(path) = std::env::var_os("PATH").and_then(|path| crate::programs::absolute(&path)) {
            launch = launch.env("PATH", path);
        }
        match std::env::var_os("TMPDIR") {
            Some(dir) => launch.env("TMPDIR", dir),
            None => launch,
        }
    }

    /// Starts the sandbox with nothing but its plan: [`launcher`](Self::launcher) has options.
    ///
    /// # Errors
    ///
    /// As [`Launch::start`].
    ///
    /// ```no_run
    /// use std::time::{Duration, Instant};
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::sandbox::{SandboxConfig, plan};
    /// let config = SandboxConfig::new("job-1", "/run/vm-job-1", "/usr/lib/sandbox")?;
    /// let machine = plan(&config, &HostFacts::example())?.launch()?;
    /// let mut agent = machine.agent(&config.paths().cmd, Instant::now() + Duration::from_secs(60))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn launch(&self) -> Result<Machine, LaunchError> {
        self.launcher().start()
    }
}
