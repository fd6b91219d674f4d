//! A QEMU that a client stalls by being there early, and what gets it going again.
//!
//! For a moment at its start, QEMU before 10.0 has two threads that watch QMP's listening socket: the main one and the monitor's.
//! A client that comes then wakes both; one accepts it, and the other waits in `accept` for a client that never comes. If that is
//! the main thread, it holds the lock that every command needs: nothing is answered any more. A second connection ends that
//! `accept`; QEMU has its client already and closes it at once. (`qio_channel_socket_accept` on a blocking socket. Measured
//! with 5.2 and 7.2: on a busy machine, one of about 2000 starts)
//!
//! QEMU 5.2 can also lose the first command: no thread waits for anything, and only a new session is answered. (Measured: one of
//! about 4000 starts)

use std::path::Path;
use std::time::{Duration, Instant};

use crate::connect::connect_pinned;
use crate::deadline::left;

/// How long QEMU may leave the first command without an answer before the second connection, and before a new session. Long for
/// a program that has only to say yes, short for people who wait.
const PATIENCE: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// When to suspect that QEMU is stalled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    /// When to [`end`] it.
    pub(super) suspected: Instant,
    /// When to start the session anew.
    pub(super) lost: Instant,
}

impl Stall {
    /// A session is greeted now, and should be there at the deadline.
    pub(super) fn of(deadline: Instant) -> Self {
        let [suspected, lost] = PATIENCE;
        let (now, left) = (Instant::now(), left(deadline));
        Self { suspected: now + suspected.min(left / 4), lost: now + lost.min(left / 2) }
    }
}

/// The second connection. To a QEMU that is only slow, this is a client who leaves before its turn comes.
pub(super) fn end(socket: &Path) {
    // Whether it helps, the session's own limit will tell.
    let _ = connect_pinned(socket, Duration::from_millis(1));
}
