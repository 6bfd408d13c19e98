//! Says that this process lives, closes what dead ones left, and forgets what is old.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    config,
    error::Result,
    model::Outcome,
    store::{
        LEASE, Store,
        journal::{Effects, IntentId, Living, Orphan, Recover, Settlement},
    },
};

/// How often it says that it is.
const SAY_EVERY: Duration = Duration::from_secs(4);
/// How often orphans are looked for although no process has gone since there were none: what was about to be written as its
/// process died may be written after.
const SEARCH_EVERY: Duration = Duration::from_secs(600);
/// Orphans closed at once.
const ORPHANS_MAX: u32 = 500;
/// How long one round may look for what came of orphans: this process must go on saying that it lives.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(6);
/// How old an orphan may be that nobody can be asked about yet, in microseconds.
const RECOVERY_AGE_MAX: i64 = 600_000_000;
/// How often what is old is looked for.
const FORGET_EVERY: Duration = Duration::from_secs(600);
/// Rows forgotten at once: on SQLite nothing else is written meanwhile.
const FORGET_ROWS_MAX: u32 = 500;
/// How long one round may forget. What is left then is forgotten in the next.
const FORGET_TIME_MAX: Duration = Duration::from_secs(2);

/// Keeps the journal in order.
pub struct Keeper {
    store: Store,
    retention: Duration,
    /// Since when the database has answered without a break; orphans are closed only when every living process has had
    /// the time to say that it lives.
    answering_since: Option<Instant>,
    /// When there were no orphans, and who lived then.
    calm: Option<(Instant, Living)>,
    forgot_at: Option<Instant>,
    recover: Option<Recover>,
}

/// What a round has left of the orphans.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    More,
    /// Those that nobody could tell about are asked about again, later.
    Undecided,
}

impl Keeper {
    /// Makes a keeper, and says for the first time that this process lives.
    ///
    /// # Errors
    /// The database is away.
    pub async fn start(store: Store, config: &config::Audit) -> Result<Self> {
        let keeper = Self {
            store,
            retention: config.retention,
            answering_since: None,
            calm: None,
            forgot_at: None,
            recover: None,
        };
        keeper.say().await?;
        Ok(keeper)
    }

    /// Asks this before an orphan is closed as unknown.
    #[must_use]
    pub fn with_recovery(mut self, recover: Recover) -> Self {
        self.recover = Some(recover);
        self
    }

    /// Works until `stop` is cancelled. What this process has begun may still be under way then, so it goes on counting as
    /// alive for a lease.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.tick().await {
                self.answering_since = None;
                tracing::debug!(error = error.told(), "the journal cannot be kept in order");
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
            let living = self.store.living().await?;
            let is_calm =
                self.calm.as_ref().is_some_and(|(at, then)| *then == living && at.elapsed() < SEARCH_EVERY);
            if !is_calm {
                self.calm = self.close_all_orphans().await?.then(|| (Instant::now(), living));
            }
        }
        if self.forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
            self.forgot_at = Some(Instant::now());
            self.say().await?;
            if !self.forget().await? {
                self.forgot_at = None;
            }
        }
        Ok(())
    }

    /// Forgets what is old, until its time is over; tells whether that was all.
    async fn forget(&self) -> Result<bool> {
        let until = Instant::now() + FORGET_TIME_MAX;
        let floor = floor(self.store.now(), self.retention);
        while self.store.forget_keys(FORGET_ROWS_MAX).await? {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        while self.store.forget_audit(floor, FORGET_ROWS_MAX).await? {
            if Instant::now() >= until {
                return Ok(false);
            }
        }
        self.store.forget_seals(floor).await?;
        Ok(true)
    }

    async fn say(&self) -> Result<()> {
        let until = self.store.now().saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        self.store.stay_alive(until).await
    }

    /// Closes orphans until none is left, or one that nobody can tell about yet; tells whether none is.
    async fn close_all_orphans(&self) -> Result<bool> {
        loop {
            // Many rounds take longer than a lease, and what this process has begun is no orphan.
            self.say().await?;
            match self.close_orphans().await? {
                Left::More => {}
                left => return Ok(left == Left::Nothing),
            }
        }
    }

    /// Closes some orphans as unknown.
    async fn close_orphans(&self) -> Result<Left> {
        let orphans = self.store.orphans(ORPHANS_MAX).await?;
        if orphans.is_empty() {
            return Ok(Left::Nothing);
        }
        let more = orphans.len() >= ORPHANS_MAX as usize;
        let count = orphans.len();
        let found = self.look_into(orphans).await;
        let left = count - found.len();
        let unknown = found.iter().filter(|(_, settlement, _)| settlement.outcome.code != 0).count();
        if unknown > 0 {
            tracing::warn!(count = unknown, "requests of a gateway that died are recorded as unknown");
        }
        self.store.close_orphans(found).await?;
        Ok(match (left, more) {
            (0, true) => Left::More,
            (0, false) => Left::Nothing,
            _ => Left::Undecided,
        })
    }
}

impl Keeper {
    /// Returns what is to be written about orphans. Left out are those that may still be found out about.
    async fn look_into(&self, orphans: Vec<Orphan>) -> Vec<(IntentId, Settlement, Effects)> {
        let unknown =
            || Settlement { outcome: Outcome { code: 2, ..Outcome::default() }, ..Settlement::default() };
        let mut closed = Vec::with_capacity(orphans.len());
        let now = self.store.now().as_microsecond();
        let until = Instant::now() + RECOVERY_TIME_MAX;
        for orphan in orphans {
            let (id, young) = (orphan.id, now.saturating_sub(orphan.opened_at) < RECOVERY_AGE_MAX);
            let found = match &self.recover {
                None => Ok(None),
                Some(_) if Instant::now() >= until => continue,
                Some(recover) => match timeout_at(until, recover(orphan)).await {
                    Ok(found) => found,
                    Err(_elapsed) => continue,
                },
            };
            match found {
                Ok(Some((settlement, effects))) => closed.push((id, settlement, effects)),
                Err(error) if young => {
                    tracing::debug!(error = error.told(), "what came of a request is not known yet");
                }
                Ok(None) | Err(_) => closed.push((id, unknown(), Effects::default())),
            }
        }
        closed
    }
}

