//! Says that this process lives, closes what dead ones left, and forgets what is old.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config,
    error::Result,
    model::Outcome,
    store::{
        Store,
        journal::{Effects, Settlement},
    },
};

/// How long a process that says nothing still counts as alive.
const LEASE: Duration = Duration::from_secs(15);
/// How often it says that it is.
const SAY_EVERY: Duration = Duration::from_secs(4);
/// Orphans closed at once.
const ORPHANS_MAX: u32 = 500;
/// How often what is old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);

/// Keeps the journal in order.
pub struct Keeper {
    store: Store,
    retention: Duration,
    /// Since when the database has answered without a break; orphans are closed only when every living process has had
    /// the time to say that it lives.
    answering_since: Option<Instant>,
    forgot_at: Option<Instant>,
}

impl Keeper {
    /// Makes a keeper, and says for the first time that this process lives.
    ///
    /// # Errors
    /// The database is away.
    pub async fn start(store: Store, config: &config::Audit) -> Result<Self> {
        let keeper = Self { store, retention: config.retention, answering_since: None, forgot_at: None };
        keeper.say().await?;
        Ok(keeper)
    }

    /// Works until `stop` is cancelled. What this process has begun may still be under way then, so it goes on counting as
    /// alive for a lease.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.tick().await {
                self.answering_since = None;
                tracing::debug!(error = error.chain(), "the journal cannot be kept in order");
            }
            if stop.run_until_cancelled(sleep(SAY_EVERY)).await.is_none() {
                let _away = self.say().await;
                return;
            }
        }
    }

    async fn tick(&mut self) -> Result<()> {
        self.say().await?;
        let since = *self.answering_since.get_or_insert_with(Instant::now);
        // An embedded store has one process at a time: whoever else is on record is gone.
        if self.store.is_embedded() || since.elapsed() >= LEASE {
            while self.close_orphans().await? {}
        }
        if self.forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
            self.forgot_at = Some(Instant::now());
            self.store.forget_keys().await?;
            self.store.forget_audit(floor(self.store.now(), self.retention)).await?;
        }
        Ok(())
    }

    async fn say(&self) -> Result<()> {
        let until = self.store.now().saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        self.store.stay_alive(until).await
    }

    /// Closes orphans as unknown; tells whether there may be more.
    async fn close_orphans(&self) -> Result<bool> {
        let orphans = self.store.orphans(ORPHANS_MAX).await?;
        if orphans.is_empty() {
            return Ok(false);
        }
        tracing::warn!(count = orphans.len(), "requests of a gateway that died are recorded as unknown");
        let more = orphans.len() >= ORPHANS_MAX as usize;
        let unknown =
            || Settlement { outcome: Outcome { code: 2, ..Outcome::default() }, ..Settlement::default() };
        let found = orphans.iter().map(|orphan| (orphan.id, unknown(), Effects::default())).collect();
        self.store.close_orphans(found).await?;
        Ok(more)
    }
}

/// Returns the moment before which what was sealed is forgotten, in microseconds since 1970.
pub(super) fn floor(now: Timestamp, retention: Duration) -> i64 {
    let age = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(age).map_or(i64::MIN, Timestamp::as_microsecond)
}
