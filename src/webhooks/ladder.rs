//! When to try again, and what an answer says about that.

use http::{HeaderMap, StatusCode, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};

/// The waits between attempts, in seconds: the first attempt is made at once, and after the last wait one more.
const WAITS_SECS: [i64; 9] =
    [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];
/// How far a wait is moved at random, up or down.
const JITTER: f64 = 0.2;
/// How much longer than its step a receiver may make us wait.
const HINT_OVER_STEP_MAX: SignedDuration = SignedDuration::from_hours(1);
/// A receiver steers us with this: `disable` (send nothing more) or `abort-message` (do not send this again).
const CONTROL: &str = "webhook-delivery";

/// Returns how long to wait after the attempt of `step` (0 for the first) failed; `None` if it was the last.
/// `random` is in 0..1.
pub(super) fn wait(step: u32, hint: Option<SignedDuration>, random: f64) -> Option<SignedDuration> {
    let step = SignedDuration::from_secs(*WAITS_SECS.get(usize::try_from(step).ok()?)?);
    let wait = SignedDuration::from_secs_f64(step.as_secs_f64() * (1.0 + JITTER * (2.0 * random - 1.0)));
    Some(match hint {
        // Not sooner than the ladder says, not later than it allows.
        Some(hint) => wait.max(hint.min(step + HINT_OVER_STEP_MAX)),
        None => wait,
    })
}

/// How long a receiver that asks for it is left alone altogether.
pub(super) fn pause(status: StatusCode, hint: Option<SignedDuration>) -> Option<SignedDuration> {
    matches!(status.as_u16(), 429 | 503).then(|| hint.map(|hint| hint.min(HINT_OVER_STEP_MAX))).flatten()
}

/// Reads `Retry-After`: seconds or a date. What cannot be read, or is past, is no hint.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<SignedDuration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        // More digits than fit mean: very long.
        SignedDuration::from_secs(text.parse().unwrap_or(i64::from(u32::MAX)).min(i64::from(u32::MAX)))
    } else {
        let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        date.duration_since(now)
    };
    (wait > SignedDuration::ZERO).then_some(wait)
}

/// What a receiver says about more than this attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Send nothing more.
    Disable,
    /// Do not send this again.
    Abort,
}

/// Reads what a receiver says about more than this attempt.
pub(super) fn control(status: StatusCode, headers: &HeaderMap) -> Option<Control> {
    if status == StatusCode::GONE {
        return Some(Control::Disable);
    }
    match headers.get(CONTROL)?.to_str().ok()?.trim() {
        "disable" => Some(Control::Disable),
        "abort-message" => Some(Control::Abort),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: i64) -> SignedDuration {
        SignedDuration::from_secs(secs)
    }

    #[test]
    fn the_ladder_has_nine_waits_within_a_fifth() {
        let middle: Vec<_> = (0..10).map(|step| wait(step, None, 0.5).map(|wait| wait.as_secs())).collect();
        let expected = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400].map(Some);
        assert_eq!(middle[..9], expected);
        assert_eq!(middle[9], None, "the tenth attempt is the last");
        assert_eq!(wait(0, None, 0.0), Some(secs(4)));
        assert!(wait(0, None, 0.999).unwrap() < secs(6));
    }

    #[test]
    fn a_hint_is_obeyed_within_bounds() {
        assert_eq!(wait(0, Some(secs(60)), 0.5), Some(secs(60)));
        assert_eq!(wait(0, Some(secs(1)), 0.5), Some(secs(5)), "never sooner than the ladder");
        assert_eq!(wait(0, Some(secs(1_000_000_000)), 0.5), Some(secs(3605)), "an hour over the step");
        assert_eq!(pause(StatusCode::TOO_MANY_REQUESTS, Some(secs(9))), Some(secs(9)));
        assert_eq!(pause(StatusCode::SERVICE_UNAVAILABLE, Some(secs(90_000))), Some(secs(3600)));
        assert_eq!(pause(StatusCode::INTERNAL_SERVER_ERROR, Some(secs(9))), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-21T09:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sat, 21 Nov 2026 09:01:30 GMT", Some(90)),
            ("1000000000", Some(1_000_000_000)),
            ("99999999999999999999999", Some(i64::from(u32::MAX))),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("1.5", None),
            ("Sat, 21 Nov 2026 08:00:00 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now).map(|wait| wait.as_secs()), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_receiver_can_stop_us() {
        let said = |text: &'static str| {
            HeaderMap::from_iter([(
                "webhook-delivery".parse().unwrap(),
                http::HeaderValue::from_static(text),
            )])
        };
        assert_eq!(control(StatusCode::GONE, &HeaderMap::new()), Some(Control::Disable));
        assert_eq!(control(StatusCode::OK, &said("disable")), Some(Control::Disable));
        assert_eq!(control(StatusCode::INTERNAL_SERVER_ERROR, &said("abort-message")), Some(Control::Abort));
        assert_eq!(control(StatusCode::OK, &said("faster")), None);
    }
}
