//! The two system calls of the probes that no safe wrapper exists for.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc;

/// `KVM_GET_API_VERSION` on an open /dev/kvm. (include/uapi/linux/kvm.h: `_IO(KVMIO, 0x00)`)
pub(super) fn kvm_api_version(kvm: &File) -> io::Result<i32> {
    // SAFETY: the ioctl takes no argument and touches no memory of this process; on a descriptor that is no KVM device it
    // fails with ENOTTY.
    let version = unsafe { libc::ioctl(kvm.as_raw_fd(), 0xae00, 0) };
    if version < 0 { Err(io::Error::last_os_error()) } else { Ok(version) }
}

/// Whether the kernel has `io_uring_setup` and lets this process call it.
pub(super) fn io_uring_exists() -> Result<(), Errno> {
    // SAFETY: with no entries and no parameters the call can only fail: EINVAL or EFAULT where io_uring exists. It
    // touches no memory of this process.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, 0, std::ptr::null_mut::<libc::c_void>()) };
    match Errno::last() {
        _ if result >= 0 => Ok(()),
        Errno::EINVAL | Errno::EFAULT => Ok(()),
        error => Err(error),
    }
}
