//! What the owner of an endpoint does with it.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Draft, Headers, Secret, Secrets, event_type};
use crate::{
    crypto::Sealer,
    egress::{self, Egress},
    error::{Code, Error, Reason, Result},
    model::{Delivery, Endpoint, EndpointSettings, EndpointState, Replay, WebhookEvent},
    store::Store,
};

/// Endpoints of one project.
pub const ENDPOINTS_MAX: i64 = 100;
/// How long the secret before a rotation signs too, unless said otherwise.
pub const OVERLAP_DEFAULT: SignedDuration = SignedDuration::from_hours(24);
/// How long it may at most.
pub const OVERLAP_MAX: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The longest time that can be replayed.
pub const REPLAY_WINDOW_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Bytes of the id of a project.
const PROJECT_BYTES_MAX: usize = 128;
/// Replays of one endpoint that are not done.
const REPLAYS_MAX: i64 = 5;
/// Changes that are tried again because somebody else changed the endpoint in between.
const CHANGES_MAX: usize = 5;
/// The endpoints of all projects. Cheap to clone.
#[derive(Clone)]
pub struct Endpoints {
    store: Store,
    egress: Egress,
    sealer: Sealer,
    upstreams: Arc<BTreeSet<String>>,
}

impl Endpoints {
    /// Joins the parts; `sealer` is for [`crate::crypto::Purpose::WebhookSecret`], and `upstreams` are those that there can
    /// be events about.
    pub fn new(store: Store, egress: Egress, sealer: Sealer, upstreams: BTreeSet<String>) -> Self {
        Self { store, egress, sealer, upstreams: Arc::new(upstreams) }
    }

    async fn apply(&self, draft: Draft, endpoint: &mut Endpoint) -> Result<bool> {
        draft.apply(endpoint, &self.egress, &self.sealer, &self.upstreams).await
    }

    /// Creates an endpoint; returns it with its secret, which is not shown again.
    ///
    /// # Errors
    /// Something of the draft is wrong, or the project has [`ENDPOINTS_MAX`].
    pub async fn create(
        &self,
        project: &str,
        draft: Draft,
        secret: Option<&str>,
    ) -> Result<(Endpoint, Secret)> {
        if !is_project(project) {
            return Err(Error::invalid_field("parent", "expected one project: projects/acme-data"));
        }
        let secret = secret.map_or_else(|| Ok(Secret::generate()), Secret::parse)?;
        if draft.url.is_none() {
            return Err(Error::invalid_field(
                "url",
                "required: where to deliver, e.g. https://hooks.example.com/causeway",
            ));
        }
        let now = self.store.now();
        let id = self.store.new_id("we_");
        let mut endpoint = Endpoint {
            project: project.to_owned(),
            version: 1,
            settings: EndpointSettings::default(),
            state: EndpointState::Enabled,
            disabled_reason: String::new(),
            headers: Vec::new(),
            secrets: Secrets::new(secret.clone()).seal(&self.sealer, &id)?,
            failing_since: None,
            paused_until: None,
            created_at: now,
            updated_at: now,
            id,
        };
        self.apply(draft, &mut endpoint).await?;
        if !self.store.insert_webhook_endpoint(&endpoint, ENDPOINTS_MAX).await? {
            let text = format!(
                "{project} has {ENDPOINTS_MAX} webhook endpoints, and may not have more; delete one first"
            );
            return Err(Error::limit(text)
                .with_violation("parent", format!("at most {ENDPOINTS_MAX} webhook endpoints")));
        }
        Ok((endpoint, secret))
    }

    /// Finds an endpoint.
    ///
    /// # Errors
    /// There is none.
    pub async fn get(&self, project: &str, id: &str) -> Result<Endpoint> {
        self.store
            .webhook_endpoint(project, id)
            .await?
            .ok_or_else(|| missing(project, &format!("webhookEndpoints/{id}")))
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// Something of the draft is wrong, or there is no such endpoint.
    pub async fn patch(&self, project: &str, id: &str, draft: Draft) -> Result<Endpoint> {
        for _ in 0..CHANGES_MAX {
            let mut endpoint = self.get(project, id).await?;
            let begins_anew = self.apply(draft.clone(), &mut endpoint).await?;
            if self.store.update_webhook_endpoint(&endpoint, begins_anew).await? {
                return self.get(project, id).await;
            }
        }
        Err(contended())
    }

    /// Delivers to an endpoint again that was disabled. What was cancelled meanwhile stays so; a replay sends it.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub async fn enable(&self, project: &str, id: &str) -> Result<Endpoint> {
        self.patch(project, id, Draft { state: Some(EndpointState::Enabled), ..Draft::default() }).await
    }

    /// Deletes an endpoint and stops its queue.
    ///
    /// # Errors
    /// There is none.
    pub async fn delete(&self, project: &str, id: &str) -> Result<()> {
        if self.store.delete_webhook_endpoint(project, id).await? {
            Ok(())
        } else {
            Err(missing(project, &format!("webhookEndpoints/{id}")))
        }
    }

    /// Puts a new secret in use, made here unless given; the one before signs too until `overlap` is over.
    ///
    /// # Errors
    /// The secret is not one, or there is no such endpoint.
    pub async fn rotate(
        &self,
        project: &str,
        id: &str,
        secret: Option<&str>,
        overlap: SignedDuration,
    ) -> Result<(Endpoint, Secret)> {
        if overlap.is_negative() || overlap > OVERLAP_MAX {
            return Err(Error::invalid_field("overlap", "expected between 0s and 604800s (7 days)"));
        }
        let secret = secret.map_or_else(|| Ok(Secret::generate()), Secret::parse)?;
        for _ in 0..CHANGES_MAX {
            let mut endpoint = self.get(project, id).await?;
            let mut secrets = Secrets::open(&endpoint.secrets, &self.sealer, id)?;
            let now = self.store.now();
            secrets.rotate(secret.clone(), now, now + overlap);
            endpoint.secrets = secrets.seal(&self.sealer, id)?;
            if self.store.update_webhook_endpoint(&endpoint, false).await? {
                return Ok((self.get(project, id).await?, secret));
            }
        }
        Err(contended())
    }

