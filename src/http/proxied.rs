//! Answers from an upstream: reads what the caller wants, lets the gateway make the call, prints what came back.

use std::{pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header, request::Parts};

use super::{
    JSON, Server,
    body::Body,
    edge::{
        Exchange,
        body::{self, Inbound},
    },
    idempotency,
    limits::LIST_HEADER_BYTES_MAX,
    pages,
    server::Proxied,
    stream::{Printer, StreamBody},
};
use crate::{
    error::{Error, Result},
    gateway::{self, Caller, Form, Input, Notes, Payload, Route},
    schema::Captures,
    transcode::{Alt, JsonOptions},
};

pub(super) const IGNORED_FIELDS: HeaderName = HeaderName::from_static("causeway-ignored-fields");
pub(super) const UNKNOWN_TYPES: HeaderName = HeaderName::from_static("causeway-unknown-types");
pub(super) const FIELD_MASK: HeaderName = HeaderName::from_static("x-goog-fieldmask");
pub(super) const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// How the caller wants the answer printed.
pub(super) struct View {
    pub(super) alt: Alt,
    pub(super) form: Form,
    pub(super) legacy_errors: bool,
}

impl View {
    pub(super) fn json(&self) -> JsonOptions<'_> {
        self.form.json()
    }
}

/// A request that has found its binding.
#[derive(Clone, Copy)]
pub(super) struct Request<'r> {
    pub(super) captures: &'r Captures<'r>,
    pub(super) query: &'r str,
    pub(super) head: &'r Parts,
    pub(super) exchange: &'r Exchange,
}

/// Answers a request to a binding.
pub(super) async fn answer(
    server: &Server,
    proxied: &Arc<Proxied>,
    request: Request<'_>,
    inbound: &mut Inbound,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    let route = &proxied.route;
    let Request { captures, query, head, exchange } = request;
    if route.mutation {
        notes.idempotency_key = idempotency::key(&head.headers)?;
    } else {
        server.require_audit()?;
    }
    route.require_readable(captures)?;
    let mut query = route.request.query(query)?;
    let view = view(route, &mut query.system, &head.headers)?;
    let across = route.reads_across(captures);
    if !across {
        gateway::forget_partial(route, &mut query)?;
    }
    if route.keeps_pages() && query.pairs.len() > 1 {
        // The same page, whatever the order in which it is asked for. Values of one name keep theirs.
        query.pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    let body = inbound.read(&head.headers).await?;
    let content_type = body::content_type(&head.headers);
    let payload = if route.request.raw_body() {
        Payload::Raw { content_type: content_type.as_deref().unwrap_or_default(), data: &body }
    } else {
        body::require_json(&head.headers, &body)?;
        Payload::Json(&body)
    };
    let caller = caller(head, exchange)?;
    let input = Input { captures, query: &query, payload, caller };
    if route.server_streaming {
        return later(stream(server, proxied, input, view, request, notes)).await;
    }
    if across {
        return later(pages::across(server, route, input, &view, request, notes)).await;
    }
    if route.keeps_pages() {
        return later(pages::answer(server, route, input, &view, request, notes)).await;
    }
    unary(server, route, input, &view, notes).await
}

/// Boxes what is larger than what the many other requests need, and of a type that nobody needs to know.
fn later<'r, T>(work: impl Future<Output = T> + Send + 'r) -> Pin<Box<dyn Future<Output = T> + Send + 'r>> {
    Box::pin(work)
}

/// Tells who asks, and on what terms.
pub(super) fn caller<'r>(head: &'r Parts, exchange: &'r Exchange) -> Result<Caller<'r>> {
    Ok(Caller {
        principal: exchange.principal()?,
        headers: &head.headers,
        request_id: &exchange.id,
        traceparent: &exchange.traceparent,
        traced: exchange.traced,
        deadline: exchange.deadline,
        named_deadline: exchange.named_deadline,
        authorization_is_free: exchange.caller.as_ref().is_some_and(|caller| caller.authorization_is_free),
    })
}

