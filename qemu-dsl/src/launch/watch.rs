//! The thread that starts a program, and knows when it ends.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use super::family::{self, Process};

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
    /// Processes that came of the program and may outlive it: those outside its process group.
    family: Mutex<Vec<Process>>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn family(&self) -> MutexGuard<'_, Vec<Process>> {
        self.family.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Pipes = (u32, ChildStdout, ChildStderr);

impl Watch {
    pub(super) fn start(
        mut command: Command,
        passed: &[BorrowedFd<'_>],
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        use std::os::unix::process::CommandExt as _;
        // The caller waits until the program runs, and holds them meanwhile.
        let passed: Vec<RawFd> = passed.iter().map(AsRawFd::as_raw_fd).collect();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::sync_channel::<io::Result<Pipes>>(1);
        let thread = std::thread::Builder::new().name("qemu-watch".to_owned()).spawn({
            let state = Arc::clone(&state);
            // The kernel's tie between the program and its parent is to the *thread*: so the thread that starts it stays.
            move || run(command, passed, &state, &sender)
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

    /// Whether `pid` is this process, which passes sockets on, or one that came of the program; then it is remembered.
    pub(super) fn is_own(&self, pid: i32) -> bool {
        if pid == nix::unistd::getpid().as_raw() {
            return true;
        }
        let Some(process) = family::member(pid, group(self.target.pid).as_raw()) else { return false };
        let mut family = self.target.state.family();
        if !family.contains(&process) {
            family.push(process);
        }
        true
    }

    /// Notes all processes that came of the program: once it is gone, nobody can tell any more which they are.
    pub(super) fn remember_family(&self) {
        let found = family::of(group(self.target.pid).as_raw());
        let mut family = self.target.state.family();
        for process in found {
            if !family.contains(&process) {
                family.push(process);
            }
        }
    }

    /// How many processes that came of the program are left.
    pub(super) fn processes_left(&self) -> usize {
        self.remember_family();
        self.target.state.family().iter().filter(|process| process.is_alive()).count()
    }

    /// Kills the program, and waits until it is gone.
    pub(super) fn kill(&self) -> ExitStatus {
        self.remember_family();
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

fn run(mut command: Command, passed: Vec<RawFd>, state: &State, sender: &mpsc::SyncSender<io::Result<Pipes>>) {
    let mut child = match super::spawn::spawn(&mut command, passed) {
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
    let family: Vec<Process> = state.family().iter().filter(|process| !process.is(pid)).copied().collect();
    family::kill_all(&family);
    *status = Some(child.wait().unwrap_or_default());
    drop(status);
    state.ended.notify_all();
}
