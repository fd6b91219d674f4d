//! Ports of the host's loopback address, passed on to Unix sockets.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::connect::connect_pinned;

/// How many connections there are at once, over all ports; the one that is idle for longest gives way to another.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// How much of a connection waits in each direction.
const BUFFER: usize = 16 * 1024;
/// How long nobody is accepted after that has failed, as when this process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);
/// How long connecting may take, where gvproxy has accepted none of many others.
const CONNECTING: Duration = Duration::from_millis(20);

/// A thread that passes connections on. Dropping this closes ports and connections.
#[derive(Debug)]
pub(super) struct Ports {
    /// Its end wakes the thread.
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// A port that is open, and where its connections lead.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) listener: TcpListener,
    pub(super) to: PathBuf,
}

/// Opens a port.
pub(super) fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Ports {
    pub(super) fn start(ports: Vec<Port>) -> io::Result<Self> {
        let (woken, wake) = io::pipe()?;
        let thread = std::thread::Builder::new().name("qemu-ports".to_owned()).spawn(move || run(&ports, &woken))?;
        Ok(Self { wake: Some(wake), thread: Some(thread) })
    }
}

impl Drop for Ports {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes on their way in one direction.
struct Direction {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    /// Whether nothing more comes.
    at_end: bool,
    /// Whether the other side has been told so.
    told: bool,
}

impl Direction {
    fn new() -> Self {
        Self { bytes: vec![0; BUFFER].into(), start: 0, end: 0, at_end: false, told: false }
    }

    fn wants_input(&self) -> bool {
        !self.at_end && self.start == self.end
    }

    fn wants_output(&self) -> bool {
        self.start < self.end
    }

    /// Reads and writes as much as goes without waiting. Whether anything moved.
    fn serve(&mut self, source: &mut impl Read, sink: &mut impl Write, close: impl FnOnce()) -> io::Result<bool> {
        let mut moved = false;
        if self.wants_input() {
            match source.read(&mut self.bytes) {
                Ok(0) => self.at_end = true,
                Ok(count) => (self.start, self.end) = (0, count),
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
            moved = self.at_end || self.wants_output();
        }
        if self.wants_output() {
            match sink.write(&self.bytes[self.start..self.end]) {
                Ok(count) => {
                    self.start += count;
                    moved |= count > 0;
                }
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if self.at_end && !self.wants_output() && !self.told {
            close();
            self.told = true;
        }
        Ok(moved)
    }
}

/// A client of the host and the guest's server.
struct Connection {
    client: TcpStream,
    guest: UnixStream,
    inwards: Direction,
    outwards: Direction,
    moved: Instant,
}

impl Connection {
    fn open(client: TcpStream, port: &Port) -> io::Result<Self> {
        client.set_nonblocking(true)?;
        // What comes in small pieces goes on in small pieces.
        client.set_nodelay(true)?;
        let guest = connect_pinned(&port.to, CONNECTING)?;
        guest.set_nonblocking(true)?;
        Ok(Self { client, guest, inwards: Direction::new(), outwards: Direction::new(), moved: Instant::now() })
    }

    /// Whether it goes on.
    fn serve(&mut self, now: Instant) -> bool {
        let Self { client, guest, inwards, outwards, moved } = self;
        // Shared, as the descriptors are: one direction reads what the other one writes.
        let (client_end, guest_end) = (&*client, &*guest);
        let (mut client, mut guest) = (client_end, guest_end);
        // A side that is gone already needs not be told.
        let inward = inwards.serve(&mut client, &mut guest, || drop(guest_end.shutdown(Shutdown::Write)));
        let outward = outwards.serve(&mut guest, &mut client, || drop(client_end.shutdown(Shutdown::Write)));
        match (inward, outward) {
            (Ok(inward), Ok(outward)) => {
                if inward || outward {
                    *moved = now;
                }
                !(inwards.told && outwards.told)
            }
            _ => false,
        }
    }

    /// What to wait for: at the client, and at the guest.
    fn wants(&self) -> [PollFlags; 2] {
        let flags = |input: &Direction, output: &Direction| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, input.wants_input());
            flags.set(PollFlags::POLLOUT, output.wants_output());
            flags
        };
        [flags(&self.inwards, &self.outwards), flags(&self.outwards, &self.inwards)]
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

fn run(ports: &[Port], woken: &PipeReader) {
    let mut connections: Vec<Connection> = Vec::new();
    let mut accepts_from: Option<Instant> = None;
    loop {
        accepts_from = accepts_from.filter(|from| *from > Instant::now());
        let timeout = accepts_from.map_or(PollTimeout::NONE, |_| PollTimeout::from(100_u8));
        let Ok(ready) = wait(ports, &connections, woken, accepts_from.is_none(), timeout) else { return };
        if ready.is_stopped {
            return;
        }
        let now = Instant::now();
        let mut served = ready.connections.into_iter();
        connections.retain_mut(|connection| !served.next().unwrap_or(false) || connection.serve(now));
        for port in ready.ports.into_iter().filter_map(|at| ports.get(at)) {
            match port.listener.accept() {
                // A guest that nobody reaches ends this connection alone.
                Ok((client, _)) => {
                    // Before the new one needs what the old one has.
                    if connections.len() >= MAX_CONNECTIONS
                        && let Some(at) = (0..connections.len()).min_by_key(|at| connections[*at].moved)
                    {
                        connections.swap_remove(at);
                    }
                    connections.extend(Connection::open(client, port));
                }
                Err(error) if is_temporary(&error) || error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => accepts_from = Some(now + PAUSE),
            }
        }
    }
}

/// What there is to do.
struct Ready {
    is_stopped: bool,
    ports: Vec<usize>,
    /// For each connection.
    connections: Vec<bool>,
}

fn wait(
    ports: &[Port],
    connections: &[Connection],
    woken: &PipeReader,
    accepts: bool,
    timeout: PollTimeout,
) -> nix::Result<Ready> {
    let mut fds = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
    let listeners = if accepts { ports } else { &[] };
    fds.extend(listeners.iter().map(|port| PollFd::new(port.listener.as_fd(), PollFlags::POLLIN)));
    let mut whose = Vec::with_capacity(connections.len() * 2);
    for (at, connection) in connections.iter().enumerate() {
        let [client, guest] = connection.wants();
        // Of one that waits for nothing the kernel would tell that it is closed, again and again.
        for (fd, flags) in [(connection.client.as_fd(), client), (connection.guest.as_fd(), guest)] {
            if !flags.is_empty() {
                fds.push(PollFd::new(fd, flags));
                whose.push(at);
            }
        }
    }
    loop {
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            other => break other,
        }
    }?;
    let is_ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
    let mut ready =
        Ready { is_stopped: is_ready(&fds[0]), ports: Vec::new(), connections: vec![false; connections.len()] };
    ready.ports.extend((0..listeners.len()).filter(|at| is_ready(&fds[1 + at])));
    for (fd, at) in fds[1 + listeners.len()..].iter().zip(whose) {
        ready.connections[at] |= is_ready(fd);
    }
    Ok(ready)
}

#[cfg(test)]
mod tests;
