//! What tasks look like in the document.

use std::collections::BTreeMap;

use utoipa::{IntoParams, ToSchema};

/// Where tasks run.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct LocationPath {
    /// Id of the project.
    #[param(example = "acme-data", pattern = "^[^/]+$")]
    project: String,
    /// Where tasks run, as BigQuery has it.
    #[param(example = "EU", pattern = "^[^/]+$")]
    location: String,
}

/// Which task.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TaskPath {
    /// Id of the project.
    #[param(example = "acme-data", pattern = "^[^/]+$")]
    project: String,
    /// Where tasks run, as BigQuery has it.
    #[param(example = "EU", pattern = "^[^/]+$")]
    location: String,
    /// Id of the task.
    #[param(example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")]
    task: String,
}

/// A query that is to run.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = tasks::NewTask)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewTask {
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
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = tasks::Parameter)]
pub(super) struct Parameter {
    /// `BOOL`, `BYTES`, `DATETIME`, `FLOAT64`, `INT64` or `STRING`.
    #[schema(example = "INT64")]
    r#type: String,
    /// The value; bytes in base64.
    #[schema(value_type = Object)]
    value: String,
}

/// A query that runs or ran.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = tasks::Task, example = json!({"name": "projects/acme-data/locations/EU/tasks/019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", "operation": "projects/acme-data/operations/019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", "state": "RUNNING", "query": "SELECT 1", "taskTypeVersion": 0}))]
#[serde(rename_all = "camelCase")]
pub(super) struct Task {
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
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = tasks::Page, example = json!({"tasks": []}))]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskPage {
    /// The tasks.
    tasks: Vec<Task>,
    /// Send it as `pageToken` for the next page; not there on the last.
    #[schema(nullable = false)]
    next_page_token: Option<String>,
}

/// Which page.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(super) struct TaskQuery {
    /// How many at most; 1000 at most.
    #[param(minimum = 0)]
    page_size: Option<i32>,
    /// Where to go on: the token of the page before.
    page_token: Option<String>,
}
