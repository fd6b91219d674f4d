//! What a guest may reach: data, and how it is decided. Nothing here touches the host.
//!
//! ```
//! use std::net::Ipv4Addr;
//! use qemu_dsl::policy::NetworkPolicy;
//!
//! // Without rules: everything but what nobody means by "the internet".
//! let policy = NetworkPolicy::new();
//! assert!(policy.decide(Ipv4Addr::new(93, 184, 215, 14), Some(443)).is_allowed());
//! let metadata = policy.decide(Ipv4Addr::new(169, 254, 169, 254), Some(80));
//! assert!(metadata.to_string().starts_with("denied: 169.254.0.0/16 is link-local"));
//!
//! // Anything that is allowed by rule or by name makes a list: nothing else is reached.
//! let policy = policy.allow("10.1.0.0/16:5432".parse()?).allow_name("*.example.org".parse()?);
//! assert!(policy.decide(Ipv4Addr::new(10, 1, 2, 3), Some(5432)).is_allowed());
//! assert!(!policy.decide(Ipv4Addr::new(93, 184, 215, 14), Some(443)).is_allowed());
//! assert!(policy.allows_name("www.example.org"));
//! # Ok::<(), qemu_dsl::policy::PolicyError>(())
//! ```
//!
//! # How it is decided
//!
//! Of the rules that hold an address (and port), the one with the longest prefix decides; with equal prefixes, one with a port
//! before one without, and then `deny` before `allow`. The ranges that are denied by default ([`SPECIAL_RANGES`]) take part with
//! their prefixes, and lose against a rule with the same one: `allow 10.0.0.0/8` opens it, `allow 0.0.0.0/0` does not.
//!
//! The addresses of an allowed name are those that DNS named. They are reached unless a rule denies them, or a range that is denied by
//! default holds them: who answers for a name could otherwise point it at the host's neighbours.
//!
//! A public address of the host itself counts as any other one: what listens there is reached by guests without passing the host's
//! firewall. Where that matters, deny it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

mod name;
mod ports;

pub use name::HostName;
#[cfg(feature = "host")]
pub(crate) use name::{MAX_NAME, is_plain};
pub use ports::{ExposedPort, NetworkMode};

/// Addresses of a network, and a port or all: `CIDR[:PORT]`. IPv4 only. An address alone is that address.
///
/// ```
/// use qemu_dsl::policy::Rule;
/// let rule: Rule = "192.0.2.0/24:443".parse()?;
/// assert_eq!((rule.to_string().as_str(), rule.port()), ("192.0.2.0/24:443", Some(443)));
/// assert!("192.0.2.1/24".parse::<Rule>().is_err(), "it has bits behind its prefix");
/// # Ok::<(), qemu_dsl::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    net: Ipv4Net,
    port: Option<u16>,
}

impl Rule {
    /// The network's address: its lowest one.
    pub const fn address(&self) -> Ipv4Addr {
        self.net.addr()
    }

    /// How many bits its addresses have in common: 0 to 32.
    pub const fn prefix(&self) -> u8 {
        self.net.prefix_len()
    }

    /// The port of TCP or UDP, where it is about one.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is about an address, and a port of it. Without a port (ICMP) rules with one are not about it.
    pub fn holds(&self, address: Ipv4Addr, port: Option<u16>) -> bool {
        (self.port.is_none() || self.port == port) && is_in(self.net, address)
    }
}

/// Whether a network has an address: asked for each frame of a guest.
fn is_in(net: Ipv4Net, address: Ipv4Addr) -> bool {
    let different = u32::from(net.addr()) ^ u32::from(address);
    // Of no bits all would be too many to shift out.
    different.checked_shr(32 - u32::from(net.prefix_len())).unwrap_or(0) == 0
}

