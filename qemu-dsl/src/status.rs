//! Exit statuses for people.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// The end of a program, as people say it.
pub(crate) fn ended_with(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => nix::sys::signal::Signal::try_from(signal)
            .map_or(format!("signal {signal}"), |signal| signal.as_str().to_owned()),
        (None, None) => status.to_string(),
    }
}
