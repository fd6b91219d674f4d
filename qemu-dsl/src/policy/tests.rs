use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

fn at(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn allows(policy: &NetworkPolicy, address: &str, port: u16) -> bool {
    policy.decide(at(address), Some(port)).is_allowed()
}

#[test]
fn without_rules_everything_is_reached_but_special_ranges() {
    let policy = NetworkPolicy::new();
    for open in [
        "1.1.1.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "172.32.0.1",
        "100.128.0.1",
        "11.0.0.0",
        "223.255.255.255",
    ] {
        assert_eq!(policy.decide(at(open), Some(80)).to_string(), "allowed: nothing denies it", "{open}");
    }
    let denied = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    for denied in denied {
        assert!(matches!(policy.decide(at(denied), None).reason(), Reason::Range(_)), "{denied}");
    }
    assert_eq!(policy.dns(), DnsAccess::All);
}

#[test]
fn the_longest_prefix_decides_then_the_port_then_deny() {
    let policy =
        NetworkPolicy::new().deny(rule("192.0.2.0/24")).allow(rule("192.0.2.128/25")).deny(rule("192.0.2.129"));
    assert!(!allows(&policy, "192.0.2.1", 80));
    assert!(allows(&policy, "192.0.2.130", 80));
    assert!(!allows(&policy, "192.0.2.129", 80));
    for policy in [
        NetworkPolicy::new().allow(rule("192.0.2.0/24")).deny(rule("192.0.2.0/24")),
        NetworkPolicy::new().deny(rule("192.0.2.0/24")).allow(rule("192.0.2.0/24")),
    ] {
        assert_eq!(policy.decide(at("192.0.2.1"), Some(1)).to_string(), "denied by the rule 192.0.2.0/24");
    }
    let policy = NetworkPolicy::new().deny(rule("192.0.2.0/24")).allow(rule("192.0.2.0/24:443"));
    assert!(allows(&policy, "192.0.2.1", 443) && !allows(&policy, "192.0.2.1", 80));
    assert!(!policy.decide(at("192.0.2.1"), None).is_allowed(), "a rule with a port is not about ICMP");
    let policy = NetworkPolicy::new().allow(rule("192.0.2.0/25")).deny(rule("192.0.2.0/24:443"));
    assert!(allows(&policy, "192.0.2.1", 443), "the prefix comes before the port");
}

#[test]
fn what_is_allowed_makes_a_list() {
    let policy = NetworkPolicy::new().allow(rule("192.0.2.7:443"));
    assert!(allows(&policy, "192.0.2.7", 443));
    assert_eq!(policy.decide(at("192.0.2.7"), Some(80)).reason(), Reason::NotListed);
    assert_eq!(policy.dns(), DnsAccess::None);
    let policy = policy.allow_name("example.org".parse().unwrap());
    assert_eq!(policy.dns(), DnsAccess::Names);
    let policy = NetworkPolicy::new().allow_name("example.org".parse().unwrap());
    assert_eq!(policy.decide(at("1.1.1.1"), Some(80)).reason(), Reason::NotListed);
    assert_eq!(NetworkPolicy::new().deny(rule("1.1.1.1")).dns(), DnsAccess::All);
}

#[test]
fn special_ranges_are_opened_by_rules_that_mean_them() {
    let all = NetworkPolicy::new().allow(rule("0.0.0.0/0"));
    assert!(allows(&all, "1.1.1.1", 80) && !allows(&all, "10.0.0.1", 80) && !allows(&all, "169.254.169.254", 80));
    for (open, address) in
        [("10.0.0.0/8", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("169.254.169.254:80", "169.254.169.254")]
    {
        assert!(allows(&NetworkPolicy::new().allow(rule(open)), address, 80), "{open}");
    }
    for never in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let decision = NetworkPolicy::new().allow(rule(never)).decide(at(never), Some(80));
        assert!(!decision.is_allowed() && decision.to_string().ends_with("no rule opens it"), "{decision}");
    }
}

#[test]
fn names_are_exact_or_below() {
    let policy = NetworkPolicy::new();
    let policy = policy.allow_name("Example.org.".parse().unwrap()).allow_name("*.example.net".parse().unwrap());
    for allowed in ["example.org", "EXAMPLE.ORG.", "a.example.net", "a.b.Example.Net"] {
        assert!(policy.allows_name(allowed), "{allowed}");
    }
    for other in [
        "",
        ".",
        "example.net",
        ".example.net",
        "a.example.org",
        "example.org.evil",
        "xexample.net",
        "notexample.net",
        "notexample.org",
    ] {
        assert!(!policy.allows_name(other), "{other}");
    }
}

#[test]
fn what_is_no_rule_and_no_name_is_said() {
    for bad in [
        "",
        "/",
        "1.2.3",
        "1.2.3.4/33",
        "1.2.3.4/24",
        "1.2.3.0/24:",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:+1",
        "a.example",
        "01.2.3.4",
    ] {
        assert!(bad.parse::<Rule>().is_err(), "{bad}");
    }
    for six in ["::/0", "2001:db8::1", "[::1]:80", "fe80::1/64"] {
        let error = six.parse::<Rule>().unwrap_err().to_string();
        assert!(error.contains("gvproxy's network does not have"), "{error}");
    }
    let long = format!("{}.org", "a.".repeat(126));
    for bad in [
        "",
        ".",
        "*",
        "*.",
        "a..b",
        "*.*.org",
        "a.*.org",
        "-a.org",
        "a-.org",
        "é.org",
        "a b.org",
        "a.org:443",
        "1.2.3.4",
        "10",
        "a/b",
        &long,
        &"a".repeat(64),
    ] {
        assert!(bad.parse::<HostName>().is_err(), "{bad}");
    }
}

fn any_rule() -> impl Strategy<Value = (bool, Rule)> {
    // Few bits differ, so that rules overlap.
    (any::<bool>(), 0..4_u32, 26..=32_u8, prop_oneof![Just(None), Just(Some(80)), Just(Some(443))]).prop_map(
        |(allow, low, prefix, port)| {
            let net = Ipv4Net::new(Ipv4Addr::from(0xC000_0200 | low << 3), prefix).unwrap().trunc();
            (allow, Rule { net, port })
        },
    )
}

proptest! {
    #[test]
    fn a_rule_is_read_as_it_is_written(bits: u32, prefix in 0..=32_u8, port: Option<u16>) {
        let net = Ipv4Net::new(Ipv4Addr::from(bits), prefix).unwrap().trunc();
        let rule = Rule { net, port: port.filter(|port| *port > 0) };
        prop_assert_eq!(rule.to_string().parse(), Ok(rule));
    }

    #[test]
    fn nothing_panics_at_any_text(text in ".*") {
        let (_, _, _) = (text.parse::<Rule>(), text.parse::<HostName>(), text.parse::<ExposedPort>());
        prop_assert!(!NetworkPolicy::new().allows_name(&text));
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_holds_itself(name in "(\\*\\.)?([a-zA-Z0-9_]([a-z0-9-]{0,9}[a-z0-9])?\\.){0,4}[a-z]{1,9}\\.?") {
        let parsed: HostName = name.parse().unwrap();
        prop_assert_eq!(parsed.to_string().parse(), Ok(parsed.clone()));
        let policy = NetworkPolicy::new().allow_name(parsed);
        prop_assert_eq!(policy.allows_name(&name.replace('*', "www")), true);
        prop_assert_eq!(policy.allows_name(&format!("x{}", name.replace('*', "www"))), name.starts_with('*'));
    }

    /// Against a definition that sorts instead of searching, and in whatever order the rules were given.
    #[test]
    fn the_first_of_the_sorted_rules_decides(
        rules in prop::collection::vec(any_rule(), 0..8), low in 0..64_u32, port in prop_oneof![Just(None), Just(Some(80)), Just(Some(22))]
    ) {
        let address = Ipv4Addr::from(0xC000_0200 | low);
        let policy = |rules: &[(bool, Rule)]| rules.iter().fold(NetworkPolicy::new(), |policy, (allow, rule)| {
            if *allow { policy.allow(*rule) } else { policy.deny(*rule) }
        });
        let decision = policy(&rules).decide(address, port);
        let sorted: BTreeSet<_> = rules.iter()
            .filter(|(_, rule)| u32::from(address) >> (32 - u32::from(rule.prefix())) == u32::from(rule.address()) >> (32 - u32::from(rule.prefix())))
            .filter(|(_, rule)| rule.port.is_none_or(|own| Some(own) == port))
            .map(|(allow, rule)| (32 - rule.prefix(), rule.port.is_none(), *allow))
            .collect();
        let expected = sorted.first().map_or(!rules.iter().any(|(allow, _)| *allow), |(_, _, allow)| *allow);
        prop_assert_eq!(decision.is_allowed(), expected);
        let reversed: Vec<_> = rules.iter().rev().copied().collect();
        prop_assert_eq!(policy(&reversed).decide(address, port), decision);
    }
}
