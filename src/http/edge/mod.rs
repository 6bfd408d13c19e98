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
//! 9. the route table: nothing of a body is read for a path that is not there. Its answer is kept back until 10, except
//!    for the endpoints that need no credential.
//! 10. [`mod@origin`]: where nobody is asked who they are, what a browser is made to send by another site's page. Then
//!     [`admit`]: a place among the requests that are worked on, who calls, and how much of that is too much. From here on
//!     a principal is known.
//! 11. [`body`]: read, bounded and decoded, by the handler that wants one. What nobody wanted is dropped.
//! 12. the handler: `own` or `proxied`. Before either, whether the principal may, by the name of the resource and not by
//!     whether it exists.
//! 13. [`compress`]: around whatever came out, an error included.
//! 14. the audit log: last, since it says how it ended. What changed something is there already.
//!
//! Plain functions in a straight line: a stack of services would do the same with a future in a future for each layer.

pub(super) mod admit;
pub(super) mod body;
mod client;
pub(super) mod compress;
mod head;
mod origin;
mod panic;
pub(super) mod request_id;
pub(super) mod seats;
pub(super) mod share;
pub(super) mod timeout;
pub(super) mod trace;
mod verb;

use std::{
    borrow::Cow,
    convert::Infallible,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
};

use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header, request::Parts};
use hyper::body::Incoming;
use tokio::time::Instant;

use self::{admit::Verdicts, body::Inbound};
use super::{
    Server, Target,
    body::Body,
    error, idempotency,
    in_flight::InFlight,
    own,
    proxied::{self, IGNORED_FIELDS, insert_list},
    status,
    watch::Activity,
};
use crate::{
    error::{Error, Reason, Result},
    gateway::Notes,
    identity::{Authenticated, refuse_in_query},
    model::{Entry, Principal},
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
    /// What its caller said about that, if anything.
    pub(super) named_deadline: Option<Instant>,
    /// Where it comes from.
    pub(super) client: IpAddr,
    /// Who sends it, once that is known.
    pub(super) caller: Option<Authenticated>,
    verdicts: Verdicts,
}

impl Exchange {
    fn begin(server: &Server, head: &Parts, peer: IpAddr) -> Self {
        let (traceparent, traced) = trace::child(&head.headers);
        let arrived = Instant::now();
        let deadline = arrived + server.request_timeout;
        Self {
            id: request_id::of(&head.headers, server.store.now()),
            traceparent,
            traced,
            arrived,
            deadline,
            named_deadline: None,
            client: client::of(peer, &head.headers, &server.trusted_proxies),
            caller: None,
            verdicts: Verdicts::default(),
        }
    }

    /// Returns who sends it.
    ///
    /// # Errors
    /// It was not asked: a fault of ours, which must not let anybody in.
    pub(super) fn principal(&self) -> Result<&Arc<Principal>> {
        let caller = self.caller.as_ref().ok_or_else(|| Error::internal("no principal is known"))?;
        Ok(&caller.principal)
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
    peer: IpAddr,
    activity: Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let (head, incoming) = request.into_parts();
    let mut exchange = Exchange::begin(&server, &head, peer);
    let guard = InFlight::new(server.in_flight.clone(), activity);
    let mut inbound = Inbound::new(incoming, server.body_bytes_max, server.bodies.clone());
    let mut reached = None;
    let mut notes = Notes::new(entry(&head, &exchange), exchange.arrived);

    let answered =
        panic::caught(pin!(handle(&server, &head, &mut inbound, &mut exchange, &mut reached, &mut notes)))
            .await;
    let (mut response, failure) = match answered {
        Ok(response) => (response, None),
        Err(error) => (server.refuse(&error, &head, &exchange), Some(error)),
    };
    let refused = failure.as_ref().and_then(Error::reason);
    if matches!(refused, Some(Reason::Unauthenticated | Reason::PermissionDenied)) {
        notes.entry.granted = false;
    }
    if head.version < Version::HTTP_2 {
        inbound.discard(&head.headers).await;
    }

    compress::apply(&head.headers, &mut response);
    finish(&server, &head, &exchange, &notes, &mut response);
    server.note(reached, &exchange, response.status());
    // gRPC says in a header how it went.
    let status = failure.as_ref().map_or(response.status(), |error| match response.status() {
        StatusCode::OK => status::of(error),
        status => status,
    });
    server.record(reached, notes, status, failure.as_ref());
    response.body_mut().hold(guard, &server.unread[usize::from(is_public(reached))]);
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
        let named = exchange.arrived + timeout;
        exchange.named_deadline = Some(named);
        exchange.deadline = exchange.deadline.min(named);
    }
    refuse_in_query(head.uri.query().unwrap_or_default())?;
    let Meant { verb, form } = meant(head)?;
    let found = server.routes.find(&verb, head.uri.path());
    *reached = found.as_ref().ok().map(|found| found.target);
    if !is_public(*reached) && !server.identity.is_on() {
        let changes = matches!(reached, Some(Target::Proxied(proxied)) if proxied.route.mutation);
        origin::check(head, changes, server.hosts.as_deref())?;
    }
    let _place = match is_public(*reached) {
        true => {
            admit::to_read(server, *reached)?;
            None
        }
        false => {
            let place = admit::place(server)?;
            let share = admit::caller(server, head, exchange, notes).await?;
            if share.is_some() {
                inbound.belongs_to(&exchange.principal()?.id);
            }
            Some((place, share))
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(error) if head.method == Method::OPTIONS => return options(error),
        Err(error) => return Err(error),
    };
    let query = if form { with_form(head, inbound).await? } else { query(head) };
    let captures = &found.captures;
    match found.target {
        Target::Own(own, numbers) => {
            notes.entry.method = numbers.binding().to_owned();
            let asked = own::Asked::new(captures, &query, head, inbound, exchange, notes);
            // Boxed and nameless: it is larger, and deeper, than what the many proxied requests need.
            let answer: Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send + '_>> =
                Box::pin(own::answer(*own, server, asked));
            answer.await
        }
        Target::Proxied(proxied) => {
            admit::to(server, &proxied.route, captures, exchange, notes).await?;
            let request = proxied::Request { captures, query: &query, head, exchange };
            proxied::answer(server, proxied, request, inbound, notes).await
        }
    }
}

/// Whether everybody may have it.
fn is_public(reached: Option<&Target>) -> bool {
    matches!(reached, Some(Target::Own(own, _)) if own.access() == own::Access::Public)
}

/// Begins what the audit log keeps of a request.
fn entry(head: &Parts, exchange: &Exchange) -> Entry {
    let traceparent = exchange.traceparent.to_str().unwrap_or_default();
    let user_agent = head.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Entry {
        request_id: exchange.id().to_owned(),
        trace_id: traceparent.get(3..35).unwrap_or_default().to_owned(),
        authentication: "none".to_owned(),
        granted: true,
        caller: exchange.client.to_string(),
        user_agent: kept(user_agent.unwrap_or_default().to_owned()),
        target: kept([head.method.as_str(), " ", head.uri.path()].concat()),
        ..Entry::default()
    }
}

/// Cuts what a caller says to what the audit log keeps of it, without control characters. Nearly everything is kept as it
/// is.
fn kept(text: String) -> String {
    if text.len() <= KEPT_BYTES_MAX && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text;
    }
    text.chars().filter(|c| !c.is_control()).take(KEPT_BYTES_MAX).collect()
}

