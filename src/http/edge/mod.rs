//! What every request goes through, outermost first. One file each; this list is the order, and why it is that.
//!
//! 1. [`request_id`]: first, because everything below may want to quote it.
//! 2. [`trace`]: the same, for the log of the upstream.
//! 3. in flight: counted before anything can fail, until the last byte of the answer.
//! 4. errors → envelope, metrics, log: outside of all that can fail, so that nothing answers in another form.
//! 5. [`mod@panic`]: inside 4, so that a bug is an envelope too.
//! 6. [`head`]: the limits of URL and headers, and what HTTP says of each head, before anybody reads them.
//! 7. [`timeout`]: the deadline runs from the arrival of the head, body included.
//! 8. [`verb`]: which verb the request stands for; needs the headers only, and the route needs it.
//! 9. the route table: nothing of a body is read for a path that is not there.
//! 10. [`body`]: read, bounded and decoded, by the handler that wants one. What nobody wanted is dropped.
//! 11. the handler: `own` or `proxied`.
//! 12. [`compress`]: around whatever came out, an error included.
//! 13. the audit log: last, since it says how it ended. What changed something is there already.
//!
//! Plain functions in a straight line: a stack of services would do the same with a future in a future for each layer.

pub(super) mod body;
pub(super) mod compress;
mod head;
mod panic;
pub(super) mod request_id;
mod timeout;
pub(super) mod trace;
mod verb;

use std::{borrow::Cow, convert::Infallible, pin::pin, sync::Arc};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;

use self::body::Inbound;
use super::{Server, Target, body::Body, idempotency, in_flight::InFlight, own, proxied, watch::Activity};
use crate::{
    error::{Error, Reason, Result},
    gateway::Notes,
    model::Entry,
    transcode::System,
};

/// Says that the outcome is to be written to the audit log later.
const AUDIT: HeaderName = HeaderName::from_static("causeway-audit");

/// Bytes of a user agent, and of a path, that the audit log keeps.
const KEPT_BYTES_MAX: usize = 256;

/// A query sent as a form joins the query of the URL with this.
const AND: &str = "&";

/// What is known of a request before anybody looks at what it wants.
pub(super) struct Exchange {
    /// The caller's id for it, or ours.
    pub(super) id: HeaderValue,
    /// The span of the call to the upstream.
    pub(super) traceparent: HeaderValue,
    /// Whether the caller is part of that trace.
    pub(super) traced: bool,
    /// When its head was read.
    pub(super) arrived: Instant,
    /// When its answer must have begun.
    pub(super) deadline: Instant,
}

impl Exchange {
    fn begin(server: &Server, head: &Parts) -> Self {
        let (traceparent, traced) = trace::child(&head.headers);
        let arrived = Instant::now();
        let deadline = arrived + server.request_timeout;
        Self { id: request_id::of(&head.headers), traceparent, traced, arrived, deadline }
    }

    /// Returns the request id as text.
    pub(super) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// Answers one request.
pub(super) async fn serve(
    server: Arc<Server>,
    request: Request<Incoming>,
    activity: Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let (head, incoming) = request.into_parts();
    let mut exchange = Exchange::begin(&server, &head);
    let guard = InFlight::new(server.in_flight.clone(), activity);
    let mut inbound = Inbound::new(incoming, server.body_bytes_max);
    let mut reached = None;
    let mut notes = Notes::new(entry(&head, &exchange), exchange.arrived);

    let answered =
        panic::caught(pin!(handle(&server, &head, &mut inbound, &mut exchange, &mut reached, &mut notes)))
            .await;
    let (mut response, failure) = match answered {
        Ok(response) => (response, None),
        Err(error) => (server.refuse(&error, &head, &exchange), Some(error)),
    };
    if head.version < Version::HTTP_2 {
        inbound.discard(&head.headers).await;
    }

    compress::apply(&head.headers, &mut response);
    finish(&head, &exchange, &notes, &mut response);
    server.note(reached, &exchange, response.status());
    server.record(reached, notes, response.status(), failure.as_ref());
    response.body_mut().hold(guard);
    Ok(response)
}

async fn handle<'s>(
    server: &'s Server,
    head: &Parts,
    inbound: &mut Inbound,
    exchange: &mut Exchange,
    reached: &mut Option<&'s Target>,
    notes: &mut Notes,
) -> Result<Response<Body>> {
    head::check(head)?;
    if let Some(timeout) = timeout::of(&head.headers)? {
        exchange.deadline = exchange.deadline.min(exchange.arrived + timeout);
    }
    let (verb, query) = effective(head, inbound).await?;
    let found = match server.routes.find(&verb, head.uri.path()) {
        Ok(found) => found,
        Err(error) if head.method == Method::OPTIONS => return options(error),
        Err(error) => return Err(error),
    };
    *reached = Some(found.target);
    match found.target {
        Target::Own(own, numbers) => {
            notes.entry.method = numbers.binding().to_owned();
            own::answer(*own, server, own::Request { captures: &found.captures, query: &query, head }, notes)
                .await
        }
        Target::Proxied(proxied) => {
            let request = proxied::Request { captures: &found.captures, query: &query, head, exchange };
            proxied::answer(server, proxied, request, inbound, notes).await
        }
    }
}

