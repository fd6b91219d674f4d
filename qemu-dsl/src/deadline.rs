//! Points in time until which something may take.

use std::time::{Duration, Instant};

/// The time that is left; nothing when the deadline has passed.
pub(crate) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
