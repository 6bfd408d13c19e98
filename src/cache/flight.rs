//! One fetch for all who want the same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Key, Page};
use crate::error::Error;

/// What a fetch came to.
pub(super) type Landed = Result<Arc<Page>, Arc<Error>>;
/// Where it will be known.
pub(super) type Landing = watch::Receiver<Option<Landed>>;

/// The fetches that are under way. Each is a task of its own, which nobody who waits for it can end.
#[derive(Clone)]
pub(super) struct Flights {
    under_way: Arc<Mutex<HashMap<Key, Landing>>>,
    tasks: TaskTracker,
}

/// A seat on a fetch.
pub(super) enum Seat {
    /// Began it.
    Leads(Landing),
    /// Joined it.
    Follows(Landing),
}

impl Flights {
    pub(super) fn new() -> Self {
        Self { under_way: Arc::default(), tasks: TaskTracker::new() }
    }

    /// Joins the fetch for a place, or begins it with what `fetch` makes. Whatever `fetch` does before it returns, such as
    /// keeping the page, is done before the next fetch for that place can begin.
    pub(super) fn join<F>(&self, place: Key, fetch: impl FnOnce() -> F) -> Seat
    where
        F: Future<Output = Landed> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(landing) = under_way.get(&place) {
            return Seat::Follows(landing.clone());
        }
        let (told, landing) = watch::channel(None);
        under_way.insert(place, landing.clone());
        drop(under_way);
        let (fetch, gone) = (fetch(), Gone { flights: self.clone(), place });
        self.tasks.spawn(async move {
            let landed = fetch.await;
            drop(gone);
            told.send_replace(Some(landed));
        });
        Seat::Leads(landing)
    }

    /// Runs something that nobody waits for.
    pub(super) fn aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Waits for all of them.
    pub(super) async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Landing>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room for the next fetch, also when this one panics.
struct Gone {
    flights: Flights,
    place: Key,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.place);
    }
}
