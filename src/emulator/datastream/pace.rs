//! How long things take here.

use std::time::Duration;

use jiff::Timestamp;

/// Durations of everything that moves by itself. The defaults let a person watch each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// An operation on a stream, connection profile or route.
    pub operation: Duration,
    /// An operation on a private connection, which is slow at Google too.
    pub private_connection: Duration,
    /// From asking for a cancellation to its effect.
    pub cancellation: Duration,
    /// A backfill waits this long for its turn.
    pub backfill_pending: Duration,
    /// A backfill then copies this long; one that fails gives up after half of it.
    pub backfill_active: Duration,
    /// From asking a backfill to stop to its end.
    pub backfill_stopping: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            operation: Duration::from_secs(5),
            private_connection: Duration::from_secs(20),
            cancellation: Duration::from_secs(1),
            backfill_pending: Duration::from_secs(3),
            backfill_active: Duration::from_secs(12),
            backfill_stopping: Duration::from_secs(1),
        }
    }
}

/// Returns the instant `by` after `at`, at most the last representable one.
pub(super) fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Returns the instant `by` before `at`, at least the first representable one.
pub(super) fn before(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// Renders an instant for the wire, in whole microseconds as the real service does.
pub(super) fn wire(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.subsec_nanosecond();
    prost_types::Timestamp { seconds: at.as_second(), nanos: nanos - nanos % 1000 }
}
