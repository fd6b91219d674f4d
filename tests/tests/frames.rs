//! The relay of frames, with the test at both of its ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qemu_dsl::network::{Dropped, Filter, Pump};
use qemu_dsl::policy::{NetworkMode, NetworkPolicy};
use tests::network::{GATEWAY_MAC, GUEST, GUEST_MAC, Wire, busy, in_a_process_of_its_own, within};

/// Longer than anything here takes, on any machine.
const LONG: Duration = Duration::from_secs(20);
/// How much memory there is for each direction, and what the kernel keeps beside.
const BOUND: usize = 256 * 1024;

/// A relay, its socket, and gvproxy's end.
fn relay() -> (Pump, tempfile::TempDir, Wire) {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let filter = Filter::new(NetworkMode::Internet, &[], NetworkPolicy::new());
    let pump = Pump::start(&dir.path().join("q.sock"), theirs, filter, None).unwrap();
    (pump, dir, Wire::new(ours))
}

fn connect(dir: &tempfile::TempDir) -> UnixStream {
    UnixStream::connect(dir.path().join("q.sock")).unwrap()
}

/// A frame that passes, from the guest to somewhere outside, with so much in it.
fn frame(number: u8, size: usize) -> Vec<u8> {
    let udp =
        [&[0, 9, 0, 9][..], &u16::try_from(8 + size).unwrap().to_be_bytes(), &[0, 0], &vec![number; size]].concat();
    let length = u16::try_from(20 + udp.len()).unwrap().to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 17, 0, 0];
    let to = Ipv4Addr::new(192, 0, 2, 1).octets();
    [&GATEWAY_MAC[..], &GUEST_MAC, &[8, 0], &head, &GUEST.octets(), &to, &udp].concat()
}

fn on_the_wire(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
}

fn soon() -> Instant {
    Instant::now() + LONG
}

#[test]
fn frames_pass_both_ways_in_whatever_pieces() {
    let (pump, dir, mut gvproxy) = relay();
    let mut qemu = connect(&dir);
    for (number, size) in [(1, 0), (2, 10), (3, 1400), (4, 65_000)] {
        let sent = frame(number, size);
        for piece in on_the_wire(&sent).chunks(7 + size / 5) {
            qemu.write_all(piece).unwrap();
        }
        assert_eq!(gvproxy.receive(soon()), Some(sent.clone()));
        let mut qemu = Wire::new(qemu.try_clone().unwrap());
        assert!(gvproxy.send(&sent));
        assert_eq!(qemu.receive(soon()), Some(sent));
    }
    qemu.write_all(&[on_the_wire(b"nonsense, but a frame"), on_the_wire(&frame(5, 5))].concat()).unwrap();
    assert_eq!(gvproxy.receive(soon()), Some(frame(5, 5)));
    let counts = pump.end();
    assert_eq!((counts.from_guest.frames, counts.to_guest.frames, counts.total_dropped()), (5, 4, 1));
}

#[test]
fn a_length_that_no_frame_has_closes_the_connection() {
    for length in [65_551_u32, 1 << 20, u32::MAX] {
        let (pump, dir, mut gvproxy) = relay();
        let mut qemu = connect(&dir);
        qemu.write_all(&[&on_the_wire(&frame(1, 1))[..], &length.to_be_bytes(), &[0; 100]].concat()).unwrap();
        assert!(Wire::new(qemu).closes(LONG));
        assert_eq!(gvproxy.receive(soon()), Some(frame(1, 1)), "what was before it passed");
        assert!(within(LONG, || pump.counts().dropped(Dropped::Oversize) == 1));
        // The next connection is served.
        connect(&dir).write_all(&on_the_wire(&frame(2, 2))).unwrap();
        assert_eq!(gvproxy.receive(soon()), Some(frame(2, 2)));
        assert!(pump.is_alive());
    }
    let (pump, dir, mut gvproxy) = relay();
    let qemu = connect(&dir);
    assert!(gvproxy.send(&frame(1, 1)));
    // It does not matter whether the guest is connected yet: gvproxy is broken.
    gvproxy.send(&vec![0; 65_551]);
    assert!(pump.wait(soon()) && !pump.is_alive());
    assert!(Wire::new(qemu).closes(LONG));
}

#[test]
fn who_comes_again_gets_whole_frames() {
    let (pump, dir, mut gvproxy) = relay();
    let mut qemu = connect(&dir);
    let half = on_the_wire(&frame(1, 1000));
    qemu.write_all(&[&on_the_wire(&frame(0, 0))[..], &half[..500]].concat()).unwrap();
    assert_eq!(gvproxy.receive(soon()), Some(frame(0, 0)));
    // So much that some frame is half written when the connection ends.
    let mut flood = 0;
    while pump.counts().to_guest.frames < 150 {
        assert!(gvproxy.send(&frame(2, 1400)) && flood < 10_000);
        flood += 1;
    }
    drop(qemu);
    assert!(within(LONG, || {
        gvproxy.send(&frame(3, 3));
        pump.counts().dropped(Dropped::Unconnected) > 0
    }));
    let mut again = connect(&dir);
    again.write_all(&on_the_wire(&frame(4, 4))).unwrap();
    assert_eq!(gvproxy.receive(soon()), Some(frame(4, 4)), "the half frame is forgotten");
    let mut again = Wire::new(again);
    assert!(gvproxy.send(&frame(5, 5)));
    let first = again.receive(soon()).unwrap();
    assert!(first == frame(5, 5) || first == frame(3, 3) || first == frame(2, 1400), "{first:?}");
}

