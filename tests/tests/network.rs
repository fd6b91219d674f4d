//! The sandbox's network through the real gvproxy: who reaches whom, in each of its modes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::launch::{Agent, Gvproxy, GvproxyError, Launch, Machine};
use qemu_dsl::sandbox::{ExposedPort, SandboxConfig, plan};
use tests::plans::bare;
use tests::{Qemu, guest_dir, qemus, root};

/// Where gvproxy's network has the host's loopback address.
const HOST: &str = "192.168.127.254";

fn gvproxy() -> PathBuf {
    let fetched = root().join("target/gvproxy/bin/gvproxy");
    if fetched.is_file() { fetched } else { "gvproxy".into() }
}

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
    _network: Gvproxy,
    dir: tempfile::TempDir,
}

impl Guest {
    fn boot(qemu: &Qemu, allow: bool, ports: &[ExposedPort]) -> Self {
        let (guest, arch) = (guest_dir(), Architecture::X86_64);
        // A name with everything that URLs and options could trip over.
        let dir = tempfile::Builder::new().prefix("net, a=b %#?").tempdir().unwrap();
        std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), dir.path().join("overlay.qcow2")).unwrap();
        let config = SandboxConfig::new("net", dir.path(), &guest).unwrap().qemu(qemu.binary(arch)).unwrap();
        let config = config.allow_network(allow).expose(ports.iter().copied()).unwrap();
        let facts = bare(arch, Os::Linux, Acceleration::Tcg).with_qemu_version(Some(qemu.version));
        let plan = plan(&config, &facts).unwrap();
        let network = Gvproxy::start(gvproxy().as_os_str(), &config).unwrap().expect("a network");
        let machine = Launch::new(plan.command()).start().unwrap();
        let deadline = Instant::now() + Duration::from_mins(2);
        let mut events = machine.agent(&config.paths().event, deadline).unwrap();
        events.wait_for("net 192.168.127.2", deadline).unwrap();
        events.wait_for("ready", deadline).unwrap();
        let agent = machine.agent(&config.paths().cmd, deadline).unwrap();
        Self { agent, deadline, _machine: machine, _network: network, dir }
    }

    fn ask(&mut self, line: &str) -> String {
        self.agent.ask(line, self.deadline).unwrap()
    }
}

/// The newest of the QEMUs: the modes are gvproxy's, not QEMU's.
fn newest() -> Qemu {
    qemus().into_iter().max_by_key(|qemu| qemu.version).unwrap()
}

#[test]
fn with_the_internet_the_guest_reaches_the_host() {
    for qemu in qemus().iter().filter(|qemu| qemu.version.is_at_least(7, 2)) {
        let port = serve("hello from the host");
        let mut guest = Guest::boot(qemu, true, &[]);
        assert_eq!(guest.ask(&format!("fetch {HOST}:{port}")), "fetched hello from the host", "QEMU {}", qemu.version);
    }
}

#[test]
fn ports_alone_lead_in_and_nothing_leads_out() {
    let port = serve("hello from the host");
    assert_eq!(fetch(port).as_deref(), Some("hello from the host"));
    let exposed = ExposedPort { internal: 8000, external: free_port() };
    let mut guest = Guest::boot(&newest(), false, &[exposed]);
    assert_eq!(guest.ask("serve 8000 hello from the guest"), "serving");
    assert_eq!(fetch(exposed.external).as_deref(), Some("hello from the guest"));
    assert_eq!(guest.ask(&format!("fetch {HOST}:{port}")), "error unreachable");
    let dir = guest.dir.path().to_owned();
    let Guest { _network: network, dir: _dir, .. } = guest;
    drop(network);
    assert_eq!(fetch(exposed.external), None, "the port is closed");
    let sockets = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(sockets.filter(|name| name.starts_with("gvproxy") || name.starts_with("port-")).count(), 0);
}

#[test]
fn ports_and_the_internet() {
    let port = serve("hello from the host");
    let exposed = ExposedPort { internal: 8001, external: free_port() };
    let mut guest = Guest::boot(&newest(), true, &[exposed]);
    assert_eq!(guest.ask("serve 8001 hello from the guest"), "serving");
    assert_eq!(fetch(exposed.external).as_deref(), Some("hello from the guest"));
    assert_eq!(guest.ask(&format!("fetch {HOST}:{port}")), "fetched hello from the host");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    for allow in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let config = SandboxConfig::new("net", dir.path(), "/k").unwrap().allow_network(allow);
        let config = config.expose([ExposedPort { internal: 80, external: port }]).unwrap();
        let error = Gvproxy::start(gvproxy().as_os_str(), &config).unwrap_err();
        assert!(matches!(error, GvproxyError::Port { port: p, .. } if p == port), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn a_gvproxy_that_fails_is_an_error_with_its_words() {
    let dir = tempfile::tempdir().unwrap();
    let config = SandboxConfig::new("net", dir.path(), "/k").unwrap().allow_network(true);
    let error = Gvproxy::start("/nonexistent/gvproxy".as_ref(), &config).unwrap_err();
    assert!(matches!(error, GvproxyError::Start { .. }), "{error}");
    let error = Gvproxy::start("false".as_ref(), &config).unwrap_err();
    assert!(matches!(error, GvproxyError::Exited { .. }), "{error}");
    let without = SandboxConfig::new("net", dir.path(), "/k").unwrap();
    assert!(Gvproxy::start("/nonexistent/gvproxy".as_ref(), &without).unwrap().is_none());
}
