//! The sandbox's network through the real gvproxy: who reaches whom, in each of its modes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::launch::{Agent, Machine};
use qemu_dsl::network::{Dropped, Network, NetworkError, NetworkOptions};
use qemu_dsl::policy::{ExposedPort, NetworkMode, NetworkPolicy};
use qemu_dsl::sandbox::{SandboxConfig, plan};
use tests::network::{
    self, GATEWAY, HOST, Wire, busy, dns_answer, gvproxy, in_a_process_of_its_own, on_a_host_of_its_own,
};
use tests::plans::bare;
use tests::{Qemu, guest_dir, qemus};

/// Longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(20);
/// How long one waits for what is not to come. What would come takes milliseconds.
const SHORT: Duration = Duration::from_millis(400);

/// A server of the host that answers each request with a text.
fn serve(text: &'static str) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 1024]);
            let _ = write!(client, "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        }
    });
    port
}

/// A port that nobody has at the moment, and that the kernel gives to no connection. It is not found by listening: what other
/// tests launch would have a copy of the listener until it executes its program.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(20_000..30_000);
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
}

/// What an HTTP server of the host answers; [`None`] when nobody does.
fn fetch(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_, text)| text.trim().to_owned())
}

/// A booted guest with a network, and its agent.
struct Guest {
    agent: Agent,
    deadline: Instant,
    _machine: Machine,
    network: Network,
    dir: tempfile::TempDir,
    private: tempfile::TempDir,
}

impl Guest {
    fn boot(qemu: &Qemu, policy: Option<NetworkPolicy>, ports: &[ExposedPort]) -> Self {
        let (guest, arch) = (guest_dir(), Architecture::X86_64);
        // Names with everything that URLs and options could trip over.
        let [dir, private] =
            ["net, a=b %#?", "gv, a=b %#?"].map(|name| tempfile::Builder::new().prefix(name).tempdir().unwrap());
        std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), dir.path().join("overlay.qcow2")).unwrap();
        let config = SandboxConfig::new("net", dir.path(), &guest).unwrap().qemu(qemu.binary(arch)).unwrap();
        let config = config.allow_network(policy.is_some()).expose(ports.iter().copied()).unwrap();
        let mut facts = bare(arch, Os::Linux, Acceleration::Tcg);
        facts.qemu_version = Some(qemu.version);
        let plan = plan(&config, &facts).unwrap();
        let options = NetworkOptions::new(config.network(), private.path(), &config.paths().gvproxy).gvproxy(gvproxy());
        let options = options.expose(ports.iter().copied()).policy(policy.unwrap_or_default());
        let network = Network::start(options).unwrap();
        let machine = plan.launch().unwrap();
        let deadline = Instant::now() + Duration::from_mins(2);
        let mut events = machine.agent(&config.paths().event, deadline).unwrap();
        events.wait_for("net 192.168.127.2", deadline).unwrap();
        events.wait_for("ready", deadline).unwrap();
        let agent = machine.agent(&config.paths().cmd, deadline).unwrap();
        Self { agent, deadline, _machine: machine, network, dir, private }
    }

    fn ask(&mut self, line: &str) -> String {
        self.agent.ask(line, self.deadline).unwrap()
    }
}

/// The newest of the QEMUs: the modes are gvproxy's, not QEMU's.
fn newest() -> Qemu {
    qemus().into_iter().max_by_key(|qemu| qemu.version).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_guest_reaches_the_host_where_that_is_allowed() {
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        let port = serve("hello from the host");
        let mut guest = Guest::boot(qemu, Some(NetworkPolicy::new().allow_host_loopback(true)), &[]);
        assert_eq!(guest.ask(&format!("fetch {HOST}:{port}")), "fetched hello from the host", "QEMU {}", qemu.version);
        // An answer to ARP, the connection, and what it brought.
        assert!(guest.network.counts().to_guest.frames >= 3);
    }
}

#[test]
fn ports_alone_lead_in_and_nothing_leads_out() {
    let port = serve("hello from the host");
    assert_eq!(fetch(port).as_deref(), Some("hello from the host"));
    let exposed = ExposedPort { internal: 8000, external: free_port() };
    let mut guest = Guest::boot(&newest(), None, &[exposed]);
    assert_eq!(guest.ask("serve 8000 hello from the guest"), "serving");
    for _ in 0..3 {
        assert_eq!(fetch(exposed.external).as_deref(), Some("hello from the guest"));
    }
    assert_eq!(guest.ask(&format!("fetch {HOST}:{port}")), "error unreachable");
    let Guest { network, dir, private, .. } = guest;
    let report = network.end();
    assert!(report.counts.dropped(Dropped::HostLoopback) > 0 && report.failure.is_none(), "{report:?}");
    assert_eq!(fetch(exposed.external), None, "the port is closed");
    assert!(!names(dir.path()).contains(&"gvproxy.sock".to_owned()) && names(private.path()).is_empty());
}

