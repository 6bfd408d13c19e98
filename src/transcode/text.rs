//! Strings as JSON: escapes what must be escaped, refuses what is not UTF-8, copies the rest in one piece.

/// Appends `bytes` as a quoted JSON string. Returns `false`, with `out` undefined past its old length, if they are
/// not UTF-8.
///
/// Sixteen bytes are looked at together: plain ASCII without anything to escape, which is most of what APIs say, needs
/// neither validation nor a second look.
#[inline]
pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(b'"');
    let clean = clean_prefix(bytes);
    out.extend_from_slice(&bytes[..clean]);
    if clean < bytes.len() && !put_rest(out, &bytes[clean..]) {
        return false;
    }
    out.push(b'"');
    true
}

/// Appends text known to be UTF-8 as a quoted JSON string.
pub(super) fn put_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_escaped(out, text.as_bytes());
    out.push(b'"');
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Counts the leading bytes that are plain ASCII and need no escape, rounded down to where the doubt begins.
#[inline]
fn clean_prefix(bytes: &[u8]) -> usize {
    let (chunks, tail) = bytes.as_chunks::<16>();
    if let Some(at) = chunks.iter().position(|chunk| !plain(chunk)) {
        return at * 16;
    }
    // The last bytes, some of them for the second time, rather than the tail byte by byte.
    let tail_is_plain = match (bytes.last_chunk::<16>(), tail.first_chunk::<8>(), tail.last_chunk::<8>()) {
        (Some(last), ..) => plain(last),
        (None, Some(first), Some(last)) => plain(first) & plain(last),
        _ => false,
    };
    if tail_is_plain {
        return bytes.len();
    }
    let start = bytes.len() - tail.len();
    tail.iter().position(|byte| doubtful(*byte)).map_or(bytes.len(), |at| start + at)
}

/// Whether all bytes are ASCII and none needs an escape. Compiles to a few vector instructions.
#[inline]
fn plain<const N: usize>(bytes: &[u8; N]) -> bool {
    !bytes.iter().fold(false, |doubt, byte| doubt | doubtful(*byte))
}

/// Whether a byte is not ASCII, or must be escaped. What is not ASCII is below zero, and so below the space, once it has a
/// sign.
#[inline]
fn doubtful(byte: u8) -> bool {
    (byte.cast_signed() < 0x20) | (byte == b'"') | (byte == b'\\')
}

/// Sets bits where a byte is a control, a quote or a backslash: the lowest bit is right, higher ones may be too many.
#[inline]
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash)) & HIGHS
}

#[inline(never)]
fn put_rest(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let valid = if bytes.len() < 64 {
        std::str::from_utf8(bytes).is_ok()
    } else {
        simdutf8::basic::from_utf8(bytes).is_ok()
    };
    if valid {
        put_escaped(out, bytes);
    }
    valid
}

fn put_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(at) = first_special(rest) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Finds the first byte that must be escaped.
#[inline]
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let found = special(u64::from_le_bytes(*chunk));
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let start = bytes.len() - tail.len();
    // The last eight bytes, some of them for the second time, rather than the tail byte by byte.
    if let Some(last) = bytes.last_chunk::<8>() {
        let found = special(u64::from_le_bytes(*last));
        return (found != 0).then(|| bytes.len() - 8 + found.trailing_zeros() as usize / 8);
    }
    let at = tail.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0)?;
    Some(start + at)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What follows the backslash; 0 where none is needed.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = b'u';
        i += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(bytes: &[u8]) -> Option<String> {
        let mut out = Vec::new();
        put_string(&mut out, bytes).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        assert_eq!(printed(b"abc\xff"), None);
        assert_eq!(printed(&[b'a'; 100].iter().chain(b"\xc3").copied().collect::<Vec<_>>()), None);
        assert_eq!(printed("zoë".as_bytes()).unwrap(), "\"zoë\"");
    }

    proptest! {
        #[test]
        fn any_text_reads_back_as_it_was(text in "\\PC*|[\\x00-\\x7f]*") {
            let json = printed(text.as_bytes()).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
