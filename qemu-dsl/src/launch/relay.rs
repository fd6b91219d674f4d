//! Connections to a port of the host, passed on to a Unix socket.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// How many connections there are at once; more have to wait. Each takes two threads and two descriptors.
const MAX_CONNECTIONS: usize = 64;

/// A port of the host's loopback address. Dropping it closes the port; connections that are open end with their guest.
#[derive(Debug)]
pub(super) struct Relay {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(super) fn start(port: u16, to: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, to) = (Arc::clone(&stop), to.to_owned());
        let thread =
            std::thread::Builder::new().name(format!("port-{port}")).spawn(move || accept(&listener, &to, &stopped))?;
        Ok(Self { port, stop, thread: Some(thread) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // A connection of its own wakes the thread that waits for one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, to: &Path, stop: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // A client that is gone already, or a guest that nobody reaches, ends this connection alone.
        let Ok(client) = client else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (done, to) = (Arc::clone(&open), to.to_owned());
        let both = std::thread::Builder::new().spawn(move || {
            let _ = UnixStream::connect(&to).and_then(|guest| pass(&client, &guest));
            done.fetch_sub(1, Ordering::SeqCst);
        });
        if both.is_err() {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Copies in both directions until both are at their end.
fn pass(client: &TcpStream, guest: &UnixStream) -> io::Result<()> {
    let (mut from_client, mut to_guest) = (client.try_clone()?, guest.try_clone()?);
    let there = std::thread::Builder::new().spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_guest);
        let _ = to_guest.shutdown(Shutdown::Write);
    })?;
    let copied = io::copy(&mut &*guest, &mut &*client);
    // Whatever ended this direction, the client is told; the other direction ends with it.
    let _ = client.shutdown(Shutdown::Write);
    let _ = there.join();
    copied.map(drop)
}
