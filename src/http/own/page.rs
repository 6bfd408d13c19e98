//! What our pages for browsers have in common.

use http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};

use crate::http::body::Body;

/// Turns an answer into a page or a part of one: what it may load, and for how long a browser may keep it.
pub(super) fn dress(response: &mut Response<Body>, policy: &'static str, cache: &'static str) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
}

/// Takes the body from an answer that the caller has already, by its `ETag`.
pub(super) fn unless_known(head: &Parts, mut response: Response<Body>) -> Response<Body> {
    let Some(tag) = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()) else {
        return response;
    };
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let known = head
        .headers
        .get_all(header::IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|given| given.trim() == "*" || strong(given) == strong(tag));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().remove(header::CONTENT_ENCODING);
    }
    response
}

/// Writes text so that HTML shows it as it is, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes() {
        assert_eq!(escape(r#"<a href='x' b="&">"#), "&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;");
    }
}
