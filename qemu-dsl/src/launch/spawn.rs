//! The one thing about starting QEMU that needs `unsafe`: what happens in the child between `fork` and `exec`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::{Mode, umask};

/// Starts `command` so that only user and group can use the sockets it makes (umask 007), so that the file descriptors
/// `passed` stay open in it, and on Linux so that the kernel kills it when the calling thread ends.
pub(super) fn spawn(command: &mut Command, passed: Vec<RawFd>) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    let parent = nix::unistd::getpid();
    let in_child = move || {
        umask(Mode::from_bits_truncate(0o007));
        for &fd in &passed {
            // SAFETY: the caller holds the descriptor open until the child has been started.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        #[cfg(target_os = "linux")]
        {
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            // The parent may have died before the line above took effect.
            if nix::unistd::getppid() != parent {
                return Err(nix::errno::Errno::ECHILD.into());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed: `umask`, `fcntl`, `prctl` and `getppid` are bare
    // system calls, and nothing here allocates or locks (an `Errno` becomes an `io::Error` without memory of its own).
    unsafe { command.pre_exec(in_child) }.spawn()
}
