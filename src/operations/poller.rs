//! Looks after operations that nobody asks about.
//!
//! A tick claims what is due, asks the upstreams, and writes back what it may still write. What is due under one parent is
//! asked for together. Every upstream has a lane of its own, so that a slow one delays nobody else's operations. All
//! replicas do this at once: leases divide the work, and tokens keep whoever slept from writing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use metrics::{counter, gauge, histogram};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Tracker, desk,
    judge::{Looked, is_about_the_list, judge, retry_info},
    pace,
    quota::Quota,
};
use crate::{
    config,
    error::{Code, Error, Result},
    model::Operation,
    store::operations::{Change, LEASE, Room},
    upstream::{Upstream, Upstreams},
};

/// Operations of one claim.
const ROWS_MAX: u32 = 5000;
/// Parents of one claim, and operations without one: what is asked within a lease if every call takes its time.
const QUESTIONS_MAX: u32 = 24;
/// More than this many due under one parent are asked for by a list.
const ASKED_SINGLY_MAX: usize = 3;
/// Pages of one list.
const PAGES_MAX: usize = 64;
/// Calls under way at once in a lane.
const CALLS_MAX: usize = 8;
/// What is left of a lease for writing when the last call that begins within it takes its time.
const WRITE_TIME: Duration = Duration::from_secs(5);
/// The wait between two ticks that find nothing.
const IDLE: Duration = Duration::from_millis(500);
/// How often it is counted how long what is due has been waiting.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Operations that were claimed.
    pub claimed: usize,
    /// Calls that were made.
    pub calls: usize,
    /// Operations that changed visibly.
    pub changed: usize,
    /// Operations that somebody else had claimed by the time we knew.
    pub fenced: usize,
}

impl std::ops::AddAssign for Tick {
    fn add_assign(&mut self, other: Self) {
        self.claimed += other.claimed;
        self.calls += other.calls;
        self.changed += other.changed;
        self.fenced += other.fenced;
    }
}

/// Looks after operations. Cheap to clone.
#[derive(Clone)]
pub struct Poller(Arc<Inner>);

struct Inner {
    tracker: Tracker,
    lanes: Vec<Arc<Lane>>,
    max_age: Duration,
}

/// One upstream.
struct Lane {
    upstream: Arc<Upstream>,
    quota: Mutex<Quota>,
    /// Parents whose lists cannot be used.
    unlisted: Mutex<HashSet<String>>,
}

