//! How long a call may take: the configured time, or what whoever wants it has left, if that is shorter.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

/// A timeout of gRPC has at most this many digits.
const DIGITS_MAX: u128 = 99_999_999;
/// Shorter times are told in microseconds.
const EXACT_BELOW: Duration = Duration::from_secs(5);

/// The time that whoever wants a call has for it. It runs from when this is made: what is done before the call takes of it.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    since: Instant,
    allowed: Duration,
    named: Option<Instant>,
}

impl Timeout {
    /// So much from now on.
    pub fn of(allowed: Duration) -> Self {
        Self { since: Instant::now(), allowed, named: None }
    }

    /// Until then.
    pub fn until(end: Instant) -> Self {
        Self::of(end.saturating_duration_since(Instant::now()))
    }

    /// Says what time the caller named, if any. A stream must be over by then; in any other time its first message must be
    /// there.
    #[must_use]
    pub fn named(self, named: Option<Instant>) -> Self {
        Self { named, ..self }
    }

    /// Returns the time for all of a stream; `None` where the caller named none.
    pub(super) fn of_stream(self) -> Option<Self> {
        let end = self.named?;
        Some(Self { allowed: end.saturating_duration_since(self.since), ..self })
    }

    pub(super) fn end(&self) -> Instant {
        self.since + self.allowed
    }

    fn whose(&self) -> Whose {
        if self.named.is_some_and(|end| end <= self.end()) { Whose::Caller } else { Whose::Request }
    }
}

/// The end of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
    allowed: Duration,
    whose: Whose,
}

/// Who set the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// `upstreams.<key>.deadline`.
    Configured,
    /// The caller, who has less time than configured.
    Caller,
    /// What the call is for, and has less time than configured, as by `http.request_timeout`.
    Request,
}

impl Deadline {
    /// Starts the time of a call.
    pub(super) fn start(now: Instant, configured: Duration, timeout: Option<Timeout>) -> Self {
        let end = now + configured;
        match timeout {
            Some(timeout) if timeout.end() < end => {
                Self { end: timeout.end(), allowed: timeout.allowed, whose: timeout.whose() }
            }
            _ => Self { end, allowed: configured, whose: Whose::Configured },
        }
    }

    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Returns the end where it is the configuration's: what is not done by then is the upstream's fault.
    pub(super) fn configured_end(&self) -> Option<Instant> {
        (self.whose == Whose::Configured).then_some(self.end)
    }

    /// Returns the time that was given.
    pub(super) fn allowed(&self) -> Duration {
        self.allowed
    }

    pub(super) fn whose(&self) -> Whose {
        self.whose
    }

    /// Returns the time that is left; zero once it is over.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        self.end.saturating_duration_since(now)
    }
}

/// Prints a `grpc-timeout`: at most eight digits and a unit, rounded down, never zero. A long one is rounded to
/// milliseconds, so that calls with the same time to go carry the same words, which HPACK sends as one byte.
pub(super) fn grpc_timeout(time: Duration) -> HeaderValue {
    let micros = if time < EXACT_BELOW { time.as_micros() } else { u128::MAX };
    let units = [(micros, b'u'), (time.as_millis(), b'm'), (u128::from(time.as_secs()), b'S')];
    let (count, unit) =
        units.into_iter().find(|(count, _)| *count <= DIGITS_MAX).unwrap_or((DIGITS_MAX, b'S'));
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(count.max(1)).as_bytes();
    let mut text = [0_u8; 9];
    text[..digits.len()].copy_from_slice(digits);
    text[digits.len()] = unit;
    HeaderValue::from_bytes(&text[..=digits.len()]).expect("digits and a letter are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_time_wins_and_is_remembered_as_whose() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let of = |seconds: Option<u64>| {
            let allowed = seconds.map(Duration::from_secs);
            let timeout = allowed.map(|allowed| Timeout { since: now, allowed, named: Some(now + allowed) });
            Deadline::start(now, minute, timeout)
        };
        assert_eq!((of(None).allowed(), of(None).whose()), (minute, Whose::Configured));
        let patient = of(Some(600));
        assert_eq!((patient.allowed(), patient.configured_end()), (minute, Some(now + minute)));
        let hasty = of(Some(1));
        assert_eq!(
            (hasty.allowed(), hasty.whose(), hasty.configured_end()),
            (Duration::from_secs(1), Whose::Caller, None)
        );
        assert_eq!(hasty.remaining(now + minute), Duration::ZERO);
    }

    /// What was waited for before a call, as a commit, was given to it again, and it was sent when its caller had left.
    #[test]
    fn time_runs_before_the_call() {
        let (timeout, minute) = (Timeout::of(Duration::from_secs(1)), Duration::from_secs(60));
        let begun = Instant::now() + Duration::from_secs(3);
        assert_eq!(Deadline::start(begun, minute, Some(timeout)).remaining(begun), Duration::ZERO);
    }

    #[test]
    fn a_timeout_fits_eight_digits() {
        for (time, text) in [
            (Duration::from_secs(60), "60000m"),
            (Duration::from_micros(59_999_990), "59999m"),
            (Duration::from_millis(250), "250000u"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::ZERO, "1u"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(grpc_timeout(time), text);
        }
    }
}