#[test]
fn ports_and_the_internet() {
    let port = serve("hello from the host");
    let exposed = ExposedPort { internal: 8001, external: free_port() };
    let policy = NetworkPolicy::new().allow_host_loopback(true);
    let mut guest = Guest::boot(&newest(), Some(policy), &[exposed]);
    assert_eq!(guest.ask("serve 8001 hello from the guest"), "serving");
    assert_eq!(fetch(exposed.external).as_deref(), Some("hello from the guest"));
    assert_eq!(guest.ask(&format!("fetch {HOST}:{port}")), "fetched hello from the host");
}

/// A network without a VM, and the directory of its sockets.
fn start(
    options: impl FnOnce(NetworkOptions) -> NetworkOptions,
    mode: NetworkMode,
) -> (Result<Network, NetworkError>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let base = NetworkOptions::new(mode, dir.path(), dir.path().join("q.sock")).gvproxy(gvproxy());
    (Network::start(options(base)), dir)
}

/// The same, with the test as its guest.
fn guest(policy: NetworkPolicy) -> (network::Guest, Network, tempfile::TempDir) {
    let (network, dir) = start(|options| options.policy(policy), NetworkMode::Internet);
    let network = network.unwrap();
    (network::Guest::new(Wire::connect(&dir.path().join("q.sock"))), network, dir)
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    for mode in [NetworkMode::Ports, NetworkMode::PortsAndInternet] {
        let (network, dir) = start(|options| options.expose([ExposedPort { internal: 80, external: port }]), mode);
        assert!(matches!(network, Err(NetworkError::Port { port: p, .. }) if p == port), "{network:?}");
        assert_eq!(names(dir.path()).len(), 0, "nothing is left");
    }
}

#[test]
fn a_gvproxy_that_fails_is_an_error_with_its_words() {
    let (network, _dir) = start(|options| options.gvproxy("/nonexistent/gvproxy"), NetworkMode::Internet);
    assert!(matches!(network, Err(NetworkError::Start { .. })), "{network:?}");
    let (network, _dir) = start(|options| options.gvproxy("false"), NetworkMode::Internet);
    assert!(matches!(network, Err(NetworkError::Exited { .. })), "{network:?}");
    let (network, _dir) = start(|options| options, NetworkMode::None);
    assert!(matches!(network, Err(NetworkError::None)), "{network:?}");
}

#[test]
fn the_end_of_gvproxy_is_noticed() {
    let (mut guest, network, dir) = guest(NetworkPolicy::new());
    let process =
        |of: u32| std::fs::read_to_string(format!("/proc/{of}/comm")).is_ok_and(|name| name.trim() == "gvproxy");
    let directory = dir.path().to_owned();
    let own =
        |of: &u32| process(*of) && std::fs::read_link(format!("/proc/{of}/cwd")).is_ok_and(|cwd| cwd == directory);
    let pids =
        || std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pid: u32 = pids().find(own).expect("a gvproxy");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    for variable in environment.split(|byte| *byte == 0).filter(|variable| !variable.is_empty()) {
        assert!(
            variable.starts_with(b"PATH=") || variable.starts_with(b"LANG="),
            "{}",
            String::from_utf8_lossy(variable)
        );
    }
    assert!(network.is_alive() && network.wait(Instant::now() + SHORT).is_none());
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let why = network.wait(Instant::now() + LONG).expect("it is noticed");
    assert!(matches!(&why, NetworkError::Exited { status, .. } if status.contains("SIGKILL")), "{why}");
    assert!(!network.is_alive());
    assert!(guest.wire().closes(LONG), "the guest's card is told too");
    assert!(network.end().failure.is_some_and(|failure| failure.contains("SIGKILL")));
}

