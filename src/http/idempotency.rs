//! The `Idempotency-Key` header: a string in quotes (RFC 9651), or bare as many clients send it.

use http::{HeaderMap, HeaderName};

use crate::error::{Error, Result};

pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Characters of a key.
const KEY_CHARS_MAX: usize = 255;

/// Reads the key; `None` without one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |why: &str| Error::invalid_field(KEY.as_str(), why);
    if values.next().is_some() {
        return Err(wrong("given more than once"));
    }
    let text = value.to_str().map_err(|_| wrong("has characters other than visible ASCII"))?.trim();
    let key = if text.starts_with('"') {
        unquote(text).ok_or_else(|| wrong("begins with a quote and is no quoted string"))?
    } else {
        text.to_owned()
    };
    match key.len() {
        0 => Err(wrong("is empty")),
        1..=KEY_CHARS_MAX => Ok(Some(key)),
        _ => Err(wrong("is longer than 255 characters")),
    }
}

/// Undoes the quotes and backslashes of a string of RFC 9651.
fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return None,
            '\\' => out.push(letters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => out.push(other),
        }
    }
    (text.len() > 1).then_some(out)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(value: &str) -> Result<Option<String>> {
        key(&HeaderMap::from_iter([(
            KEY,
            HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
        )]))
    }

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        assert_eq!(key(&HeaderMap::new()).expect("none"), None);
        for value in ["8e03978e", "\"8e03978e\"", " 8e03978e "] {
            assert_eq!(read(value).expect(value).as_deref(), Some("8e03978e"));
        }
        assert_eq!(read(r#""a\"b\\c""#).expect("escaped").as_deref(), Some(r#"a"b\c"#));
        assert_eq!(read(&"k".repeat(255)).expect("255").map(|key| key.len()), Some(255));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for value in ["", "\"\"", "\"", "\"a", "\"a\"b\"", r#""a\x""#, r#""a\""#, "ä", &"k".repeat(256)] {
            assert!(read(value).is_err(), "{value}");
        }
        let mut two = HeaderMap::new();
        two.append(KEY, HeaderValue::from_static("a"));
        two.append(KEY, HeaderValue::from_static("a"));
        assert!(key(&two).is_err());
    }
}
