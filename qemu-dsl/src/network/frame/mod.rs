//! Which frames pass between a guest and gvproxy.
//!
//! gvproxy serves its control API, which deletes and replaces the host's files, to the *guest*, at port 80 of the gateway. So a guest
//! gets to the gateway with what it needs of it, and to where the policy lets it; everything else is dropped. What could be read in
//! two ways is dropped too: gvproxy's network stack must never see another packet than was judged here.

mod connections;
mod counts;
mod dns;
mod learned;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::time::Instant;

use etherparse::{
    ArpHardwareId, ArpOperation, ArpPacketSlice, EtherType, Ethernet2Slice, IpNumber, Ipv4Slice, TcpSlice, UdpSlice,
    ether_type, ip_number,
};

pub use counts::{Counts, Dropped, Passed};

use crate::policy::{DnsAccess, ExposedPort, NetworkMode, NetworkPolicy, Reason};
use connections::Connections;
use dns::Question;
use learned::Learned;

/// gvproxy's network. (gvisor-tap-vsock, `cmd/gvproxy/main.go`)
const NETWORK: [u8; 3] = [192, 168, 127];
/// Where gvproxy's services are, and its control API.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 1);
const GATEWAY_MAC: [u8; 6] = [0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xdd];
/// Where gvproxy puts the host's loopback.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 168, 127, 254);
/// The last bytes of the addresses that a guest can have.
const GUESTS: std::ops::RangeInclusive<u8> = 2..=253;
const BROADCAST_MAC: [u8; 6] = [0xff; 6];
/// Frames up to this size may be filled up behind their packet: Ethernet has no shorter ones.
const PADDED: usize = 60;
/// The header of Ethernet.
const ETHERNET: usize = 14;
const DNS: u16 = 53;
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const ECHO_REQUEST: [u8; 2] = [8, 0];
const ECHO_HEADER: usize = 8;
/// How many hardware addresses a guest can have.
const MAX_MACS: usize = 16;
/// More records than any answer of a resolver's has: it is not even read.
const MAX_RECORDS: u32 = 256;

/// Which frames pass: a state machine without input or output. [`Pump`](super::Pump) has the sockets.
///
/// ```
/// use std::time::Instant;
/// use qemu_dsl::network::{Dropped, Filter};
/// use qemu_dsl::policy::{NetworkMode, NetworkPolicy};
///
/// let mut filter = Filter::new(NetworkMode::Internet, &[], NetworkPolicy::new());
/// assert_eq!(filter.guest_sends(b"too short", Instant::now()), Err(Dropped::Malformed));
/// assert_eq!(filter.counts().dropped(Dropped::Malformed), 1);
/// ```
#[derive(Debug)]
pub struct Filter {
    internet: bool,
    /// The guest's ports that the gateway may connect to.
    ports: Vec<u16>,
    policy: NetworkPolicy,
    dns: DnsAccess,
    connections: Connections,
    learned: Learned,
    /// The guest's hardware addresses.
    macs: Vec<[u8; 6]>,
    counts: Counts,
}

/// An IPv4 packet that there is only one way to read.
struct Packet<'a> {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    content: Content<'a>,
}

enum Content<'a> {
    Tcp(TcpSlice<'a>),
    Udp(UdpSlice<'a>),
    Echo,
}

impl Content<'_> {
    /// The port that it goes to.
    fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(tcp) => Some(tcp.destination_port()),
            Self::Udp(udp) => Some(udp.destination_port()),
            Self::Echo => None,
        }
    }
}

fn is_guest(address: Ipv4Addr) -> bool {
    let [network @ .., last] = address.octets();
    network == NETWORK && GUESTS.contains(&last)
}

impl Filter {
    /// The filter of a guest, in one of the modes; the policy counts where the mode has the internet.
    pub fn new(mode: NetworkMode, exposed: &[ExposedPort], policy: NetworkPolicy) -> Self {
        let internet = mode.has_internet();
        let ports = if matches!(mode, NetworkMode::Ports | NetworkMode::PortsAndInternet) { exposed } else { &[] };
        Self {
            internet,
            ports: ports.iter().map(|port| port.internal).collect(),
            dns: if internet { policy.dns() } else { DnsAccess::None },
            policy,
            connections: Connections::new(),
            learned: Learned::new(),
            macs: Vec::with_capacity(MAX_MACS),
            counts: Counts::default(),
        }
    }

