//! The thread that starts a program, and knows when it ends.

use std::io::{self, PipeReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::family::{self, Process};
use super::spawn::{Program, Started};
use crate::deadline::left;

/// A running program, in a process group of its own. Dropping this kills the group.
#[derive(Debug)]
pub(super) struct Watch {
    target: Target,
    thread: Option<JoinHandle<()>>,
}

/// The program, for signals.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pid: Pid,
    state: Arc<State>,
}

impl Target {
    /// Sends a signal to the program's process group, if the program still runs.
    pub(super) fn signal(&self, signal: Signal) {
        let status = self.state.lock();
        if status.is_none() {
            // It fails only for a group that is gone.
            let _ = killpg(self.pid, signal);
        }
    }
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

impl Watch {
    pub(super) fn start(program: Program) -> io::Result<(Self, PipeReader, PipeReader)> {
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("qemu-watch".to_owned()).spawn({
            let state = Arc::clone(&state);
            // The kernel's tie between the program and its parent is to the *thread*: so the thread that starts it stays.
            move || run(program, &state, &sender)
        })?;
        let Started { pid, stdout, stderr } = receiver.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok((Self { target: Target { pid, state }, thread: Some(thread) }, stdout, stderr))
    }

    pub(super) fn pid(&self) -> u32 {
        self.target.pid.as_raw().unsigned_abs()
    }

    /// Waits for the program's end, until `deadline`.
    pub(super) fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        let guard = self.target.state.lock();
        let waited = self.target.state.ended.wait_timeout_while(guard, left(deadline), |status| status.is_none());
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
        let process = family::member(pid, self.target.pid.as_raw());
        self.remember(process.into_iter().collect());
        process.is_some()
    }

    /// Notes all processes that came of the program: once it is gone, nobody can tell any more which they are.
    pub(super) fn remember_family(&self) {
        self.remember(family::of(self.target.pid.as_raw()));
    }

    fn remember(&self, processes: Vec<Process>) {
        let mut family = self.target.state.family();
        for process in processes {
            if !family.contains(&process) {
                family.push(process);
            }
        }
    }

    /// How many processes that came of the program are left, once it is gone.
    pub(super) fn processes_left(&self) -> usize {
        self.remember(family::group(self.target.pid.as_raw()));
        self.target.state.family().iter().filter(|process| process.is_alive()).count()
    }

    /// Kills the program, and waits until it is gone.
    pub(super) fn kill(&self) -> ExitStatus {
        if self.target.state.lock().is_none() {
            self.remember_family();
        }
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

fn run(program: Program, state: &State, sender: &mpsc::SyncSender<io::Result<Started>>) {
    let started = program.start();
    // The arguments are the program's own by now.
    drop(program);
    let pid = started.as_ref().map(|started| started.pid).ok();
    let _ = sender.send(started);
    let Some(pid) = pid else { return };
    // Waits without reaping, so that the process id stays the program's until the status is known to everyone.
    super::zombie::wait_for_end(pid);
    let mut status = state.lock();
    // What the program started and left in its group ends with it.
    let _ = killpg(pid, Signal::SIGKILL);
    let family: Vec<Process> = state.family().iter().filter(|process| !process.is(pid)).copied().collect();
    family::kill_all(&family);
    *status = Some(reaped(pid));
    drop(status);
    state.ended.notify_all();
}

/// The status of a child that has ended.
fn reaped(pid: Pid) -> ExitStatus {
    // As the kernel packs it. (`man 2 waitpid`)
    ExitStatus::from_raw(match waitpid(pid, None) {
        Ok(WaitStatus::Exited(_, code)) => code << 8,
        Ok(WaitStatus::Signaled(_, signal, core)) => signal as i32 | if core { 0x80 } else { 0 },
        // A process that ignores SIGCHLD is not told: whatever it was, it is not known to be a success.
        _ => 0xff << 8,
    })
}
