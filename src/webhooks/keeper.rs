//! What is done beside delivering: replays, tidying up, counting what waits, encrypting anew.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use metrics::{describe_gauge, gauge};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Headers, Secrets, directory::Directory, event_type};
use crate::{crypto::Sealer, egress::Egress, error::Result, model::WebhookEvent, store::Store};

/// How often replays are looked for, and how long one part of one is ours.
const REPLAY_EVERY: Duration = Duration::from_millis(500);
const REPLAY_LEASE: Duration = Duration::from_secs(30);
/// Events of one part of a replay.
const REPLAY_EVENTS_MAX: i64 = 200;
/// Parts of replays in one round.
const REPLAY_PARTS_MAX: usize = 20;
/// Rounds between counting, and between tidying up.
const COUNT_EVERY: u64 = 10;
const TIDY_EVERY: u64 = 120;
/// What waits is counted up to this.
const COUNT_MAX: i64 = 100_000;
/// How long events, with their deliveries and attempts, are kept.
const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Rows that one statement removes, and statements of one round.
const EXPIRE_MAX: i64 = 500;
const SWEEP_MAX: i64 = 2000;
const TIDY_PARTS_MAX: usize = 20;
/// Rounds between encrypting anew: an hour. Until the first, replicas may run that do not have a new key yet; later ones find
/// what an owner's change wrote back meanwhile as it was.
const RESEAL_EVERY: u64 = 7200;
/// Endpoints that are read together to encrypt theirs anew.
const RESEAL_MAX: i64 = 100;

/// Keeps things in order. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    store: Store,
    directory: Arc<Directory>,
    sealer: Sealer,
}

impl Keeper {
    /// Joins the parts; `sealer` is for [`crate::crypto::Purpose::WebhookSecret`].
    pub fn new(store: Store, egress: &Egress, sealer: Sealer) -> Self {
        describe_gauge!("causeway_webhook_pending", "Deliveries that are pending, counted up to 100000.");
        describe_gauge!(
            "causeway_webhook_oldest_due_seconds",
            "How long the oldest due delivery has been waiting."
        );
        let directory = Arc::new(Directory::new(store.clone(), sealer.clone(), egress.policy().clone()));
        Self { store, directory, sealer }
    }

    /// Keeps things in order until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut round = 0_u64;
        while stop.run_until_cancelled(sleep(REPLAY_EVERY)).await.is_some() {
            if let Err(error) = self.round(round).await {
                tracing::debug!(error = error.told(), "webhooks could not be tidied up");
            }
            if round > 0 && round.is_multiple_of(RESEAL_EVERY) {
                match self.reseal().await {
                    Ok((0, 0)) => {}
                    Ok((anew, closed)) => tracing::info!(
                        anew,
                        closed,
                        "what webhook endpoints keep secret was encrypted anew with secrets.key, or cannot be opened here"
                    ),
                    Err(error) => tracing::warn!(
                        error = error.told(),
                        "what webhook endpoints keep secret is not all encrypted anew yet"
                    ),
                }
            }
            round += 1;
        }
    }

    async fn round(&self, round: u64) -> Result<()> {
        self.replay().await?;
        if round.is_multiple_of(COUNT_EVERY) {
            self.count().await?;
        }
        if round.is_multiple_of(TIDY_EVERY) {
            self.tidy().await?;
        }
        Ok(())
    }

    /// Queues the next parts of replays; returns how many events were looked at.
    ///
    /// # Errors
    /// The database is away.
    pub async fn replay(&self) -> Result<usize> {
        let mut looked_at = 0;
        for _ in 0..REPLAY_PARTS_MAX {
            let Some(mut replay) = self.store.claim_replay(REPLAY_LEASE).await? else { break };
            self.directory.refresh().await?;
            let events = self
                .store
                .events_between(&replay.project, &replay.cursor, replay.end, REPLAY_EVENTS_MAX)
                .await?;
            looked_at += events.len();
            let listed = self.directory.endpoint(&replay.endpoint).await?;
            // A ping is for whom it was asked for.
            let wanted = |event: &&WebhookEvent| {
                event.kind != event_type::PING && listed.as_ref().is_some_and(|listed| listed.wants(event))
            };
            let queued: Vec<(String, String)> =
                events.iter().filter(wanted).map(|event| (event.id.clone(), event.kind.clone())).collect();
            replay.done = i64::try_from(events.len()).is_ok_and(|count| count < REPLAY_EVENTS_MAX);
            if let Some(last) = events.last() {
                replay.cursor = (last.time, last.id.clone());
            }
            self.store.advance_replay(&replay, &queued).await?;
        }
        Ok(looked_at)
    }

    /// Encrypts with the key in use what an old one has encrypted. Returns of how many endpoints, and of how many it cannot be
    /// opened: it stays as it is, for whoever has its key.
    ///
    /// # Errors
    /// The database is away.
    pub async fn reseal(&self) -> Result<(usize, usize)> {
        let is_current = |sealed: &[u8]| sealed.is_empty() || self.sealer.is_current(sealed);
        let (mut anew, mut closed) = (0, 0);
        let mut after = String::new();
        loop {
            let endpoints = self.store.all_webhook_endpoints(&after, RESEAL_MAX).await?;
            let Some(last) = endpoints.last() else { return Ok((anew, closed)) };
            after.clone_from(&last.id);
            for endpoint in endpoints.iter().filter(|it| !is_current(&it.headers) || !is_current(&it.secrets))
            {
                let headers = Headers::open(&endpoint.headers, &self.sealer, &endpoint.id);
                let secrets = Secrets::open(&endpoint.secrets, &self.sealer, &endpoint.id);
                let (Ok(headers), Ok(secrets)) = (headers, secrets) else {
                    closed += 1;
                    continue;
                };
                let headers = headers.seal(&self.sealer, &endpoint.id)?;
                let secrets = secrets.seal(&self.sealer, &endpoint.id)?;
                // One that was changed meanwhile comes with the next hour.
                anew += usize::from(self.store.reseal_webhook_endpoint(endpoint, &headers, &secrets).await?);
            }
        }
    }

    async fn count(&self) -> Result<()> {
        let backlog = self.store.delivery_backlog(COUNT_MAX).await?;
        gauge!("causeway_webhook_pending").set(backlog.depth as f64);
        let waiting =
            backlog.oldest_due_at.map_or(0.0, |due| self.store.now().duration_since(due).as_secs_f64());
        gauge!("causeway_webhook_oldest_due_seconds").set(waiting.max(0.0));
        Ok(())
    }

    /// Removes what is too old, and what belongs to endpoints that were deleted.
    ///
    /// # Errors
    /// The database is away.
    pub async fn tidy(&self) -> Result<()> {
        let now = self.store.now();
        let before = now.saturating_sub(RETENTION).unwrap_or(now);
        for _ in 0..TIDY_PARTS_MAX {
            if self.store.expire_events(before, EXPIRE_MAX).await? == 0 {
                break;
            }
        }
        for _ in 0..TIDY_PARTS_MAX {
            if !self.store.sweep_webhook_endpoints(SWEEP_MAX).await? {
                break;
            }
        }
        Ok(())
    }
}
