//! `operations`: the records of everything that takes long, shaped exactly like Google's.

pub(super) mod shape;
mod timeout;
mod wanted;
mod watch;

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};
use serde_json::{Value, json};

use super::{Asked, fields::Fields};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::{Answer, Notes, Twice, is_below},
    http::{Server, body::Body, edge::Exchange, json, streams},
    identity::access,
    model::{Operation, Role},
    operations::{View, WAIT_MAX},
    transcode::Query,
};

pub(super) use wanted::{Parameters, page};
pub(super) use watch::{watch, watch_all, watch_project};

use shape::{
    ListQuery, Nothing, Operation as Shown, OperationPage, OperationPath, ProjectPath, TrackRequest,
    WaitRequest,
};
use timeout::duration;
use wanted::parameters;

/// Tag of these endpoints.
pub(super) const TAG: &str = "operations";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        list,
        list_of_project,
        get,
        delete,
        cancel,
        wait,
        watch::watch,
        watch::watch_all,
        watch::watch_project,
        track,
        track_in_project
    ),
    tags((name = TAG, description = "Everything that takes long, whatever system runs it: followed to its end, and kept."))
)]
pub(super) struct Described;

/// What is needed, and by which least role.
pub(super) const LIST: (&str, Role) = ("causeway.operations.list", Role::Viewer);
pub(super) const GET: (&str, Role) = ("causeway.operations.get", Role::Viewer);
pub(super) const WAIT: (&str, Role) = ("causeway.operations.wait", Role::Viewer);
pub(super) const WATCH: (&str, Role) = ("causeway.operations.watch", Role::Viewer);
pub(super) const CANCEL: (&str, Role) = ("causeway.operations.cancel", Role::Operator);
pub(super) const TRACK: (&str, Role) = ("causeway.operations.track", Role::Editor);
pub(super) const DELETE: (&str, Role) = ("causeway.operations.delete", Role::Editor);

/// What is left of a request's time for the answer to a wait.
const ANSWER_TIME: Duration = Duration::from_millis(250);

pub(in crate::http) const OPERATION: HeaderName = HeaderName::from_static("causeway-operation");

/// Lists operations of all projects.
///
/// Of those that you may see. The newest first.
#[utoipa::path(
    get,
    path = "/v1/operations",
    tag = TAG,
    operation_id = "operations.List",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of operations.", body = OperationPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = parent(&asked);
    note(asked.notes, &parent);
    let principal = asked.exchange.principal()?;
    let (found, next) = page(server, principal, &parent, parameters(asked.query, true)?).await?;
    let view = view(server);
    let mut answer = json!({"operations": found.iter().map(|it| view.json(it)).collect::<Vec<_>>()});
    if !next.is_empty() {
        answer["nextPageToken"] = next.into();
    }
    Ok(json(&answer))
}

/// Shows an operation.
///
/// As it is on record; whatever system runs it, it has this shape.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations/{operation}",
    tag = TAG,
    operation_id = "operations.Get",
    params(OperationPath),
    responses(
        (status = 200, description = "The operation.", body = Shown),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, GET)?;
    asked.no_parameters()?;
    note(asked.notes, &name);
    Ok(shown(server, &server.operations.get(&name).await?))
}

