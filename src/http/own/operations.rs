//! `operations`: the records of everything that takes long, shaped exactly like Google's.

mod watch;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};
use serde_json::{Map, Value, json};

use super::Asked;
use crate::{
    error::{Code, Error, Reason, Result},
    gateway,
    http::{
        Server,
        body::Body,
        edge::{Exchange, body as inbound},
        json,
    },
    identity::access,
    model::{Operation, OperationId, Role},
    operations::{View, WAIT_MAX, filter},
    store::{Cursor, operations::Page},
    transcode::Query,
};

pub(super) use watch::{watch, watch_all};

/// What is needed, and by which least role.
pub(super) const LIST: (&str, Role) = ("causeway.operations.list", Role::Viewer);
pub(super) const GET: (&str, Role) = ("causeway.operations.get", Role::Viewer);
pub(super) const WAIT: (&str, Role) = ("causeway.operations.wait", Role::Viewer);
pub(super) const WATCH: (&str, Role) = ("causeway.operations.watch", Role::Viewer);
pub(super) const CANCEL: (&str, Role) = ("causeway.operations.cancel", Role::Operator);
pub(super) const TRACK: (&str, Role) = ("causeway.operations.track", Role::Editor);
pub(super) const DELETE: (&str, Role) = ("causeway.operations.delete", Role::Editor);

/// Operations on a page, unless asked for otherwise, and at most.
const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 1000;
/// What is left of a request's time for the answer to a wait.
const ANSWER_TIME: Duration = Duration::from_millis(250);

pub(in crate::http) const OPERATION: HeaderName = HeaderName::from_static("causeway-operation");

/// What somebody wants to see.
struct Wanted {
    parent: String,
    filter: String,
    order: &'static str,
    page: Page,
}

impl Wanted {
    fn token_query<'a>(&'a self, principal: &'a str) -> [&'a str; 5] {
        ["operations", &self.parent, &self.filter, self.order, principal]
    }
}

/// Lists operations, the newest first.
pub(super) async fn list(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = parent(&asked);
    let principal = authorize(&asked, LIST, &parent)?;
    note(asked.notes, &parent);
    let (found, next) = page(server, &principal, &parent, parameters(asked.query, true)?).await?;
    let view = view(server);
    let mut answer = json!({"operations": found.iter().map(|it| view.json(it)).collect::<Vec<_>>()});
    if !next.is_empty() {
        answer["nextPageToken"] = next.into();
    }
    Ok(json(&answer))
}

/// Returns a page and the token of the next one.
pub(super) async fn page(
    server: &Server,
    principal: &str,
    parent: &str,
    parameters: Parameters,
) -> Result<(Vec<Operation>, String)> {
    let token = parameters.page_token.clone();
    let mut wanted = wanted(parent.to_owned(), parameters)?;
    let cursor = Cursor::read(&token, &server.audit.tokens, &wanted.token_query(principal))?;
    wanted.page.after = cursor.and_then(|cursor| OperationId::parse(cursor.keys.first()?));
    let shown_max = wanted.page.rows_max as usize;
    // One more than is shown tells whether there are more.
    wanted.page.rows_max += 1;
    let mut found = server.operations.list(&wanted.page).await?;
    let more = found.len() > shown_max;
    found.truncate(shown_max);
    let next = found.last().filter(|_| more).map_or_else(String::new, |last| {
        let cursor = Cursor { keys: vec![last.id.to_string()] };
        cursor.token(&server.audit.tokens, &wanted.token_query(principal))
    });
    Ok((found, next))
}

/// Shows an operation.
pub(super) async fn get(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, GET)?;
    no_parameters(asked.query)?;
    note(asked.notes, &name);
    Ok(shown(server, &server.operations.get(&name).await?))
}

/// Asks an operation to stop.
pub(super) async fn cancel(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, CANCEL)?;
    no_parameters(asked.query)?;
    // Whatever a body says, it can say nothing that matters.
    asked.inbound.read(&asked.head.headers).await?;
    note(asked.notes, &name);
    let desk = server.operations.clone();
    gateway::journaled(&server.gateway, asked.notes, async move { desk.cancel(&name).await }).await?;
    Ok(json(&json!({})))
}

