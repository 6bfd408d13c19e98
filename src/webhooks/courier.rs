//! The ticks that deliver: events become deliveries, due deliveries are leased, attempts are made, and what came of them
//! goes to the settler.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use metrics::{counter, describe_counter, describe_histogram, histogram};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    directory::{Directory, Listed, Receiver},
    message,
    settler::{self, SETTLE_MAX},
    verdict::{self, Judged, Timing},
    window::{Places, Windows},
};
use crate::{
    crypto::Sealer,
    egress::{Egress, Fault},
    error::Result,
    store::{Leased, NewDelivery, Store, Wanted},
};

/// How long a delivery is ours: twice what an attempt may take.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// Events that one tick turns into deliveries, and deliveries that it makes of them.
const EVENTS_MAX: usize = 256;
const DELIVERIES_MAX: usize = 4096;
/// Endpoints that one tick looks after.
const ENDPOINTS_PER_CLAIM_MAX: i64 = 500;
/// Deliveries of one endpoint that one tick leases.
const CLAIM_PER_ENDPOINT_MAX: u32 = 16;
/// The shortest wait between ticks, in which events gather.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// The longest: events that this process writes end it, those of others do not.
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// How often due deliveries are looked for: everywhere, and of endpoints that are known to have some and a place for them.
const CLAIM_EVERY: Duration = Duration::from_millis(200);
const CLAIM_KNOWN_EVERY: Duration = Duration::from_millis(20);
/// How often events are looked for in a file although this process knows of none: what it wrote without hearing that it did,
/// and what another process wrote, which there should not be.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure of the database.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// Delivers. Cheap to clone.
#[derive(Clone)]
pub struct Courier(Arc<Inner>);

struct Inner {
    store: Store,
    egress: Egress,
    directory: Directory,
    windows: Windows,
    /// Endpoints that have more due than they were given, and a place for it by now. A thousand endpoints that are late are
    /// so looked at once each, and those that never answer not at all; it holds each endpoint once.
    known: Mutex<BTreeSet<String>>,
}

/// When events were last looked for, and deliveries last claimed.
#[derive(Default)]
struct Claimed {
    looked: Option<Instant>,
    everywhere: Option<Instant>,
    known: Option<Instant>,
}

/// A delivery that is ours to make.
struct Job {
    receiver: Arc<Receiver>,
    leased: Leased,
    place: Places,
}

/// What one round came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Events that became deliveries.
    pub dispatched: usize,
    /// Attempts that were made.
    pub attempts: usize,
    /// Results that were written; the others came too late.
    pub written: usize,
}

impl Courier {
    /// Joins the parts; `sealer` is for [`crate::crypto::Purpose::WebhookSecret`].
    pub fn new(store: Store, egress: Egress, sealer: Sealer) -> Self {
        describe_counter!(
            "causeway_webhook_attempts_total",
            "Attempts to deliver, by outcome: OK or the class of the failure."
        );
        describe_histogram!(
            "causeway_webhook_attempt_duration_seconds",
            metrics::Unit::Seconds,
            "Time of an attempt."
        );
        describe_histogram!(
            "causeway_webhook_latency_seconds",
            metrics::Unit::Seconds,
            "Time from an event to the answer of the receiver that accepted it."
        );
        let directory = Directory::new(store.clone(), sealer, egress.policy().clone());
        Self(Arc::new(Inner {
            store,
            egress,
            directory,
            windows: Windows::default(),
            known: Mutex::default(),
        }))
    }

    /// Does once everything that is due now, and waits until it is written: for tests and tools.
    ///
    /// # Errors
    /// The database is away.
    pub async fn round(&self) -> Result<Round> {
        let mut jobs = Vec::new();
        let events = self.dispatch(&mut jobs).await?;
        self.claim_everywhere(&mut jobs).await?;
        let mut attempts = JoinSet::new();
        for job in jobs {
            let courier = self.clone();
            attempts.spawn(async move { courier.attempt(job).await });
        }
        let judged = attempts.join_all().await;
        let attempts = judged.len();
        Ok(Round { dispatched: events, attempts, written: settler::settle(&self.0.store, &judged).await? })
    }