impl FromStr for Rule {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let bad = |reason: String| PolicyError::Rule { text: text.to_owned(), reason };
        if text.contains(['[', ']']) || text.bytes().filter(|byte| *byte == b':').count() > 1 {
            return Err(bad(
                "it is IPv6, which gvproxy's network does not have: the guest reaches no IPv6 at all".to_owned()
            ));
        }
        let (cidr, port) = match text.split_once(':') {
            None => (text, None),
            Some((cidr, port)) => {
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port: &u16| digits && *port > 0);
                (cidr, Some(port.ok_or_else(|| bad("a port is a number from 1 to 65535".to_owned()))?))
            }
        };
        let net = if cidr.contains('/') {
            cidr.parse::<Ipv4Net>().ok()
        } else {
            cidr.parse::<Ipv4Addr>().ok().map(Ipv4Net::from)
        };
        let net = net.ok_or_else(|| bad("write CIDR[:PORT], such as 192.0.2.0/24 or 192.0.2.7:443".to_owned()))?;
        if net.trunc() != net {
            return Err(bad(format!("it has bits behind its prefix: write {} or {}/32", net.trunc(), net.addr())));
        }
        Ok(Self { net, port })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.net)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A range of addresses that is denied by default, and why. [`SPECIAL_RANGES`] are all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialRange {
    net: Ipv4Net,
    what: &'static str,
    opens: bool,
}

impl SpecialRange {
    const fn new(octets: [u8; 4], prefix: u8, what: &'static str, opens: bool) -> Self {
        let [a, b, c, d] = octets;
        Self { net: Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix), what, opens }
    }

    /// What its addresses are.
    pub const fn what(&self) -> &'static str {
        self.what
    }

    /// Whether a rule can open it. Where none can, its addresses are the host's own or those of nobody.
    pub const fn can_be_allowed(&self) -> bool {
        self.opens
    }
}

impl fmt::Display for SpecialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.net.fmt(f)
    }
}

/// What is denied by default: addresses that are not the internet's. (RFC 6890; networks for documentation are not among them,
/// for they lead nowhere)
pub const SPECIAL_RANGES: [SpecialRange; 11] = [
    SpecialRange::new([0, 0, 0, 0], 8, "\"this network\", by which Linux reaches the host itself", false),
    SpecialRange::new([10, 0, 0, 0], 8, "private", true),
    SpecialRange::new([100, 64, 0, 0], 10, "shared among a provider's customers", true),
    SpecialRange::new([127, 0, 0, 0], 8, "the host's loopback", false),
    SpecialRange::new([169, 254, 0, 0], 16, "link-local, where clouds keep their metadata", true),
    SpecialRange::new([172, 16, 0, 0], 12, "private", true),
    SpecialRange::new([192, 0, 0, 0], 24, "for protocols", true),
    SpecialRange::new([192, 168, 0, 0], 16, "private", true),
    SpecialRange::new([198, 18, 0, 0], 15, "for benchmarks", true),
    SpecialRange::new([224, 0, 0, 0], 4, "multicast", false),
    SpecialRange::new([240, 0, 0, 0], 4, "reserved, or broadcast", false),
];

/// What a guest may reach. [The module](self) has an example, and says how it is decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkPolicy {
    /// With whether each allows.
    rules: Vec<(bool, Rule)>,
    names: Vec<HostName>,
    host_loopback: bool,
}

/// What a guest may ask DNS for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsAccess {
    /// Anything.
    All,
    /// The allowed names.
    Names,
    /// Nothing: a question leaves the machine, and is a way out to where no rule leads.
    None,
}

impl NetworkPolicy {
    /// Everything is reached but [`SPECIAL_RANGES`] and the host's loopback.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows addresses; what no rule or name allows is no longer reached.
    #[must_use]
    pub fn allow(mut self, rule: Rule) -> Self {
        self.rules.push((true, rule));
        self
    }

    /// Denies addresses.
    #[must_use]
    pub fn deny(mut self, rule: Rule) -> Self {
        self.rules.push((false, rule));
        self
    }

    /// Allows a name: DNS answers for it, and the addresses that they name. What no rule or name allows is no longer reached.
    #[must_use]
    pub fn allow_name(mut self, name: HostName) -> Self {
        self.names.push(name);
        self
    }

    /// Whether the guest reaches the host's loopback, at gvproxy's address for it: 192.168.127.254. What listens there often asks
    /// nobody who they are. Not by default.
    #[must_use]
    pub fn allow_host_loopback(mut self, allow: bool) -> Self {
        self.host_loopback = allow;
        self
    }

    /// The rules, each with whether it allows.
    pub fn rules(&self) -> &[(bool, Rule)] {
        &self.rules
    }

