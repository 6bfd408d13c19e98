//! Waiting for the end of an operation that an upstream has under a name of its own.

use std::{future::pending, pin::pin, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Asked, Way};
use crate::{
    error::Result,
    http::{Server, own::operations, streams},
    pb::google::longrunning::{GetOperationRequest, Operation},
};

/// The pause behind the first look.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause between two looks, before jitter, and every pause for what is on record.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What a pause is multiplied with for the next one.
const GROWTH: f64 = 1.5;
/// How far a pause is from what it should be, so that those who came together do not ask together.
const JITTER: f64 = 0.2;

/// Waits until an operation has ended, or for so long, and returns what its upstream said of it last.
///
/// The upstream is asked what it is, at once and then after pauses that grow, and never told to wait: that would take up one
/// of its calls for everybody who waits, and many upstreams cannot. What is on record is looked after for all who wait, on
/// whichever replica, and its end is heard from there; then it is asked about seldom, for an upstream that is asked with
/// its callers' credentials only.
pub(super) async fn until_end(
    server: &Server,
    asked: &mut Asked<'_>,
    way: &Way<'_>,
    name: &str,
    longest: Duration,
) -> Result<Bytes> {
    streams::waits();
    tokio::select! {
        biased;
        () = server.soft.cancelled() => Err(operations::stopping()),
        shown = look_until_end(server, asked, way, name, longest) => shown,
    }
}

async fn look_until_end(
    server: &Server,
    asked: &mut Asked<'_>,
    way: &Way<'_>,
    name: &str,
    longest: Duration,
) -> Result<Bytes> {
    let until = Instant::now() + longest;
    let get = GetOperationRequest { name: name.to_owned() }.encode_to_vec();
    let mut shown = way.go(server, asked, &get).await?;
    if !is_open(&shown) || longest.is_zero() {
        return Ok(shown);
    }
    // While the database is away, it is as if nothing were on record.
    let record = timeout_at(until, server.operations.on_record(&way.route.upstream_key, name)).await;
    let record = record.ok().and_then(Result::ok).flatten();
    let mut pause = if record.is_some() { PAUSE_MAX } else { PAUSE_MIN };
    let mut end = pin!(end_on_record(server, record, longest));
    let mut heard = false;
    while is_open(&shown) {
        let next = Instant::now() + jittered(pause, fastrand::f64());
        tokio::select! {
            () = &mut end, if !heard => heard = true,
            () = sleep_until(next.min(until)) => pause = longer(pause),
        }
        if Instant::now() >= until {
            break;
        }
        match timeout_at(until, way.go(server, asked, &get)).await {
            Ok(seen) => shown = seen?,
            Err(_elapsed) => break,
        }
    }
    Ok(shown)
}

/// Waits until an operation has ended on record; forever, where none is on record or nobody can say.
async fn end_on_record(server: &Server, record: Option<String>, longest: Duration) {
    let ended = match record {
        Some(name) => server.operations.wait(&name, longest).await.is_ok_and(|it| it.state.is_final()),
        None => false,
    };
    if !ended {
        pending::<()>().await;
    }
}

/// Whether an answer says that there is more to come. One that cannot be read is for the caller to judge.
fn is_open(shown: &[u8]) -> bool {
    Operation::decode(shown).is_ok_and(|it| !it.done)
}

fn longer(pause: Duration) -> Duration {
    pause.mul_f64(GROWTH).min(PAUSE_MAX)
}

/// Moves a pause by up to a fifth; `random` is in 0..1.
fn jittered(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::WAIT_MAX;

    #[test]
    fn the_longest_wait_costs_few_looks() {
        let (mut looks, mut pause, mut passed) = (1, PAUSE_MIN, jittered(PAUSE_MIN, 0.0));
        assert_eq!(passed, Duration::from_millis(200));
        while passed < WAIT_MAX {
            looks += 1;
            pause = longer(pause);
            passed += jittered(pause, 0.0);
        }
        assert_eq!((looks, pause), (21, PAUSE_MAX));
    }
}
