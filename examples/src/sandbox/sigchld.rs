//! SIGCHLD, which whoever started this program may ignore: then the kernel tells nobody how children end.
#![allow(unsafe_code)]

use nix::sys::signal::{SigHandler, Signal, signal};

/// Has the kernel tell of children again.
pub(crate) fn tell_of_children() {
    // SAFETY: the disposition is the system's default, so no code of this program is called; no other thread runs yet.
    let _ = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
}
