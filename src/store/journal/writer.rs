//! The writers: each takes what has gathered in the queue and makes it durable in one commit. While one waits for the
//! disk the next batch gathers, so commits grow with the load and a lone request waits for nobody.

use std::{pin::pin, sync::Arc, time::Duration};

use metrics::{counter, gauge, histogram};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{
    Request, Settled,
    backlog::Backlog,
    batch::{Batch, Decision, FlushError, Flushed, Moment, OpenRow, ROWS_MAX, SettleRow},
};
use crate::{
    error::{Error, Reason, Result},
    store::{Backend, Store, both, failure, postgres, postgres::journal::Line, sqlite},
};

/// Commits under way at once on Postgres. SQLite has one writer.
const WRITERS: usize = 3;
/// How long a writer that has nothing to write keeps its connection from the others.
const LINE_KEPT: Duration = Duration::from_millis(100);
/// The longest that one commit may take.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(10);
/// How often the backlog is tried.
const BACKLOG_EVERY: Duration = Duration::from_millis(500);
/// Tries of the backlog after the last request is gone.
const LAST_TRIES: usize = 4;

type OpenReply = oneshot::Sender<Result<Decision>>;
type SettleReply = oneshot::Sender<Settled>;

/// Writes until all senders are gone.
pub(super) async fn run(store: Store, rows: mpsc::Receiver<Request>, backlog: Arc<Backlog>) {
    let rows = Arc::new(Mutex::new(rows));
    let one = || write(store.clone(), rows.clone(), backlog.clone());
    tokio::select! {
        () = async {
            if store.is_postgres() {
                let others: [_; WRITERS - 1] = std::array::from_fn(|_| one());
                let [a, b] = others;
                tokio::join!(one(), a, b);
            } else {
                one().await;
            }
        } => {}
        () = drain(&store, &backlog, usize::MAX) => {}
    }
    drain(&store, &backlog, LAST_TRIES).await;
    if backlog.len() > 0 {
        tracing::error!(
            rows = backlog.len(),
            "outcomes could not be written; they will be recorded as unknown"
        );
    }
}

/// One writer.
async fn write(store: Store, rows: Arc<Mutex<mpsc::Receiver<Request>>>, backlog: Arc<Backlog>) {
    let mut line = Line::default();
    loop {
        let gathered = gather(&rows, &mut line).await;
        if gathered.is_empty() {
            return;
        }
        let mut batch = Batch::default();
        let (mut opens, mut settles): (Vec<OpenReply>, Vec<SettleReply>) = (Vec::new(), Vec::new());
        for request in gathered {
            match request {
                // Who has given up waiting wants nothing written.
                Request::Open(_, reply) if reply.is_closed() => {}
                Request::Open(row, reply) => {
                    batch.opens.push(row);
                    opens.push(reply);
                }
                Request::Settle(row, reply) => {
                    batch.settles.push(*row);
                    settles.push(reply);
                }
            }
        }
        let started = Instant::now();
        histogram!("causeway_journal_batch_rows").record((opens.len() + settles.len()) as f64);
        match flush(&store, &mut line, &batch).await {
            Ok(flushed) => {
                histogram!("causeway_journal_commit_seconds").record(started.elapsed().as_secs_f64());
                let is_whole = is_whole(&flushed, &batch.settles);
                answer(&backlog, &batch.opens, opens, flushed.decisions);
                for (row, reply) in batch.settles.into_iter().zip(settles) {
                    // What others closed before is put right with the backlog: nobody here waits for that.
                    if is_whole { durable(reply) } else { defer(&backlog, row, reply) }
                }
            }
            Err(error) if failure::is_away(error.cause()) => {
                store.note_away();
                let in_doubt = matches!(error, FlushError::InDoubt(_));
                let text = error.cause().to_string();
                tracing::warn!(
                    error = text,
                    rows = opens.len() + settles.len(),
                    "the journal cannot be written"
                );
                for (row, reply) in batch.opens.into_iter().zip(opens) {
                    if in_doubt {
                        backlog.take_back(row.taken_back());
                    }
                    let _gone = reply.send(Err(super::unavailable(&text)));
                }
                for (row, reply) in batch.settles.into_iter().zip(settles) {
                    defer(&backlog, row, reply);
                }
            }
            // Something in it is not to the database's liking: one by one, so that the others do not suffer.
            Err(_) => one_by_one(&store, &backlog, batch, opens, settles).await,
        }
    }
}

