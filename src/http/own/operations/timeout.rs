//! How long to wait, as callers say it.

use std::time::Duration;

use crate::{
    error::{Error, Result},
    operations::WAIT_MAX,
};

/// Reads a duration as proto3 JSON has it: seconds and `s`.
pub(super) fn duration(text: &str) -> Result<Duration> {
    let seconds: f64 = text
        .strip_suffix('s')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte)))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(duration_expected)?;
    if seconds < 0.0 {
        return Err(Error::invalid_field("timeout", "must not be negative"));
    }
    // More than the longest wait is cut to it.
    Ok(Duration::from_secs_f64(seconds.min(WAIT_MAX.as_secs_f64())))
}

fn duration_expected() -> Error {
    Error::invalid_field("timeout", "expected seconds such as \"30s\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_within_bounds() {
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
        assert_eq!(duration(&format!("{}s", "9".repeat(400))).unwrap(), WAIT_MAX);
        for wrong in ["-1s", "", "s", "1", "1m", "NaNs", "infs", "1e3s", "--1s", "."] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
