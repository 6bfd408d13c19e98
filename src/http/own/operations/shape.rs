//! What operations look like in the document.

use utoipa::{IntoParams, ToSchema};

/// Whose operations.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http::own) struct ProjectPath {
    /// Id of the project.
    #[param(example = "acme-data", pattern = "^[^/]+$")]
    project: String,
}

/// Which operation.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http::own) struct OperationPath {
    /// Id of the project.
    #[param(example = "acme-data", pattern = "^[^/]+$")]
    project: String,
    /// Id of the operation.
    #[param(example = "019e0c5e-5d2e-7c1a-9d6a-0d5f1f4c2b11", pattern = "^[^/]+$")]
    operation: String,
}

/// Something that takes long, as Google's clients know it.
#[expect(dead_code, reason = "it describes what is printed field by field")]
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
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = operations::Page, example = json!({"operations": []}))]
#[serde(rename_all = "camelCase")]
pub(in crate::http::own) struct OperationPage {
    /// The operations.
    operations: Vec<Operation>,
    /// Send it as `pageToken` for the next page; not there on the last.
    #[schema(nullable = false)]
    next_page_token: Option<String>,
}

/// How long to wait.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = operations::Wait)]
pub(in crate::http::own) struct WaitRequest {
    /// Seconds, such as `30s`; 60 at most.
    #[schema(example = "30s")]
    timeout: Option<String>,
}

/// What to put on record.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = operations::Track)]
pub(in crate::http::own) struct TrackRequest {
    /// Key of the upstream.
    #[schema(example = "datastream")]
    upstream: String,
    /// Its name there.
    name: String,
}

/// Which operations.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(in crate::http::own) struct ListQuery {
    /// What must hold, joined by `AND`: `done`, `state`, `kind`, `upstream`, `upstreamName`, `method`, `target`, `createTime`,
    /// `updateTime`, `endTime`. `:` is "contains" for `target`, `method` and `upstreamName`.
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
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(in crate::http::own) struct WatchQuery {
    /// What must hold, as in a list.
    filter: Option<String>,
}
