//! `/v1/projects/*/webhookEndpoints`, `…/events` and `/v1/eventTypes`: who is told what, and how telling them went.

mod deliveries;
mod draft;
mod endpoint_view;
mod endpoints;
mod events;
mod messages;
mod noted;
mod page;
mod parts;
mod replays;

use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{Asked, fields::Fields, one_project};
use crate::{
    error::Result,
    http::{Server, body::Body, json},
    identity::access,
};

pub(super) use self::messages::messages;

/// Tag of these endpoints.
const TAG: &str = "webhooks";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(
        endpoints::create,
        endpoints::list,
        endpoints::get,
        endpoints::patch,
        endpoints::delete,
        endpoints::ping,
        endpoints::rotate,
        endpoints::enable,
        replays::create,
        replays::get,
        deliveries::list,
        deliveries::get,
        deliveries::attempts,
        deliveries::resend,
        events::list,
        events::get,
        events::types
    ),
    tags((name = TAG, description = "Webhooks: whoever wants to know is told, at least once, signed."))
)]
pub(super) struct Described;

/// What can be done with webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Webhook {
    Create,
    Get,
    List,
    Patch,
    Delete,
    Ping,
    RotateSecret,
    Enable,
    Replay,
    GetReplay,
    ListDeliveries,
    GetDelivery,
    ListAttempts,
    Resend,
    ListEvents,
    GetEvent,
    ListTypes,
}

impl Webhook {
    /// What it needs.
    pub(in crate::http) fn permission(self) -> &'static str {
        match self {
            Self::Create => "causeway.webhookEndpoints.create",
            Self::Get => "causeway.webhookEndpoints.get",
            Self::List => "causeway.webhookEndpoints.list",
            Self::Patch => "causeway.webhookEndpoints.update",
            Self::Delete => "causeway.webhookEndpoints.delete",
            Self::Ping => "causeway.webhookEndpoints.ping",
            Self::RotateSecret => "causeway.webhookEndpoints.rotateSecret",
            Self::Enable => "causeway.webhookEndpoints.enable",
            Self::Replay => "causeway.webhookEndpoints.replay",
            Self::GetReplay => "causeway.webhookEndpoints.getReplay",
            Self::ListDeliveries => "causeway.deliveries.list",
            Self::GetDelivery => "causeway.deliveries.get",
            Self::ListAttempts => "causeway.deliveries.listAttempts",
            Self::Resend => "causeway.deliveries.resend",
            Self::ListEvents => "causeway.events.list",
            Self::GetEvent => "causeway.events.get",
            Self::ListTypes => "causeway.eventTypes.list",
        }
    }

    /// Names what it is about, by the ids in its path: the resource, or the parent of what is listed or made.
    pub(super) fn resource(self, ids: &[impl AsRef<str>]) -> String {
        let collections: &[&str] = match self {
            Self::ListEvents | Self::GetEvent => &["projects", "events"],
            Self::GetReplay => &["projects", "webhookEndpoints", "replays"],
            _ => &["projects", "webhookEndpoints", "deliveries"],
        };
        let parts: Vec<String> = collections
            .iter()
            .zip(ids)
            .map(|(collection, id)| format!("{collection}/{}", id.as_ref()))
            .collect();
        parts.join("/")
    }

    /// Whether it changes nothing.
    pub(in crate::http) fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::Get
                | Self::List
                | Self::GetReplay
                | Self::ListDeliveries
                | Self::GetDelivery
                | Self::ListAttempts
                | Self::ListEvents
                | Self::GetEvent
                | Self::ListTypes
        )
    }
}

/// Answers a request.
pub(super) async fn answer(what: Webhook, server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    if what == Webhook::ListTypes {
        return events::types(&asked);
    }
    let ids: Vec<String> = asked.captures.iter().map(ToString::to_string).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let project = ids.first().copied().unwrap_or_default();
    let resource = what.resource(&ids);
    asked.notes.entry.resource_names = vec![resource.clone()];
    one_project("parent", project)?;
    let role = access::role_for(what.permission(), what.is_read_only());
    // Who is told what is for those to say who may be told all of it.
    let parent = format!("projects/{project}");
    let place = if matches!(what, Webhook::Patch | Webhook::Replay) { &parent } else { &resource };
    access::require(asked.exchange.principal()?, what.permission(), role, place)?;
    match what {
        Webhook::Create => endpoints::create(server, asked, project).await,
        Webhook::Get => endpoints::get(server, &asked, &ids).await,
        Webhook::List => endpoints::list(server, &asked, project).await,
        Webhook::Patch => endpoints::patch(server, asked, &ids).await,
        Webhook::Delete => endpoints::delete(server, asked, &ids).await,
        Webhook::Ping => endpoints::ping(server, asked, &ids).await,
        Webhook::RotateSecret => endpoints::rotate(server, asked, &ids).await,
        Webhook::Enable => endpoints::enable(server, asked, &ids).await,
        Webhook::Replay => replays::create(server, asked, &ids).await,
        Webhook::GetReplay => replays::get(server, &asked, &ids).await,
        Webhook::ListDeliveries => deliveries::list(server, &asked, &ids).await,
        Webhook::GetDelivery => deliveries::get(server, &asked, &ids).await,
        Webhook::ListAttempts => deliveries::attempts(server, &asked, &ids).await,
        Webhook::Resend => deliveries::resend(server, &mut asked, &ids).await,
        Webhook::ListEvents => events::list(server, &asked, project).await,
        Webhook::GetEvent => events::get(server, &asked, &ids).await,
        Webhook::ListTypes => events::types(&asked),
    }
}

/// Reads the body as a JSON object, and notes it.
async fn body(asked: &mut Asked<'_>) -> Result<Fields> {
    let fields = Fields::read(&asked.json().await?)?;
    asked.notes.entry.request = noted::of(fields.left(), asked.query);
    Ok(fields)
}

/// Answers with something that is shown once.
fn once(value: &impl Serialize) -> Response<Body> {
    let mut response = json(value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