/// Asks an operation to stop.
///
/// The system that runs it is asked, and may take its time. What has ended stays as it ended.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/operations/{operation}:cancel",
    tag = TAG,
    operation_id = "operations.Cancel",
    params(OperationPath),
    responses(
        (status = 200, description = "Done.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn cancel(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, CANCEL)?;
    asked.no_parameters()?;
    // Whatever a body says, it can say nothing that matters.
    asked.body().await?;
    note(asked.notes, &name);
    Ok(json(&cancelled(server, &mut asked, name).await?))
}

/// Forgets an operation.
///
/// Here only: it goes on where it runs.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/operations/{operation}",
    tag = TAG,
    operation_id = "operations.Delete",
    params(OperationPath),
    responses(
        (status = 200, description = "Done.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn delete(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, DELETE)?;
    asked.no_parameters()?;
    note(asked.notes, &name);
    Ok(json(&deleted(server, &mut asked, name).await?))
}

/// Forgets an operation, and answers with nothing.
pub(super) async fn deleted(server: &Server, asked: &mut Asked<'_>, name: String) -> Result<Value> {
    let desk = server.operations.clone();
    let work = async move {
        desk.delete(&name).await?;
        Ok(Answer::of(&json!({})))
    };
    asked.change(server, Twice::Same, work).await
}

/// Asks an operation to stop, and answers with nothing.
pub(super) async fn cancelled(server: &Server, asked: &mut Asked<'_>, name: String) -> Result<Value> {
    let desk = server.operations.clone();
    let authorization = asked.caller()?.authorization();
    let work = async move {
        desk.cancel(&name, authorization).await?;
        Ok(Answer::of(&json!({})))
    };
    asked.change(server, Twice::Same, work).await
}

/// Waits for the end of an operation.
///
/// Answers when it has ended, or when the time is over, with the operation as it is then.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/operations/{operation}:wait",
    tag = TAG,
    operation_id = "operations.Wait",
    params(OperationPath),
    request_body(content = WaitRequest, example = json!({"timeout": "30s"})),
    responses(
        (status = 200, description = "The operation.", body = Shown),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn wait(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, WAIT)?;
    let body = asked.json().await?;
    let mut timeout = WAIT_MAX;
    for (parameter, value) in Query::parse(asked.query, |_| false)?.pairs {
        match &*parameter {
            "timeout" => timeout = duration(&value)?,
            other => return Err(Error::unknown_field(other, "there is no such parameter here")),
        }
    }
    let mut fields = Fields::read(&body)?;
    if let Some(text) = fields.text("timeout")? {
        timeout = duration(&text)?;
    }
    // The request of Google's own method has it too.
    if fields.text("name")?.is_some_and(|named| named != name) {
        return Err(Error::invalid_field("name", "differs from the name in the path"));
    }
    fields.finish()?;
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
    let timeout = longest(exchange, timeout);
    streams::waits();
    tokio::select! {
        biased;
        () = server.soft.cancelled() => Err(stopping()),
        it = server.operations.wait(name, timeout) => it,
    }
}

/// Returns how long a caller can be let wait that wants to for so long.
pub(super) fn longest(exchange: &Exchange, timeout: Duration) -> Duration {
    let left = exchange.deadline.saturating_duration_since(tokio::time::Instant::now());
    timeout.min(WAIT_MAX).min(left.saturating_sub(ANSWER_TIME))
}

/// Puts something on record.
///
/// What was started elsewhere: an operation, or the backfill of a stream object.
#[utoipa::path(
    post,
    path = "/v1/operations:track",
    tag = TAG,
    operation_id = "operations.Track",
    request_body(content = TrackRequest, example = json!({"upstream": "datastream", "name": "projects/acme-data/locations/europe-west1/streams/shop-to-bigquery/objects/public-orders"})),
    responses(
        (status = 200, description = "The operation.", body = Shown),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn track(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = parent(&asked);
    let principal = match &*parent {
        // What it takes is asked of the name below.
        ALL => asked.exchange.principal()?.id.clone(),
        project => authorize(&asked, TRACK, project)?,
    };
    asked.no_parameters()?;
    let mut fields = Fields::read(&asked.json().await?)?;
    let upstream =
        fields.text("upstream")?.ok_or_else(|| Error::invalid_field("upstream", "must be given"))?;
    let name = fields.text("name")?.ok_or_else(|| Error::invalid_field("name", "must be given"))?;
    fields.finish()?;
    // What is read through the record is what could be read at the upstream.
    access::require(asked.exchange.principal()?, TRACK.0, TRACK.1, &name)?;
    if parent != ALL && !is_below(&name, &parent) {
        return Err(Error::invalid_field("name", format!("expected a name within {parent}")));
    }
    asked.notes.entry.upstream.clone_from(&upstream);
    note(asked.notes, &name);
    let (desk, view) = (server.operations.clone(), view(server));
    let authorization = asked.caller()?.authorization();
    let work = async move {
        let it = desk.track(&upstream, &name, &principal, authorization).await?;
        Ok(Answer::of(&view.json(&it)))
    };
    let it = asked.change(server, Twice::Same, work).await?;
    asked.notes.operation = it["name"].as_str().map(str::to_owned);
    Ok(json(&it))
}

/// Lists the operations of a project.
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations",
    tag = TAG,
    operation_id = "operations.ListOfProject",
    params(ProjectPath, ListQuery),
    responses(
        (status = 200, description = "A page of operations.", body = OperationPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list_of_project(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    list(server, asked).await
}

/// Puts something of a project on record.
///
/// What was started elsewhere: an operation, or the backfill of a stream object.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/operations:track",
    tag = TAG,
    operation_id = "operations.TrackInProject",
    params(ProjectPath),
    request_body(content = TrackRequest, example = json!({"upstream": "datastream", "name": "projects/acme-data/locations/europe-west1/streams/shop-to-bigquery/objects/public-orders"})),
    responses(
        (status = 200, description = "The operation.", body = Shown),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn track_in_project(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    track(server, asked).await
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

fn note(notes: &mut Notes, name: &str) {
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

pub(super) fn stopping() -> Error {
    Error::new(Code::Unavailable, Reason::ShuttingDown, "The gateway is stopping. Ask again.")
}
