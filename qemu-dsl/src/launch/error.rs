//! Why QEMU is not running.

use std::io;

use crate::CommandError;
use crate::programs::CannotStart;
use crate::qmp::QmpError;
use crate::text::{visible, visible_line};

/// Why QEMU is not running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The program cannot be started.
    #[error("{}", cannot_start(program, source))]
    Start {
        /// The program: QEMU, or the outermost wrapper.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// The guest's memory cannot start as the file that it should.
    #[error(transparent)]
    Template(#[from] crate::backend::TemplateError),
    /// The console's log cannot be written.
    #[error("the console log `{path}` cannot be written: {source}")]
    ConsoleLog {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// QEMU ended by itself.
    #[error("QEMU ended with {status}{}{}", over(argument.as_ref()), said(stderr))]
    Exited {
        /// How it ended: "exit status 1", "SIGABRT".
        status: String,
        /// The end of its standard error.
        stderr: String,
        /// The argument that it complains about.
        argument: Option<String>,
    },
    /// QEMU runs, and a socket of its was not there in time.
    #[error("QEMU did not answer at `{path}` in time{}", said(stderr))]
    Timeout {
        /// The socket.
        path: String,
        /// The end of its standard error.
        stderr: String,
    },
    /// The socket was there, and what answered was not right.
    #[error("QEMU's socket `{path}` cannot be used: {source}")]
    Socket {
        /// The socket.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else listens on the socket.
    #[error(
        "process {pid} of user {uid} listens on `{path}`, and it is not the QEMU that was started: use a work directory of your own"
    )]
    Stranger {
        /// The socket.
        path: String,
        /// The process that listens; 0 when it cannot be seen from here.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// A resource limit of this process leaves no room for QEMU.
    #[error("the limit of {what} is {limit}, and QEMU needs {needed}: raise it with `ulimit {flag} {needed}`")]
    Limit {
        /// What is limited: "open files", "processes".
        what: &'static str,
        /// The limit.
        limit: u64,
        /// What is needed.
        needed: u64,
        /// The option of the shell's `ulimit`.
        flag: &'static str,
    },
    /// A variable that no environment can hold.
    #[error("`{}` cannot be a variable of an environment: a name has no `=` and is not empty, and neither name nor value has a NUL byte", key.escape_debug())]
    Environment {
        /// Its name.
        key: String,
    },
    /// SIGKILL did not end it.
    #[error("process {pid} is there still after SIGKILL: {why}; end that, or end process {pid} as a user who may")]
    Alive {
        /// The started program.
        pid: i32,
        /// Why, as far as the kernel tells.
        why: String,
    },
    /// Processes cannot be seen: neither who listens on a socket, nor what is left.
    #[error(
        "processes cannot be seen: /proc is not mounted, or is that of another process namespace; mount this namespace's own (`mount -t proc proc /proc`, `unshare --mount-proc`)"
    )]
    NoProc,
    /// The command cannot take another argument.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// QMP failed.
    #[error(transparent)]
    Qmp(#[from] QmpError),
}

fn cannot_start(program: &str, source: &io::Error) -> String {
    let why = CannotStart::new(program.as_ref(), source);
    let remedy = match program {
        _ if !why.is_missing() => "",
        "bwrap" => ": install bubblewrap, or choose another isolation",
        "unshare" | "setpriv" => ": install util-linux, or choose another isolation",
        "sudo" => ": install sudo, or choose no other user",
        "qemu-img" => ": install qemu-utils",
        _ => ": install QEMU, or name another binary",
    };
    format!("{why}{remedy}")
}

/// What QEMU said, made fit to be shown: the guest may have chosen it.
fn said(stderr: &str) -> String {
    let stderr = stderr.trim();
    if stderr.is_empty() { String::new() } else { format!("; it said:\n{}", visible(stderr.as_bytes())) }
}

fn over(argument: Option<&String>) -> String {
    argument.map(|argument| format!(" over the argument `{}`", visible_line(argument.as_bytes()))).unwrap_or_default()
}

/// The argument in `qemu-system-x86_64: -device foo: 'foo' is not a valid device model name`.
pub(super) fn complained_about(stderr: &str) -> Option<String> {
    let complaint = stderr.lines().rev().find(|line| line.contains(": -") && !line.contains("warning:"))?;
    let (_, rest) = complaint.split_once(": -")?;
    let (argument, _) = rest.split_once(": ")?;
    Some(format!("-{argument}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_argument_that_qemu_complains_about() {
        let stderr = "qemu: warning: x\nqemu-system-x86_64: -device foo,a=b: 'foo' is not a valid device model name\n";
        assert_eq!(complained_about(stderr), Some("-device foo,a=b".to_owned()));
        assert_eq!(complained_about("qemu-system-x86_64: failed to set MSR"), None);
    }
}
