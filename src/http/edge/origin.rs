//! What a browser is made to send by pages that are not ours.
//!
//! Where nobody is asked who they are, whoever reaches the listener may do everything, and a browser on that machine sends
//! for any page that it shows: a form to another site's address, or a request to the page's own name, which leads here all
//! of a sudden (DNS rebinding). The first is told by what browsers say of a request (Fetch Metadata; `Origin` where they are
//! older), the second by the name that the request is addressed to. Who shows a credential needs neither: no page has it.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts, uri::Authority};

use crate::{
    config::HostName,
    error::{Code, Error, Reason, Result},
};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Refuses what another site's page sends. `hosts` are names that the gateway has beside those that are always its own.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(super) fn check(head: &Parts, hosts: &[HostName]) -> Result<()> {
    let named = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    for authority in named.into_iter().chain(target) {
        if !is_ours(authority, hosts) {
            let name = String::from_utf8_lossy(authority);
            return Err(denied(format!(
                "{name} is no name of this gateway. While identity.mode is none it answers to localhost, to addresses, and \
                 to the names of http.hosts."
            )));
        }
    }
    if is_foreign(head, target.or(named)) {
        return Err(denied(
            "A browser sent this for a page of another site; while identity.mode is none only its own pages may.".to_owned(),
        ));
    }
    Ok(())
}

/// Nobody can make a name for pages of theirs out of an address or of `localhost` (RFC 6761, 6.3).
fn is_ours(authority: &[u8], hosts: &[HostName]) -> bool {
    let Ok(authority) = Authority::try_from(authority) else { return false };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    bare.parse::<IpAddr>().is_ok()
        || last.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|known| known.is(name))
}

/// Whether a page of another origin made the browser send it. A link that somebody follows to here is their own doing, and
/// changes nothing.
fn is_foreign(head: &Parts, authority: Option<&[u8]>) -> bool {
    let value = |name| head.headers.get(name).map(HeaderValue::as_bytes);
    match value(SITE) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => {
            let is_link = value(MODE) == Some(b"navigate") && value(DEST) == Some(b"document");
            !(is_link && matches!(head.method, Method::GET | Method::HEAD))
        }
        None => is_of_another_origin(&head.headers, authority),
    }
}

/// The same by `Origin`, which is that of the page: a scheme and where it comes from, or `null`.
fn is_of_another_origin(headers: &HeaderMap, authority: Option<&[u8]>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN).map(HeaderValue::as_bytes) else { return false };
    let at = origin.windows(3).position(|three| three == b"://");
    let page = at.map(|at| &origin[at + 3..]);
    !page.zip(authority).is_some_and(|(page, authority)| page.eq_ignore_ascii_case(authority))
}

fn denied(text: String) -> Error {
    Error::new(Code::PermissionDenied, Reason::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = Request::builder().method(method).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    fn hosts() -> Vec<HostName> {
        vec!["Gateway.example.com".parse().unwrap()]
    }

    #[test]
    fn it_answers_to_names_that_lead_nowhere_else() {
        for (host, ours) in [
            ("localhost", true),
            ("LocalHost.:8080", true),
            ("causeway.localhost:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("10.1.2.3", true),
            ("gateway.EXAMPLE.com:443", true),
            ("evil.example", false),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("gateway.example.com.evil.example", false),
            ("notlocalhost", false),
            ("", false),
        ] {
            let by_header = check(&head("GET", "/v1/x", &[("host", host)]), &hosts());
            assert_eq!(by_header.is_ok(), ours, "{host}");
            if !host.is_empty() {
                let uri = format!("http://{host}/v1/x");
                assert_eq!(check(&head("GET", &uri, &[]), &hosts()).is_ok(), ours, "{uri}");
            }
        }
        assert!(check(&head("GET", "/v1/x", &[]), &[]).is_ok(), "no browser leaves it out");
    }

    #[test]
    fn what_a_page_of_another_site_sends_is_refused() {
        let link = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        for (method, site, more, passes) in [
            ("POST", "same-origin", &[][..], true),
            ("POST", "none", &[], true),
            ("POST", "cross-site", &[], false),
            ("POST", "same-site", &[], false),
            ("POST", "cross-site", &link, false),
            ("GET", "cross-site", &[], false),
            ("GET", "cross-site", &frame, false),
            ("GET", "cross-site", &link, true),
        ] {
            let headers = [&[("host", "localhost:8080"), ("sec-fetch-site", site)], more].concat();
            let checked = check(&head(method, "/v1/x", &headers), &[]);
            assert_eq!(checked.is_ok(), passes, "{method} {site} {more:?}");
        }
        for (origin, passes) in [
            ("http://localhost:8080", true),
            ("https://LOCALHOST:8080", true),
            ("http://localhost:3000", false),
            ("http://evil.example", false),
            ("null", false),
        ] {
            let headers = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(check(&head("POST", "/v1/x", &headers), &[]).is_ok(), passes, "{origin}");
        }
    }
}
