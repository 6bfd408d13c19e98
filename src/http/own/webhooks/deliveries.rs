//! `/v1/projects/*/webhookEndpoints/*/deliveries`.

use http::Response;
use serde_json::{Value, json};

use super::{
    super::{Asked, fields::Fields},
    body,
    page::{Page, equals, no_parameters},
};
use crate::{
    error::{Error, Result},
    gateway::Twice,
    http::{Server, body::Body, json},
    model::{Attempt, Delivery, DeliveryState},
    store::DeliveryQuery,
};

/// Attempts that are shown. A delivery that is resent again and again has more.
const ATTEMPTS_MAX: i64 = 100;

pub(super) async fn list(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    let page = Page::read(asked.query, true)?;
    let wrong = || {
        let text = "expected state = \"PENDING\", SUCCEEDED, EXHAUSTED, FAILED or CANCELLED";
        Error::invalid_field("filter", text)
    };
    let state = equals(&page.filter, "state")?
        .map(|name| DeliveryState::from_name(&name).ok_or_else(wrong))
        .transpose()?;
    server.webhooks.get(ids[0], ids[1]).await?;
    let (tokens, parent) = (&server.audit.tokens, ["deliveries", ids[0], ids[1]]);
    let before = page.after(tokens, &parent)?;
    let query = DeliveryQuery { endpoint: ids[1].to_owned(), state, before, limit: page.size };
    let found = server.store.deliveries(&query).await?;
    let shown: Vec<_> = found.iter().map(|delivery| show(ids[0], delivery)).collect();
    let last = found.last().map(|delivery| delivery.event.as_str());
    Ok(page.answer("deliveries", &shown, last, tokens, &parent))
}

pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let delivery = server.webhooks.delivery(ids[0], ids[1], ids[2]).await?;
    Ok(json(&show(ids[0], &delivery)))
}

pub(super) async fn attempts(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    server.webhooks.delivery(ids[0], ids[1], ids[2]).await?;
    let found = server.store.attempts(ids[1], ids[2], ATTEMPTS_MAX).await?;
    let parent = name(ids[0], ids[1], ids[2]);
    let shown: Vec<Value> = found.iter().map(|attempt| show_attempt(&parent, attempt)).collect();
    Ok(json(&json!({"attempts": shown, "nextPageToken": ""})))
}

pub(super) async fn resend(server: &Server, asked: &mut Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    body(asked).await.and_then(Fields::finish)?;
    let endpoints = server.webhooks.clone();
    let [project, id, event] = [ids[0], ids[1], ids[2]].map(str::to_owned);
    let work = async move { Ok(show(&project, &endpoints.resend(&project, &id, &event).await?).into()) };
    Ok(json(&asked.change(server, Twice::More, work).await?))
}

fn name(project: &str, endpoint: &str, event: &str) -> String {
    format!("projects/{project}/webhookEndpoints/{endpoint}/deliveries/{event}")
}

pub(super) fn show(project: &str, delivery: &Delivery) -> Value {
    let mut shown = json!({
        "name": name(project, &delivery.endpoint, &delivery.event),
        "event": format!("projects/{project}/events/{}", delivery.event),
        "eventType": delivery.kind,
        "state": delivery.state.name(),
        "attemptCount": delivery.attempts,
        "createTime": delivery.created_at.to_string(),
    });
    if delivery.state == DeliveryState::Pending {
        if delivery.leased {
            shown["attemptUnderWay"] = json!(true);
        } else {
            shown["nextAttemptTime"] = json!(delivery.due_at.to_string());
        }
    }
    if let Some(ended) = delivery.ended_at {
        shown["endTime"] = json!(ended.to_string());
    }
    if let Some(status) = delivery.last_status {
        shown["lastStatus"] = json!(status);
    }
    if !delivery.last_error.is_empty() {
        shown["lastError"] = json!(delivery.last_error);
    }
    shown
}

fn show_attempt(parent: &str, attempt: &Attempt) -> Value {
    let mut shown = json!({
        "name": format!("{parent}/attempts/{}", attempt.number),
        "startTime": attempt.started_at.to_string(),
        "duration": format!("{:.6}s", attempt.took.as_secs_f64()),
    });
    if let Some(status) = attempt.status {
        shown["status"] = json!(status);
        shown["response"] = json!(String::from_utf8_lossy(&attempt.answer));
    }
    if !attempt.error.is_empty() {
        shown["error"] = json!({"class": attempt.error, "message": attempt.detail});
    }
    shown
}
