//! One call that is answered with a stream.
//!
//! One that changes something is written down before it leaves, and again when it has ended, before its caller is told
//! that it has. It runs in a task of its own, which reads on for a while when the caller leaves.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

use super::{
    Gateway, Ledger,
    certainty::{Certainty, outcome},
    forward::{self, Input},
    kept,
    notes::Notes,
    repetition::{self, in_progress, mismatch, unknown},
    route::Route,
};
use crate::{
    cache::{PageCache, Scope},
    error::{Code, Error, Result},
    model::Outcome,
    store::journal::{Effects, Intent, KeyFate, KeyUse, Opened, Settled, Settlement, Ticket},
    upstream::{Call, Streaming, Upstream},
};

/// Messages that wait for a reader who is slow: what changes something is then as slow as its reader.
const AHEAD_MAX: usize = 1;
/// How long what changes something goes on when its caller has left.
const LEFT_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of messages that are kept for an Idempotency-Key. A longer answer cannot be given again.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What the upstream goes on answering.
pub struct ForwardedStream {
    /// Metadata that may be shown to the caller.
    pub headers: HeaderMap,
    /// The response messages.
    pub messages: Messages,
}

/// Response messages. Dropping them cancels a call that changes nothing.
pub struct Messages(Source);

enum Source {
    Upstream(Box<Streaming>),
    Journaled(mpsc::Receiver<Result<Bytes>>),
    Kept(std::vec::IntoIter<Result<Bytes>>),
}

impl Messages {
    /// Waits for the next message; `None` after the last, and after an error.
    ///
    /// # Errors
    /// As [`super::unary`]. An error ends the stream.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        match &mut self.0 {
            Source::Upstream(streaming) => streaming.next().await,
            Source::Journaled(messages) => messages.recv().await,
            Source::Kept(messages) => messages.next(),
        }
    }
}

/// Makes a call that is answered with a stream, and waits for its first message.
///
/// # Errors
/// As [`super::unary`]; later failures come with the stream.
pub async fn server_streaming(
    gateway: &Gateway,
    route: &Route,
    input: Input<'_>,
    notes: &mut Notes,
) -> Result<ForwardedStream> {
    let upstream = forward::upstream(route)?;
    let bytes = forward::noted(gateway, route, &input, notes)?;
    let mut call = forward::call(route, &input, bytes.into());
    if !route.mutation {
        let begun = upstream.server_streaming(call).await;
        let mut streaming = begun.inspect_err(|error| notes.refused(error))?;
        let headers = std::mem::take(&mut streaming.headers);
        return Ok(ForwardedStream { headers, messages: Messages(Source::Upstream(Box::new(streaming))) });
    }
    let key = repetition::key_use(route, &mut call, notes)?;
    let intent = Intent { entry: notes.entry.clone(), key };
    let (begun, beginning) = oneshot::channel();
    let (ledger, arrived) = (gateway.ledger.clone(), notes.arrived);
    let changed = route.changed(&route.resource(input.captures));
    let pages = gateway.keeping.pages.clone();
    let mutation = Mutation { upstream: upstream.clone(), call, key, arrived, begun, pages, changed };
    gateway.ledger.journal.start(async move { mutation.run(&ledger, intent).await });
    let begun = beginning.await.map_err(Error::internal)?;
    (notes.journaled, notes.deferred, notes.replayed) = (begun.journaled, begun.deferred, begun.replayed);
    let (headers, messages) = begun.result.inspect_err(|error| notes.refused(error))?;
    Ok(ForwardedStream { headers, messages })
}

/// How a call began.
struct Begun {
    result: Result<(HeaderMap, Messages)>,
    journaled: bool,
    deferred: bool,
    replayed: bool,
}

impl Begun {
    fn refused(error: Error) -> Self {
        Self { result: Err(error), journaled: false, deferred: false, replayed: false }
    }
}

/// A call that changes something.
struct Mutation {
    upstream: Arc<Upstream>,
    call: Call,
    key: Option<KeyUse>,
    arrived: Instant,
    begun: oneshot::Sender<Begun>,
    pages: PageCache,
    /// What it makes worthless.
    changed: Vec<Scope>,
}

impl Mutation {
    async fn run(self, ledger: &Ledger, intent: Intent) {
        let begun = match ledger.journal.open(intent).await {
            Ok(Opened::Go(ticket)) => return self.make(ledger, ticket).await,
            Ok(Opened::Replay(sealed)) => replay(ledger, self.key, &sealed),
            Ok(Opened::InProgress) => Begun::refused(in_progress()),
            Ok(Opened::Mismatch) => Begun::refused(mismatch()),
            Ok(Opened::Unknown) => Begun::refused(unknown()),
            Err(error) => Begun::refused(error),
        };
        // Whoever has left needs no answer.
        let _left = self.begun.send(begun);
    }

