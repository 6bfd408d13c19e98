//! `tasks`: BigQuery queries that Flyte's connector runs.

mod draft;
mod shape;

use http::Response;
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    Asked, operations,
    operations::shape::{Nothing, Operation as Shown},
};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway,
    http::{Server, body::Body, idempotency, json, proxied},
    identity::access,
    model::{Kind, Operation, OperationId, Role},
    operations::{TASK_TYPE, task_call},
    pb::flyteidl::admin::{GetTaskLogsRequest, GetTaskMetricsRequest, TaskCategory},
    store::{
        Cursor, Projects,
        operations::{Condition, Page, TextColumn},
    },
    transcode::{JsonOptions, Query},
    upstream::{Timeout, Upstream},
};
use draft::read;
use shape::{LocationPath, TaskPage, TaskPath, TaskQuery};

/// Tag of these endpoints.
const TAG: &str = "tasks";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(create, list, get, delete, metrics, logs),
    tags((name = TAG, description = "Queries that Flyte's connector runs in BigQuery."))
)]
pub(super) struct Described;

pub(super) const CREATE: (&str, Role) = ("flyte.tasks.create", Role::Editor);
pub(super) const LIST: (&str, Role) = ("flyte.tasks.list", Role::Viewer);
pub(super) const GET: (&str, Role) = ("flyte.tasks.get", Role::Viewer);
pub(super) const DELETE: (&str, Role) = ("flyte.tasks.cancel", Role::Operator);

/// Tasks on a page, unless asked for otherwise, and at most.
const PAGE_SIZES: [u32; 2] = [50, 1000];
/// Messages of a log that one answer shows.
const LOG_MESSAGES_MAX: usize = 1000;

