//! What a request shows to prove who sends it, and what of its headers is meant for an upstream.
//!
//! A caller may send two credentials at once: one for us, one for the upstream behind us. Which is which is decided here,
//! once, and a value that is ours is never among what may go on.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::key::{Key, is_meant_as_key};
use crate::error::{Code, Error, Reason, Result};

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const FOR_UPSTREAM: HeaderName = HeaderName::from_static("x-causeway-upstream-authorization");

/// Query parameters that clients of Google's APIs put credentials in.
const IN_QUERY: [&str; 3] = ["key", "access_token", "oauth_token"];

/// Parameters of a query that are looked at; a query with more is refused when it is read.
const PARAMETERS_MAX: usize = 1000;

/// What a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown<'h> {
    /// Nothing that is for us.
    Nothing,
    /// A text that is meant as an API key.
    Key(&'h str),
    /// A bearer token of another kind.
    Token(&'h str),
}

/// What a request shows, and whether its `Authorization` is somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers<'h> {
    /// The credential for us.
    pub(super) shown: Shown<'h>,
    /// Whether `Authorization` may go on to an upstream that takes the caller's.
    pub(super) authorization_is_free: bool,
}

/// Sorts the credentials in the headers.
///
/// # Errors
/// `UNAUTHENTICATED`: a header is there twice, or two of them are for us, or one of ours is meant for an upstream.
pub(super) fn sort(headers: &HeaderMap) -> Result<Headers<'_>> {
    let api_key = only(headers, &API_KEY)?.filter(|text| is_meant_as_key(text));
    let authorization = only(headers, &header::AUTHORIZATION)?;
    let bearer = authorization.and_then(bearer);
    let for_upstream = refuse_key_for_upstream(headers)?;
    let bearer_is_key = authorization.is_some_and(|text| is_meant_as_key(bearer_or_all(text)));
    match (api_key, bearer) {
        (Some(key), _) if !bearer_is_key => {
            Ok(Headers { shown: Shown::Key(key.trim()), authorization_is_free: true })
        }
        (Some(_), _) => Err(unauthenticated(
            "Authorization and X-Goog-Api-Key both hold a key of this gateway; send one of them.",
        )),
        (None, Some(token)) => {
            if for_upstream.is_some_and(|text| bearer_or_all(text) == token) {
                return Err(unauthenticated(
                    "X-Causeway-Upstream-Authorization repeats the credential for this gateway, which no upstream may \
                     see.",
                ));
            }
            let shown = if bearer_is_key { Shown::Key(token) } else { Shown::Token(token) };
            Ok(Headers { shown, authorization_is_free: false })
        }
        // Without its scheme a key proves nothing; nor may it go on.
        (None, None) => Ok(Headers { shown: Shown::Nothing, authorization_is_free: !bearer_is_key }),
    }
}

/// Tells whether `Authorization` may go on where nobody is asked who they are: unless it holds a key of ours all the same.
///
/// # Errors
/// `UNAUTHENTICATED`: a key of ours is meant for an upstream.
pub(super) fn is_free_without_identity(headers: &HeaderMap) -> Result<bool> {
    refuse_key_for_upstream(headers)?;
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter().map(|value| value.to_str().ok());
    Ok(authorizations.all(|text| text.is_some_and(|text| !is_meant_as_key(bearer_or_all(text)))))
}

/// Returns the tokens that would go on to an upstream that takes the caller's.
pub(super) fn going_on<'h>(headers: &'h HeaderMap, sorted: &Headers<'_>) -> [Option<&'h str>; 2] {
    let token =
        |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(bearer_or_all);
    [token(&FOR_UPSTREAM), sorted.authorization_is_free.then(|| token(&header::AUTHORIZATION)).flatten()]
}

fn refuse_key_for_upstream(headers: &HeaderMap) -> Result<Option<&str>> {
    let for_upstream = only(headers, &FOR_UPSTREAM)?;
    if for_upstream.is_some_and(|text| is_meant_as_key(bearer_or_all(text))) {
        return Err(unauthenticated(
            "X-Causeway-Upstream-Authorization holds a key of this gateway, which no upstream may see; send it in \
             Authorization or X-Goog-Api-Key.",
        ));
    }
    Ok(for_upstream)
}

