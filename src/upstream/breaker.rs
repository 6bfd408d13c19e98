//! When a failing upstream is left alone: the state machine of the breaker. Pure; `now` is passed in.
//!
//! *Closed* lets every call through and counts failures in a row. The last one allowed *opens* it: calls are refused for
//! a while that doubles each time. Once the while is over, one call goes through as a probe (*half-open*): if the
//! upstream is reached the breaker closes, if not it stays open for longer. A probe that neither fails nor comes back is
//! followed by another after the same while, so a breaker is never stuck.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// What a finished call says about the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered, with whatever status.
    Reached,
    /// It could not be reached, broke off, or let the configured deadline pass.
    Failed,
    /// Nothing can be said: the caller left, or had less patience than the configuration.
    Abandoned,
}

/// How a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Every call goes through.
    Closed,
    /// Calls are refused.
    Open,
    /// Calls are refused, and one is out to look.
    HalfOpen,
}

/// Leave to make one call. Handed back with its outcome.
#[derive(Debug)]
#[must_use]
pub(super) struct Ticket {
    /// Outcomes of calls that began before the last change of state say nothing about the present.
    era: u64,
}

/// One breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    backoff: Backoff,
    era: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, times: u32, probing: bool },
}

impl Breaker {
    /// Creates a closed breaker that opens after `failures_max` failures in a row; 0 never opens.
    pub(super) fn new(failures_max: u32, backoff: Backoff) -> Self {
        Self { failures_max, backoff, era: 0, state: State::Closed { failures: 0 } }
    }

