//! A guest that attacks its jailer through the network: gvproxy serves its control API to the guest, at port 80 of the gateway. Each
//! attack is first done without the filter, where it works, and then with it.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu_dsl::accel::Architecture;
use qemu_dsl::facts::{Acceleration, Os};
use qemu_dsl::network::{Dropped, Network, NetworkOptions};
use qemu_dsl::policy::{ExposedPort, NetworkMode, NetworkPolicy};
use qemu_dsl::sandbox::{SandboxConfig, plan};
use tests::network::{
    Bare, GATEWAY, GATEWAY_MAC, GUEST, GUEST_MAC, Guest, HOST, Wire, gvproxy, on_a_host_of_its_own, within,
};
use tests::plans::bare;
use tests::{guest_dir, qemus};

/// Longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(20);
/// How long one waits for what is not to come. What would come takes milliseconds.
const SHORT: Duration = Duration::from_millis(400);

/// A directory with a file of the host's that is not the guest's business.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(host.victim(), "precious").unwrap();
        host
    }

    fn victim(&self) -> PathBuf {
        self.dir.path().join("precious.txt")
    }

    fn is_unharmed(&self) -> bool {
        std::fs::read(self.victim()).is_ok_and(|text| text == b"precious")
    }

    /// gvproxy's API is asked to replace the file by a socket.
    fn body(&self) -> String {
        let victim = self.victim();
        format!(r#"{{"local":"{}","remote":"tcp://192.168.127.2:80","protocol":"unix"}}"#, victim.display())
    }

    /// The same as a request.
    fn request(&self) -> Vec<u8> {
        post(&self.body())
    }

    /// A network with the filter.
    fn network(&self, mode: NetworkMode) -> (Network, Wire) {
        let socket = self.dir.path().join("q.sock");
        let exposed = ExposedPort { internal: 8000, external: free_port() };
        let policy = NetworkPolicy::new();
        let options = NetworkOptions::new(mode, self.dir.path(), &socket).gvproxy(gvproxy());
        let network = Network::start(options.expose([exposed]).policy(policy)).unwrap();
        (network, Wire::connect(&socket))
    }
}

fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /services/forwarder/expose HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// A port that nobody has at the moment, and that the kernel gives to no connection.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(20_000..30_000);
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            return port;
        }
    }
}

/// What an attack does to the frames of a connection.
type Trick = fn(Vec<u8>) -> Vec<Vec<u8>>;

fn is_ipv4(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0]
}