/// What a request stands for.
struct Meant<'h> {
    verb: Cow<'h, str>,
    /// Whether its body is a form that belongs to the query: long queries come like that.
    form: bool,
}

/// Finds the verb, after what the request says it stands for: `X-HTTP-Method-Override` or `$httpMethod`.
fn meant(head: &Parts) -> Result<Meant<'_>> {
    if let Some(verb) = verb::overridden(head)? {
        let form = verb == "GET" && body::is_form(&head.headers);
        return Ok(Meant { verb, form });
    }
    if head.method == Method::POST
        && let Some(query) = head.uri.query().filter(|query| query.contains("httpMethod"))
        && let Some(named) = System::parse_lenient(query).http_method
    {
        let verb = verb::parse(&named)
            .ok_or_else(|| Error::invalid_field("$httpMethod", "expected a verb such as GET or PATCH"))?;
        let form = verb == "GET" && body::is_form(&head.headers);
        return Ok(Meant { verb: Cow::Owned(verb.into_owned()), form });
    }
    Ok(Meant { verb: Cow::Borrowed(head.method.as_str()), form: false })
}

fn query(head: &Parts) -> Cow<'_, str> {
    Cow::Borrowed(head.uri.query().unwrap_or_default())
}

/// Reads the body as more of the query. Of two page tokens the URL's counts: whoever turns the page of a long list puts the
/// next one there, and sends the form of the page before.
async fn with_form<'h>(head: &'h Parts, inbound: &mut Inbound) -> Result<Cow<'h, str>> {
    let mut query = query(head);
    let form = inbound.read(&head.headers).await?;
    let form = std::str::from_utf8(&form)
        .map_err(|source| Error::invalid_field("", "The form is not UTF-8.").with_source(source))?;
    refuse_in_query(form)?;
    let turned = turns_page(&query);
    for pair in form.split(AND).filter(|pair| !(pair.is_empty() || turned && names_page(pair))) {
        if !query.is_empty() {
            query.to_mut().push_str(AND);
        }
        query.to_mut().push_str(pair);
    }
    Ok(query)
}

fn turns_page(query: &str) -> bool {
    query.split(AND).any(names_page)
}

fn names_page(pair: &str) -> bool {
    matches!(pair.split('=').next(), Some("pageToken" | "page_token"))
}

/// Says which verbs a path takes. There is no CORS, so a browser's preflight learns nothing from it.
fn options(error: Error) -> Result<Response<Body>> {
    if error.reason() != Some(Reason::MethodNotAllowed) {
        return Err(error);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(allow) = error::allow(&error) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(response)
}

/// Adds what every answer carries, and takes the body from the answer to a HEAD.
fn finish(server: &Server, head: &Parts, exchange: &Exchange, notes: &Notes, response: &mut Response<Body>) {
    let headers = response.headers_mut();
    for (name, value) in &notes.refused_with {
        headers.append(name, value.clone());
    }
    headers.insert(request_id::HEADER, exchange.id.clone());
    admit::tell(server, &exchange.verdicts, headers);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if notes.replayed {
        headers.insert(idempotency::REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(name) = notes.operation.as_deref().and_then(|name| HeaderValue::from_str(name).ok()) {
        headers.insert(own::operations::OPERATION, name);
    }
    insert_list(headers, IGNORED_FIELDS, &notes.ignored);
    if notes.deferred {
        headers.insert(AUDIT, HeaderValue::from_static("deferred"));
    }
    if head.method == Method::HEAD {
        // The length is that of the answer to a GET; of what was not modified nobody knows it here.
        if response.status() != StatusCode::NOT_MODIFIED
            && let Some(length) = http_body::Body::size_hint(response.body()).exact()
        {
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
