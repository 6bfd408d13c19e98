//! How long the caller is willing to wait.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Result};

const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
const SERVER: HeaderName = HeaderName::from_static("x-server-timeout");

/// More than this is as good as forever, and keeps sums of times within their type.
const TIMEOUT_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads `grpc-timeout` and `X-Server-Timeout`: the shorter of the two, `None` without either. An unreadable one is an
/// error, because ignoring it would let a caller wait that did not want to.
pub(in crate::http) fn of(headers: &HeaderMap) -> Result<Option<Duration>> {
    let grpc = read(headers, &GRPC, grpc, "up to 8 digits and a unit of H, M, S, m, u or n, such as 500m")?;
    let server = read(headers, &SERVER, seconds, "seconds, such as 2.5")?;
    Ok(match (grpc, server) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    })
}

fn read(
    headers: &HeaderMap,
    name: &HeaderName,
    parse: fn(&str) -> Option<Duration>,
    expected: &str,
) -> Result<Option<Duration>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let parsed = HeaderValue::to_str(value).ok().and_then(|text| parse(text.trim()));
    parsed
        .map(|timeout| Some(timeout.min(TIMEOUT_MAX)))
        .ok_or_else(|| Error::invalid_field(name.as_str(), format!("expected {expected}")))
}

fn grpc(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

fn seconds(text: &str) -> Option<Duration> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds: f64 = plain.then(|| text.parse().ok()).flatten()?;
    Duration::try_from_secs_f64(seconds.min(TIMEOUT_MAX.as_secs_f64())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_shorter_of_both_holds() {
        assert_eq!(of(&HeaderMap::new()).expect("none given"), None);
        let both = given(&[(GRPC, "3S"), (SERVER, "2.5")]);
        assert_eq!(of(&both).expect("both are readable"), Some(Duration::from_millis(2500)));
        let both = given(&[(GRPC, "100m"), (SERVER, "2")]);
        assert_eq!(of(&both).expect("both are readable"), Some(Duration::from_millis(100)));
    }

    #[test]
    fn an_unreadable_one_is_named() {
        for (name, value) in [
            (GRPC, ""),
            (GRPC, "S"),
            (GRPC, "1"),
            (GRPC, "-1S"),
            (GRPC, "123456789S"),
            (GRPC, "1s"),
            (SERVER, "soon"),
            (SERVER, "-1"),
            (SERVER, "NaN"),
            (SERVER, "1e3"),
            (SERVER, "."),
        ] {
            let error = of(&given(&[(name.clone(), value)])).expect_err(value);
            assert_eq!(error.violations()[0].field, name.as_str(), "{value}");
        }
    }

    #[test]
    fn an_age_is_cut_to_a_year() {
        let long = given(&[(SERVER, "99999999999999999999999999")]);
        assert_eq!(of(&long).expect("digits"), Some(TIMEOUT_MAX));
    }
}
