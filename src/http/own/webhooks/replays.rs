//! `/v1/projects/*/webhookEndpoints/*:replay` and `…/replays`.

use http::Response;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Asked, operations::shape::ProjectPath},
    TAG, body, endpoints,
    page::no_parameters,
    parts::OfEndpoint,
};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::{Answer, Twice},
    http::{Server, body::Body, json},
    model::Replay,
};

/// What to send again.
#[expect(dead_code, reason = "it describes what is read field by field")]
#[derive(ToSchema)]
#[schema(as = webhooks::NewReplay)]
#[serde(rename_all = "camelCase")]
struct NewReplay {
    /// The first instant that counts.
    #[schema(format = "date-time", example = "2026-11-20T09:00:00Z")]
    start_time: String,
    /// The first instant that no longer counts: at most 30 days later, and not in the future.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    end_time: String,
    /// Whether what was accepted is left alone.
    #[schema(nullable = false, example = true)]
    skip_succeeded: Option<bool>,
}

/// A wish to send the events of a time again.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::Replay)]
#[serde(rename_all = "camelCase")]
struct ReplayView {
    /// Its name.
    #[schema(example = "projects/acme-data/webhookEndpoints/we_1/replays/rp_1")]
    name: String,
    /// The first instant that counts.
    #[schema(format = "date-time", example = "2026-11-20T09:00:00Z")]
    start_time: String,
    /// The first instant that no longer counts.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    end_time: String,
    /// Whether what was accepted is left alone.
    #[schema(example = true)]
    skip_succeeded: bool,
    /// `RUNNING` or `DONE`.
    #[schema(example = "DONE")]
    state: &'static str,
    /// Deliveries queued so far; a 64-bit integer.
    #[schema(format = "int64", example = "12")]
    queued_count: String,
    /// When it was asked for.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    create_time: String,
}

/// Which replay.
#[expect(dead_code, reason = "it describes what is captured by place")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
struct OfReplay {
    /// Id of the replay.
    #[param(example = "rp_1", pattern = "^[^/]+$")]
    replay: String,
}

/// Sends the events of a time again.
///
/// At most 30 days. The answer names the replay, which goes on until it is done, whoever restarts in between.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}:replay",
    tag = TAG,
    operation_id = "webhookEndpoints.Replay",
    params(ProjectPath, OfEndpoint),
    request_body(
        content = NewReplay,
        example = json!({"startTime": "2026-11-20T09:00:00Z", "endTime": "2026-11-21T09:00:00Z", "skipSucceeded": true})
    ),
    responses(
        (status = 200, description = "The replay, which has only begun.", body = ReplayView),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn create(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let mut fields = body(&mut asked).await?;
    let (start, end) = (fields.time("startTime")?, fields.time("endTime")?);
    let skip_succeeded = fields.flag("skipSucceeded")?.unwrap_or_default();
    fields.finish()?;
    let required = |name| Error::invalid_field(name, "is required");
    let window = (start.ok_or_else(|| required("startTime"))?, end.ok_or_else(|| required("endTime"))?);
    let (endpoints, project, id) = endpoints::owned(server, ids);
    let work = async move {
        let replay = endpoints.replay(&project, &id, window, skip_succeeded).await?;
        Ok(Answer::of(&ReplayView::of(&replay)))
    };
    Ok(json(&asked.change(server, Twice::More, work).await?))
}

/// Shows a replay.
///
/// How far it is.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}/replays/{replay}",
    tag = TAG,
    operation_id = "webhookEndpoints.GetReplay",
    params(ProjectPath, OfEndpoint, OfReplay),
    responses(
        (status = 200, description = "The replay.", body = ReplayView),
        (status = 404, description = "There is no such replay of this endpoint."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    server.webhooks.get(ids[0], ids[1]).await?;
    let missing = || {
        let text =
            format!("projects/{}/webhookEndpoints/{}/replays/{} does not exist.", ids[0], ids[1], ids[2]);
        Error::new(Code::NotFound, Reason::ResourceNotFound, text)
    };
    let replay = server.store.replay(ids[1], ids[2]).await?.ok_or_else(missing)?;
    Ok(json(&ReplayView::of(&replay)))
}

impl ReplayView {
    fn of(replay: &Replay) -> Self {
        let Replay { id, project, endpoint, .. } = replay;
        Self {
            name: format!("projects/{project}/webhookEndpoints/{endpoint}/replays/{id}"),
            start_time: replay.start.to_string(),
            end_time: replay.end.to_string(),
            skip_succeeded: replay.skip_succeeded,
            state: if replay.done { "DONE" } else { "RUNNING" },
            queued_count: replay.queued.to_string(),
            create_time: replay.created_at.to_string(),
        }
    }
}
