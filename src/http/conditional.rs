//! Answers to callers who have them already.

use http::{Response, StatusCode, header, request::Parts};

use super::body::Body;

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
