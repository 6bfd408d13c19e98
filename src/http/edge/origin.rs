//! What a browser is made to send by pages that are not ours.
//!
//! Where nobody is asked who they are, whoever reaches the listener may do everything, and a browser on that machine sends
//! for any page that it shows: a form to another site's address, or a request to the page's own name, which leads here all
//! of a sudden (DNS rebinding). The first is told by what browsers say of a request (Fetch Metadata; `Origin` where they are
//! older), the second by the name that the request is addressed to. Who shows a credential needs neither: no page has it.
//!
//! What changes nothing is not refused for where it comes from: there is no CORS, so the page cannot read the answer.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Method, header, request::Parts, uri::Authority};

use crate::{
    config::HostName,
    error::{Code, Error, Reason, Result},
};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses what another site's page sends. `changes` says that what is asked for may change something although it is a GET.
/// `hosts` are names that the gateway has beside those that are always its own; `None`: nobody can pretend to be it under
/// another name, since its certificate says who it is.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub(super) fn check(head: &Parts, changes: bool, hosts: Option<&[HostName]>) -> Result<()> {
    let named = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let target = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    if let Some(hosts) = hosts {
        let mut authorities = named.into_iter().chain(target);
        if let Some(foreign) = authorities.find(|authority| !is_ours(authority, hosts)) {
            return Err(denied(format!(
                "{} is no name of this gateway. While identity.mode is none, it answers to localhost, to addresses, to names \
                 without a dot, and to those of http.hosts.",
                String::from_utf8_lossy(foreign)
            )));
        }
    }
    let is_read = !changes && matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_read && is_foreign(head, target.or(named), hosts.unwrap_or_default()) {
        let text = "A browser sent this for a page of another site. While identity.mode is none, only the gateway's own \
                    pages may.";
        return Err(denied(text.to_owned()));
    }
    Ok(())
}

/// Whether others can hardly have pages of theirs under a name: an address, `localhost` (RFC 6761, 6.3), or a name without a
/// dot, which belongs to whoever runs this network.
fn is_ours(authority: &[u8], hosts: &[HostName]) -> bool {
    let Ok(authority) = Authority::try_from(authority) else { return false };
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_local = match host.rsplit_once('.') {
        Some(_) => name.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost")),
        None => !host.is_empty(),
    };
    is_local || bare.parse::<IpAddr>().is_ok() || hosts.iter().any(|known| known.is(name))
}

/// Whether a page of another origin made the browser send it.
fn is_foreign(head: &Parts, authority: Option<&[u8]>, hosts: &[HostName]) -> bool {
    let value = |name| head.headers.get(name).map(HeaderValue::as_bytes);
    match (value(SITE), value(header::ORIGIN)) {
        (Some(site), _) => !matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => !is_page_of(origin, authority, hosts),
        (None, None) => false,
    }
}

/// Whether an origin, a scheme and where the page comes from or `null`, is where the request goes. A proxy in front may send
/// on another `Host`, without the port, say: under a name of ours a page is ours.
fn is_page_of(origin: &[u8], authority: Option<&[u8]>, hosts: &[HostName]) -> bool {
    let Some((scheme, page)) = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"))
    else {
        return false;
    };
    let Ok(page) = page.parse::<Authority>() else { return false };
    let port = |authority: &Authority| authority.port_u16().or_else(|| default_port(scheme));
    let is_there = |authority: &Authority| {
        page.host().eq_ignore_ascii_case(authority.host()) && port(&page) == port(authority)
    };
    authority
        .and_then(|authority| Authority::try_from(authority).ok())
        .is_some_and(|authority| is_there(&authority))
        || hosts.iter().any(|known| known.is(page.host()))
}

/// The port of a URL that names none.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
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

    #[test]
    fn it_answers_to_names_that_lead_nowhere_else() {
        let hosts: [HostName; 1] = ["Gateway.example.com".parse().unwrap()];
        for (host, ours) in [
            ("localhost", true),
            ("LocalHost.:8080", true),
            ("causeway.localhost:8080", true),
            ("causeway:8080", true),
            ("ai.:8080", false),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("10.1.2.3", true),
            ("gateway.EXAMPLE.com:443", true),
            ("evil.example", false),
            ("evil.example.:8080", false),
            ("localhost@evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("gateway.example.com.evil.example", false),
            ("evil.notlocalhost", false),
            ("", false),
        ] {
            let by_header = head("GET", "/v1/x", &[("host", host)]);
            assert_eq!(check(&by_header, false, Some(&hosts)).is_ok(), ours, "{host}");
            assert!(check(&by_header, false, None).is_ok(), "{host}");
            if !host.is_empty() {
                let uri = format!("http://{host}/v1/x");
                assert_eq!(check(&head("GET", &uri, &[]), false, Some(&hosts)).is_ok(), ours, "{uri}");
            }
        }
        assert!(check(&head("GET", "/v1/x", &[]), false, Some(&[])).is_ok(), "no browser leaves it out");
    }

    #[test]
    fn what_a_page_of_another_site_sends_changes_nothing() {
        for (method, changes, site, passes) in [
            ("POST", false, "same-origin", true),
            ("POST", false, "none", true),
            ("POST", false, "cross-site", false),
            ("POST", false, "same-site", false),
            ("DELETE", true, "cross-site", false),
            ("GET", true, "cross-site", false),
            ("GET", true, "same-origin", true),
            ("GET", false, "cross-site", true),
            ("OPTIONS", false, "cross-site", true),
        ] {
            let headers = [("host", "localhost:8080"), ("sec-fetch-site", site)];
            assert_eq!(
                check(&head(method, "/v1/x", &headers), changes, Some(&[])).is_ok(),
                passes,
                "{method} {site}"
            );
            assert_eq!(
                check(&head(method, "/v1/x", &headers), changes, None).is_ok(),
                passes,
                "{method} {site}"
            );
        }
        for (origin, passes) in [
            ("http://localhost:8080", true),
            ("https://LOCALHOST:8080", true),
            ("http://localhost:3000", false),
            ("http://evil.example", false),
            ("null", false),
        ] {
            let headers = [("host", "localhost:8080"), ("origin", origin)];
            assert_eq!(check(&head("POST", "/v1/x", &headers), false, Some(&[])).is_ok(), passes, "{origin}");
        }
        let hosts: [HostName; 1] = ["gw.example.com".parse().unwrap()];
        for (host, origin, passes) in [
            ("gw.example.com", "http://gw.example.com:8000", true),
            ("gw.example.com:80", "http://gw.example.com", true),
            ("127.0.0.1:8080", "http://GW.example.com", true),
            ("127.0.0.1:80", "http://127.0.0.1", true),
            ("127.0.0.1:80", "https://127.0.0.1", false),
            ("gw.example.com", "http://gw.example.com.evil.example", false),
        ] {
            let headers = [("host", host), ("origin", origin)];
            let checked = check(&head("POST", "/v1/x", &headers), false, Some(&hosts));
            assert_eq!(checked.is_ok(), passes, "{host} {origin}");
        }
    }
}
