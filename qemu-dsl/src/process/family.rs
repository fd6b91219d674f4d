//! The processes that come of a started program: wrappers, QEMU, and what either starts.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A process, which is not taken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// In clock ticks since the boot.
    started: u64,
}

impl Process {
    /// From /proc/PID/stat; [`None`] for what is gone, or a zombie, which is as good as gone. (`man 5 proc_pid_stat`)
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, can hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        let number = |index: usize| fields.get(index)?.parse().ok();
        Some(Self { pid, parent: number(1)?, group: number(2)?, started: fields.get(19)?.parse().ok()? })
    }

    /// Whether this is its number.
    pub(crate) fn is(self, pid: Pid) -> bool {
        pid.as_raw() == self.pid
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }

    pub(crate) fn kill(self) {
        if self.is_alive() {
            // It fails for a process that is gone, or another user's.
            let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
    }
}

/// Why a process that was sent SIGKILL is there still.
pub(crate) fn why_alive(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim();
    let tracer = field("TracerPid:");
    if !matches!(tracer, "" | "0") {
        return format!("process {tracer} traces it, and does not let go of it");
    }
    if kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::EPERM) {
        let user = field("Uid:").split_ascii_whitespace().next().unwrap_or("another");
        return format!("it runs as user {user}, whose processes this user may not signal");
    }
    match field("State:") {
        state if state.starts_with('D') => {
            "it waits for a device or a file system, which no signal interrupts".to_owned()
        }
        "" => "its state cannot be read".to_owned(),
        state => format!("its state is {state}"),
    }
}

fn all() -> Vec<Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).collect()
}

/// The children of a process, which the kernel lists by the thread that started them; [`None`] where it does not.
/// (`CONFIG_PROC_CHILDREN`; `man 5 proc_pid_task`)
fn children(pid: i32) -> Option<Vec<i32>> {
    let mut children = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let list = std::fs::read_to_string(thread.path().join("children")).ok()?;
        children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Some(children)
}

/// The program that `leader` is, its descendants, and on systems that list no children, all of its group. Nothing on systems
/// without /proc, and where /proc has another namespace's numbers: here they are others', who are not to be killed.
pub(crate) fn of(leader: i32) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    if !is_visible() {
        return found;
    }
    let mut known = None;
    let mut pids = vec![leader];
    while let Some(pid) = pids.pop() {
        if found.iter().any(|process| process.pid == pid) {
            continue;
        }
        let Some(process) = Process::read(pid) else { continue };
        found.push(process);
        pids.extend(children(pid).unwrap_or_else(|| {
            let all: &Vec<Process> = known.get_or_insert_with(all);
            let own = |process: &&Process| process.parent == pid || process.group == leader;
            all.iter().filter(own).map(|process| process.pid).collect()
        }));
    }
    found
}

/// The processes of the group that `leader` leads, or has led.
pub(crate) fn group(leader: i32) -> Vec<Process> {
    // The kernel knows at once when there is none.
    if nix::sys::signal::killpg(Pid::from_raw(leader), None) == Err(nix::errno::Errno::ESRCH) || !is_visible() {
        return Vec::new();
    }
    all().into_iter().filter(|process| process.group == leader).collect()
}

/// Whether `pid` came of `leader`: it is in its group, or one of its ancestors is. What it is, then.
pub(crate) fn member(pid: i32, leader: i32) -> Option<Process> {
    let process = Process::read(pid)?;
    let mut ancestor = process;
    // As deep as wrappers go, and no loop if /proc changes meanwhile.
    for _ in 0..32 {
        if ancestor.pid == leader || ancestor.group == leader {
            return Some(process);
        }
        ancestor = Process::read(ancestor.parent)?;
    }
    None
}

/// Kills processes, and waits until they are gone, a second at most.
pub(crate) fn kill_all(processes: &[Process]) {
    for process in processes {
        process.kill();
    }
    let deadline = Instant::now() + Duration::from_secs(1);
    // They are not this process's children, whose end it would be told of.
    while processes.iter().any(|process| process.is_alive()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether /proc shows this process's own process namespace: without that, nobody can be told from anybody else.
pub(crate) fn is_visible() -> bool {
    !cfg!(target_os = "linux")
        || std::fs::read_link("/proc/self").is_ok_and(|own| own.to_str() == Some(&std::process::id().to_string()))
}

/// Who listens at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) pid: i32,
    pub(crate) uid: u32,
}

impl Peer {
    /// Whether it still runs.
    pub(crate) fn is_alive(self) -> bool {
        Process::read(self.pid).is_some()
    }
}

/// The process that called `listen`, where the system tells. (`man 7 unix`, `SO_PEERCRED`)
#[cfg(target_os = "linux")]
pub(crate) fn peer(stream: &UnixStream) -> nix::Result<Option<Peer>> {
    let credentials = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)?;
    Ok(Some(Peer { pid: credentials.pid(), uid: credentials.uid() }))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn peer(_: &UnixStream) -> nix::Result<Option<Peer>> {
    Ok(None)
}
