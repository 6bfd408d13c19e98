//! The path of a request: cut into segments, checked once, decoded on demand.
//!
//! What is checked here is true for every later reader: no segment is empty, `.` or `..` (also behind `%2e` or `%2F`),
//! every percent sequence is two hex digits, and what they decode to is UTF-8 without control characters.

use std::borrow::Cow;

use crate::error::{Code, Error, Reason, Result};

/// Segments of one path. More is an attack or a mistake; no template is that long.
pub const PATH_SEGMENTS_MAX: usize = 128;

/// Bytes of one segment as sent. Names of resources are a fraction of it.
const PATH_SEGMENT_BYTES_MAX: usize = 4096;

/// A path of which the promises of this module hold.
pub(super) struct Path<'p> {
    text: &'p str,
    /// Where each segment begins; `starts[len]` is one past the slash that would follow the last.
    starts: [u32; PATH_SEGMENTS_MAX + 1],
    len: usize,
}

/// Bytes of the name of a resource. Postgres keeps no more than some 2700 in an index, and names stand in several.
pub const NAME_BYTES_MAX: usize = 2000;

/// Refuses what is not the name of a resource as a path could have it: what is allowed must be what is asked for.
///
/// # Errors
/// `INVALID_FIELD` for `name`.
pub fn check_name(name: &str) -> Result<()> {
    let wrong = |segment: &str| matches!(segment, "" | "." | "..") || segment.chars().any(char::is_control);
    let why = if name.len() > NAME_BYTES_MAX {
        format!("a name has at most {NAME_BYTES_MAX} bytes")
    } else if name.split('/').any(wrong) {
        "a segment is empty, or dots, or has a control character".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::invalid_field("name", why))
}

/// Which percent sequences are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decode {
    /// All of them: the value of a variable that is one segment.
    All,
    /// All but `%2F`, which stays as written: a slash inside a name is not one between names.
    KeepSlash,
}

impl<'p> Path<'p> {
    /// Cuts and checks `text`, the path of a URL without its query.
    ///
    /// # Errors
    /// 404 for an empty segment, 400 for a malformed or overlong one and for more than [`PATH_SEGMENTS_MAX`].
    pub(super) fn parse(text: &'p str) -> Result<Self> {
        let Some(first) = text.as_bytes().first() else { return Err(not_found(EMPTY_SEGMENT)) };
        if *first != b'/' || u32::try_from(text.len()).is_err() {
            return Err(not_found(NO_ROUTE));
        }
        let mut path = Self { text, starts: [1; PATH_SEGMENTS_MAX + 1], len: 0 };
        if text.len() == 1 {
            return Ok(path);
        }
        let mut start = 1;
        while start <= text.len() {
            let rest = &text[start..];
            let segment = &rest[..memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len())];
            check(segment)?;
            if path.len == PATH_SEGMENTS_MAX {
                return Err(Error::limit(format!("The path has more than {PATH_SEGMENTS_MAX} segments.")));
            }
            start += segment.len() + 1;
            path.len += 1;
            path.starts[path.len] = u32::try_from(start).expect("the length was checked above");
        }
        Ok(path)
    }

    /// Returns how many segments there are; `/` has none.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns one segment, not decoded.
    pub(super) fn segment(&self, at: usize) -> &'p str {
        self.slice(at, at + 1)
    }

    /// Returns the segments `from..to` with the slashes between them, not decoded.
    pub(super) fn slice(&self, from: usize, to: usize) -> &'p str {
        if from >= to {
            return "";
        }
        &self.text[self.starts[from] as usize..self.starts[to] as usize - 1]
    }

    /// Splits the last segment at its last raw colon: what stands before it, and the custom verb after it.
    pub(super) fn custom_verb(&self) -> Option<(&'p str, &'p str)> {
        let last = self.segment(self.len.checked_sub(1)?);
        last.rsplit_once(':').filter(|(value, verb)| !value.is_empty() && !verb.is_empty())
    }

    /// Leaves out the last `bytes` of the last segment: the colon and the custom verb.
    pub(super) fn shorten(&mut self, bytes: usize) {
        self.starts[self.len] -=
            u32::try_from(bytes).expect("shorter than the path, whose length was checked");
    }

    /// Takes back [`Path::shorten`].
    pub(super) fn lengthen(&mut self, bytes: usize) {
        self.starts[self.len] +=
            u32::try_from(bytes).expect("shorter than the path, whose length was checked");
    }
}

const NO_ROUTE: &str = "Nothing is served at this path.";
const EMPTY_SEGMENT: &str =
    "Nothing is served at this path: it has an empty segment. Leave out the trailing or doubled slash.";

/// The answer for a path that no template matches, and what was probably meant.
pub(super) fn no_route(meant: Option<&str>) -> Error {
    match meant {
        Some(meant) => not_found(&format!("{NO_ROUTE} Did you mean {meant}?")),
        None => not_found(NO_ROUTE),
    }
}

fn not_found(message: &str) -> Error {
    Error::new(Code::NotFound, Reason::RouteNotFound, message)
}

