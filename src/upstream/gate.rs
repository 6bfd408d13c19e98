//! The breaker at work: calls pass one at a time, and a call that is dropped still has an outcome.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::breaker::{Breaker, BreakerState, Outcome, Ticket};
use super::deadline::Deadline;

/// Guards one upstream.
#[derive(Debug)]
pub(super) struct Gate {
    upstream: Box<str>,
    breaker: Mutex<Breaker>,
}

/// Leave to make one call. Dropped without a verdict it counts as a failure if the configured deadline has passed, and
/// else as a caller who left.
#[must_use]
pub(super) struct Permit<'g> {
    gate: &'g Gate,
    ticket: Option<Ticket>,
    fails_at: Option<Instant>,
}

impl Gate {
    pub(super) fn new(upstream: &str, breaker: Breaker) -> Self {
        Self { upstream: upstream.into(), breaker: Mutex::new(breaker) }
    }

    /// Asks to make a call that ends with `deadline`. Refused with the time until the next probe.
    pub(super) fn admit(&self, deadline: &Deadline) -> Result<Permit<'_>, Duration> {
        let ticket = self.lock().admit(Instant::now())?;
        Ok(Permit { gate: self, ticket: Some(ticket), fails_at: deadline.configured_end() })
    }

    /// Returns how long calls are still refused.
    pub(super) fn refuses(&self) -> Option<Duration> {
        self.lock().refuses(Instant::now())
    }

    pub(super) fn state(&self) -> BreakerState {
        self.lock().state()
    }

    fn record(&self, ticket: Ticket, outcome: Outcome, now: Instant) {
        let entered = self.lock().record(ticket, outcome, now);
        match entered {
            Some(BreakerState::Open) => {
                tracing::warn!(upstream = &*self.upstream, "upstream keeps failing; calls are held back");
            }
            Some(BreakerState::Closed) => {
                tracing::info!(upstream = &*self.upstream, "upstream is back; calls go through");
            }
            Some(BreakerState::HalfOpen) | None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Says how the call went.
    pub(super) fn record(mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.record(ticket, outcome, Instant::now());
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let now = Instant::now();
            let failed = self.fails_at.is_some_and(|end| now >= end);
            self.gate.record(ticket, if failed { Outcome::Failed } else { Outcome::Abandoned }, now);
        }
    }
}
