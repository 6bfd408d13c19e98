//! Decimal numbers, eight digits at a time.

const ZEROS: u64 = 0x3030_3030_3030_3030;
const ZEROS_16: u128 = 0x3030_3030_3030_3030_3030_3030_3030_3030;

/// The digits of a number below a hundred million: halves, quarters and digits are parted by one multiplication each, for
/// all lanes of a word together.
#[inline]
pub(super) fn eight_digits(value: u32) -> [u8; 8] {
    let value = u64::from(value);
    let fours = value / 10_000 + ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds + ((fours - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens + ((pairs - tens * 10) << 8);
    (digits | ZEROS).to_le_bytes()
}

/// Appends a number.
#[inline]
pub(super) fn put_decimal(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        return out.push(b'0' + value as u8);
    }
    let Some([high, low]) = halves(value) else {
        return out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    };
    let [high, low] = [high, low].map(|half| u128::from(u64::from_le_bytes(eight_digits(half))));
    let digits = low << 64 | high;
    // The first digit is the lowest byte, and differs from a zero in its lower half alone.
    let zeros = (digits ^ ZEROS_16).trailing_zeros() / 8;
    // More than the number, and then less: one store and no call.
    let end = out.len() + 16 - zeros as usize;
    out.extend_from_slice(&(digits >> (8 * zeros)).to_le_bytes());
    out.truncate(end);
}

/// Parts a number of up to sixteen digits in the middle.
#[inline]
fn halves(value: u64) -> Option<[u32; 2]> {
    let high = u32::try_from(value / 100_000_000).ok().filter(|high| *high < 100_000_000)?;
    Some([high, (value % 100_000_000) as u32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_written_whole() {
        let tens = (0..20).map(|power| 10_u64.pow(power));
        for value in tens.flat_map(|ten| [ten - 1, ten, ten + 1, ten / 7 * 9]).chain([u64::MAX, 1 << 53]) {
            let mut out = b"x".to_vec();
            put_decimal(&mut out, value);
            assert_eq!(out, format!("x{value}").as_bytes());
        }
    }

    #[test]
    fn every_four_digits_in_both_halves() {
        for value in 0..10_000 {
            assert_eq!(eight_digits(value * 10_000), *format!("{value:04}0000").as_bytes());
            assert_eq!(eight_digits(value), *format!("0000{value:04}").as_bytes());
        }
        assert_eq!(&eight_digits(19_970_523), b"19970523");
    }
}
