//! What passed, and what did not.

use std::fmt;

macro_rules! dropped {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $words:literal;)*) => {
        /// Why a frame does not pass. As text it is a sentence for people.
        ///
        /// ```
        /// use qemu_dsl::network::Dropped;
        /// assert_eq!((Dropped::Gateway.name(), Dropped::ALL.len()), ("gateway", 15));
        /// assert!(Dropped::Gateway.to_string().starts_with("to a service of gvproxy's"));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Dropped {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Dropped {
            /// All reasons, in the order in which [`Counts`] tell them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Its name in JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl fmt::Display for Dropped {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $words,)* })
            }
        }
    };
}

dropped! {
    /// Lengths that do not agree, or a packet that is cut off.
    Malformed = "malformed", "malformed: lengths do not agree, or something is missing";
    /// A frame longer than any packet. The connection is closed over it.
    Oversize = "oversize", "longer than any packet: the connection was closed";
    /// IPv6, which gvproxy's network does not have. Guests send some by themselves.
    Ipv6 = "ipv6", "IPv6, which this network does not have";
    /// Neither IPv4 nor ARP: a VLAN tag, an IEEE 802.3 length, another protocol.
    EtherType = "ether_type", "neither IPv4 nor ARP";
    /// A fragment of a packet: its ports cannot be seen.
    Fragment = "fragment", "a fragment, whose ports cannot be seen";
    /// IPv4 with options.
    Options = "options", "IPv4 with options";
    /// An address of a sender that is not the guest's.
    Spoofed = "spoofed", "from an address that is not the guest's";
    /// Not TCP, UDP or an ICMP echo request.
    Protocol = "protocol", "not TCP, UDP or an ICMP echo request";
    /// To the gateway, and not what a guest needs of it: its control API is there.
    Gateway = "gateway", "to a service of gvproxy's that is not the guest's";
    /// To the host's loopback, by gvproxy's address for it.
    HostLoopback = "host_loopback", "to the host's loopback, which is not allowed";
    /// To another address of gvproxy's network, a multicast or a broadcast address.
    Local = "local", "to an address of the local network where nobody is";
    /// To somewhere else, where only ports lead in.
    NoInternet = "no_internet", "to the outside, which this sandbox does not reach";
    /// To an address that the policy does not allow.
    Policy = "policy", "to an address that the network policy does not allow";
    /// DNS for a name that the policy does not allow.
    Name = "name", "DNS, for a name that the network policy does not allow";
    /// To the guest while none is connected.
    Unconnected = "unconnected", "to the guest, which was not connected";
}

/// Frames, and their bytes without the four of each frame's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Frames.
    pub frames: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Passed {
    pub(super) fn add(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
    }
}

/// What passed between a guest and gvproxy, and what did not.
///
/// ```
/// use qemu_dsl::network::{Counts, Dropped};
/// let counts = Counts::default();
/// assert_eq!((counts.from_guest.frames, counts.dropped(Dropped::Policy)), (0, 0));
/// assert_eq!(counts.to_json()["dropped"]["policy"], 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// What the guest sent, and gvproxy got.
    pub from_guest: Passed,
    /// What gvproxy sent, and the guest got.
    pub to_guest: Passed,
    pub(super) dropped: [u64; Dropped::ALL.len()],
}

impl Counts {
    /// How many frames were dropped for a reason.
    pub const fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// The reasons for which frames were dropped, and how many for each.
    pub fn all_dropped(&self) -> impl Iterator<Item = (Dropped, u64)> {
        Dropped::ALL.into_iter().zip(self.dropped).filter(|(_, count)| *count > 0)
    }

    /// How many frames were dropped.
    pub fn total_dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    pub(crate) fn drop(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }

    /// As JSON: `{"from_guest":{"frames":0,"bytes":0},"to_guest":{...},"dropped":{REASON:FRAMES,...}}`, with every reason by its
    /// [name](Dropped::name).
    pub fn to_json(&self) -> serde_json::Value {
        let passed = |passed: Passed| serde_json::json!({"frames": passed.frames, "bytes": passed.bytes});
        let dropped =
            Dropped::ALL.into_iter().zip(self.dropped).map(|(reason, count)| (reason.name().to_owned(), count.into()));
        serde_json::json!({
            "from_guest": passed(self.from_guest),
            "to_guest": passed(self.to_guest),
            "dropped": dropped.collect::<serde_json::Map<_, _>>(),
        })
    }
}
