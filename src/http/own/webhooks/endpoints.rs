//! `/v1/projects/*/webhookEndpoints`.

use http::Response;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    super::{
        Asked,
        fields::Fields,
        operations::shape::{Nothing, ProjectPath},
    },
    TAG, body,
    deliveries::DeliveryView,
    draft::{self, EndpointDraft, Mask},
    endpoint_view::{EndpointPage, EndpointView},
    once,
    page::{Page, Wanted, no_parameters},
    parts::OfEndpoint,
};
use crate::{
    error::Result,
    gateway::{Answer, Twice},
    http::{Server, body::Body, json},
    model::Endpoint,
    webhooks::{Endpoints, OVERLAP_DEFAULT, Secret},
};

/// Which secret to put in use, and how.
#[expect(dead_code, reason = "it describes what is read field by field")]
#[derive(ToSchema)]
#[schema(as = webhooks::RotateSecret)]
struct RotateSecret {
    /// The new secret, `whsec_` and the base64 of 24 to 64 random bytes; made for you, if left out.
    #[schema(nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<String>,
    /// How long the one before signs too: `0s` to `604800s`, a day if left out.
    #[schema(nullable = false, example = "86400s")]
    overlap: Option<String>,
}

/// Makes a webhook endpoint.
///
/// Events of the project are sent there from now on, signed as Standard Webhooks has it. The secret is in this answer and
/// in no other. The address is judged now and again at each attempt.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/webhookEndpoints",
    tag = TAG,
    operation_id = "webhookEndpoints.Create",
    params(ProjectPath),
    request_body(
        content = EndpointDraft,
        example = json!({"url": "https://hooks.example.com/causeway", "eventTypes": ["operation.*"]})
    ),
    responses(
        (status = 200, description = "The endpoint, with its secret.", body = EndpointView),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn create(server: &Server, mut asked: Asked<'_>, project: &str) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let (draft, secret) = draft::read(body(&mut asked).await?, true)?;
    let (endpoints, project) = (server.webhooks.clone(), project.to_owned());
    let work = async move {
        let (endpoint, secret) = endpoints.create(&project, draft, secret.as_deref()).await?;
        told_once(&endpoints, &endpoint, &secret)
    };
    Ok(once(&asked.change(server, Twice::More, work).await?))
}

/// Shows a webhook endpoint.
///
/// Its secret and the values of its headers are not shown.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}",
    tag = TAG,
    operation_id = "webhookEndpoints.Get",
    params(ProjectPath, OfEndpoint),
    responses(
        (status = 200, description = "The endpoint.", body = EndpointView),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let endpoint = server.webhooks.get(ids[0], ids[1]).await?;
    Ok(json(&EndpointView::of(&server.webhooks, &endpoint)?))
}

/// Lists webhook endpoints.
///
/// In the order in which they were made.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/webhookEndpoints",
    tag = TAG,
    operation_id = "webhookEndpoints.List",
    params(ProjectPath, Wanted),
    responses(
        (status = 200, description = "A page of endpoints.", body = EndpointPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list(server: &Server, asked: &Asked<'_>, project: &str) -> Result<Response<Body>> {
    let page = Page::read(asked.query, false)?;
    let (tokens, parent) = (&server.audit.tokens, ["webhookEndpoints", project]);
    let after = page.after(tokens, &parent)?;
    let found = server.store.webhook_endpoints(project, &after, page.size).await?;
    let next_page_token = page.next(&found, |endpoint| &endpoint.id, tokens, &parent);
    let view = |endpoint| EndpointView::of(&server.webhooks, endpoint);
    let webhook_endpoints = found.iter().map(view).collect::<Result<_>>()?;
    Ok(json(&EndpointPage { webhook_endpoints, next_page_token }))
}

/// Changes a webhook endpoint.
///
/// What `updateMask` names, or without it what the body holds. What only the gateway says, and the secret, stay as they are.
/// Disabling it cancels what is queued.
#[utoipa::path(
    patch,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}",
    tag = TAG,
    operation_id = "webhookEndpoints.Patch",
    params(ProjectPath, OfEndpoint, Mask),
    request_body(content = EndpointDraft, example = json!({"description": "billing"})),
    responses(
        (status = 200, description = "The endpoint as it is now.", body = EndpointView),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn patch(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    let mask = draft::mask(asked.query)?;
    let (mut draft, _) = draft::read(body(&mut asked).await?, false)?;
    if let Some(mask) = mask {
        draft = draft::masked(draft, &mask)?;
    }
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let endpoint = endpoints.patch(&project, &id, draft).await?;
        Ok(Answer::of(&EndpointView::of(&endpoints, &endpoint)?))
    };
    Ok(json(&asked.change(server, Twice::Same, work).await?))
}

/// Deletes a webhook endpoint.
///
/// Nothing more is sent; its deliveries go too.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}",
    tag = TAG,
    operation_id = "webhookEndpoints.Delete",
    params(ProjectPath, OfEndpoint),
    responses(
        (status = 200, description = "It is gone.", body = Nothing),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn delete(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        endpoints.delete(&project, &id).await?;
        Ok(Answer::of(&json!({})))
    };
    Ok(json(&asked.change(server, Twice::Same, work).await?))
}

/// Sends a test event.
///
/// A `ping` is queued for this endpoint, whatever it subscribed to. The answer is its delivery.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}:ping",
    tag = TAG,
    operation_id = "webhookEndpoints.Ping",
    params(ProjectPath, OfEndpoint),
    responses(
        (status = 200, description = "The delivery of the test event.", body = DeliveryView),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn ping(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    nothing(&mut asked).await?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let delivery = endpoints.ping(&project, &id).await?;
        Ok(Answer::of(&DeliveryView::of(&project, &delivery)))
    };
    Ok(json(&asked.change(server, Twice::More, work).await?))
}

/// Puts a new secret in use.
///
/// Until `overlap` is over, each message carries two signatures: of the new secret and of the one before.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}:rotateSecret",
    tag = TAG,
    operation_id = "webhookEndpoints.RotateSecret",
    params(ProjectPath, OfEndpoint),
    request_body(content = RotateSecret, example = json!({"overlap": "86400s"})),
    responses(
        (status = 200, description = "The endpoint, with its new secret.", body = EndpointView),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn rotate(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let mut fields = body(&mut asked).await?;
    let secret = fields.text("secret")?;
    let overlap = fields.duration("overlap")?.unwrap_or(OVERLAP_DEFAULT);
    fields.finish()?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let (endpoint, secret) = endpoints.rotate(&project, &id, secret.as_deref(), overlap).await?;
        told_once(&endpoints, &endpoint, &secret)
    };
    Ok(once(&asked.change(server, Twice::More, work).await?))
}

/// Enables a webhook endpoint again.
///
/// What happened meanwhile is sent by `:replay`.
#[utoipa::path(
    post,
    path = "/v1/projects/{project}/webhookEndpoints/{endpoint}:enable",
    tag = TAG,
    operation_id = "webhookEndpoints.Enable",
    params(ProjectPath, OfEndpoint),
    responses(
        (status = 200, description = "The endpoint as it is now.", body = EndpointView),
        (status = 404, description = "There is no such endpoint in this project."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn enable(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    nothing(&mut asked).await?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let endpoint = endpoints.enable(&project, &id).await?;
        Ok(Answer::of(&EndpointView::of(&endpoints, &endpoint)?))
    };
    Ok(json(&asked.change(server, Twice::Same, work).await?))
}

/// Answers with a secret, and without it to whoever repeats the request.
fn told_once(endpoints: &Endpoints, endpoint: &Endpoint, secret: &Secret) -> Result<Answer> {
    let kept = EndpointView::of(endpoints, endpoint)?;
    Ok(Answer::once(&EndpointView::of(endpoints, endpoint)?.with_secret(secret), &kept))
}

async fn nothing(asked: &mut Asked<'_>) -> Result<()> {
    no_parameters(asked.query)?;
    body(asked).await.and_then(Fields::finish)
}

/// Returns what work on an endpoint takes along.
pub(super) fn owned(server: &Server, ids: &[&str]) -> (Endpoints, String, String) {
    (server.webhooks.clone(), ids[0].to_owned(), ids[1].to_owned())
}
