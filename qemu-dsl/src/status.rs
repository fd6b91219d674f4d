//! Exit statuses for people.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

/// The exit code that stands for a status that nobody was told.
pub(crate) const UNKNOWN: i32 = 0xff;

/// The signal that ended a program: its own, or that of a program behind a wrapper, which ends with 128 and the signal's number
/// as shells do. (`man 1 bash`, "EXIT STATUS"; bubblewrap and `sudo` do the same)
pub(crate) fn signal(status: ExitStatus) -> Option<Signal> {
    let number =
        status.signal().or_else(|| status.code().filter(|code| (129..=159).contains(code)).map(|code| code - 128));
    Signal::try_from(number?).ok()
}

/// The end of a program, as people say it.
pub(crate) fn ended_with(status: ExitStatus) -> String {
    match (status.code(), signal(status)) {
        (None, Some(signal)) => named(signal),
        (Some(code), Some(signal)) => format!("{} behind its wrapper (exit status {code})", named(signal)),
        (Some(UNKNOWN), None) => {
            "a status that is not known: 255, or this process ignores SIGCHLD and was not told".to_owned()
        }
        (Some(code), None) => format!("exit status {code}"),
        (None, None) => status.to_string(),
    }
}

/// A signal with what it means for QEMU, where that is not clear from its name.
fn named(signal: Signal) -> String {
    match signal {
        Signal::SIGSYS => "SIGSYS: the seccomp filter ended it".to_owned(),
        Signal::SIGXCPU => "SIGXCPU: it reached its limit of processor time".to_owned(),
        Signal::SIGXFSZ => "SIGXFSZ: it reached its limit of file sizes".to_owned(),
        Signal::SIGBUS => {
            "SIGBUS: a file that is mapped into memory is too short, or its file system is full".to_owned()
        }
        signal => signal.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_in_words() {
        for (raw, expected) in [
            (0, "exit status 0"),
            (7 << 8, "exit status 7"),
            (9, "SIGKILL"),
            (31, "SIGSYS: the seccomp filter ended it"),
            ((128 + 9) << 8, "SIGKILL behind its wrapper (exit status 137)"),
            ((128 + 31) << 8, "SIGSYS: the seccomp filter ended it behind its wrapper (exit status 159)"),
            (128 << 8, "exit status 128"),
        ] {
            assert_eq!(ended_with(ExitStatus::from_raw(raw)), expected);
        }
        assert!(ended_with(ExitStatus::from_raw(UNKNOWN << 8)).contains("SIGCHLD"));
    }
}
