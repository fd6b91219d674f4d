//! Starting a plan.

use super::plan::Plan;
use crate::launch::{Launch, LaunchError, Machine};

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
        Launch::new(self.command())
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
