//! Keyset paging: a page ends at a key, and the next one begins behind it, whatever was added in between.

use crate::{
    crypto::{Sealer, sha256_of_each},
    error::{Error, Result},
};

/// Bytes of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 8192;

/// Where a page ended: the keys of its last row, and what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The keys of the last row shown, in the order of the list's own columns.
    pub keys: Vec<String>,
}

impl Cursor {
    /// Makes a page token. `query` is everything else that the caller asked with: parent, filter, order, principal; a token
    /// is good for that query only. It tells nothing: the last row that was looked at may be one that is not shown.
    pub fn token(&self, sealer: &Sealer, query: &[&str]) -> String {
        let sealed = sealer.seal(self.keys.join("\n").as_bytes(), &context(query));
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(sealed)
    }

    /// Reads a page token; an empty one is the first page.
    ///
    /// # Errors
    /// `INVALID_FIELD` for a token that we did not make, or not for this query.
    pub fn read(token: &str, sealer: &Sealer, query: &[&str]) -> Result<Option<Self>> {
        if token.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            Error::invalid_field(
                "pageToken",
                "not a token of this list; take nextPageToken of the page before, and change nothing else",
            )
        };
        let sealed = (token.len() <= TOKEN_BYTES_MAX)
            .then(|| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok())
            .flatten()
            .ok_or_else(wrong)?;
        let body = sealer.open(&sealed, &context(query)).ok_or_else(wrong)?;
        let body = String::from_utf8(body).map_err(|_| wrong())?;
        Ok(Some(Self { keys: body.split('\n').map(str::to_owned).collect() }))
    }
}

/// What a token is bound to: every part with its length, so that none runs into the next.
fn context(query: &[&str]) -> [u8; 32] {
    sha256_of_each(query.iter().map(|part| part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Keys, Purpose};

    #[test]
    fn a_token_is_good_for_its_query_only() {
        let sealer = Keys::new(&[1; 32], &[]).sealer(Purpose::PageToken);
        let cursor = Cursor { keys: vec!["17".into(), "a".into()] };
        let token = cursor.token(&sealer, &["projects/p", "x = 1"]);
        assert_eq!(Cursor::read(&token, &sealer, &["projects/p", "x = 1"]).unwrap(), Some(cursor));
        assert_eq!(Cursor::read("", &sealer, &["projects/q"]).unwrap(), None);
        for query in [["projects/q", "x = 1"], ["projects/px", " = 1"]] {
            assert!(Cursor::read(&token, &sealer, &query).is_err(), "{query:?}");
        }
        for damaged in ["AAAA", "%", &token[1..], &format!("{token}A"), &"A".repeat(9000)] {
            assert!(Cursor::read(damaged, &sealer, &["projects/p", "x = 1"]).is_err(), "{damaged}");
        }
    }
}