/// Starts a query.
///
/// Answers with its operation. With an `Idempotency-Key` a repeated request starts nothing.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/locations/{location}/tasks",
    tag = TAG,
    operation_id = "tasks.Create",
    params(LocationPath),
    request_body(content = shape::NewTask, example = json!({"query": "SELECT country, COUNT(*) FROM shop.orders GROUP BY country", "labels": {"team": "sales"}})),
    responses(
        (status = 200, description = "The operation.", body = Shown),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn create(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = authorize(&asked, CREATE)?;
    asked.no_parameters()?;
    asked.notes.idempotency_key = idempotency::key(&asked.head.headers)?;
    let task = read(&parent, &asked.json().await?)?;
    asked.notes.entry.resource_names = vec![parent];
    // Neither the query nor its parameters are the log's business.
    asked.notes.entry.request = json!({"labels": task.labels, "taskTypeVersion": task.version}).to_string();
    let caller = proxied::caller(asked.head, asked.exchange)?;
    let name = gateway::create_task(&server.gateway, task, &caller, asked.notes).await?;
    operations::show(server, &name).await
}

/// Shows a task.
///
/// With what it left behind, once it has ended.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}",
    tag = TAG,
    operation_id = "tasks.Get",
    params(TaskPath),
    responses(
        (status = 200, description = "The task.", body = shape::Task),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = authorize(&asked, GET)?;
    asked.no_parameters()?;
    asked.notes.entry.resource_names = vec![name.clone()];
    let it = find(server, &name).await?;
    Ok(json(&server.operations.tracker().task_json(server.gateway.transcoder(), &it)))
}

/// Lists tasks.
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks",
    tag = TAG,
    operation_id = "tasks.List",
    params(LocationPath, TaskQuery),
    responses(
        (status = 200, description = "A page of tasks.", body = TaskPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = asked.captures.first().map_or("", AsRef::as_ref).to_owned();
    asked.notes.entry.resource_names = vec![parent.clone()];
    let principal = asked.exchange.principal()?;
    let (project, location) = place(&parent)?;
    let projects = if project == "-" {
        access::projects(principal, LIST, "projects/-", "locations")?
    } else {
        access::require(principal, LIST.0, LIST.1, &parent)?;
        Projects::One(project.to_owned())
    };
    let (mut rows, mut token) = (PAGE_SIZES[0], String::new());
    for (name, value) in Query::parse(asked.query, |_| false)?.pairs {
        match &*name {
            "pageToken" | "page_token" => token = value.into_owned(),
            "pageSize" | "page_size" => {
                let size: i32 =
                    value.parse().map_err(|_| Error::invalid_field("pageSize", "expected a number"))?;
                match u32::try_from(size) {
                    Ok(0) => {}
                    Ok(size) => rows = size.min(PAGE_SIZES[1]),
                    Err(_) => return Err(Error::invalid_field("pageSize", "must not be negative")),
                }
            }
            other => return Err(Error::unknown_field(other, "there is no such parameter here")),
        }
    }
    let query = ["tasks", parent.as_str(), principal.id.as_str()];
    let cursor = Cursor::read(&token, &server.audit.tokens, &query)?;
    let kind =
        Condition::Text { column: TextColumn::Kind, value: Kind::FlyteTask.name().to_owned(), not: false };
    let mut conditions = vec![kind];
    if location != "-" {
        conditions.push(Condition::Has {
            column: TextColumn::Target,
            part: format!("/locations/{location}/tasks/"),
        });
    }
    let page = Page {
        projects,
        conditions,
        ascending: false,
        after: cursor.and_then(|cursor| OperationId::parse(cursor.keys.first()?)),
        rows_max: rows + 1,
    };
    let mut found = server.operations.list(&page).await?;
    let more = found.len() > rows as usize;
    found.truncate(rows as usize);
    let tracker = server.operations.tracker();
    let shown: Vec<Value> =
        found.iter().map(|it| tracker.task_json(server.gateway.transcoder(), it)).collect();
    let mut answer = json!({"tasks": shown});
    if let Some(last) = found.last().filter(|_| more) {
        let cursor = Cursor { keys: vec![last.id.to_string()] };
        answer["nextPageToken"] = cursor.token(&server.audit.tokens, &query).into();
    }
    Ok(json(&answer))
}

/// Stops a task.
///
/// BigQuery is asked to stop the job, and may take its time.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}",
    tag = TAG,
    operation_id = "tasks.Delete",
    params(TaskPath),
    responses(
        (status = 200, description = "Done.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn delete(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    let name = authorize(&asked, DELETE)?;
    asked.no_parameters()?;
    asked.notes.entry.resource_names = vec![name.clone()];
    let it = find(server, &name).await?;
    Ok(json(&operations::cancelled(server, &mut asked, it.name()).await?))
}

/// Shows what a task used.
///
/// 501 where its connector does not tell; the one for BigQuery does not.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}:metrics",
    tag = TAG,
    operation_id = "tasks.Metrics",
    params(TaskPath),
    responses(
        (status = 200, description = "The metrics.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn metrics(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = authorize(&asked, GET)?;
    asked.no_parameters()?;
    let it = find(server, &name).await?;
    let request = GetTaskMetricsRequest {
        resource_meta: server.operations.tracker().sources().flyte().resource_meta(&it)?,
        task_category: Some(category()),
        ..GetTaskMetricsRequest::default()
    };
    let path = "/flyteidl.service.AsyncAgentService/GetTaskMetrics";
    let upstream = upstream(server)?;
    let call = task_call(path, request.encode_to_vec(), left(&asked), asked.caller()?.authorization());
    let reply = upstream.unary(call).await.map_err(not_offered)?;
    message(server, "flyteidl.admin.GetTaskMetricsResponse", &reply.message).map(|shown| json(&shown))
}

/// Shows what a task wrote.
///
/// 501 where its connector does not tell; the one for BigQuery does not.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}:logs",
    tag = TAG,
    operation_id = "tasks.Logs",
    params(TaskPath),
    responses(
        (status = 200, description = "The messages.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn logs(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = authorize(&asked, GET)?;
    asked.no_parameters()?;
    let it = find(server, &name).await?;
    let request = GetTaskLogsRequest {
        resource_meta: server.operations.tracker().sources().flyte().resource_meta(&it)?,
        task_category: Some(category()),
        ..GetTaskLogsRequest::default()
    };
    let path = "/flyteidl.service.AsyncAgentService/GetTaskLogs";
    let call = task_call(path, request.encode_to_vec(), left(&asked), asked.caller()?.authorization());
    let mut messages = upstream(server)?.server_streaming(call).await.map_err(not_offered)?;
    let mut shown = Vec::new();
    while let Some(next) = messages.next().await
        && shown.len() < LOG_MESSAGES_MAX
    {
        shown.push(message(server, "flyteidl.admin.GetTaskLogsResponse", &next.map_err(not_offered)?)?);
    }
    Ok(json(&json!({"messages": shown})))
}

fn category() -> TaskCategory {
    TaskCategory { name: TASK_TYPE.to_owned(), version: 0 }
}

fn left(asked: &Asked<'_>) -> Timeout {
    Timeout::until(asked.exchange.deadline)
}

fn upstream(server: &Server) -> Result<&std::sync::Arc<Upstream>> {
    server.gateway.upstreams().get("flyte").ok_or_else(|| {
        let text = "The upstream flyte is known but not configured.";
        Error::new(Code::Unimplemented, Reason::UpstreamNotConfigured, text)
    })
}

/// A connector that has no such method says so in the words of its language.
fn not_offered(error: Error) -> Error {
    if error.code() == Code::Unknown && error.message().contains("NotImplementedError") {
        let text = "The connector of this task does not offer this.";
        return Error::new(Code::Unimplemented, Reason::NotOffered, text).with_source(error);
    }
    error
}

fn message(server: &Server, name: &str, wire: &[u8]) -> Result<Value> {
    let plan = server.gateway.transcoder().message(name);
    let plan = plan.ok_or_else(|| Error::internal(format!("{name} is not known")))?;
    let mut out = Vec::new();
    plan.to_json(wire, &JsonOptions::default(), &mut out)?;
    serde_json::from_slice(&out).map_err(Error::internal)
}

/// Returns the resource that is asked about, once the caller may ask.
fn authorize(asked: &Asked<'_>, (permission, role): (&'static str, Role)) -> Result<String> {
    let name = asked.captures.first().map_or("", AsRef::as_ref).to_owned();
    access::require(asked.exchange.principal()?, permission, role, &name)?;
    Ok(name)
}

/// Returns project and location of a parent.
fn place(parent: &str) -> Result<(&str, &str)> {
    parent
        .strip_prefix("projects/")
        .and_then(|rest| rest.split_once("/locations/"))
        .ok_or_else(|| Error::internal("the template has two variables"))
}

/// Finds the operation of a task.
async fn find(server: &Server, name: &str) -> Result<Operation> {
    let missing = || {
        let name: String = name.chars().take(200).collect();
        Error::new(Code::NotFound, Reason::ResourceNotFound, format!("There is no task {name}."))
    };
    let (parent, id) = name.rsplit_once("/tasks/").ok_or_else(missing)?;
    let (project, _) = place(parent)?;
    let found = server.operations.get(&format!("projects/{project}/operations/{id}")).await;
    let it = found.map_err(|error| if error.code() == Code::NotFound { missing() } else { error })?;
    if it.kind == Kind::FlyteTask && it.target == name { Ok(it) } else { Err(missing()) }
}
