//! What replicas share in Redis: generations and pages.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Key, Page, Rule, Scope, frame,
    generations::{AWAY, BUMP_PENDING},
};
use crate::{
    clock::Clock,
    crypto::{self, Mac},
    kv::{Away, BUDGET, Kv, Weight},
};

/// Look-ups that may wait for generations; more go around the cache.
pub(super) const WAITING_MAX: usize = 4096;
/// Look-ups whose generations are read in one round trip.
const TOGETHER_MAX: usize = 256;
/// How long a generation is kept that nobody changes. When it goes, pages go with it.
const GENERATION_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often a bump that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// Bumps that wait to be tried again. Past it, everything gets around the cache until they are done and what other
/// replicas may still show is over.
const PENDING_MAX: usize = 10_000;
/// Bumps that are tried again at once.
const RETRIED_TOGETHER: usize = 256;
/// How long everything gets around the cache when bumps were forgotten: as long as the longest page lives.
const FORGOTTEN_FOR: Duration = Duration::from_secs(48 * 3600);

/// A look-up that waits for its generations.
pub(super) struct Waiting {
    scopes: Arc<[Scope]>,
    told: oneshot::Sender<Option<Vec<u64>>>,
}

/// Redis, as the cache sees it.
pub(super) struct Shared {
    kv: Arc<Kv>,
    tags: Mac,
    clock: Arc<dyn Clock>,
    waiting: mpsc::Sender<Waiting>,
    pending: Mutex<Pending>,
    /// Whether there is anything pending, without the lock.
    pending_count: AtomicUsize,
}

#[derive(Default)]
struct Pending {
    /// Each with a number that is new whenever it is put down again.
    scopes: HashMap<Scope, u64>,
    last: u64,
    all_until: Option<Instant>,
}

impl Shared {
    pub(super) fn new(kv: Arc<Kv>, tags: Mac, clock: Arc<dyn Clock>, waiting: mpsc::Sender<Waiting>) -> Self {
        Self { kv, tags, clock, waiting, pending: Mutex::default(), pending_count: AtomicUsize::new(0) }
    }

