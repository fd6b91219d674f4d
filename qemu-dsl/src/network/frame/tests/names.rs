//! What names lead to.

use super::*;

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).chain([0]).collect()
}

fn query(asked: &str) -> Vec<u8> {
    [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &name(asked), &[0, 1, 0, 1]].concat()
}

fn record(owner: &str, kind: u8, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [&name(owner)[..], &[0, kind, 0, 1], &ttl.to_be_bytes(), &length, data].concat()
}

fn answer(asked: &str, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = query(asked);
    message[2..4].copy_from_slice(&[0x81, 0x80]);
    message[7] = u8::try_from(records.len()).unwrap();
    [message, records.concat()].concat()
}

pub(super) fn dns(message: &[u8]) -> Vec<u8> {
    sent(GATE, 17, &udp(9, 53, message))
}

pub(super) fn resolved(filter: &mut Filter, message: &[u8], now: Instant) -> Result<(), Dropped> {
    filter.gateway_sends(&answered(GATE, 17, &udp(53, 9, message)), now)
}

pub(super) fn named() -> Filter {
    let policy = NetworkPolicy::new().allow_name("example.org".parse().unwrap());
    internet(policy.allow_name("*.example.net".parse().unwrap()).deny("192.0.2.66".parse().unwrap()))
}

fn reaches(filter: &mut Filter, to: [u8; 4], now: Instant) -> bool {
    filter.guest_sends(&sent(to, 6, &tcp(9, 443, SYN)), now).is_ok()
}

#[test]
fn questions_are_for_allowed_names_and_are_nothing_else() {
    let mut filter = named();
    let edns = [&query("example.org")[..], &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]].concat();
    let with = |at: usize, byte: u8| {
        let mut message = query("example.org");
        message[at] = byte;
        message
    };
    let mut counted = edns.clone();
    counted[11] = 1;
    for good in [
        query("example.org"),
        query("EXAMPLE.org"),
        query("a.b.example.net"),
        counted.clone(),
        with(3, 0x20),
        with(26, 28),
    ] {
        assert_eq!(passes(&mut filter, &dns(&good)), Ok(()));
    }
    let mut two_questions = [query("example.org"), query("evil.test")[12..].to_vec()].concat();
    two_questions[5] = 2;
    let compressed = [&query("example.org")[..12], &[7], b"example", &[0xc0, 4], &[0, 1, 0, 1]].concat();
    let dotted = [&query("x")[..12], &[11], b"example.org", &[0, 0, 1, 0, 1]].concat();
    let mut record_behind = [query("example.org"), record("evil.test", 1, 0, &OUT)].concat();
    record_behind[11] = 1;
    let mut answered = [query("example.org"), record("evil.test", 1, 0, &OUT)].concat();
    answered[7] = 1;
    counted.push(0);
    let bad = [
        query("evil.test"),
        query("example.net"),
        query("example.org.evil.test"),
        query("notexample.org"),
        query(""),
        two_questions,
        compressed,
        dotted,
        edns,
        record_behind,
        answered,
        counted,
        with(2, 0x81),
        with(2, 0x09),
        with(2, 0x21),
        with(3, 0x80),
        with(5, 0),
        with(28, 3),
        query("example.org")[..20].to_vec(),
        Vec::new(),
        [query("example.org"), vec![0]].concat(),
        query(&format!("{}.example.net", "a.".repeat(126).trim_end_matches('.'))),
    ];
    for (number, bad) in bad.iter().enumerate() {
        assert_eq!(passes(&mut filter, &dns(bad)), Err(Dropped::Name), "{number}");
    }
    assert_eq!(passes(&mut filter, &sent(GATE, 6, &tcp(9, 53, SYN))), Err(Dropped::Name), "TCP");
}

#[test]
fn answers_teach_the_addresses_of_allowed_names() {
    let (mut filter, now) = (named(), Instant::now());
    assert!(!reaches(&mut filter, OUT, now));
    let chain = [
        record("Example.ORG", 5, 1, &name("one.cdn.test")),
        record("two.cdn.test", 1, 1, &OUT),
        record("one.cdn.test", 5, 1, &name("two.cdn.test")),
        record("other.test", 1, 1, &[192, 0, 2, 10]),
        record("two.cdn.test", 28, 1, &[0; 16]),
    ];
    assert_eq!(resolved(&mut filter, &answer("example.org", &chain), now), Ok(()));
    assert!(reaches(&mut filter, OUT, now));
    assert!(!reaches(&mut filter, [192, 0, 2, 10], now), "it belongs to another name");
    assert!(filter.guest_sends(&sent(OUT, 1, &ECHO), now).is_ok());
    // It goes on counting while it is used, and then some.
    let minute = Duration::from_mins(1);
    assert!(reaches(&mut filter, OUT, now + 9 * minute) && reaches(&mut filter, OUT, now + 18 * minute));
    assert!(!reaches(&mut filter, OUT, now + 29 * minute));
    let long = answer("a.example.net", &[record("a.example.net", 1, 3600, &OUT)]);
    resolved(&mut filter, &long, now).unwrap();
    assert!(reaches(&mut filter, OUT, now + 59 * minute), "an hour, as DNS says");
    let endless = [record("example.org", 5, 1, &name("a.test")), record("a.test", 5, 1, &name("example.org"))];
    assert_eq!(resolved(&mut filter, &answer("example.org", &endless), now), Ok(()));
}

