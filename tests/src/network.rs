//! The test as the guest: a network stack of its own on the socket that QEMU would connect to. And a host's network that leads
//! nowhere, for the test to be the internet.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

/// gvproxy's gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 1);
/// Where gvproxy's network has the host's loopback address.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 254);
/// The guest.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 2);
/// The gateway's hardware address.
pub const GATEWAY_MAC: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd];
/// The guest's hardware address.
pub const GUEST_MAC: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee];

/// gvproxy: the one that `scripts/setup gvproxy` fetched, or the one from `PATH`.
pub fn gvproxy() -> PathBuf {
    let fetched = crate::root().join("target/gvproxy/bin/gvproxy");
    if fetched.is_file() { fetched } else { "gvproxy".into() }
}

/// gvproxy alone, without anything that keeps a guest from it. Dropping it ends it.
#[derive(Debug)]
pub struct Bare {
    child: std::process::Child,
    socket: PathBuf,
}

impl Bare {
    /// Starts it, with its sockets in a directory: the one for QEMU is `gvproxy.sock`.
    ///
    /// # Panics
    ///
    /// Where there is no gvproxy.
    pub fn start(dir: &Path) -> Self {
        let url = |name: &str| format!("unix://{}", dir.join(name).display());
        let mut command = Command::new(gvproxy());
        command.args(["-listen-qemu", &url("gvproxy.sock"), "-listen", &url("control.sock"), "-ssh-port", "-1"]);
        let child = command.current_dir(dir).stderr(Stdio::null()).spawn().expect("gvproxy: run scripts/setup gvproxy");
        let bare = Self { child, socket: dir.join("gvproxy.sock") };
        assert!(within(Duration::from_secs(10), || bare.socket.exists()), "gvproxy does not listen");
        bare
    }

    /// Connects to it, as QEMU would.
    pub fn wire(&self) -> Wire {
        Wire::connect(&self.socket)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for socket in [&self.socket, &self.socket.with_file_name("control.sock")] {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Whether something comes true within a time.
pub fn within(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

/// QEMU's end of a connection that carries frames.
#[derive(Debug)]
pub struct Wire {
    stream: UnixStream,
    input: Vec<u8>,
}

impl Wire {
    /// Connects, as soon as somebody listens.
    pub fn connect(socket: &Path) -> Self {
        let mut stream = None;
        assert!(
            within(Duration::from_secs(10), || {
                stream = UnixStream::connect(socket).ok();
                stream.is_some()
            }),
            "nobody listens at {}",
            socket.display()
        );
        Self::new(stream.expect("a stream"))
    }

    /// On a connection that is there.
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, input: Vec::new() }
    }

    /// Sends a frame. Whether the other side still takes any.
    pub fn send(&mut self, frame: &[u8]) -> bool {
        let length = u32::try_from(frame.len()).expect("a frame").to_be_bytes();
        self.stream.write_all(&[&length, frame].concat()).is_ok()
    }

    /// The next frame, if one comes before the deadline. Nothing once the other side has closed.
    pub fn receive(&mut self, deadline: Instant) -> Option<Vec<u8>> {
        loop {
            if let Some((length, rest)) = self.input.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some(frame) = rest.get(..length) {
                    let frame = frame.to_vec();
                    self.input.drain(..4 + length);
                    return Some(frame);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.stream.set_read_timeout(Some(left.max(Duration::from_micros(1)))).expect("a limit");
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend(&chunk[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
                Err(_) => return None,
            }
        }
    }

    /// Whether the other side closes the connection within a time.
    pub fn closes(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).expect("a limit");
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::ConnectionReset,
            }
        }
    }
}

/// What becomes of each frame that the guest sends.
type Mangle = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>>>;

/// A guest's network stack.
pub struct Guest {
    link: Link,
    interface: Interface,
    started: Instant,
    next_port: u16,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

struct Link {
    wire: Wire,
    received: VecDeque<Vec<u8>>,
    mangle: Mangle,
}

struct Received(Vec<u8>);

struct Sent<'a>(&'a mut Wire, &'a mut Mangle);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, with: F) -> R {
        with(&self.0)
    }
}

impl TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, with: F) -> R {
        let mut frame = vec![0; length];
        let result = with(&mut frame);
        for frame in (self.1)(frame) {
            self.0.send(&frame);
        }
        result
    }
}

