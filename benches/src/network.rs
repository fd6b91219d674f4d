//! The frame filter, beside a connection without it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use qemu_dsl::network::{Filter, Pump};
use qemu_dsl::policy::{NetworkMode, NetworkPolicy};

use crate::measure::{Series, rounds};

/// The largest frame without jumbo frames.
const LARGE: usize = 1514;
/// The smallest one.
const SMALL: usize = 60;
/// How many large frames a throughput is measured over.
const FRAMES: usize = 60_000;
/// How many round trips a latency is measured over.
const TRIPS: u32 = 4000;

/// Both ends of a connection that carries frames, and what is between them.
struct Ends {
    guest: UnixStream,
    gvproxy: UnixStream,
    _between: Option<(Pump, tempfile::TempDir)>,
}

impl Ends {
    fn direct() -> Self {
        let (guest, gvproxy) = UnixStream::pair().expect("sockets");
        Self { guest, gvproxy, _between: None }
    }

    fn filtered(policy: NetworkPolicy) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        let (gvproxy, theirs) = UnixStream::pair().expect("sockets");
        let filter = Filter::new(NetworkMode::Internet, &[], policy);
        let pump = Pump::start(&path, theirs, filter, None).expect("a relay");
        let guest = UnixStream::connect(path).expect("a connection");
        Self { guest, gvproxy, _between: Some((pump, dir)) }
    }
}

/// A frame of so many bytes with its length: a datagram between the guest and somewhere outside.
fn frame(size: usize, is_from_guest: bool) -> Vec<u8> {
    const GATEWAY: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd];
    const GUEST: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee];
    let length = |size: usize| u16::try_from(size).expect("a small frame").to_be_bytes();
    let (macs, addresses) = ([GATEWAY, GUEST], [[192, 168, 127, 2], [192, 0, 2, 1]]);
    let [to, from] = if is_from_guest { macs } else { [GUEST, GATEWAY] };
    let [source, destination] = if is_from_guest { addresses } else { [addresses[1], addresses[0]] };
    let ip = [&[0x45, 0][..], &length(size - 14), &[0, 0, 0x40, 0, 64, 17, 0, 0], &source, &destination].concat();
    let udp = [&[0x1f, 0x90, 0x1f, 0x90][..], &length(size - 34), &[0, 0]].concat();
    let head =
        [&u32::try_from(size).expect("a small frame").to_be_bytes()[..], &to, &from, &[8, 0], &ip, &udp].concat();
    [&head[..], &vec![0x55; size - 42]].concat()
}

/// A frame at a time, as QEMU and gvproxy write them.
fn send(mut to: &UnixStream, frame: &[u8]) {
    for _ in 0..FRAMES {
        to.write_all(frame).expect("the other side reads");
    }
}

fn receive(mut from: &UnixStream) {
    let mut chunk = vec![0; 64 * 1024];
    let mut left = FRAMES * (4 + LARGE);
    while left > 0 {
        let count = from.read(&mut chunk).expect("the other side writes");
        assert_ne!(count, 0, "frames are missing");
        left -= count;
    }
}

/// Megabytes a second from one end to the other, or both ways at once.
fn throughput(ends: &Ends, inward: bool, outward: bool) -> f64 {
    let (from_guest, to_guest) = (frame(LARGE, true), frame(LARGE, false));
    let started = Instant::now();
    std::thread::scope(|scope| {
        if outward {
            scope.spawn(|| send(&ends.guest, &from_guest));
            scope.spawn(|| receive(&ends.gvproxy));
        }
        if inward {
            scope.spawn(|| send(&ends.gvproxy, &to_guest));
            scope.spawn(|| receive(&ends.guest));
        }
    });
    let frames = FRAMES * (usize::from(inward) + usize::from(outward));
    #[expect(clippy::cast_precision_loss, reason = "a few hundred million")]
    let bytes = (frames * LARGE) as f64;
    bytes / 1e6 / started.elapsed().as_secs_f64()
}

/// Microseconds from sending a small frame to having its answer.
fn round_trip(ends: &Ends) -> f64 {
    let (asked, answer) = (frame(SMALL, true), frame(SMALL, false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut chunk = vec![0; 4 + SMALL];
            while (&ends.gvproxy).read_exact(&mut chunk).is_ok() {
                (&ends.gvproxy).write_all(&answer).expect("the other side reads");
            }
        });
        let mut chunk = vec![0; 4 + SMALL];
        let started = Instant::now();
        for _ in 0..TRIPS {
            (&ends.guest).write_all(&asked).expect("the other side reads");
            (&ends.guest).read_exact(&mut chunk).expect("an answer");
        }
        let taken = started.elapsed().as_secs_f64() * 1e6 / f64::from(TRIPS);
        // The answering thread ends with its connection.
        ends.gvproxy.shutdown(Shutdown::Both).expect("a connection");
        taken
    })
}

/// What is measured of each connection.
pub const MEASURED: [&str; 4] =
    ["from the guest, MB/s", "to the guest, MB/s", "both ways at once, MB/s", "round trip of a 60-byte frame, µs"];

/// The connections.
pub const CONNECTIONS: [&str; 3] =
    ["floor: a connection without anything", "filter, default policy", "filter, a policy of 100 rules"];

fn rules() -> NetworkPolicy {
    let rules = (0..100_u8).map(|number| format!("203.0.113.{number}").parse().expect("a rule"));
    rules.fold(NetworkPolicy::new().allow("192.0.2.0/24".parse().expect("a rule")), NetworkPolicy::allow)
}

/// Measures all: for each of [`MEASURED`] a series of each of [`CONNECTIONS`].
///
/// # Panics
///
/// When frames get lost.
pub fn measure(count: usize) -> [Vec<Series>; 4] {
    let connect: [fn() -> Ends; 3] =
        [Ends::direct, || Ends::filtered(NetworkPolicy::new()), || Ends::filtered(rules())];
    let of = |measured: fn(&Ends) -> f64| rounds(count, &connect, |connect| Some(measured(&connect())));
    [
        of(|ends| throughput(ends, false, true)),
        of(|ends| throughput(ends, true, false)),
        of(|ends| throughput(ends, true, true)),
        of(round_trip),
    ]
}
