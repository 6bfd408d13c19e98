//! What deliverers remember of endpoints, so that a delivery costs no read of its endpoint.
//!
//! Every change of an endpoint grows one number in the database; a tick reads it, and forgets everything when it grew.

use std::{collections::HashMap, sync::Arc};

use http::HeaderMap;
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{Headers, Secrets, event_type};
use crate::{
    crypto::Sealer,
    egress::{Policy, Refusal, Target},
    error::Result,
    model::{Endpoint, EndpointState, WebhookEvent},
    store::Store,
};

/// An endpoint with everything worked out that does not depend on the event.
pub(super) struct Receiver {
    pub(super) endpoint: Endpoint,
    pub(super) target: Result<Target, Refusal>,
    pub(super) secrets: Secrets,
    pub(super) headers: HeaderMap,
}

impl Receiver {
    fn new(endpoint: Endpoint, sealer: &Sealer, policy: &Policy) -> Result<Self> {
        Ok(Self {
            target: Target::parse(&endpoint.settings.url, policy),
            secrets: Secrets::open(&endpoint.secrets, sealer, &endpoint.id)?,
            headers: Headers::open(&endpoint.headers, sealer, &endpoint.id)?.to_map(),
            endpoint,
        })
    }

    /// Whether its owner wants this event. What is about no upstream and of no kind passes these filters.
    pub(super) fn wants(&self, event: &WebhookEvent) -> bool {
        let settings = &self.endpoint.settings;
        let passes =
            |filter: &[String], fact: &String| filter.is_empty() || fact.is_empty() || filter.contains(fact);
        self.endpoint.state == EndpointState::Enabled
            && event_type::is_wanted(&event.kind, &settings.event_types)
            && passes(&settings.upstreams, &event.upstream)
            && passes(&settings.kinds, &event.source)
    }

    /// Whether its deliveries are counted over all replicas, which only a claim does.
    pub(super) fn is_limited(&self, now: Timestamp) -> bool {
        let settings = &self.endpoint.settings;
        settings.rate.is_some()
            || settings.concurrency.is_some()
            || self.endpoint.paused_until.is_some_and(|until| until > now)
    }
}

/// All that is remembered.
pub(super) struct Directory {
    store: Store,
    sealer: Sealer,
    policy: Policy,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    generation: i64,
    projects: HashMap<String, Vec<Arc<Receiver>>>,
    endpoints: HashMap<String, Arc<Receiver>>,
}

impl Directory {
    pub(super) fn new(store: Store, sealer: Sealer, policy: Policy) -> Self {
        Self { store, sealer, policy, known: Mutex::default() }
    }

    /// Forgets everything if any endpoint was changed since.
    pub(super) async fn refresh(&self) -> Result<()> {
        let generation = self.store.webhook_generation().await?;
        let mut known = self.known.lock().await;
        if known.generation != generation {
            *known = Known { generation, ..Known::default() };
        }
        Ok(())
    }

    /// Returns the endpoints of a project.
    pub(super) async fn project(&self, project: &str) -> Result<Vec<Arc<Receiver>>> {
        let mut known = self.known.lock().await;
        if let Some(receivers) = known.projects.get(project) {
            return Ok(receivers.clone());
        }
        let endpoints = self.store.webhook_endpoints(project, "", super::ENDPOINTS_MAX).await?;
        let receivers: Vec<_> =
            endpoints.into_iter().filter_map(|endpoint| self.receiver(endpoint)).collect();
        for receiver in &receivers {
            known.endpoints.insert(receiver.endpoint.id.clone(), receiver.clone());
        }
        known.projects.insert(project.to_owned(), receivers.clone());
        Ok(receivers)
    }

    /// Finds an endpoint that is delivered to.
    pub(super) async fn endpoint(&self, id: &str) -> Result<Option<Arc<Receiver>>> {
        let mut known = self.known.lock().await;
        if let Some(receiver) = known.endpoints.get(id) {
            return Ok(Some(receiver.clone()));
        }
        let Some(endpoint) = self.store.webhook_endpoint_by_id(id).await? else { return Ok(None) };
        let receiver = self.receiver(endpoint);
        if let Some(receiver) = &receiver {
            known.endpoints.insert(id.to_owned(), receiver.clone());
        }
        Ok(receiver)
    }

    /// An endpoint whose secret cannot be opened is passed by: its deliveries wait for the key.
    fn receiver(&self, endpoint: Endpoint) -> Option<Arc<Receiver>> {
        match Receiver::new(endpoint, &self.sealer, &self.policy) {
            Ok(receiver) => Some(Arc::new(receiver)),
            Err(error) => {
                tracing::error!(error = error.chain(), "a webhook endpoint cannot be delivered to");
                None
            }
        }
    }
}