    /// Delivers until `stop` is cancelled, then finishes what is under way.
    pub async fn run(self, stop: CancellationToken) {
        let (sender, receiver) = mpsc::channel(SETTLE_MAX);
        let mut settler = JoinSet::new();
        settler.spawn(settler::settle_all(self.0.store.clone(), receiver));
        let mut attempts = JoinSet::new();
        let mut claimed = Claimed::default();
        // In a file there are no events of others, and of its own this process is told.
        let alone = self.0.store.is_embedded();
        let idle = if alone { CLAIM_EVERY } else { IDLE_WAIT };
        let mut news = true;
        while !stop.is_cancelled() {
            let wait = match self.tick(news, &mut claimed, &mut attempts, &sender).await {
                Ok(true) => Some(BUSY_WAIT),
                Ok(false) if !self.known().is_empty() => Some(CLAIM_KNOWN_EVERY),
                Ok(false) => None,
                Err(error) => {
                    tracing::warn!(error = error.told(), "webhooks wait for the database");
                    Some(AWAY_WAIT)
                }
            };
            while attempts.try_join_next().is_some() {}
            let pause = async {
                match wait {
                    // Nobody listens meanwhile, so there may be news when it is over.
                    Some(wait) => sleep(wait).await,
                    None => return timeout(idle, self.0.store.told()).await.is_ok() || !alone,
                }
                true
            };
            news = stop.run_until_cancelled(pause).await.unwrap_or(true);
        }
        drop(sender);
        while attempts.join_next().await.is_some() {}
        settler.join_all().await;
    }

    /// Begins what is due, after a look at events if there may be `news`; tells whether there was anything. What became ours
    /// before the database was away is begun too: nobody else may for the time of a lease.
    async fn tick(
        &self,
        news: bool,
        claimed: &mut Claimed,
        attempts: &mut JoinSet<()>,
        sender: &mpsc::Sender<Judged>,
    ) -> Result<bool> {
        let mut jobs = Vec::new();
        let found = self.find(news, claimed, &mut jobs).await;
        let busy = !jobs.is_empty();
        for job in jobs {
            let (courier, sender) = (self.clone(), sender.clone());
            attempts.spawn(async move {
                let judged = courier.attempt(job).await;
                // The settler ends after all attempts have.
                drop(sender.send(judged).await);
            });
        }
        Ok(found? > 0 || busy)
    }

    /// Finds what is due. Returns how many events there were.
    async fn find(&self, news: bool, claimed: &mut Claimed, jobs: &mut Vec<Job>) -> Result<usize> {
        let is_time = |last: Option<Instant>, every| last.is_none_or(|at: Instant| at.elapsed() >= every);
        let mut events = 0;
        if news || is_time(claimed.looked, LOOK_EVERY) {
            claimed.looked = Some(Instant::now());
            events = self.dispatch(jobs).await?;
        }
        if is_time(claimed.everywhere, CLAIM_EVERY) {
            claimed.everywhere = Some(Instant::now());
            self.claim_everywhere(jobs).await?;
        } else if is_time(claimed.known, CLAIM_KNOWN_EVERY) {
            claimed.known = Some(Instant::now());
            let known = std::mem::take(&mut *self.known());
            self.claim_of(known.into_iter().collect(), jobs).await?;
        }
        Ok(events)
    }

    /// Turns events into deliveries; those that can be made at once are ours. Returns how many events there were.
    async fn dispatch(&self, jobs: &mut Vec<Job>) -> Result<usize> {
        let Inner { store, directory, windows, .. } = &*self.0;
        let mut events = store.undispatched_events(EVENTS_MAX as i64).await?;
        if events.is_empty() {
            return Ok(0);
        }
        directory.refresh().await?;
        let now = store.now();
        let mut planned: Vec<(NewDelivery, Listed, usize, Option<Places>)> = Vec::new();
        for (at, event) in events.iter().enumerate() {
            if planned.len() >= DELIVERIES_MAX {
                events.truncate(at);
                break;
            }
            for listed in directory.project(&event.project).await? {
                if !listed.wants(event) {
                    continue;
                }
                let endpoint = listed.endpoint.id.clone();
                let is_closed = listed.receiver.is_none();
                let is_limited = listed.is_limited(now);
                let place = if is_closed || is_limited { None } else { windows.take(&endpoint, 1).one() };
                let leased = place.is_some();
                if !is_closed && (is_limited || (!leased && windows.pass_by(&endpoint))) {
                    self.known().insert(endpoint.clone());
                }
                let new = NewDelivery { endpoint, event: event.id.clone(), kind: event.kind.clone(), leased };
                planned.push((new, listed, at, place));
            }
        }
        let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
        let new: Vec<NewDelivery> = planned.iter().map(|(new, ..)| new.clone()).collect();
        let made = store.dispatch(&ids, &new, now, later(now, LEASE)).await?;
        let mut made = made.into_iter().peekable();
        for (index, (new, listed, at, place)) in planned.into_iter().enumerate() {
            let is_made = made.next_if_eq(&index).is_some();
            if let (Some(place), Some(receiver)) = (place.filter(|_| is_made), listed.receiver) {
                let leased = Leased { endpoint: new.endpoint, event: events[at].clone(), fence: 1, step: 0 };
                jobs.push(Job { receiver, leased, place });
            }
        }
        Ok(ids.len())
    }

