//! How the document tells of tasks.
#![expect(dead_code, reason = "it describes what is answered elsewhere")]

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

use crate::http::own::operations::described::{Nothing, Operation};

/// Tag of these endpoints.
const TAG: &str = "tasks";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(create, list, get, delete, metrics, logs),
    tags((name = TAG, description = "Queries that Flyte's connector runs in BigQuery."))
)]
pub(in crate::http::own) struct Described;

/// A query that is to run.
#[derive(ToSchema)]
#[schema(as = tasks::NewTask)]
#[serde(rename_all = "camelCase")]
struct NewTask {
    /// The query, in GoogleSQL.
    #[schema(example = "SELECT country, COUNT(*) FROM shop.orders GROUP BY country")]
    query: String,
    /// Values of named parameters.
    parameters: Option<BTreeMap<String, Parameter>>,
    /// Labels of yours.
    labels: Option<BTreeMap<String, String>>,
    /// Version of the task type; 0, if left out.
    task_type_version: Option<i32>,
}

/// The value of a parameter.
#[derive(ToSchema)]
#[schema(as = tasks::Parameter)]
struct Parameter {
    /// `BOOL`, `BYTES`, `DATETIME`, `FLOAT64`, `INT64` or `STRING`.
    #[schema(example = "INT64")]
    r#type: String,
    /// The value; bytes in base64.
    #[schema(value_type = Object)]
    value: String,
}

/// A query that runs or ran.
#[derive(ToSchema)]
#[schema(as = tasks::Task, example = json!({"name": "projects/acme-data/locations/EU/tasks/019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", "state": "RUNNING", "query": "SELECT 1"}))]
#[serde(rename_all = "camelCase")]
struct Task {
    /// Its name.
    name: String,
    /// Name of its operation.
    operation: String,
    /// How far it is, as its operation has it.
    state: String,
    /// The query.
    query: String,
    /// Labels of yours.
    labels: Option<BTreeMap<String, String>>,
    /// Version of the task type.
    task_type_version: i32,
    /// Id of BigQuery's job.
    job_id: Option<String>,
    /// Project of the job.
    project: Option<String>,
    /// Where it runs.
    location: Option<String>,
    /// What it left behind: addresses such as `bq://project:dataset.table`, by name.
    outputs: Option<BTreeMap<String, String>>,
}

/// One page of tasks.
#[derive(ToSchema)]
#[schema(as = tasks::Page, example = json!({"tasks": []}))]
#[serde(rename_all = "camelCase")]
struct TaskPage {
    /// The tasks.
    tasks: Vec<Task>,
    /// Send it as `pageToken` for the next page; not there on the last.
    next_page_token: Option<String>,
}

/// Which page.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct Wanted {
    /// How many at most; 1000 at most.
    #[param(minimum = 0)]
    page_size: Option<i32>,
    /// Where to go on: the token of the page before.
    page_token: Option<String>,
}

/// Starts a query.
///
/// Answers with its operation. With an `Idempotency-Key` a repeated request starts nothing.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/locations/{location}/tasks",
    tag = TAG,
    operation_id = "tasks.Create",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("location" = String, Path, description = "Where tasks run, as BigQuery has it.", example = "EU", pattern = "^[^/]+$")),
    request_body(content = NewTask, example = json!({"query": "SELECT country, COUNT(*) FROM shop.orders GROUP BY country", "labels": {"team": "sales"}})),
    responses(
        (status = 200, description = "The operation.", body = Operation),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn create() {}

/// Lists tasks.
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks",
    tag = TAG,
    operation_id = "tasks.List",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("location" = String, Path, description = "Where tasks run, as BigQuery has it.", example = "EU", pattern = "^[^/]+$"), Wanted),
    responses(
        (status = 200, description = "A page of tasks.", body = TaskPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn list() {}

/// Shows a task.
///
/// With what it left behind, once it has ended.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}",
    tag = TAG,
    operation_id = "tasks.Get",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("location" = String, Path, description = "Where tasks run, as BigQuery has it.", example = "EU", pattern = "^[^/]+$"), ("task" = String, Path, description = "Id of the task.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The task.", body = Task),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn get() {}

/// Stops a task.
///
/// BigQuery is asked to stop the job, and may take its time.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}",
    tag = TAG,
    operation_id = "tasks.Delete",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("location" = String, Path, description = "Where tasks run, as BigQuery has it.", example = "EU", pattern = "^[^/]+$"), ("task" = String, Path, description = "Id of the task.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "Done.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn delete() {}

/// Shows what a task used.
///
/// 501 where its connector does not tell; the one for BigQuery does not.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}:metrics",
    tag = TAG,
    operation_id = "tasks.Metrics",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("location" = String, Path, description = "Where tasks run, as BigQuery has it.", example = "EU", pattern = "^[^/]+$"), ("task" = String, Path, description = "Id of the task.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The metrics.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn metrics() {}

/// Shows what a task wrote.
///
/// 501 where its connector does not tell; the one for BigQuery does not.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/locations/{location}/tasks/{task}:logs",
    tag = TAG,
    operation_id = "tasks.Logs",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("location" = String, Path, description = "Where tasks run, as BigQuery has it.", example = "EU", pattern = "^[^/]+$"), ("task" = String, Path, description = "Id of the task.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The messages.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn logs() {}
