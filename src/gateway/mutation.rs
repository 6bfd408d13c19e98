//! A call that changes something: written down before it leaves, and again before its answer does.

use std::sync::Arc;

use super::{
    Gateway, Ledger, kept,
    notes::Notes,
    route::{Repeat, Route},
};
use crate::{
    cache::Scope,
    crypto,
    error::{Code, Error, Reason, Result},
    model::{Ending, Outcome},
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
    let key = key_use(route, &mut call, notes)?;
    let intent = Intent { entry: notes.entry.clone(), key };
    let (ledger, pages) = (gateway.ledger.clone(), gateway.keeping.pages.clone());
    let (upstream, arrived) = (upstream.clone(), notes.arrived);
    let journal = ledger.journal.clone();
    let work = async move {
        match ledger.journal.open(intent).await {
            Ok(Opened::Go(ticket)) => {
                let result = upstream.unary(call).await;
                let outcome = Outcome {
                    latency_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
                    ..outcome(&result, ledger.status_of)
                };
                let nothing_sent = result.as_ref().is_err_and(Error::nothing_sent);
                let settle = settle(&ledger, ticket, key, result, outcome);
                match nothing_sent {
                    true => settle.await,
                    // Whatever came of it, what was read before is out of date.
                    false => tokio::join!(settle, pages.bump(&changed)).0,
                }
            }
            Ok(Opened::Replay(sealed)) => {
                // Whoever did it may not have come so far.
                pages.bump(&changed).await;
                let kept = key.and_then(|key| ledger.replays.open(&sealed, &key.scope));
                let result = kept.as_deref().and_then(kept::read).unwrap_or_else(|| {
                    Err(Error::internal(
                        "a kept answer cannot be opened; was its key taken from secrets.old_keys?",
                    ))
                });
                Done { replayed: result.is_ok() || is_upstreams(&result), ..Done::refused(result) }
            }
            Ok(Opened::InProgress) => Done::refused(Err(in_progress())),
            Ok(Opened::Mismatch) => Done::refused(Err(mismatch())),
            Ok(Opened::Unknown) => {
                pages.bump(&changed).await;
                Done::refused(Err(unknown()))
            }
            Err(error) => Done::refused(Err(error)),
        }
    };
    let done = journal.run_to_end(work).await?;
    (notes.journaled, notes.deferred, notes.replayed) = (done.journaled, done.deferred, done.replayed);
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
        Self { result, journaled: false, deferred: false, replayed: false }
    }
}

async fn settle(
    ledger: &Ledger,
    ticket: Ticket,
    key: Option<KeyUse>,
    result: Result<Reply>,
    outcome: Outcome,
) -> Done {
    let fate = match key {
        None => KeyFate::Release,
        Some(key) => match certainty(&result) {
            Certainty::Definite => KeyFate::Answer(ledger.replays.seal(&kept::print(&result), &key.scope)),
            Certainty::NotDone => KeyFate::Release,
            Certainty::Unknown => KeyFate::Unknown,
        },
    };
    let settled = ledger.journal.settle(ticket, Settlement { outcome, key: fate }, Effects::default()).await;
    Done { result, journaled: true, deferred: settled == Settled::Deferred, replayed: false }
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

/// Works out what the key stands for, and names the request to an upstream that can tell repetitions.
fn key_use(route: &Route, call: &mut Call, notes: &Notes) -> Result<Option<KeyUse>> {
    let Some(key) = &notes.idempotency_key else { return Ok(None) };
    let principal = notes.entry.principal.as_bytes();
    let scope = crypto::sha256_of_each([principal, key.as_bytes()]);
    let names = notes.entry.resource_names.iter().map(String::as_bytes);
    let method = [route.method.as_bytes()].into_iter();
    let fingerprint = crypto::sha256_of_each(method.chain(names).chain([&call.message[..]]));
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
