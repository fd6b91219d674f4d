//! User ids for machines of a root launcher: each has its own, so that one that is broken out of cannot touch another.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Where ids are locked: each by a file with its number as the name. What boots anew has none that are taken.
const LOCKS: &str = "/run/qemu-dsl/users";
/// How long what is left of a machine may take to be gone after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(1);
/// Below this are users that systems give their own programs.
const LOWEST: u32 = 1000;

/// A user id that no other machine has while this is there. The group id is the same number.
///
/// ```no_run
/// use qemu_dsl::isolation::FIRST_UID;
/// use qemu_dsl::launch::UserId;
/// let user = UserId::lease(FIRST_UID..=FIRST_UID + 999)?;
/// println!("{}", user.uid());
/// # Ok::<(), qemu_dsl::launch::UserIdError>(())
/// ```
#[derive(Debug)]
pub struct UserId {
    uid: u32,
    _lock: File,
}

/// Why there is no user id.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserIdError {
    /// A range of ids that are, or may be, somebody's.
    #[error(
        "the user ids {first} to {last} are no range for sandboxes: it has to start at {LOWEST} or above, and to end above its start"
    )]
    Range {
        /// Its first id.
        first: u32,
        /// Its last id.
        last: u32,
    },
    /// The locks cannot be had.
    #[error("user ids cannot be locked in `{LOCKS}`: {0}; let root write there, or name one user for QEMU")]
    Locks(#[from] io::Error),
    /// All are taken.
    #[error(
        "all user ids from {first} to {last} are taken, by other machines or by users of this system: wait for a machine's end, or give another range"
    )]
    Taken {
        /// The first id of the range.
        first: u32,
        /// Its last id.
        last: u32,
    },
}

impl UserId {
    /// The first id of the range that no machine on this host has.
    ///
    /// # Errors
    ///
    /// [`UserIdError`]; this is for root, who alone can write to /run.
    pub fn lease(range: RangeInclusive<u32>) -> Result<Self, UserIdError> {
        let (first, last) = (*range.start(), *range.end());
        if first < LOWEST || last < first || last == u32::MAX {
            return Err(UserIdError::Range { first, last });
        }
        let locks = Path::new(LOCKS);
        DirBuilder::new().recursive(true).mode(0o700).create(locks)?;
        let data = std::fs::symlink_metadata(locks)?;
        if !data.is_dir() || data.uid() != nix::unistd::geteuid().as_raw() || data.mode() & 0o022 != 0 {
            return Err(io::Error::other("it is not a directory of this user's alone").into());
        }
        let running = users();
        for uid in range {
            // A user of the system's, or one whose processes have outlived their machine.
            if running.contains(&uid) || matches!(nix::unistd::User::from_uid(uid.into()), Ok(Some(_)) | Err(_)) {
                continue;
            }
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
            let lock = options.open(locks.join(uid.to_string()))?;
            match lock.try_lock() {
                Ok(()) => return Ok(Self { uid, _lock: lock }),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Err(UserIdError::Taken { first, last })
    }

    /// Ends all processes of the user: what has left its machine and its launcher's sight.
    fn kill(&self) {
        let deadline = Instant::now() + KILL_LIMIT;
        loop {
            let processes: Vec<i32> = processes().filter(|(_, uid)| *uid == self.uid).map(|(pid, _)| pid).collect();
            if processes.is_empty() || Instant::now() >= deadline {
                return;
            }
            for pid in processes {
                // It fails for what is gone already.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            // They are not this process's children, whose end it would be told of.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The id.
    pub const fn uid(&self) -> u32 {
        self.uid
    }
}

impl Drop for UserId {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All processes that /proc shows, and their users. What is dead is nobody's any more.
fn processes() -> impl Iterator<Item = (i32, u32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |key: &str| Some(status.lines().find_map(|line| line.strip_prefix(key))?.trim_start());
        let uid = field("Uid:")?.split_ascii_whitespace().next()?.parse().ok()?;
        (!field("State:")?.starts_with(['Z', 'X'])).then_some((pid, uid))
    })
}

/// The users that have processes.
fn users() -> std::collections::HashSet<u32> {
    processes().map(|(_, uid)| uid).collect()
}