/// Takes what is in the queue, or waits for it; nothing once all senders are gone.
async fn gather(rows: &Mutex<mpsc::Receiver<Request>>, line: &mut Line) -> Vec<Request> {
    let mut gathered = Vec::with_capacity(ROWS_MAX);
    {
        let mut next = pin!(async { rows.lock().await.recv_many(&mut gathered, ROWS_MAX).await });
        if timeout(LINE_KEPT, &mut next).await.is_err() {
            line.hand_back();
            next.await;
        }
    }
    gathered
}

async fn one_by_one(
    store: &Store,
    backlog: &Backlog,
    batch: Batch,
    opens: Vec<OpenReply>,
    settles: Vec<SettleReply>,
) {
    for (row, reply) in batch.opens.into_iter().zip(opens) {
        let single = Batch { opens: vec![row], ..Batch::default() };
        match flush(store, &mut Line::default(), &single).await {
            Ok(flushed) => answer(backlog, &single.opens, vec![reply], flushed.decisions),
            Err(error) => {
                tracing::error!(error = %error.cause(), "an intent cannot be written");
                if matches!(error, FlushError::InDoubt(_)) {
                    backlog.take_back(single.opens[0].taken_back());
                }
                let _gone = reply.send(Err(super::unavailable(&error.cause().to_string())));
            }
        }
    }
    for (row, reply) in batch.settles.into_iter().zip(settles) {
        let single = Batch { settles: vec![row.clone()], ..Batch::default() };
        match flush(store, &mut Line::default(), &single).await {
            Ok(flushed) if is_whole(&flushed, &single.settles) => durable(reply),
            Ok(_) => defer(backlog, row, reply),
            Err(error) if failure::is_away(error.cause()) || failure::is_locked(error.cause()) => {
                defer(backlog, row, reply);
            }
            Err(error) => {
                tracing::error!(error = %error.cause(), "an outcome cannot be written; it will be recorded as unknown");
                let _gone = reply.send(Settled::Deferred);
            }
        }
    }
}

fn answer(backlog: &Backlog, rows: &[OpenRow], replies: Vec<OpenReply>, decisions: Vec<Decision>) {
    for ((row, reply), decision) in rows.iter().zip(replies).zip(decisions) {
        let go = decision == Decision::Go;
        if reply.send(Ok(decision)).is_err() && go {
            // Nobody waits for it any more, so nobody goes ahead.
            backlog.take_back(row.taken_back());
        }
    }
}

fn durable(reply: SettleReply) {
    let _gone = reply.send(Settled::Durable);
}

fn defer(backlog: &Backlog, row: SettleRow, reply: SettleReply) {
    counter!("causeway_journal_deferred_total").increment(1);
    backlog.settle(row);
    let _gone = reply.send(Settled::Deferred);
}

/// Writes the backlog whenever there is one, at most `tries` times.
async fn drain(store: &Store, backlog: &Backlog, tries: usize) {
    for _ in 0..tries {
        let batch = backlog.next(store.now().as_microsecond());
        gauge!("causeway_journal_backlog_rows").set(backlog.len() as f64);
        if batch.is_empty() {
            if tries == LAST_TRIES {
                return;
            }
            sleep(BACKLOG_EVERY).await;
            continue;
        }
        match flush(store, &mut Line::default(), &batch).await {
            Ok(flushed) if is_whole(&flushed, &batch.settles) || correct(store, &batch.settles).await => {
                batch.written();
            }
            Ok(_) => {
                drop(batch);
                sleep(BACKLOG_EVERY).await;
            }
            Err(error) => {
                tracing::debug!(error = %error.cause(), "the backlog cannot be written yet");
                drop(batch);
                sleep(BACKLOG_EVERY).await;
            }
        }
    }
}

