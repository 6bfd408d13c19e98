//! Arithmetic on instants that never leaves what can be represented, and their form on the wire.

use std::time::Duration;

use jiff::Timestamp;

/// Returns the instant `by` after `at`, at most the last representable one.
pub(super) fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Returns the instant `by` before `at`, at least the first representable one.
pub(super) fn before(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// Renders an instant for the wire, in whole microseconds as the real services do.
pub(super) fn wire(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.subsec_nanosecond();
    prost_types::Timestamp { seconds: at.as_second(), nanos: nanos - nanos % 1000 }
}

/// Reads an instant from the wire; `None` for one that no calendar has.
pub(super) fn read(at: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}
