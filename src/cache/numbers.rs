//! What is counted.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::{How, Tier};

/// The series. Cheap to clone; made once.
#[derive(Clone)]
pub(super) struct Numbers {
    hits: [Counter; 2],
    stale: [Counter; 2],
    misses: Counter,
    collapsed: Counter,
    refreshed: Counter,
    bumps: Counter,
    bumps_failed: Counter,
    evictions: Counter,
    bytes: Gauge,
}

impl Numbers {
    pub(super) fn new() -> Self {
        describe_counter!(
            "causeway_cache_requests_total",
            "Requests for pages that may be kept, by outcome (hit, stale, miss, collapsed, refresh, bypass) and, where it \
             applies, the tier that had the page or the reason for going around the cache."
        );
        describe_counter!("causeway_cache_bumps_total", "Changes that made kept pages worthless, by result.");
        describe_counter!("causeway_cache_evictions_total", "Pages that left memory to make room.");
        describe_gauge!("causeway_cache_memory_bytes", "Bytes of pages in memory.");
        let tiers = |outcome: &'static str| {
            [("memory"), ("redis")]
                .map(|tier| counter!("causeway_cache_requests_total", "outcome" => outcome, "detail" => tier))
        };
        let outcome = |outcome: &'static str| counter!("causeway_cache_requests_total", "outcome" => outcome, "detail" => "");
        Self {
            hits: tiers("hit"),
            stale: tiers("stale"),
            misses: outcome("miss"),
            collapsed: outcome("collapsed"),
            refreshed: outcome("refresh"),
            bumps: counter!("causeway_cache_bumps_total", "result" => "done"),
            bumps_failed: counter!("causeway_cache_bumps_total", "result" => "put_off"),
            evictions: counter!("causeway_cache_evictions_total"),
            bytes: gauge!("causeway_cache_memory_bytes"),
        }
    }

    pub(super) fn served(&self, how: How) {
        let at = |tier| match tier {
            Tier::Memory => 0,
            Tier::Redis => 1,
        };
        match how {
            How::Hit(_, tier) => self.hits[at(tier)].increment(1),
            How::Stale(_, tier) => self.stale[at(tier)].increment(1),
            How::Fetched { wanted: true, .. } => self.refreshed.increment(1),
            How::Fetched { collapsed: true, .. } => self.collapsed.increment(1),
            How::Fetched { .. } => self.misses.increment(1),
            How::Bypassed(why) => {
                counter!("causeway_cache_requests_total", "outcome" => "bypass", "detail" => why)
                    .increment(1);
            }
        }
    }

    pub(super) fn bumped(&self) {
        self.bumps.increment(1);
    }

    pub(super) fn bump_failed(&self) {
        self.bumps_failed.increment(1);
    }

    pub(super) fn evicted(&self) {
        self.evictions.increment(1);
    }

    /// Notes that a part of memory holds `now` bytes instead of `before`.
    pub(super) fn holds(&self, before: usize, now: usize) {
        self.bytes.increment(now as f64 - before as f64);
    }
}
