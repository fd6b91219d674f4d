//! Points in time until which something may take.

use std::time::{Duration, Instant};

/// As good as no limit, and still a point in time on every system.
const FAR: Duration = Duration::from_secs(1 << 30);

/// The end of a caller's limit: [`Duration::MAX`] is no limit.
pub(crate) fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit.min(FAR)).unwrap_or(now)
}

/// The time that is left; nothing when the deadline has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// A caller's limit, for one call with several waits, and for the error that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    pub(crate) deadline: Instant,
    pub(crate) limit: Duration,
}

impl Until {
    pub(crate) fn after(limit: Duration) -> Self {
        Self { deadline: after(limit), limit }
    }

    pub(crate) fn at(deadline: Instant) -> Self {
        Self { deadline, limit: left(deadline) }
    }

    pub(crate) fn has_passed(self) -> bool {
        Instant::now() >= self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_far_away_and_no_panic() {
        for limit in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::from_secs(1 << 40)] {
            assert!(left(after(limit)) > Duration::from_secs(1 << 29), "{limit:?}");
        }
        assert!(left(after(Duration::from_secs(9))) <= Duration::from_secs(9));
        assert!(Until::after(Duration::ZERO).has_passed() && !Until::after(Duration::MAX).has_passed());
    }
}
