//! How many calls polling may make: a share of the upstream's quota, halved when the upstream says that it is too much, and
//! slowly taken back. Pure: time is a parameter.

use std::time::Duration;

/// Calls that may come at once after a quiet time.
const BURST_SECONDS: f64 = 2.0;
/// What is never gone below, in calls a second.
const LEAST: f64 = 0.1;
/// How much of the full rate comes back with each good second.
const RECOVERY: f64 = 0.05;

/// A token bucket whose rate follows what the upstream says (additive increase, multiplicative decrease).
#[derive(Clone, Debug)]
pub(super) struct Quota {
    full: f64,
    rate: f64,
    tokens: f64,
    /// When it was last brought up to date, in microseconds.
    at: i64,
    /// Nothing before this.
    closed_until: i64,
}

impl Quota {
    /// Starts with a full bucket at this many calls a second.
    pub(super) fn new(full: f64, now: i64) -> Self {
        let full = full.max(LEAST);
        Self { full, rate: full, tokens: Self::room(full), at: now, closed_until: i64::MIN }
    }

    fn room(rate: f64) -> f64 {
        (rate * BURST_SECONDS).max(1.0)
    }

    fn settle(&mut self, now: i64) {
        let passed = (now - self.at).max(0) as f64 / 1e6;
        self.at = self.at.max(now);
        self.rate = (self.rate + self.full * RECOVERY * passed).min(self.full);
        self.tokens = (self.tokens + self.rate * passed).min(Self::room(self.rate));
    }

    /// Returns how many calls there is leave for now.
    pub(super) fn left(&mut self, now: i64) -> u32 {
        self.settle(now);
        // The room of a bucket is far below what a u32 holds.
        if now < self.closed_until { 0 } else { self.tokens as u32 }
    }

    /// Takes leave for one call.
    ///
    /// # Errors
    /// There is none now; how long to wait for one.
    pub(super) fn take(&mut self, now: i64) -> Result<(), Duration> {
        self.settle(now);
        if now < self.closed_until {
            return Err(Duration::from_micros(self.closed_until.abs_diff(now)));
        }
        if self.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// The upstream said that it is too much, and perhaps when to come back.
    pub(super) fn too_much(&mut self, now: i64, retry_after: Option<Duration>) {
        self.settle(now);
        self.rate = (self.rate / 2.0).max(LEAST);
        self.tokens = self.tokens.min(Self::room(self.rate));
        if let Some(wait) = retry_after {
            let until = now.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX / 2));
            self.closed_until = self.closed_until.max(until);
        }
    }

    #[cfg(test)]
    fn rate(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_rate_is_kept_halved_and_regained() {
        let mut quota = Quota::new(5.0, 0);
        assert_eq!(quota.left(0), 10, "a burst of two seconds");
        let taken = (0..100).take_while(|_| quota.take(0).is_ok()).count();
        assert_eq!((taken, quota.left(0)), (10, 0));
        assert!(quota.take(0).unwrap_err() <= Duration::from_millis(200));
        let taken =
            (1..=10).map(|s| (0..100).take_while(|_| quota.take(s * SECOND).is_ok()).count()).sum::<usize>();
        assert_eq!(taken, 50);
        quota.too_much(10 * SECOND, Some(Duration::from_secs(7)));
        assert_eq!(quota.take(11 * SECOND), Err(Duration::from_secs(6)));
        assert_eq!(quota.left(11 * SECOND), 0);
        assert!(quota.rate() < 3.0);
        assert!(quota.take(17 * SECOND).is_ok());
        quota.settle(60 * SECOND);
        assert!((quota.rate() - 5.0).abs() < 1e-9);
        for _ in 0..50 {
            quota.too_much(60 * SECOND, None);
        }
        assert!((quota.rate() - LEAST).abs() < 1e-9);
    }
}
