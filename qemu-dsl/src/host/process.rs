//! Programs that probes start: each ends, at the latest at its limit.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Why a program gave no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// In one line.
    pub(super) reason: String,
    /// Whether it will be so again: what took too long may be quicker the next time.
    pub(super) certain: bool,
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self { reason, certain: true }
    }
}

/// A child process that does not outlive its owner.
#[derive(Debug)]
pub(super) struct Reaped(pub(super) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only for a child that is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads all of `source` in a thread of its own, at most 64 KiB, and hands it over when the stream ends.
pub(super) fn collected(source: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut source = source;
        let mut kept = Vec::new();
        let _ = source.by_ref().take(64 * 1024).read_to_end(&mut kept);
        let _ = io::copy(&mut source, &mut io::sink());
        let _ = sender.send(kept);
    });
    receiver
}

/// Runs a program that says little, and returns its standard output; an error says what went wrong, in one line.
pub(super) fn output(program: &str, args: &[&str], limit: Duration) -> Result<String, Failure> {
    let started = Instant::now();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Reaped(command.spawn().map_err(|error| format!("`{program}` cannot be started: {error}"))?);
    let (Some(stdout), Some(stderr)) = (child.0.stdout.take(), child.0.stderr.take()) else {
        return Err(format!("`{program}` has no output").into());
    };
    let (stdout, stderr) = (collected(stdout), collected(stderr));
    let late = |_| Failure { reason: format!("`{program}` did not end within {limit:?}"), certain: false };
    // The streams end with the program, so there is nothing to poll.
    let stdout = stdout.recv_timeout(limit).map_err(late)?;
    let stderr = stderr.recv_timeout(limit.saturating_sub(started.elapsed())).map_err(late)?;
    let status = child.0.wait().map_err(|error| format!("`{program}` cannot be waited for: {error}"))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = last_line(&stderr);
    Err(format!("`{program}` ended with {status}{}", if said.is_empty() { String::new() } else { format!(": {said}") })
        .into())
}

/// The last line that is not empty.
pub(super) fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// Why a program cannot be started, in one line.
pub(super) fn cannot_start(program: &OsStr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no `{}`: install QEMU, or name another binary", program.display()),
        _ => format!("`{}` cannot be started: {error}", program.display()),
    }
}