    /// What passed so far, and what did not.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn note(&mut self, dropped: Dropped) {
        self.counts.drop(dropped);
    }

    /// Whether a frame of the guest's passes to gvproxy.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn guest_sends(&mut self, frame: &[u8], now: Instant) -> Result<(), Dropped> {
        let judged = self.judge(frame, now);
        match judged {
            Ok(()) => self.counts.from_guest.add(frame),
            Err(dropped) => self.counts.drop(dropped),
        }
        judged
    }

    /// Whether a frame of gvproxy's passes to the guest: all do but answers of DNS that the guest cannot have asked for, and what is no
    /// frame.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn gateway_sends(&mut self, frame: &[u8], now: Instant) -> Result<(), Dropped> {
        let judged = self.watch(frame, now);
        match judged {
            Ok(()) => self.counts.to_guest.add(frame),
            Err(dropped) => self.counts.drop(dropped),
        }
        judged
    }

    /// Notes a frame of gvproxy's that no guest is there for.
    pub(super) fn unconnected(&mut self, frame: &[u8], now: Instant) -> Result<(), Dropped> {
        let dropped = self.watch(frame, now).err().unwrap_or(Dropped::Unconnected);
        self.counts.drop(dropped);
        Err(dropped)
    }

    fn judge(&mut self, frame: &[u8], now: Instant) -> Result<(), Dropped> {
        let ethernet = Ethernet2Slice::from_slice_without_fcs(frame).map_err(|_| Dropped::Malformed)?;
        let (source, destination) = (ethernet.source(), ethernet.destination());
        match ethernet.ether_type() {
            ether_type::ARP | ether_type::IPV4 => {}
            ether_type::IPV6 => return Err(Dropped::Ipv6),
            EtherType(_) => return Err(Dropped::EtherType),
        }
        if source[0] & 1 != 0 || source == GATEWAY_MAC {
            return Err(Dropped::Spoofed);
        }
        if !self.is_known(source) {
            return Err(Dropped::Spoofed);
        }
        // gvproxy takes these alone; others it would send back to the guest.
        if destination != GATEWAY_MAC && destination != BROADCAST_MAC {
            return Err(Dropped::Local);
        }
        if ethernet.ether_type() == ether_type::ARP {
            return arp(frame, source);
        }
        let packet = packet(frame)?;
        let is_dhcp = matches!(&packet.content, Content::Udp(udp)
            if udp.source_port() == DHCP_CLIENT && udp.destination_port() == DHCP_SERVER)
            && (packet.destination == Ipv4Addr::BROADCAST || packet.destination == GATEWAY);
        let may_be_nobody = is_dhcp && packet.source.is_unspecified();
        if !is_guest(packet.source) && !may_be_nobody {
            return Err(Dropped::Spoofed);
        }
        if is_dhcp {
            return Ok(());
        }
        if destination == BROADCAST_MAC {
            return Err(Dropped::Local);
        }
        self.route(&packet, now)
    }

    /// Whether a hardware address is one of the guest's: gvproxy keeps every one that it has seen, so there are only so many.
    fn is_known(&mut self, mac: [u8; 6]) -> bool {
        if !self.macs.contains(&mac) && self.macs.len() < MAX_MACS {
            self.macs.push(mac);
        }
        self.macs.contains(&mac)
    }

    /// Whether a packet of the guest's may go where it wants to.
    fn route(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), Dropped> {
        let to = packet.destination;
        if to == GATEWAY {
            return self.at_gateway(packet, now);
        }
        if to == HOST {
            return if self.internet && self.policy.host_loopback() { Ok(()) } else { Err(Dropped::HostLoopback) };
        }
        if to.octets()[..3] == NETWORK || to.is_multicast() || to.is_broadcast() {
            return Err(Dropped::Local);
        }
        if !self.internet {
            return Err(Dropped::NoInternet);
        }
        let decision = self.policy.decide(to, packet.content.port());
        if decision.is_allowed() || (decision.reason() == Reason::NotListed && self.learned.holds(to, now)) {
            Ok(())
        } else {
            Err(Dropped::Policy)
        }
    }

    fn at_gateway(&mut self, packet: &Packet<'_>, now: Instant) -> Result<(), Dropped> {
        match &packet.content {
            Content::Echo => Ok(()),
            Content::Udp(udp) if udp.destination_port() == DNS => match self.dns {
                DnsAccess::All => Ok(()),
                DnsAccess::Names => {
                    let asked = Question::of(udp.payload()).filter(Question::is_only).ok_or(Dropped::Name)?;
                    if self.policy.allows(asked.name()) { Ok(()) } else { Err(Dropped::Name) }
                }
                DnsAccess::None => Err(Dropped::Name),
            },
            Content::Tcp(tcp) if tcp.destination_port() == DNS => match self.dns {
                DnsAccess::All => Ok(()),
                DnsAccess::Names | DnsAccess::None => Err(Dropped::Name),
            },
            Content::Tcp(tcp) => {
                let ends = (packet.source, tcp.source_port(), tcp.destination_port());
                if self.connections.guest_sends(ends, tcp, now) { Ok(()) } else { Err(Dropped::Gateway) }
            }
            Content::Udp(_) => Err(Dropped::Gateway),
        }
    }

    /// Notes what a frame of gvproxy's says: connections to the guest, and what names stand for.
    fn watch(&mut self, frame: &[u8], now: Instant) -> Result<(), Dropped> {
        let ethernet = Ethernet2Slice::from_slice_without_fcs(frame).map_err(|_| Dropped::Malformed)?;
        if ethernet.ether_type() != ether_type::IPV4 {
            return Ok(());
        }
        let packet = match packet(frame) {
            Ok(packet) => packet,
            // A part of an answer: nobody can tell whose.
            Err(Dropped::Fragment) if self.dns == DnsAccess::Names && is_of_gateway(frame) => {
                return Err(Dropped::Fragment);
            }
            // Nothing that opens a connection or names an address.
            Err(_) => return Ok(()),
        };
        if packet.source != GATEWAY {
            return Ok(());
        }
        match &packet.content {
            Content::Tcp(tcp) if is_guest(packet.destination) => {
                let ends = (packet.destination, tcp.destination_port(), tcp.source_port());
                let opens = self.ports.contains(&tcp.destination_port());
                self.connections.gateway_sends(ends, tcp, opens, now);
                Ok(())
            }
            Content::Udp(udp) if udp.source_port() == DNS && self.dns == DnsAccess::Names => {
                self.learn(udp.payload(), now)
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, answer: &[u8], now: Instant) -> Result<(), Dropped> {
        let asked = Question::of(answer).ok_or(Dropped::Name)?;
        if !self.policy.allows(asked.name()) {
            return Err(Dropped::Name);
        }
        if !asked.names_addresses() {
            return Ok(());
        }
        if asked.records() > MAX_RECORDS {
            return Err(Dropped::Malformed);
        }
        let named = dns::addresses(answer).ok_or(Dropped::Malformed)?;
        // Who answers with one of the host's neighbours is not believed in the rest either.
        let denied = |address: Ipv4Addr| {
            let decision = self.policy.decide(address, None);
            !decision.is_allowed() && decision.reason() != Reason::NotListed
        };
        if !named.iter().any(|(address, _)| denied(*address)) {
            for (address, seconds) in named {
                self.learned.learn(address, seconds, now);
            }
        }
        Ok(())
    }
}

/// Whether an IPv4 packet, whole or not, comes from the gateway.
fn is_of_gateway(frame: &[u8]) -> bool {
    frame.get(ETHERNET + 12..ETHERNET + 16) == Some(&GATEWAY.octets())
}

/// ARP of the guest's, about itself.
fn arp(frame: &[u8], source: [u8; 6]) -> Result<(), Dropped> {
    let rest = frame.get(ETHERNET..).unwrap_or_default();
    let arp = ArpPacketSlice::from_slice(rest).map_err(|_| Dropped::Malformed)?;
    let sizes = (arp.hw_addr_size(), arp.proto_addr_size());
    let types = (arp.hw_addr_type(), arp.proto_addr_type());
    if sizes != (6, 4)
        || types != (ArpHardwareId::ETHERNET, ether_type::IPV4)
        || !matches!(arp.operation(), ArpOperation::REQUEST | ArpOperation::REPLY)
        || !fits(frame, ETHERNET + arp.slice().len())
    {
        return Err(Dropped::Malformed);
    }
    let sender: [u8; 4] = arp.sender_protocol_addr().try_into().map_err(|_| Dropped::Malformed)?;
    let sender = Ipv4Addr::from(sender);
    // Who has no address yet asks whether anybody has it. (RFC 5227)
    let probes = sender.is_unspecified() && arp.operation() == ArpOperation::REQUEST;
    if arp.sender_hw_addr() != source || !(is_guest(sender) || probes) {
        return Err(Dropped::Spoofed);
    }
    Ok(())
}

/// Whether a packet ends where its frame does, or where Ethernet's filling begins.
fn fits(frame: &[u8], end: usize) -> bool {
    end == frame.len() || (end < frame.len() && frame.len() <= PADDED)
}

/// The packet in a frame of IPv4.
fn packet(frame: &[u8]) -> Result<Packet<'_>, Dropped> {
    let rest = frame.get(ETHERNET..).unwrap_or_default();
    let ip = Ipv4Slice::from_slice(rest).map_err(|_| Dropped::Malformed)?;
    let header = ip.header();
    // The reserved bit of the flags is nobody's; what is done with it differs.
    if header.slice()[6] & 0x80 != 0 || !fits(frame, ETHERNET + usize::from(header.total_len())) {
        return Err(Dropped::Malformed);
    }
    if header.more_fragments() || header.fragments_offset().value() != 0 {
        return Err(Dropped::Fragment);
    }
    if header.ihl() != 5 {
        return Err(Dropped::Options);
    }
    let payload = ip.payload().payload;
    let content = match header.protocol() {
        ip_number::TCP => Content::Tcp(TcpSlice::from_slice(payload).map_err(|_| Dropped::Malformed)?),
        ip_number::UDP => {
            let udp = UdpSlice::from_slice(payload).map_err(|_| Dropped::Malformed)?;
            if usize::from(udp.length()) != payload.len() {
                return Err(Dropped::Malformed);
            }
            Content::Udp(udp)
        }
        ip_number::ICMP if payload.len() < ECHO_HEADER => return Err(Dropped::Malformed),
        ip_number::ICMP if payload.starts_with(&ECHO_REQUEST) => Content::Echo,
        IpNumber(_) => return Err(Dropped::Protocol),
    };
    Ok(Packet { source: header.source_addr(), destination: header.destination_addr(), content })
}
