//! Removing a directory that somebody hostile has filled: as deep as it may be, with a handful of descriptors and no recursion, and
//! within a limit.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// How long removing may take: a machine could have made millions of files. What is left then, the next sweep goes on with.
const LIMIT: Duration = Duration::from_secs(20);

/// Removes everything in a directory, whatever it is; the directory itself stays.
///
/// Directories are not gone down into: what is in a subdirectory is moved up, and the subdirectory removed. So no depth costs stack or
/// descriptors, which a machine could have chosen to be more than there are.
pub(super) fn empty(top: &File) -> io::Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut moved = 0_u64;
    loop {
        let names = names(top)?;
        if names.is_empty() {
            return Ok(());
        }
        let mut removed = false;
        for name in names {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            removed |= remove(top, &name, &mut moved)?;
        }
        if !removed {
            return Err(io::Error::other("nothing more of it can be removed"));
        }
    }
}

/// Removes one entry of a directory, with all that is in it.
pub(super) fn entry(top: &File, name: &CStr) -> io::Result<()> {
    let mut moved = 0;
    match remove(top, name, &mut moved) {
        // What was in it stands beside it now.
        Ok(_) if moved > 0 => empty_moved(top, moved),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn empty_moved(top: &File, mut moved: u64) -> io::Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut next = 0;
    while next < moved {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        remove(top, &name_of(next), &mut moved)?;
        next += 1;
    }
    Ok(())
}

/// The name under which the nth directory is moved up.
fn name_of(number: u64) -> CString {
    CString::new(format!(".removed-{number}")).unwrap_or_default()
}

/// Removes a file, or a directory after its subdirectories have been moved up; whether anything was removed.
fn remove(top: &File, name: &CStr, moved: &mut u64) -> io::Result<bool> {
    let kind = match fstatat(top, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(data) => data.st_mode & SFlag::S_IFMT.bits(),
        Err(Errno::ENOENT) => return Ok(true),
        Err(errno) => return Err(errno.into()),
    };
    if kind != SFlag::S_IFDIR.bits() {
        return gone(unlinkat(top, name, UnlinkatFlags::NoRemoveDir));
    }
    // A directory that its owner may not read, or not write, is one that nobody but root could remove.
    let _ = fchmodat(top, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let dir: File = openat(top, name, flags, Mode::empty())?.into();
    for inner in names(&dir)? {
        let data = fstatat(&dir, inner.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        if data.is_ok_and(|data| data.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()) {
            // Moving a directory writes to it.
            let _ = fchmodat(&dir, inner.as_c_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink);
            while let Err(errno) = renameat(&dir, inner.as_c_str(), top, name_of(*moved).as_c_str()) {
                // The machine may have made such names itself.
                if !matches!(errno, Errno::EEXIST | Errno::ENOTEMPTY | Errno::ENOTDIR) {
                    return Err(errno.into());
                }
                *moved += 1;
            }
            *moved += 1;
        } else {
            gone(unlinkat(&dir, inner.as_c_str(), UnlinkatFlags::NoRemoveDir))?;
        }
    }
    gone(unlinkat(top, name, UnlinkatFlags::RemoveDir))
}

fn gone(result: nix::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// How many files and directories [`disarm`] looks at, and how deep: what a machine has no reason to exceed.
const LOOKED_AT: usize = 4096;
const DEPTH: usize = 16;

/// Takes from all files in a directory what would make whoever runs them another user or group.
pub(super) fn disarm(top: &File) -> io::Result<()> {
    let mut seen = 0;
    let mut open = vec![(top.try_clone()?, 0)];
    while let Some((dir, depth)) = open.pop() {
        for name in names(&dir)? {
            seen += 1;
            if seen > LOOKED_AT || depth > DEPTH {
                return Err(io::Error::other("there is more in it than is looked at"));
            }
            let data = fstatat(&dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
            let kind = data.st_mode & SFlag::S_IFMT.bits();
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            if kind == SFlag::S_IFDIR.bits() {
                let inner = openat(&dir, name.as_c_str(), flags | OFlag::O_DIRECTORY, Mode::empty())?;
                open.push((inner.into(), depth + 1));
            } else if kind == SFlag::S_IFREG.bits() && data.st_mode & (Mode::S_ISUID | Mode::S_ISGID).bits() != 0 {
                let plain = Mode::from_bits_truncate(data.st_mode & 0o777);
                // QEMU is gone, and nobody else may enter: it is the file that was looked at.
                fchmodat(&dir, name.as_c_str(), plain, FchmodatFlags::FollowSymlink)?;
            }
        }
    }
    Ok(())
}

/// The names in a directory. At most so many at a time are held: a machine could have made millions.
fn names(dir: &File) -> io::Result<Vec<CString>> {
    const MOST: usize = 4096;
    // One of its own: reading moves along.
    let again: OwnedFd =
        openat(dir.as_fd(), ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut dir = Dir::from_fd(again)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
            if names.len() == MOST {
                break;
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn whatever_is_in_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let [path, outside] = ["inside", "outside"].map(|name| dir.path().join(name));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(&outside, "precious").unwrap();
        let top = File::open(&path).unwrap();
        // Far deeper than there are descriptors, and than paths are long.
        let mut at: File = top.try_clone().unwrap();
        for _ in 0..3000 {
            nix::sys::stat::mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = openat(&at, "d", OFlag::O_DIRECTORY, Mode::empty()).unwrap().into();
        }
        std::fs::create_dir_all(path.join("x/y/z")).unwrap();
        std::fs::write(path.join("x/y/file"), "").unwrap();
        symlink(&outside, path.join("x/link")).unwrap();
        symlink("/", path.join(".removed-1")).unwrap();
        for dir in ["x/y", "x"] {
            std::fs::set_permissions(path.join(dir), std::fs::Permissions::from_mode(0o000)).unwrap();
        }
        entry(&top, c"x").unwrap();
        assert!(!path.join("x").exists() && path.join("d").exists());
        empty(&top).unwrap();
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
    }
}