#[test]
fn the_socket_is_exclusive_and_for_the_group() {
    let (network, dir) = start(|options| options, NetworkMode::Internet);
    let socket = dir.path().join("q.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let second = tempfile::tempdir().unwrap();
    let options = NetworkOptions::new(NetworkMode::Internet, second.path(), &socket).gvproxy(gvproxy());
    let error = Network::start(options.clone()).unwrap_err();
    assert!(matches!(&error, NetworkError::Socket { path, .. } if *path == socket), "{error}");
    drop(network);
    assert_eq!(names(dir.path()).len(), 0);
    // What a killed process left makes way, a file does not.
    drop(UnixListener::bind(&socket).unwrap());
    drop(Network::start(options.clone()).unwrap());
    std::fs::write(&socket, "mine").unwrap();
    assert!(Network::start(options).is_err());
    assert_eq!(std::fs::read(&socket).unwrap(), b"mine");
}

#[test]
fn another_users_connection_is_closed() {
    let own = nix::unistd::geteuid().as_raw();
    let (network, dir) = start(|options| options.uid(own + 1), NetworkMode::Internet);
    let _network = network.unwrap();
    assert!(Wire::connect(&dir.path().join("q.sock")).closes(LONG));
    let (network, dir) = start(|options| options.uid(own), NetworkMode::Internet);
    let _network = network.unwrap();
    let mut guest = network::Guest::new(Wire::connect(&dir.path().join("q.sock")));
    assert_eq!(guest.resolve("host.containers.internal", LONG), Some(vec![HOST]));
}

/// A DNS server that knows these names, at 192.0.2.53.
fn resolver(names: &'static [(&'static str, &'static [Ipv4Addr])]) {
    let socket = UdpSocket::bind("192.0.2.53:53").unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let query = &query[..length];
            let asked = query[12..].to_ascii_lowercase();
            let known = names.iter().find(|(name, _)| asked.starts_with(&tests::network::dns_query(name)[12..]));
            let _ = socket.send_to(&dns_answer(query, known.map_or(&[], |(_, addresses)| addresses)), from);
        }
    });
}

/// A server at each address of this host, that answers with the address.
fn servers() {
    for address in ADDRESSES {
        let listener = TcpListener::bind((address, 7777)).unwrap();
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let _ = client.write_all(address.as_bytes());
            }
        });
    }
}

/// Whether a guest reaches an address, which is waited for only where it is expected.
fn reaches(guest: &mut network::Guest, address: &str, expected: bool) -> bool {
    let answer = guest.tcp(address.parse().unwrap(), 7777, b"", if expected { LONG } else { SHORT });
    assert!(answer.is_none() || answer.as_deref() == Some(address.as_bytes()), "{answer:?}");
    answer.is_some()
}

const ADDRESSES: [&str; 7] =
    ["192.0.2.53", "192.0.2.1", "192.0.2.2", "198.51.100.1", "10.1.2.3", "169.254.169.254", "192.168.9.9"];

#[test]
fn the_policy_holds_on_the_way_out() {
    if !on_a_host_of_its_own("the_policy_holds_on_the_way_out", &ADDRESSES) {
        return;
    }
    servers();
    // Nothing but the policy is in the way.
    let bare_dir = tempfile::tempdir().unwrap();
    let unfiltered = network::Bare::start(bare_dir.path());
    let mut guest_without = network::Guest::new(unfiltered.wire());
    assert!(["10.1.2.3", "192.168.9.9", "192.0.2.1"].iter().all(|address| reaches(&mut guest_without, address, true)));

    let reached = |policy: NetworkPolicy, expected: &[&str]| {
        let (mut guest, network, _dir) = guest(policy);
        for address in &ADDRESSES[1..] {
            let expected = expected.contains(address);
            assert_eq!(reaches(&mut guest, address, expected), expected, "{address}");
        }
        assert_eq!(network.counts().dropped(Dropped::Policy) > 0, expected.len() < 6);
    };
    let rule = |text: &str| text.parse().unwrap();
    let policy = NetworkPolicy::new;
    reached(policy(), &["192.0.2.1", "192.0.2.2", "198.51.100.1"]);
    reached(policy().allow(rule("192.0.2.0/31:7777")), &["192.0.2.1"]);
    reached(policy().allow(rule("192.0.2.0/24:80")), &[]);
    let most = policy().allow(rule("0.0.0.0/0")).deny(rule("192.0.2.0/24")).allow(rule("192.0.2.2"));
    reached(most, &["192.0.2.2", "198.51.100.1"]);
    reached(policy().allow(rule("192.0.2.1")).deny(rule("192.0.2.1")), &[]);
    reached(policy().allow(rule("10.1.0.0/16")), &["10.1.2.3"]);
}

