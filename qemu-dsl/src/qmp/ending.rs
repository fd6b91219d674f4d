//! What a session heard about its machine's end, whatever became of the events.

use std::fmt;

use serde_json::Value;

/// QEMU's `SHUTDOWN` event: why the machine ended. [`Qmp::shutdown`](super::Qmp::shutdown) has an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    /// Whether the guest asked for it, not the host.
    pub guest: bool,
    /// Why.
    pub reason: ShutdownReason,
}

/// Why a machine ended, by QEMU's words. (QEMU documentation, "QMP reference manual", `ShutdownCause`)
///
/// ```
/// use qemu_dsl::qmp::ShutdownReason;
/// assert_eq!(ShutdownReason::GuestReset.to_string(), "guest-reset");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShutdownReason {
    /// An error of the host's.
    HostError,
    /// QMP's `quit`.
    HostQmpQuit,
    /// QMP's `system_reset`, on a machine that does not reboot.
    HostQmpSystemReset,
    /// A signal to QEMU: SIGTERM, SIGINT or SIGHUP.
    HostSignal,
    /// QEMU's window was closed.
    HostUi,
    /// The guest powered off.
    GuestShutdown,
    /// The guest rebooted, on a machine that does not (`-no-reboot`). Guests whose kernel panics do so too, with `panic=-1`.
    GuestReset,
    /// The guest said that it panicked (`pvpanic`).
    GuestPanic,
    /// A part of the machine was reset.
    SubsystemReset,
    /// A snapshot was loaded.
    SnapshotLoad,
    /// Another word: the first 64 bytes of it.
    Other(String),
}

/// The reasons that have names.
const REASONS: [(&str, ShutdownReason); 10] = [
    ("host-error", ShutdownReason::HostError),
    ("host-qmp-quit", ShutdownReason::HostQmpQuit),
    ("host-qmp-system-reset", ShutdownReason::HostQmpSystemReset),
    ("host-signal", ShutdownReason::HostSignal),
    ("host-ui", ShutdownReason::HostUi),
    ("guest-shutdown", ShutdownReason::GuestShutdown),
    ("guest-reset", ShutdownReason::GuestReset),
    ("guest-panic", ShutdownReason::GuestPanic),
    ("subsystem-reset", ShutdownReason::SubsystemReset),
    ("snapshot-load", ShutdownReason::SnapshotLoad),
];

impl ShutdownReason {
    fn of(word: &str) -> Self {
        let known = REASONS.into_iter().find(|(known, _)| *known == word);
        known.map_or_else(|| Self::Other(word[..word.floor_char_boundary(64)].to_owned()), |(_, reason)| reason)
    }
}

/// QEMU's word.
impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(word) => f.write_str(&crate::text::visible_line(word.as_bytes())),
            known => f.write_str(REASONS.iter().find(|(_, reason)| reason == known).map_or("", |(word, _)| word)),
        }
    }
}

/// `ENOSPC`, in the words of the C library.
const NO_SPACE: &str = "No space left on device";

/// What the events have told so far.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) shutdown: Option<Shutdown>,
    pub(super) guest_panicked: bool,
    pub(super) nospace_errors: u64,
}

impl Ending {
    pub(super) fn note(&mut self, event: &str, data: &Value) {
        match event {
            "SHUTDOWN" => {
                let guest = data["guest"].as_bool().unwrap_or_default();
                let reason = ShutdownReason::of(data["reason"].as_str().unwrap_or_default());
                self.shutdown = Some(Shutdown { guest, reason });
            }
            "GUEST_PANICKED" => self.guest_panicked = true,
            // `nospace` is for devices whose errors stop the machine; of others only strerror's words tell.
            "BLOCK_IO_ERROR" if data["nospace"] == true || data["reason"] == NO_SPACE => {
                self.nospace_errors = self.nospace_errors.saturating_add(1);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_words_are_qemus() {
        let mut ending = Ending::default();
        for (word, reason) in REASONS {
            assert_eq!(reason.to_string(), word);
            ending.note("SHUTDOWN", &json!({ "guest": true, "reason": word }));
            assert_eq!(ending.shutdown, Some(Shutdown { guest: true, reason }));
        }
        let word = "ü".repeat(100);
        ending.note("SHUTDOWN", &json!({ "reason": word }));
        let reason = ShutdownReason::Other("ü".repeat(32));
        assert_eq!(ending.shutdown, Some(Shutdown { guest: false, reason }));
    }

    #[test]
    fn panics_and_full_disks_are_noted() {
        let mut ending = Ending::default();
        ending.note("BLOCK_IO_ERROR", &json!({ "nospace": false }));
        ending.note("RESET", &Value::Null);
        assert!(!ending.guest_panicked && ending.nospace_errors == 0 && ending.shutdown.is_none());
        ending.note("BLOCK_IO_ERROR", &json!({ "nospace": true }));
        ending.note("BLOCK_IO_ERROR", &json!({ "nospace": false, "reason": "No space left on device" }));
        ending.note("BLOCK_IO_ERROR", &json!({ "nospace": false, "reason": "Input/output error" }));
        ending.note("GUEST_PANICKED", &json!({ "action": "pause" }));
        assert!(ending.guest_panicked && ending.nospace_errors == 2);
    }
}