/// Forgets an operation here. It goes on where it runs.
pub(super) async fn delete(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, DELETE)?;
    no_parameters(asked.query)?;
    note(asked.notes, &name);
    let desk = server.operations.clone();
    gateway::journaled(&server.gateway, asked.notes, async move { desk.delete(&name).await }).await?;
    Ok(json(&json!({})))
}

/// Waits for the end of an operation, and shows it as it is then.
pub(super) async fn wait(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, WAIT)?;
    let body = asked.inbound.read(&asked.head.headers).await?;
    inbound::require_json(&asked.head.headers, &body)?;
    let mut timeout = WAIT_MAX;
    for (parameter, value) in Query::parse(asked.query, |_| false)?.pairs {
        match &*parameter {
            "timeout" => timeout = duration(&value)?,
            other => return Err(Error::unknown_field(other, "there is no such parameter here")),
        }
    }
    for (field, value) in fields(&body)? {
        match (field.as_str(), value) {
            ("timeout", Value::String(text)) => timeout = duration(&text)?,
            ("timeout", Value::Null) => {}
            ("timeout", _) => return Err(duration_expected()),
            // The request of Google's own method has it too.
            ("name", Value::String(text)) if text == name => {}
            (other, _) => return Err(Error::unknown_field(other, "there is timeout only")),
        }
    }
    note(asked.notes, &name);
    let it = waited(server, asked.exchange, &name, timeout).await?;
    Ok(shown(server, &it))
}

/// Waits for the end of an operation, for as long as its caller and we can.
pub(super) async fn waited(
    server: &Server,
    exchange: &Exchange,
    name: &str,
    timeout: Duration,
) -> Result<Operation> {
    let left = exchange.deadline.saturating_duration_since(tokio::time::Instant::now());
    let timeout = timeout.min(WAIT_MAX).min(left.saturating_sub(ANSWER_TIME));
    tokio::select! {
        biased;
        () = server.soft.cancelled() => Err(stopping()),
        it = server.operations.wait(name, timeout) => it,
    }
}

/// Puts something on record that was started elsewhere.
pub(super) async fn track(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = parent(&asked);
    let principal = authorize(&asked, TRACK, &parent)?;
    no_parameters(asked.query)?;
    let body = asked.inbound.read(&asked.head.headers).await?;
    inbound::require_json(&asked.head.headers, &body)?;
    let (mut upstream, mut name) = (None, None);
    for (field, value) in fields(&body)? {
        match (field.as_str(), value) {
            ("upstream", Value::String(text)) => upstream = Some(text),
            ("name", Value::String(text)) => name = Some(text),
            ("upstream" | "name", _) => return Err(Error::invalid_field(field, "expected text")),
            (other, _) => return Err(Error::unknown_field(other, "there are upstream and name")),
        }
    }
    let upstream = upstream.ok_or_else(|| Error::invalid_field("upstream", "must be given"))?;
    let name = name.ok_or_else(|| Error::invalid_field("name", "must be given"))?;
    // What is read through the record is what could be read at the upstream.
    access::require(asked.exchange.principal()?, TRACK.0, TRACK.1, &name)?;
    let inside = parent == ALL || name.strip_prefix(&*parent).is_some_and(|rest| rest.starts_with('/'));
    if !inside {
        return Err(Error::invalid_field("name", format!("expected a name within {parent}")));
    }
    asked.notes.entry.upstream.clone_from(&upstream);
    note(asked.notes, &name);
    let desk = server.operations.clone();
    let work = async move { desk.track(&upstream, &name, &principal).await };
    let it = gateway::journaled(&server.gateway, asked.notes, work).await?;
    asked.notes.operation = Some(it.name());
    Ok(shown(server, &it))
}

/// All projects.
const ALL: &str = "projects/-";

fn parent_of(captures: &crate::schema::Captures<'_>) -> String {
    captures.first().map_or(ALL, AsRef::as_ref).to_owned()
}

fn parent(asked: &Asked<'_>) -> String {
    parent_of(asked.captures)
}

/// Returns the name of the operation that is asked about, once the caller may ask.
fn named(asked: &Asked<'_>, needed: (&'static str, Role)) -> Result<String> {
    let name = asked.captures.first().map_or("", AsRef::as_ref).to_owned();
    authorize(asked, needed, &name)?;
    Ok(name)
}

