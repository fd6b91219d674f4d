//! How a QMP session fails.

use std::io;
use std::time::Duration;

use crate::text::visible_line;

/// Why a QMP session failed. The texts of QEMU stand in the fields as they came; shown, they are made
/// [visible](crate::text).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QmpError {
    /// The socket cannot be connected to.
    #[error("cannot connect to QMP at `{path}`: {source}")]
    Connect {
        /// The socket.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("QMP broke off: {0}")]
    Io(#[from] io::Error),
    /// QEMU closed the session.
    #[error("QEMU closed the QMP session")]
    Closed,
    /// The session has come to grief before: where its next message starts, nobody knows.
    #[error("an earlier error has made the QMP session unusable: end it, and connect anew")]
    Unusable,
    /// QEMU did not answer in time.
    #[error("QEMU did not answer `{command}` within {limit:?}")]
    Timeout {
        /// The command, or "greeting".
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// A message that would take more memory than the session may have. The session is unusable.
    #[error(
        "QEMU sent a message that needs more than its share of the {limit} bytes of memory that the QMP session may use: where \
         such a message is right, as the reply to `query-qmp-schema` is, allow more with `Qmp::set_memory_limit` before the command"
    )]
    TooLong {
        /// What the session may use.
        limit: usize,
    },
    /// A message that is not QMP. The session is unusable.
    #[error("QEMU sent what is not QMP: `{}`", visible_line(text.as_bytes()))]
    Malformed {
        /// Its beginning.
        text: String,
    },
    /// QEMU refused the command.
    #[error("QEMU refused `{command}`: {} ({})", visible_line(desc.as_bytes()), visible_line(class.as_bytes()))]
    Refused {
        /// The command.
        command: String,
        /// The class of the error: `GenericError`, `CommandNotFound`, ...
        class: String,
        /// What QEMU says about it.
        desc: String,
    },
}

/// The error for a message that is not QMP.
pub(super) fn malformed(line: &[u8]) -> QmpError {
    QmpError::Malformed { text: String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned() }
}
