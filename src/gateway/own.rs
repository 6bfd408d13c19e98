//! What changes something of the gateway's own: written down before it is begun, and again before its answer leaves.

use serde::Serialize;
use serde_json::Value;

use super::{
    Gateway, Ledger,
    access::is_below,
    certainty::{Certainty, outcome},
    kept,
    notes::Notes,
    repetition::{self, in_progress, mismatch, unknown},
};
use crate::{
    error::{Error, Result},
    model::Outcome,
    store::journal::{Effects, Intent, KeyFate, KeyUse, Opened, Settled, Settlement},
    upstream::Reply,
};

/// What something of the gateway's own answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What its caller is told.
    pub shown: Value,
    /// What is told to whoever repeats the request: nothing that is shown once.
    pub kept: Value,
}

impl Answer {
    /// Answers the same to whoever repeats the request.
    pub fn of(shown: &impl Serialize) -> Self {
        Self::once(shown, shown)
    }

    /// Answers with something that is shown once, and with `kept` to whoever repeats the request.
    pub fn once(shown: &impl Serialize, kept: &impl Serialize) -> Self {
        let printed = |it: serde_json::Result<Value>| it.expect("our values are made of what JSON can say");
        Self { shown: printed(serde_json::to_value(shown)), kept: printed(serde_json::to_value(kept)) }
    }
}

/// What doing it twice comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twice {
    /// The same as doing it once.
    Same,
    /// More than doing it once.
    More,
}

/// What became of it.
struct Done {
    result: Result<Value>,
    journaled: bool,
    deferred: bool,
    replayed: bool,
}

/// Does something of the gateway's own that changes something. It goes on when the caller leaves. `asked` are the parts of
/// the request that must be the same when its Idempotency-Key comes again.
///
/// # Errors
/// `AUDIT_UNAVAILABLE`: it cannot be written down, and nothing was done. What its Idempotency-Key forbids. Else as `work`
/// has it.
pub async fn journaled(
    gateway: &Gateway,
    notes: &mut Notes,
    twice: Twice,
    asked: &[&[u8]],
    work: impl Future<Output = Result<Answer>> + Send + 'static,
) -> Result<Value> {
    let key = repetition::own_key_use(notes, asked, twice == Twice::Same);
    // Boxed: it would be held several times over.
    let work = Box::pin(work);
    let intent = Intent { entry: notes.entry.clone(), key };
    // What a custom verb leaves behind, such as the delivery of a ping, is not what was asked for.
    let is_creation = notes.entry.method.starts_with("POST ") && !notes.entry.method.contains(':');
    let parent = is_creation.then(|| notes.entry.resource().to_owned());
    let (ledger, arrived) = (gateway.ledger.clone(), notes.arrived);
    let journal = ledger.journal.clone();
    let work = async move {
        let ticket = match ledger.journal.open(intent).await {
            Ok(Opened::Go(ticket)) => ticket,
            Ok(Opened::Replay(sealed)) => {
                return Done { replayed: true, ..refused(replay(&ledger, key, &sealed)) };
            }
            Ok(Opened::InProgress) => return refused(Err(in_progress())),
            Ok(Opened::Mismatch) => return refused(Err(mismatch())),
            Ok(Opened::Unknown) => return refused(Err(unknown())),
            Err(error) => return refused(Err(error)),
        };
        let result = work.await;
        let outcome = Outcome {
            latency_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
            created: parent.and_then(|parent| created(&parent, &result)).unwrap_or_default(),
            ..outcome(&result, ledger.status_of)
        };
        let settlement = Settlement { outcome, key: fate(&ledger, key, &result) };
        let settled = ledger.journal.settle(ticket, settlement, Effects::default()).await;
        Done {
            result: result.map(|answer| answer.shown),
            journaled: true,
            deferred: settled == Settled::Deferred,
            replayed: false,
        }
    };
    let done = journal.run_to_end(work).await?;
    (notes.journaled, notes.deferred, notes.replayed) = (done.journaled, done.deferred, done.replayed);
    done.result
}

/// Names what was created below its parent: what the answer shows.
fn created(parent: &str, result: &Result<Answer>) -> Option<String> {
    let name = result.as_ref().ok()?.kept["name"].as_str()?;
    is_below(name, parent).then(|| name.to_owned())
}

fn refused(result: Result<Value>) -> Done {
    Done { result, journaled: false, deferred: false, replayed: false }
}

/// Says what becomes of the key. A refusal of ours is not kept: it changed nothing, so asking again is harmless.
fn fate(ledger: &Ledger, key: Option<KeyUse>, result: &Result<Answer>) -> KeyFate {
    let Some(key) = key else { return KeyFate::Release };
    match (Certainty::of_own(result), result) {
        (Certainty::Unknown, _) => KeyFate::Unknown,
        (_, Ok(answer)) => {
            let message = answer.kept.to_string().into();
            let kept = kept::print(&Ok(Reply { message, headers: http::HeaderMap::new() }));
            KeyFate::Answer(ledger.replays.seal(&kept, &key.scope))
        }
        (_, Err(_)) => KeyFate::Release,
    }
}

fn replay(ledger: &Ledger, key: Option<KeyUse>, sealed: &[u8]) -> Result<Value> {
    let kept = key.and_then(|key| ledger.replays.open(sealed, &key.scope));
    let reply = kept.as_deref().and_then(kept::read).unwrap_or_else(|| Err(repetition::unreadable()))?;
    serde_json::from_slice(&reply.message).map_err(Error::internal)
}
