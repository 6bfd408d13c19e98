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

/// An endpoint, whether or not it can be delivered to.
#[derive(Clone)]
pub(super) struct Listed {
    pub(super) endpoint: Arc<Endpoint>,
    /// Nothing where its secret cannot be opened here: its deliveries wait for a process that has the key.
    pub(super) receiver: Option<Arc<Receiver>>,
}

/// An endpoint with everything worked out that does not depend on the event.
pub(super) struct Receiver {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) target: Result<Target, Refusal>,
    pub(super) secrets: Secrets,
    pub(super) headers: HeaderMap,
}

impl Receiver {
    fn new(endpoint: Arc<Endpoint>, sealer: &Sealer, policy: &Policy) -> Result<Self> {
        Ok(Self {
            target: Target::parse(&endpoint.settings.url, policy),
            secrets: Secrets::open(&endpoint.secrets, sealer, &endpoint.id)?,
            headers: Headers::open(&endpoint.headers, sealer, &endpoint.id)?.to_map(),
            endpoint,
        })
    }
}

impl Listed {
    fn new(endpoint: Endpoint, sealer: &Sealer, policy: &Policy) -> Self {
        let endpoint = Arc::new(endpoint);
        let receiver = Receiver::new(endpoint.clone(), sealer, policy).map(Arc::new).inspect_err(|error| {
            tracing::error!(
                endpoint = endpoint.id,
                error = error.told(),
                "a webhook endpoint cannot be delivered to until its secret can be opened; its events wait"
            );
        });
        Self { endpoint, receiver: receiver.ok() }
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
    projects: HashMap<String, Vec<Listed>>,
    endpoints: HashMap<String, Listed>,
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
    pub(super) async fn project(&self, project: &str) -> Result<Vec<Listed>> {
        let mut known = self.known.lock().await;
        if let Some(all) = known.projects.get(project) {
            return Ok(all.clone());
        }
        let endpoints = self.store.webhook_endpoints(project, "", super::ENDPOINTS_MAX).await?;
        let all: Vec<_> = endpoints.into_iter().map(|endpoint| self.listed(endpoint)).collect();
        for listed in &all {
            known.endpoints.insert(listed.endpoint.id.clone(), listed.clone());
        }
        known.projects.insert(project.to_owned(), all.clone());
        Ok(all)
    }

    /// Finds an endpoint.
    pub(super) async fn endpoint(&self, id: &str) -> Result<Option<Listed>> {
        let mut known = self.known.lock().await;
        if let Some(listed) = known.endpoints.get(id) {
            return Ok(Some(listed.clone()));
        }
        let Some(endpoint) = self.store.webhook_endpoint_by_id(id).await? else { return Ok(None) };
        let listed = self.listed(endpoint);
        known.endpoints.insert(id.to_owned(), listed.clone());
        Ok(Some(listed))
    }

    fn listed(&self, endpoint: Endpoint) -> Listed {
        Listed::new(endpoint, &self.sealer, &self.policy)
    }
}
