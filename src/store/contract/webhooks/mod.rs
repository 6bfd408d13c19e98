//! Events, deliveries and endpoints, and what their stories begin with.

mod deliveries;
mod endpoints;
mod events;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    model::{Attempt, DeliveryState, Endpoint, EndpointSettings, EndpointState, WebhookEvent},
    store::{Leased, NewDelivery, Store, Verdict, Wanted},
};

const LEASE: SignedDuration = SignedDuration::from_secs(30);

async fn endpoint(store: &Store, id: &str) -> Endpoint {
    let now = store.now();
    let endpoint = Endpoint {
        project: "p".into(),
        id: id.into(),
        version: 1,
        settings: EndpointSettings { url: "https://x.test/".into(), ..EndpointSettings::default() },
        state: EndpointState::Enabled,
        disabled_reason: String::new(),
        headers: Vec::new(),
        secrets: vec![1],
        failing_since: None,
        paused_until: None,
        created_at: now,
        updated_at: now,
    };
    assert!(store.insert_webhook_endpoint(&endpoint, 100).await.unwrap());
    store.webhook_endpoint("p", id).await.unwrap().unwrap()
}

async fn event(store: &Store) -> WebhookEvent {
    let event = store.new_event("p", "operation.succeeded", r#"{"operation":{"name":"o"}}"#.into());
    store.insert_events(std::slice::from_ref(&event)).await.unwrap();
    event
}

fn delivery(endpoint: &str, event: &WebhookEvent, leased: bool) -> NewDelivery {
    NewDelivery { endpoint: endpoint.into(), event: event.id.clone(), kind: event.kind.clone(), leased }
}

async fn dispatch(store: &Store, event: &WebhookEvent, endpoints: &[&str]) {
    let new: Vec<_> = endpoints.iter().map(|endpoint| delivery(endpoint, event, false)).collect();
    let now = store.now();
    let made = store.dispatch(std::slice::from_ref(&event.id), &new, now, now + LEASE).await.unwrap();
    assert_eq!(made.len(), endpoints.len());
}

fn wanted(endpoint: &str, slots: u32) -> Wanted {
    Wanted { endpoint: endpoint.into(), slots, rate: None, concurrency: None }
}

async fn claim(store: &Store, wanted: &[Wanted], now: Timestamp) -> Vec<Leased> {
    store.claim_deliveries(wanted, now, now + LEASE).await.unwrap()
}

fn verdict(leased: &Leased, state: DeliveryState, due_at: Timestamp) -> Verdict {
    let failed = state != DeliveryState::Succeeded;
    Verdict {
        endpoint: leased.endpoint.clone(),
        event: leased.event.id.clone(),
        fence: leased.fence,
        state,
        due_at,
        step: leased.step + 1,
        attempt: Attempt {
            number: 0,
            started_at: leased.event.time,
            took: Duration::from_millis(12),
            status: Some(if failed { 500 } else { 200 }),
            error: if failed { "STATUS".into() } else { String::new() },
            detail: String::new(),
            answer: b"answer".to_vec(),
        },
    }
}

async fn state(store: &Store, endpoint: &str, event: &WebhookEvent) -> DeliveryState {
    store.delivery(endpoint, &event.id).await.unwrap().unwrap().state
}
