//! Strings as JSON: escapes what must be escaped, refuses what is not UTF-8, copies the rest in one piece.

/// Appends `bytes` as a quoted JSON string. Returns `false`, with `out` undefined past its old length, if they are
/// not UTF-8.
///
/// Eight bytes are looked at together: plain ASCII without anything to escape, which is most of what APIs say, needs
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
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        if doubtful(word) != 0 {
            return i * 8;
        }
    }
    // The last eight bytes, some of them for the second time, rather than the tail byte by byte.
    if bytes.last_chunk::<8>().is_some_and(|last| doubtful(u64::from_le_bytes(*last)) == 0) {
        return bytes.len();
    }
    let start = bytes.len() - tail.len();
    tail.iter()
        .position(|byte| ESCAPES[usize::from(*byte)] != 0 || *byte >= 0x80)
        .map_or(bytes.len(), |at| start + at)
}

/// Sets bits where a byte is not ASCII or must be escaped. May set more, never fewer.
#[inline]
fn doubtful(word: u64) -> u64 {
    (word & HIGHS) | special(word)
}

/// Sets bits where a byte is a control, a quote or a backslash: the lowest bit is right, higher ones may be too many.
#[inline]
fn special(word: u64) -> u64 {
    let quote = word ^ (ONES * 0x22);
    let slash = word ^ (ONES * 0x5c);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash)) & HIGHS
}

#[cold]
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
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Finds the first byte that must be escaped.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<8>();
    let plain = chunks.iter().take_while(|chunk| special(u64::from_le_bytes(**chunk)) == 0).count() * 8;
    let at = bytes[plain..].iter().position(|byte| ESCAPES[usize::from(*byte)] != 0)?;
    Some(plain + at)
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