/// Begins what the audit log keeps of a request.
fn entry(head: &Parts, exchange: &Exchange) -> Entry {
    let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(KEPT_BYTES_MAX).collect::<String>();
    let traceparent = exchange.traceparent.to_str().unwrap_or_default();
    let user_agent = head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Entry {
        request_id: exchange.id().to_owned(),
        trace_id: traceparent.get(3..35).unwrap_or_default().to_owned(),
        principal: "anonymous".to_owned(),
        authentication: "none".to_owned(),
        granted: true,
        user_agent: cut(user_agent.unwrap_or_default()),
        target: cut(&format!("{} {}", head.method, head.uri.path())),
        ..Entry::default()
    }
}

/// Finds verb and query, after what the request says it stands for: `X-HTTP-Method-Override`, with a form body as the
/// query when it stands for a GET (long queries come like that), or `$httpMethod`.
async fn effective<'h>(head: &'h Parts, inbound: &mut Inbound) -> Result<(Cow<'h, str>, Cow<'h, str>)> {
    let mut query = Cow::Borrowed(head.uri.query().unwrap_or_default());
    if let Some(verb) = verb::overridden(head)? {
        if verb == "GET" && body::is_form(&head.headers) {
            let form = inbound.read(&head.headers).await?;
            let form = std::str::from_utf8(&form)
                .map_err(|source| Error::invalid_field("", "The form is not UTF-8.").with_source(source))?;
            if !query.is_empty() && !form.is_empty() {
                query.to_mut().push_str(AND);
            }
            query.to_mut().push_str(form);
        }
        return Ok((verb, query));
    }
    if head.method == Method::POST
        && query.contains("httpMethod")
        && let Some(named) = System::parse_lenient(&query).http_method
    {
        let verb = verb::parse(&named)
            .ok_or_else(|| Error::invalid_field("$httpMethod", "expected a verb such as GET or PATCH"))?;
        return Ok((Cow::Owned(verb.into_owned()), query));
    }
    Ok((Cow::Borrowed(verb::plain(&head.method)), query))
}

/// Says which verbs a path takes. There is no CORS, so a browser's preflight learns nothing from it.
fn options(error: Error) -> Result<Response<Body>> {
    if error.reason() != Some(Reason::MethodNotAllowed) {
        return Err(error);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = error.allow().and_then(|verbs| HeaderValue::from_str(verbs).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(response)
}

/// Adds what every answer carries, and takes the body from the answer to a HEAD.
fn finish(head: &Parts, exchange: &Exchange, notes: &Notes, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, exchange.id.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if notes.replayed {
        headers.insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    }
    if notes.deferred {
        headers.insert(AUDIT, HeaderValue::from_static("deferred"));
    }
    if head.method == Method::HEAD {
        if let Some(length) = http_body::Body::size_hint(response.body()).exact() {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        *response.body_mut() = Body::empty();
    }
}

/// Prints bytes as hexadecimal digits, two for each; `out` is filled.
fn hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
