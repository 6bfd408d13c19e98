//! How long to wait before the next try: doubling, bounded, jittered. Pure.

use std::time::Duration;

/// Waits that double from `base` and never pass `cap`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    base: Duration,
    cap: Duration,
}

impl Backoff {
    /// Creates a backoff. A `base` above `cap` is `cap`.
    pub(super) const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// Returns the wait after `failures` failures in a row, counted from one, without jitter.
    pub(super) fn step(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// Returns a wait between nothing and [`Self::step`]; `random` is in `0.0..1.0`. Full jitter spreads the callers
    /// that failed together.
    pub(super) fn jittered(&self, failures: u32, random: f64) -> Duration {
        self.step(failures).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        let steps: Vec<u128> = (1..=7).map(|n| backoff.step(n).as_millis()).collect();
        assert_eq!(steps, [500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    proptest! {
        #[test]
        fn no_wait_passes_its_step_or_the_cap(base in 0_u64..100_000, cap in 0_u64..100_000, n: u32, random in 0.0..1.0) {
            let backoff = Backoff::new(Duration::from_millis(base), Duration::from_millis(cap));
            prop_assert!(backoff.step(n) <= Duration::from_millis(cap));
            prop_assert!(backoff.jittered(n, random) <= backoff.step(n));
            prop_assert!(backoff.step(n) <= backoff.step(n.saturating_add(1)));
        }
    }
}
