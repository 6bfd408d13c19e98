//! `google.protobuf.Timestamp` and `Duration` as text, both ways, by the rules of the proto3 JSON mapping.

use super::decimal::eight_digits;

/// First second of the year 1.
const SECONDS_MIN: i64 = -62_135_596_800;
/// Last second of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;
/// Seconds of 10 000 years, the limit of a Duration.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;
const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// Appends a timestamp as quoted RFC 3339 text in UTC. Returns `false` outside the years 1 to 9999.
pub(super) fn put_timestamp(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    if !(SECONDS_MIN..=SECONDS_MAX).contains(&seconds) || !(0..NANOS_PER_SECOND).contains(&nanos) {
        return false;
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (minute, second) = (second / 60, second % 60);
    let (hour, minute) = (minute / 60, minute % 60);
    // All of these are small and not negative.
    let [y1, y2, y3, y4, m1, m2, d1, d2] = eight_digits((year * 10_000 + month * 100 + day) as u32);
    let [_, _, h1, h2, n1, n2, s1, s2] = eight_digits((hour * 10_000 + minute * 100 + second) as u32);
    out.extend_from_slice(&[
        b'"', y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2,
    ]);
    put_fraction(out, nanos.unsigned_abs());
    out.extend_from_slice(b"Z\"");
    true
}

/// Appends a duration as quoted seconds. Returns `false` past 10 000 years or where the signs differ.
pub(super) fn put_duration(out: &mut Vec<u8>, seconds: i64, nanos: i32) -> bool {
    if !valid_duration(seconds, nanos) {
        return false;
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(seconds.unsigned_abs()).as_bytes());
    put_fraction(out, nanos.unsigned_abs());
    out.extend_from_slice(b"s\"");
    true
}

/// Reads RFC 3339 text with an upper-case `T` and a `Z` or an offset.
pub(super) fn parse_timestamp(text: &str) -> Option<(i64, i32)> {
    let bytes = text.as_bytes();
    let at = |i: usize, wanted: u8| (bytes.get(i) == Some(&wanted)).then_some(());
    let number = |from: usize, to: usize| bytes.get(from..to).and_then(decimal);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    at(4, b'-').and(at(7, b'-')).and(at(10, b'T')).and(at(13, b':')).and(at(16, b':'))?;
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = parse_fraction(&bytes[19..])?;
    let offset = parse_offset(rest)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    (SECONDS_MIN..=SECONDS_MAX).contains(&seconds).then_some((seconds, nanos))
}

/// Reads seconds with up to nine decimals and a final `s`.
pub(super) fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let body = text.strip_suffix('s')?;
    let (sign, body) = body.strip_prefix('-').map_or((1, body), |rest| (-1, rest));
    let whole = body.bytes().take_while(u8::is_ascii_digit).count();
    if whole == 0 || whole > 12 {
        return None;
    }
    let seconds = decimal(&body.as_bytes()[..whole])?;
    let (nanos, rest) = parse_fraction(&body.as_bytes()[whole..])?;
    let (seconds, nanos) = (sign * seconds, i32::try_from(sign).ok()? * nanos);
    (rest.is_empty() && valid_duration(seconds, nanos)).then_some((seconds, nanos))
}

fn valid_duration(seconds: i64, nanos: i32) -> bool {
    (-DURATION_SECONDS_MAX..=DURATION_SECONDS_MAX).contains(&seconds)
        && (1 - NANOS_PER_SECOND..NANOS_PER_SECOND).contains(&nanos)
        && (seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0))
}

/// Appends 0, 3, 6 or 9 decimals, as few as tell everything.
fn put_fraction(out: &mut Vec<u8>, nanos: u32) {
    if nanos == 0 {
        return;
    }
    let [a, b, c, d, e, f, g, h] = eight_digits(nanos / 10);
    let text = [b'.', a, b, c, d, e, f, g, h, b'0' + (nanos % 10) as u8];
    let length = match nanos {
        n if n % 1_000_000 == 0 => 4,
        n if n % 1_000 == 0 => 7,
        _ => 10,
    };
    out.extend_from_slice(&text[..length]);
}

/// Reads an optional `.` and one to nine digits; returns nanoseconds and what follows.
fn parse_fraction(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let [b'.', rest @ ..] = bytes else { return Some((0, bytes)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return None;
    }
    let scale = 10_i64.pow(9 - u32::try_from(count).ok()?);
    let nanos = i32::try_from(decimal(&rest[..count])? * scale).ok()?;
    Some((nanos, &rest[count..]))
}

/// Reads `Z` or `±hh:mm` and returns seconds east of UTC.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    match bytes {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (decimal(&[*h1, *h2])?, decimal(&[*m1, *m2])?);
            let seconds = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn decimal(bytes: &[u8]) -> Option<i64> {
    bytes
        .iter()
        .try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 as a date. Counts in years that begin in March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
        let mut out = Vec::new();
        put_timestamp(&mut out, seconds, nanos).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_first_and_the_last_second_print_and_their_neighbours_do_not() {
        assert_eq!(timestamp(SECONDS_MIN, 0).unwrap(), "\"0001-01-01T00:00:00Z\"");
        assert_eq!(timestamp(SECONDS_MAX, 999_999_999).unwrap(), "\"9999-12-31T23:59:59.999999999Z\"");
        assert_eq!(timestamp(SECONDS_MIN - 1, 0), None);
        assert_eq!(timestamp(SECONDS_MAX + 1, 0), None);
        assert_eq!(timestamp(0, -1), None);
    }

    #[test]
    fn spellings_of_time_that_are_refused() {
        for text in [
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+0800",
            "1970-01-01T24:00:00Z",
            "1970-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.0000000001Z",
            "1970-01-01T00:00:00Z ",
            "0001-01-01T00:00:00+00:01",
            "",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        for text in ["1", "s", "1.s", "-s", "+1s", "315576000001s", "1.0000000001s", "1 s", "--1s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_timestamp("1970-01-01T08:00:00+08:00"), Some((0, 0)));
        assert_eq!(parse_duration("-0.5s"), Some((0, -500_000_000)));
    }

    proptest! {
        #[test]
        fn times_read_back_as_they_were(seconds in SECONDS_MIN..=SECONDS_MAX, nanos in 0..NANOS_PER_SECOND) {
            let text = timestamp(seconds, nanos).unwrap();
            prop_assert_eq!(parse_timestamp(text.trim_matches('"')), Some((seconds, nanos)));
        }

        #[test]
        fn durations_read_back_as_they_were(seconds in 0..=DURATION_SECONDS_MAX, nanos in 0..NANOS_PER_SECOND, negative: bool) {
            let (seconds, nanos) = if negative { (-seconds, -nanos) } else { (seconds, nanos) };
            let mut out = Vec::new();
            prop_assert!(put_duration(&mut out, seconds, nanos));
            let text = String::from_utf8(out).unwrap();
            prop_assert_eq!(parse_duration(text.trim_matches('"')), Some((seconds, nanos)));
        }
    }
}
