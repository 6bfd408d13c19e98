//! Counts a request from its head to the last byte of its answer.

use std::sync::Arc;

use metrics::Gauge;

use super::watch::Activity;

/// The place of one request among those in flight; given back when dropped, whichever way the request ends.
pub(super) struct InFlight {
    gauge: Gauge,
    activity: Arc<Activity>,
}

impl InFlight {
    pub(super) fn new(gauge: Gauge, activity: Arc<Activity>) -> Self {
        activity.begin();
        gauge.increment(1);
        Self { gauge, activity }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.decrement(1);
        self.activity.end();
    }
}
