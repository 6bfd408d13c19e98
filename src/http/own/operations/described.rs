//! How the document tells of operations.
#![expect(dead_code, reason = "it describes what is answered elsewhere")]

use utoipa::{IntoParams, ToSchema};

/// Tag of these endpoints.
const TAG: &str = "operations";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(list, list_of_project, get, delete, cancel, wait, watch, watch_all, watch_project, track, track_in_project),
    tags((name = TAG, description = "Everything that takes long, whatever system runs it: followed to its end, and kept."))
)]
pub(in crate::http::own) struct Described;

/// Something that takes long, as Google's clients know it.
#[derive(ToSchema)]
#[schema(as = operations::Operation, example = json!({"name": "projects/acme-data/operations/019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", "metadata": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"kind": "DATASTREAM_BACKFILL", "upstream": "datastream", "state": "RUNNING"}}}))]
#[serde(rename_all = "camelCase")]
pub(in crate::http::own) struct Operation {
    /// Its name.
    name: String,
    /// What is known of it: `kind`, `upstream`, `target`, `upstreamName`, `method`, `state`, `progressPercent`, `createTime`,
    /// `startTime`, `updateTime`, `endTime` and `upstreamMetadata`, within `value`.
    #[schema(value_type = Object)]
    metadata: String,
    /// Whether it has ended.
    done: Option<bool>,
    /// What came of it, if it ended well.
    #[schema(value_type = Option<Object>)]
    response: Option<String>,
    /// Why it ended otherwise: `code`, `message` and `details`.
    #[schema(value_type = Option<Object>)]
    error: Option<String>,
}

/// Nothing.
#[derive(ToSchema)]
#[schema(as = operations::Nothing, example = json!({}))]
pub(in crate::http::own) struct Nothing {}

/// One page of operations.
#[derive(ToSchema)]
#[schema(as = operations::Page, example = json!({"operations": []}))]
#[serde(rename_all = "camelCase")]
struct OperationPage {
    /// The operations.
    operations: Vec<Operation>,
    /// Send it as `pageToken` for the next page; not there on the last.
    next_page_token: Option<String>,
}

/// How long to wait.
#[derive(ToSchema)]
#[schema(as = operations::Wait)]
struct WaitRequest {
    /// Seconds, such as `30s`; 60 at most.
    #[schema(example = "30s")]
    timeout: Option<String>,
}

/// What to put on record.
#[derive(ToSchema)]
#[schema(as = operations::Track)]
struct TrackRequest {
    /// Key of the upstream.
    #[schema(example = "datastream")]
    upstream: String,
    /// Its name there.
    name: String,
}

/// Which operations.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct Wanted {
    /// What must hold, joined by `AND`: `done`, `state`, `kind`, `upstream`, `upstreamName`, `method`, `target`, `createTime`,
    /// `updateTime`, `endTime`.
    #[param(example = "done = false")]
    filter: Option<String>,
    /// `createTime` or `createTime desc`.
    order_by: Option<String>,
    /// How many at most; 1000 at most.
    #[param(minimum = 0)]
    page_size: Option<i32>,
    /// Where to go on: the token of the page before.
    page_token: Option<String>,
}

/// Which operations.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct Followed {
    /// What must hold, as in a list.
    filter: Option<String>,
}

/// Lists operations of all projects.
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/operations",
    tag = TAG,
    operation_id = "operations.List",
    params(Wanted),
    responses(
        (status = 200, description = "A page of operations.", body = OperationPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn list() {}

/// Lists the operations of a project.
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations",
    tag = TAG,
    operation_id = "operations.ListOfProject",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), Wanted),
    responses(
        (status = 200, description = "A page of operations.", body = OperationPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn list_of_project() {}

/// Shows an operation.
///
/// As it is on record; whatever system runs it, it has this shape.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations/{operation}",
    tag = TAG,
    operation_id = "operations.Get",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("operation" = String, Path, description = "Id of the operation.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The operation.", body = Operation),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn get() {}

/// Forgets an operation.
///
/// Here only: it goes on where it runs.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/operations/{operation}",
    tag = TAG,
    operation_id = "operations.Delete",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("operation" = String, Path, description = "Id of the operation.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "Done.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn delete() {}

/// Asks an operation to stop.
///
/// The system that runs it is asked, and may take its time. What has ended stays as it ended.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/operations/{operation}:cancel",
    tag = TAG,
    operation_id = "operations.Cancel",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("operation" = String, Path, description = "Id of the operation.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "Done.", body = Nothing),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn cancel() {}

/// Waits for the end of an operation.
///
/// Answers when it has ended, or when the time is over, with the operation as it is then.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/operations/{operation}:wait",
    tag = TAG,
    operation_id = "operations.Wait",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("operation" = String, Path, description = "Id of the operation.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    request_body(content = WaitRequest, example = json!({"timeout": "30s"})),
    responses(
        (status = 200, description = "The operation.", body = Operation),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn wait() {}

/// Tells the changes of an operation.
///
/// As server-sent events: the state now, then every change, until its end. The id of an event is the version of the record.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations/{operation}:watch",
    tag = TAG,
    operation_id = "operations.Watch",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), ("operation" = String, Path, description = "Id of the operation.", example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "Operations, one in each event.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn watch() {}

/// Tells the changes of all operations.
///
/// As server-sent events: what is open now, then every change.
#[utoipa::path(
    get,
    path = "/v1/operations:watch",
    tag = TAG,
    operation_id = "operations.WatchAll",
    params(Followed),
    responses(
        (status = 200, description = "Operations, one in each event.", body = String, content_type = "text/event-stream"),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn watch_all() {}

/// Tells the changes of a project's operations.
///
/// As server-sent events: what is open now, then every change.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations:watch",
    tag = TAG,
    operation_id = "operations.WatchProject",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$"), Followed),
    responses(
        (status = 200, description = "Operations, one in each event.", body = String, content_type = "text/event-stream"),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn watch_project() {}

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
        (status = 200, description = "The operation.", body = Operation),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn track() {}

/// Puts something of a project on record.
///
/// What was started elsewhere: an operation, or the backfill of a stream object.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/operations:track",
    tag = TAG,
    operation_id = "operations.TrackInProject",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$")),
    request_body(content = TrackRequest, example = json!({"upstream": "datastream", "name": "projects/acme-data/locations/europe-west1/streams/shop-to-bigquery/objects/public-orders"})),
    responses(
        (status = 200, description = "The operation.", body = Operation),
        (status = 503, description = "The store cannot be used.")
    )
)]
fn track_in_project() {}
