//! Deliveries: what is queued, who works on it, and what came of it.
//!
//! A delivery is leased to one deliverer at a time: `due_at` is when it is due, and while leased when the lease ends, so
//! that one whose deliverer died becomes due again by itself. Every lease has a higher fence than the one before, and a
//! result is written only under the fence that it was made under.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Store, both};
use crate::{
    error::Result,
    model::{Attempt, Delivery, DeliveryState, Replay, WebhookEvent},
};

/// A delivery to make of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Id of the endpoint.
    pub endpoint: String,
    /// Id of the event.
    pub event: String,
    /// Type of the event.
    pub kind: String,
    /// Whether whoever makes it delivers it at once, with fence 1.
    pub leased: bool,
}

/// How many deliveries of an endpoint to lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Id of the endpoint.
    pub endpoint: String,
    /// How many at most.
    pub slots: u32,
    /// Deliveries that may begin in a second, over all replicas.
    pub rate: Option<u32>,
    /// Deliveries that may be under way at once, over all replicas.
    pub concurrency: Option<u32>,
}

/// A delivery that is ours until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// Id of the endpoint.
    pub endpoint: String,
    /// The event.
    pub event: WebhookEvent,
    /// Token of the lease.
    pub fence: i64,
    /// How far on the ladder it is.
    pub step: u32,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Id of the endpoint.
    pub endpoint: String,
    /// Id of the event.
    pub event: String,
    /// Token of the lease that the attempt was made under.
    pub fence: i64,
    /// Where the delivery stands now.
    pub state: DeliveryState,
    /// When the next attempt is due, where there is one.
    pub due_at: Timestamp,
    /// How far on the ladder it is now.
    pub step: u32,
    /// The attempt.
    pub attempt: Attempt,
}

/// What is known of an endpoint once verdicts are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Its id.
    pub endpoint: String,
    /// Since when it has been failing, before a success among the verdicts is counted.
    pub failing_since: Option<Timestamp>,
    /// Since when it had been failing when it was disabled, if this success is the first after that.
    pub down_since: Option<Timestamp>,
    /// Whether one of the verdicts is a success.
    pub succeeded: bool,
}

/// What came of writing verdicts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Verdicts that were written; the others came too late.
    pub written: usize,
    /// What is worth knowing of the endpoints.
    pub health: Vec<EndpointHealth>,
}

/// What to list.
#[derive(Clone, Debug)]
pub struct DeliveryQuery {
    /// Id of the endpoint.
    pub endpoint: String,
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Id of the event before which to go on; empty for the newest.
    pub before: String,
    /// How many at most.
    pub limit: i64,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that are pending.
    pub depth: u64,
    /// Since when the oldest one that may be tried has been due.
    pub oldest_due_at: Option<Timestamp>,
}

/// A streak of failures is forgotten when nobody tried for this long. Longer than the longest wait between two attempts.
const STREAK_GAP: SignedDuration = SignedDuration::from_hours(36);

/// How a rate is kept: deliveries begin at even distances, a few of them in one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    distance_us: i64,
    ahead: i64,
}

impl Pace {
    pub(super) fn new(rate: u32) -> Self {
        let rate = i64::from(rate.max(1));
        Self { distance_us: 1_000_000 / rate, ahead: (rate / 10).max(1) }
    }

    /// How many may begin now, where the next one is due at `due_at`.
    pub(super) fn allowed(self, due_at: i64, now: i64) -> i64 {
        let horizon = now + self.distance_us * (self.ahead - 1);
        if due_at > horizon { 0 } else { ((horizon - due_at) / self.distance_us + 1).min(self.ahead) }
    }

    /// When the next one is due after `begun` more.
    pub(super) fn after(self, due_at: i64, now: i64, begun: i64) -> i64 {
        due_at.max(now) + self.distance_us * begun
    }
}