fn check(segment: &str) -> Result<()> {
    match segment {
        "" => return Err(not_found(EMPTY_SEGMENT)),
        "." | ".." => return Err(dots()),
        _ => {}
    }
    if segment.len() > PATH_SEGMENT_BYTES_MAX {
        let why = format!("A segment of the path has more than {PATH_SEGMENT_BYTES_MAX} bytes.");
        return Err(Error::limit(why));
    }
    let mut plain = true;
    for byte in segment.bytes() {
        if byte < b' ' || byte == 0x7f {
            return Err(control());
        }
        plain &= byte != b'%' && byte.is_ascii();
    }
    if plain { Ok(()) } else { check_decoded(segment) }
}

fn check_decoded(segment: &str) -> Result<()> {
    let bytes = decode_bytes(segment, Decode::All).ok_or_else(|| {
        bad("A percent sign must be followed by two hexadecimal digits; write %25 for a percent sign.")
    })?;
    let text = str::from_utf8(&bytes).map_err(|_| bad("The percent sequences do not decode to UTF-8."))?;
    if text.chars().any(char::is_control) {
        return Err(control());
    }
    if text.split('/').any(|part| part == "." || part == "..") {
        return Err(dots());
    }
    Ok(())
}

fn bad(why: &str) -> Error {
    Error::invalid_field("path", why)
}

fn control() -> Error {
    bad("A path has no control characters.")
}

fn dots() -> Error {
    bad("The segments \".\" and \"..\" are not resolved here; send the path they lead to.")
}

/// Decodes checked text. Borrows when there is nothing to decode.
pub(super) fn decode(text: &str, how: Decode) -> Cow<'_, str> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let bytes = decode_bytes(text, how).expect("Path::parse checked the percent sequences");
    Cow::Owned(String::from_utf8(bytes).expect("Path::parse checked that they decode to UTF-8"))
}

fn decode_bytes(text: &str, how: Decode) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = tail;
            continue;
        }
        let [high, low, ..] = tail else { return None };
        let decoded = hex(*high)? << 4 | hex(*low)?;
        if decoded == b'/' && how == Decode::KeepSlash {
            out.extend_from_slice(&rest[..3]);
        } else {
            out.push(decoded);
        }
        rest = &tail[2..];
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(text: &str) -> Vec<&str> {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (0..path.len()).map(|at| path.segment(at)).collect()
    }

    #[test]
    fn cuts_at_slashes() {
        assert_eq!(segments("/"), [""; 0]);
        assert_eq!(segments("/a"), ["a"]);
        assert_eq!(segments("/v1/projects/example.com:p"), ["v1", "projects", "example.com:p"]);
        assert_eq!(segments("/a%2Fb/c"), ["a%2Fb", "c"]);
        assert_eq!(Path::parse("/a/b/c/d").unwrap().slice(1, 3), "b/c");
    }

    #[test]
    fn the_verb_is_after_the_last_raw_colon_of_the_last_segment() {
        let verb = |text| Path::parse(text).unwrap().custom_verb();
        assert_eq!(verb("/a/b:run"), Some(("b", "run")));
        assert_eq!(verb("/a/x:y:run"), Some(("x:y", "run")));
        assert_eq!(verb("/a:run/b"), None);
        assert_eq!(verb("/a/b%3Arun"), None);
        assert_eq!(verb("/a/:run"), None);
        assert_eq!(verb("/a/b:"), None);
        assert_eq!(verb("/"), None);
    }

    #[test]
    fn refuses_malformed_paths_with_the_status_that_fits() {
        let table = [
            ("", Reason::RouteNotFound),
            ("*", Reason::RouteNotFound),
            ("a", Reason::RouteNotFound),
            ("//", Reason::RouteNotFound),
            ("/a/", Reason::RouteNotFound),
            ("/a//b", Reason::RouteNotFound),
            ("/a/%", Reason::InvalidField),
            ("/a/%2", Reason::InvalidField),
            ("/a/%zz", Reason::InvalidField),
            ("/a/%+1", Reason::InvalidField),
            ("/a/%ff", Reason::InvalidField),
            ("/a/%c3", Reason::InvalidField),
            ("/a/%00", Reason::InvalidField),
            ("/a/%0a", Reason::InvalidField),
            ("/a/%7f", Reason::InvalidField),
            ("/a/%c2%85", Reason::InvalidField),
            ("/a/\u{1}", Reason::InvalidField),
            ("/a/.", Reason::InvalidField),
            ("/a/..", Reason::InvalidField),
            ("/a/../b", Reason::InvalidField),
            ("/a/%2e%2E/b", Reason::InvalidField),
            ("/a/b%2f..%2Fc", Reason::InvalidField),
        ];
        for (text, reason) in table {
            let error = Path::parse(text).err().unwrap_or_else(|| panic!("{text:?} was accepted"));
            assert_eq!(error.reason(), Some(reason), "{text:?}: {error}");
        }
        let long = "/a".repeat(PATH_SEGMENTS_MAX + 1);
        assert_eq!(Path::parse(&long).err().unwrap().reason(), Some(Reason::LimitExceeded));
        assert_eq!(Path::parse(&long[2..]).unwrap().len(), PATH_SEGMENTS_MAX);
    }

    #[test]
    fn decodes_all_or_all_but_slashes() {
        assert_eq!(decode("a%2Fb%20c", Decode::All), "a/b c");
        assert_eq!(decode("a%2Fb%2fc%20d%3A", Decode::KeepSlash), "a%2Fb%2fc d:");
        assert_eq!(decode("%C3%A9", Decode::KeepSlash), "é");
        assert!(matches!(decode("plain:+~", Decode::All), Cow::Borrowed("plain:+~")));
    }
}