    async fn make(self, ledger: &Ledger, ticket: Ticket) {
        let Self { upstream, call, key, arrived, begun, pages, changed } = self;
        let open = Open { ledger, ticket, key, arrived };
        let mut told = Told { kept: key.map(|_| Vec::new()), ..Told::default() };
        let mut streaming = match upstream.server_streaming(call).await {
            Ok(streaming) => streaming,
            Err(error) => {
                let ended = Err(error);
                // Whatever came of it, what was read before is out of date.
                let (deferred, _) = tokio::join!(open.close(told, &ended), pages.bump(&changed));
                if let Err(error) = ended {
                    let _left = begun.send(Begun { journaled: true, deferred, ..Begun::refused(error) });
                }
                return;
            }
        };
        let (sender, receiver) = mpsc::channel(AHEAD_MAX);
        let headers = std::mem::take(&mut streaming.headers);
        let result = Ok((headers, Messages(Source::Journaled(receiver))));
        // Whoever has left takes no messages: they go with the answer.
        drop(begun.send(Begun { result, journaled: true, deferred: false, replayed: false }));
        let ended = pass_on(streaming, &sender, &mut told).await;
        tokio::join!(open.close(told, &ended), pages.bump(&changed));
        if let Err(error) = ended {
            let _left = sender.send(Err(error)).await;
        }
    }
}

/// Gives the messages of a stream to its reader until it ends. A reader that has left is not waited for, and the stream is
/// not waited for much longer.
async fn pass_on(
    mut streaming: Streaming,
    reader: &mpsc::Sender<Result<Bytes>>,
    told: &mut Told,
) -> Result<()> {
    let mut last: Option<Instant> = None;
    loop {
        let message = {
            let mut next = pin!(streaming.next());
            let soon = match last {
                Some(_) => None,
                None => tokio::select! {
                    message = &mut next => Some(message),
                    () = reader.closed() => None,
                },
            };
            match soon {
                Some(message) => message,
                None => {
                    let last = *last.get_or_insert_with(|| Instant::now() + LEFT_TIME_MAX);
                    timeout_at(last, next).await.unwrap_or_else(|_| Some(Err(abandoned())))
                }
            }
        };
        let Some(message) = message else { return Ok(()) };
        let message = message?;
        told.note(&message);
        if last.is_none() {
            // That nobody takes it is noticed above.
            let _left = reader.send(Ok(message)).await;
        }
    }
}

/// An intent that is to be settled.
struct Open<'l> {
    ledger: &'l Ledger,
    ticket: Ticket,
    key: Option<KeyUse>,
    arrived: Instant,
}

impl Open<'_> {
    /// Settles it, and returns whether that is yet to be written.
    async fn close(self, told: Told, ended: &Result<()>) -> bool {
        let Self { ledger, ticket, key, arrived } = self;
        let mut outcome = Outcome {
            latency_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
            ..outcome(ended, ledger.status_of)
        };
        if told.any {
            // A failure comes after the head of the answer then.
            outcome.status = 200;
        }
        let key = key.map_or(KeyFate::Release, |key| told.fate(ledger, key, ended));
        let settlement = Settlement { outcome, key };
        ledger.journal.settle(ticket, settlement, Effects::default()).await == Settled::Deferred
    }
}

/// What the caller was told.
#[derive(Debug, Default)]
struct Told {
    /// The messages, as long as they are to be kept.
    kept: Option<Vec<Bytes>>,
    bytes: usize,
    /// Whether there was any.
    any: bool,
}

impl Told {
    fn note(&mut self, message: &Bytes) {
        self.any = true;
        self.bytes += message.len();
        if self.bytes > KEPT_BYTES_MAX {
            self.kept = None;
        } else if let Some(kept) = &mut self.kept {
            kept.push(message.clone());
        }
    }

    /// Says what becomes of the key. Where a message came, something was done; an answer that is too long to be kept is
    /// one that nobody can give again.
    fn fate(self, ledger: &Ledger, key: KeyUse, ended: &Result<()>) -> KeyFate {
        match (Certainty::of(ended), self.kept) {
            (Certainty::Definite, Some(messages)) => {
                KeyFate::Answer(ledger.replays.seal(&kept::print_stream(&messages, ended), &key.scope))
            }
            (Certainty::NotDone, _) if !self.any => KeyFate::Release,
            _ => KeyFate::Unknown,
        }
    }
}

/// Gives a kept answer again. One that failed before its first message fails at once, as it did.
fn replay(ledger: &Ledger, key: Option<KeyUse>, sealed: &[u8]) -> Begun {
    let kept = key.and_then(|key| ledger.replays.open(sealed, &key.scope));
    let Some((messages, ended)) = kept.as_deref().and_then(kept::read_stream) else {
        return Begun::refused(repetition::unreadable());
    };
    let mut messages: Vec<Result<Bytes>> = messages.into_iter().map(Ok).collect();
    match ended {
        Err(error) if messages.is_empty() => return Begun { replayed: true, ..Begun::refused(error) },
        Err(error) => messages.push(Err(error)),
        Ok(()) => {}
    }
    let messages = Messages(Source::Kept(messages.into_iter()));
    Begun { result: Ok((HeaderMap::new(), messages)), journaled: false, deferred: false, replayed: true }
}

fn abandoned() -> Error {
    Error::upstream(Code::Cancelled, "The caller left before the end of the stream.", Vec::new())
}
