//! `/v1/projects/*/events` and `/v1/eventTypes`.

use http::Response;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Asked, operations::shape::ProjectPath},
    TAG,
    page::{Page, Wanted, equals, no_parameters},
};
use crate::{
    error::{Code, Error, Reason, Result},
    http::{Server, body::Body, json},
    model::WebhookEvent,
    store::EventQuery,
    webhooks::event_type::{self, EventType},
};

/// Something that happened.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::Event)]
struct EventView {
    /// Its name; the id is what `webhook-id` says.
    #[schema(example = "projects/acme-data/events/evt_1")]
    name: String,
    /// What happened.
    #[schema(example = "operation.succeeded")]
    r#type: String,
    /// When.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    timestamp: String,
    /// What it is about, in full.
    #[schema(value_type = Object, example = json!({"operation": {"name": "projects/acme-data/operations/1", "done": true}}))]
    data: Value,
}

/// One page of events.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::ListEvents)]
#[serde(rename_all = "camelCase")]
struct EventPage {
    /// The events, the latest first.
    events: Vec<EventView>,
    /// Send it as `pageToken` for the next page; not there on the last.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_page_token: String,
}

/// A type of event.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::EventType)]
#[serde(rename_all = "camelCase")]
struct EventTypeView {
    /// Its name.
    #[schema(example = "eventTypes/operation.succeeded")]
    name: String,
    /// What endpoints subscribe to.
    #[schema(example = "operation.succeeded")]
    r#type: &'static str,
    /// What has happened.
    #[schema(example = "An operation ended with a result.")]
    description: &'static str,
    /// Whether only an endpoint that names it in full gets it.
    #[schema(example = false)]
    opt_in: bool,
    /// JSON schema of what is sent.
    #[schema(value_type = Object, example = json!({"type": "object"}))]
    schema: Value,
    /// What could be sent.
    #[schema(value_type = Object, example = json!({"type": "operation.succeeded", "timestamp": "2026-11-21T09:00:00Z", "data": {}}))]
    example: Value,
}

/// All types of events.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::ListEventTypes)]
#[serde(rename_all = "camelCase")]
struct EventTypePage {
    /// The types.
    event_types: Vec<EventTypeView>,
}

/// Which events.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct WantedEvents {
    /// Of which type: `type = "operation.failed"`, or `type = "operation.*"` for a family.
    #[param(example = "type = \"operation.*\"")]
    filter: Option<String>,
}

/// Which event.
#[expect(dead_code, reason = "it describes what is captured by place")]
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
struct OfEvent {
    /// Id of the event.
    #[param(example = "evt_1", pattern = "^[^/]+$")]
    event: String,
}

/// Lists events.
///
/// The latest first, by when it happened: what was found out later, because a gateway was killed, stands where it belongs and
/// not on top. A filter is `type = "operation.failed"`, or `type = "operation.*"` for a family.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/events",
    tag = TAG,
    operation_id = "events.List",
    params(ProjectPath, Wanted, WantedEvents),
    responses(
        (status = 200, description = "A page of events.", body = EventPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list(server: &Server, asked: &Asked<'_>, project: &str) -> Result<Response<Body>> {
    let page = Page::read(asked.query, true)?;
    let kind = equals(&page.filter, "type")?.unwrap_or_default();
    let (tokens, parent) = (&server.audit.tokens, ["events", project]);
    let before = page.after(tokens, &parent)?;
    let query = EventQuery {
        project: project.to_owned(),
        kind,
        since: Timestamp::UNIX_EPOCH,
        before,
        limit: page.size,
    };
    let found = server.store.events(&query).await?;
    let next_page_token = page.next(&found, |event| &event.id, tokens, &parent);
    Ok(json(&EventPage { events: found.iter().map(EventView::of).collect(), next_page_token }))
}

/// Shows an event.
///
/// What happened, in full.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/events/{event}",
    tag = TAG,
    operation_id = "events.Get",
    params(ProjectPath, OfEvent),
    responses(
        (status = 200, description = "The event.", body = EventView),
        (status = 404, description = "There is no such event in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let missing = || {
        let text = format!("projects/{}/events/{} does not exist.", ids[0], ids[1]);
        Error::new(Code::NotFound, Reason::ResourceNotFound, text)
    };
    let event = server.store.event(ids[0], ids[1]).await?.ok_or_else(missing)?;
    Ok(json(&EventView::of(&event)))
}

/// Lists event types.
///
/// Each with the JSON schema of what is sent, and an example.
#[utoipa::path(
    get,
    path = "/v1/eventTypes",
    tag = TAG,
    operation_id = "eventTypes.List",
    responses((status = 200, description = "All types.", body = EventTypePage))
)]
pub(super) fn types(asked: &Asked<'_>) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let event_types = event_type::ALL.iter().map(EventTypeView::of).collect();
    Ok(json(&EventTypePage { event_types }))
}

impl EventView {
    fn of(event: &WebhookEvent) -> Self {
        Self {
            name: format!("projects/{}/events/{}", event.project, event.id),
            r#type: event.kind.clone(),
            timestamp: event.time.to_string(),
            data: serde_json::from_str(&event.data).unwrap_or_default(),
        }
    }
}

impl EventTypeView {
    fn of(known: &EventType) -> Self {
        Self {
            name: format!("eventTypes/{}", known.name),
            r#type: known.name,
            description: known.description,
            opt_in: known.opt_in,
            schema: known.schema(),
            example: known.example(),
        }
    }
}
