//! How long things take here.

use std::time::Duration;

/// Durations of everything that moves by itself. The defaults let a person watch each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Creating an instance or a partition.
    pub instance_creation: Duration,
    /// Changing an instance or a partition.
    pub instance_change: Duration,
    /// Moving an instance.
    pub move_instance: Duration,
    /// Creating or changing an instance configuration.
    pub config: Duration,
    /// Creating or changing a database.
    pub database: Duration,
    /// Carrying out one schema statement.
    pub statement: Duration,
    /// Making or copying a backup.
    pub backup: Duration,
    /// Restoring a database until it serves.
    pub restore: Duration,
    /// Optimizing a restored database.
    pub optimize: Duration,
    /// From asking for a cancellation to the end of the operation.
    pub cancellation: Duration,
    /// How long an operation that has ended is remembered.
    pub kept: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            instance_creation: Duration::from_secs(12),
            instance_change: Duration::from_secs(6),
            move_instance: Duration::from_secs(40),
            config: Duration::from_secs(10),
            database: Duration::from_secs(4),
            statement: Duration::from_secs(3),
            backup: Duration::from_secs(20),
            restore: Duration::from_secs(10),
            optimize: Duration::from_secs(20),
            cancellation: Duration::from_secs(2),
            // The real service lists what ended within the last seven days.
            kept: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}