    /// Asks to make a call. Refused with the time until the next probe.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Ticket, Duration> {
        if let State::Open { until, times, probing } = &mut self.state {
            if now < *until {
                return Err(*until - now);
            }
            self.era += 1;
            *probing = true;
            *until = now + self.backoff.step(*times);
        }
        Ok(Ticket { era: self.era })
    }

    /// Returns how long calls are still refused, without asking to make one.
    pub(super) fn refuses(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until - now),
            State::Open { .. } | State::Closed { .. } => None,
        }
    }

    /// Hands a ticket back. Returns the state that was entered, if it changed.
    #[expect(clippy::needless_pass_by_value, reason = "a ticket is good for one outcome")]
    pub(super) fn record(&mut self, ticket: Ticket, outcome: Outcome, now: Instant) -> Option<BreakerState> {
        if ticket.era != self.era {
            return None;
        }
        match (self.state, outcome) {
            (State::Closed { .. }, Outcome::Reached) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (State::Closed { failures }, Outcome::Failed) => self.fail(failures.saturating_add(1), now),
            (State::Closed { .. }, Outcome::Abandoned) => None,
            (State::Open { .. }, Outcome::Reached) => {
                self.era += 1;
                self.state = State::Closed { failures: 0 };
                Some(BreakerState::Closed)
            }
            (State::Open { times, .. }, Outcome::Failed) => {
                self.open(times.saturating_add(1), now);
                None
            }
            (State::Open { times, .. }, Outcome::Abandoned) => {
                self.state = State::Open { until: now, times, probing: false };
                None
            }
        }
    }

    /// Returns how it stands.
    pub(super) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { probing: false, .. } => BreakerState::Open,
            State::Open { probing: true, .. } => BreakerState::HalfOpen,
        }
    }

    fn fail(&mut self, failures: u32, now: Instant) -> Option<BreakerState> {
        if self.failures_max == 0 || failures < self.failures_max {
            self.state = State::Closed { failures };
            return None;
        }
        self.open(1, now);
        Some(BreakerState::Open)
    }

    fn open(&mut self, times: u32, now: Instant) {
        self.era += 1;
        self.state = State::Open { until: now + self.backoff.step(times), times, probing: false };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(500);
    const LAST: Duration = Duration::from_secs(10);

    fn breaker(failures_max: u32) -> Breaker {
        Breaker::new(failures_max, Backoff::new(FIRST, LAST))
    }

    fn call(breaker: &mut Breaker, outcome: Outcome, now: Instant) -> bool {
        match breaker.admit(now) {
            Ok(ticket) => {
                breaker.record(ticket, outcome, now);
                true
            }
            Err(_) => false,
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_and_only_then() {
        let (mut breaker, now) = (breaker(3), Instant::now());
        for outcome in [Outcome::Failed, Outcome::Failed, Outcome::Reached, Outcome::Failed, Outcome::Failed]
        {
            assert!(call(&mut breaker, outcome, now));
        }
        assert!(call(&mut breaker, Outcome::Abandoned, now), "a caller that left is no failure");
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(call(&mut breaker, Outcome::Failed, now));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(now).expect_err("open"), FIRST);
    }

    #[test]
    fn lets_one_probe_through_and_closes_when_it_arrives() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        assert!(call(&mut breaker, Outcome::Failed, now));
        let later = now + FIRST;
        let probe = breaker.admit(later).expect("the while is over");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        assert_eq!(breaker.record(probe, Outcome::Reached, later), Some(BreakerState::Closed));
        assert!(breaker.admit(later).is_ok());
    }

    #[test]
    fn stays_away_for_longer_each_time_a_probe_fails() {
        let (mut breaker, mut now) = (breaker(1), Instant::now());
        assert!(call(&mut breaker, Outcome::Failed, now));
        let mut waits = Vec::new();
        for _ in 0..6 {
            let wait = breaker.refuses(now).expect("open");
            waits.push(wait.as_millis());
            now += wait;
            assert!(call(&mut breaker, Outcome::Failed, now));
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 10_000]);
    }

    #[test]
    fn a_probe_whose_caller_left_makes_way_for_the_next() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        assert!(call(&mut breaker, Outcome::Failed, now));
        assert!(call(&mut breaker, Outcome::Abandoned, now + FIRST));
        assert!(breaker.admit(now + FIRST).is_ok());
    }

    #[test]
    fn late_news_from_before_it_opened_changes_nothing() {
        let (mut breaker, now) = (breaker(1), Instant::now());
        let (slow, failing) = (breaker.admit(now).expect("closed"), breaker.admit(now).expect("closed"));
        breaker.record(failing, Outcome::Failed, now);
        breaker.record(slow, Outcome::Reached, now);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn zero_turns_it_off() {
        let (mut breaker, now) = (breaker(0), Instant::now());
        for _ in 0..1000 {
            assert!(call(&mut breaker, Outcome::Failed, now));
        }
    }

    proptest! {
        /// Whatever happens: a refusal names a wait of at most the longest; waiting that long always gets a call
        /// through; and while open at most one call is out per while.
        #[test]
        fn is_never_stuck_and_never_lets_a_crowd_through(
            failures_max in 1_u32..5,
            steps in prop::collection::vec((0_u64..3000, 0_u8..4, 0_usize..4), 1..200),
        ) {
            let (mut breaker, mut now) = (breaker(failures_max), Instant::now());
            let mut out = Vec::new();
            for (passed, what, which) in steps {
                now += Duration::from_millis(passed);
                let was = breaker.state();
                if what == 3 || out.is_empty() {
                    match breaker.admit(now) {
                        Ok(ticket) => {
                            out.push(ticket);
                            if was != BreakerState::Closed {
                                prop_assert!(breaker.admit(now).is_err(), "one probe at a time");
                            }
                        }
                        Err(wait) => {
                            prop_assert!(was != BreakerState::Closed);
                            prop_assert!(wait > Duration::ZERO && wait <= LAST);
                        }
                    }
                    continue;
                }
                let outcome = [Outcome::Reached, Outcome::Failed, Outcome::Abandoned][usize::from(what)];
                let ticket = out.swap_remove(which % out.len());
                let current = ticket.era == breaker.era;
                breaker.record(ticket, outcome, now);
                if !current {
                    prop_assert_eq!(breaker.state(), was);
                } else if outcome == Outcome::Reached {
                    prop_assert_eq!(breaker.state(), BreakerState::Closed);
                }
            }
            prop_assert!(breaker.admit(now + LAST).is_ok());
        }
    }
}
