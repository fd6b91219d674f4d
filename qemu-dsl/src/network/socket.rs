//! A Unix socket that QEMU connects to.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

use crate::connect::connect;
#[cfg(target_os = "linux")]
use crate::connect::pinned;

/// A listening socket with a name. Dropping it removes the name, if it is still this socket's.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the name.
    identity: (u64, u64),
}

/// User and group may connect.
const MODE: Mode = Mode::from_bits_truncate(0o660);

impl Socket {
    /// Listens at a path that nobody has. A socket that its owner left there without removing it makes way.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        let listener = match listen_at(path) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_over(path) => {
                std::fs::remove_file(path)?;
                listen_at(path)?
            }
            other => other?,
        };
        let data = std::fs::symlink_metadata(path)?;
        Ok(Self { listener, path: path.to_owned(), identity: (data.dev(), data.ino()) })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let is_own = |data: &std::fs::Metadata| (data.dev(), data.ino()) == self.identity;
        if std::fs::symlink_metadata(&self.path).as_ref().is_ok_and(is_own) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a socket is there that nobody listens at.
fn is_left_over(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket())
        && connect(path, Duration::from_millis(100)).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn listen_at(path: &Path) -> io::Result<UnixListener> {
    #[cfg(target_os = "linux")]
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    #[cfg(not(target_os = "linux"))]
    let flags = SockFlag::empty();
    let address = UnixAddr::new(path)?;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    #[cfg(not(target_os = "linux"))]
    nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    // Linux gives the name no more rights than the socket has, at no time; of those, the umask takes some away.
    #[cfg(target_os = "linux")]
    nix::sys::stat::fchmod(&socket, MODE)?;
    bind(socket.as_raw_fd(), &address)?;
    give_mode(path)?;
    listen(&socket, Backlog::new(1)?)?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Gives the name what the umask took away: to the very socket, whatever else somebody puts there meanwhile.
#[cfg(target_os = "linux")]
fn give_mode(path: &Path) -> io::Result<()> {
    let (_open, name) = pinned(path)?;
    Ok(fchmodat(nix::fcntl::AT_FDCWD, name.as_str(), MODE, FchmodatFlags::FollowSymlink)?)
}

#[cfg(not(target_os = "linux"))]
fn give_mode(path: &Path) -> io::Result<()> {
    Ok(fchmodat(nix::fcntl::AT_FDCWD, path, MODE, FchmodatFlags::NoFollowSymlink)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::connect_pinned;

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let [path, link, file] = ["s", "link", "file"].map(|name| dir.path().join(name));
        let socket = Socket::listen(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        let soon = Duration::from_millis(100);
        assert!(connect_pinned(&path, soon).is_ok() && connect(&link, soon).is_ok());
        for (other, why) in [(&link, "it is a link"), (&file, "it is no socket")] {
            assert!(connect_pinned(other, soon).is_err_and(|error| error.to_string().contains(why)), "{why}");
        }
        drop(socket);
        assert!(connect_pinned(&path, soon).is_err_and(|error| error.kind() == ErrorKind::NotFound));
    }
}
