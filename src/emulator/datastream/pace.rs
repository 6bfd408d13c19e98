//! How long things take here.

use std::time::Duration;

pub(super) use crate::emulator::time::{after, before, wire};

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