/// Lets the caller do something to a resource, and returns who it is.
fn authorize(asked: &Asked<'_>, (permission, role): (&'static str, Role), resource: &str) -> Result<String> {
    let principal = asked.exchange.principal()?;
    access::require(principal, permission, role, resource)?;
    Ok(principal.id.clone())
}

fn note(notes: &mut gateway::Notes, name: &str) {
    notes.entry.resource_names = vec![name.to_owned()];
}

pub(super) fn view(server: &Server) -> View {
    View::new(server.gateway.transcoder().clone())
}

/// Shows an operation by its name.
pub(super) async fn show(server: &Server, name: &str) -> Result<Response<Body>> {
    Ok(shown(server, &server.operations.get(name).await?))
}

fn shown(server: &Server, it: &Operation) -> Response<Body> {
    let mut response = json(&view(server).json(it));
    if let Ok(name) = HeaderValue::from_str(&it.name()) {
        response.headers_mut().insert(OPERATION, name);
    }
    response
}

/// What a list is asked for with.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    pub(super) filter: String,
    pub(super) order: String,
    pub(super) page_size: i32,
    pub(super) page_token: String,
}

/// Reads the parameters of a list; `paged` tells whether it has pages.
fn parameters(query: &str, paged: bool) -> Result<Parameters> {
    let mut read = Parameters::default();
    for (name, value) in Query::parse(query, |_| false)?.pairs {
        match &*name {
            "filter" => read.filter = value.into_owned(),
            "orderBy" | "order_by" => read.order = value.into_owned(),
            "pageToken" | "page_token" if paged => read.page_token = value.into_owned(),
            "pageSize" | "page_size" if paged => {
                read.page_size =
                    value.parse().map_err(|_| Error::invalid_field("pageSize", "expected a number"))?;
            }
            // All of our records are in one place.
            "returnPartialSuccess" | "return_partial_success" => {}
            other => return Err(Error::unknown_field(other, "there is no such parameter here")),
        }
    }
    Ok(read)
}

fn wanted(parent: String, parameters: Parameters) -> Result<Wanted> {
    let order = match parameters.order.trim() {
        "" | "createTime desc" | "create_time desc" => "createTime desc",
        "createTime" | "create_time" | "createTime asc" | "create_time asc" => "createTime",
        _ => return Err(Error::invalid_field("orderBy", "expected createTime or createTime desc")),
    };
    let rows_max = match u32::try_from(parameters.page_size) {
        Ok(0) => PAGE_SIZE,
        Ok(size) => size.min(PAGE_SIZE_MAX),
        Err(_) => return Err(Error::invalid_field("pageSize", "must not be negative")),
    };
    let page = Page {
        project: (parent != ALL).then(|| parent.trim_start_matches("projects/").to_owned()),
        conditions: filter::parse(&parameters.filter)?,
        ascending: order == "createTime",
        after: None,
        rows_max,
    };
    Ok(Wanted { parent, filter: parameters.filter, order, page })
}

pub(super) fn no_parameters(query: &str) -> Result<()> {
    match Query::parse(query, |_| false)?.pairs.first() {
        None => Ok(()),
        Some((name, _)) => Err(Error::unknown_field(name.clone(), "there is no such parameter here")),
    }
}

pub(super) fn fields(body: &[u8]) -> Result<Map<String, Value>> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("The body is no JSON object (line {}, column {}).", error.line(), error.column());
        Error::new(Code::InvalidArgument, Reason::InvalidJson, text)
    })
}

/// Reads a duration as proto3 JSON has it: seconds and `s`.
fn duration(text: &str) -> Result<Duration> {
    let seconds: f64 = text
        .strip_suffix('s')
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte)))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(duration_expected)?;
    if seconds < 0.0 {
        return Err(Error::invalid_field("timeout", "must not be negative"));
    }
    // More than the longest wait is cut to it.
    Ok(Duration::from_secs_f64(seconds.min(WAIT_MAX.as_secs_f64())))
}

fn duration_expected() -> Error {
    Error::invalid_field("timeout", "expected seconds such as \"30s\"")
}

fn stopping() -> Error {
    Error::new(Code::Unavailable, Reason::ShuttingDown, "The gateway is stopping. Ask again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_within_bounds() {
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
        assert_eq!(duration(&format!("{}s", "9".repeat(400))).unwrap(), WAIT_MAX);
        for wrong in ["-1s", "", "s", "1", "1m", "NaNs", "infs", "1e3s", "--1s", "."] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
