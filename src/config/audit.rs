//! `[audit]`: what is kept of requests, and for how long.

use std::time::Duration;

use super::section::Section;

/// A day.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// `retention`: how long entries are kept at least; Postgres forgets them by the month. Default 400 days.
    pub retention: Duration,
    /// `reads`: whether requests that change nothing are kept too. Default true.
    pub reads: bool,
    /// `reads_without_store`: whether such requests are answered while the database is away. Default true.
    pub reads_without_store: bool,
}

impl Audit {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            retention: s.bounded("retention", 400 * DAY, DAY..=DAY * 36_500),
            reads: s.value("reads", true),
            reads_without_store: s.value("reads_without_store", true),
        }
    }
}
