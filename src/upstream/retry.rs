//! Whether a failed call is tried again.
//!
//! Only where the caller of this module says that a second try is harmless, only on `UNAVAILABLE`, and only while the
//! budget lasts: retries are a share of the calls, so that an ailing upstream is not buried under them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::config::Retry as Settings;
use crate::error::{Code, Error};

/// The wait before the first retry is at most this.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The wait before any retry is at most this; an upstream that asks for more is not tried again.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Retries that an upstream with few calls still gets.
const RESERVE_PER_SECOND: f64 = 1.0;
/// Retries that can be saved up.
const SAVED_MAX: f64 = 20.0;

/// A source of numbers in `0.0..1.0`; a constant in tests.
pub(super) type Random = fn() -> f64;

/// The retry policy of one upstream.
#[derive(Debug)]
pub(super) struct Retry {
    attempts: u32,
    backoff: Backoff,
    random: Random,
    calls: AtomicU64,
    budget: Mutex<Budget>,
}

impl Retry {
    pub(super) fn new(config: &Settings, random: Random) -> Self {
        Self {
            attempts: config.attempts,
            backoff: Backoff::new(WAIT_FIRST, WAIT_MAX),
            random,
            calls: AtomicU64::new(0),
            budget: Mutex::new(Budget::new(config.budget, Instant::now())),
        }
    }

    /// Counts a call, which earns its share of a retry.
    pub(super) fn earn(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Decides whether try number `attempt` (from one), which ended in `error`, is followed by another, and after what
    /// wait. The wait always fits into `remaining`.
    pub(super) fn again(&self, attempt: u32, error: &Error, remaining: Duration) -> Option<Duration> {
        if attempt >= self.attempts || error.code() != Code::Unavailable {
            return None;
        }
        let asked = error.retry_after().unwrap_or_default();
        let wait = self.backoff.jittered(attempt, (self.random)()).max(asked);
        if asked > WAIT_MAX || wait >= remaining {
            return None;
        }
        let calls = self.calls.load(Ordering::Relaxed);
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.withdraw(calls, Instant::now()).then_some(wait)
    }
}

/// A purse of retries, filled by calls and, slowly, by time. Pure.
#[derive(Debug)]
struct Budget {
    share: f64,
    saved: f64,
    calls: u64,
    at: Instant,
}

impl Budget {
    fn new(share: f64, now: Instant) -> Self {
        Self { share, saved: SAVED_MAX / 2.0, calls: 0, at: now }
    }

    /// Takes one retry out, if there is one. `calls` is the count of all calls so far.
    #[expect(clippy::cast_precision_loss, reason = "the calls between two retries are far below 2^52")]
    fn withdraw(&mut self, calls: u64, now: Instant) -> bool {
        let earned = calls.saturating_sub(self.calls) as f64 * self.share;
        let reserve = now.saturating_duration_since(self.at).as_secs_f64() * RESERVE_PER_SECOND;
        self.saved = (self.saved + earned + reserve).min(SAVED_MAX);
        (self.calls, self.at) = (calls, now);
        if self.share <= 0.0 || self.saved < 1.0 {
            return false;
        }
        self.saved -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Reason;

    fn retry(attempts: u32, budget: f64) -> Retry {
        Retry::new(&Settings { attempts, budget }, || 1.0)
    }

    fn unavailable() -> Error {
        Error::new(Code::Unavailable, Reason::UpstreamUnavailable, "down")
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn waits_longer_each_time_and_stops_at_the_last_attempt() {
        let retry = retry(3, 0.2);
        let waits: Vec<_> = (1..=3).map(|attempt| retry.again(attempt, &unavailable(), MINUTE)).collect();
        assert_eq!(waits, [Some(Duration::from_millis(100)), Some(Duration::from_millis(200)), None]);
    }

    #[test]
    fn only_unavailable_is_tried_again() {
        for number in 1..=16 {
            let code = Code::from_number(number).expect("a code");
            let again = retry(3, 0.2).again(1, &Error::upstream(code, "", Vec::new()), MINUTE);
            assert_eq!(again.is_some(), code == Code::Unavailable, "{code:?}");
        }
    }

    #[test]
    fn no_wait_outlives_the_deadline_or_undercuts_what_the_upstream_asks() {
        let retry = retry(3, 0.2);
        assert_eq!(retry.again(1, &unavailable(), Duration::from_millis(100)), None);
        let asked = unavailable().with_retry_after(Duration::from_secs(1));
        assert_eq!(retry.again(1, &asked, MINUTE), Some(Duration::from_secs(1)));
        let too_long = unavailable().with_retry_after(Duration::from_secs(3));
        assert_eq!(retry.again(1, &too_long, MINUTE), None);
    }

    #[test]
    fn zero_turns_retries_off() {
        assert_eq!(retry(3, 0.0).again(1, &unavailable(), MINUTE), None);
        assert_eq!(retry(1, 0.2).again(1, &unavailable(), MINUTE), None);
    }

    proptest! {
        /// However calls and retries are mixed, retries stay below the share plus the reserve.
        #[test]
        fn retries_never_pass_their_share(
            share in 0.01..1.0_f64,
            steps in prop::collection::vec((0_u64..50, 0_u64..100), 1..300),
        ) {
            let start = Instant::now();
            let (mut budget, mut now, mut calls, mut retries) = (Budget::new(share, start), start, 0, 0_u32);
            for (more, millis) in steps {
                calls += more;
                now += Duration::from_millis(millis);
                retries += u32::from(budget.withdraw(calls, now));
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let most = calls as f64 * share + (now - start).as_secs_f64() * RESERVE_PER_SECOND + SAVED_MAX / 2.0;
            prop_assert!(f64::from(retries) <= most + 0.001);
        }
    }
}
