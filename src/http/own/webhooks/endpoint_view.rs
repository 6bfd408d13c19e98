//! An endpoint as it is answered.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::Result,
    model::{Endpoint, EndpointState},
    webhooks::{Endpoints, Secret},
};

/// Somebody who is told what happens.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::WebhookEndpoint)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointView {
    /// Its name.
    #[schema(example = "projects/acme-data/webhookEndpoints/we_1")]
    name: String,
    /// Where to deliver.
    #[schema(example = "https://hooks.example.com/causeway")]
    url: String,
    /// Words for people.
    #[schema(nullable = false, example = "billing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Types of events, `operation.*` and `*` among them; all that are not opt-in, if empty.
    #[schema(example = json!(["operation.*"]))]
    event_types: Vec<String>,
    /// Only events about these upstreams; all, if absent.
    #[schema(required = false, example = json!(["datastream"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    upstreams: Vec<String>,
    /// Only events about operations of these kinds; all, if absent.
    #[schema(required = false, example = json!([]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<String>,
    /// Names of the headers that are sent along.
    #[schema(required = false, example = json!(["x-token"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    header_names: Vec<String>,
    /// Deliveries that begin in a second, over all replicas.
    #[schema(nullable = false, example = 50)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_deliveries_per_second: Option<u32>,
    /// Deliveries under way at once, over all replicas.
    #[schema(nullable = false, example = 8)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_concurrent_deliveries: Option<u32>,
    /// `ENABLED` or `DISABLED`.
    #[schema(example = "ENABLED")]
    state: &'static str,
    /// Why it is disabled.
    #[schema(nullable = false, example = "nothing but failures for 5 days")]
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<String>,
    /// Since when there has been nothing but failure.
    #[schema(nullable = false, format = "date-time", example = "2026-11-21T09:00:00Z")]
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<String>,
    /// Until when it asked to be left alone.
    #[schema(nullable = false, format = "date-time", example = "2026-11-21T09:00:00Z")]
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<String>,
    /// What verifies our signatures: in the answer that puts it in use, and nowhere else.
    #[schema(nullable = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// When it was made.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    create_time: String,
    /// When it was last changed.
    #[schema(format = "date-time", example = "2026-11-21T09:00:00Z")]
    update_time: String,
}

/// One page of webhook endpoints.
#[derive(Serialize, ToSchema)]
#[schema(as = webhooks::ListWebhookEndpoints)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointPage {
    /// The endpoints, in the order in which they were made.
    pub(super) webhook_endpoints: Vec<EndpointView>,
    /// Send it as `pageToken` for the next page; not there on the last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) next_page_token: String,
}

impl EndpointView {
    pub(super) fn of(endpoints: &Endpoints, endpoint: &Endpoint) -> Result<Self> {
        let settings = endpoint.settings.clone();
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Ok(Self {
            name: format!("projects/{}/webhookEndpoints/{}", endpoint.project, endpoint.id),
            url: settings.url,
            description: said(&settings.description),
            event_types: settings.event_types,
            upstreams: settings.upstreams,
            kinds: settings.kinds,
            header_names: endpoints.header_names(endpoint)?,
            max_deliveries_per_second: settings.rate,
            max_concurrent_deliveries: settings.concurrency,
            state: match endpoint.state {
                EndpointState::Enabled => "ENABLED",
                EndpointState::Disabled => "DISABLED",
            },
            disabled_reason: said(&endpoint.disabled_reason),
            failing_since: endpoint.failing_since.map(|time| time.to_string()),
            paused_until: endpoint.paused_until.map(|time| time.to_string()),
            secret: None,
            create_time: endpoint.created_at.to_string(),
            update_time: endpoint.updated_at.to_string(),
        })
    }

    /// The same with its secret, which is shown once.
    pub(super) fn with_secret(self, secret: &Secret) -> Self {
        Self { secret: Some(secret.show()), ..self }
    }
}
