//! Answers of list methods that may be kept: what the caller says about that, and what it is told.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::{
    JSON, Server,
    body::Body,
    conditional,
    proxied::{PROTOBUF, Request, UNKNOWN_TYPES, View, insert_list},
};
use crate::{
    cache::{How, Served, Tier, Wish},
    error::Result,
    gateway::{self, Across, Freshness, Input, Notes, Route, WIRE},
};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const UNREACHABLE: HeaderName = HeaderName::from_static("causeway-unreachable");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
const VARY: HeaderValue = HeaderValue::from_static("Authorization, X-Goog-Api-Key, Accept-Encoding");

/// Answers with a page.
pub(super) async fn answer(
    server: &Server,
    route: &Arc<Route>,
    input: Input<'_>,
    view: &View,
    request: Request<'_>,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    let wish = wish(&request.head.headers);
    let served = gateway::list(&server.gateway, route, &input, &view.form, wish, Some(notes)).await?;
    let mut response = response(&served);
    vary(route, response.headers_mut());
    Ok(conditional::unless_known(request.head, response))
}

/// Answers with a page of all that a `-` stands for.
pub(super) async fn across(
    server: &Server,
    route: &Arc<Route>,
    input: Input<'_>,
    view: &View,
    request: Request<'_>,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    let wish = wish(&request.head.headers);
    let across = gateway::across(&server.gateway, route, &input, &view.form, wish, notes).await?;
    let Across { page, freshness, unreachable } = across;
    let age = freshness.age;
    let served = Served { page: Arc::new(page), age, how: How::Bypassed("") };
    let mut response = response(&served);
    response.headers_mut().insert(CACHE_STATUS, status_of_parts(freshness));
    insert_list(response.headers_mut(), UNREACHABLE, &unreachable);
    vary(route, response.headers_mut());
    Ok(conditional::unless_known(request.head, response))
}

/// Names the headers on which the answer may depend beside those of every page.
fn vary(route: &Route, headers: &mut HeaderMap) {
    for name in route.forward_headers.iter() {
        headers.append(header::VARY, HeaderValue::from(name.clone()));
    }
}

/// Tells how the parts of an answer came about: all of them were kept, some, or none.
fn status_of_parts(freshness: Freshness) -> HeaderValue {
    HeaderValue::from_static(match freshness {
        Freshness { fetched: 0, kept: 1.., .. } => "causeway; hit; detail=parts",
        Freshness { kept: 0, .. } => "causeway; fwd=uri-miss; detail=parts",
        Freshness { .. } => "causeway; fwd=partial; detail=parts",
    })
}

/// Prints a page and what is known about it.
pub(super) fn response(served: &Served) -> Response<Body> {
    let page = &served.page;
    let mut response = Response::new(Body::full(page.body.clone()));
    let headers = response.headers_mut();
    headers.reserve(8);
    headers.insert(header::CONTENT_TYPE, if page.form == WIRE { PROTOBUF } else { JSON });
    headers.insert(header::CACHE_CONTROL, PRIVATE);
    headers.insert(header::VARY, VARY);
    headers.insert(CACHE_STATUS, status(served.how));
    headers.insert(header::AGE, HeaderValue::from(served.age.as_secs()));
    headers.insert(header::ETAG, etag(&page.tag));
    insert_list(headers, UNKNOWN_TYPES, &page.notes);
    response
}

/// Tells how an answer came about (RFC 9211).
fn status(how: How) -> HeaderValue {
    let mut text = String::with_capacity(48);
    let seconds = |duration: Duration| duration.as_secs();
    let tier = |tier| match tier {
        Tier::Memory => "memory",
        Tier::Redis => "redis",
    };
    let written = match how {
        How::Hit(left, from) => write!(text, "causeway; hit; ttl={}; detail={}", seconds(left), tier(from)),
        How::Stale(over, from) => {
            write!(text, "causeway; hit; ttl=-{}; detail={}-stale", seconds(over).max(1), tier(from))
        }
        How::Fetched { wanted, stored, collapsed } => {
            let forwarded = if wanted { "request" } else { "uri-miss" };
            let stored = if stored { "; stored" } else { "" };
            let collapsed = if collapsed { "; collapsed" } else { "" };
            write!(text, "causeway; fwd={forwarded}{stored}{collapsed}")
        }
        How::Bypassed(why) => write!(text, "causeway; fwd=bypass; detail={why}"),
    };
    written.expect("writing to a string does not fail");
    HeaderValue::try_from(text).expect("words and numbers are plain")
}

