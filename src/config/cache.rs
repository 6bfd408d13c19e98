//! `[cache]`: which list pages are kept, and for how long.

use std::time::Duration;

use super::{section::Section, setting::Size};

/// The page cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// `enabled`: default true.
    pub enabled: bool,
    /// `ttl`: how long a page is fresh, for methods whose rule turns the cache on and gives no time. Default 30 s.
    pub ttl: Duration,
    /// `stale`: how much longer it may be shown while a new one is fetched, likewise. Default 30 s.
    pub stale: Duration,
    /// `memory_size_max`: bytes of pages in this process. Default 64 MiB.
    pub memory_size_max: usize,
    /// `page_size_max`: bytes of one page; a larger one is not kept. Default 1 MiB.
    pub page_size_max: usize,
}

impl Cache {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let life = Duration::ZERO..=Duration::from_secs(24 * 3600);
        Self {
            enabled: s.value("enabled", true),
            ttl: s.bounded("ttl", Duration::from_secs(30), life.clone()),
            stale: s.bounded("stale", Duration::from_secs(30), life),
            memory_size_max: s
                .bounded("memory_size_max", Size::mib(64), Size::mib(1)..=Size::mib(64 * 1024))
                .0,
            page_size_max: s.bounded("page_size_max", Size::mib(1), Size::kib(1)..=Size::mib(64)).0,
        }
    }
}
