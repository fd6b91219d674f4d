//! The thread that starts a program, and knows when it ends.

use std::io;
use std::process::{ChildStderr, ChildStdout, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::QemuCommand;

/// A running program, in a process group of its own. Dropping this kills the group.
#[derive(Debug)]
pub(super) struct Watch {
    target: Target,
    thread: Option<JoinHandle<()>>,
}

/// The program, for signals.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pid: u32,
    state: Arc<State>,
}

impl Target {
    /// Sends a signal to the program's process group, if the program still runs.
    pub(super) fn signal(&self, signal: Signal) {
        let status = self.state.lock();
        if status.is_none() {
            // It fails only for a group that is gone.
            let _ = killpg(group(self.pid), signal);
        }
    }
}

/// The process group that `pid` leads. Process ids are below 2^22 on Linux, 99999 on macOS.
fn group(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX))
}

#[derive(Debug, Default)]
struct State {
    /// Set under the lock in which the program is reaped: while it is [`None`], the process id is still the program's.
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Pipes = (u32, ChildStdout, ChildStderr);

impl Watch {
    pub(super) fn start(command: &QemuCommand) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        use std::os::unix::process::CommandExt as _;
        let mut command = command.to_command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::sync_channel::<io::Result<Pipes>>(1);
        let thread = std::thread::Builder::new().name("qemu-watch".to_owned()).spawn({
            let state = Arc::clone(&state);
            // The kernel's tie between the program and its parent is to the *thread*: so the thread that starts it stays.
            move || run(command, &state, &sender)
        })?;
        let (pid, stdout, stderr) = receiver.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok((Self { target: Target { pid, state }, thread: Some(thread) }, stdout, stderr))
    }

    pub(super) fn pid(&self) -> u32 {
        self.target.pid
    }

    /// Waits for the program's end, until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        let left = deadline.saturating_duration_since(Instant::now());
        let guard = self.target.state.lock();
        let waited = self.target.state.ended.wait_timeout_while(guard, left, |status| status.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn target(&self) -> Target {
        self.target.clone()
    }

    /// How many processes of the program's group are left.
    pub(super) fn processes_left(&self) -> usize {
        match killpg(group(self.target.pid), None) {
            Err(nix::errno::Errno::ESRCH) => 0,
            _ => processes_in_group(self.target.pid),
        }
    }

    /// Kills the program, and waits until it is gone.
    pub(super) fn kill(&self) -> ExitStatus {
        self.target.signal(Signal::SIGKILL);
        let state = &self.target.state;
        let mut status = state.lock();
        loop {
            if let Some(status) = *status {
                return status;
            }
            status = state.ended.wait(status).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.kill();
        if let Some(thread) = self.thread.take() {
            // It has set the status, and ends now.
            let _ = thread.join();
        }
    }
}

fn run(mut command: std::process::Command, state: &State, sender: &mpsc::SyncSender<io::Result<Pipes>>) {
    let mut child = match super::spawn::spawn(&mut command) {
        Ok(child) => child,
        Err(error) => {
            let _ = sender.send(Err(error));
            return;
        }
    };
    let pid = child.id();
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        let _ = child.kill();
        let _ = child.wait();
        let _ = sender.send(Err(io::ErrorKind::BrokenPipe.into()));
        return;
    };
    let _ = sender.send(Ok((pid, stdout, stderr)));
    // Waits without reaping, so that the process id stays the program's until the status is known to everyone.
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(group(pid)), flags) == Err(nix::errno::Errno::EINTR) {}
    let mut status = state.lock();
    // What the program started and left in its group ends with it.
    let _ = killpg(group(pid), Signal::SIGKILL);
    *status = Some(child.wait().unwrap_or_default());
    drop(status);
    state.ended.notify_all();
}

/// Counts the processes of a group. On systems without /proc, a group that is there counts as one.
fn processes_in_group(group: u32) -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 1 };
    let stats = processes.flatten().filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok());
    // man 5 proc: after the name in parentheses come state, parent and group. A zombie is as good as gone.
    stats
        .filter_map(|stat| {
            let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
            let (run_state, _parent, member_of) = (fields.next()?, fields.next()?, fields.next()?);
            (run_state != "Z" && member_of.parse() == Ok(group)).then_some(())
        })
        .count()
}
