//! `upstreams.<key>.forward_headers`: which of a caller's own headers an upstream is given.

use ::http::HeaderName;

use super::section::Section;

/// Names in one list.
const NAMES_MAX: usize = 32;

/// What goes up anyway.
const GOES_UP: [&str; 6] = [
    "accept-language",
    "traceparent",
    "tracestate",
    "x-goog-api-client",
    "x-goog-user-project",
    "x-request-id",
];

/// What is between two neighbours, shown to prove who somebody is, or said to the gateway: an upstream that heard it from a
/// caller would take it for the gateway's word.
const NEVER: [&str; 26] = [
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "last-event-id",
    "pragma",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-http-method-override",
    "x-real-ip",
    "x-server-timeout",
];
/// Beginnings of such names.
const NEVER_PREFIXES: [&str; 9] =
    ["causeway-", "content-", "grpc-", "if-", "proxy-", "sec-", "x-causeway-", "x-forwarded-", "x-goog-"];

/// Reads the list; each name once, in lower case.
pub(super) fn read(s: &mut Section<'_>) -> Vec<HeaderName> {
    let written: Vec<String> = s.value("forward_headers", Vec::new());
    if written.len() > NAMES_MAX {
        s.wrong(
            "forward_headers",
            format!("more than {NAMES_MAX} names; an upstream is given no more than that"),
        );
        return Vec::new();
    }
    let mut names = Vec::with_capacity(written.len());
    for text in written {
        match name(&text) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(why) => s.wrong("forward_headers", format!("{text:?} {why}; leave it out")),
        }
    }
    names
}

fn name(text: &str) -> Result<HeaderName, &'static str> {
    let name: HeaderName = text.parse().map_err(|_| "is no name of a header")?;
    let text = name.as_str();
    if GOES_UP.contains(&text) {
        return Err("goes up by itself where it may");
    }
    if text.ends_with("-bin") {
        return Err("would hold bytes, which a header of HTTP cannot");
    }
    if NEVER.contains(&text) || NEVER_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(
            "is of the connection, of gRPC, of a credential or of the gateway itself, and never goes up as a caller sends it",
        );
    }
    Ok(name)
}
