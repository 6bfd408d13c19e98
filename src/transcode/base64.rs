//! Base64 as callers write it: either alphabet, with padding or without. Printing uses `base64-simd`.

/// Appends the bytes that `text` stands for. Returns `false` if it is no base64.
pub(super) fn decode(text: &str, out: &mut Vec<u8>) -> bool {
    let digits = text.as_bytes();
    let unpadded = match digits {
        [rest @ .., b'=', b'='] | [rest @ .., b'='] => rest,
        other => other,
    };
    // Padding may be short, as some clients write it, but never more than fills up the last group.
    let tail = unpadded.len() % 4;
    let padding = digits.len() - unpadded.len();
    if tail == 1 || padding > (4 - tail) % 4 {
        return false;
    }
    out.reserve(unpadded.len() / 4 * 3 + 2);
    for group in unpadded.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = DIGITS[usize::from(*digit)];
            if value == NONE {
                return false;
            }
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let [_, bytes @ ..] = bits.to_be_bytes();
        out.extend_from_slice(&bytes[..group.len() * 3 / 4]);
    }
    true
}

const NONE: u8 = 0xff;

const DIGITS: [u8; 256] = {
    let mut table = [NONE; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut i = 0;
    while i < 64 {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text, &mut out).then_some(out)
    }

    #[test]
    fn both_alphabets_with_and_without_padding() {
        for text in ["-_8=", "+/8=", "-_8", "+/8"] {
            assert_eq!(decoded(text), Some(vec![0xfb, 0xff]), "{text}");
        }
        for text in ["a", "a===", "=", "==", "a b=", "aaaa=", "zoë=", "aa=a", "aa===", "aaa=="] {
            assert_eq!(decoded(text), None, "{text}");
        }
        assert_eq!(decoded(""), Some(vec![]));
    }

    proptest! {
        #[test]
        fn reads_what_is_printed(bytes: Vec<u8>) {
            prop_assert_eq!(decoded(&base64_simd::STANDARD.encode_to_string(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(decoded(&base64_simd::URL_SAFE_NO_PAD.encode_to_string(&bytes)), Some(bytes));
        }
    }
}
