//! A call that changes something: written down before it leaves, and again before its answer does.

use std::{pin::Pin, sync::Arc};

use super::{
    Gateway, Ledger,
    announcement::Announcement,
    connector, kept,
    notes::Notes,
    route::{Repeat, Route},
};
use crate::{
    crypto,
    error::{Code, Error, Reason, Result},
    model::{Ending, Entry, OperationId, Outcome},
    operations::{Answered, Role, TaskDraft},
    store::journal::{Effects, Intent, KeyFate, KeyUse, Opened, Settled, Settlement, Ticket},
    transcode::Peeked,
    upstream::{Call, Reply, Upstream},
};

/// Namespace of the request ids that are made from Idempotency-Keys.
const REQUEST_IDS: [u8; 16] =
    [0x9c, 0x1d, 0x5a, 0x5e, 0x6b, 0x0c, 0x4f, 0x0e, 0x8d, 0x6e, 0x2f, 0x35, 0x0b, 0x57, 0x1e, 0xa9];

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
    ledger: &Arc<Ledger>,
    upstream: &Arc<Upstream>,
    route: &Route,
    mut call: Call,
    notes: &mut Notes,
) -> Result<Reply> {
    let key = key_use(route, &mut call, notes)?;
    let announcement = route.announcement.clone().filter(|it| !it.is_rehearsal(&call.message));
    let started = Started { role: route.role, task: None, announcement, entry: notes.entry.clone() };
    make(ledger, upstream, key, call, started, notes).await
}

/// Starts a task, as [`run`] makes a call.
pub(super) async fn run_task(
    ledger: &Arc<Ledger>,
    upstream: &Arc<Upstream>,
    key: Option<KeyUse>,
    call: Call,
    task: TaskDraft,
    notes: &mut Notes,
) -> Result<Reply> {
    let started = Started { role: None, task: Some(task), announcement: None, entry: notes.entry.clone() };
    make(ledger, upstream, key, call, started, notes).await
}

