//! `-sandbox`: the system calls that QEMU itself may make.

use crate::opts::QemuOpts;

/// The seccomp filter of QEMU: `-sandbox`. (QEMU documentation, "Invocation", `-sandbox`)
///
/// ```
/// use qemu_dsl::opts;
/// use qemu_dsl::prelude::*;
/// let text = opts::to_text(&Seccomp::strict())?;
/// assert_eq!(text, b"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
/// # Ok::<(), opts::OptError>(())
/// ```
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(implied = "on")]
pub struct Seccomp {
    /// System calls that nothing needs any more.
    obsolete: Permission,
    /// Changing user, group or capabilities.
    #[qemu(rename = "elevateprivileges")]
    elevate_privileges: Permission,
    /// Starting other programs.
    spawn: Permission,
    /// Changing priorities, affinities and limits.
    #[qemu(rename = "resourcecontrol")]
    resource_control: Permission,
}

/// Whether QEMU may.
#[derive(QemuOpts, Debug, Clone, Copy, PartialEq, Eq)]
#[qemu(value)]
enum Permission {
    Deny,
}

impl Seccomp {
    /// Everything denied that can be.
    pub const fn strict() -> Self {
        Self {
            obsolete: Permission::Deny,
            elevate_privileges: Permission::Deny,
            spawn: Permission::Deny,
            resource_control: Permission::Deny,
        }
    }
}

crate::opts::family! { "-sandbox" SECCOMP: Seccomp }
