//! Addresses that DNS named for allowed names.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How many there are at once; the one that ends first gives way.
const MAX: usize = 1024;
/// How long an address counts at least, whatever DNS says: gvproxy says 0, and connections last longer than an answer.
const FLOOR: Duration = Duration::from_mins(10);
/// How long it counts at most without being used.
const CEILING: Duration = Duration::from_hours(24);

/// Each address, and until when it counts.
#[derive(Debug)]
pub(super) struct Learned(HashMap<Ipv4Addr, Instant>);

impl Learned {
    pub(super) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(super) fn learn(&mut self, address: Ipv4Addr, ttl: u32, now: Instant) {
        let until = now + Duration::from_secs(u64::from(ttl)).clamp(FLOOR, CEILING);
        if self.0.len() >= MAX && !self.0.contains_key(&address) {
            self.0.retain(|_, until| *until > now);
            if self.0.len() >= MAX
                && let Some(first) = self.0.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address)
            {
                self.0.remove(&first);
            }
        }
        let known = self.0.entry(address).or_insert(until);
        *known = until.max(*known);
    }

    /// Whether an address counts. One that is used goes on counting.
    pub(super) fn holds(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        match self.0.get_mut(&address) {
            Some(until) if *until > now => {
                *until = (now + FLOOR).max(*until);
                true
            }
            _ => false,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
