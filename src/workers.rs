//! The threads that serve connections. Each has a runtime of its own, and what begins on one stays there.
//!
//! A request takes several small steps: its head is there, its call is written, the answer has come, it is printed. Where
//! tasks move between threads, each step may wake a thread that sleeps, to find that there is nothing left for it; on two
//! cores that is a third of what a page costs. Here the connection of a caller, its requests and the connection on which
//! their calls go out are all on one thread, and no step wakes another. Envoy, nginx and Pingora do the same.
//!
//! The price: a thread that prints a large answer lets its other connections wait, though another thread may be idle; and
//! all streams of one HTTP/2 connection share one core. Connections go to the thread that has the fewest.
//!
//! What is nobody's request (the poller, the journal, webhooks) runs on the runtime that started the gateway.

use std::{
    cell::Cell,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// Returns the number of the worker that this thread is, from 1; 0 where it is none.
pub fn current() -> usize {
    NUMBER.get()
}

/// Threads that serve. They end when this is dropped, and with them whatever is still on them.
#[derive(Debug)]
pub struct Workers {
    list: Box<[Worker]>,
    _running: DropGuard,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    places: Arc<AtomicUsize>,
}

/// A connection's place on a worker, until it is dropped.
#[derive(Debug)]
pub struct Place {
    runtime: Handle,
    places: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    /// The system has no thread or no descriptor left.
    pub fn start(count: usize) -> io::Result<Self> {
        let over = CancellationToken::new();
        // Those that were started end if one of the others cannot be.
        let running = over.clone().drop_guard();
        let list = (1..=count.max(1)).map(|number| Worker::start(number, over.clone()));
        Ok(Self { list: list.collect::<io::Result<_>>()?, _running: running })
    }

    /// Takes a place where the fewest are taken.
    pub fn place(&self) -> Place {
        let worker = self.list.iter().min_by_key(|worker| worker.places.load(Ordering::Relaxed));
        let Worker { runtime, places } = worker.expect("there is at least one");
        places.fetch_add(1, Ordering::Relaxed);
        Place { runtime: runtime.clone(), places: places.clone() }
    }
}

impl Worker {
    fn start(number: usize, over: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new().name("causeway-worker".to_owned()).spawn(move || {
            NUMBER.set(number);
            runtime.block_on(over.cancelled());
        })?;
        Ok(Self { runtime: handle, places: Arc::default() })
    }
}

impl Place {
    /// Returns the runtime of its worker.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    /// Asks the worker of a place for its number.
    async fn number(place: &Place) -> usize {
        let mut tasks = JoinSet::new();
        tasks.spawn_on(async { current() }, place.runtime());
        tasks.join_next().await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_connection_goes_where_the_fewest_are() {
        let workers = Workers::start(3).unwrap();
        let mut places: Vec<_> = (0..3).map(|_| workers.place()).collect();
        let mut numbers = Vec::new();
        for place in &places {
            numbers.push(number(place).await);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        let left = places.remove(1);
        let free = number(&left).await;
        drop(left);
        assert_eq!(number(&workers.place()).await, free);
    }

    #[tokio::test]
    async fn whoever_is_no_worker_has_no_number() {
        let _workers = Workers::start(1).unwrap();
        assert_eq!(current(), 0);
    }

    #[tokio::test]
    async fn what_is_still_on_a_worker_ends_with_it() {
        let workers = Workers::start(0).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(std::future::pending::<()>(), workers.place().runtime());
        drop(workers);
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
}
