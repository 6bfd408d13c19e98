//! Which headers cross the gateway: up by allow-list, to which an upstream's section may add, down by deny-list, both bounded.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of the caller that an upstream sees. All else stays here.
static UP: [HeaderName; 3] = [
    header::ACCEPT_LANGUAGE,
    HeaderName::from_static("x-goog-api-client"),
    HeaderName::from_static("tracestate"),
];
/// Headers that go up too and are new with every call. HPACK is told not to remember them: they would push everything
/// that repeats out of its table, which costs more than all else about a header.
static UP_ONCE: [HeaderName; 2] =
    [HeaderName::from_static("x-request-id"), HeaderName::from_static("traceparent")];
/// Goes up too where the caller's own credential does: it names who pays, which is for the credential's owner to say.
static USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");
static REQUEST_PARAMS: HeaderName = HeaderName::from_static("x-goog-request-params");
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Who calls.
const USER_AGENT: &str = concat!("causeway/", env!("CARGO_PKG_VERSION"));

/// Headers of an upstream that reach the caller; those past it are dropped.
const DOWN_COUNT_MAX: usize = 32;
/// Bytes of names and values of an upstream's headers that reach the caller; those past it are dropped.
const DOWN_BYTES_MAX: usize = 8 * 1024;

/// Headers that never come down. Those of the connection and of the gRPC body mean nothing to the caller; those that
/// steer a browser or a cache are for the gateway to say; the rest are names of its own.
const NEVER_DOWN: [&str; 51] = [
    "accept-encoding",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "cache-status",
    "clear-site-data",
    "connection",
    "cookie",
    "date",
    "etag",
    "expires",
    "host",
    "idempotency-key",
    "idempotency-replayed",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "nel",
    "permissions-policy",
    "pragma",
    "proxy-authenticate",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "retry-after",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "status",
    "strict-transport-security",
    "te",
    "timing-allow-origin",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-frame-options",
    "x-http-method-override",
    "x-request-id",
];
/// Beginnings of names that never come down.
const NEVER_DOWN_PREFIXES: [&str; 10] = [
    "grpc-",
    "content-",
    "causeway-",
    "x-causeway-",
    "x-accel-",
    "x-forwarded-",
    "access-control-",
    "cross-origin-",
    "sec-",
    "proxy-",
];

/// What a call adds to the caller's headers.
pub(super) struct Additions<'c> {
    /// `x-goog-request-params`.
    pub(super) routing: Option<&'c HeaderValue>,
    /// `grpc-timeout`; a stream of unlimited length has none.
    pub(super) timeout: Option<HeaderValue>,
    /// `authorization`.
    pub(super) authorization: Option<HeaderValue>,
    /// `x-goog-user-project`, unless the credential is the caller's own and they name another.
    pub(super) user_project: Option<&'c HeaderValue>,
    /// Whether the credential is the caller's own.
    pub(super) callers_credential: bool,
    /// Headers that go up because the configuration names them.
    pub(super) forward_headers: &'c [HeaderName],
}