    /// Leases deliveries that are due, a few of each endpoint.
    async fn claim_everywhere(&self, jobs: &mut Vec<Job>) -> Result<()> {
        let now = self.0.store.now();
        let mut after = String::new();
        self.known().clear();
        loop {
            let ready = self.0.store.ready_webhook_endpoints(now, &after, ENDPOINTS_PER_CLAIM_MAX).await?;
            let Some(last) = ready.last().cloned() else { return Ok(()) };
            after = last;
            self.claim_of(ready, jobs).await?;
        }
    }

    /// Leases deliveries of these endpoints that are due, a few of each.
    async fn claim_of(&self, endpoints: Vec<String>, jobs: &mut Vec<Job>) -> Result<()> {
        let Inner { store, directory, windows, .. } = &*self.0;
        if endpoints.is_empty() {
            return Ok(());
        }
        directory.refresh().await?;
        let now = store.now();
        let mut wanted = Vec::new();
        for id in endpoints {
            let Some(receiver) = directory.endpoint(&id).await?.and_then(|listed| listed.receiver) else {
                continue;
            };
            let places = windows.take(&id, CLAIM_PER_ENDPOINT_MAX);
            let slots = places.count();
            if slots > 0 {
                let settings = &receiver.endpoint.settings;
                let (rate, concurrency) = (settings.rate, settings.concurrency);
                wanted.push((Wanted { endpoint: id, slots, rate, concurrency }, receiver, places));
            } else {
                windows.pass_by(&id);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let asked: Vec<Wanted> = wanted.iter().map(|(wanted, ..)| wanted.clone()).collect();
        let leased = store.claim_deliveries(&asked, now, later(now, LEASE)).await?;
        for (wanted, receiver, mut places) in wanted {
            for leased in leased.iter().filter(|leased| leased.endpoint == wanted.endpoint) {
                let Some(place) = places.one() else { break };
                jobs.push(Job { receiver: receiver.clone(), leased: leased.clone(), place });
            }
            if places.count() == 0 {
                // There may be more. The end of one of these will tell that there is a place for it.
                windows.pass_by(&wanted.endpoint);
            }
        }
        Ok(())
    }

    /// Makes one attempt.
    async fn attempt(&self, job: Job) -> Judged {
        let Inner { store, egress, .. } = &*self.0;
        let (started_at, began) = (store.now(), Instant::now());
        let answer = match &job.receiver.target {
            Err(refusal) => Err(Fault::Refused(refusal.clone())),
            Ok(target) => {
                let message = message::of(&job.leased.event, &job.receiver, started_at);
                egress.send(target, message).await
            }
        };
        let timing = Timing { started_at, took: began.elapsed(), random: fastrand::f64() };
        let judged = verdict::of(&job.leased, &job.receiver.endpoint.settings.url, answer, timing);
        if job.place.done(judged.succeeded) {
            self.known().insert(job.leased.endpoint.clone());
        }
        let attempt = &judged.verdict.attempt;
        let outcome = if judged.succeeded { "OK".to_owned() } else { attempt.error.clone() };
        counter!("causeway_webhook_attempts_total", "outcome" => outcome).increment(1);
        histogram!("causeway_webhook_attempt_duration_seconds").record(timing.took.as_secs_f64());
        if judged.succeeded {
            let latency = store.now().duration_since(job.leased.event.time);
            histogram!("causeway_webhook_latency_seconds").record(latency.as_secs_f64().max(0.0));
        }
        judged
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attempts that are under way in this process.
    pub fn in_flight(&self) -> usize {
        self.0.windows.in_flight()
    }
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait).unwrap_or(now)
}
