//! One request, one call.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    Gateway,
    metadata::Caller,
    mutation,
    notes::Notes,
    route::{Repeat, Route},
    routing_header,
};
use crate::{
    error::{Code, Error, Reason, Result},
    operations::{Answered, Role},
    transcode::{JsonOptions, Parsed, Peeked, Query, shortened},
    upstream::{Call, Reply, Upstream},
};

/// Bytes of a request's JSON that are kept in the audit log; a longer one is shortened.
const REQUEST_KEPT_BYTES_MAX: usize = 8 * 1024;

/// What a request brings.
pub struct Input<'r> {
    /// The values of the template's variables.
    pub captures: &'r [Cow<'r, str>],
    /// The query, without what the gateway itself understood of it.
    pub query: &'r Query<'r>,
    /// The body.
    pub payload: Payload<'r>,
    /// Who asks.
    pub caller: Caller<'r>,
}

/// A request body.
pub enum Payload<'r> {
    /// JSON, or nothing.
    Json(&'r [u8]),
    /// The request itself, in wire format.
    Wire(&'r [u8]),
    /// Anything, for a method that takes a `google.api.HttpBody`.
    Raw {
        /// The content type as sent.
        content_type: &'r str,
        /// The bytes as sent.
        data: &'r [u8],
    },
}

/// What the upstream answered.
pub struct Forwarded {
    /// The response message.
    pub message: Bytes,
    /// Metadata that may be shown to the caller.
    pub headers: HeaderMap,
}

/// Makes a unary call; one that changes something goes through the journal.
///
/// # Errors
/// The request does not fit the method, the upstream is not configured or cannot be reached, or it refused; the journal
/// cannot be written (`AUDIT_UNAVAILABLE`), or its Idempotency-Key forbids it.
pub async fn unary(
    gateway: &Gateway,
    route: &Route,
    input: Input<'_>,
    notes: &mut Notes,
) -> Result<Forwarded> {
    let upstream = upstream(route)?;
    let bytes = noted(gateway, route, &input, notes)?;
    let call = call(route, &input, bytes.into());
    let reply = if route.mutation {
        let changed = route.changed(&route.resource(input.captures));
        mutation::run(gateway, upstream, route, call, changed, notes).await
    } else {
        read(gateway, upstream, route, call, notes).await
    };
    let Reply { message, headers } = reply.inspect_err(|error| notes.refused(error))?;
    Ok(Forwarded { message, headers })
}

/// Makes a call that changes nothing. What it tells about operations on record is noted; what the upstream has forgotten
/// of them is answered from the record.
async fn read(
    gateway: &Gateway,
    upstream: &Upstream,
    route: &Route,
    call: Call,
    notes: &Notes,
) -> Result<Reply> {
    let Some(role) = route.role else { return upstream.unary(call).await };
    let tracker = &gateway.ledger.tracker;
    match upstream.unary(call).await {
        Ok(reply) => {
            let answered = Answered {
                upstream: &route.upstream_key,
                method: &route.method,
                principal: &notes.entry.principal,
                names: &notes.entry.resource_names,
                reply: &reply.message,
            };
            tracker.saw(role, &answered).await;
            Ok(reply)
        }
        // Where headers of callers go up, it may be there for others and not for this one.
        Err(error)
            if role == Role::GetsLro
                && error.code() == Code::NotFound
                && error.reason().is_none()
                && !upstream.is_given_headers() =>
        {
            let name = notes.entry.resource_names.first().map_or("", String::as_str);
            match Box::pin(tracker.remembered(&route.upstream_key, name)).await {
                Some(message) => Ok(Reply { message: message.into(), headers: HeaderMap::new() }),
                None => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Makes the message of a request, and notes what was dropped on the way, and as much of it as may be kept. Refuses one that
/// names what its caller may not use.
pub(super) fn noted(
    gateway: &Gateway,
    route: &Route,
    input: &Input<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>> {
    let Parsed { bytes, ignored } = transcode_in(route, input)?;
    note(route, &bytes, notes);
    notes.ignored = ignored;
    gateway.named.require(route, input.caller.principal, input.captures, &bytes)?;
    Ok(bytes)
}

/// Notes as much of the request as may be kept.
fn note(route: &Route, message: &[u8], notes: &mut Notes) {
    let selection = Some(&route.keepable);
    let options = JsonOptions { selection, paths_as_they_are: true, ..JsonOptions::default() };
    let mut request = Vec::new();
    let printed = route.request.message().to_json(message, &options, &mut request);
    if printed.is_ok() {
        let request = String::from_utf8(request).unwrap_or_default();
        notes.entry.request = shortened(request, REQUEST_KEPT_BYTES_MAX);
    }
}

/// Returns the upstream that a route leads to.
pub(super) fn upstream(route: &Route) -> Result<&Arc<Upstream>> {
    route.upstream.as_ref().ok_or_else(|| {
        let key = &route.upstream_key;
        Error::new(
            Code::Unimplemented,
            Reason::UpstreamNotConfigured,
            format!(
                "The upstream {key} is known but not configured. Add a section [upstreams.{key}] to the \
                 configuration, e.g. with endpoint = \"https://…\"."
            ),
        )
        .with_metadata("upstream", &**key)
    })
}

/// Makes the call that a request asks for.
pub(super) fn call(route: &Route, input: &Input<'_>, message: Bytes) -> Call {
    Call {
        path: route.path.clone(),
        retryable: may_repeat(route, &message),
        message,
        metadata: input.caller.metadata(&route.forward_headers),
        routing: routing_header::of(&route.variables, input.captures),
        timeout: Some(input.caller.timeout()),
        authorization: input.caller.authorization(),
    }
}

pub(super) fn transcode_in(route: &Route, input: &Input<'_>) -> Result<Parsed> {
    input.caller.require_forwardable(&route.forward_headers)?;
    match input.payload {
        Payload::Json(body) => route.request.to_wire(input.captures, input.query, body, route.unknown),
        Payload::Wire(message) => Ok(Parsed { bytes: message.to_vec(), ignored: Vec::new() }),
        Payload::Raw { content_type, data } => {
            route.request.to_wire_raw(input.captures, input.query, content_type, data)
        }
    }
}

/// A request id that is set, wherever it came from, lets the upstream tell a repetition from a second wish.
fn may_repeat(route: &Route, message: &[u8]) -> bool {
    match &route.repeat {
        Repeat::Always => true,
        Repeat::Never => false,
        Repeat::WithRequestId(plan) => {
            let id = plan.peek(message, "request_id").ok().flatten().and_then(Peeked::text);
            id.is_some_and(|id| !id.is_empty())
        }
    }
}
