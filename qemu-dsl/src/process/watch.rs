//! The thread that starts a program, and knows when it ends.

use std::io::{self, PipeReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::family::{self, Process};
use super::spawn::{Program, Started};
use crate::deadline::left;

/// A running program, in a process group of its own. Dropping this kills the group, as far as that is possible.
#[derive(Debug)]
pub(crate) struct Watch {
    target: Target,
    thread: Option<JoinHandle<()>>,
    /// Whether SIGKILL has been tried in vain.
    gave_up: AtomicBool,
}

/// The program, for signals.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pid: Pid,
    state: Arc<State>,
}

impl Target {
    /// Sends a signal to the program's process group, if the program still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        let status = self.state.lock();
        if status.is_none() {
            if signal == Signal::SIGKILL {
                self.state.killed.store(true, Ordering::SeqCst);
            }
            // It fails only for a group that is gone.
            let _ = killpg(self.pid, signal);
        }
    }

    /// Whether this process has sent it SIGKILL.
    pub(crate) fn was_killed(&self) -> bool {
        self.state.killed.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Default)]
struct State {
    /// Set under the lock in which the program is reaped: while it is [`None`], the process id is still the program's.
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
    /// Whether this process has had the program killed.
    killed: AtomicBool,
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
    pub(crate) fn start(program: Program) -> io::Result<(Self, PipeReader, PipeReader)> {
        let state = Arc::new(State::default());
        let (sender, receiver) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("qemu-watch".to_owned()).spawn({
            let state = Arc::clone(&state);
            // The kernel's tie between the program and its parent is to the *thread*: so the thread that starts it stays.
            move || run(program, &state, &sender)
        })?;
        let Started { pid, stdout, stderr } = receiver.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        Ok((
            Self { target: Target { pid, state }, thread: Some(thread), gave_up: AtomicBool::new(false) },
            stdout,
            stderr,
        ))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.target.pid.as_raw().unsigned_abs()
    }

    /// Waits for the program's end, until `deadline`.
    pub(crate) fn wait(&self, deadline: Instant) -> Option<ExitStatus> {
        let guard = self.target.state.lock();
        let waited = self.target.state.ended.wait_timeout_while(guard, left(deadline), |status| status.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }

    /// Whether `pid` is this process, which passes sockets on, or one that came of the program; then it is remembered.
    pub(crate) fn is_own(&self, pid: i32) -> bool {
        if pid == nix::unistd::getpid().as_raw() {
            return true;
        }
        let process = family::member(pid, self.target.pid.as_raw());
        self.remember(process.into_iter().collect());
        process.is_some()
    }

    /// Notes all processes that came of the program: once it is gone, nobody can tell any more which they are.
    pub(crate) fn remember_family(&self) {
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
    pub(crate) fn processes_left(&self) -> usize {
        self.remember(family::group(self.target.pid.as_raw()));
        self.target.state.family().iter().filter(|process| process.is_alive()).count()
    }

    /// Kills the program, and waits until it is gone: for [`KILL_LIMIT`] at most.
    pub(crate) fn kill(&self) -> Result<ExitStatus, Alive> {
        if self.target.state.lock().is_none() {
            self.remember_family();
        }
        self.target.signal(Signal::SIGKILL);
        if let Some(status) = self.wait(Instant::now() + KILL_LIMIT) {
            return Ok(status);
        }
        // What can be killed is not left because of what cannot.
        let pid = self.target.pid;
        let family: Vec<Process> = self.target.state.family().iter().filter(|one| !one.is(pid)).copied().collect();
        family::kill_all(&family);
        self.wait(Instant::now()).ok_or_else(|| {
            self.gave_up.store(true, Ordering::Relaxed);
            Alive { pid: pid.as_raw(), why: family::why_alive(pid.as_raw()) }
        })
    }
}

/// How long a program may take to be gone after SIGKILL. The kernel takes milliseconds, and longer to free much memory.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// A program that SIGKILL did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alive {
    pub(crate) pid: i32,
    /// Why, as far as the kernel tells.
    pub(crate) why: String,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.gave_up.load(Ordering::Relaxed)
            && self.kill().is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It has set the status, and ends now. A thread whose program cannot be killed waits on, for its end.
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
        _ => crate::status::UNKNOWN << 8,
    })
}