#[test]
fn names_lead_to_the_addresses_that_they_name() {
    const GOOD: &[Ipv4Addr] = &[Ipv4Addr::new(192, 0, 2, 1)];
    const PRIVATE: &[Ipv4Addr] = &[Ipv4Addr::new(198, 51, 100, 1), Ipv4Addr::new(10, 1, 2, 3)];
    const OTHER: &[Ipv4Addr] = &[Ipv4Addr::new(192, 0, 2, 2)];
    if !on_a_host_of_its_own("names_lead_to_the_addresses_that_they_name", &ADDRESSES) {
        return;
    }
    resolver(&[
        ("example.org", GOOD),
        ("a.example.net", OTHER),
        ("rebound.example.org", PRIVATE),
        ("evil.test", OTHER),
    ]);
    servers();

    let (mut all, _network, _dir) = guest(NetworkPolicy::new());
    assert_eq!(all.resolve("evil.test", LONG).as_deref(), Some(OTHER), "anybody may be asked for");

    let names = ["example.org", "rebound.example.org", "*.example.net"];
    let policy = names.iter().fold(NetworkPolicy::new(), |policy, name| policy.allow_name(name.parse().unwrap()));
    let (mut some, network, _dir) = guest(policy);
    assert!(!reaches(&mut some, "192.0.2.1", false), "nobody has named it");
    assert_eq!(some.resolve("Example.ORG", LONG).as_deref(), Some(GOOD));
    assert!(reaches(&mut some, "192.0.2.1", true) && !reaches(&mut some, "192.0.2.2", false));
    assert_eq!(some.resolve("evil.test", SHORT), None);
    assert!(network.counts().dropped(Dropped::Name) > 0);
    assert_eq!(some.resolve("rebound.example.org", LONG).as_deref(), Some(PRIVATE));
    assert!(
        !reaches(&mut some, "10.1.2.3", false) && !reaches(&mut some, "198.51.100.1", false),
        "such an answer teaches nothing"
    );
    assert_eq!(some.tcp(GATEWAY, 53, b"", SHORT), None, "no DNS over TCP");
    assert_eq!(some.resolve("a.example.net", LONG).as_deref(), Some(OTHER));
    assert!(reaches(&mut some, "192.0.2.2", true));

    let (mut listed, _network, _dir) = guest(NetworkPolicy::new().allow("192.0.2.0/24".parse().unwrap()));
    assert_eq!(listed.resolve("example.org", SHORT), None, "a question is a way out");
    assert!(reaches(&mut listed, "192.0.2.1", true));
}

/// A network with an exposed port, and its guest.
fn with_port() -> (network::Guest, Network, u16, tempfile::TempDir) {
    let exposed = ExposedPort { internal: 8000, external: free_port() };
    let (network, dir) = start(|options| options.expose([exposed]), NetworkMode::Ports);
    let guest = network::Guest::new(Wire::connect(&dir.path().join("q.sock")));
    (guest, network.unwrap(), exposed.external, dir)
}

#[test]
fn much_comes_through_a_port_unchanged() {
    let (mut guest, network, port, _dir) = with_port();
    let text: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = text.clone();
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.write_all(b"?").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    });
    assert!(guest.serve(8000, &text, LONG));
    assert!(client.join().unwrap() == expected, "the text changed on its way");
    assert!(network.counts().from_guest.bytes > 2_000_000);
}

#[test]
fn nothing_of_a_port_is_left() {
    let (_guest, network, port, _dir) = with_port();
    let clients: Vec<_> = (0..20).map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap()).collect();
    let ending = Instant::now();
    drop(network);
    assert!(ending.elapsed() < LONG);
    for mut client in clients {
        client.set_read_timeout(Some(LONG)).unwrap();
        match client.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

/// With no descriptor left nobody can be accepted, and the one who waits stays.
#[test]
fn ports_without_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if !in_a_process_of_its_own("ports_without_descriptors") {
        return;
    }
    let (mut guest, _network, port, _dir) = with_port();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    // The test itself needs one to connect.
    files.pop();
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.write_all(b"?").unwrap();
    let idle = busy(Duration::from_secs(1));
    assert!(idle < Duration::from_millis(20), "{idle:?}");
    drop(files);
    assert!(guest.serve(8000, b"hello", LONG));
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
    // A client that has said all it has to say, and waits.
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let idle = busy(Duration::from_secs(1));
    assert!(idle < Duration::from_millis(10), "{idle:?}");
}
