//! Globs over rpc names: `*` stands for any run of characters, everything else for itself.

/// Whether `text` matches `pattern` as a whole.
///
/// Backtracks to the last `*` only, so the time is at most the product of the two lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((after_star, taken)) = retry {
            (p, t) = (after_star, taken + 1);
            retry = Some((after_star, taken + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_takes_any_run() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a.B/C", true),
            ("a.B/C", "a.B/C", true),
            ("a.B/C", "a.B/CD", false),
            ("*/List*", "a.B/ListConnections", true),
            ("*/List*", "a.B/GetConnection", false),
            ("a.*.v1.*/G*n", "a.b.v1.S/GetConnection", true),
            ("*ab*ab", "ab-ab-ab", true),
            ("*ab*abc", "ab-ab-ab", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
