//! Wakes those who wait for an operation to change, whichever replica changes it.
//!
//! One query for all that is awaited here, many times a second, while anything is; and a nudge so that what is awaited is
//! looked after sooner. Whoever changes an operation says so: to those who wait in its own process, and over Redis, where
//! there is one, to those of other replicas. What is said is only that it is time to ask: the database is the truth.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Code, Error, Reason, Result},
    kv::Kv,
    model::OperationId,
    store::Store,
};

/// How often the database is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How often what is awaited is looked after sooner, at most.
const HURRY_EVERY: Duration = Duration::from_secs(1);
/// Operations that are awaited in one process.
const AWAITED_MAX: usize = 10_000;
/// Ids of one query, and of one message.
const IDS_MAX: usize = 500;
/// Bytes of an id.
const ID_BYTES: usize = 16;
/// Where replicas tell each other what has changed: ids, one behind the other.
const CHANNEL: &str = "causeway:operations:changed";

/// The awaited operations of this process. Cheap to clone.
#[derive(Clone)]
pub struct Waiters(Arc<Inner>);

struct Inner {
    store: Store,
    kv: Option<Arc<Kv>>,
    awaited: Mutex<HashMap<OperationId, watch::Sender<i64>>>,
    came: Notify,
    /// What is awaited here and was said to have changed.
    told: Mutex<HashSet<OperationId>>,
    tell: Notify,
}

/// Somebody who waits. Leaves when dropped.
pub struct Waiter {
    waiters: Waiters,
    id: OperationId,
    versions: Option<watch::Receiver<i64>>,
}

impl Waiters {
    /// Begins with nobody. Without Redis replicas find out by asking the database.
    pub fn new(store: Store, kv: Option<Arc<Kv>>) -> Self {
        Self(Arc::new(Inner {
            store,
            kv,
            awaited: Mutex::default(),
            came: Notify::new(),
            told: Mutex::default(),
            tell: Notify::new(),
        }))
    }

    /// Says that operations have changed, here and to other replicas.
    pub(super) async fn changed(&self, ids: &[OperationId]) {
        if ids.is_empty() {
            return;
        }
        self.hear(ids.iter().copied());
        if let Some(kv) = &self.0.kv {
            for some in ids.chunks(IDS_MAX) {
                let message: Vec<u8> = some.iter().flat_map(|id| id.0).collect();
                if kv.publish(CHANNEL, &message).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Notes what was said to have changed, if anybody here waits for it.
    fn hear(&self, ids: impl Iterator<Item = OperationId>) {
        let awaited: Vec<OperationId> =
            self.with(|awaited| ids.filter(|id| awaited.contains_key(id)).collect());
        if !awaited.is_empty() {
            self.0.told.lock().unwrap_or_else(PoisonError::into_inner).extend(awaited);
            self.0.tell.notify_one();
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut HashMap<OperationId, watch::Sender<i64>>) -> T) -> T {
        f(&mut self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for changes past `version` from now on.
    ///
    /// # Errors
    /// `LIMIT_EXCEEDED`: too many wait.
    pub fn wait_for(&self, id: OperationId, version: i64) -> Result<Waiter> {
        let versions = self.with(|awaited| {
            if awaited.len() >= AWAITED_MAX && !awaited.contains_key(&id) {
                return None;
            }
            let sender = awaited.entry(id).or_insert_with(|| watch::channel(version).0);
            sender.send_if_modified(|known| {
                let older = *known < version;
                *known = version.max(*known);
                older
            });
            Some(sender.subscribe())
        });
        let text = "Too many operations are waited for here. Try again later.";
        let versions = versions.ok_or_else(|| Error::new(Code::Unavailable, Reason::LimitExceeded, text))?;
        self.0.came.notify_one();
        Ok(Waiter { waiters: self.clone(), id, versions: Some(versions) })
    }

    /// Asks for what is awaited until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.ask_for_all(&stop), self.ask_for_told(&stop), self.listen(&stop));
    }

    /// Hears from other replicas.
    async fn listen(&self, stop: &CancellationToken) {
        let Some(kv) = &self.0.kv else { return };
        kv.listen(CHANNEL, stop, |message| {
            let ids = message.chunks_exact(ID_BYTES).take(IDS_MAX);
            self.hear(ids.map(|id| OperationId(id.try_into().expect("chunks are as long as ids"))));
        })
        .await;
    }

    /// Asks for what was said to have changed.
    async fn ask_for_told(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.0.tell.notified()).await.is_some() {
            let told = std::mem::take(&mut *self.0.told.lock().unwrap_or_else(PoisonError::into_inner));
            let told: Vec<OperationId> = told.into_iter().collect();
            self.ask_for(&told, false).await;
        }
    }

    async fn ask_for_all(&self, stop: &CancellationToken) {
        let mut hurried: Option<Instant> = None;
        loop {
            let ids: Vec<OperationId> = self.with(|awaited| awaited.keys().copied().collect());
            let pause =
                async { if ids.is_empty() { self.0.came.notified().await } else { sleep(ASK_EVERY).await } };
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            let hurry = hurried.is_none_or(|at| at.elapsed() >= HURRY_EVERY);
            if hurry && !ids.is_empty() {
                hurried = Some(Instant::now());
            }
            self.ask_for(&ids, hurry).await;
        }
    }

    async fn ask_for(&self, ids: &[OperationId], hurry: bool) {
        for some in ids.chunks(IDS_MAX) {
            if let Err(error) = self.ask(some, hurry).await {
                tracing::debug!(error = error.told(), "nobody can say what became of awaited operations");
            }
        }
    }

    async fn ask(&self, ids: &[OperationId], hurry: bool) -> Result<()> {
        let versions = self.0.store.operation_versions(ids).await?;
        self.with(|awaited| {
            for id in ids {
                let version =
                    versions.iter().find(|(found, _)| found == id).map_or(NOWHERE, |(_, version)| *version);
                if let Some(sender) = awaited.get(id) {
                    sender.send_if_modified(|known| goes_on(known, version));
                }
            }
        });
        if hurry {
            self.0
                .store
                .hurry_operations(ids, SignedDuration::try_from(HURRY_EVERY).unwrap_or_default())
                .await?;
        }
        Ok(())
    }
}

/// What nobody has on record is at the last of all versions.
const NOWHERE: i64 = i64::MAX;

/// Takes note of a version, unless a later one is known: of two that ask at once the first to ask may be the last to hear. What
/// could not be found may be there by now.
fn goes_on(known: &mut i64, version: i64) -> bool {
    let is_later = version > *known || (*known == NOWHERE && version != NOWHERE);
    if is_later {
        *known = version;
    }
    is_later
}

impl Waiter {
    /// Waits until the operation is at another version than `version`.
    pub async fn changed(&mut self, version: i64) {
        if let Some(versions) = &mut self.versions {
            let _gone = versions.wait_for(|known| *known != version).await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.versions = None;
        self.waiters.with(|awaited| {
            if awaited.get(&self.id).is_some_and(watch::Sender::is_closed) {
                awaited.remove(&self.id);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever knew the later version asked the database again and again until it was told a second time.
    #[test]
    fn what_is_known_does_not_go_back() {
        let mut known = 1;
        let told: Vec<bool> = [2, 2, 1, NOWHERE, 3].map(|version| goes_on(&mut known, version)).into();
        assert_eq!(told, [true, false, false, true, true], "what could not be found may be there by now");
        assert_eq!(known, 3);
    }
}
