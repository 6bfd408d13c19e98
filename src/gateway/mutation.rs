//! A call that changes something: written down before it leaves, and again before its answer does.

use std::{pin::Pin, sync::Arc};

use super::{
    Gateway, Ledger,
    access::is_below,
    announcement::Announcement,
    certainty::{Certainty, outcome},
    connector, kept,
    naming::Naming,
    notes::Notes,
    repetition::{self, in_progress, mismatch, unknown},
    route::Route,
};
use crate::{
    cache::Scope,
    error::{Code, Error, Result},
    model::{Entry, OperationId, Outcome},
    operations::{Answered, Role, TaskDraft},
    schema::NAME_BYTES_MAX,
    store::journal::{Effects, Intent, KeyFate, KeyUse, Opened, Settled, Settlement, Ticket},
    upstream::{Call, Reply, Upstream},
};

/// What became of a mutation.
struct Done {
    result: Result<Reply>,
    journaled: bool,
    deferred: bool,
    replayed: bool,
    operation: Option<String>,
}

/// Makes the call if the journal says so. It goes on when the caller leaves.
pub(super) async fn run(
    gateway: &Gateway,
    upstream: &Arc<Upstream>,
    route: &Route,
    mut call: Call,
    changed: Vec<Scope>,
    notes: &mut Notes,
) -> Result<Reply> {
    let key = repetition::key_use(route, &mut call, notes)?;
    // A rehearsal creates nothing, and there is nothing to tell.
    let naming = Some(route.naming.clone()).filter(|it| !it.is_rehearsal(&call.message));
    let announcement = route.announcement.clone().filter(|_| naming.is_some());
    let started =
        Started { role: route.role, task: None, announcement, naming, entry: notes.entry.clone(), changed };
    make(gateway, upstream, key, call, started, notes).await
}

/// Starts a task, as [`run`] makes a call.
pub(super) async fn run_task(
    gateway: &Gateway,
    upstream: &Arc<Upstream>,
    key: Option<KeyUse>,
    call: Call,
    task: TaskDraft,
    notes: &mut Notes,
) -> Result<Reply> {
    // Tasks are records of ours: no page shows them.
    let started = Started {
        role: None,
        task: Some(task),
        announcement: None,
        naming: None,
        entry: notes.entry.clone(),
        changed: Vec::new(),
    };
    make(gateway, upstream, key, call, started, notes).await
}

async fn make(
    gateway: &Gateway,
    upstream: &Arc<Upstream>,
    key: Option<KeyUse>,
    call: Call,
    started: Started,
    notes: &mut Notes,
) -> Result<Reply> {
    let intent = Intent { entry: notes.entry.clone(), key };
    let (ledger, pages) = (gateway.ledger.clone(), gateway.keeping.pages.clone());
    let (upstream, arrived) = (upstream.clone(), notes.arrived);
    let journal = ledger.journal.clone();
    let work = async move {
        match ledger.journal.open(intent).await {
            Ok(Opened::Go(ticket)) => {
                let result = upstream.unary(call).await;
                let result = started.understood(&ledger, result, upstream.is_given_headers()).await;
                let (effects, operation) = started.effects(&ledger, &ticket, &result).await;
                let outcome = Outcome {
                    latency_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
                    operation: operation.unwrap_or_default(),
                    created: started.created(&result, &effects).unwrap_or_default(),
                    ..outcome(&result, ledger.status_of)
                };
                let nothing_sent = result.as_ref().is_err_and(Error::nothing_sent);
                let settle = settle(&ledger, ticket, key, result, outcome, effects);
                match nothing_sent {
                    true => settle.await,
                    // Whatever came of it, what was read before is out of date.
                    false => tokio::join!(settle, pages.bump(&started.changed)).0,
                }
            }
            Ok(Opened::Replay(sealed)) => {
                // Whoever did it may not have come so far.
                pages.bump(&started.changed).await;
                let kept = key.and_then(|key| ledger.replays.open(&sealed, &key.scope));
                let result =
                    kept.as_deref().and_then(kept::read).unwrap_or_else(|| Err(repetition::unreadable()));
                let operation = started.named(&ledger, &result).await;
                Done { replayed: result.is_ok() || is_upstreams(&result), operation, ..Done::refused(result) }
            }
            Ok(Opened::InProgress) => Done::refused(Err(in_progress())),
            Ok(Opened::Mismatch) => Done::refused(Err(mismatch())),
            Ok(Opened::Unknown) => {
                pages.bump(&started.changed).await;
                Done::refused(Err(unknown()))
            }
            Err(error) => Done::refused(Err(error)),
        }
    };
    // Boxed and nameless: what a mutation does is deep, and is not to be part of every request's future.
    let work: Pin<Box<dyn Future<Output = Done> + Send>> = Box::pin(work);
    let done = journal.run_to_end(work).await?;
    (notes.journaled, notes.deferred, notes.replayed) = (done.journaled, done.deferred, done.replayed);
    notes.operation = done.operation;
    done.result
}

impl Done {
    fn refused(result: Result<Reply>) -> Self {
        Self { result, journaled: false, deferred: false, replayed: false, operation: None }
    }
}