#[test]
fn answers_that_lie_teach_nothing() {
    let now = Instant::now();
    let a = |owner, address: [u8; 4]| record(owner, 1, 60, &address);
    for denied in [[10, 0, 0, 1], [169, 254, 169, 254], [127, 0, 0, 1], LOOPBACK, [0; 4], [192, 0, 2, 66]] {
        let mut filter = named();
        let both = answer("example.org", &[a("example.org", OUT), a("example.org", denied)]);
        assert_eq!(resolved(&mut filter, &both, now), Ok(()));
        assert!(!reaches(&mut filter, denied, now) && !reaches(&mut filter, OUT, now), "{denied:?}");
    }
    let mut filter = named();
    assert_eq!(resolved(&mut filter, &answer("evil.test", &[a("evil.test", OUT)]), now), Err(Dropped::Name));
    assert_eq!(resolved(&mut filter, &answer("example.org", &[a("evil.test", OUT)]), now), Ok(()));
    let mut two = answer("example.org", &[]);
    two.extend([&name("evil.test")[..], &[0, 1, 0, 1], &a("example.org", OUT)].concat());
    (two[5], two[7]) = (2, 1);
    assert_eq!(resolved(&mut filter, &two, now), Err(Dropped::Name), "two questions");
    let from_outside = answered(OUT, 17, &udp(53, 9, &answer("example.org", &[a("example.org", OUT)])));
    assert_eq!(filter.gateway_sends(&from_outside, now), Ok(()));
    let mut failed = answer("example.org", &[a("example.org", OUT)]);
    failed[3] |= 3;
    assert_eq!(resolved(&mut filter, &failed, now), Ok(()));
    let mut fragment = answered(GATE, 17, &udp(53, 9, &answer("example.org", &[a("example.org", OUT)])));
    fragment[20] = 0x20;
    assert_eq!(filter.gateway_sends(&fragment, now), Err(Dropped::Fragment));
    let mut cut = answer("example.org", &[a("example.org", OUT)]);
    cut.pop();
    assert_eq!(resolved(&mut filter, &cut, now), Err(Dropped::Malformed));
    assert!(!reaches(&mut filter, OUT, now));
    let mut allowed =
        internet(NetworkPolicy::new().allow_name("example.org".parse().unwrap()).allow("10.0.0.1".parse().unwrap()));
    resolved(&mut allowed, &answer("example.org", &[a("example.org", [10, 0, 0, 1]), a("example.org", OUT)]), now)
        .unwrap();
    assert!(reaches(&mut allowed, [10, 0, 0, 1], now) && reaches(&mut allowed, OUT, now), "a rule allows it");
}

#[test]
fn learned_addresses_are_bounded() {
    let (mut filter, now) = (named(), Instant::now());
    for high in 0..80_u8 {
        let records: Vec<_> = (0..20).map(|low| record("example.org", 1, 0, &[203, 0, high, low])).collect();
        resolved(&mut filter, &answer("example.org", &records), now + Duration::from_millis(u64::from(high))).unwrap();
    }
    assert_eq!(filter.learned.len(), 1024);
    assert!(reaches(&mut filter, [203, 0, 79, 19], now) && !reaches(&mut filter, [203, 0, 0, 0], now));
}

proptest! {
    /// The library that reads answers gets what gvproxy passes on: anything.
    #[test]
    fn an_answer_changed_anywhere_panics_nowhere_and_leads_nowhere_private(
        changes in prop::collection::vec((29..150_usize, any::<u8>()), 0..6), cut in 0..60_usize
    ) {
        let (mut filter, now) = (named(), Instant::now());
        let compressed = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4][..], &OUT].concat();
        let records = [
            record("example.org", 5, 1, &name("a.test")), record("a.test", 1, 1, &OUT), compressed,
            record("x", 15, 1, &[&[0, 1][..], &name("b.test")].concat()), record("", 41, 0, &[0, 10, 0, 2, 1, 2]),
        ];
        let mut message = answer("example.org", &records);
        for (at, byte) in changes {
            if let Some(changed) = message.get_mut(at) {
                *changed = byte;
            }
        }
        message.truncate(message.len() - cut.saturating_sub(30));
        let _ = resolved(&mut filter, &message, now);
        prop_assert!(!reaches(&mut filter, [10, 0, 0, 1], now) && !reaches(&mut filter, [192, 0, 2, 66], now));
    }

    #[test]
    fn a_question_changed_anywhere_still_asks_for_an_allowed_name(changes in prop::collection::vec((12..29_usize, any::<u8>()), 0..3)) {
        let mut message = query("example.org");
        for (at, byte) in changes {
            message[at] = byte;
        }
        if passes(&mut named(), &dns(&message)).is_ok() {
            // Another parser's opinion.
            let parsed = simple_dns::Packet::parse(&message);
            let asked = parsed.as_ref().ok().and_then(|packet| packet.questions.first());
            let allowed = |name: &simple_dns::Name<'_>| {
                let name = name.to_string().to_ascii_lowercase();
                name == "example.org" || name.ends_with(".example.net")
            };
            // It knows fewer types.
            prop_assert!(asked.is_none_or(|question| allowed(&question.qname)), "{:?}", asked);
        }
    }
}
