//! A process with a key in its session, which launches programs that look for it: with this process's environment, and without.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use nix::libc;
use qemu_dsl::QemuCommand;
use qemu_dsl::launch::Launch;

const KEY: &str = "qemu-dsl-test-key";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let description = std::ffi::CString::new(KEY)?;
    if std::env::args().nth(1).as_deref() == Some("look") {
        let (kind, ring) = (c"user".as_ptr(), libc::KEY_SPEC_SESSION_KEYRING);
        // SAFETY: both names end with a NUL, and nothing is written to this process's memory.
        let found =
            unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SEARCH, ring, kind, description.as_ptr(), 0) };
        println!("{}", found >= 0);
        return Ok(());
    }
    // SAFETY: all names end with a NUL, and the payload has the length that is given; nothing is written to this process's memory.
    let added = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>());
        let (kind, payload) = (c"user".as_ptr(), c"secret".as_ptr());
        libc::syscall(libc::SYS_add_key, kind, description.as_ptr(), payload, 6, libc::KEY_SPEC_SESSION_KEYRING)
    };
    if added < 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let mut command = QemuCommand::new(std::env::current_exe()?)?;
    command.arg("look")?;
    for (what, launch) in [("inherited", Launch::new(&command)), ("cleared", Launch::new(&command).env_clear())] {
        let machine = launch.start()?;
        machine.wait(Instant::now() + Duration::from_secs(30));
        print!("{what}: {}", String::from_utf8_lossy(&machine.end(None)?.console));
    }
    Ok(())
}
