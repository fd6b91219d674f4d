//! Programs that probes start: each ends, at the latest at its limit, and with it all that came of it.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{OwnedFd, RawFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::QemuCommand;
use crate::deadline::left;
use crate::process::{Output, Program, Watch};
use crate::programs::CannotStart;
use crate::status::ended_with;
use crate::text::visible_line;

/// How long the output of a program that is gone may still come.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why a program gave no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// In one line.
    pub(super) reason: String,
    /// Whether it will be so again: what took too long may be quicker the next time, and what was killed may live.
    pub(super) certain: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, certain: true }
    }
}

impl Failure {
    pub(super) fn passing(reason: String) -> Self {
        Self { reason, certain: false }
    }

    /// Why a program cannot be started; `remedy` is for one that is not there.
    fn start(program: &OsStr, error: &io::Error, remedy: &str) -> Self {
        let why = CannotStart::new(program, error);
        let remedy = if why.is_missing() { remedy } else { "" };
        Self { reason: format!("{why}{remedy}"), certain: why.is_certain() }
    }
}

/// A running program. Dropping this ends it, and all that came of it.
#[derive(Debug)]
pub(super) struct Asked {
    watch: Watch,
    stderr: Output,
}

/// A program with pipes to its standard input and from its output.
pub(super) type Talk = (Asked, PipeWriter, PipeReader);

/// Starts a QEMU that is talked to over its standard input and output.
pub(super) fn talk(binary: &OsStr, args: &[String], passed: Vec<RawFd>) -> Result<Talk, Failure> {
    let failed = |error: io::Error| Failure::start(binary, &error, ": install QEMU, or name another binary");
    let (stdin, input) = io::pipe().map_err(failed)?;
    let args = args.iter().map(AsRef::as_ref);
    let (asked, output) = start(binary, args, passed, Some(stdin.into())).map_err(failed)?;
    Ok((asked, input, output))
}

fn start<'a>(
    program: &OsStr,
    args: impl Iterator<Item = &'a OsStr>,
    passed: Vec<RawFd>,
    stdin: Option<OwnedFd>,
) -> io::Result<(Asked, PipeReader)> {
    let unsayable = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let mut command = QemuCommand::new(program).map_err(unsayable)?;
    for arg in args {
        command.arg(arg).map_err(unsayable)?;
    }
    let (watch, stdout, stderr) = Watch::start(Program { passed, stdin, ..Program::new(command) })?;
    let stderr = Output::collect(stderr, None, None)?;
    Ok((Asked { watch, stderr }, stdout))
}

impl Asked {
    /// Waits for its end, until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        self.watch.wait(deadline)
    }

    /// Ends it, and returns how it ended by itself, if it did, and what it wrote on standard error. Over `qmp` QEMU is asked to
    /// end, too: one that a script has sent out of its family is not found, but hears this.
    pub(super) fn end(self, qmp: Option<&mut PipeWriter>) -> (Option<ExitStatus>, Vec<u8>) {
        let status = self.watch.wait(Instant::now());
        if let Some(qmp) = qmp {
            // Who is gone does not hear it; who has been greeted already refuses the first, and takes the second.
            let _ = qmp.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n");
        }
        let Self { watch, stderr } = self;
        drop(watch);
        stderr.wait_for_end(LAST_WORDS);
        (status, stderr.kept())
    }
}

/// Runs a program that says little, and returns its standard output; an error says what went wrong, in one line.
pub(super) fn output(words: &[OsString], limit: Duration) -> Result<String, Failure> {
    let deadline = Instant::now() + limit;
    let Some((program, args)) = words.split_first() else { return Ok(String::new()) };
    let name = visible_line(program.as_encoded_bytes());
    let failed = |error: io::Error| Failure::start(program, &error, ": install it");
    let args = args.iter().map(AsRef::as_ref);
    let (asked, stdout) = start(program, args, Vec::new(), None).map_err(failed)?;
    let stdout = Output::collect(stdout, None, None).map_err(failed)?;
    asked.wait(deadline);
    let (status, stderr) = asked.end(None);
    let Some(status) = status else {
        return Err(Failure::passing(format!("`{name}` did not end within {limit:?}")));
    };
    // Until then whoever has left the program's family may hold the pipe.
    stdout.wait_for_end(left(deadline).min(LAST_WORDS));
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout.kept()).into_owned());
    }
    let said = last_line(&stderr);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let reason = format!("`{name}` ended with {}{said}", ended_with(status));
    // Whoever was killed was not at fault: memory was short, or somebody else's limit.
    Err(Failure { reason, certain: status.code().is_some() })
}

/// The last line that is not empty, fit to be shown.
pub(super) fn last_line(text: &[u8]) -> String {
    let mut lines = text.rsplit(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    shown(lines.find(|line| !line.is_empty()).unwrap_or_default())
}

/// What another program says, on one line and of no more than a few of a terminal's.
pub(super) fn shown(text: &[u8]) -> String {
    const MOST: usize = 400;
    let (text, more) = text.split_at_checked(MOST).map_or((text, ""), |(text, _)| (text, "..."));
    format!("{}{more}", visible_line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_say_obeys_nobody() {
        assert_eq!(last_line(b"one\n two \n\n \r\n"), "two");
        assert_eq!(last_line(b""), "");
        assert_eq!(last_line(b"\x1b[31mred\rX\xff"), "^[[31mred^MX\\xff");
        assert_eq!(last_line(&[b'x'; 500]), format!("{}...", "x".repeat(400)));
    }
}
