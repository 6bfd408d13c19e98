//! A pull reader of JSON text: one token at a time from a slice, with positions for errors. Builds nothing.

use std::borrow::Cow;

use crate::error::{Code, Error, Reason, Result};

/// Objects and lists inside one another.
pub(super) const DEPTH_MAX: usize = 100;

/// Reads JSON front to back.
#[derive(Clone)]
pub(super) struct Reader<'j> {
    text: &'j str,
    at: usize,
}

/// The kind of the value that comes next, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Object,
    List,
    String,
    Number,
    True,
    False,
    Null,
}

impl<'j> Reader<'j> {
    /// Starts reading. Refuses bytes that are not UTF-8 with the place of the first bad one.
    pub(super) fn new(bytes: &'j [u8]) -> Result<Self> {
        match simdutf8::basic::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, at: 0 }),
            Err(_) => Err(not_utf8(bytes)),
        }
    }

    /// Starts reading text.
    pub(super) fn of_str(text: &'j str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns the kind of the next value without reading it.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<Next> {
        match self.peek_byte() {
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::List),
            Some(b'"') => Ok(Next::String),
            Some(b'-' | b'0'..=b'9') => Ok(Next::Number),
            Some(b't') => Ok(Next::True),
            Some(b'f') => Ok(Next::False),
            Some(b'n') => Ok(Next::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the text ends where a value should be")),
        }
    }

    /// Returns the next byte that is not white space.
    #[inline]
    pub(super) fn peek_byte(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &str) -> Result<()> {
        if self.peek_byte() != Some(byte) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Reads `{`.
    pub(super) fn object(&mut self) -> Result<()> {
        self.expect(b'{', "expected an object")
    }

    /// Reads `[`.
    pub(super) fn list(&mut self) -> Result<()> {
        self.expect(b'[', "expected a list")
    }

    /// Reads the next key of an object and its colon, or the end of the object. `first` is true right behind `{`.
    #[inline]
    pub(super) fn key(&mut self, first: bool) -> Result<Option<Cow<'j, str>>> {
        if self.peek_byte() == Some(b'}') {
            self.at += 1;
            return Ok(None);
        }
        if !first {
            self.expect(b',', "expected `,` or `}`")?;
        }
        if self.peek_byte() != Some(b'"') {
            return Err(self.error("expected a key in double quotes"));
        }
        let key = self.string()?;
        self.expect(b':', "expected `:`")?;
        Ok(Some(key))
    }

    /// Moves to the next element of a list and returns whether there is one. `first` is true right behind `[`.
    #[inline]
    pub(super) fn element(&mut self, first: bool) -> Result<bool> {
        if self.peek_byte() == Some(b']') {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',', "expected `,` or `]`")?;
            if self.peek_byte() == Some(b']') {
                return Err(self.error("expected a value"));
            }
        }
        Ok(true)
    }

    /// Reads `true`, `false` or `null`.
    pub(super) fn literal(&mut self, word: &str) -> Result<()> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads a string. Borrows it unless it holds escapes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'j, str>> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let end = start + plain_prefix(&self.text.as_bytes()[start..]);
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Ok(Cow::Borrowed(&self.text[start..end]))
            }
            _ => {
                let mut owned = self.text.as_bytes()[start..end].to_vec();
                self.at = end;
                self.escapes_into(&mut owned)?;
                let owned = String::from_utf8(owned).expect("pieces of text and characters are text");
                Ok(Cow::Owned(owned))
            }
        }
    }

    /// Reads a string into `out`, as its bytes.
    #[inline]
    pub(super) fn string_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.expect(b'"', "expected a string")?;
        let start = self.at;
        let end = start + plain_prefix(&self.text.as_bytes()[start..]);
        out.extend_from_slice(&self.text.as_bytes()[start..end]);
        self.at = end;
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                self.at += 1;
                Ok(())
            }
            _ => self.escapes_into(out),
        }
    }

    /// Reads the rest of a string, from an escape on.
    #[cold]
    fn escapes_into(&mut self, out: &mut Vec<u8>) -> Result<()> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let letter = self.escape()?;
                    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Some(_) => return Err(self.error("a control character in a string must be escaped")),
                None => return Err(self.error("a string does not end")),
            }
            let plain = plain_prefix(&self.text.as_bytes()[self.at..]);
            out.extend_from_slice(&self.text.as_bytes()[self.at..self.at + plain]);
            self.at += plain;
        }
    }

    fn escape(&mut self) -> Result<char> {
        let letter = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match letter {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an unknown escape in a string")),
        };
        self.at += 2;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char> {
        let first = self.hex(self.at)?;
        let code = match first {
            0xd800..=0xdbff => match self.hex(self.at + 6) {
                Ok(second @ 0xdc00..=0xdfff) => {
                    self.at += 6;
                    0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                }
                _ => return Err(self.error("half of a surrogate pair")),
            },
            other => other,
        };
        let letter = char::from_u32(code).ok_or_else(|| self.error("half of a surrogate pair"))?;
        self.at += 6;
        Ok(letter)
    }

    /// Reads the four digits of `\uXXXX` at a place.
    fn hex(&self, at: usize) -> Result<u32> {
        self.text
            .as_bytes()
            .get(at..at + 6)
            .filter(|escape| escape.starts_with(b"\\u") && escape[2..].iter().all(u8::is_ascii_hexdigit))
            .and_then(|escape| std::str::from_utf8(&escape[2..]).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .ok_or_else(|| self.error("`\\u` wants four hexadecimal digits"))
    }

    /// Reads a number and returns its text, checked against the grammar of JSON.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'j str> {
        let start = self.at;
        match number_length(&self.text.as_bytes()[start..]) {
            Some(length) => {
                self.at += length;
                Ok(&self.text[start..self.at])
            }
            None => Err(self.error("not a number as JSON writes them")),
        }
    }

    /// Reads over one value of any kind, checking that it is JSON.
    pub(super) fn skip(&mut self) -> Result<()> {
        // True for an object. Its length is the depth.
        let mut open: Vec<bool> = Vec::new();
        loop {
            match self.peek()? {
                Next::String => drop(self.string()?),
                Next::Number => drop(self.number()?),
                Next::True => self.literal("true")?,
                Next::False => self.literal("false")?,
                Next::Null => self.literal("null")?,
                kind @ (Next::Object | Next::List) => {
                    if open.len() >= DEPTH_MAX {
                        return Err(self.too_deep());
                    }
                    self.at += 1;
                    let object = kind == Next::Object;
                    if if object { self.key(true)?.is_some() } else { self.element(true)? } {
                        open.push(object);
                        continue;
                    }
                }
            }
            // A value has ended: go on in what encloses it, or out of that.
            loop {
                match open.last() {
                    None => return Ok(()),
                    Some(true) if self.key(false)?.is_some() => break,
                    Some(false) if self.element(false)? => break,
                    Some(_) => drop(open.pop()),
                }
            }
        }
    }

    /// Makes sure that nothing follows.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek_byte() {
            None => Ok(()),
            Some(_) => Err(self.error("something follows the value")),
        }
    }

    /// An error for text nested past [`DEPTH_MAX`].
    #[cold]
    pub(super) fn too_deep(&self) -> Error {
        self.error(&format!("nested deeper than {DEPTH_MAX} levels"))
    }

    /// An error that says what is wrong, and where.
    #[cold]
    pub(super) fn error(&self, what: &str) -> Error {
        let (line, column) = position(&self.text.as_bytes()[..self.at.min(self.text.len())]);
        invalid(what, line, column)
    }

    /// Returns line and column (in characters), both from 1, of a place; white space before a value is not the value.
    pub(super) fn position_at(&self, offset: usize) -> (usize, usize) {
        let bytes = self.text.as_bytes();
        let space =
            bytes[offset.min(bytes.len())..].iter().take_while(|byte| b" \n\t\r,".contains(byte)).count();
        position(&bytes[..(offset + space).min(bytes.len())])
    }

    /// Returns the byte offset of what comes next.
    pub(super) fn offset(&self) -> usize {
        self.at
    }
}

