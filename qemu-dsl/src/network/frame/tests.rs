use std::time::Duration;

use proptest::prelude::*;

use super::*;

mod names;

const GUEST: [u8; 4] = [192, 168, 127, 2];
const GATE: [u8; 4] = [192, 168, 127, 1];
const LOOPBACK: [u8; 4] = [192, 168, 127, 254];
const OUT: [u8; 4] = [192, 0, 2, 9];
const MAC: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee];
const SYN: u8 = 2;
const RST: u8 = 4;
const FIN: u8 = 1;
const ACK: u8 = 16;

fn ethernet(source: [u8; 6], destination: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&destination[..], &source, &kind.to_be_bytes(), payload].concat()
}

fn ip(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    [&head[..], &source, &destination, payload].concat()
}

fn ports(from: u16, to: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
    [a, b, c, d]
}

fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    [&ports(from, to)[..], &length, &[0, 0], payload].concat()
}

fn tcp(from: u16, to: u16, flags: u8) -> Vec<u8> {
    [&ports(from, to)[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat()
}

const ECHO: [u8; 8] = [8, 0, 0, 0, 0, 1, 0, 1];

/// From the guest to an address.
fn sent(to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(MAC, GATEWAY_MAC, 0x800, &ip(GUEST, to, protocol, payload))
}

/// From an address to the guest.
fn answered(from: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(GATEWAY_MAC, MAC, 0x800, &ip(from, GUEST, protocol, payload))
}

fn exposed() -> Filter {
    Filter::new(NetworkMode::Ports, &[ExposedPort { internal: 8000, external: 1 }], NetworkPolicy::new())
}

fn internet(policy: NetworkPolicy) -> Filter {
    Filter::new(NetworkMode::Internet, &[], policy)
}

fn passes(filter: &mut Filter, frame: &[u8]) -> Result<(), Dropped> {
    filter.guest_sends(frame, Instant::now())
}

#[test]
fn at_the_gateway_a_guest_gets_what_it_needs_and_nothing_more() {
    let mut filter = internet(NetworkPolicy::new());
    let allowed = [sent(GATE, 1, &ECHO), sent(GATE, 17, &udp(9, 53, b"?")), sent(GATE, 6, &tcp(9, 53, SYN))];
    for frame in &allowed {
        assert_eq!(passes(&mut filter, frame), Ok(()));
    }
    for port in [0, 1, 22, 52, 54, 67, 80, 443, 8080, 65535] {
        for flags in [SYN, ACK, SYN | ACK, FIN | ACK, RST, 0, 0xff] {
            assert_eq!(
                passes(&mut filter, &sent(GATE, 6, &tcp(9, port, flags))),
                Err(Dropped::Gateway),
                "{port} {flags}"
            );
        }
        assert_eq!(passes(&mut filter, &sent(GATE, 17, &udp(9, port, b""))), Err(Dropped::Gateway), "{port}");
    }
    assert_eq!(passes(&mut filter, &sent(GATE, 1, &[0; 8])), Err(Dropped::Protocol), "an echo reply");
    assert_eq!(passes(&mut filter, &sent(GATE, 132, &[0; 20])), Err(Dropped::Protocol), "SCTP");
    let counts = filter.counts();
    assert_eq!((counts.from_guest.frames, counts.dropped(Dropped::Gateway)), (3, 80));
    assert_eq!(counts.from_guest.bytes, allowed.iter().map(|frame| frame.len() as u64).sum::<u64>());
    assert_eq!(counts.to_json()["dropped"]["gateway"], 80);
    assert_eq!(counts.total_dropped(), 82);
}

#[test]
fn what_two_parsers_could_read_differently_is_dropped() {
    let whole = sent(OUT, 6, &tcp(9, 80, SYN));
    let at = |offset: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[offset] = byte;
        frame
    };
    let vlan = |kind: u16| [&whole[..12], &kind.to_be_bytes(), &[0, 1], &whole[12..]].concat();
    let options = [&[0x46, 0, 0, 44][..], &whole[18..34], &[1, 1, 1, 0], &whole[34..]].concat();
    let mut short_udp = sent(OUT, 17, &udp(9, 53, b"123"));
    short_udp[39] -= 1;
    let mut no_udp_length = sent(OUT, 17, &udp(9, 53, b"123"));
    no_udp_length[38..40].fill(0);
    let cases = [
        (at(20, 0x20), Dropped::Fragment),
        (at(21, 1), Dropped::Fragment),
        (at(20, 0x80), Dropped::Malformed),
        (ethernet(MAC, GATEWAY_MAC, 0x800, &options), Dropped::Options),
        (vlan(0x8100), Dropped::EtherType),
        (vlan(0x88a8), Dropped::EtherType),
        (vlan(0x9100), Dropped::EtherType),
        (ethernet(MAC, GATEWAY_MAC, 40, &whole[14..]), Dropped::EtherType),
        (ethernet(MAC, GATEWAY_MAC, 0x86dd, &whole[14..]), Dropped::Ipv6),
        (at(14, 0x65), Dropped::Malformed),
        (at(14, 0x44), Dropped::Malformed),
        (at(17, 39), Dropped::Malformed),
        (at(17, 41), Dropped::Malformed),
        (at(16, 1), Dropped::Malformed),
        (at(46, 0x40), Dropped::Malformed),
        (at(46, 0x60), Dropped::Malformed),
        ([&whole[..], &[0; 7]].concat(), Dropped::Malformed),
        (whole[..whole.len() - 1].to_vec(), Dropped::Malformed),
        (whole[..33].to_vec(), Dropped::Malformed),
        (whole[..13].to_vec(), Dropped::Malformed),
        (Vec::new(), Dropped::Malformed),
        (short_udp, Dropped::Malformed),
        (no_udp_length, Dropped::Malformed),
        (sent(OUT, 17, &[0; 7]), Dropped::Malformed),
        (sent(OUT, 1, &ECHO[..7]), Dropped::Malformed),
        (
            sent(OUT, 51, &[&[6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &tcp(9, 80, SYN)].concat()),
            Dropped::Protocol,
        ),
    ];
    let mut filter = internet(NetworkPolicy::new());
    assert_eq!(passes(&mut filter, &whole), Ok(()));
    assert_eq!(passes(&mut filter, &[&whole[..], &[0; 6]].concat()), Ok(()), "filled up to what Ethernet needs");
    for (number, (frame, why)) in cases.iter().enumerate() {
        assert_eq!(passes(&mut filter, frame), Err(*why), "case {number}");
    }
}

#[test]
fn a_guest_is_itself_and_nobody_else() {
    let mut filter = internet(NetworkPolicy::new());
    let packet = |source| ip(source, OUT, 6, &tcp(9, 80, SYN));
    for last in [2, 3, 253] {
        assert_eq!(passes(&mut filter, &ethernet(MAC, GATEWAY_MAC, 0x800, &packet([192, 168, 127, last]))), Ok(()));
    }
    for source in
        [GATE, LOOPBACK, [192, 168, 127, 0], [192, 168, 127, 255], [192, 168, 126, 2], [0; 4], [10, 0, 0, 1], OUT]
    {
        assert_eq!(passes(&mut filter, &ethernet(MAC, GATEWAY_MAC, 0x800, &packet(source))), Err(Dropped::Spoofed));
    }
    for mac in [GATEWAY_MAC, BROADCAST_MAC, [1, 0, 0x5e, 0, 0, 1]] {
        assert_eq!(passes(&mut filter, &ethernet(mac, GATEWAY_MAC, 0x800, &packet(GUEST))), Err(Dropped::Spoofed));
    }
    let arp = |mac: [u8; 6], operation: u8, sender: [u8; 4]| {
        let head = [0, 1, 8, 0, 6, 4, 0, operation];
        ethernet(MAC, BROADCAST_MAC, 0x806, &[&head[..], &mac, &sender, &[0; 6], &GATE].concat())
    };
    assert_eq!(passes(&mut filter, &arp(MAC, 1, GUEST)), Ok(()));
    assert_eq!(passes(&mut filter, &[&arp(MAC, 2, GUEST)[..], &[0; 18]].concat()), Ok(()));
    assert_eq!(passes(&mut filter, &arp(MAC, 1, [0; 4])), Ok(()), "a probe");
    for frame in [arp(GATEWAY_MAC, 1, GUEST), arp(MAC, 2, GATE), arp(MAC, 1, LOOPBACK), arp(MAC, 2, [0; 4])] {
        assert_eq!(passes(&mut filter, &frame), Err(Dropped::Spoofed));
    }
    let mut odd = arp(MAC, 1, GUEST);
    odd[18] = 7;
    for frame in
        [odd, arp(MAC, 3, GUEST), arp(MAC, 1, GUEST)[..41].to_vec(), [&arp(MAC, 1, GUEST)[..], &[0; 19]].concat()]
    {
        assert_eq!(passes(&mut filter, &frame), Err(Dropped::Malformed));
    }
}

#[test]
fn a_guest_has_so_many_hardware_addresses() {
    let mut filter = internet(NetworkPolicy::new());
    let frame = |number: u8| ethernet([2, 0, 0, 0, 0, number], GATEWAY_MAC, 0x800, &ip(GUEST, OUT, 1, &ECHO));
    for number in 0..16 {
        assert_eq!(passes(&mut filter, &frame(number)), Ok(()));
    }
    assert_eq!(passes(&mut filter, &frame(16)), Err(Dropped::Spoofed));
    assert_eq!(passes(&mut filter, &frame(15)), Ok(()));
}

#[test]
fn only_dhcp_has_no_address_and_is_broadcast() {
    let frame = |mac, source, destination, from, to| {
        ethernet(MAC, mac, 0x800, &ip(source, destination, 17, &udp(from, to, b"")))
    };
    for mut filter in [exposed(), internet(NetworkPolicy::new())] {
        assert_eq!(passes(&mut filter, &frame(BROADCAST_MAC, [0; 4], [255; 4], 68, 67)), Ok(()));
        assert_eq!(passes(&mut filter, &frame(GATEWAY_MAC, GUEST, GATE, 68, 67)), Ok(()));
        assert_eq!(passes(&mut filter, &frame(BROADCAST_MAC, [0; 4], [255; 4], 68, 68)), Err(Dropped::Spoofed));
        assert_eq!(passes(&mut filter, &frame(BROADCAST_MAC, GUEST, [255; 4], 9, 67)), Err(Dropped::Local));
        assert_eq!(passes(&mut filter, &frame(GATEWAY_MAC, GUEST, [255; 4], 9, 9)), Err(Dropped::Local));
        assert_eq!(passes(&mut filter, &frame(BROADCAST_MAC, GUEST, OUT, 9, 9)), Err(Dropped::Local));
        assert_eq!(passes(&mut filter, &frame(GATEWAY_MAC, [0; 4], OUT, 68, 67)), Err(Dropped::Spoofed));
        assert_eq!(passes(&mut filter, &frame([2, 0, 0, 0, 0, 1], GUEST, OUT, 9, 9)), Err(Dropped::Local));
    }
}

#[test]
fn with_ports_alone_nothing_leads_out() {
    let mut filter = Filter::new(
        NetworkMode::Ports,
        &[],
        NetworkPolicy::new().allow("192.0.2.0/24".parse().unwrap()).allow_host_loopback(true),
    );
    assert_eq!(passes(&mut filter, &sent(OUT, 6, &tcp(9, 80, SYN))), Err(Dropped::NoInternet));
    assert_eq!(passes(&mut filter, &sent(LOOPBACK, 6, &tcp(9, 80, SYN))), Err(Dropped::HostLoopback));
    assert_eq!(passes(&mut filter, &sent(GATE, 17, &udp(9, 53, b"?"))), Err(Dropped::Name));
    assert_eq!(passes(&mut filter, &sent(GATE, 6, &tcp(9, 53, SYN))), Err(Dropped::Name));
    assert_eq!(passes(&mut filter, &sent(GATE, 1, &ECHO)), Ok(()));
}

#[test]
fn the_policy_decides_about_the_outside() {
    let mut filter = internet(NetworkPolicy::new());
    for (to, why) in [
        ([10, 0, 0, 1], Dropped::Policy),
        ([169, 254, 169, 254], Dropped::Policy),
        ([127, 0, 0, 1], Dropped::Policy),
        ([0, 0, 0, 0], Dropped::Policy),
        (LOOPBACK, Dropped::HostLoopback),
        ([192, 168, 127, 77], Dropped::Local),
        ([192, 168, 127, 255], Dropped::Local),
        ([224, 0, 0, 251], Dropped::Local),
        ([255; 4], Dropped::Local),
    ] {
        for frame in [sent(to, 6, &tcp(9, 80, SYN)), sent(to, 17, &udp(9, 80, b"")), sent(to, 1, &ECHO)] {
            assert_eq!(passes(&mut filter, &frame), Err(why), "{to:?}");
        }
    }
    let mut filter = internet(NetworkPolicy::new().allow("192.0.2.9:443".parse().unwrap()).allow_host_loopback(true));
    assert_eq!(passes(&mut filter, &sent(OUT, 6, &tcp(9, 443, SYN))), Ok(()));
    assert_eq!(passes(&mut filter, &sent(OUT, 17, &udp(9, 443, b""))), Ok(()));
    assert_eq!(passes(&mut filter, &sent(OUT, 6, &tcp(9, 80, SYN))), Err(Dropped::Policy));
    assert_eq!(passes(&mut filter, &sent(OUT, 1, &ECHO)), Err(Dropped::Policy));
    assert_eq!(passes(&mut filter, &sent(LOOPBACK, 6, &tcp(9, 80, SYN))), Ok(()));
    assert_eq!(passes(&mut filter, &sent(GATE, 17, &udp(9, 53, b"?"))), Err(Dropped::Name), "a list without names");
}

#[test]
fn connections_are_opened_by_the_gateway_alone() {
    let mut filter = exposed();
    let now = Instant::now();
    let reply = |from, to, flags| sent(GATE, 6, &tcp(from, to, flags));
    assert_eq!(filter.guest_sends(&reply(8000, 40_000, SYN | ACK), now), Err(Dropped::Gateway), "nobody has asked");
    filter.gateway_sends(&answered(GATE, 6, &tcp(40_000, 8000, SYN)), now).unwrap();
    for flags in [SYN | ACK, ACK, ACK | 8] {
        assert_eq!(filter.guest_sends(&reply(8000, 40_000, flags), now), Ok(()));
    }
    for (from, to, flags) in [
        (8000, 40_000, SYN),
        (8000, 40_000, SYN | FIN),
        (8000, 40_001, ACK),
        (8001, 40_000, ACK),
        (8000, 80, ACK),
        (40_000, 8000, ACK),
    ] {
        assert_eq!(filter.guest_sends(&reply(from, to, flags), now), Err(Dropped::Gateway), "{from} {to} {flags}");
    }
    let other = ethernet(MAC, GATEWAY_MAC, 0x800, &ip([192, 168, 127, 3], GATE, 6, &tcp(8000, 40_000, ACK)));
    assert_eq!(filter.guest_sends(&other, now), Err(Dropped::Gateway), "another guest address");
    // What does not open one: another port, an answer, a service's port, another sender.
    for frame in [
        answered(GATE, 6, &tcp(40_002, 8002, SYN)),
        answered(GATE, 6, &tcp(40_002, 8000, SYN | ACK)),
        answered(GATE, 6, &tcp(80, 8000, SYN)),
        answered(OUT, 6, &tcp(40_002, 8000, SYN)),
    ] {
        filter.gateway_sends(&frame, now).unwrap();
    }
    for to in [40_002, 80] {
        assert_eq!(filter.guest_sends(&reply(8000, to, ACK), now), Err(Dropped::Gateway), "{to}");
        assert_eq!(filter.guest_sends(&reply(8002, to, ACK), now), Err(Dropped::Gateway), "{to}");
    }
    let mut filter = internet(NetworkPolicy::new());
    filter.gateway_sends(&answered(GATE, 6, &tcp(40_000, 8000, SYN)), now).unwrap();
    assert_eq!(filter.guest_sends(&reply(8000, 40_000, ACK), now), Err(Dropped::Gateway), "no port is exposed");
}

#[test]
fn connections_end_and_are_bounded() {
    let mut filter = exposed();
    let start = Instant::now();
    let open = |filter: &mut Filter, port, now| {
        filter.gateway_sends(&answered(GATE, 6, &tcp(port, 8000, SYN)), now).unwrap();
    };
    let goes = |filter: &mut Filter, port, flags, now| {
        filter.guest_sends(&sent(GATE, 6, &tcp(8000, port, flags)), now).is_ok()
    };
    open(&mut filter, 40_000, start);
    let hour = Duration::from_hours(1);
    assert!(goes(&mut filter, 40_000, ACK, start + hour) && goes(&mut filter, 40_000, ACK, start + 2 * hour));
    assert!(!goes(&mut filter, 40_000, ACK, start + 5 * hour), "nothing moved for too long");
    open(&mut filter, 40_001, start);
    assert!(goes(&mut filter, 40_001, FIN | ACK, start));
    assert!(goes(&mut filter, 40_001, ACK, start + hour), "one side is still open");
    filter.gateway_sends(&answered(GATE, 6, &tcp(40_001, 8000, FIN | ACK)), start + hour).unwrap();
    assert!(goes(&mut filter, 40_001, ACK, start + hour + Duration::from_secs(30)), "the last acknowledgement");
    assert!(!goes(&mut filter, 40_001, ACK, start + hour + Duration::from_mins(2)));
    for (count, port) in (1024..3000).enumerate() {
        open(&mut filter, port, start + Duration::from_millis(count as u64));
    }
    assert_eq!(filter.connections.len(), 256);
    let later = start + Duration::from_secs(3);
    assert!(goes(&mut filter, 2999, ACK, later) && !goes(&mut filter, 1024, ACK, later), "the oldest gave way");
}

/// What gvproxy's network stack would take for TCP to the gateway: read as leniently as any parser could.
fn lenient_tcp_port(frame: &[u8]) -> Option<u16> {
    let ip = frame.get(14..)?;
    let header = usize::from(ip.first()? & 15) * 4;
    (ip.get(9) == Some(&6) && ip.get(16..20) == Some(&GATE)).then_some(())?;
    Some(u16::from_be_bytes([*ip.get(header + 2)?, *ip.get(header + 3)?]))
}

proptest! {
    #[test]
    fn nothing_panics_at_any_frame(frame: Vec<u8>, kind in prop_oneof![Just(0x800_u16), Just(0x806), any::<u16>()]) {
        let (mut filter, now) = (names::named(), Instant::now());
        let framed = ethernet(MAC, GATEWAY_MAC, kind, &frame);
        let message = names::dns(&frame);
        for frame in [&frame, &framed, &message] {
            let _ = filter.guest_sends(frame, now);
            let _ = filter.gateway_sends(frame, now);
        }
        let _ = names::resolved(&mut filter, &frame, now);
    }

    /// A segment to the control API, with a few bytes changed.
    #[test]
    fn no_change_makes_the_control_api_reachable(
        changes in prop::collection::vec((0..54_usize, any::<u8>()), 0..4), flags: u8, behind in prop::collection::vec(any::<u8>(), 0..12)
    ) {
        let (mut filter, now) = (Filter::new(
            NetworkMode::PortsAndInternet, &[ExposedPort { internal: 8000, external: 1 }], NetworkPolicy::new()), Instant::now());
        filter.gateway_sends(&answered(GATE, 6, &tcp(40_000, 8000, SYN)), now).unwrap();
        let mut frame = sent(GATE, 6, &tcp(8000, 80, flags));
        frame.extend(behind);
        for (at, byte) in changes {
            frame[at] = byte;
        }
        if filter.guest_sends(&frame, now).is_ok() {
            prop_assert!(lenient_tcp_port(&frame).is_none_or(|port| matches!(port, 53 | 40_000)), "{:02x?}", frame);
        }
    }
}
