//! What QEMU writes: read at once, so that QEMU never waits, and kept within bounds.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::Tap;

/// How much of an output is kept: its end.
const KEPT: usize = 64 * 1024;
/// How much of an output goes to a log.
const LOGGED: usize = 16 << 20;

/// An output that a thread reads.
#[derive(Debug)]
pub(super) struct Output(Arc<Shared>);

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

/// The log, for this user alone: consoles show secrets.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl Output {
    pub(super) fn collect(source: impl Read + Send + 'static, tap: Option<Tap>, log: Option<File>) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            copy(source, tap, log, &theirs);
            theirs.state.lock().unwrap_or_else(PoisonError::into_inner).at_end = true;
            theirs.ended.notify_all();
        });
        Self(shared)
    }

    /// The last of the output.
    pub(super) fn kept(&self) -> Vec<u8> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).bytes.iter().copied().collect()
    }

    /// Waits until all of the output has been read, but no longer than `limit`.
    pub(super) fn wait_for_end(&self, limit: Duration) {
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
        if let Some(tap) = &mut tap {
            tap(chunk);
        }
    }
}