/// Builds the headers of a call from those of the caller.
pub(super) fn up(callers: &[(HeaderName, HeaderValue)], additions: Additions<'_>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let Some(timeout) = additions.timeout {
        headers.insert(&GRPC_TIMEOUT, timeout);
    }
    if let Some(authorization) = additions.authorization {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    if let Some(routing) = additions.routing {
        headers.insert(&REQUEST_PARAMS, routing.clone());
    }
    if let Some(project) = additions.user_project {
        headers.insert(&USER_PROJECT, project.clone());
    }
    for (name, value) in callers {
        let once = UP_ONCE.contains(name);
        if once || UP.contains(name) || (additions.callers_credential && *name == USER_PROJECT) {
            let mut value = value.clone();
            value.set_sensitive(once);
            headers.insert(name.clone(), value);
        } else if additions.forward_headers.contains(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Adds what may come down of an upstream's headers or trailers to `headers`.
pub(super) fn down(headers: &mut HeaderMap, upstreams: &HeaderMap) {
    let mut bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    for (name, value) in upstreams {
        if stays_up(name.as_str()) {
            continue;
        }
        bytes += name.as_str().len() + value.len();
        if headers.len() >= DOWN_COUNT_MAX || bytes > DOWN_BYTES_MAX {
            return;
        }
        headers.append(name.clone(), value.clone());
    }
}

fn stays_up(name: &str) -> bool {
    name.ends_with("-bin")
        || NEVER_DOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NEVER_DOWN.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&'static str, &'static str)]) -> Vec<(HeaderName, HeaderValue)> {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn map(given: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs(given).into_iter().collect()
    }

    fn additions(callers_credential: bool) -> Additions<'static> {
        Additions {
            routing: None,
            timeout: None,
            authorization: None,
            user_project: None,
            callers_credential,
            forward_headers: &[],
        }
    }

    #[test]
    fn the_list_can_be_searched() {
        assert!(NEVER_DOWN.is_sorted());
    }

    #[test]
    fn only_what_is_listed_goes_up() {
        let callers = pairs(&[
            ("x-goog-api-client", "gl-python/3"),
            ("traceparent", "00-1-2-01"),
            ("authorization", "Bearer gateway"),
            ("cookie", "session=1"),
            ("x-goog-user-project", "someone-else-pays"),
            ("x-goog-request-params", "name=forged"),
            ("grpc-timeout", "1n"),
            ("evil-bin", "AA"),
        ]);
        let up_to = |callers_credential| {
            let headers = up(&callers, additions(callers_credential));
            let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(up_to(false), ["content-type", "te", "traceparent", "user-agent", "x-goog-api-client"]);
        assert_eq!(
            up_to(true),
            ["content-type", "te", "traceparent", "user-agent", "x-goog-api-client", "x-goog-user-project"]
        );
    }

    #[test]
    fn what_is_configured_goes_up_with_all_its_values() {
        let callers = pairs(&[("x-tenant", "a"), ("x-secret", "s"), ("x-tenant", "b")]);
        let forwarded = [HeaderName::from_static("x-tenant")];
        let headers = up(&callers, Additions { forward_headers: &forwarded, ..additions(false) });
        assert_eq!(headers.get_all("x-tenant").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(!headers.contains_key("x-secret"));
    }

    #[test]
    fn who_pays_is_for_the_credentials_owner_to_say() {
        let (callers, ours) = (pairs(&[("x-goog-user-project", "theirs")]), HeaderValue::from_static("ours"));
        let paying = |callers: &[(HeaderName, HeaderValue)], user_project, callers_credential| {
            let additions = Additions { user_project, ..additions(callers_credential) };
            up(callers, additions).get(&USER_PROJECT).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(paying(&callers, Some(&ours), false).as_deref(), Some("ours"));
        assert_eq!(paying(&callers, None, false), None);
        assert_eq!(paying(&callers, Some(&ours), true).as_deref(), Some("theirs"));
        assert_eq!(paying(&[], Some(&ours), true).as_deref(), Some("ours"));
    }

    #[test]
    fn nothing_of_the_connection_of_grpc_or_of_ours_comes_down() {
        let upstreams = map(&[
            ("x-goog-ext", "1"),
            ("x-debug", "a"),
            ("x-debug", "b"),
            ("grpc-status", "0"),
            ("trace-bin", "AAEC"),
            ("content-type", "application/grpc"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
            ("causeway-operation", "forged"),
            ("x-request-id", "forged"),
            ("date", "now"),
            ("te", "trailers"),
        ]);
        let mut headers = HeaderMap::new();
        down(&mut headers, &upstreams);
        assert_eq!(headers, map(&[("x-goog-ext", "1"), ("x-debug", "a"), ("x-debug", "b")]));
    }

    #[test]
    fn a_flood_of_headers_is_cut() {
        let mut upstreams = HeaderMap::new();
        for n in 0..1000 {
            let name: HeaderName = format!("x-{n}").parse().unwrap();
            upstreams.append(name, HeaderValue::from_static("v"));
        }
        let mut headers = HeaderMap::new();
        down(&mut headers, &upstreams);
        assert_eq!(headers.len(), DOWN_COUNT_MAX);

        let mut upstreams = HeaderMap::new();
        upstreams.append("x-small", HeaderValue::from_static("v"));
        upstreams.append("x-large", HeaderValue::try_from("v".repeat(DOWN_BYTES_MAX)).unwrap());
        let mut headers = HeaderMap::new();
        down(&mut headers, &upstreams);
        assert!(headers.keys().all(|name| name == "x-small"));
    }
}