impl Device for Link {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Sent<'_>)> {
        Some((Received(self.received.pop_front()?), Sent(&mut self.wire, &mut self.mangle)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Sent<'_>> {
        Some(Sent(&mut self.wire, &mut self.mangle))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

impl Guest {
    /// A guest with the usual address.
    pub fn new(wire: Wire) -> Self {
        Self::at(wire, GUEST)
    }

    /// A guest with another address.
    pub fn at(wire: Wire, address: Ipv4Addr) -> Self {
        let mut link = Link { wire, received: VecDeque::new(), mangle: Box::new(|frame| vec![frame]) };
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(GUEST_MAC)));
        config.random_seed = fastrand::u64(..);
        let mut interface = Interface::new(config, &mut link, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(address.into(), 24)).expect("room for an address");
        });
        interface.routes_mut().add_default_ipv4_route(GATEWAY).expect("room for a route");
        Self { link, interface, started: Instant::now(), next_port: fastrand::u16(20_000..60_000) }
    }

    /// Does something with each frame before it is sent.
    #[must_use]
    pub fn mangling(mut self, mangle: impl FnMut(Vec<u8>) -> Vec<Vec<u8>> + 'static) -> Self {
        self.link.mangle = Box::new(mangle);
        self
    }

    /// The wire, for frames of one's own.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.link.wire
    }

    /// One turn: waits for a frame, and does what there is to do.
    fn turn(&mut self, sockets: &mut SocketSet<'_>, deadline: Instant) {
        let now =
            || smoltcp::time::Instant::from_micros(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(0));
        self.interface.poll(now(), &mut self.link, sockets);
        let delay = self.interface.poll_delay(now(), sockets).map_or(Duration::from_millis(20), Into::into);
        let until = (Instant::now() + delay.min(Duration::from_millis(20))).min(deadline);
        if let Some(frame) = self.link.wire.receive(until) {
            self.link.received.push_back(frame);
        }
        self.interface.poll(now(), &mut self.link, sockets);
    }

    fn port(&mut self) -> u16 {
        self.next_port = self.next_port.wrapping_add(1).max(20_000);
        self.next_port
    }

    /// Sends over a TCP connection, and receives until the other side has closed. Nothing when there is no connection in time.
    pub fn tcp(&mut self, to: Ipv4Addr, port: u16, text: &[u8], limit: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + limit;
        let own = self.port();
        let (mut sockets, handle) = tcp_socket();
        sockets
            .get_mut::<tcp::Socket<'_>>(handle)
            .connect(self.interface.context(), (to, port), own)
            .expect("a new socket");
        let (mut sent, mut answer, mut connected) = (0, Vec::new(), false);
        while Instant::now() < deadline {
            self.turn(&mut sockets, deadline);
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            connected |= socket.may_send();
            if socket.can_send() && sent < text.len() {
                sent += socket.send_slice(&text[sent..]).unwrap_or(0);
            }
            while socket.can_recv() {
                let _ = socket.recv(|bytes| {
                    answer.extend_from_slice(bytes);
                    (bytes.len(), ())
                });
            }
            if connected && !socket.may_recv() || !socket.is_open() {
                socket.close();
                self.turn(&mut sockets, Instant::now());
                break;
            }
        }
        connected.then_some(answer)
    }

    /// Answers one connection at a port with a text, once something has come. Whether somebody connected.
    pub fn serve(&mut self, port: u16, text: &[u8], limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let (mut sockets, handle) = tcp_socket();
        sockets.get_mut::<tcp::Socket<'_>>(handle).listen(port).expect("a new socket");
        let (mut sent, mut asked) = (0, false);
        while Instant::now() < deadline {
            self.turn(&mut sockets, deadline);
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            if socket.can_recv() {
                asked |= socket.recv(|bytes| (bytes.len(), !bytes.is_empty())).unwrap_or(false);
            }
            if asked && sent < text.len() && socket.can_send() {
                sent += socket.send_slice(&text[sent..]).unwrap_or(0);
            }
            if sent == text.len() {
                socket.close();
            }
            if sent == text.len() && !socket.is_active() {
                return true;
            }
        }
        sent == text.len()
    }

    /// Sends a datagram, and waits for one from there.
    pub fn udp(&mut self, to: Ipv4Addr, port: u16, payload: &[u8], limit: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + limit;
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 8192]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(self.port()).expect("a port");
        socket.send_slice(payload, (to, port)).expect("room");
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        while Instant::now() < deadline {
            self.turn(&mut sockets, deadline);
            if let Ok((answer, _)) = sockets.get_mut::<udp::Socket<'_>>(handle).recv() {
                return Some(answer.to_vec());
            }
        }
        None
    }

    /// The addresses that the gateway's DNS names for a name; nothing when it does not answer in time.
    pub fn resolve(&mut self, name: &str, limit: Duration) -> Option<Vec<Ipv4Addr>> {
        let answer = self.udp(GATEWAY, 53, &dns_query(name), limit)?;
        // Addresses are the last four bytes of records of their kind and size.
        let record = [0, 1, 0, 1];
        let at = (0..answer.len().saturating_sub(13))
            .filter(|at| answer[*at..*at + 4] == record && answer[*at + 8..*at + 10] == [0, 4]);
        Some(
            at.map(|at| Ipv4Addr::from([answer[at + 10], answer[at + 11], answer[at + 12], answer[at + 13]])).collect(),
        )
    }
}

