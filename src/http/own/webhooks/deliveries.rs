//! `/v1/projects/*/webhookEndpoints/*/deliveries`.

use http::Response;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Asked, fields::Fields, operations::shape::ProjectPath},
    TAG, body,
    page::{Page, Wanted, equals, no_parameters},
    parts::{OfDelivery, OfEndpoint},
};
use crate::{
    error::{Error, Result},
    gateway::{Answer, Twice},
    http::{Server, body::Body, json},
    model::{Attempt, Delivery, DeliveryState},
    store::DeliveryQuery,
};

/// Attempts that are shown. A delivery that is resent again and again has more.
const ATTEMPTS_MAX: i64 = 100;

/// One event for one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::Delivery)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryView {
    /// Its name.
    #[schema(example = "projects/acme-data/webhookEndpoints/we_1/deliveries/evt_1")]
    name: String,
    /// Name of the event.
    #[schema(example = "projects/acme-data/events/evt_1")]
    event: String,
    /// Type of the event.
    #[schema(example = "operation.succeeded")]
    event_type: String,
    /// `PENDING`, `SUCCEEDED`, `EXHAUSTED`, `FAILED` or `CANCELLED`.
    #[schema(example = "PENDING")]
    state: &'static str,
    /// Attempts that were made.
    #[schema(example = 1)]
    attempt_count: u32,
    /// Whether one is being made.
    #[schema(required = false, example = false)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    attempt_under_way: bool,
    /// When the next one is due, at the earliest: not while its endpoint is left alone.
    #[schema(nullable = false, format = "date-time", example = "2026-11-21T09:05:00Z")]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_time: Option<String>,
    /// HTTP status of the last one.
    #[schema(nullable = false, example = 500)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_status: Option<u16>,
    /// Class of the last one's failure.
    #[schema(nullable = false, example = "STATUS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// When it was queued.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    create_time: String,
    /// When it ended.
    #[schema(nullable = false, format = "date-time", example = "2026-11-21T09:00:00Z")]
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<String>,
}

/// One page of deliveries.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::ListDeliveries)]
#[serde(rename_all = "camelCase")]
struct DeliveryPage {
    /// The deliveries, the newest event first.
    deliveries: Vec<DeliveryView>,
    /// Send it as `pageToken` for the next page; not there on the last.
    #[serde(skip_serializing_if = "String::is_empty")]
    next_page_token: String,
}

/// One try to deliver.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::Attempt)]
#[serde(rename_all = "camelCase")]
struct AttemptView {
    /// Its name.
    #[schema(example = "projects/acme-data/webhookEndpoints/we_1/deliveries/evt_1/attempts/1")]
    name: String,
    /// When it began.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    start_time: String,
    /// How long it took.
    #[schema(example = "0.012000s")]
    duration: String,
    /// HTTP status of the answer.
    #[schema(nullable = false, example = 500)]
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The first 16 KiB of the answer.
    #[schema(nullable = false, example = "oh")]
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    /// Why it failed.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FailureView>,
}

/// Why an attempt failed.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::Failure)]
struct FailureView {
    /// `STATUS`, `REDIRECT`, `REFUSED_TARGET`, `DNS`, `CONNECT`, `TLS`, `TLS_EXPIRED`, `TIMEOUT` or `PROTOCOL`.
    #[schema(example = "STATUS")]
    class: String,
    /// The same in words.
    #[schema(example = "answered 500, which is not 2xx")]
    message: String,
}

/// The last attempts of a delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::ListAttempts)]
#[serde(rename_all = "camelCase")]
struct AttemptPage {
    /// The attempts, the newest first.
    attempts: Vec<AttemptView>,
}

/// Which deliveries.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct WantedDeliveries {
    /// In which state, such as `state = "EXHAUSTED"`.
    #[param(example = "state = \"EXHAUSTED\"")]
    filter: Option<String>,
}