/// Sums up an IPv4 header anew, of 20 bytes or more.
fn sum(frame: &mut [u8]) {
    let header = usize::from(frame[14] & 15) * 4;
    frame[24..26].fill(0);
    let words = frame[14..14 + header].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

fn set_length(frame: &mut [u8]) {
    let length = u16::try_from(frame.len() - 14).unwrap();
    frame[16..18].copy_from_slice(&length.to_be_bytes());
}

fn as_it_is(frame: Vec<u8>) -> Vec<Vec<u8>> {
    vec![frame]
}

/// In two fragments: the ports are in the first one, flags and text in the second.
fn in_fragments(mut frame: Vec<u8>) -> Vec<Vec<u8>> {
    if !is_ipv4(&frame) {
        return vec![frame];
    }
    frame[18..20].copy_from_slice(&fastrand::u16(..).to_be_bytes());
    let (mut first, mut second) = (frame[..14 + 20 + 8].to_vec(), [&frame[..34], &frame[42..]].concat());
    first[20..22].copy_from_slice(&[0x20, 0]);
    second[20..22].copy_from_slice(&[0, 1]);
    for fragment in [&mut first, &mut second] {
        set_length(fragment);
        sum(fragment);
    }
    vec![first, second]
}

/// Options shift the ports to where a careless reader would not look.
fn with_options(frame: Vec<u8>) -> Vec<Vec<u8>> {
    if !is_ipv4(&frame) {
        return vec![frame];
    }
    let mut frame = [&frame[..34], &[1, 1, 1, 0], &frame[34..]].concat();
    frame[14] = 0x46;
    set_length(&mut frame);
    sum(&mut frame);
    vec![frame]
}

fn to_everybody(mut frame: Vec<u8>) -> Vec<Vec<u8>> {
    frame[..6].fill(0xff);
    vec![frame]
}

fn in_a_vlan(frame: Vec<u8>) -> Vec<Vec<u8>> {
    if !is_ipv4(&frame) {
        return vec![frame];
    }
    vec![[&frame[..12], &[0x81, 0, 0, 1], &frame[12..]].concat()]
}

fn from_the_host(mut frame: Vec<u8>) -> Vec<Vec<u8>> {
    if is_ipv4(&frame) {
        frame[26..30].copy_from_slice(&HOST.octets());
        sum(&mut frame);
    }
    vec![frame]
}

/// As if the gateway had asked. Checksums need not be right: gvproxy does not look at them.
fn as_an_answer(mut frame: Vec<u8>) -> Vec<Vec<u8>> {
    if is_ipv4(&frame) && frame[47] & 2 != 0 {
        frame[47] |= 16;
    }
    vec![frame]
}

#[test]
fn the_control_api_is_out_of_reach_whatever_the_guest_does_to_its_packets() {
    let tricks: [(&str, Trick, bool, Dropped); 7] = [
        ("nothing", as_it_is, true, Dropped::Gateway),
        ("fragments", in_fragments, true, Dropped::Fragment),
        ("options", with_options, true, Dropped::Options),
        ("broadcast", to_everybody, true, Dropped::Local),
        ("VLAN", in_a_vlan, false, Dropped::EtherType),
        ("another's address", from_the_host, false, Dropped::Spoofed),
        ("SYN+ACK", as_an_answer, false, Dropped::Gateway),
    ];
    for (name, trick, works, why) in tricks {
        let host = Host::new();
        let unfiltered = Bare::start(host.dir.path());
        let mut guest = Guest::new(unfiltered.wire()).mangling(trick);
        let answer = guest.tcp(GATEWAY, 80, &host.request(), if works { LONG } else { SHORT });
        let answer = answer.map(|answer| String::from_utf8_lossy(&answer).into_owned());
        assert_eq!(answer.as_deref().is_some_and(|answer| answer.contains("200 OK")), works, "{name}: {answer:?}");
        assert_eq!(host.is_unharmed(), !works, "{name}: without the filter");

        for mode in [NetworkMode::Ports, NetworkMode::PortsAndInternet] {
            let host = Host::new();
            let (network, wire) = host.network(mode);
            let mut guest = Guest::new(wire).mangling(trick);
            assert_eq!(guest.tcp(GATEWAY, 80, &host.request(), SHORT), None, "{name}");
            assert!(within(LONG, || network.counts().dropped(why) > 0), "{name}: {:?}", network.counts());
            assert!(host.is_unharmed() && network.is_alive(), "{name}: with the filter");
        }
    }
}

#[test]
fn a_guest_opens_no_port_of_the_host() {
    let host = Host::new();
    let port = free_port();
    let request = post(&format!(r#"{{"local":"127.0.0.1:{port}","remote":"192.168.127.2:80","protocol":"tcp"}}"#));
    {
        let unfiltered = Bare::start(host.dir.path());
        // gvproxy closes its ports when its guest leaves.
        let mut guest = Guest::new(unfiltered.wire());
        let answer = guest.tcp(GATEWAY, 80, &request, LONG);
        assert!(answer.is_some_and(|answer| answer.starts_with(b"HTTP/1.0 200 OK")));
        assert!(within(LONG, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()), "gvproxy listens");
    }
    let (network, wire) = host.network(NetworkMode::PortsAndInternet);
    assert_eq!(Guest::new(wire).tcp(GATEWAY, 80, &request, SHORT), None);
    assert!(network.counts().dropped(Dropped::Gateway) > 0);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

/// A connection that the gateway opened lets the guest answer it, and nothing else.
#[test]
fn an_exposed_port_is_no_way_in_for_the_guest() {
    let host = Host::new();
    let socket = host.dir.path().join("q.sock");
    let exposed = ExposedPort { internal: 8000, external: free_port() };
    let options = NetworkOptions::new(NetworkMode::Ports, host.dir.path(), &socket).gvproxy(gvproxy());
    let network = Network::start(options.expose([exposed])).unwrap();
    let mut wire = Wire::connect(&socket);
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, exposed.external)).unwrap();
    // gvproxy asks who the guest is, and then opens its connection.
    let arp = |kind: u8| {
        let head = [0, 1, 8, 0, 6, 4, 0, kind];
        [&GATEWAY_MAC[..], &GUEST_MAC, &[8, 6], &head, &GUEST_MAC, &GUEST.octets(), &GATEWAY_MAC, &GATEWAY.octets()]
            .concat()
    };
    wire.send(&arp(1));
    let mut passed = 1;
    let deadline = Instant::now() + LONG;
    let syn = loop {
        let frame = wire.receive(deadline).expect("the gateway connects");
        if frame[12..14] == [8, 6] {
            wire.send(&arp(2));
            passed += 1;
        } else if is_ipv4(&frame) && frame[23] == 6 {
            break frame;
        }
    };
    let from = u16::from_be_bytes([syn[34], syn[35]]);
    assert!(
        syn[26..30] == GATEWAY.octets() && syn[36..38] == 8000_u16.to_be_bytes() && syn[47] & 0x3f == 2 && from > 1023
    );
    let segment = |to: u16, flags: u8| {
        let mut frame = [&GATEWAY_MAC[..], &GUEST_MAC, &syn[12..26], &GUEST.octets(), &GATEWAY.octets()].concat();
        frame.extend(
            [
                &8000_u16.to_be_bytes()[..],
                &to.to_be_bytes(),
                &[0, 0, 0, 1],
                &[0; 4],
                &[0x50, flags, 255, 255, 0, 0, 0, 0],
            ]
            .concat(),
        );
        set_length(&mut frame);
        sum(&mut frame);
        frame
    };
    for (to, flags) in [(80, 2), (80, 18), (80, 16), (from, 2), (from, 3), (from.wrapping_add(1).max(1024), 16)] {
        wire.send(&segment(to, flags));
    }
    assert!(within(LONG, || network.counts().dropped(Dropped::Gateway) == 6), "{:?}", network.counts());
    assert_eq!(network.counts().from_guest.frames, passed);
    wire.send(&segment(from, 20));
    assert!(within(LONG, || network.counts().from_guest.frames == passed + 1), "and what belongs to it passes");
}

#[test]
fn frames_that_stop_gvproxy_do_not_get_there() {
    let host = Host::new();
    // Too short for the addresses of Ethernet.
    let short = [0; 5];
    let asked = "host.containers.internal";
    {
        let unfiltered = Bare::start(host.dir.path());
        let mut guest = Guest::new(unfiltered.wire());
        assert_eq!(guest.resolve(asked, LONG), Some(vec![HOST]));
        guest.wire().send(&short);
        assert_eq!(guest.resolve(asked, SHORT), None, "gvproxy checks lengths now: this shows nothing any more");
    }
    let (network, mut wire) = host.network(NetworkMode::Internet);
    for frame in [&short[..], &[], &[0xff; 13]] {
        wire.send(frame);
    }
    assert!(within(LONG, || network.counts().dropped(Dropped::Malformed) == 3));
    // IPv6, as guests send it by themselves.
    wire.send(&[&[0x33, 0x33, 0, 0, 0, 2][..], &GUEST_MAC, &[0x86, 0xdd, 0x60], &[0; 47]].concat());
    assert!(within(LONG, || network.counts().dropped(Dropped::Ipv6) == 1));
    assert!(network.is_alive());
    assert_eq!(Guest::new(wire).resolve(asked, LONG), Some(vec![HOST]), "gvproxy answers");
}

#[test]
fn the_hosts_loopback_is_out_of_reach() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.write_all(b"secret");
        }
    });
    let host = Host::new();
    {
        let unfiltered = Bare::start(host.dir.path());
        assert_eq!(Guest::new(unfiltered.wire()).tcp(HOST, port, b"", LONG).as_deref(), Some(&b"secret"[..]));
    }
    let (network, wire) = host.network(NetworkMode::Internet);
    let mut guest = Guest::new(wire);
    for to in [HOST, Ipv4Addr::LOCALHOST] {
        assert_eq!(guest.tcp(to, port, b"", SHORT), None);
    }
    assert!(network.counts().dropped(Dropped::HostLoopback) > 0);
}

