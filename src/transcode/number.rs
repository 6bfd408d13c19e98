//! Numbers as callers write them: `7`, `"7"`, `7.0`, `7e0`, exactly or not at all.

use super::json::number_length;

/// A whole number of up to 64 bits and a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    negative: bool,
    magnitude: u64,
}

impl Whole {
    /// Reads the text of a JSON number whose value is whole, in whatever spelling.
    #[inline]
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let short = (1..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        if short && (digits.len() == 1 || !digits.starts_with('0')) {
            let magnitude = digits.bytes().fold(0, |value, byte| value * 10 + u64::from(byte - b'0'));
            return Some(Self { negative, magnitude });
        }
        Self::parse_exact(text, negative, digits)
    }

    fn parse_exact(text: &str, negative: bool, unsigned: &str) -> Option<Self> {
        if number_length(text.as_bytes()) != Some(text.len()) {
            return None;
        }
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = || whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0');
        if digits().all(|digit| digit == 0) {
            return Some(Self { negative, magnitude: 0 });
        }
        // Whole digits to drop (they must be zeros) or zeros to add, after the point has been moved.
        let exponent: i64 = exponent.parse().ok().filter(|e| (-4096..=4096).contains(e))?;
        let shift = exponent - i64::try_from(fraction.len()).ok()?;
        let drop = usize::try_from(-shift).unwrap_or(0);
        let count = whole.len() + fraction.len();
        let kept = count.checked_sub(drop)?;
        if digits().skip(kept).any(|digit| digit != 0) {
            return None;
        }
        let mut magnitude = 0_u64;
        for digit in digits().take(kept).chain((0..shift.max(0)).map(|_| 0)) {
            magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
        Some(Self { negative, magnitude })
    }

    pub(super) fn signed(self) -> Option<i64> {
        if self.negative {
            0_i64.checked_sub_unsigned(self.magnitude)
        } else {
            i64::try_from(self.magnitude).ok()
        }
    }

    pub(super) fn unsigned(self) -> Option<u64> {
        (!self.negative || self.magnitude == 0).then_some(self.magnitude)
    }
}

/// Reads a double: a JSON number, or the words for what JSON has no number for. `None` if it is neither or too large.
pub(super) fn parse_double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if number_length(text.as_bytes()) == Some(text.len()) => {
            text.parse().ok().filter(|value: &f64| value.is_finite())
        }
        _ => None,
    }
}

/// Reads a float, as [`parse_double`] does.
pub(super) fn parse_float(text: &str) -> Option<f32> {
    match text {
        "NaN" => Some(f32::NAN),
        "Infinity" => Some(f32::INFINITY),
        "-Infinity" => Some(f32::NEG_INFINITY),
        _ if number_length(text.as_bytes()) == Some(text.len()) => {
            text.parse().ok().filter(|value: &f32| value.is_finite())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_number_in_many_spellings() {
        for text in ["1000", "1e3", "1E+3", "1000.0", "10000e-1", "0.1e4", "1000.000e0"] {
            assert_eq!(Whole::parse(text).and_then(Whole::signed), Some(1000), "{text}");
        }
        for text in
            ["1.5", "1e-1", "01", "+1", "", "-", " 1", "1 ", "0x1", "1e", "1e5000", "18446744073709551616"]
        {
            assert_eq!(Whole::parse(text), None, "{text}");
        }
        assert_eq!(Whole::parse("18446744073709551615").and_then(Whole::unsigned), Some(u64::MAX));
        assert_eq!(Whole::parse("-9223372036854775808").and_then(Whole::signed), Some(i64::MIN));
        assert_eq!(Whole::parse("9223372036854775808").and_then(Whole::signed), None);
        assert_eq!(Whole::parse("-1").and_then(Whole::unsigned), None);
        assert_eq!(Whole::parse("-0").and_then(Whole::unsigned), Some(0));
        assert_eq!(Whole::parse("0e9999999999999999999").and_then(Whole::unsigned), Some(0));
    }

    #[test]
    fn floats_know_their_limits() {
        assert_eq!(parse_double("1.89769e+308"), None);
        assert_eq!(parse_float("3.502823e+38"), None);
        assert_eq!(parse_double("nan"), None);
        assert_eq!(parse_double("inf"), None);
        assert_eq!(parse_double("2.22507e-308"), Some(2.22507e-308));
    }

    proptest! {
        #[test]
        fn every_integer_reads_back(value: i64, unsigned: u64) {
            prop_assert_eq!(Whole::parse(&value.to_string()).and_then(Whole::signed), Some(value));
            prop_assert_eq!(Whole::parse(&unsigned.to_string()).and_then(Whole::unsigned), Some(unsigned));
        }
    }
}