/// Returns the moment before which what was sealed is forgotten, in microseconds since 1970.
pub(super) fn floor(now: Timestamp, retention: Duration) -> i64 {
    let age = SignedDuration::try_from(retention).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(age).map_or(i64::MIN, Timestamp::as_microsecond)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;
    use crate::{
        clock::ManualClock,
        crypto::{Keys, Purpose},
        model::Entry,
        store::{
            audit::{Closed, Filter, Walk},
            contract,
            journal::{Intent, Journal, Opened},
        },
    };

    /// With many orphans to close, which took longer than its own time, it closed what it had under way itself.
    #[tokio::test]
    async fn who_closes_many_orphans_goes_on_saying_that_it_lives() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let Some([ours, theirs]) = contract::replicas(clock.clone()).await else { return };
        let config = config::Audit { retention: LEASE, reads: true, reads_without_store: true };
        let mut tasks = JoinSet::new();
        let mut open = async |store: &Store, count| {
            let (journal, work) = Journal::new(store.clone());
            tasks.spawn(work);
            let opened = (0..count).map(|_| journal.open(Intent { entry: Entry::default(), key: None }));
            let opened = futures_util::future::join_all(opened).await;
            // As a process that is at work, or killed: nothing is said about them any more.
            opened.into_iter().for_each(|opened| std::mem::forget(opened.expect("it is durable")));
        };
        open(&theirs, ORPHANS_MAX as usize + 1).await;
        clock.advance(LEASE + LEASE + LEASE);
        let passes = clock.clone();
        let mut keeper =
            Keeper::start(ours.clone(), &config).await.unwrap().with_recovery(Arc::new(move |_| {
                passes.advance(LEASE / 100);
                Box::pin(async { Ok(None) })
            }));
        keeper.answering_since = Some(Instant::now() - LEASE);
        open(&ours, 1).await;
        keeper.tick().await.unwrap();
        assert_eq!(ours.orphans(10).await.unwrap(), []);
        assert_eq!(
            ours.under_way(10).await.unwrap().map(|all| all.len()),
            Some(1),
            "it is still at work on it"
        );
    }

    /// What is left when a part is forgotten is forgotten as well.
    #[tokio::test]
    async fn all_that_is_too_old_goes_in_parts() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        for store in contract::each(clock.clone()).await {
            let now = store.now().as_microsecond();
            let signer = Keys::new(&[3; 32], &[]).signer(Purpose::AuditSeal);
            let row = Closed::observed(now, &Entry::default(), &Outcome::default());
            for _ in 0..4 {
                let rows = vec![row.clone(); FORGET_ROWS_MAX as usize - 100];
                store.observe(&signer, rows, 1).await.unwrap();
            }
            clock.advance(Duration::from_secs(70 * 24 * 3600));
            store.observe(&signer, vec![row.clone()], 1).await.unwrap();
            let retention = Duration::from_secs(35 * 24 * 3600);
            let config = config::Audit { retention, reads: true, reads_without_store: true };
            let keeper = Keeper::start(store.clone(), &config).await.unwrap();
            while !keeper.forget().await.unwrap() {}
            let all = Walk { ascending: true, after: None, rows_max: 10 };
            assert_eq!(store.audit_page(&Filter::default(), all).await.unwrap().len(), 1);
            assert_eq!(store.audit_seals(0, 10).await.unwrap().len(), 2);
        }
    }

    /// The journal is looked through only when somebody has gone, and then it is.
    #[tokio::test]
    async fn who_dies_while_all_was_calm_leaves_no_orphan() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let Some([ours, theirs]) = contract::replicas(clock.clone()).await else { return };
        let config = config::Audit { retention: LEASE, reads: true, reads_without_store: true };
        let mut keeper = Keeper::start(ours.clone(), &config).await.unwrap();
        keeper.answering_since = Some(Instant::now() - LEASE);
        theirs.stay_alive(theirs.now() + LEASE).await.unwrap();
        let (journal, work) = Journal::new(theirs.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        let opened = journal.open(Intent { entry: Entry::default(), key: None }).await.unwrap();
        let Opened::Go(ticket) = opened else { panic!("not to go ahead: {opened:?}") };
        // As a process that is killed: nothing is said about it any more.
        std::mem::forget(ticket);

        keeper.tick().await.unwrap();
        let (searched, _) = keeper.calm.clone().expect("there is no orphan yet");
        keeper.tick().await.unwrap();
        assert_eq!(keeper.calm.as_ref().map(|(at, _)| *at), Some(searched), "it was not looked for again");

        for waited in [LEASE + Duration::from_secs(1), Duration::from_secs(18)] {
            ours.stay_alive(ours.now() + LEASE + waited).await.unwrap();
            clock.advance(waited);
            assert_eq!(ours.orphans(10).await.unwrap(), [], "it may be cut off, and live");
        }
        clock.advance(Duration::from_secs(3));
        assert_eq!(ours.orphans(10).await.unwrap().len(), 1);
        keeper.tick().await.unwrap();
        assert_eq!(ours.orphans(10).await.unwrap(), []);
    }
}
