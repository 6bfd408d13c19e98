//! `[limits]`: how much callers may ask for.

use std::time::Duration;

use super::section::Section;

/// Requests per second that a rate may allow.
const RATE_MAX: u32 = 1_000_000;

/// The limits on callers. Rates apply once callers are known, that is not with `identity.mode = "none"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `principal_rate`, `principal_burst`: of one principal. Default 10 000 requests per second, 20 000 at once.
    pub principal: Rate,
    /// `project_rate`, `project_burst`: on the resources of one project, whoever asks. Default as for a principal.
    pub project: Rate,
    /// `concurrency_max`: requests that are worked on at once, of which one principal has at most half; more are refused with
    /// 503. Default 4096.
    pub concurrency_max: usize,
    /// `lease`: how long a block of requests that a replica took from what Redis counts stays good. Default 1 s.
    pub lease: Duration,
}

/// How many requests per second, and how many at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second in the long run.
    pub per_second: u32,
    /// Requests at once after a pause.
    pub burst: u32,
}

impl Limits {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            principal: Rate {
                per_second: s.bounded("principal_rate", 10_000, 1..=RATE_MAX),
                burst: s.bounded("principal_burst", 20_000, 1..=RATE_MAX),
            },
            project: Rate {
                per_second: s.bounded("project_rate", 10_000, 1..=RATE_MAX),
                burst: s.bounded("project_burst", 20_000, 1..=RATE_MAX),
            },
            concurrency_max: s.bounded("concurrency_max", 4096, 1..=1_000_000),
            lease: s.bounded(
                "lease",
                Duration::from_secs(1),
                Duration::from_millis(10)..=Duration::from_secs(60),
            ),
        }
    }
}