/// Whether all these intents were open until now. Others were closed before: by this process, which did not hear of it, or by
/// others.
fn is_whole(flushed: &Flushed, rows: &[SettleRow]) -> bool {
    flushed.settled >= rows.len() as u64
}

/// Puts right what others had closed otherwise before; `false` if that has to be tried again.
async fn correct(store: &Store, rows: &[SettleRow]) -> bool {
    let instance = store.instance();
    let done =
        timeout(COMMIT_TIME_MAX, async { both!(store, corrections::correct(instance.as_bytes(), rows)) });
    match done.await {
        Ok(Ok(0)) => true,
        Ok(Ok(count)) => {
            tracing::warn!(
                count,
                "requests were closed by another gateway while this one was cut off: corrected"
            );
            true
        }
        Ok(Err(error)) if error.reason() == Some(Reason::StoreUnavailable) => false,
        Ok(Err(error)) => {
            tracing::error!(error = error.told(), "what another gateway closed cannot be corrected");
            true
        }
        Err(_elapsed) => false,
    }
}

/// Makes a batch durable.
pub(in crate::store) async fn flush(
    store: &Store,
    line: &mut Line,
    batch: &Batch,
) -> Result<Flushed, FlushError> {
    let now = store.now().as_microsecond();
    // Whoever holds a key may have had no way to say that it lives.
    let alive_after = if store.is_just_back() { i64::MIN } else { store.abandoned_before() };
    let moment = Moment { now, alive_after };
    let instance = store.instance();
    let written = async {
        match &store.0.backend {
            Backend::Postgres(pool) => {
                postgres::journal::flush(pool, line, batch, instance.as_bytes(), moment).await
            }
            Backend::Sqlite(files) => sqlite::journal::flush(files, batch, instance.as_bytes(), moment).await,
        }
    };
    // Given up in the middle, nobody knows how far it came.
    let flushed = timeout(COMMIT_TIME_MAX, written)
        .await
        .unwrap_or(Err(FlushError::InDoubt(sqlx::Error::PoolTimedOut)));
    if flushed.is_ok() {
        store.note_answered();
        if batch.events().next().is_some() || !batch.births().is_empty() {
            store.tell();
        }
    }
    flushed
}

/// Turns a failed commit into an error of ours.
pub(super) fn error_of(error: FlushError) -> Error {
    match error {
        FlushError::Undone(error) | FlushError::InDoubt(error) => failure::of(error),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;
    use crate::store::{Backend, contract, journal::Effects};

    /// The last request was gone while the backlog was being written, and with it what was being written.
    #[tokio::test]
    async fn what_is_given_up_while_it_is_written_is_written_later() {
        let store = contract::on_sqlite().await.expect("a file can be made");
        let backlog = Backlog::default();
        let outcome = r#"{"ending":"UNKNOWN"}"#.to_owned();
        let effects = Effects::default();
        backlog.settle(SettleRow { id: [1; 16], closed_at: 1, outcome, key: None, effects });
        {
            let Backend::Sqlite(files) = &store.0.backend else { unreachable!("it is a file") };
            let _held = files.writer().await.expect("it is free");
            let mut drained = pin!(drain(&store, &backlog, usize::MAX));
            assert!(poll!(&mut drained).is_pending());
            assert_eq!(backlog.len(), 0, "it is on its way");
        }
        assert_eq!(backlog.len(), 1);
        drain(&store, &backlog, LAST_TRIES).await;
        assert_eq!(backlog.len(), 0, "it is written");
    }
}