/// Reads the system parameters before anything is sent: a mask that is wrong must not cost a mutation.
fn view(route: &Route, system: &mut crate::transcode::System, headers: &HeaderMap) -> Result<View> {
    let header = || headers.get(FIELD_MASK).and_then(|mask| mask.to_str().ok()).map(str::to_owned);
    let mask = system.fields.take().or_else(header);
    let form = Form {
        wire: system.alt == Alt::Proto,
        enum_numbers: system.enum_numbers,
        defaults: system.defaults,
        pretty: system.pretty,
        selection: mask.as_deref().map(|mask| route.response.select(mask)).transpose()?,
        mask,
    };
    Ok(View { alt: system.alt, form, legacy_errors: system.error_v1 })
}

async fn unary(
    server: &Server,
    route: &Route,
    input: Input<'_>,
    view: &View,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    let forwarded = gateway::unary(&server.gateway, route, input, notes).await?;
    let mut unknown_types = Vec::new();
    let (body, kind) = if view.alt == Alt::Proto {
        (forwarded.message, PROTOBUF)
    } else if route.response.is_raw() {
        let raw = route.response.raw(&forwarded.message)?;
        (raw.data.into_owned().into(), raw_type(&raw.content_type))
    } else {
        let mut out = Vec::new();
        unknown_types = route.print(&forwarded.message, &view.json(), &mut out)?.unknown_types;
        (out.into(), JSON)
    };
    let mut response = Response::new(Body::full(body));
    *response.headers_mut() = forwarded.headers;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    insert_list(response.headers_mut(), UNKNOWN_TYPES, &unknown_types);
    Ok(response)
}

async fn stream(
    server: &Server,
    proxied: &Arc<Proxied>,
    input: Input<'_>,
    view: View,
    request: Request<'_>,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    if view.alt == Alt::Proto {
        return Err(Error::invalid_field("$alt", "proto has no form for a stream; leave it out"));
    }
    let route = &proxied.route;
    let forwarded = gateway::server_streaming(&server.gateway, route, input, notes).await?;
    let (body, kind) = if route.response.is_raw() {
        let (body, kind) = StreamBody::raw(proxied.clone(), forwarded.messages, server.soft.clone()).await?;
        (body, raw_type(&kind))
    } else {
        let printer = Printer::new(server, proxied.clone(), view, &request.head.headers, request.exchange);
        let kind = printer.content_type();
        (StreamBody::printed(printer, forwarded.messages, server.soft.clone()).await?, kind)
    };
    let mut response = Response::new(Body::stream(body));
    *response.headers_mut() = forwarded.headers;
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

fn raw_type(content_type: &str) -> HeaderValue {
    const ANY: HeaderValue = HeaderValue::from_static("application/octet-stream");
    HeaderValue::from_str(content_type).ok().filter(|kind| !kind.is_empty()).unwrap_or(ANY)
}

/// Lists names in a header, as many as fit; what a header, or a list in it, cannot hold is percent-encoded.
pub(super) fn insert_list(headers: &mut HeaderMap, name: HeaderName, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let mut text = String::new();
    for item in items.iter().map(|item| listed(item)) {
        let more = if text.is_empty() { "" } else { ", " };
        if text.len() + more.len() + item.len() > LIST_HEADER_BYTES_MAX {
            text.push_str(more);
            text.push_str("...");
            break;
        }
        text.push_str(more);
        text.push_str(&item);
    }
    if let Ok(value) = HeaderValue::from_str(&text)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

fn listed(item: &str) -> String {
    let mut text = String::with_capacity(item.len());
    for byte in item.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b',') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_header_is_bounded_and_harmless() {
        let mut headers = HeaderMap::new();
        insert_list(&mut headers, IGNORED_FIELDS, &[]);
        assert!(headers.is_empty());
        insert_list(&mut headers, IGNORED_FIELDS, &["a.b".into(), "ä\r\nSet-Cookie: x".into()]);
        assert_eq!(headers[IGNORED_FIELDS], "a.b, %C3%A4%0D%0ASet-Cookie:%20x");
        insert_list(&mut headers, IGNORED_FIELDS, &vec!["x".repeat(100); 100]);
        let value = &headers[IGNORED_FIELDS];
        assert!(value.len() <= LIST_HEADER_BYTES_MAX + 5);
        assert!(value.as_bytes().ends_with(b", ..."));
    }
}
