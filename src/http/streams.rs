//! On which thread the streams of an HTTP/2 connection are worked on.

use std::cell::Cell;

use hyper::rt::Executor;

use super::stall;
use crate::workers::Home;

/// Streams that one thread works on by itself. Those beyond are worked on by all: a proxy sends the requests of many callers
/// on one connection, and one core is too little for them.
const STREAMS_HERE_MAX: usize = 16;

thread_local! {
    static STREAMS_HERE: Cell<usize> = const { Cell::new(0) };
}

tokio::task_local! {
    static HERE: Cell<Option<Here>>;
}

/// Notes that this task's stream waits for something to happen, such as the end of an operation: it does not count any more
/// as one that its thread works on. Without effect outside HTTP/2.
pub(super) fn waits() {
    let _ = HERE.try_with(Cell::take);
}

/// Runs the streams of HTTP/2 connections, each as a task of its own.
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
        let stream = stall::watched(stream);
        let Some(here) = Here::one_more() else { return self.home.take(stream) };
        #[expect(
            clippy::disallowed_methods,
            reason = "a stream ends with its connection, which is waited for"
        )]
        tokio::spawn(HERE.scope(Cell::new(Some(here)), stream));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        sync::mpsc::{self, UnboundedReceiver},
        task::JoinSet,
        time::timeout,
    };

    use super::*;
    use crate::workers::{self, Place, Workers};

    /// Has so many streams of one connection begin on the thread of `place`. Each does `first`, tells on which thread it is,
    /// and goes on until nobody listens. In a burst they come together, else each when the one before has done that.
    async fn begun(place: &Place, count: usize, is_burst: bool, first: fn()) -> UnboundedReceiver<usize> {
        let streams = Streams { home: Home::here() };
        let (tell, told) = mpsc::unbounded_channel();
        let connection = async move {
            for _ in 0..count {
                let tell = tell.clone();
                streams.execute(async move {
                    first();
                    tell.send(workers::current()).unwrap();
                    tell.closed().await;
                });
                if !is_burst {
                    tokio::task::yield_now().await;
                }
            }
        };
        done(place, connection).await;
        told
    }

    /// Waits for what is done on the thread of `place`.
    async fn done(place: &Place, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(task, place.runtime());
        tasks.join_next().await.unwrap().unwrap();
    }

    /// An HTTP/2 connection of a proxy had one core, however many requests were on it.
    #[tokio::test]
    async fn a_crowd_of_streams_is_shared() {
        let workers = Workers::start(1).unwrap();
        let place = workers.place();
        let mut told = begun(&place, STREAMS_HERE_MAX + 3, true, || ()).await;
        let mut shared = 0;
        for _ in 0..STREAMS_HERE_MAX + 3 {
            shared += usize::from(told.recv().await == Some(0));
        }
        assert_eq!(shared, 3);
        drop(told);
        let all = async {
            while STREAMS_HERE.get() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let all = async { timeout(Duration::from_secs(10), all).await.expect("who is done makes room") };
        done(&place, all).await;
    }

    /// Sixteen who watched operations had all further requests of their thread sent elsewhere.
    #[tokio::test]
    async fn who_only_waits_is_no_crowd() {
        let workers = Workers::start(1).unwrap();
        let mut told = begun(&workers.place(), 3 * STREAMS_HERE_MAX, false, waits).await;
        for _ in 0..3 * STREAMS_HERE_MAX {
            assert_eq!(told.recv().await, Some(1));
        }
    }
}
