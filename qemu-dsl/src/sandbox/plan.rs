//! From configuration and facts to the command.

use super::choices::{Choices, ConsoleKind, MachineKind, PlanError};
use super::config::SandboxConfig;
use super::rows::Planning;
use crate::facts::{Acceleration, HostFacts};
use crate::isolation::Isolation;
use crate::vm::Explained;
use crate::{QemuCommand, QemuVersion};

/// The command of a sandbox, and what was chosen. [The module](super) has an example.
#[derive(Debug, Clone)]
pub struct Plan {
    command: QemuCommand,
    choices: Choices,
    version: Option<QemuVersion>,
}

impl Plan {
    pub(super) fn of(command: QemuCommand, choices: Choices, version: Option<QemuVersion>) -> Self {
        Self { command, choices, version }
    }

    pub(super) fn choices(&self) -> Choices {
        self.choices
    }

    /// The whole command, wrappers included.
    pub fn command(&self) -> &QemuCommand {
        &self.command
    }

    /// The command alone.
    pub fn into_command(self) -> QemuCommand {
        self.command
    }

    /// The version of the QEMU that the plan is for, if it is known.
    pub fn qemu_version(&self) -> Option<QemuVersion> {
        self.version
    }

    /// The machine type.
    pub fn machine(&self) -> MachineKind {
        self.choices.machine
    }

    /// The console.
    pub fn console(&self) -> ConsoleKind {
        self.choices.console
    }

    /// The accelerator.
    pub fn accelerator(&self) -> Acceleration {
        self.choices.accel
    }

    /// What holds QEMU.
    pub fn isolation(&self) -> Isolation {
        self.choices.isolation
    }

    /// What the user should know: that the guest kernel needed another machine type than the table's, or may need one; that a layer
    /// of isolation is missing.
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::sandbox::{SandboxConfig, plan};
    /// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?;
    /// let plan = plan(&config, &HostFacts::example())?;
    /// assert!(plan.remarks().any(|remark| remark.contains("no kernel configuration")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remarks(&self) -> impl Iterator<Item = &'static str> {
        self.choices.remarks.into_iter().flatten()
    }

    /// The same plan with the reason of each option.
    ///
    /// # Errors
    ///
    /// As [`plan`](fn@plan).
    ///
    /// ```
    /// use qemu_dsl::HostFacts;
    /// use qemu_dsl::sandbox::{Plan, SandboxConfig};
    /// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?;
    /// let explained = Plan::explain(&config, &HostFacts::example())?;
    /// for (option, reason) in explained.options() {
    ///     println!("{:?}: {}", option.collect::<Vec<_>>(), reason.why());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain(config: &SandboxConfig, facts: &HostFacts) -> Result<Explained, PlanError> {
        Planning::new(config, facts)?.build(None, true).map(|(_, explained)| explained)
    }
}

/// Makes the command of a sandbox. Pure: nothing is read, started or created. [The module](super) has an example.
///
/// # Errors
///
/// [`PlanError`]: contradictory facts, and a network with a QEMU older than 7.2.
pub fn plan(config: &SandboxConfig, facts: &HostFacts) -> Result<Plan, PlanError> {
    plan_reusing(config, facts, None)
}

/// The same in the memory of a command that is no longer needed.
///
/// # Errors
///
/// As [`plan`](fn@plan).
///
/// ```
/// use qemu_dsl::HostFacts;
/// use qemu_dsl::sandbox::{SandboxConfig, plan, plan_reusing};
/// let config = SandboxConfig::new("job-1", "/run/vm", "/boot")?;
/// let first = plan(&config, &HostFacts::example())?;
/// let second = plan_reusing(&config, &HostFacts::example(), Some(first.clone().into_command()))?;
/// assert_eq!(first.command(), second.command());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan_reusing(config: &SandboxConfig, facts: &HostFacts, reuse: Option<QemuCommand>) -> Result<Plan, PlanError> {
    let (choices, explained) = Planning::new(config, facts)?.build(reuse, false)?;
    Ok(Plan::of(explained.command, choices, facts.qemu_version))
}
