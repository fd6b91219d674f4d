//! A process under a seccomp filter that denies `unshare`, as containers and services have: `denied PROGRAM ARGS...` becomes the
//! program. (`man 2 seccomp`)
#![allow(unsafe_code)] // prctl with a filter has no safe wrapper

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::libc::{self, sock_filter, sock_fprog};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let program = args.next().expect("denied PROGRAM ARGS...");
    let unshare = u32::try_from(libc::SYS_unshare).expect("a number of a system call");
    let statement = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt, jf, k };
    let mut filter = [
        // The number of the system call is the first word of what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, unshare),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program_of_filter = sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the four instructions, which live until the end of this function.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program_of_filter) == 0
    };
    assert!(installed, "{}", std::io::Error::last_os_error());
    panic!("{}", Command::new(program).args(args).exec());
}
