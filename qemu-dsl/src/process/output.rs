//! What QEMU writes: read at once, so that QEMU never waits, and kept within bounds.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};

/// Takes what an output says, as it comes.
pub type Tap = Box<dyn FnMut(&[u8]) + Send>;

/// How much of an output is kept: its end.
const KEPT: usize = 64 * 1024;
/// How much of an output goes to a log.
const LOGGED: usize = 16 << 20;

/// An output that a thread reads.
#[derive(Debug)]
pub(crate) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Kept>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    at_end: bool,
}

/// The log, for this user alone: consoles show secrets. A link is not followed, and nothing but a file or a device is waited for.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)?;
    let data = file.metadata()?;
    if data.is_file() {
        if data.uid() != nix::unistd::geteuid().as_raw() || data.nlink() != 1 {
            return Err(io::Error::other("it is another user's, or has another name too"));
        }
        file.set_len(0)?;
    } else if !data.file_type().is_char_device() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(file)
}

impl Output {
    pub(crate) fn collect(source: impl Read + Send + 'static, tap: Option<Tap>, log: Option<File>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("qemu-output".to_owned()).spawn(move || {
            // Beyond a limit of file sizes the write fails too; its signal would end this process.
            let _ = SigSet::from(Signal::SIGXFSZ).thread_block();
            copy(source, tap, log, &theirs);
            theirs.state.lock().unwrap_or_else(PoisonError::into_inner).at_end = true;
            theirs.ended.notify_all();
        })?;
        Ok(Self(shared))
    }

    /// The last of the output.
    pub(crate) fn kept(&self) -> Vec<u8> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).bytes.iter().copied().collect()
    }

    /// Waits until all of the output has been read, but no longer than `limit`.
    pub(crate) fn wait_for_end(&self, limit: Duration) {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.0.ended.wait_timeout_while(state, limit, |kept| !kept.at_end);
    }
}

fn copy(mut source: impl Read, mut tap: Option<Tap>, mut log: Option<File>, shared: &Shared) {
    let mut chunk = [0; 16 * 1024];
    let mut room = LOGGED;
    loop {
        let chunk = match source.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => &chunk[..count],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        {
            let mut kept = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            kept.bytes.extend(chunk);
            let over = kept.bytes.len().saturating_sub(KEPT);
            kept.bytes.drain(..over);
        }
        if let Some(file) = &mut log {
            let part = &chunk[..chunk.len().min(room)];
            room -= part.len();
            // A full disk costs the log, not the machine.
            if file.write_all(part).is_err() || room == 0 {
                log = None;
            }
        }
        // A tap that panics is called no more; its panic has been reported, and reading must go on: QEMU would wait.
        if let Some(hand_on) = &mut tap
            && catch_unwind(AssertUnwindSafe(|| hand_on(chunk))).is_err()
        {
            tap = None;
        }
    }
}
