//! The generic cell rate algorithm: one number for each caller, and no timer.
//!
//! The number is when the caller would be even with its rate (the *theoretical arrival time*). Each request moves it on
//! by what a request is worth; how far it may run ahead of now is the burst.

use std::time::Duration;

use crate::config::Rate;

/// A rate and a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    /// Nanoseconds between two requests in the long run.
    emission: u64,
    /// Requests at once.
    pub(super) burst: u64,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// Requests that were granted, of those asked for.
    pub(super) granted: u64,
    /// Requests that would be granted right now beside those.
    pub(super) remaining: u64,
    /// If none was granted: how long until one would be. Else: how long until all are there again.
    pub(super) reset: Duration,
}

impl Quota {
    pub(super) fn new(rate: Rate) -> Self {
        let emission = 1_000_000_000 / u64::from(rate.per_second.max(1));
        Self { emission, burst: u64::from(rate.burst.max(1)) }
    }

    /// Takes up to `wanted` requests at `now`; both it and `arrival` are nanoseconds since one and the same moment.
    pub(super) fn take(&self, arrival: &mut u64, now: u64, wanted: u64) -> Taken {
        let even = (*arrival).max(now);
        let ahead = even - now;
        let room = (self.burst * self.emission).saturating_sub(ahead) / self.emission;
        let granted = room.min(wanted);
        *arrival = even + granted * self.emission;
        let reset = if granted == 0 {
            (ahead + self.emission).saturating_sub(self.burst * self.emission)
        } else {
            *arrival - now
        };
        Taken { granted, remaining: room - granted, reset: Duration::from_nanos(reset) }
    }

    /// Whether nothing would be different if `arrival` were forgotten.
    pub(super) fn is_idle(arrival: u64, now: u64) -> bool {
        arrival <= now
    }

    /// Returns how long it takes until a whole burst is there again, in whole seconds, at least one.
    pub(super) fn window_secs(&self) -> u64 {
        (self.burst * self.emission).div_ceil(1_000_000_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_goes_at_once_and_then_the_rate_holds() {
        let quota = Quota::new(Rate { per_second: 10, burst: 3 });
        let (mut arrival, now) = (0, 5 * SECOND);
        for remaining in [2, 1, 0] {
            let taken = quota.take(&mut arrival, now, 1);
            assert_eq!((taken.granted, taken.remaining), (1, remaining));
        }
        let refused = quota.take(&mut arrival, now, 1);
        assert_eq!(refused, Taken { granted: 0, remaining: 0, reset: Duration::from_millis(100) });
        assert_eq!(quota.take(&mut arrival, now + SECOND / 10, 1).granted, 1);
        assert_eq!(quota.take(&mut arrival, now + SECOND / 10, 1).granted, 0);
        assert_eq!(quota.take(&mut arrival, now + 9 * SECOND, 1).remaining, 2);
    }

    #[test]
    fn a_block_is_what_there_is_of_it() {
        let quota = Quota::new(Rate { per_second: 100, burst: 50 });
        let mut arrival = 0;
        assert_eq!(quota.take(&mut arrival, SECOND, 20).granted, 20);
        assert_eq!(quota.take(&mut arrival, SECOND, 40).granted, 30);
        assert_eq!(quota.take(&mut arrival, SECOND, 40).granted, 0);
        assert_eq!(quota.take(&mut arrival, 2 * SECOND, 400).granted, 50);
    }

    #[test]
    fn no_more_than_burst_and_rate_ever_pass() {
        let quota = Quota::new(Rate { per_second: 1000, burst: 20 });
        let (mut arrival, mut granted, mut now) = (0, 0, 0);
        let random = fastrand::Rng::with_seed(7);
        let mut random = random;
        while now < 10 * SECOND {
            granted += quota.take(&mut arrival, now, random.u64(1..4)).granted;
            now += random.u64(0..300_000);
        }
        assert!(granted <= 10_000 + 20 + 1, "{granted}");
        assert!(granted > 9_900, "{granted}");
    }
}
