//! Lists whose pages are kept: what their callers can ask for, and how an answer looks that has nothing new.

use utoipa::openapi::{Response, ResponseBuilder};

use super::{across, address::Path, headers};
use crate::schema::Address;

/// The answer to whoever has the page already, as a component.
pub(super) const NOT_MODIFIED: &str = "NotModified";

/// The headers by which a caller asks, as components.
pub(super) const IF_NONE_MATCH: &str = "IfNoneMatch";
pub(super) const CACHE_CONTROL: &str = "CacheControl";

/// Whether the answers of a list have a tag and an age: its pages are kept, or put together of such as may be. A
/// configuration can still turn that off.
pub(super) fn are_kept(address: &Address<'_>, path: &Path) -> bool {
    let (method, rule) = (address.method, &address.method.cache);
    if method.list.is_none() || method.server_streaming {
        return false;
    }
    let is_wanted = rule.enabled.unwrap_or(rule.ttl.is_some() || rule.stale.is_some());
    let lasts = rule.ttl.is_none_or(|ttl| !ttl.is_zero());
    let is_kept = is_wanted && lasts && address.binding.response_body.is_none();
    is_kept || !across::wildcards(address, path).is_empty()
}

/// The answer to whoever has the page already.
pub(super) fn not_modified() -> Response {
    let mut response = ResponseBuilder::new()
        .description("The page is the one that `If-None-Match` names. There is no body.")
        .build();
    headers::refer(&mut response, [headers::REQUEST_ID].into_iter().chain(headers::KEPT));
    response
}
