//! Ending what is in a group, and removing it; and what owners that were killed have left.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PREFIX, tree};

/// How long a group may take to be empty once it is killed.
pub(super) const LIMIT: Duration = Duration::from_secs(1);
/// Pauses between looks at a group that cannot be removed for another reason than processes, of which nothing tells.
const PAUSE: Duration = Duration::from_millis(1);

/// Locks a group's directory; [`None`] if somebody else has it, or if it is gone.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let dir = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match dir.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Between opening and locking it may have been removed, and even made anew.
    let own = dir.metadata()?.ino();
    Ok(path.metadata().is_ok_and(|now| now.ino() == own).then_some(dir))
}

/// Removes the groups of this user's that nobody has locked: their owners are gone.
pub(super) fn sweep(tree: &Path) {
    let deadline = Instant::now() + LIMIT;
    let user = nix::unistd::geteuid().as_raw();
    for group in groups(tree) {
        let is_group = group.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
        if is_group
            && group.metadata().is_ok_and(|data| data.uid() == user)
            && let Ok(Some(_lock)) = lock(&group)
        {
            end(&group, deadline);
        }
    }
}

/// Kills all that is in a group, waits until that is gone, and removes the group, with the groups that were made in it.
pub(super) fn end(group: &Path, deadline: Instant) {
    if tree::write(&group.join("cgroup.kill"), "1").is_err() {
        kill_each(group, deadline);
    }
    // What cannot be told of is waited for below.
    let _ = wait_until_empty(group, deadline);
    while let Err(error) = remove(group, deadline) {
        if error.kind() == io::ErrorKind::NotFound || Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The same without `cgroup.kill`, which is there since Linux 5.14. What is frozen makes no more processes, and can be killed.
fn kill_each(group: &Path, deadline: Instant) {
    let _ = tree::write(&group.join("cgroup.freeze"), "1");
    let mut all = vec![group.to_owned()];
    while let Some(group) = all.pop()
        && Instant::now() < deadline
    {
        for pid in tree::processes(&group).filter(|pid| *pid > 0) {
            // It fails for what is gone already, and for what is not this user's.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        all.extend(groups(&group));
    }
}

/// Waits until no process is in a group or below it. (`cgroup.events`, which says so to `poll`)
fn wait_until_empty(group: &Path, deadline: Instant) -> io::Result<()> {
    let mut events = File::open(group.join("cgroup.events"))?;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !text.lines().any(|line| line == "populated 1") || left.is_zero() {
            return Ok(());
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout)?;
    }
}

/// Removes a group, those below it first: what was in it may have made some.
fn remove(group: &Path, deadline: Instant) -> io::Result<()> {
    while Instant::now() < deadline {
        let Some(mut lowest) = groups(group).next() else { break };
        while let Some(below) = groups(&lowest).next() {
            lowest = below;
        }
        std::fs::remove_dir(&lowest)?;
    }
    std::fs::remove_dir(group)
}

fn groups(group: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}
