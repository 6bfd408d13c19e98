//! `[operations]`: what takes long, and how it is looked after.

use std::time::Duration;

use super::section::Section;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Operations.
#[derive(Clone, Debug, PartialEq)]
pub struct Operations {
    /// `poll`: whether this process looks after operations that nobody asks about. Default true.
    pub poll: bool,
    /// `poll_share`: the share of an upstream's `calls_per_minute` that this may take. Default 0.25.
    pub poll_share: f64,
    /// `max_age`: when an operation whose end nobody saw is given up. Default 30 days.
    pub max_age: Duration,
    /// `retention`: how long operations are kept after their end, and events. Default 90 days.
    pub retention: Duration,
}

impl Operations {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            poll: s.value("poll", true),
            poll_share: s.bounded("poll_share", 0.25, 0.01..=1.0),
            max_age: s.bounded("max_age", 30 * DAY, Duration::from_secs(60)..=365 * DAY),
            retention: s.bounded("retention", 90 * DAY, DAY..=36_500 * DAY),
        }
    }
}