fn tcp_socket() -> (SocketSet<'static>, SocketHandle) {
    let buffer = || tcp::SocketBuffer::new(vec![0; 64 * 1024]);
    let mut sockets = SocketSet::new(Vec::new());
    let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
    (sockets, handle)
}

/// A question for the IPv4 addresses of a name.
pub fn dns_query(name: &str) -> Vec<u8> {
    let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a label"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// The answer to a question, with these addresses.
pub fn dns_answer(query: &[u8], addresses: &[Ipv4Addr]) -> Vec<u8> {
    let end = query[12..].iter().position(|byte| *byte == 0).map_or(query.len(), |at| 12 + at + 5);
    let mut answer = query[..end].to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    answer[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(addresses.len()).expect("few"), 0, 0, 0, 0]);
    for address in addresses {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    answer
}

/// Runs a test in a process of its own, where what the process uses is what the test uses. As [`on_a_host_of_its_own`].
pub fn in_a_process_of_its_own(test: &str) -> bool {
    again(test, &[])
}

/// Whether this is the process that a test is to go on in; otherwise it has run there.
fn again(test: &str, wrapper: &[&str]) -> bool {
    const INSIDE: &str = "QEMU_DSL_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        return true;
    }
    let own = std::env::current_exe().expect("a program");
    let words: Vec<&OsStr> = wrapper.iter().map(OsStr::new).chain([own.as_os_str()]).collect();
    let mut command = Command::new(words[0]);
    let command = command.args(&words[1..]).args(["--exact", test, "--nocapture"]).env(INSIDE, test);
    let output = command.output().expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{test}:\n{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Runs a test on a host with a network of its own: with the addresses given, which are all this host's, and DNS at 192.0.2.53 in
/// /etc/resolv.conf. The test calls this first, and goes on when this says so; what it is to do there happens in another process.
///
/// # Panics
///
/// When there cannot be such a network, or the test fails there.
pub fn on_a_host_of_its_own(test: &str, addresses: &[&str]) -> bool {
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    if !again(test, &[&["unshare"], user, &["--net", "--mount", "--"]].concat()) {
        return false;
    }
    let busybox = crate::root().join(format!("target/guest/.work/busybox-{}/bin/busybox", std::env::consts::ARCH));
    let run = |words: &[&str]| {
        let output = Command::new(&busybox).args(words).output().unwrap_or_else(|error| {
            panic!("{}: {error}; run scripts/setup guest", busybox.display());
        });
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["ip", "link", "set", "lo", "up"]);
    for address in addresses {
        run(&["ip", "addr", "add", &format!("{address}/32"), "dev", "lo"]);
    }
    let resolver = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&resolver, "nameserver 192.0.2.53\n").expect("a file");
    run(&["mount", "-o", "bind", &resolver.path().to_string_lossy(), "/etc/resolv.conf"]);
    true
}

/// How much processor time this process takes while a time passes.
///
/// # Panics
///
/// Where the system does not tell.
pub fn busy(during: Duration) -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("usage");
        [usage.user_time(), usage.system_time()]
            .iter()
            .map(|time| {
                Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
            })
            .sum::<Duration>()
    };
    let before = used();
    std::thread::sleep(during);
    used().saturating_sub(before)
}