/// Lists deliveries.
///
/// The latest event first, by when it happened. A filter is `state = "EXHAUSTED"`.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries",
    tag = TAG,
    operation_id = "deliveries.List",
    params(ProjectPath, OfEndpoint, Wanted, WantedDeliveries),
    responses(
        (status = 200, description = "A page of deliveries.", body = DeliveryPage),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
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
    let next_page_token = page.next(&found, |delivery| &delivery.event, tokens, &parent);
    let deliveries = found.iter().map(|delivery| DeliveryView::of(ids[0], delivery)).collect();
    Ok(json(&DeliveryPage { deliveries, next_page_token }))
}

/// Shows a delivery.
///
/// The id of a delivery is that of its event.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}",
    tag = TAG,
    operation_id = "deliveries.Get",
    params(ProjectPath, OfEndpoint, OfDelivery),
    responses(
        (status = 200, description = "The delivery.", body = DeliveryView),
        (status = 404, description = "There is no such delivery of this endpoint."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let delivery = server.webhooks.delivery(ids[0], ids[1], ids[2]).await?;
    Ok(json(&DeliveryView::of(ids[0], &delivery)))
}

/// Lists attempts of a delivery.
///
/// The newest first, at most 100, with the first 16 KiB of each answer.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}/attempts",
    tag = TAG,
    operation_id = "deliveries.ListAttempts",
    params(ProjectPath, OfEndpoint, OfDelivery),
    responses(
        (status = 200, description = "The attempts.", body = AttemptPage),
        (status = 404, description = "There is no such delivery of this endpoint."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn attempts(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    server.webhooks.delivery(ids[0], ids[1], ids[2]).await?;
    let found = server.store.attempts(ids[1], ids[2], ATTEMPTS_MAX).await?;
    let parent = name(ids[0], ids[1], ids[2]);
    let attempts = found.iter().map(|attempt| AttemptView::of(&parent, attempt)).collect();
    Ok(json(&AttemptPage { attempts }))
}

/// Sends a delivery again.
///
/// Under the same id, whatever came of it before.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}:resend",
    tag = TAG,
    operation_id = "deliveries.Resend",
    params(ProjectPath, OfEndpoint, OfDelivery),
    responses(
        (status = 200, description = "The delivery, which is due now.", body = DeliveryView),
        (status = 404, description = "There is no such delivery of this endpoint."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn resend(server: &Server, asked: &mut Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    body(asked).await.and_then(Fields::finish)?;
    let endpoints = server.webhooks.clone();
    let [project, id, event] = [ids[0], ids[1], ids[2]].map(str::to_owned);
    let work = async move {
        let delivery = endpoints.resend(&project, &id, &event).await?;
        Ok(Answer::of(&DeliveryView::of(&project, &delivery)))
    };
    Ok(json(&asked.change(server, Twice::More, work).await?))
}

fn name(project: &str, endpoint: &str, event: &str) -> String {
    format!("projects/{project}/webhookEndpoints/{endpoint}/deliveries/{event}")
}

impl DeliveryView {
    pub(super) fn of(project: &str, delivery: &Delivery) -> Self {
        let pending = delivery.state == DeliveryState::Pending;
        Self {
            name: name(project, &delivery.endpoint, &delivery.event),
            event: format!("projects/{project}/events/{}", delivery.event),
            event_type: delivery.kind.clone(),
            state: delivery.state.name(),
            attempt_count: delivery.attempts,
            attempt_under_way: pending && delivery.leased,
            next_attempt_time: (pending && !delivery.leased).then(|| delivery.due_at.to_string()),
            last_status: delivery.last_status,
            last_error: Some(delivery.last_error.clone()).filter(|class| !class.is_empty()),
            create_time: delivery.created_at.to_string(),
            end_time: delivery.ended_at.map(|time| time.to_string()),
        }
    }
}

impl AttemptView {
    fn of(parent: &str, attempt: &Attempt) -> Self {
        let failure = || FailureView { class: attempt.error.clone(), message: attempt.detail.clone() };
        Self {
            name: format!("{parent}/attempts/{}", attempt.number),
            start_time: attempt.started_at.to_string(),
            duration: format!("{:.6}s", attempt.took.as_secs_f64()),
            status: attempt.status,
            response: attempt.status.map(|_| String::from_utf8_lossy(&attempt.answer).into_owned()),
            error: (!attempt.error.is_empty()).then(failure),
        }
    }
}