    /// Reads generations as they are no earlier than now: with the next round trip, not with the one under way.
    pub(super) async fn generations(&self, scopes: &Arc<[Scope]>) -> Result<Vec<u64>, &'static str> {
        if self.kv.is_away(Weight::Light) {
            return Err(AWAY);
        }
        // Asked first: what is tried again with success after this is seen by the round trip below.
        if self.is_pending(scopes) {
            return Err(BUMP_PENDING);
        }
        let (told, answer) = oneshot::channel();
        self.waiting.try_send(Waiting { scopes: scopes.clone(), told }).map_err(|_| AWAY)?;
        timeout(BUDGET, answer).await.ok().and_then(Result::ok).flatten().ok_or(AWAY)
    }

    /// Gives every scope a new generation; what does not succeed is tried again.
    pub(super) async fn bump(&self, scopes: &[Scope]) -> bool {
        let done = timeout(BUDGET, self.renew(scopes))
            .await
            .is_ok_and(|renewed| renewed.into_iter().all(|done| done));
        if !done {
            let mut pending = self.pending();
            if pending.scopes.len() + scopes.len() > PENDING_MAX {
                pending.all_until = Some(Instant::now() + FORGOTTEN_FOR);
            } else {
                pending.last += 1;
                let number = pending.last;
                pending.scopes.extend(scopes.iter().map(|scope| (*scope, number)));
            }
            self.count(&pending);
        }
        done
    }

    /// Finds a page, waiting no longer than until `end`.
    pub(super) async fn get(&self, place: &Key, end: Instant) -> Option<(Page, Duration)> {
        let name = page_name(place);
        let framed = timeout_at(end, self.kv.value(&name)).await.ok()?.ok()??;
        let now = self.clock.now().as_millisecond();
        let found = frame::read(&framed, now, place, &self.tags);
        if found.is_none() {
            tracing::debug!("what Redis has for a page is none of ours");
            // Whether or not it goes: nobody believes it.
            let _ = timeout_at(end, self.kv.forget(&name)).await;
        }
        found
    }

    /// Keeps a page.
    pub(super) async fn put(&self, place: &Key, page: &Page, age: Duration, rule: Rule) {
        let life = (rule.ttl + rule.stale).saturating_sub(age);
        let now = self.clock.now().as_millisecond();
        let born = now - i64::try_from(age.as_millis()).unwrap_or_default();
        let framed = frame::write(page, born, place, &self.tags);
        // Best effort: a page that is not there is fetched again.
        let _ = self.kv.set(&[(page_name(place), &framed)], life, Weight::Light).await;
    }

    /// Serves look-ups and tries failed bumps again, until told to stop.
    pub(super) async fn run(&self, mut receiver: mpsc::Receiver<Waiting>, soft: CancellationToken) {
        let retries = async {
            let mut ticks = interval(RETRY_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.retry().await;
            }
        };
        let reads = async {
            let mut together = Vec::new();
            while receiver.recv_many(&mut together, TOGETHER_MAX).await > 0 {
                self.read(&mut together).await;
            }
        };
        tokio::select! {
            () = soft.cancelled() => {}
            () = reads => {}
            () = retries => {}
        }
    }

    /// Reads the generations of several look-ups in one round trip. What has none gets one. A look-up that needs one which
    /// nobody can tell gets none.
    async fn read(&self, together: &mut Vec<Waiting>) {
        together.retain(|waiting| !waiting.told.is_closed());
        let mut scopes: Vec<Scope> = Vec::with_capacity(together.len() * 4);
        let mut places: HashMap<Scope, usize> = HashMap::with_capacity(together.len() * 4);
        for scope in together.iter().flat_map(|waiting| waiting.scopes.iter()) {
            places.entry(*scope).or_insert_with(|| {
                scopes.push(*scope);
                scopes.len() - 1
            });
        }
        let names: Vec<String> = scopes.iter().map(generation_name).collect();
        let generations = self.completed(&names, self.kv.values(&names).await).await;
        for Waiting { scopes, told } in together.drain(..) {
            let own = scopes.iter().map(|scope| generations[places[scope]]).collect();
            // Who asked may have left.
            let _ = told.send(own);
        }
    }

    /// Gives a generation to what has none; `None`: nobody can tell.
    async fn completed(
        &self,
        names: &[String],
        values: Vec<Result<Option<Vec<u8>>, Away>>,
    ) -> Vec<Option<u64>> {
        let mut missing = Vec::new();
        let mut generations = Vec::with_capacity(names.len());
        for (place, value) in values.into_iter().enumerate() {
            let known =
                value.map(|value| value.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes));
            if known == Ok(None) {
                missing.push((place, crypto::random::<8>()));
            }
            generations.push(known.ok().flatten());
        }
        if !missing.is_empty() {
            let values: Vec<(String, &[u8])> =
                missing.iter().map(|(place, fresh)| (names[*place].clone(), &fresh[..])).collect();
            let kept = self.kv.set(&values, GENERATION_LIFE, Weight::Heavy).await;
            if kept.into_iter().all(|kept| kept) {
                for (place, fresh) in missing {
                    generations[place] = Some(u64::from_be_bytes(fresh));
                }
            }
        }
        generations
    }

    /// Gives scopes new generations; returns which have them.
    async fn renew(&self, scopes: &[Scope]) -> Vec<bool> {
        let fresh: Vec<[u8; 8]> = scopes.iter().map(|_| crypto::random()).collect();
        let values: Vec<(String, &[u8])> =
            scopes.iter().zip(&fresh).map(|(scope, fresh)| (generation_name(scope), &fresh[..])).collect();
        self.kv.set(&values, GENERATION_LIFE, Weight::Heavy).await
    }

    /// Tries failed bumps again. A scope stays pending until it is done, and longer if it failed again meanwhile.
    async fn retry(&self) {
        let tried: Vec<(Scope, u64)> = {
            let mut pending = self.pending();
            if pending.all_until.is_some_and(|until| until <= Instant::now()) {
                pending.all_until = None;
                self.count(&pending);
            }
            // From anywhere on: those that cannot be reached are in nobody's way.
            let count = pending.scopes.len();
            let all = pending.scopes.iter().cycle().skip(fastrand::usize(..count.max(1)));
            all.take(count.min(RETRIED_TOGETHER)).map(|(scope, number)| (*scope, *number)).collect()
        };
        if tried.is_empty() || self.kv.is_away(Weight::Heavy) {
            return;
        }
        let scopes: Vec<Scope> = tried.iter().map(|(scope, _)| *scope).collect();
        // They may be on several nodes, of which some answer.
        let renewed = self.renew(&scopes).await;
        let mut pending = self.pending();
        for ((scope, number), _) in tried.into_iter().zip(renewed).filter(|(_, renewed)| *renewed) {
            if pending.scopes.get(&scope) == Some(&number) {
                pending.scopes.remove(&scope);
            }
        }
        self.count(&pending);
    }

    fn is_pending(&self, scopes: &[Scope]) -> bool {
        if self.pending_count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let pending = self.pending();
        pending.all_until.is_some() || scopes.iter().any(|scope| pending.scopes.contains_key(scope))
    }

    fn count(&self, pending: &Pending) {
        let count = pending.scopes.len() + usize::from(pending.all_until.is_some());
        self.pending_count.store(count, Ordering::Release);
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn generation_name(scope: &Scope) -> String {
    format!("causeway:generation:{:032x}", scope.0)
}

fn page_name(place: &Key) -> String {
    let (high, low) = place.0.split_at(16);
    let number = |half: &[u8]| u128::from_be_bytes(half.try_into().expect("half of 32 bytes"));
    format!("causeway:page:{:032x}{:032x}", number(high), number(low))
}