    /// Sends a test event.
    ///
    /// # Errors
    /// There is no such endpoint, or it is disabled.
    pub async fn ping(&self, project: &str, id: &str) -> Result<Delivery> {
        let endpoint = self.enabled(project, id).await?;
        let event = self.store.new_event(
            project,
            event_type::PING,
            json!({"webhookEndpoint": name(&endpoint)}).to_string(),
        );
        self.store.send_event_to(id, &event).await?;
        self.delivery(project, id, &event.id).await
    }

    /// Finds a delivery of an endpoint.
    ///
    /// # Errors
    /// There is none.
    pub async fn delivery(&self, project: &str, id: &str, event: &str) -> Result<Delivery> {
        self.get(project, id).await?;
        let found = self.store.delivery(id, event).await?;
        found.ok_or_else(|| missing(project, &format!("webhookEndpoints/{id}/deliveries/{event}")))
    }

    /// Delivers again, with the same id, whatever came of it before.
    ///
    /// # Errors
    /// There is no such delivery, or its endpoint is disabled.
    pub async fn resend(&self, project: &str, id: &str, event: &str) -> Result<Delivery> {
        let delivery = self.delivery(project, id, event).await?;
        self.enabled(project, id).await?;
        self.store.resend_delivery(id, event, &delivery.kind).await?;
        self.delivery(project, id, event).await
    }

    /// Delivers again what happened from `start` on and before `end`.
    ///
    /// # Errors
    /// The times are wrong, there is no such endpoint, or it is disabled.
    pub async fn replay(
        &self,
        project: &str,
        id: &str,
        (start, end): (Timestamp, Timestamp),
        skip_succeeded: bool,
    ) -> Result<Replay> {
        let now = self.store.now();
        if start >= end {
            return Err(Error::invalid_field("endTime", "must be later than startTime"));
        }
        if end > now {
            return Err(Error::invalid_field("endTime", "must not be in the future"));
        }
        if end.duration_since(start) > REPLAY_WINDOW_MAX {
            return Err(Error::invalid_field("startTime", "at most 30 days before endTime"));
        }
        self.enabled(project, id).await?;
        let replay = Replay {
            id: self.store.new_id("rp_"),
            project: project.to_owned(),
            endpoint: id.to_owned(),
            start,
            end,
            skip_succeeded,
            // Behind nothing of that instant.
            cursor: (start, String::new()),
            queued: 0,
            done: false,
            fence: 0,
            created_at: now,
        };
        if !self.store.insert_replay(&replay, REPLAYS_MAX).await? {
            let text = format!("{REPLAYS_MAX} replays of this endpoint are running; wait for one to be done");
            return Err(
                Error::limit(text).with_violation("name", format!("at most {REPLAYS_MAX} replays at once"))
            );
        }
        Ok(replay)
    }

    async fn enabled(&self, project: &str, id: &str) -> Result<Endpoint> {
        let endpoint = self.get(project, id).await?;
        if endpoint.state == EndpointState::Disabled {
            let text =
                format!("{} is disabled ({}); enable it first", name(&endpoint), endpoint.disabled_reason);
            return Err(Error::new(Code::FailedPrecondition, Reason::EndpointDisabled, text));
        }
        Ok(endpoint)
    }

    /// Returns the names of the headers of an endpoint's own.
    ///
    /// # Errors
    /// They were sealed with another key.
    pub fn header_names(&self, endpoint: &Endpoint) -> Result<Vec<String>> {
        let headers = Headers::open(&endpoint.headers, &self.sealer, &endpoint.id)?;
        Ok(headers.names().into_iter().map(str::to_owned).collect())
    }
}

/// Returns the resource name of an endpoint.
pub(super) fn name(endpoint: &Endpoint) -> String {
    format!("projects/{}/webhookEndpoints/{}", endpoint.project, endpoint.id)
}

/// Makes an event about an endpoint itself.
pub(super) fn event_about(
    store: &Store,
    endpoint: &Endpoint,
    kind: &str,
    reason: &str,
    since: Option<Timestamp>,
) -> WebhookEvent {
    let mut data = json!({"webhookEndpoint": name(endpoint)});
    // Other endpoints of the project hear of it, and the path may be a credential.
    if let Some(origin) = egress::origin(&endpoint.settings.url) {
        data["url"] = origin.into();
    }
    if !reason.is_empty() {
        data["reason"] = reason.into();
    }
    if let Some(since) = since {
        data["failingSince"] = since.to_string().into();
    }
    store.new_event(&endpoint.project, kind, data.to_string())
}

/// Whether this can be the id of a project. `-` stands for all of them.
fn is_project(id: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    id != "-" && !id.is_empty() && id.len() <= PROJECT_BYTES_MAX && id.bytes().all(sign)
}

fn missing(project: &str, what: &str) -> Error {
    Error::new(Code::NotFound, Reason::ResourceNotFound, format!("projects/{project}/{what} does not exist."))
}

fn contended() -> Error {
    Error::new(Code::Aborted, Reason::Internal, "The endpoint is being changed by others. Try again.")
}
