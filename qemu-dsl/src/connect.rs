//! Connecting to Unix sockets within a limit.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_to, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::deadline::{after, left};

/// Connects to a Unix socket. Where as many clients wait as the listener has room for (QEMU's has room for two),
/// [`UnixStream::connect`] waits for ever; this fails with [`ErrorKind::WouldBlock`] after `limit`. (Linux: `man 7 socket`,
/// `SO_SNDTIMEO`; macOS refuses at once)
pub(crate) fn connect(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    #[cfg(target_os = "linux")]
    let flags = SockFlag::SOCK_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = SockFlag::empty();
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    #[cfg(not(target_os = "linux"))]
    nix::fcntl::fcntl(&socket, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    let address = UnixAddr::new(path)?;
    let deadline = after(limit);
    loop {
        // Nothing would be no limit.
        let limit = left(deadline).max(Duration::from_millis(1));
        let limit = TimeVal::milliseconds(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
        setsockopt(&socket, sockopt::SendTimeout, &limit)?;
        match connect_to(socket.as_raw_fd(), &address).map_err(io::Error::from) {
            Err(error) if error.kind() == ErrorKind::Interrupted && Instant::now() < deadline => {}
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    let stream = UnixStream::from(socket);
    stream.set_write_timeout(None)?;
    Ok(stream)
}

/// The socket at a path, not what a link there leads to, and a name that stays its own while it is open.
#[cfg(target_os = "linux")]
pub(crate) fn pinned(path: &Path) -> io::Result<(std::fs::File, String)> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::stat::Mode;
    use std::os::unix::fs::FileTypeExt as _;
    let open = std::fs::File::from(open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?);
    let kind = open.metadata()?.file_type();
    if kind.is_symlink() {
        return Err(io::Error::other("it is a link, and none is followed"));
    }
    if !kind.is_socket() {
        return Err(io::Error::other("it is no socket"));
    }
    let name = format!("/proc/self/fd/{}", open.as_raw_fd());
    Ok((open, name))
}

/// The same without following a link: whoever made the socket may be another user, and not himself any more.
pub(crate) fn connect_pinned(path: &Path, limit: Duration) -> io::Result<UnixStream> {
    #[cfg(target_os = "linux")]
    {
        let (_open, name) = pinned(path)?;
        connect(name.as_ref(), limit)
    }
    #[cfg(not(target_os = "linux"))]
    connect(path, limit)
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::{Backlog, bind, listen};

    use super::*;

    #[test]
    fn a_full_queue_is_an_error_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let soon = Duration::from_millis(20);
        assert_eq!(connect(&path, soon).unwrap_err().kind(), ErrorKind::NotFound);
        let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None).unwrap();
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        assert_eq!(connect(&path, soon).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        let mut clients = Vec::new();
        let full = loop {
            match connect(&path, soon) {
                Ok(client) => clients.push(client),
                Err(error) => break error,
            }
            assert!(clients.len() < 100, "nobody accepts");
        };
        assert!(matches!(full.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionRefused), "{full}");
        assert_eq!(clients[0].write_timeout().unwrap(), None);
    }
}
