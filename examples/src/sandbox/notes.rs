//! What is taken and does nothing.

use std::net::Ipv4Addr;

use qemu_dsl::policy::{NetworkPolicy, Reason, Rule};

/// gvproxy's own network, where its services and the guest are. (`gvproxy -help`)
const OWN: [u8; 3] = [192, 168, 127];
/// The host's 127.0.0.1, as the guest sees it.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 254);

/// The rules that allow nothing, each with the reason.
pub(crate) fn rules(policy: &NetworkPolicy) -> Vec<String> {
    let allowed = policy.rules().iter().filter(|(allows, _)| *allows).map(|(_, rule)| rule);
    allowed.filter_map(|rule| Some(format!("--net-allow {rule} allows nothing: {}", why_not(policy, *rule)?))).collect()
}

fn why_not(policy: &NetworkPolicy, rule: Rule) -> Option<String> {
    let (first, last) = (rule.address(), last(rule));
    if first.octets()[..3] == OWN && last.octets()[..3] == OWN {
        return Some(match first {
            HOST => "192.168.127.254 is the host's 127.0.0.1, and --allow-host-loopback opens that".to_owned(),
            _ => "192.168.127.0/24 is the network of the guest and gvproxy, which no rule is about".to_owned(),
        });
    }
    let [first, last] = [first, last].map(|address| policy.decide(address, rule.port()));
    // What denies both ends is in one piece, so it denies all that is between them, unless a longer rule allows that.
    let denies = !first.is_allowed() && !last.is_allowed() && first.reason() == last.reason();
    match first.reason() {
        Reason::Rule(_) | Reason::Range(_) if denies => Some(first.to_string()),
        _ => None,
    }
}

/// The highest address of a rule.
fn last(rule: Rule) -> Ipv4Addr {
    // Of 32 bits all would be too many to shift out.
    let hosts = u32::MAX.checked_shr(rule.prefix().into()).unwrap_or(0);
    Ipv4Addr::from_bits(rule.address().to_bits() | hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(allow: &[&str], deny: &[&str]) -> Vec<String> {
        let policy = allow.iter().fold(NetworkPolicy::new(), |policy, rule| policy.allow(rule.parse().unwrap()));
        rules(&deny.iter().fold(policy, |policy, rule| policy.deny(rule.parse().unwrap())))
    }

    #[test]
    fn rules_that_allow_nothing_are_told() {
        for (allow, deny, why) in [
            ("127.0.0.1", "", "127.0.0.0/8 is the host's loopback; no rule opens it"),
            ("127.0.0.0/8", "", "127.0.0.0/8 is the host's loopback"),
            ("239.0.0.1", "", "224.0.0.0/4 is multicast"),
            ("255.255.255.255:80", "", "240.0.0.0/4 is reserved"),
            ("192.168.127.1:80", "", "192.168.127.0/24 is the network of the guest"),
            ("192.168.127.254:80", "", "--allow-host-loopback"),
            ("10.0.0.0/8", "10.0.0.0/8", "denied by the rule 10.0.0.0/8"),
        ] {
            let deny: Vec<&str> = [deny].into_iter().filter(|rule| !rule.is_empty()).collect();
            let notes = notes(&[allow], &deny);
            assert!(matches!(&notes[..], [note] if note.contains(why)), "{allow}: {notes:?}");
        }
    }

    #[test]
    fn rules_that_allow_something_are_not() {
        for allow in
            ["0.0.0.0/0", "10.0.0.0/8", "96.0.0.0/3", "126.0.0.0/7", "192.168.0.0/16", "169.254.169.254", "1.1.1.1:53"]
        {
            assert_eq!(notes(&[allow], &["10.0.0.0/32", "10.255.255.255"]), Vec::<String>::new(), "{allow}");
        }
        assert_eq!(notes(&["10.0.0.0/8", "10.1.0.0/16:80"], &["10.0.0.0/8:443"]), Vec::<String>::new());
    }
}
