//! An HTTP/2 answer that its reader leaves lying is given up.
//!
//! On HTTP/1 the socket tells (see `watch`). On HTTP/2 it does not: a peer can keep the window of one stream shut, answer
//! pings, and so have us hold two hundred answers for each of its connections for ever. So each stream is watched by
//! itself: bodies tell when they gave something, and a stream that takes nothing more for [`STALL_TIME_MAX`] is reset.
//!
//! Deliberately no part of this: a body that waits for its upstream. It has nothing to give, so nobody leaves it lying.

use std::{cell::Cell, future::poll_fn, pin::Pin, pin::pin, task::Poll};

use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::STALL_TIME_MAX;

tokio::task_local! {
    static TURN: Turn;
}

/// Whose turn it is on one stream.
#[derive(Default)]
struct Turn {
    /// Something was given, and nobody asked for more since.
    readers: Cell<bool>,
    /// Grows with each time the body was asked.
    asked: Cell<u32>,
}

/// Notes that the body of this task's stream was asked for more, and whether it gave something: then it is the reader's
/// turn. Without effect outside HTTP/2.
pub(super) fn asked(gave: bool) {
    let _ = TURN.try_with(|turn| {
        turn.readers.set(gave);
        turn.asked.set(turn.asked.get().wrapping_add(1));
    });
}

/// Runs one stream, which ends when its reader does nothing for too long.
pub(super) async fn watched(stream: impl Future<Output = ()>) {
    let stream = async move {
        let mut stream = pin!(stream);
        let mut waiting: Option<(u32, Pin<Box<Sleep>>)> = None;
        poll_fn(|cx| {
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let (readers, asked) = TURN.with(|turn| (turn.readers.get(), turn.asked.get()));
            if !readers {
                waiting = None;
                return Poll::Pending;
            }
            let (_, sleep) = match waiting.take().filter(|(since, _)| *since == asked) {
                Some(same) => waiting.insert(same),
                None => waiting.insert((asked, Box::pin(sleep_until(Instant::now() + STALL_TIME_MAX)))),
            };
            sleep.as_mut().poll(cx)
        })
        .await;
    };
    TURN.scope(Turn::default(), stream).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    /// Gives something every so often, `times` times, then nothing any more.
    async fn body(times: u32, every: Duration, last: bool) {
        for _ in 0..times {
            asked(true);
            sleep(every).await;
        }
        asked(last);
        std::future::pending::<()>().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_is_given_up() {
        let started = Instant::now();
        watched(body(0, Duration::ZERO, true)).await;
        let took = started.elapsed();
        assert!(took >= STALL_TIME_MAX && took < STALL_TIME_MAX + Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_has_its_time_anew_with_each_piece() {
        let started = Instant::now();
        watched(body(10, STALL_TIME_MAX / 2, true)).await;
        assert!(started.elapsed() >= STALL_TIME_MAX * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_upstream_leaves_nothing_lying() {
        assert!(timeout(STALL_TIME_MAX * 10, watched(body(1, Duration::ZERO, false))).await.is_err());
    }
}
