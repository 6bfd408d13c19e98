//! Eight decimal digits at a time.

const ZEROS: u64 = 0x3030_3030_3030_3030;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_four_digits_in_both_halves() {
        for value in 0..10_000 {
            assert_eq!(eight_digits(value * 10_000), *format!("{value:04}0000").as_bytes());
            assert_eq!(eight_digits(value), *format!("0000{value:04}").as_bytes());
        }
        assert_eq!(&eight_digits(19_970_523), b"19970523");
    }
}
