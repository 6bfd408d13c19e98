//! Keyset paging: a page ends at a key, and the next one begins behind it, whatever was added in between.

use crate::{
    crypto::Mac,
    error::{Error, Result},
};

/// Bytes of the tag at the head of a token.
const TAG_BYTES: usize = 16;
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
    /// is good for that query only.
    pub fn token(&self, mac: &Mac, query: &[&str]) -> String {
        let body = self.keys.join("\n");
        let tag = mac.tag(&message(query, &body));
        let mut bytes = tag[..TAG_BYTES].to_vec();
        bytes.extend_from_slice(body.as_bytes());
        base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
    }

    /// Reads a page token; an empty one is the first page.
    ///
    /// # Errors
    /// `INVALID_FIELD` for a token that we did not make, or not for this query.
    pub fn read(token: &str, mac: &Mac, query: &[&str]) -> Result<Option<Self>> {
        if token.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            Error::invalid_field(
                "pageToken",
                "not a token of this list; take nextPageToken of the page before, and change nothing else",
            )
        };
        let bytes = (token.len() <= TOKEN_BYTES_MAX)
            .then(|| base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).ok())
            .flatten()
            .ok_or_else(wrong)?;
        let (tag, body) = bytes.split_at_checked(TAG_BYTES).ok_or_else(wrong)?;
        let body = std::str::from_utf8(body).map_err(|_| wrong())?;
        if !mac.is_tag(&message(query, body), tag) {
            return Err(wrong());
        }
        Ok(Some(Self { keys: body.split('\n').map(str::to_owned).collect() }))
    }
}

/// What the tag is over: every part with its length, so that none runs into the next.
fn message(query: &[&str], body: &str) -> Vec<u8> {
    let mut message = Vec::new();
    for part in query.iter().chain([&body]) {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Keys, Purpose};

    #[test]
    fn a_token_is_good_for_its_query_only() {
        let mac = Keys::new(&[1; 32], &[]).mac(Purpose::PageToken);
        let cursor = Cursor { keys: vec!["17".into(), "a".into()] };
        let token = cursor.token(&mac, &["projects/p", "x = 1"]);
        assert_eq!(Cursor::read(&token, &mac, &["projects/p", "x = 1"]).unwrap(), Some(cursor));
        assert_eq!(Cursor::read("", &mac, &["projects/q"]).unwrap(), None);
        for query in [["projects/q", "x = 1"], ["projects/px", " = 1"]] {
            assert!(Cursor::read(&token, &mac, &query).is_err(), "{query:?}");
        }
        for damaged in ["AAAA", "%", &token[1..], &format!("{token}A"), &"A".repeat(9000)] {
            assert!(Cursor::read(damaged, &mac, &["projects/p", "x = 1"]).is_err(), "{damaged}");
        }
    }
}
