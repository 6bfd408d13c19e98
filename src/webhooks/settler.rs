//! Writes what came of attempts, and what it means for the endpoints.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};

use super::{endpoints::event_about, event_type, verdict::Judged};
use crate::{
    error::Result,
    store::{EndpointHealth, Store},
};

/// Results that are written in one commit, and how long the first of them waits for more.
pub(super) const SETTLE_MAX: usize = 512;
const SETTLE_WAIT: Duration = Duration::from_millis(5);
/// Times that writing results is tried, and the wait after a failure; the lease has ended by then, and somebody else
/// delivers.
const SETTLE_TRIES: usize = 60;
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// After so much of nothing but failure an endpoint is disabled.
const DISABLE_AFTER: SignedDuration = SignedDuration::from_hours(5 * 24);
/// A failure that was over sooner is not worth an event, unless somebody was told of its beginning.
const OUTAGE_MIN: SignedDuration = SignedDuration::from_secs(60);

/// Writes results as they come, many in one commit, until nobody sends any more.
pub(super) async fn settle_all(store: Store, mut receiver: mpsc::Receiver<Judged>) {
    let mut batch = Vec::new();
    while receiver.recv_many(&mut batch, SETTLE_MAX).await > 0 {
        let until = Instant::now() + SETTLE_WAIT;
        while batch.len() < SETTLE_MAX {
            match timeout_at(until, receiver.recv()).await {
                Ok(Some(judged)) => batch.push(judged),
                _ => break,
            }
        }
        let judged = std::mem::take(&mut batch);
        for _ in 0..SETTLE_TRIES {
            match settle(&store, &judged).await {
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(
                        error = error.told(),
                        count = judged.len(),
                        "results of webhooks wait for the database"
                    );
                    sleep(AWAY_WAIT).await;
                }
            }
        }
    }
}

/// Writes results, and does what they mean for the endpoints; returns how many came in time.
pub(super) async fn settle(store: &Store, judged: &[Judged]) -> Result<usize> {
    if judged.is_empty() {
        return Ok(0);
    }
    let now = store.now();
    let verdicts: Vec<_> = judged.iter().map(|judged| judged.verdict.clone()).collect();
    let settled = store.settle_deliveries(&verdicts, now).await?;
    for health in &settled.health {
        react(store, health, now).await?;
    }
    for judged in judged.iter().filter(|judged| judged.pause.is_some() || judged.disable.is_some()) {
        let endpoint = &judged.verdict.endpoint;
        let found = store.webhook_endpoint_by_id(endpoint).await?;
        if found.is_none_or(|found| found.settings.url != judged.url) {
            // Its owner has moved it meanwhile: whoever is at the old address speaks no longer for it.
            continue;
        }
        if let Some(until) = judged.pause {
            store.pause_webhook_endpoint(endpoint, until).await?;
        }
        if let Some(reason) = &judged.disable {
            disable(store, endpoint, reason, None).await?;
        }
    }
    Ok(settled.written)
}

/// Tells the world when an endpoint has been failing for too long, or accepts again.
async fn react(store: &Store, health: &EndpointHealth, now: Timestamp) -> Result<()> {
    let Some(since) = health.down_since.or(health.failing_since) else { return Ok(()) };
    let lasted = now.duration_since(since);
    if health.succeeded {
        let is_told = health.down_since.is_some() || lasted >= OUTAGE_MIN;
        let endpoint = if is_told { store.webhook_endpoint_by_id(&health.endpoint).await? } else { None };
        let event = endpoint
            .map(|endpoint| event_about(store, &endpoint, event_type::ENDPOINT_RECOVERED, "", Some(since)));
        store.recover_webhook_endpoint(&health.endpoint, event.as_ref()).await
    } else if lasted >= DISABLE_AFTER {
        disable(store, &health.endpoint, "nothing but failures for 5 days", Some(since)).await
    } else {
        Ok(())
    }
}

async fn disable(store: &Store, id: &str, reason: &str, since: Option<Timestamp>) -> Result<()> {
    let Some(endpoint) = store.webhook_endpoint_by_id(id).await? else { return Ok(()) };
    let event = event_about(store, &endpoint, event_type::ENDPOINT_DISABLED, reason, since);
    if store.disable_webhook_endpoint(id, reason, &event).await? {
        tracing::info!(endpoint = id, reason, "a webhook endpoint was disabled");
    }
    Ok(())
}
