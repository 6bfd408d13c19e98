//! Durations as people write them: `30s`, `1.5s`, `200ms`, `10m`, `1h`, `7d`.

use std::time::Duration;

/// Longest duration, days. A longer one is a slip of the keyboard.
const DAYS_MAX: u64 = 366;
const UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses a number and a unit, to the millisecond.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let scale = 10u64.pow(u32::try_from(fraction.len()).ok()?);
    let parts = fraction.parse::<u64>().ok()?.checked_mul(*millis)? / scale;
    let total = whole.parse::<u64>().ok()?.checked_mul(*millis)?.checked_add(parts)?;
    (total <= DAYS_MAX * 86_400_000).then(|| Duration::from_millis(total))
}

/// Parses the value of `key`, if it is there.
pub(super) fn optional(key: &str, text: Option<&str>) -> Result<Option<Duration>, String> {
    match text.map(|text| (text, parse(text))) {
        None => Ok(None),
        Some((_, Some(duration))) => Ok(Some(duration)),
        Some((text, None)) => Err(format!(
            "{key}: {text:?} is no duration; write 200ms, 30s, 10m, 1h or 7d, at most {DAYS_MAX} days"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let table = [
            ("30s", Some(30_000)),
            ("0s", Some(0)),
            ("1.5s", Some(1_500)),
            ("5.000s", Some(5_000)),
            ("200ms", Some(200)),
            ("10m", Some(600_000)),
            ("0.5h", Some(1_800_000)),
            ("366d", Some(366 * 86_400_000)),
            ("367d", None),
            ("30", None),
            ("s", None),
            ("", None),
            ("-1s", None),
            ("+1s", None),
            ("1 s", None),
            ("1.s", None),
            (".5s", None),
            ("1.2.3s", None),
            ("1e3s", None),
            ("99999999999999999999s", None),
            ("1y", None),
            ("1sec", None),
        ];
        for (text, millis) in table {
            assert_eq!(parse(text), millis.map(Duration::from_millis), "{text:?}");
        }
    }
}
