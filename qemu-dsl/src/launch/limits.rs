//! Resource limits, looked at before QEMU is started: what runs out in the middle of QEMU's start is hard to make out.
//!
//! The limits themselves are compared, and not what is left of them. Of open files QEMU has the whole limit to itself. Of processes
//! and threads the kernel tells nobody how many a user has: they would have to be counted through all of /proc, and be others a moment
//! later. Where the last of either is gone, starting QEMU is an error that says so, and nothing is left running.

use nix::sys::resource::{Resource, getrlimit};

use super::error::LaunchError;

/// What a small QEMU opens, with this process's own descriptors of it.
const FILES: u64 = 64;
/// Its threads and this process's, and the processes of wrappers.
#[cfg(target_os = "linux")]
const PROCESSES: u64 = 32;

pub(super) fn check() -> Result<(), LaunchError> {
    let limits = [
        (Resource::RLIMIT_NOFILE, "open files", FILES, "-n"),
        #[cfg(target_os = "linux")]
        (Resource::RLIMIT_NPROC, "processes", PROCESSES, "-u"),
    ];
    for (resource, what, needed, flag) in limits {
        // A limit that cannot be read is not known to be too low.
        if let Ok((limit, _)) = getrlimit(resource)
            && limit < needed
        {
            return Err(LaunchError::Limit { what, limit, needed, flag });
        }
    }
    Ok(())
}
