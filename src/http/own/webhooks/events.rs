//! `/v1/projects/*/events` and `/v1/eventTypes`.

use http::Response;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::Asked,
    page::{Page, equals},
};
use crate::{
    error::{Code, Error, Reason, Result},
    http::{Server, body::Body, json},
    model::WebhookEvent,
    store::EventQuery,
    webhooks::event_type,
};

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
    let last = found.last().map(|event| event.id.as_str());
    Ok(page.answer("events", &found.iter().map(show).collect::<Vec<_>>(), last, tokens, &parent))
}

pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let missing = || {
        let text = format!("projects/{}/events/{} does not exist.", ids[0], ids[1]);
        Error::new(Code::NotFound, Reason::ResourceNotFound, text)
    };
    let event = server.store.event(ids[0], ids[1]).await?.ok_or_else(missing)?;
    Ok(json(&show(&event)))
}

pub(super) fn types(asked: &Asked<'_>) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let shown: Vec<Value> = event_type::ALL
        .iter()
        .map(|known| {
            json!({
                "name": format!("eventTypes/{}", known.name),
                "type": known.name,
                "description": known.description,
                "optIn": known.opt_in,
                "schema": known.schema(),
                "example": known.example(),
            })
        })
        .collect();
    Ok(json(&json!({"eventTypes": shown, "nextPageToken": ""})))
}

fn show(event: &WebhookEvent) -> Value {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    json!({
        "name": format!("projects/{}/events/{}", event.project, event.id),
        "type": event.kind,
        "timestamp": event.time.to_string(),
        "data": data,
    })
}