fn position(before: &[u8]) -> (usize, usize) {
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let lines = memchr::memchr_iter(b'\n', before).count();
    // Continuation bytes of UTF-8 are no characters.
    let column = before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    (lines + 1, column + 1)
}

fn not_utf8(bytes: &[u8]) -> Error {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let (line, column) = position(&bytes[..valid]);
    invalid("not UTF-8", line, column)
}

fn invalid(what: &str, line: usize, column: usize) -> Error {
    Error::new(
        Code::InvalidArgument,
        Reason::InvalidJson,
        format!("The body is not valid JSON: {what} at line {line}, column {column}."),
    )
}

/// Counts the bytes before the next quote, backslash or control character.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (chunks, tail) = bytes.as_chunks::<8>();
    for (i, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (ONES * 0x22);
        let slash = word ^ (ONES * 0x5c);
        let found = ((word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash))
            & (ONES * 0x80);
        if found != 0 {
            return i * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let start = bytes.len() - tail.len();
    tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map_or(bytes.len(), |at| start + at)
}

/// Measures the number at the front: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
pub(super) fn number_length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let count = digits(at + 1);
        if count == 0 {
            return None;
        }
        at += 1 + count;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let count = digits(at + 1 + sign);
        if count == 0 {
            return None;
        }
        at += 1 + sign + count;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(bytes: &[u8]) -> bool {
        Reader::new(bytes).is_ok_and(|mut reader| reader.skip().and_then(|()| reader.end()).is_ok())
    }

    #[test]
    fn positions_count_lines_and_characters() {
        let mut reader = Reader::new("{\n \"zoë\": tru}".as_bytes()).unwrap();
        let error = reader.skip().unwrap_err();
        assert!(error.message().ends_with("expected a value at line 2, column 9."), "{}", error.message());
        let error = Reader::new(b"{\"a\":\n\"\xff\"}").err().unwrap();
        assert!(error.message().contains("not UTF-8 at line 2, column 2"), "{}", error.message());
    }

    #[test]
    fn depth_is_limited_without_recursion() {
        assert!(accepts(&[[b'['; 100], [b']'; 100]].concat()));
        assert!(!accepts(&[[b'['; 101], [b']'; 101]].concat()));
    }

    #[test]
    fn what_json_is_not() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "+1",
            "1.",
            ".5",
            "1e",
            "nul",
            "'a'",
            "{a:1}",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "[1 2]",
            "\"\u{1}\"",
            "1 1",
            "NaN",
            "\"abc",
        ] {
            assert!(!accepts(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_mutated_text(
            text in "[\\[\\]{}:,\"\\\\ utrefalsn0-9.eE+-]{0,24}|\\{\"a\":[\\[\\]{},\"\\\\/bu0-9a-f.eE-]{0,16}\\}"
        ) {
            prop_assert_eq!(accepts(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|_| true) || overflows(&text));
        }
    }

    /// serde_json refuses numbers that no double holds; here that is decided by the field's type.
    fn overflows(text: &str) -> bool {
        serde_json::from_str::<serde_json::Value>(text)
            .is_err_and(|error| error.to_string().contains("out of range"))
            && accepts(text.as_bytes())
    }
}
