//! Where a page of several parts ended.

use jiff::Timestamp;

use super::super::{Gateway, Route};
use crate::{
    error::{Error, Result},
    store::Cursor,
    transcode::Query,
};

/// How long a token is good: upstreams forget theirs too.
const LIFE_SECONDS: i64 = 3 * 24 * 3600;

/// Where the next page begins: in which part, and behind what of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Name of the part; empty for the first.
    pub(crate) part: String,
    /// The part's own token.
    pub(crate) token: String,
}

/// Returns what a token is bound to: the method, the path, and every parameter but the size of pages.
pub(super) fn bound(route: &Route, resource: &str, query: &Query<'_>) -> Vec<String> {
    let mut bound =
        vec!["across".to_owned(), route.upstream_key.to_string(), route.method.clone(), resource.to_owned()];
    bound.extend(query.pairs.iter().flat_map(|(name, value)| [name.to_string(), value.to_string()]));
    bound
}

impl Start {
    /// Reads a page token of ours; an empty one is the beginning.
    ///
    /// # Errors
    /// `INVALID_FIELD`: it is not ours, not for this query, or too old.
    pub(super) fn read(token: &str, gateway: &Gateway, bound: &[String]) -> Result<Self> {
        let bound: Vec<&str> = bound.iter().map(String::as_str).collect();
        let Some(cursor) = Cursor::read(token, &gateway.keeping.tokens, &bound)? else {
            return Ok(Self::default());
        };
        let wrong = || Error::invalid_field("pageToken", "too old; begin again without one");
        let [part, token, made] = <[String; 3]>::try_from(cursor.keys).map_err(|_| wrong())?;
        let made: i64 = made.parse().map_err(|_| wrong())?;
        if now(gateway).as_second() - made > LIFE_SECONDS {
            return Err(wrong());
        }
        let token = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(token).map_err(|_| wrong())?;
        Ok(Self { part, token: String::from_utf8(token).map_err(|_| wrong())? })
    }

    pub(super) fn print(self, gateway: &Gateway, bound: &[String]) -> String {
        let bound: Vec<&str> = bound.iter().map(String::as_str).collect();
        // It may hold anything, and the keys of a cursor hold lines.
        let token = base64_simd::URL_SAFE_NO_PAD.encode_to_string(self.token);
        let keys = vec![self.part, token, now(gateway).as_second().to_string()];
        Cursor { keys }.token(&gateway.keeping.tokens, &bound)
    }
}

fn now(gateway: &Gateway) -> Timestamp {
    gateway.keeping.clock.now()
}