async fn settle(
    ledger: &Ledger,
    ticket: Ticket,
    key: Option<KeyUse>,
    result: Result<Reply>,
    outcome: Outcome,
    effects: Effects,
) -> Done {
    let operation = Some(outcome.operation.clone()).filter(|name| !name.is_empty());
    let fate = match key {
        None => KeyFate::Release,
        Some(key) => match Certainty::of(&result) {
            Certainty::Definite => KeyFate::Answer(ledger.replays.seal(&kept::print(&result), &key.scope)),
            Certainty::NotDone => KeyFate::Release,
            Certainty::Unknown => KeyFate::Unknown,
        },
    };
    let settled = ledger.journal.settle(ticket, Settlement { outcome, key: fate }, effects).await;
    Done { result, journaled: true, deferred: settled == Settled::Deferred, replayed: false, operation }
}

/// What a call has to do with operations, and what it tells when it has succeeded.
struct Started {
    role: Option<Role>,
    task: Option<TaskDraft>,
    announcement: Option<Arc<Announcement>>,
    naming: Option<Arc<Naming>>,
    entry: Entry,
    /// What it makes worthless.
    changed: Vec<Scope>,
}

impl Started {
    fn answered<'a>(&'a self, reply: &'a Reply) -> Answered<'a> {
        Answered {
            upstream: &self.entry.upstream,
            method: &self.entry.method,
            principal: &self.entry.principal,
            names: &self.entry.resource_names,
            reply: &reply.message,
        }
    }

    /// Says what an answer means. A refusal is turned around where a caller deletes what the upstream has forgotten and only
    /// the record still shows: it is there for whoever asks, so it can be deleted. Not where the upstream `may_hide` by headers
    /// of the caller what is another's.
    async fn understood(&self, ledger: &Ledger, result: Result<Reply>, may_hide: bool) -> Result<Reply> {
        if self.task.is_some() {
            return result.map_err(connector::explained);
        }
        let missing =
            result.as_ref().is_err_and(|error| error.code() == Code::NotFound && error.reason().is_none());
        let (true, Some(Role::DeletesLro), Some(name)) =
            (missing && !may_hide, self.role, self.entry.resource_names.first())
        else {
            return result;
        };
        match ledger.tracker.remembered(&self.entry.upstream, name).await {
            Some(_) => Ok(Reply { message: bytes::Bytes::new(), headers: http::HeaderMap::new() }),
            None => result,
        }
    }

    /// Returns the operation that the call started and what it tells, and the name of that operation; notes what it did to
    /// other operations.
    async fn effects(
        &self,
        ledger: &Ledger,
        ticket: &Ticket,
        result: &Result<Reply>,
    ) -> (Effects, Option<String>) {
        let Ok(reply) = result else { return (Effects::default(), None) };
        let (answered, id) = (self.answered(reply), OperationId(ticket.id()));
        if let (Some(role), None) = (self.role, &self.task) {
            ledger.tracker.saw(role, &answered).await;
        }
        let event = self
            .announcement
            .as_ref()
            .and_then(|it| it.event(ledger.journal.store(), &self.entry, &reply.message));
        let events = event.into_iter().collect();
        // An upstream that knows a repetition answers it with the operation from before, which is on record under another id.
        // Each start of a backfill is a run of its own.
        if self.role != Some(Role::StartsBackfill)
            && let Some((before, deleted)) = self.on_record(ledger, result).await
        {
            return (Effects { operations: Vec::new(), events }, (!deleted).then_some(before));
        }
        let birth = match (self.role, &self.task) {
            (_, Some(draft)) => ledger.tracker.task_started(draft, &answered, id),
            (Some(role), None) => ledger.tracker.started(role, &answered, id),
            (None, None) => Ok(None),
        };
        let birth = birth.unwrap_or_else(|error| {
            tracing::warn!(error = error.told(), "an operation was started and cannot be recorded");
            None
        });
        let name = birth.as_ref().map(|birth| birth.operation.name());
        (Effects { operations: birth.into_iter().collect(), events }, name)
    }

    /// Names what came of the call below what it was asked of, as far as the answer told: by itself, or as what its operation
    /// works on.
    fn created(&self, result: &Result<Reply>, effects: &Effects) -> Option<String> {
        let (reply, asked) = (result.as_ref().ok()?, self.entry.resource());
        if let Some(created) = self.naming.as_ref().and_then(|it| it.created(asked, &reply.message)) {
            return Some(created);
        }
        if self.naming.is_none() && self.task.is_none() {
            return None;
        }
        let target = &effects.operations.first()?.operation.target;
        (is_below(target, asked) && target.len() <= NAME_BYTES_MAX).then(|| target.clone())
    }

    /// Returns the name of the operation that was started when the answer was new.
    async fn named(&self, ledger: &Ledger, result: &Result<Reply>) -> Option<String> {
        self.on_record(ledger, result).await.filter(|(_, deleted)| !deleted).map(|(name, _)| name)
    }

    /// Returns the name of the operation that an answer tells of, if it is on record, and whether a caller deleted that.
    async fn on_record(&self, ledger: &Ledger, result: &Result<Reply>) -> Option<(String, bool)> {
        let answered = self.answered(result.as_ref().ok()?);
        let name = match (self.role, &self.task) {
            (_, Some(draft)) => ledger.tracker.task_named(draft, &answered).await,
            (Some(role), None) => ledger.tracker.name_of(role, &answered).await,
            (None, None) => return None,
        };
        name.ok().flatten()
    }
}

fn is_upstreams(result: &Result<Reply>) -> bool {
    result.as_ref().is_err_and(|error| error.reason().is_none())
}