/// gvproxy passes on what goes to its own address too: to the host's network, where somebody may have that address.
#[test]
fn the_gateways_address_leads_nowhere_else() {
    if !on_a_host_of_its_own("the_gateways_address_leads_nowhere_else", &["192.168.127.1"]) {
        return;
    }
    let listener = TcpListener::bind((GATEWAY, 7777)).unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.write_all(b"router");
        }
    });
    let host = Host::new();
    {
        let unfiltered = Bare::start(host.dir.path());
        assert_eq!(Guest::new(unfiltered.wire()).tcp(GATEWAY, 7777, b"", LONG).as_deref(), Some(&b"router"[..]));
    }
    let (network, wire) = host.network(NetworkMode::Internet);
    assert_eq!(Guest::new(wire).tcp(GATEWAY, 7777, b"", SHORT), None);
    assert!(network.counts().dropped(Dropped::Gateway) > 0);
}

/// Boots a real guest on whatever is behind the socket, and has it ask gvproxy's API to replace the file.
fn attack_from_a_vm(host: &Host, dir: &Path) -> String {
    let (guest, arch) = (guest_dir(), Architecture::X86_64);
    let qemu = qemus().into_iter().max_by_key(|qemu| qemu.version).unwrap();
    std::fs::copy(guest.join(format!("rootfs-{arch}.qcow2")), dir.join("overlay.qcow2")).unwrap();
    let config =
        SandboxConfig::new("hostile", dir, &guest).unwrap().qemu(qemu.binary(arch)).unwrap().allow_network(true);
    let mut facts = bare(arch, Os::Linux, Acceleration::Tcg);
    facts.qemu_version = Some(qemu.version);
    let machine = plan(&config, &facts).unwrap().launch().unwrap();
    let deadline = Instant::now() + Duration::from_mins(2);
    let mut events = machine.agent(&config.paths().event, deadline).unwrap();
    events.wait_for("ready", deadline).unwrap();
    let mut agent = machine.agent(&config.paths().cmd, deadline).unwrap();
    agent.ask(&format!("post 192.168.127.1:80 /services/forwarder/expose {}", host.body()), deadline).unwrap()
}

#[test]
fn a_real_guest_does_not_get_at_the_hosts_files() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    {
        let _unfiltered = Bare::start(dir.path());
        assert_eq!(attack_from_a_vm(&host, dir.path()), "posted HTTP/1.0 200 OK");
        assert!(!host.is_unharmed(), "without the filter the file is gone");
    }
    let (host, dir) = (Host::new(), tempfile::tempdir().unwrap());
    let options = NetworkOptions::new(NetworkMode::Internet, host.dir.path(), dir.path().join("gvproxy.sock"));
    let network = Network::start(options.gvproxy(gvproxy())).unwrap();
    assert_eq!(attack_from_a_vm(&host, dir.path()), "error unreachable");
    assert!(host.is_unharmed(), "with the filter it stays");
    assert!(network.counts().dropped(Dropped::Gateway) > 0);
}
