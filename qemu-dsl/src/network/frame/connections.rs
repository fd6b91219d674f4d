//! TCP connections that the gateway opened to exposed ports of the guest.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use etherparse::TcpSlice;

/// How many there are at once; the one that is idle for longest gives way to another.
const MAX: usize = 256;
/// How long a connection is known on which nothing moves. gvproxy sends keep-alives much more often.
const IDLE: Duration = Duration::from_hours(2);
/// How long a connection is known that both sides have closed: as long as segments may be late.
const CLOSED: Duration = Duration::from_mins(1);
/// Ports of services. The gateway opens connections from higher ones only; its services listen at these.
const SERVICES: std::ops::RangeInclusive<u16> = 0..=1023;

/// Which connection: the guest's address and port, and the gateway's port.
pub(super) type Ends = (Ipv4Addr, u16, u16);

#[derive(Debug)]
struct Connection {
    seen: Instant,
    /// Whether the gateway, and whether the guest, has closed its side.
    closed: [bool; 2],
}

impl Connection {
    fn is_over(&self, now: Instant) -> bool {
        let limit = if self.closed == [true, true] { CLOSED } else { IDLE };
        now.saturating_duration_since(self.seen) > limit
    }
}

#[derive(Debug)]
pub(super) struct Connections(HashMap<Ends, Connection>);

impl Connections {
    pub(super) fn new() -> Self {
        Self(HashMap::with_capacity(MAX))
    }

    /// Notes a segment of the gateway's, which may open a connection.
    pub(super) fn gateway_sends(&mut self, ends: Ends, tcp: &TcpSlice<'_>, opens: bool, now: Instant) {
        if opens && tcp.syn() && !tcp.ack() && !tcp.rst() && !SERVICES.contains(&ends.2) {
            self.open(ends, now);
        } else {
            self.note(ends, 0, tcp, now);
        }
    }

    /// Whether a segment of the guest's belongs to a connection. The guest opens none.
    pub(super) fn guest_sends(&mut self, ends: Ends, tcp: &TcpSlice<'_>, now: Instant) -> bool {
        (!tcp.syn() || tcp.ack()) && self.note(ends, 1, tcp, now)
    }

    fn note(&mut self, ends: Ends, side: usize, tcp: &TcpSlice<'_>, now: Instant) -> bool {
        let Some(connection) = self.0.get_mut(&ends).filter(|connection| !connection.is_over(now)) else {
            return false;
        };
        connection.seen = now;
        connection.closed[side] |= tcp.fin();
        if tcp.rst() {
            // Whoever sent it, what is late may still arrive; nothing else comes.
            connection.closed = [true, true];
        }
        true
    }

    fn open(&mut self, ends: Ends, now: Instant) {
        if self.0.len() >= MAX && !self.0.contains_key(&ends) {
            self.0.retain(|_, connection| !connection.is_over(now));
            if self.0.len() >= MAX
                && let Some(oldest) = self.0.iter().min_by_key(|(_, one)| one.seen).map(|(ends, _)| *ends)
            {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(ends, Connection { seen: now, closed: [false, false] });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