/// Refuses a query with a key of ours in it: URLs end up in logs, histories and referrers.
///
/// # Errors
/// `UNAUTHENTICATED`; the message does not repeat the key.
pub fn refuse_in_query(query: &str) -> Result<()> {
    // Nearly every query ends here: what holds neither a key nor an encoded character holds no encoded key.
    if !query.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"cw_")) && !query.contains('%') {
        return Ok(());
    }
    for pair in query.split('&').take(PARAMETERS_MAX) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name), decoded(value));
        let name = name.strip_prefix('$').unwrap_or(&name);
        let credential = IN_QUERY.iter().any(|known| known.eq_ignore_ascii_case(name));
        if (credential && is_meant_as_key(value_of(&value))) || Key::parse(value.trim()).is_some() {
            return Err(unauthenticated(
                "The query holds a key of this gateway, where logs and histories keep it: revoke that key, make another, \
                 and send it in Authorization: Bearer or X-Goog-Api-Key.",
            ));
        }
    }
    Ok(())
}

/// Some clients put the scheme into the parameter too.
fn value_of(value: &str) -> &str {
    bearer(value).unwrap_or(value)
}

/// Returns the text of a header that may be there once at most.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(unauthenticated(format!("The header {name} is there twice; send it once.")));
    }
    first.map(text).transpose()
}

fn text(value: &HeaderValue) -> Result<&str> {
    value.to_str().map_err(|_| unauthenticated("A credential has characters that no credential has."))
}

/// Returns what follows `Bearer`, in any case.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns what follows the scheme, whichever it is, or all of it.
fn bearer_or_all(authorization: &str) -> &str {
    authorization.trim().split_once(' ').map_or(authorization, |(_, rest)| rest.trim())
}

/// Decodes percent sequences as far as they can be; what is broken is refused by whoever reads the query.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|_| *byte == b'%').and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Makes the error of a caller that is not known.
pub(super) fn unauthenticated(message: impl Into<String>) -> Error {
    Error::new(Code::Unauthenticated, Reason::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn each_credential_is_somebodys() {
        for (pairs, shown, free) in [
            (&[][..], Shown::Nothing, true),
            (&[("authorization", "Bearer cw_a")], Shown::Key("cw_a"), false),
            (&[("authorization", "bearer  cw_a ")], Shown::Key("cw_a"), false),
            (&[("authorization", "Bearer a.b.c")], Shown::Token("a.b.c"), false),
            (&[("authorization", "Basic abc")], Shown::Nothing, true),
            (&[("authorization", "cw_a")], Shown::Nothing, false),
            (&[("authorization", "Basic cw_a")], Shown::Nothing, false),
            (&[("x-goog-api-key", "cw_a")], Shown::Key("cw_a"), true),
            (&[("x-goog-api-key", "AIza")], Shown::Nothing, true),
            (&[("x-goog-api-key", "AIza"), ("authorization", "Bearer cw_a")], Shown::Key("cw_a"), false),
            (&[("x-goog-api-key", "cw_a"), ("authorization", "Bearer ya29.x")], Shown::Key("cw_a"), true),
        ] {
            let headers = headers(pairs);
            let found = sort(&headers).unwrap();
            assert_eq!(found, Headers { shown, authorization_is_free: free }, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_ambiguous_or_in_the_wrong_place_is_refused() {
        for pairs in [
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")][..],
            &[("x-goog-api-key", "cw_a"), ("x-goog-api-key", "cw_a")],
            &[("x-goog-api-key", "cw_a"), ("authorization", "Bearer cw_b")],
            &[("x-causeway-upstream-authorization", "Bearer cw_a")],
            &[("x-causeway-upstream-authorization", "cw_a")],
            &[("x-causeway-upstream-authorization", "Bearer t.o.k"), ("authorization", "Bearer t.o.k")],
        ] {
            assert_eq!(
                sort(&headers(pairs)).unwrap_err().reason(),
                Some(Reason::Unauthenticated),
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn a_key_in_the_query_is_refused_however_it_is_written() {
        let key = Key::generate();
        let anywhere = format!("filter={}", key.expose());
        for query in [
            "key=cw_a",
            "a=b&key=cw_",
            "access_token=cw_a",
            "oauth_token=cw_a",
            "$key=cw_a",
            "%24key=cw_a",
            "key=c%77_a",
            "k%65y=cw_a",
            "KEY=CW_a",
            "key=+cw_a",
            "key=%20cw_a",
            "access_token=Bearer+cw_a",
            &anywhere,
        ] {
            assert!(refuse_in_query(query).is_err(), "{query}");
        }
        for query in
            ["", "key=AIza", "filter=cw_a", "access_token=ya29.a", "filter=%zz", "name=show_cw_x", "%"]
        {
            assert!(refuse_in_query(query).is_ok(), "{query}");
        }
    }
}
