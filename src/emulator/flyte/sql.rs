//! Just enough SQL to find the parameters that a query wants.

/// Returns the named parameters in a statement and where their `@` stands, in the order of their places. Strings, quoted
/// names, comments and system variables (`@@x`) hold none.
pub(super) fn parameters(statement: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < statement.len() {
        let rest = &statement[at..];
        at += match rest.as_bytes() {
            [b'@', b'@', ..] => 2 + identifier(&rest[2..]),
            [b'@', ..] => {
                let name = &rest[1..=identifier(&rest[1..])];
                if !name.is_empty() {
                    found.push((name, at));
                }
                1 + name.len()
            }
            [b'-', b'-', ..] | [b'#', ..] => until(rest, 1, "\n"),
            [b'/', b'*', ..] => until(rest, 2, "*/"),
            [quote @ (b'"' | b'\'' | b'`'), ..] => quoted(rest, *quote),
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    found
}

/// Returns line and column of a place, both from 1.
pub(super) fn position(statement: &str, at: usize) -> (usize, usize) {
    let before = &statement[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Returns the length of the name at the start of `text`.
fn identifier(text: &str) -> usize {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(letter).count()
}

/// Returns how many bytes there are up to and with `end`, which is looked for from `skip` on; all without it.
fn until(text: &str, skip: usize, end: &str) -> usize {
    text[skip..].find(end).map_or(text.len(), |place| skip + place + end.len())
}

/// Returns the length of a quoted thing, triple quotes included.
fn quoted(text: &str, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let long = quote != b'`' && bytes.starts_with(&[quote; 3]);
    let width = if long { 3 } else { 1 };
    let mut at = width;
    while at < bytes.len() {
        if bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at..].starts_with(&[quote; 3][..width]) {
            return at + width;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_are_named_outside_strings_and_comments() {
        let sql = "SELECT '@a', \"it\\\"s @b\", '''@c'@d''', `x@e`, @@session.f -- @g\n# @h\n/* @i\n */ , @yes_1+@1, é@too";
        let found = parameters(sql);
        let found: Vec<_> = found.into_iter().map(|(name, at)| (name, position(sql, at))).collect();
        assert_eq!(found, [("yes_1", (4, 7)), ("too", (4, 19))]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "[@'\"`\\\\/*#a\né-]{0,40}") {
            for (name, at) in parameters(&text) {
                prop_assert!(text[at + 1..].starts_with(name));
            }
        }
    }
}
