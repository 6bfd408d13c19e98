//! The threads that serve connections. Each has a runtime of its own, and what begins on one stays there.
//!
//! A request takes several small steps: its head is there, its call is written, the answer has come, it is printed. Where
//! tasks move between threads, each step may wake a thread that sleeps, to find that there is nothing left for it; on two
//! cores that was an eighth of what a page cost. Here the connection of a caller, its requests and the connection on which
//! their calls go out are all on one thread. Envoy, nginx and Pingora do the same.
//!
//! The price: a thread that prints a large answer lets its other connections wait, though another thread may be idle.
//! Connections go to the thread that has the fewest, and an HTTP/2 connection with many requests shares them with the
//! others (see `http::streams`).
//!
//! What is nobody's request (the poller, the journal, webhooks) runs on the runtime that started the gateway, and so do the
//! connections to the database and to Redis, which all threads share: they are at [`Home`] there.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle},
    time::timeout,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// The longest wait for threads to end: what they do at that moment is a step of a task.
const END_TIME_MAX: Duration = Duration::from_secs(2);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// Returns the number of the worker that this thread is, from 1; 0 where it is none.
pub fn current() -> usize {
    NUMBER.get()
}

/// Threads that serve. They end when this does, and with them whatever is still on them.
#[derive(Debug)]
pub struct Workers {
    list: Box<[Worker]>,
    threads: TaskTracker,
    over: CancellationToken,
    /// A thread has ended.
    ended: CancellationToken,
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
        let mut workers = Self {
            list: Box::default(),
            threads: TaskTracker::new(),
            over: CancellationToken::new(),
            ended: CancellationToken::new(),
        };
        let start = |number| {
            let running = (workers.threads.token(), workers.ended.clone().drop_guard());
            Worker::start(number, running, workers.over.clone())
        };
        // Dropping `workers` ends those that were started before one that could not be.
        workers.list = (1..=count.max(1)).map(start).collect::<io::Result<_>>()?;
        Ok(workers)
    }

    /// Takes a place where the fewest are taken.
    pub fn place(&self) -> Place {
        let worker = self.list.iter().min_by_key(|worker| worker.places.load(Ordering::Relaxed));
        let Worker { runtime, places } = worker.expect("there is at least one");
        places.fetch_add(1, Ordering::Relaxed);
        Place { runtime: runtime.clone(), places: places.clone() }
    }

    /// Waits for `stop`, or for a thread to end before: all new connections would go to it, since it has the fewest.
    /// Does not keep them.
    pub fn watch(&self, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let ended = self.ended.clone();
        async move {
            let _stopped = stop.run_until_cancelled(ended.cancelled()).await;
        }
    }

    /// Ends the threads, drops what is still on them, and waits until that is done.
    pub async fn end(&self) {
        self.over.cancel();
        self.threads.close();
        if timeout(END_TIME_MAX, self.threads.wait()).await.is_err() {
            tracing::warn!("a thread that serves did not end in time");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Worker {
    /// What is `running` is dropped when the thread ends, however it does.
    fn start(
        number: usize,
        running: (TaskTrackerToken, DropGuard),
        over: CancellationToken,
    ) -> io::Result<Self> {
        // Made on its thread: one that cannot be started would drop it here, within another runtime.
        let (tell, told) = mpsc::channel();
        thread::Builder::new().name("causeway-worker".to_owned()).spawn(move || {
            let _running = running;
            NUMBER.set(number);
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _told = tell.send(Ok(runtime.handle().clone()));
            runtime.block_on(over.cancelled());
            // Not waiting for the system to find a name that nobody needs any more.
            runtime.shutdown_background();
        })?;
        let runtime = told.recv().map_err(io::Error::other)??;
        Ok(Self { runtime, places: Arc::default() })
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

/// The runtime of what the workers share. A connection to Redis or to the database is made by whoever needs it first; made
/// on a worker, it would be served by that thread, and all others would wait whenever it prints something large.
#[derive(Clone, Debug)]
pub struct Home(Option<Handle>);

impl Home {
    /// The runtime that this is called on; none where it is called on none.
    pub fn here() -> Self {
        Self(Handle::try_current().ok())
    }

    /// Does some work on this thread, of which the sockets and tasks belong to the home.
    pub fn owns<W: Future>(&self, work: W) -> impl Future<Output = W::Output> {
        // Boxed: it is much of what a request needs room for, and few need it.
        Owned { home: self, work: Some(Box::pin(work)) }
    }

    /// Gives it a task of its own. Without a home it stays where it is.
    pub fn take(&self, task: impl Future<Output = ()> + Send + 'static) {
        let runtime = self.0.clone().unwrap_or_else(Handle::current);
        drop(runtime.spawn(task));
    }
}

/// Work that belongs to a home. What it leaves behind when it is given up does too: a connection goes back to its pool by a
/// task.
struct Owned<'h, W> {
    home: &'h Home,
    work: Option<Pin<Box<W>>>,
}

impl<W> Owned<'_, W> {
    fn entered<T>(&mut self, then: impl FnOnce(&mut Option<Pin<Box<W>>>) -> T) -> T {
        let _entered = self.home.0.as_ref().map(Handle::enter);
        then(&mut self.work)
    }
}

impl<W: Future> Future for Owned<'_, W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        self.entered(|work| work.as_mut().expect("it is polled until it is ready").as_mut().poll(cx))
    }
}