    /// The allowed names.
    pub fn names(&self) -> &[HostName] {
        &self.names
    }

    /// Whether the guest reaches the host's loopback.
    pub const fn host_loopback(&self) -> bool {
        self.host_loopback
    }

    /// Whether nothing is reached but what is allowed.
    pub fn is_list(&self) -> bool {
        !self.names.is_empty() || self.rules.iter().any(|(allow, _)| *allow)
    }

    /// What the guest may ask DNS for.
    pub fn dns(&self) -> DnsAccess {
        match (self.names.is_empty(), self.is_list()) {
            (false, _) => DnsAccess::Names,
            (true, true) => DnsAccess::None,
            (true, false) => DnsAccess::All,
        }
    }

    /// Whether a name is allowed. Letters count as equal in both cases, and a dot at the end says nothing.
    pub fn allows_name(&self, name: &str) -> bool {
        self.allows(name.strip_suffix('.').unwrap_or(name).as_bytes())
    }

    /// The same for a name as DNS has it, without a dot at its end.
    pub(crate) fn allows(&self, name: &[u8]) -> bool {
        self.names.iter().any(|allowed| allowed.holds(name))
    }

    /// Whether an address is reached, at a port of TCP or UDP, or without one (ICMP), and why. An address that DNS named for an allowed
    /// name is reached as well where this is [`Reason::NotListed`].
    pub fn decide(&self, address: Ipv4Addr, port: Option<u16>) -> Decision {
        let range = SPECIAL_RANGES.iter().find(|range| is_in(range.net, address)).copied();
        if let Some(range) = range.filter(|range| !range.opens) {
            return Decision { allowed: false, reason: Reason::Range(range) };
        }
        let of = |(allow, rule): &&(bool, Rule)| (rule.prefix(), rule.port.is_some(), !*allow);
        let rule = self.rules.iter().filter(|(_, rule)| rule.holds(address, port)).max_by_key(of);
        match (rule, range) {
            (Some((_, rule)), Some(range)) if rule.prefix() < range.net.prefix_len() => {
                Decision { allowed: false, reason: Reason::Range(range) }
            }
            (Some((allowed, rule)), _) => Decision { allowed: *allowed, reason: Reason::Rule(*rule) },
            (None, Some(range)) => Decision { allowed: false, reason: Reason::Range(range) },
            (None, None) if self.is_list() => Decision { allowed: false, reason: Reason::NotListed },
            (None, None) => Decision { allowed: true, reason: Reason::Nothing },
        }
    }
}

/// Whether something is reached, and why. As text it is a sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    reason: Reason,
}

impl Decision {
    /// Whether it is reached.
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This rule.
    Rule(Rule),
    /// A range that is denied by default.
    Range(SpecialRange),
    /// There is a list of what is reached, and this is not on it.
    NotListed,
    /// Nothing is against it.
    Nothing,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason, self.allowed) {
            (Reason::Rule(rule), true) => write!(f, "allowed by the rule {rule}"),
            (Reason::Rule(rule), false) => write!(f, "denied by the rule {rule}"),
            (Reason::Range(range), _) => {
                write!(f, "denied: {range} is {}", range.what)?;
                if range.opens {
                    write!(f, "; an allow rule within {range} opens it")
                } else {
                    write!(f, "; no rule opens it")
                }
            }
            (Reason::NotListed, _) => {
                f.write_str("denied: no rule or name allows it, and only what is allowed is reached")
            }
            (Reason::Nothing, _) => f.write_str("allowed: nothing denies it"),
        }
    }
}

/// Why a text is no part of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not a [`Rule`].
    #[error("`{}` is no network rule: {reason}", text.escape_debug())]
    Rule {
        /// The text.
        text: String,
        /// Why not, or what to write.
        reason: String,
    },
    /// Not a [`HostName`].
    #[error("`{}` is no host name: {reason}", text.escape_debug())]
    Name {
        /// The text.
        text: String,
        /// Why not, or what to write.
        reason: &'static str,
    },
    /// Not an [`ExposedPort`].
    #[error("`{}` is no pair of ports: write INTERNAL:EXTERNAL, each 1 to 65535, such as 80:8080", text.escape_debug())]
    Port {
        /// The text.
        text: String,
    },
}

#[cfg(test)]
mod tests;
