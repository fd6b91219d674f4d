//! Waiting for the end of a child without taking its status away. `nix` has this system call on Linux only.
#![allow(unsafe_code)]

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

/// Returns when the child has ended; its process id stays its own until somebody reaps it.
pub(crate) fn wait_for_end(pid: Pid) {
    let Ok(id) = libc::id_t::try_from(pid.as_raw()) else { return };
    loop {
        // SAFETY: the kernel writes into this value and nothing else; zeros are a value of this plain C structure.
        let result = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, id, &raw mut info, libc::WEXITED | libc::WNOWAIT)
        };
        // Any other error says that there is no such child any more.
        if result == 0 || Errno::last() != Errno::EINTR {
            return;
        }
    }
}