async fn make(
    ledger: &Arc<Ledger>,
    upstream: &Arc<Upstream>,
    key: Option<KeyUse>,
    call: Call,
    started: Started,
    notes: &mut Notes,
) -> Result<Reply> {
    let intent = Intent { entry: notes.entry.clone(), key };
    let (ledger, upstream, arrived) = (ledger.clone(), upstream.clone(), notes.arrived);
    let journal = ledger.journal.clone();
    let work = async move {
        match ledger.journal.open(intent).await {
            Ok(Opened::Go(ticket)) => {
                let result = started.understood(&ledger, upstream.unary(call).await).await;
                let effects = started.effects(&ledger, &ticket, &result).await;
                let outcome = Outcome {
                    latency_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
                    operation: effects
                        .operations
                        .first()
                        .map(|birth| birth.operation.name())
                        .unwrap_or_default(),
                    ..outcome(&result, ledger.status_of)
                };
                settle(&ledger, ticket, key, result, outcome, effects).await
            }
            Ok(Opened::Replay(sealed)) => {
                let kept = key.and_then(|key| ledger.replays.open(&sealed, &key.scope));
                let result = kept.as_deref().and_then(kept::read).unwrap_or_else(|| {
                    Err(Error::internal(
                        "a kept answer cannot be opened; was its key taken from secrets.old_keys?",
                    ))
                });
                let operation = started.named(&ledger, &result).await;
                Done { replayed: result.is_ok() || is_upstreams(&result), operation, ..Done::refused(result) }
            }
            Ok(Opened::InProgress) => Done::refused(Err(in_progress())),
            Ok(Opened::Mismatch) => Done::refused(Err(mismatch())),
            Ok(Opened::Unknown) => Done::refused(Err(unknown())),
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

/// Does something of the gateway's own that changes something: written down before it is begun, and again before its
/// answer leaves. It goes on when the caller leaves.
///
/// # Errors
/// `AUDIT_UNAVAILABLE`: it cannot be written down, and nothing was done. Else as `work` has it.
pub async fn journaled<T: Send + 'static>(
    gateway: &Gateway,
    notes: &mut Notes,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    // Boxed: it would be held several times over.
    let work = Box::pin(work);
    let intent = Intent { entry: notes.entry.clone(), key: None };
    let (ledger, arrived) = (gateway.ledger.clone(), notes.arrived);
    let journal = ledger.journal.clone();
    let work = async move {
        let ticket = match ledger.journal.open(intent).await? {
            Opened::Go(ticket) => ticket,
            _ => return Err(Error::internal("the journal knows a key of a request that has none")),
        };
        let result = work.await;
        let outcome = Outcome {
            latency_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..outcome(&result, ledger.status_of)
        };
        let settlement = Settlement { outcome, key: KeyFate::Release };
        Ok((result, ledger.journal.settle(ticket, settlement, Effects::default()).await))
    };
    let (result, settled) = journal.run_to_end(work).await??;
    (notes.journaled, notes.deferred) = (true, settled == Settled::Deferred);
    result
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
        Some(key) => match certainty(&result) {
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
    entry: Entry,
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
    /// the record still shows: it is there for whoever asks, so it can be deleted.
    async fn understood(&self, ledger: &Ledger, result: Result<Reply>) -> Result<Reply> {
        if self.task.is_some() {
            return result.map_err(connector::explained);
        }
        let missing =
            result.as_ref().is_err_and(|error| error.code() == Code::NotFound && error.reason().is_none());
        let (true, Some(Role::DeletesLro), Some(name)) =
            (missing, self.role, self.entry.resource_names.first())
        else {
            return result;
        };
        match ledger.tracker.remembered(&self.entry.upstream, name).await {
            Some(_) => Ok(Reply { message: bytes::Bytes::new(), headers: http::HeaderMap::new() }),
            None => result,
        }
    }

    /// Returns the operation that the call started and what it tells, and notes what it did to other operations.
    async fn effects(&self, ledger: &Ledger, ticket: &Ticket, result: &Result<Reply>) -> Effects {
        let Ok(reply) = result else { return Effects::default() };
        let (answered, id) = (self.answered(reply), OperationId(ticket.id()));
        let birth = match (self.role, &self.task) {
            (_, Some(draft)) => ledger.tracker.task_started(draft, &answered, id),
            (Some(role), None) => {
                ledger.tracker.saw(role, &answered).await;
                ledger.tracker.started(role, &answered, id)
            }
            (None, None) => Ok(None),
        };
        let birth = birth.unwrap_or_else(|error| {
            tracing::warn!(error = error.chain(), "an operation was started and cannot be recorded");
            None
        });
        let told = self.announcement.as_ref();
        let event = told.and_then(|it| it.event(ledger.journal.store(), &self.entry, reply));
        Effects { operations: birth.into_iter().collect(), events: event.into_iter().collect() }
    }

    /// Returns the name of the operation that was started when the answer was new.
    async fn named(&self, ledger: &Ledger, result: &Result<Reply>) -> Option<String> {
        let answered = self.answered(result.as_ref().ok()?);
        let name = match (self.role, &self.task) {
            (_, Some(draft)) => ledger.tracker.task_named(draft, &answered).await,
            (Some(role), None) => ledger.tracker.name_of(role, &answered).await,
            (None, None) => return None,
        };
        name.ok().flatten()
    }
}

/// What an answer says about whether anything was done.
#[derive(Debug, PartialEq, Eq)]
enum Certainty {
    /// It was done, or never will be: trying again would give the same.
    Definite,
    /// Nothing was done, and trying again may help.
    NotDone,
    /// Nobody can tell.
    Unknown,
}

fn certainty(result: &Result<Reply>) -> Certainty {
    let error = match result {
        Ok(_) => return Certainty::Definite,
        Err(error) if error.nothing_sent() => return Certainty::NotDone,
        Err(error) => error,
    };
    match error.code() {
        Code::Unauthenticated | Code::PermissionDenied | Code::ResourceExhausted => Certainty::NotDone,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted => {
            Certainty::Unknown
        }
        _ if error.reason().is_some() => Certainty::Unknown,
        _ => Certainty::Definite,
    }
}

/// Says how a request ended, as the audit log keeps it.
pub(super) fn outcome<T>(result: &Result<T>, status_of: fn(&Error) -> u16) -> Outcome {
    let Err(error) = result else {
        return Outcome { ending: Ending::Success, status: 200, ..Outcome::default() };
    };
    let ending = match error.code() {
        Code::Unauthenticated | Code::PermissionDenied => Ending::Denied,
        _ => Ending::Error,
    };
    Outcome {
        ending,
        status: status_of(error),
        code: error.code().number(),
        reason: error.reason().map(|reason| reason.name().to_owned()).unwrap_or_default(),
        ..Outcome::default()
    }
}

fn is_upstreams(result: &Result<Reply>) -> bool {
    result.as_ref().is_err_and(|error| error.reason().is_none())
}

/// Works out what the key of a request to an endpoint of ours stands for. Nobody recognises a repetition of it but us.
pub(super) fn own_key_use(notes: &Notes, asked: &[&[u8]]) -> Option<KeyUse> {
    let key = notes.idempotency_key.as_ref()?;
    let scope = digest(&[notes.entry.principal.as_bytes(), key.as_bytes()]);
    Some(KeyUse { scope, fingerprint: digest(asked), reissuable: false })
}

/// Works out what the key stands for, and names the request to an upstream that can tell repetitions.
fn key_use(route: &Route, call: &mut Call, notes: &Notes) -> Result<Option<KeyUse>> {
    let Some(key) = &notes.idempotency_key else { return Ok(None) };
    let principal = notes.entry.principal.as_bytes();
    let scope = digest(&[principal, key.as_bytes()]);
    let names: Vec<&[u8]> = notes.entry.resource_names.iter().map(String::as_bytes).collect();
    let mut asked = vec![route.method.as_bytes()];
    asked.extend(names);
    asked.push(&call.message);
    let fingerprint = digest(&asked);
    let mut reissuable = false;
    if let Repeat::WithRequestId(plan) = &route.repeat {
        reissuable = true;
        let given = plan.peek(&call.message, "request_id").ok().flatten().and_then(Peeked::text);
        if given.is_none_or(str::is_empty) {
            let name = [principal, key.as_bytes(), route.method.as_bytes()].join(&b"\0"[..]);
            let mut message = call.message.to_vec();
            plan.patch(&mut message, "request_id", crypto::uuid_v5(&REQUEST_IDS, &name).as_bytes())?;
            call.message = message.into();
        }
        call.retryable = true;
    }
    Ok(Some(KeyUse { scope, fingerprint, reissuable }))
}

/// Hashes parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    let all: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], *part]).collect();
    crypto::sha256(&all)
}

fn in_progress() -> Error {
    let text = "A request with this Idempotency-Key is still running. Try again when it is done.";
    Error::new(Code::Aborted, Reason::IdempotencyInProgress, text)
        .with_retry_after(std::time::Duration::from_secs(1))
}

fn mismatch() -> Error {
    let text = "This Idempotency-Key was used for another request. Take a new one for every new request.";
    Error::new(Code::InvalidArgument, Reason::IdempotencyMismatch, text)
}

fn unknown() -> Error {
    let text = "A request with this Idempotency-Key was sent, and nobody can say what came of it. Look at the resource, \
                then go on with a new key.";
    Error::new(Code::Aborted, Reason::OutcomeUnknown, text)
}
