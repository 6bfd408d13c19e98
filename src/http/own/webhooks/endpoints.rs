//! `/v1/projects/*/webhookEndpoints`.

use http::Response;
use serde_json::{Value, json};

use super::{
    super::{Asked, fields::Fields},
    body, deliveries, draft, once,
    page::{Page, no_parameters},
};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::{Answer, Twice},
    http::{Server, body::Body, json},
    model::{Endpoint, EndpointState, Replay},
    webhooks::{Endpoints, OVERLAP_DEFAULT},
};

pub(super) async fn create(server: &Server, mut asked: Asked<'_>, project: &str) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let (draft, secret) = draft::read(body(&mut asked).await?, true)?;
    let (endpoints, project) = (server.webhooks.clone(), project.to_owned());
    let work = async move {
        let (endpoint, secret) = endpoints.create(&project, draft, secret.as_deref()).await?;
        Ok(Answer::once(show(&endpoints, &endpoint)?, "secret", &secret.show()))
    };
    Ok(once(&asked.change(server, Twice::More, work).await?))
}

pub(super) async fn get(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let endpoint = server.webhooks.get(ids[0], ids[1]).await?;
    Ok(json(&show(&server.webhooks, &endpoint)?))
}

pub(super) async fn list(server: &Server, asked: &Asked<'_>, project: &str) -> Result<Response<Body>> {
    let page = Page::read(asked.query, false)?;
    let (tokens, parent) = (&server.audit.tokens, ["webhookEndpoints", project]);
    let after = page.after(tokens, &parent)?;
    let found = server.store.webhook_endpoints(project, &after, page.size).await?;
    let shown = found.iter().map(|endpoint| show(&server.webhooks, endpoint)).collect::<Result<Vec<_>>>()?;
    let last = found.last().map(|endpoint| endpoint.id.as_str());
    Ok(page.answer("webhookEndpoints", &shown, last, tokens, &parent))
}

pub(super) async fn patch(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    let mask = draft::mask(asked.query)?;
    let (mut draft, _) = draft::read(body(&mut asked).await?, false)?;
    if let Some(mask) = mask.filter(|mask| *mask != ["*"]) {
        draft = draft::masked(draft, &mask)?;
    }
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let endpoint = endpoints.patch(&project, &id, draft).await?;
        Ok(show(&endpoints, &endpoint)?.into())
    };
    Ok(json(&asked.change(server, Twice::Same, work).await?))
}

pub(super) async fn delete(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        endpoints.delete(&project, &id).await?;
        Ok(json!({}).into())
    };
    Ok(json(&asked.change(server, Twice::Same, work).await?))
}

pub(super) async fn ping(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    nothing(&mut asked).await?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move { Ok(deliveries::show(&project, &endpoints.ping(&project, &id).await?).into()) };
    Ok(json(&asked.change(server, Twice::More, work).await?))
}

pub(super) async fn rotate(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let mut fields = body(&mut asked).await?;
    let secret = fields.text("secret")?;
    let overlap = fields.duration("overlap")?.unwrap_or(OVERLAP_DEFAULT);
    fields.finish()?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let (endpoint, secret) = endpoints.rotate(&project, &id, secret.as_deref(), overlap).await?;
        Ok(Answer::once(show(&endpoints, &endpoint)?, "secret", &secret.show()))
    };
    Ok(once(&asked.change(server, Twice::More, work).await?))
}

pub(super) async fn enable(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    nothing(&mut asked).await?;
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let endpoint = endpoints.enable(&project, &id).await?;
        Ok(show(&endpoints, &endpoint)?.into())
    };
    Ok(json(&asked.change(server, Twice::Same, work).await?))
}

pub(super) async fn replay(server: &Server, mut asked: Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    let mut fields = body(&mut asked).await?;
    let (start, end) = (fields.time("startTime")?, fields.time("endTime")?);
    let skip_succeeded = fields.flag("skipSucceeded")?.unwrap_or_default();
    fields.finish()?;
    let required = |name| Error::invalid_field(name, "is required");
    let window = (start.ok_or_else(|| required("startTime"))?, end.ok_or_else(|| required("endTime"))?);
    let (endpoints, project, id) = owned(server, ids);
    let work = async move {
        let replay = endpoints.replay(&project, &id, window, skip_succeeded).await?;
        Ok(show_replay(&replay).into())
    };
    Ok(json(&asked.change(server, Twice::More, work).await?))
}

pub(super) async fn get_replay(server: &Server, asked: &Asked<'_>, ids: &[&str]) -> Result<Response<Body>> {
    no_parameters(asked.query)?;
    server.webhooks.get(ids[0], ids[1]).await?;
    let missing = || {
        let text =
            format!("projects/{}/webhookEndpoints/{}/replays/{} does not exist.", ids[0], ids[1], ids[2]);
        Error::new(Code::NotFound, Reason::ResourceNotFound, text)
    };
    let replay = server.store.replay(ids[1], ids[2]).await?.ok_or_else(missing)?;
    Ok(json(&show_replay(&replay)))
}

async fn nothing(asked: &mut Asked<'_>) -> Result<()> {
    no_parameters(asked.query)?;
    body(asked).await.and_then(Fields::finish)
}

fn owned(server: &Server, ids: &[&str]) -> (Endpoints, String, String) {
    (server.webhooks.clone(), ids[0].to_owned(), ids[1].to_owned())
}

fn show(endpoints: &Endpoints, endpoint: &Endpoint) -> Result<Value> {
    let settings = &endpoint.settings;
    let mut shown = json!({
        "name": format!("projects/{}/webhookEndpoints/{}", endpoint.project, endpoint.id),
        "url": settings.url,
        "eventTypes": settings.event_types,
        "state": match endpoint.state {
            EndpointState::Enabled => "ENABLED",
            EndpointState::Disabled => "DISABLED",
        },
        "createTime": endpoint.created_at.to_string(),
        "updateTime": endpoint.updated_at.to_string(),
    });
    let mut add = |name: &str, value: Value| shown[name] = value;
    if !settings.description.is_empty() {
        add("description", json!(settings.description));
    }
    for (name, list) in [
        ("upstreams", &settings.upstreams),
        ("kinds", &settings.kinds),
        ("headerNames", &endpoints.header_names(endpoint)?),
    ] {
        if !list.is_empty() {
            add(name, json!(list));
        }
    }
    for (name, limit) in
        [("maxDeliveriesPerSecond", settings.rate), ("maxConcurrentDeliveries", settings.concurrency)]
    {
        if let Some(limit) = limit {
            add(name, json!(limit));
        }
    }
    if !endpoint.disabled_reason.is_empty() {
        add("disabledReason", json!(endpoint.disabled_reason));
    }
    for (name, time) in [("failingSince", endpoint.failing_since), ("pausedUntil", endpoint.paused_until)] {
        if let Some(time) = time {
            add(name, json!(time.to_string()));
        }
    }
    Ok(shown)
}

fn show_replay(replay: &Replay) -> Value {
    let Replay { id, project, endpoint, .. } = replay;
    json!({
        "name": format!("projects/{project}/webhookEndpoints/{endpoint}/replays/{id}"),
        "startTime": replay.start.to_string(),
        "endTime": replay.end.to_string(),
        "skipSucceeded": replay.skip_succeeded,
        "state": if replay.done { "DONE" } else { "RUNNING" },
        "queuedCount": replay.queued.to_string(),
        "createTime": replay.created_at.to_string(),
    })
}
