//! The frames between QEMU and gvproxy, through the filter.

use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::buffer::{Buffer, Moved};
use super::frame::{Counts, Filter};
use super::socket::Socket;
use crate::deadline::left;

/// How long nobody is accepted after that has failed, as when this process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// A thread that passes the frames of a guest on, as its [`Filter`] decides. Dropping it closes both connections.
///
/// Each frame is four bytes of length, the highest first, and an Ethernet frame, both ways. (QEMU, `-netdev stream`; gvproxy,
/// `-listen-qemu`)
/// QEMU may come, go, and come again; there is one connection at a time. Each direction has 256 KiB of memory: who sends more than
/// the other side takes has to wait. A frame of more than 65,550 bytes ends the connection that it came from.
#[derive(Debug)]
pub struct Pump {
    shared: Arc<Shared>,
    /// Its end wakes the thread.
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    has_ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pump {
    /// Listens for QEMU at `socket`, a path that is made (mode 0660) and removed in the end, and passes frames on to `gvproxy`, a
    /// connection to its socket. With `uid`, other users' connections are closed at once, as far as the system tells whose they are.
    ///
    /// # Errors
    ///
    /// Those of listening, `AddrInUse` where there is something already, and of starting a thread.
    pub fn start(socket: &Path, gvproxy: UnixStream, filter: Filter, uid: Option<u32>) -> io::Result<Self> {
        gvproxy.set_nonblocking(true)?;
        let socket = Socket::listen(socket)?;
        let (woken, wake) = io::pipe()?;
        let shared = Arc::new(Shared { state: Mutex::default(), ended: Condvar::new() });
        let relay = Relay {
            socket,
            uid,
            gvproxy,
            guest: None,
            to_gvproxy: Buffer::new(),
            to_guest: Buffer::new(),
            filter,
            accepts_from: None,
        };
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("qemu-frames".to_owned()).spawn(move || {
            relay.run(&woken, &theirs);
            theirs.lock().has_ended = true;
            theirs.ended.notify_all();
        })?;
        Ok(Self { shared, wake: Some(wake), thread: Some(thread) })
    }

    /// What passed so far, and what did not.
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Whether gvproxy is still there.
    pub fn is_alive(&self) -> bool {
        !self.shared.lock().has_ended
    }

    /// Waits until gvproxy is gone, until `deadline`; whether it is.
    pub fn wait(&self, deadline: Instant) -> bool {
        let waited = self.shared.ended.wait_timeout_while(self.shared.lock(), left(deadline), |state| !state.has_ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_ended
    }

    /// Ends it: the last of the counts.
    pub fn end(mut self) -> Counts {
        self.stop();
        self.counts()
    }

    fn stop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // It never waits for anything but this.
            let _ = thread.join();
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread has.
struct Relay {
    socket: Socket,
    uid: Option<u32>,
    gvproxy: UnixStream,
    guest: Option<UnixStream>,
    to_gvproxy: Buffer,
    to_guest: Buffer,
    filter: Filter,
    /// When connections are accepted again.
    accepts_from: Option<Instant>,
}

/// What waits at a descriptor.
fn wants(read: bool, write: bool) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::POLLIN, read);
    flags.set(PollFlags::POLLOUT, write);
    flags
}

/// Whether the other side is gone, with nothing left to read.
fn is_gone(events: PollFlags) -> bool {
    events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL)
        && !events.contains(PollFlags::POLLIN)
}