#[test]
fn who_is_too_fast_waits_and_costs_no_memory() {
    let (pump, dir, mut gvproxy) = relay();
    let mut qemu = connect(&dir);
    qemu.set_nonblocking(true).unwrap();
    let burst = on_the_wire(&frame(7, 1400)).repeat(64);
    // Nobody reads at gvproxy's end: at some point no more is taken.
    let mut sent = 0;
    let mut full = None;
    let stuck = within(LONG, || {
        // The rest of the last frame goes first.
        match qemu.write(&burst[sent % burst.len()..]) {
            Ok(count) => {
                sent += count;
                full = None;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                full.get_or_insert_with(Instant::now);
            }
        }
        full.is_some_and(|since| since.elapsed() > Duration::from_millis(300))
    });
    // The relay's memory, and two sockets': each holds what the kernel gives a socket.
    let kernel: usize = std::fs::read_to_string("/proc/sys/net/core/wmem_default").unwrap().trim().parse().unwrap();
    assert!(stuck && sent <= BOUND + 2 * kernel, "{sent} bytes were taken");
    // The other direction goes on.
    qemu.set_nonblocking(false).unwrap();
    let mut reader = Wire::new(qemu.try_clone().unwrap());
    assert!(gvproxy.send(&frame(1, 1)));
    assert_eq!(reader.receive(soon()), Some(frame(1, 1)));
    // And all of it arrives once somebody reads.
    let whole = sent / on_the_wire(&frame(7, 1400)).len();
    for _ in 0..whole {
        assert_eq!(gvproxy.receive(soon()), Some(frame(7, 1400)));
    }
    drop((qemu, pump));
}

#[test]
fn a_flood_that_does_not_pass_costs_no_memory_either() {
    let (pump, dir, _gvproxy) = relay();
    let mut qemu = connect(&dir);
    let flood = [on_the_wire(b""), on_the_wire(&[0xff; 60]), on_the_wire(&vec![7; 65_550])].concat();
    for _ in 0..200 {
        qemu.write_all(&flood).unwrap();
    }
    assert!(within(LONG, || pump.counts().total_dropped() == 600));
    assert_eq!(pump.counts().from_guest.frames, 0);
}

#[test]
fn gvproxys_end_is_the_end_and_dropping_takes_no_time() {
    let (pump, dir, gvproxy) = relay();
    let qemu = connect(&dir);
    assert!(pump.is_alive() && !pump.wait(Instant::now() + Duration::from_millis(50)));
    drop(gvproxy);
    assert!(pump.wait(soon()));
    assert!(Wire::new(qemu).closes(LONG));

    let (pump, dir, mut gvproxy) = relay();
    let mut qemu = connect(&dir);
    // Also while it is stuck in both directions.
    qemu.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    while qemu.write_all(&on_the_wire(&frame(1, 1400)).repeat(50)).is_ok() {}
    let ending = Instant::now();
    drop(pump);
    assert!(ending.elapsed() < Duration::from_secs(5));
    assert!(!dir.path().join("q.sock").exists());
    let mut rest = Vec::new();
    qemu.set_read_timeout(Some(LONG)).unwrap();
    let _ = qemu.read_to_end(&mut rest);
    while gvproxy.receive(soon()).is_some() {}
}

#[test]
fn nobody_spins() {
    if !in_a_process_of_its_own("nobody_spins") {
        return;
    }
    let second = Duration::from_secs(1);
    let (pump, dir, mut gvproxy) = relay();
    let idle = busy(second);
    assert!(idle < second / 100, "nobody is connected: {idle:?}");
    let mut qemu = connect(&dir);
    qemu.write_all(&on_the_wire(&frame(1, 1))).unwrap();
    assert!(gvproxy.receive(soon()).is_some());
    let idle = busy(second);
    assert!(idle < second / 100, "nothing moves: {idle:?}");
    qemu.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while qemu.write_all(&on_the_wire(&frame(1, 1400)).repeat(50)).is_ok() {}
    let idle = busy(second);
    assert!(idle < second / 100, "gvproxy does not read: {idle:?}");
    // The connection is at its end while what came of it cannot be written.
    drop(qemu);
    let idle = busy(second);
    assert!(idle < second / 100, "and the guest is gone: {idle:?}");
    drop(pump);
}

/// With no descriptor left nobody can be accepted, and the one who waits stays.
#[test]
fn without_descriptors_nobody_spins_and_afterwards_all_goes_on() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if !in_a_process_of_its_own("without_descriptors_nobody_spins_and_afterwards_all_goes_on") {
        return;
    }
    let (_pump, dir, mut gvproxy) = relay();
    let path = dir.path().join("q.sock");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    // The test itself needs one to connect.
    files.pop();
    let mut qemu = UnixStream::connect(&path).unwrap();
    qemu.write_all(&on_the_wire(&frame(1, 1))).unwrap();
    let idle = busy(Duration::from_secs(1));
    assert!(idle < Duration::from_millis(20), "{idle:?}");
    drop(files);
    assert_eq!(gvproxy.receive(soon()), Some(frame(1, 1)));
}
