//! Starting a plan.

use super::plan::Plan;
use crate::isolation::ENVIRONMENT;
use crate::launch::{CONFINED_OOM_SCORE, Launch, LaunchError, Limits, Machine};

/// The resource limits of a sandbox's QEMU: [`Limits::confined`], and where its disk is bounded, to `disk` bytes as the guest sees it,
/// the size of a file.
pub fn limits(disk: Option<u64>) -> Limits {
    let limits = Limits::confined();
    match disk {
        // A qcow2 image has tables beside its data: less than a thousandth of it. (QEMU's docs/interop/qcow2.txt)
        Some(disk) => limits.file_size(disk.saturating_add(disk / 512).saturating_add(16 << 20)),
        None => limits,
    }
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
        let mut launch = Launch::new(self.command()).env_clear().limits(limits(None)).oom_score_adj(CONFINED_OOM_SCORE);
        for (key, value) in ENVIRONMENT {
            launch = launch.env(key, value);
        }
        // Wrappers and QEMU are found where this process would find them; a jail has directories of its own.
        if let Some(path) = std::env::var_os("PATH").and_then(|path| crate::programs::absolute(&path)) {
            launch = launch.env("PATH", path);
        }
        match std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()) {
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