/// Names a body. Weak, since it is the same name for the compressed body.
fn etag(tag: &[u8; 16]) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = *b"W/\"________________________________\"";
    for (pair, byte) in text[3..35].chunks_exact_mut(2).zip(tag) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    HeaderValue::from_bytes(&text).expect("digits are plain")
}

/// Reads what the caller says about kept pages (RFC 9111): `no-store`, `no-cache`, `max-age`, and `Pragma` of old.
pub(super) fn wish(headers: &HeaderMap) -> Wish {
    let mut wish = Wish::Any;
    let said = headers.get_all(header::CACHE_CONTROL);
    let mut any = false;
    for directive in said.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        any = true;
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("no-store") {
            return Wish::Apart;
        }
        if name.eq_ignore_ascii_case("no-cache") {
            wish = Wish::Fresh;
        } else if name.eq_ignore_ascii_case("max-age") && wish == Wish::Any {
            wish = match value.trim().trim_matches('"').parse() {
                // What cannot be read is stale (RFC 9111, 4.2.1).
                Ok(0) | Err(_) => Wish::Fresh,
                Ok(seconds) => Wish::NotOlderThan(Duration::from_secs(seconds)),
            };
        }
    }
    let pragma = headers.get(header::PRAGMA).map(HeaderValue::as_bytes);
    if !any && pragma.is_some_and(|pragma| pragma.eq_ignore_ascii_case(b"no-cache")) {
        return Wish::Fresh;
    }
    wish
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wished(pairs: &[(HeaderName, &'static str)]) -> Wish {
        wish(&pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect())
    }

    #[test]
    fn callers_say_what_they_think_of_kept_pages() {
        let control = header::CACHE_CONTROL;
        for (said, expected) in [
            ("", Wish::Any),
            ("no-cache", Wish::Fresh),
            ("No-Cache, max-age=20", Wish::Fresh),
            ("max-age=20", Wish::NotOlderThan(Duration::from_secs(20))),
            ("max-age=0", Wish::Fresh),
            ("max-age=x", Wish::Fresh),
            ("no-cache, no-store", Wish::Apart),
            ("only-if-cached, max-stale=3", Wish::Any),
        ] {
            assert_eq!(wished(&[(control.clone(), said)]), expected, "{said}");
        }
        assert_eq!(wished(&[(header::PRAGMA, "no-cache")]), Wish::Fresh);
        assert_eq!(wished(&[(header::PRAGMA, "no-cache"), (control, "max-stale")]), Wish::Any);
        assert_eq!(wished(&[]), Wish::Any);
    }

    #[test]
    fn the_way_of_an_answer_is_told() {
        let second = Duration::from_secs(1);
        let fetched = |wanted, stored, collapsed| How::Fetched { wanted, stored, collapsed };
        for (how, text) in [
            (How::Hit(second * 12, Tier::Memory), "causeway; hit; ttl=12; detail=memory"),
            (How::Stale(second * 4, Tier::Redis), "causeway; hit; ttl=-4; detail=redis-stale"),
            (fetched(false, true, false), "causeway; fwd=uri-miss; stored"),
            (fetched(false, true, true), "causeway; fwd=uri-miss; stored; collapsed"),
            (fetched(true, false, false), "causeway; fwd=request"),
            (How::Bypassed("redis-away"), "causeway; fwd=bypass; detail=redis-away"),
        ] {
            assert_eq!(status(how), text);
        }
        assert_eq!(etag(&[0xa5; 16]), "W/\"a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5\"");
    }
}