impl Lane {
    fn quota<T>(&self, f: impl FnOnce(&mut Quota) -> T) -> T {
        f(&mut self.quota.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what a look says about an operation. An upstream that is given headers of callers may hide by them what it has, and
    /// the gateway has none: then nothing is known of what is not found.
    fn believed(&self, looked: Looked) -> Looked {
        match looked {
            Looked::Refused(error)
                if self.upstream.is_given_headers()
                    && error.code() == Code::NotFound
                    && error.reason().is_none() =>
            {
                Looked::Refused(Error::upstream(Code::PermissionDenied, error.message(), Vec::new()))
            }
            looked => looked,
        }
    }

    fn unlisted<T>(&self, f: impl FnOnce(&mut HashSet<String>) -> T) -> T {
        f(&mut self.unlisted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Parents whose lists are known to be of no use; with more, the first come are forgotten and found out anew.
const UNLISTED_MAX: usize = 10_000;

impl Poller {
    /// Joins the parts.
    pub fn new(
        tracker: Tracker,
        upstreams: &Upstreams,
        sections: &BTreeMap<String, config::Upstream>,
        config: &config::Operations,
    ) -> Self {
        let now = tracker.store().now().as_microsecond();
        let lanes = upstreams.iter().filter_map(|upstream| {
            let upstream = upstreams.in_background(upstream.key())?;
            let per_minute = sections.get(upstream.key()).map_or(1200, |section| section.calls_per_minute);
            Some(Arc::new(Lane {
                upstream: upstream.clone(),
                quota: Mutex::new(Quota::new(f64::from(per_minute) / 60.0 * config.poll_share, now)),
                unlisted: Mutex::default(),
            }))
        });
        let lanes = lanes.collect();
        Self(Arc::new(Inner { tracker, lanes, max_age: config.max_age }))
    }

    /// Works until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        for lane in &self.0.lanes {
            let (poller, lane, stop) = (self.clone(), lane.clone(), stop.clone());
            tasks.spawn(async move {
                let mut counted_at = None;
                while !stop.is_cancelled() {
                    if counted_at.is_none_or(|at: Instant| at.elapsed() >= COUNT_EVERY) {
                        counted_at = Some(Instant::now());
                        let _away = poller.count(&lane).await;
                    }
                    let wait = match poller.tick_lane(&lane).await {
                        Ok(tick) if tick.claimed > 0 && tick.calls > 0 => continue,
                        Ok(_) => IDLE,
                        Err(error) => {
                            tracing::debug!(error = error.told(), "operations cannot be looked after");
                            IDLE * 4
                        }
                    };
                    // Replicas that started together do not ask together for ever.
                    stop.run_until_cancelled(sleep(pace::jittered(wait, fastrand::f64()))).await;
                }
            });
        }
        while tasks.join_next().await.is_some() {}
        // Without an upstream there is nothing to do, and this is not to end by itself.
        stop.cancelled().await;
    }

    /// Looks after what is due now, once.
    ///
    /// # Errors
    /// The database is away.
    pub async fn tick(&self) -> Result<Tick> {
        let mut tasks = JoinSet::new();
        for lane in &self.0.lanes {
            let (poller, lane) = (self.clone(), lane.clone());
            tasks.spawn(async move { poller.tick_lane(&lane).await });
        }
        let mut total = Tick::default();
        while let Some(done) = tasks.join_next().await {
            total += done.map_err(Error::internal)??;
        }
        Ok(total)
    }

    async fn count(&self, lane: &Lane) -> Result<()> {
        let store = self.0.tracker.store();
        let due = store.operation_due_at(lane.upstream.key()).await?;
        let waiting = due.map_or(0.0, |due| store.now().duration_since(due).as_secs_f64());
        gauge!("causeway_operations_oldest_due_seconds", "upstream" => lane.upstream.key().to_owned())
            .set(waiting.max(0.0));
        Ok(())
    }

    async fn tick_lane(&self, lane: &Arc<Lane>) -> Result<Tick> {
        let store = self.0.tracker.store();
        let now = store.now().as_microsecond();
        // What cannot be asked about is left to whoever can.
        let questions = lane.quota(|quota| quota.left(now)).min(QUESTIONS_MAX);
        if questions == 0 {
            return Ok(Tick::default());
        }
        let until = Instant::now() + LEASE.unsigned_abs() - desk::CALL_TIME_MAX - WRITE_TIME;
        let room = Room { questions, rows: ROWS_MAX };
        let claimed = store.claim_operations(lane.upstream.key(), room).await?;
        let mut total = Tick { claimed: claimed.len(), ..Tick::default() };
        if claimed.is_empty() {
            return Ok(total);
        }
        histogram!("causeway_operations_claimed").record(claimed.len() as f64);
        let mut groups: HashMap<(crate::model::Kind, String), Vec<Operation>> = HashMap::new();
        for operation in claimed {
            groups.entry((operation.kind, operation.parent.clone())).or_default().push(operation);
        }
        let mut waiting: Vec<Vec<Operation>> = Vec::new();
        for ((_, parent), group) in groups {
            let listed = !parent.is_empty()
                && group.len() > ASKED_SINGLY_MAX
                && !lane.unlisted(|unlisted| unlisted.contains(&parent));
            if listed {
                waiting.push(group);
            } else {
                waiting.extend(group.into_iter().map(|operation| vec![operation]));
            }
        }
        let mut tasks = JoinSet::new();
        let mut waiting = waiting.into_iter();
        loop {
            while tasks.len() < CALLS_MAX
                && let Some(group) = waiting.next()
            {
                let (poller, lane) = (self.clone(), lane.clone());
                tasks.spawn(async move { poller.look_after(&lane, group, until).await });
            }
            match tasks.join_next().await {
                Some(done) => total += done.map_err(Error::internal)??,
                None => return Ok(total),
            }
        }
    }

    /// Asks about some operations, if a call may begin before `until`, and writes back what came of it.
    async fn look_after(&self, lane: &Lane, group: Vec<Operation>, until: Instant) -> Result<Tick> {
        let mut tick = Tick::default();
        let looked = if group.len() > 1 {
            self.list(lane, group, until, &mut tick).await
        } else {
            let mut looked = Vec::new();
            for operation in group {
                let seen = self.ask(lane, &operation, until, &mut tick).await;
                looked.push((operation, seen));
            }
            looked
        };
        // What was asked for together stays together.
        let random = fastrand::f64();
        let looked: Vec<_> =
            looked.into_iter().map(|(operation, looked)| (operation, lane.believed(looked))).collect();
        let changes: Vec<Change> = looked
            .iter()
            .map(|(operation, looked)| judge(&self.0.tracker, self.0.max_age, operation, looked, random))
            .collect();
        tick.changed = changes.iter().filter(|change| change.visible).count();
        tick.fenced = self.0.tracker.take_in_claimed(&changes).await?;
        counter!("causeway_operations_fenced_writes_total").increment(tick.fenced as u64);
        let events = changes.iter().map(|change| change.events.len() as u64).sum();
        counter!("causeway_operations_events_total").increment(events);
        Ok(tick)
    }

    /// Asks about one operation.
    async fn ask(&self, lane: &Lane, operation: &Operation, until: Instant, tick: &mut Tick) -> Looked {
        let source = self.0.tracker.sources().of(operation.kind);
        let ask = match source.look(operation) {
            Ok(ask) => ask,
            Err(error) => return Looked::Undecodable(error),
        };
        if let Err(wait) = self.leave(lane, until) {
            return Looked::Later(wait);
        }
        tick.calls += 1;
        counter!("causeway_operations_polls_total", "upstream" => operation.upstream.clone()).increment(1);
        match desk::call(&lane.upstream, ask, None).await {
            Ok(message) => match source.read(operation, &message) {
                Ok(sighting) => Looked::Saw(sighting),
                Err(error) => Looked::Undecodable(error),
            },
            Err(error) => {
                self.note_pressure(lane, &error);
                Looked::Refused(error)
            }
        }
    }

    /// Takes leave for one call: within the quota, and while the lease lasts.
    fn leave(&self, lane: &Lane, until: Instant) -> Result<(), Duration> {
        if Instant::now() >= until {
            return Err(Duration::ZERO);
        }
        let now = self.0.tracker.store().now().as_microsecond();
        lane.quota(|quota| quota.take(now))
    }

    fn note_pressure(&self, lane: &Lane, error: &Error) {
        if error.code() == Code::ResourceExhausted {
            let now = self.0.tracker.store().now().as_microsecond();
            lane.quota(|quota| quota.too_much(now, retry_info(error)));
        }
    }

    /// Asks about operations of one parent by listing it, and about each that is not in the list by itself.
    async fn list(
        &self,
        lane: &Lane,
        group: Vec<Operation>,
        until: Instant,
        tick: &mut Tick,
    ) -> Vec<(Operation, Looked)> {
        let (kind, parent) = (group[0].kind, group[0].parent.clone());
        let source = self.0.tracker.sources().of(kind);
        let mut left: HashMap<String, Vec<Operation>> = HashMap::with_capacity(group.len());
        for operation in group {
            left.entry(operation.upstream_name.clone()).or_default().push(operation);
        }
        let mut looked = Vec::new();
        let mut token = String::new();
        let mut failure = None;
        let mut whole = false;
        for _ in 0..PAGES_MAX {
            let Some(ask) = source.list(&parent, &token) else { break };
            if let Err(wait) = self.leave(lane, until) {
                failure = Some(Looked::Later(wait));
                break;
            }
            tick.calls += 1;
            counter!("causeway_operations_lists_total", "upstream" => lane.upstream.key().to_owned())
                .increment(1);
            let page = match desk::call(&lane.upstream, ask, None).await {
                Ok(message) => source.read_page(&message).map_err(Looked::Undecodable),
                Err(error) => {
                    self.note_pressure(lane, &error);
                    Err(Looked::Refused(error))
                }
            };
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            for (name, message) in page.items {
                for operation in left.remove(&name).unwrap_or_default() {
                    let seen = match source.read(&operation, &message) {
                        Ok(sighting) => Looked::Saw(sighting),
                        Err(error) => Looked::Undecodable(error),
                    };
                    looked.push((operation, seen));
                }
            }
            token = page.next;
            if token.is_empty() || left.is_empty() {
                whole = true;
                break;
            }
        }
        let left = left.into_values().flatten();
        match failure {
            // Nothing can be said about the others now.
            Some(Looked::Later(wait)) => looked.extend(left.map(|it| (it, Looked::Later(wait)))),
            Some(Looked::Refused(error)) if !is_about_the_list(&error) => {
                let shared =
                    |error: &Error| Error::upstream(error.code(), error.message(), error.details().to_vec());
                looked.extend(left.map(|it| (it, Looked::Refused(shared(&error)))));
            }
            None if !whole => looked.extend(left.map(|it| (it, Looked::Later(Duration::ZERO)))),
            failure => {
                if failure.is_some() {
                    lane.unlisted(|unlisted| {
                        if unlisted.len() >= UNLISTED_MAX {
                            unlisted.clear();
                        }
                        unlisted.insert(parent);
                    });
                }
                // Absent from the list is not the same as ended: one look at each tells.
                for operation in left {
                    let seen = self.ask(lane, &operation, until, tick).await;
                    looked.push((operation, seen));
                }
            }
        }
        looked
    }
}
