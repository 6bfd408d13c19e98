//! Which of the caller's headers go up.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

use crate::{
    crypto::{Mac, sha256_of_each},
    error::{Error, Result},
    model::Principal,
    upstream::Timeout,
};

/// Bytes of headers that go up because the configuration names them: servers of gRPC take 8 KiB of metadata in all by default.
const FORWARDED_BYTES_MAX: usize = 4 * 1024;

/// What goes up as it came; the upstream decides what of it its credentials allow. Everything else stays here unless
/// `forward_headers` names it: a caller must not be able to set metadata that an upstream trusts because it comes from us.
const PASSED: [HeaderName; 3] =
    [header::ACCEPT_LANGUAGE, HeaderName::from_static("x-goog-api-client"), USER_PROJECT];

const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const UPSTREAM_AUTHORIZATION: HeaderName = HeaderName::from_static("x-causeway-upstream-authorization");

/// Bytes of a `tracestate` that goes on; the specification asks for at least this.
const TRACESTATE_BYTES_MAX: usize = 512;

/// Who asks, and on what terms.
#[derive(Clone, Copy)]
pub struct Caller<'r> {
    /// Who it is.
    pub principal: &'r Principal,
    /// The headers of the request.
    pub headers: &'r HeaderMap,
    /// The id under which the request is logged.
    pub request_id: &'r HeaderValue,
    /// The span of the call that is about to be made.
    pub traceparent: &'r HeaderValue,
    /// Whether the trace is the caller's, so that its `tracestate` belongs to it.
    pub traced: bool,
    /// When the answer must have begun.
    pub deadline: Instant,
    /// The time that the caller named, if any.
    pub named_deadline: Option<Instant>,
    /// Whether `Authorization` is not what the caller authenticated to us with.
    pub authorization_is_free: bool,
}

impl Caller<'_> {
    /// Makes the metadata of the call to an upstream that is given these headers too.
    pub(super) fn metadata(&self, forwarded: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
        let mut metadata = Vec::with_capacity(3 + PASSED.len());
        metadata.push((REQUEST_ID, self.request_id.clone()));
        metadata.push((TRACEPARENT, self.traceparent.clone()));
        if let Some(state) = self.headers.get(TRACESTATE)
            && self.traced
            && state.len() <= TRACESTATE_BYTES_MAX
        {
            metadata.push((TRACESTATE, state.clone()));
        }
        for name in PASSED {
            if let Some(value) = self.headers.get(&name) {
                metadata.push((name, value.clone()));
            }
        }
        metadata.extend(self.forwarded(forwarded).map(|(name, value)| (name.clone(), value.clone())));
        metadata
    }

    /// Returns what there is of headers that an upstream is given because its section names them.
    pub(super) fn forwarded<'f>(
        &'f self,
        names: &'f [HeaderName],
    ) -> impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)> {
        names.iter().flat_map(|name| self.headers.get_all(name).into_iter().map(move |value| (name, value)))
    }

    /// Refuses what the metadata of gRPC cannot hold: dropped, it would make another request of it. And more than servers take.
    pub(super) fn require_forwardable(&self, names: &[HeaderName]) -> Result<()> {
        let is_plain = |value: &HeaderValue| value.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
        let bytes: usize = self.forwarded(names).map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > FORWARDED_BYTES_MAX {
            return Err(Error::limit(format!(
                "The headers that go to the upstream have {bytes} bytes; at most {FORWARDED_BYTES_MAX} are allowed."
            )));
        }
        match self.forwarded(names).find(|(_, value)| !is_plain(value)) {
            Some((name, _)) => {
                let why = "this header goes to the upstream, so its value can only hold printable ASCII";
                Err(Error::invalid_field(name.as_str(), why))
            }
            None => Ok(()),
        }
    }

    /// Makes one word of these headers, in which every one of their values counts.
    pub(super) fn forwarded_tag(&self, names: &[HeaderName]) -> [u8; 32] {
        tag(self.forwarded(names))
    }

    /// Returns the time that is left.
    pub(super) fn timeout(&self) -> Timeout {
        Timeout::until(self.deadline).named(self.named_deadline)
    }

    /// Returns what upstreams may write texts in, as sent.
    pub(super) fn language(&self) -> &[u8] {
        self.headers.get(header::ACCEPT_LANGUAGE).map_or(&[], HeaderValue::as_bytes)
    }

    /// Tells those apart who may see different things with credentials of their own: by who they are, what they hand over,
    /// and who pays.
    pub(super) fn visibility(&self, mac: &Mac) -> [u8; 32] {
        let credential = self.authorization();
        let payer = self.headers.get(&USER_PROJECT);
        let bytes = |value: Option<&HeaderValue>| value.map_or(&[][..], HeaderValue::as_bytes).to_vec();
        let (given, payer) = (bytes(credential.as_ref()), bytes(payer));
        mac.tag(&sha256_of_each([self.principal.id.as_bytes(), &given, &payer]))
    }

    /// Returns the credential meant for an upstream: what was sent for that purpose, else `Authorization`, unless it is
    /// what the caller authenticated to us with.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let authorization =
            || self.authorization_is_free.then(|| self.headers.get(header::AUTHORIZATION)).flatten();
        let mut value = self.headers.get(UPSTREAM_AUTHORIZATION).or_else(authorization)?.clone();
        value.set_sensitive(true);
        Some(value)
    }
}

/// Makes one word of headers, in which every name and value counts.
pub(super) fn tag<'h>(pairs: impl Iterator<Item = (&'h HeaderName, &'h HeaderValue)>) -> [u8; 32] {
    sha256_of_each(pairs.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(pairs: &[(&'static str, &'static str)], traced: bool) -> HeaderMap {
        let headers = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let (request_id, traceparent) =
            (HeaderValue::from_static("id"), HeaderValue::from_static("00-parent"));
        let principal = Principal::anonymous();
        let caller = Caller {
            principal: &principal,
            headers: &headers,
            request_id: &request_id,
            traceparent: &traceparent,
            traced,
            deadline: Instant::now(),
            named_deadline: None,
            authorization_is_free: true,
        };
        caller.metadata(&[]).into_iter().collect()
    }

    #[test]
    fn only_listed_headers_go_up() {
        let metadata = up(
            &[
                ("authorization", "Bearer secret"),
                ("cookie", "a=b"),
                ("x-goog-request-params", "name=forged"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-request-id", "not the checked one"),
                ("accept-language", "de"),
                ("tracestate", "a=b"),
            ],
            false,
        );
        let mut names: Vec<_> = metadata.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept-language", "traceparent", "x-request-id"]);
        assert_eq!(metadata["x-request-id"], "id");
        assert_eq!(up(&[("tracestate", "a=b")], true)["tracestate"], "a=b");
    }
}
