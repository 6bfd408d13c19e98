//! Words of others, made fit for the log: what looks like a credential is taken out, and what is endless is cut. Pure.
//!
//! Servers of tokens answer errors with bodies, and crates put them into theirs. None should repeat what it was sent, and
//! a log is read by more people than a key.

/// Bytes of a text that are kept.
const TEXT_BYTES_MAX: usize = 2048;
/// What stands for what was taken out.
const HIDDEN: &str = "<hidden>";
/// How credentials begin: access tokens, refresh tokens and client secrets of Google, signed tokens, a header, keys.
const BEGINNINGS: [&str; 7] = ["ya29.", "1//", "GOCSPX-", "eyJ", "Bearer ", "bearer ", "-----BEGIN"];

/// Takes credentials out of a text and cuts it.
pub(super) fn scrub(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(TEXT_BYTES_MAX));
    let mut rest = text;
    while let Some((at, beginning)) = first(rest) {
        out.push_str(&rest[..at]);
        out.push_str(HIDDEN);
        let tail = &rest[at + beginning.len()..];
        rest = if beginning.starts_with('-') { "" } else { tail.trim_start_matches(is_of_a_token) };
    }
    out.push_str(rest);
    if out.len() > TEXT_BYTES_MAX {
        out.truncate(out.floor_char_boundary(TEXT_BYTES_MAX));
        out.push('…');
    }
    out
}

fn first(text: &str) -> Option<(usize, &'static str)> {
    BEGINNINGS
        .into_iter()
        .filter_map(|beginning| text.find(beginning).map(|at| (at, beginning)))
        .min_by_key(|(at, _)| *at)
}

fn is_of_a_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_credential_is_taken_out() {
        for (text, kept) in [
            ("token ya29.a0AfH6-x_y expired", "token <hidden> expired"),
            (
                "body=<{\"refresh_token\":\"1//0gAb-C\",\"e\":1}>",
                "body=<{\"refresh_token\":\"<hidden>\",\"e\":1}>",
            ),
            ("Bearer abc.def refused, Bearer ghi too", "<hidden> refused, <hidden> too"),
            ("jwt eyJhbGciOi.eyJpc3Mi.c2ln!", "jwt <hidden>!"),
            ("key -----BEGIN PRIVATE KEY-----\nMIIE and all that follows", "key <hidden>"),
            ("invalid_grant: Token has been revoked.", "invalid_grant: Token has been revoked."),
        ] {
            assert_eq!(scrub(text), kept);
        }
    }

    #[test]
    fn a_text_without_end_is_cut() {
        assert_eq!(scrub(&"é".repeat(5000)).len(), TEXT_BYTES_MAX + '…'.len_utf8());
    }
}