impl Store {
    /// Makes deliveries of events that nobody made any of yet, and returns those of them, by place, that were made here.
    /// Those marked as leased are the caller's until `lease_until`, with fence 1.
    ///
    /// # Errors
    /// The database is away.
    pub async fn dispatch(
        &self,
        events: &[String],
        deliveries: &[NewDelivery],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<usize>> {
        let (now, lease_until) = (now.as_microsecond(), lease_until.as_microsecond());
        let made = both!(self, deliveries::dispatch(events, deliveries, now, lease_until))?;
        let mut made: Vec<(String, String)> = made;
        made.sort_unstable();
        let is_made = |new: &NewDelivery| {
            made.binary_search_by(|(endpoint, event)| (endpoint, event).cmp(&(&new.endpoint, &new.event)))
                .is_ok()
        };
        Ok(deliveries.iter().enumerate().filter(|(_, new)| is_made(new)).map(|(at, _)| at).collect())
    }

    /// Lists endpoints with deliveries that are due, by id from behind `after` on.
    ///
    /// # Errors
    /// The database is away.
    pub async fn ready_webhook_endpoints(
        &self,
        now: Timestamp,
        after: &str,
        limit: i64,
    ) -> Result<Vec<String>> {
        both!(self, delivery_records::ready(now.as_microsecond(), after, limit))
    }

    /// Leases due deliveries of enabled endpoints that are not paused, until `lease_until`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn claim_deliveries(
        &self,
        wanted: &[Wanted],
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<Leased>> {
        both!(self, deliveries::claim(wanted, now.as_microsecond(), lease_until.as_microsecond()))
    }

    /// Writes what came of attempts, in one commit. What was made under an older lease is dropped.
    ///
    /// # Errors
    /// The database is away.
    pub async fn settle_deliveries(&self, verdicts: &[Verdict], now: Timestamp) -> Result<Settled> {
        let forgotten = (now - STREAK_GAP).as_microsecond();
        both!(self, deliveries::settle(verdicts, now.as_microsecond(), forgotten))
    }

    /// Finds a delivery.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delivery(&self, endpoint: &str, event: &str) -> Result<Option<Delivery>> {
        both!(self, delivery_records::get(endpoint, event))
    }

    /// Lists deliveries, the newest event first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>> {
        both!(self, delivery_records::list(query))
    }

    /// Lists attempts of a delivery, the newest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn attempts(&self, endpoint: &str, event: &str, limit: i64) -> Result<Vec<Attempt>> {
        both!(self, delivery_records::attempts(endpoint, event, limit))
    }

    /// Makes a delivery due now and starts its ladder anew; one that is under way stays as it is.
    ///
    /// # Errors
    /// The database is away.
    pub async fn resend_delivery(&self, endpoint: &str, event: &str, kind: &str) -> Result<()> {
        both!(self, delivery_records::resend(endpoint, (event, kind), self.now().as_microsecond()))
    }

    /// Writes an event that is for one endpoint only, and its delivery.
    ///
    /// # Errors
    /// The database is away.
    pub async fn send_event_to(&self, endpoint: &str, event: &WebhookEvent) -> Result<()> {
        both!(self, delivery_records::send_to(endpoint, event, self.now().as_microsecond()))
    }

    /// Counts what waits, up to `max`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delivery_backlog(&self, max: i64) -> Result<Backlog> {
        both!(self, delivery_records::backlog(self.now().as_microsecond(), max))
    }

    /// Adds a replay; `false` if its endpoint has `max` that are not done. Those that are done go with the events they sent.
    ///
    /// # Errors
    /// The database is away.
    pub async fn insert_replay(&self, replay: &Replay, max: i64) -> Result<bool> {
        both!(self, delivery_records::insert_replay(replay, max))
    }

    /// Finds a replay.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replay(&self, endpoint: &str, id: &str) -> Result<Option<Replay>> {
        both!(self, delivery_records::get_replay(endpoint, id))
    }

    /// Takes a replay that nobody works on, for the time of a lease.
    ///
    /// # Errors
    /// The database is away.
    pub async fn claim_replay(&self, lease: Duration) -> Result<Option<Replay>> {
        let now = self.now();
        let until = now.saturating_add(lease).unwrap_or(now);
        both!(self, delivery_records::claim_replay(now.as_microsecond(), until.as_microsecond()))
    }

    /// Queues deliveries of a replay (id and type of each event) and writes how far it is; `false` if it is somebody
    /// else's by now.
    ///
    /// # Errors
    /// The database is away.
    pub async fn advance_replay(&self, replay: &Replay, events: &[(String, String)]) -> Result<bool> {
        both!(self, delivery_records::advance_replay(replay, events, self.now().as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_even_and_catches_up_by_a_few_only() {
        let pace = Pace::new(5);
        assert_eq!(pace.allowed(0, 10_000_000), 1, "an idle time is not saved up");
        let next = pace.after(0, 10_000_000, 1);
        assert_eq!(next, 10_200_000);
        assert_eq!(pace.allowed(next, 10_199_999), 0);
        assert_eq!(pace.allowed(next, 10_200_000), 1);
        let fast = Pace::new(100);
        assert_eq!(fast.allowed(0, 10_000_000), 10);
        let next = fast.after(0, 10_000_000, 10);
        assert_eq!((next, fast.allowed(next, 10_000_000)), (10_100_000, 0));
        assert_eq!(fast.allowed(next, 10_050_000), 5);
    }
}
