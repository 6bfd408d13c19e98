//! An HTTP/2 answer that its reader leaves lying is given up.
//!
//! On HTTP/1 the socket tells (see `watch`). On HTTP/2 it does not: a peer can keep the window of one stream shut, answer
//! pings, and so have us hold two hundred answers for each of its connections for ever. So each stream is watched by
//! itself: bodies tell when they gave something, and a stream that takes nothing more for [`STALL_TIME_MAX`] is reset.
//!
//! Deliberately no part of this: a body that waits for its upstream. It has nothing to give, so nobody leaves it lying.

use std::{cell::Cell, future::poll_fn, pin::Pin, pin::pin, task::Poll};

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::STALL_TIME_MAX;
use crate::workers::Home;

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

/// Streams that one thread works on by itself. Those beyond are worked on by all: a proxy sends the requests of many callers
/// on one connection, and one core is too little for them.
const STREAMS_HERE_MAX: usize = 16;

thread_local! {
    static STREAMS_HERE: Cell<usize> = const { Cell::new(0) };
}

/// Runs the streams of HTTP/2 connections, each as a task of its own that ends when its reader does nothing for too long.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    /// Where tasks move between threads.
    pub(super) home: Home,
}

/// One of the streams of this thread.
struct Here;

impl Here {
    fn one_more() -> Option<Self> {
        let streams = STREAMS_HERE.get();
        (streams < STREAMS_HERE_MAX).then(|| {
            STREAMS_HERE.set(streams + 1);
            Self
        })
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        STREAMS_HERE.set(STREAMS_HERE.get().saturating_sub(1));
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let stream = watched(stream);
        let Some(here) = Here::one_more() else { return self.home.take(stream) };
        #[expect(
            clippy::disallowed_methods,
            reason = "a stream ends with its connection, which is waited for"
        )]
        tokio::spawn(async move {
            let _here = here;
            stream.await;
        });
    }
}

async fn watched(stream: impl Future<Output = ()>) {
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

    use tokio::{
        sync::mpsc,
        task::JoinSet,
        time::{sleep, timeout},
    };

    use super::*;
    use crate::workers::{self, Workers};

    /// An HTTP/2 connection of a proxy had one core, however many requests were on it.
    #[tokio::test]
    async fn a_crowd_of_streams_is_shared() {
        let (workers, streams) = (Workers::start(1).unwrap(), Streams { home: Home::here() });
        let place = workers.place();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut connection = JoinSet::new();
        connection.spawn_on(
            async move {
                for _ in 0..STREAMS_HERE_MAX + 3 {
                    let tell = tell.clone();
                    streams.execute(async move {
                        tell.send(workers::current()).unwrap();
                        tell.closed().await;
                    });
                }
            },
            place.runtime(),
        );
        connection.join_next().await.unwrap().unwrap();
        let mut shared = 0;
        for _ in 0..STREAMS_HERE_MAX + 3 {
            shared += usize::from(told.recv().await == Some(0));
        }
        assert_eq!(shared, 3);
        drop(told);
        let mut again = JoinSet::new();
        again.spawn_on(
            async {
                while STREAMS_HERE.get() > 0 {
                    tokio::task::yield_now().await;
                }
            },
            place.runtime(),
        );
        again.join_next().await.unwrap().unwrap();
    }

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
