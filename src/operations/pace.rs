//! How long to wait before the next look. Pure.

use std::time::Duration;

use crate::schema::PollHints;

/// What holds where a method has no hints: what Google's clients do.
const INITIAL: Duration = Duration::from_secs(5);
const MULTIPLIER: f64 = 1.5;
const LONGEST: Duration = Duration::from_secs(45);
/// The least wait, so that a hint of nothing does not become a storm.
const SHORTEST: Duration = Duration::from_millis(500);
/// How far a wait is from what it should be, so that operations that were started together are not asked about together.
const JITTER: f64 = 0.2;
/// The longest wait after failures.
const TROUBLE_LONGEST: Duration = Duration::from_secs(60);
/// The wait while we may not look.
pub(super) const DENIED: Duration = Duration::from_secs(300);
/// The wait for what cannot be decoded.
pub(super) const QUARANTINED: Duration = Duration::from_secs(1800);

/// Returns the wait before the first look.
pub(super) fn first(hints: &PollHints) -> Duration {
    hints.initial_poll_delay.unwrap_or(INITIAL).max(SHORTEST)
}

/// Returns the wait that follows one of `spacing`.
pub(super) fn next(hints: &PollHints, spacing: Duration) -> Duration {
    let longest = hints.max_poll_delay.unwrap_or(LONGEST).max(SHORTEST);
    spacing
        .mul_f64(hints.poll_delay_multiplier.unwrap_or(MULTIPLIER).clamp(1.0, 100.0))
        .clamp(SHORTEST, longest)
}

/// Returns the wait after so many failures in a row.
pub(super) fn after_failures(failures: i32) -> Duration {
    let doubled = 1_u32 << failures.clamp(0, 6);
    (Duration::from_secs(1) * doubled).min(TROUBLE_LONGEST)
}

/// Moves a wait by up to a fifth; `random` is in 0..1.
pub(super) fn jittered(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

/// A duration in microseconds, as records have it.
pub(super) fn micros(wait: Duration) -> i64 {
    i64::try_from(wait.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_what_the_hint_allows() {
        let hints = PollHints {
            initial_poll_delay: Some(Duration::from_secs(20)),
            poll_delay_multiplier: None,
            max_poll_delay: Some(Duration::from_secs(45)),
            total_poll_timeout: None,
        };
        let mut wait = first(&hints);
        let mut seen = vec![wait.as_secs()];
        for _ in 0..3 {
            wait = next(&hints, wait);
            seen.push(wait.as_secs());
        }
        assert_eq!(seen, [20, 30, 45, 45]);
        assert_eq!(first(&PollHints::default()), INITIAL);
        assert_eq!(next(&PollHints::default(), Duration::ZERO), SHORTEST);
        let wait = Duration::from_secs(10);
        assert_eq!(
            (jittered(wait, 0.0), jittered(wait, 1.0)),
            (Duration::from_secs(8), Duration::from_secs(12))
        );
        assert_eq!(after_failures(0), Duration::from_secs(1));
        assert_eq!(after_failures(i32::MAX), TROUBLE_LONGEST);
    }
}