impl Relay {
    fn run(mut self, woken: &PipeReader, shared: &Shared) {
        loop {
            shared.lock().counts = *self.filter.counts();
            let now = Instant::now();
            self.accepts_from = self.accepts_from.filter(|from| *from > now);
            let timeout = self.accepts_from.map_or(PollTimeout::NONE, |_| PollTimeout::from(100_u8));
            let [stopped, gvproxy, guest] = match self.poll(woken, timeout) {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            if !stopped.is_empty() {
                return;
            }
            let now = Instant::now();
            let goes_on = if self.guest.is_some() {
                self.serve_guest(guest, now);
                self.serve_gvproxy(gvproxy, now)
            } else {
                if guest.contains(PollFlags::POLLIN) {
                    self.accept(now);
                }
                self.serve_gvproxy(gvproxy, now)
            };
            if !goes_on {
                shared.lock().counts = *self.filter.counts();
                return;
            }
        }
    }

    /// Waits for something to do: what has come to the pipe, to gvproxy, and to the guest or to who wants to be it.
    fn poll(&self, woken: &PipeReader, timeout: PollTimeout) -> nix::Result<[PollFlags; 3]> {
        let gvproxy = wants(self.to_guest.has_room(), self.to_gvproxy.has_output());
        let mut fds = [
            PollFd::new(woken.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.gvproxy.as_fd(), gvproxy),
            match &self.guest {
                Some(guest) => {
                    PollFd::new(guest.as_fd(), wants(self.to_gvproxy.has_room(), self.to_guest.has_output()))
                }
                None => PollFd::new(self.socket.listener.as_fd(), PollFlags::POLLIN),
            },
        ];
        let count = if self.guest.is_none() && self.accepts_from.is_some() { 2 } else { 3 };
        poll(&mut fds[..count], timeout)?;
        Ok([0, 1, 2]
            .map(|at| if at < count { fds[at].revents().unwrap_or(PollFlags::POLLERR) } else { PollFlags::empty() }))
    }

    fn accept(&mut self, now: Instant) {
        match self.socket.listener.accept() {
            Ok((guest, _)) => {
                let is_theirs = |uid| matches!(crate::process::peer(&guest), Ok(Some(peer)) if peer.uid != uid);
                if guest.set_nonblocking(true).is_ok() && !self.uid.is_some_and(is_theirs) {
                    self.guest = Some(guest);
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                _ => self.accepts_from = Some(now + PAUSE),
            },
        }
    }

    fn disconnect(&mut self) {
        self.guest = None;
        self.to_guest.forget_output();
        self.to_gvproxy.forget_input();
    }

    /// From the guest to gvproxy, and what waited for the guest.
    fn serve_guest(&mut self, events: PollFlags, now: Instant) {
        let Some(guest) = &self.guest else { return };
        let mut moved = if is_gone(events) { Moved::Closed } else { Moved::Some };
        if events.contains(PollFlags::POLLIN) {
            moved = self.to_gvproxy.read(guest);
            let filter = &mut self.filter;
            if let Err(dropped) = self.to_gvproxy.judge(|frame| filter.guest_sends(frame, now)) {
                self.filter.note(dropped);
                moved = Moved::Closed;
            }
        }
        if events.contains(PollFlags::POLLOUT) && self.to_guest.has_output() && moved == Moved::Some {
            moved = self.to_guest.write(guest);
        }
        if moved == Moved::Closed {
            self.disconnect();
        }
    }

    /// From gvproxy to the guest, and what waits for gvproxy. Whether gvproxy is still there.
    fn serve_gvproxy(&mut self, events: PollFlags, now: Instant) -> bool {
        if is_gone(events) {
            return false;
        }
        if events.contains(PollFlags::POLLIN) {
            if self.to_guest.read(&self.gvproxy) == Moved::Closed {
                return false;
            }
            let (filter, is_connected) = (&mut self.filter, self.guest.is_some());
            let judged = self.to_guest.judge(|frame| {
                if is_connected { filter.gateway_sends(frame, now) } else { filter.unconnected(frame, now) }
            });
            if let Err(dropped) = judged {
                self.filter.note(dropped);
                return false;
            }
            if let Some(guest) = self.guest.as_ref().filter(|_| self.to_guest.has_output())
                && self.to_guest.write(guest) == Moved::Closed
            {
                self.disconnect();
            }
        }
        !self.to_gvproxy.has_output() || self.to_gvproxy.write(&self.gvproxy) == Moved::Some
    }
}