impl<W> Drop for Owned<'_, W> {
    fn drop(&mut self) {
        self.entered(|work| drop(work.take()));
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
        workers.end().await;
        let ended = tasks.try_join_next().expect("it was waited for");
        assert!(ended.unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn dropping_them_ends_them_too() {
        let workers = Workers::start(1).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(std::future::pending::<()>(), workers.place().runtime());
        drop(workers);
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }

    #[tokio::test]
    async fn what_belongs_to_the_home_outlives_the_worker_that_made_it() {
        let (home, workers) = (Home::here(), Workers::start(1).unwrap());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let work = async move {
            let made = async {
                tokio::task::yield_now().await;
                let mut task = JoinSet::new();
                task.spawn(async move { tell.send(current()).unwrap() });
                task
            };
            (home.owns(made).await, current())
        };
        tasks.spawn_on(work, workers.place().runtime());
        let (_task, worked_on) = tasks.join_next().await.unwrap().unwrap();
        workers.end().await;
        assert_eq!((told.recv().await, worked_on), (Some(0), 1));
    }

    /// A thread that had died took all new connections, as it had the fewest, and closed them.
    #[tokio::test]
    async fn a_thread_that_ends_is_noticed() {
        let (workers, stop) = (Workers::start(2).unwrap(), CancellationToken::new());
        let mut watching = JoinSet::new();
        watching.spawn(workers.watch(stop.clone()));
        tokio::task::yield_now().await;
        assert!(watching.try_join_next().is_none());
        workers.over.cancel();
        watching.join_next().await.unwrap().unwrap();
        assert!(!stop.is_cancelled());
    }

    #[tokio::test]
    async fn what_is_given_up_is_dropped_at_home() {
        struct Left(tokio::sync::mpsc::UnboundedSender<tokio::runtime::Id>);
        impl Drop for Left {
            fn drop(&mut self) {
                self.0.send(Handle::current().id()).unwrap();
            }
        }
        let (home, workers) = (Home::here(), Workers::start(1).unwrap());
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn_on(
            async move {
                let left = Left(tell);
                let work = home.owns(async move {
                    let _left = left;
                    std::future::pending::<()>().await;
                });
                let _ = timeout(Duration::ZERO, work).await;
            },
            workers.place().runtime(),
        );
        assert_eq!(told.recv().await, Some(Handle::current().id()));
        workers.end().await;
    }
}
