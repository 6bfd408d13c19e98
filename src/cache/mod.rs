//! The page cache: pages of lists, kept for a short time in this process and, where there is one, in Redis.
//!
//! - [`PageCache`]: looks a page up, fetches it where there is none, and is told what has changed.
//! - [`Key`]: what a page is the answer to. [`Scope`]: a collection whose changes make pages worthless.
//! - [`Page`]: an answer, ready to be sent. [`Rule`]: how long it is good. [`Wish`]: what the caller thinks of that.
//! - [`Lookup`]: what was found; [`Ticket`]: leave to keep what is fetched instead. [`Served`]: what is answered.
//!
//! What holds:
//! - Every scope has a *generation*, a value that grows out of nothing and never comes back. A page is kept with the
//!   generations that were read before it was fetched, and shown only while they are still the same. So once
//!   [`PageCache::bump`] is over, no page from before it is shown, whoever stored it and whenever.
//! - With Redis the generations are there, and every look-up reads them: many at a time share one round trip. Without an
//!   answer nothing is shown, and nothing is kept. A look-up never waits longer than [`crate::kv::BUDGET`].
//! - A bump that did not reach Redis is tried again until it does; until then its scope gets around the cache here.
//!   Other replicas that reach a Redis which this one does not may show what they have: for the time to live of the page
//!   and its stale time at most, which bounds every other accident too, such as a Redis that comes back with old data.
//! - Pages that do not differ are fetched once, by a task of its own: it ends well or badly without regard to who waits.
//! - What Redis returns is believed only with a tag that is made with the gateway's secret, for that very place.
//!
//! It deliberately does not know what a page says, how one is fetched, who may see it, or HTTP.

mod flight;
mod frame;
mod generations;
mod key;
mod local;
mod lookup;
mod memory;
mod numbers;
mod page;
mod shared;

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{
    flight::Flights, generations::Generations, local::LocalGenerations, memory::Memory, numbers::Numbers,
    shared::Shared,
};
use crate::{clock::Clock, config, crypto::Mac, kv::Kv};

pub use self::{
    key::{Key, Scope},
    lookup::{Lookup, Ticket, Wish},
    page::{Found, How, Page, Rule, Served, Tier},
};

/// How long a stopping process waits for what is being fetched and kept.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// The page cache. Cheap to clone.
#[derive(Clone)]
pub struct PageCache(Arc<Inner>);

struct Inner {
    enabled: bool,
    page_bytes_max: usize,
    memory: Memory,
    generations: Generations,
    flights: Flights,
    numbers: Numbers,
    /// Ends what is fetched for nobody in particular.
    soft: CancellationToken,
}

impl PageCache {
    /// Makes the cache, and the work that must run beside it until `soft` says so.
    pub fn new(
        config: &config::Cache,
        kv: Option<Arc<Kv>>,
        tags: Mac,
        clock: Arc<dyn Clock>,
        soft: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let numbers = Numbers::new();
        let (sender, receiver) = mpsc::channel(shared::WAITING_MAX);
        let shared = kv.map(|kv| Arc::new(Shared::new(kv, tags, clock, sender)));
        let work_shared = shared.clone();
        let inner = Inner {
            enabled: config.enabled,
            page_bytes_max: config.page_size_max,
            memory: Memory::new(config.memory_size_max, numbers.clone()),
            generations: match shared {
                Some(shared) => Generations::Shared(shared),
                None => Generations::Local(LocalGenerations::default()),
            },
            flights: Flights::new(),
            numbers,
            soft: soft.clone(),
        };
        let cache = Self(Arc::new(inner));
        let flights = cache.clone();
        let work = async move {
            match work_shared {
                Some(shared) => shared.run(receiver, soft).await,
                None => soft.cancelled().await,
            }
            // Whoever still waits for one is served all the same: this ends no fetch.
            let _ = timeout(END_TIME_MAX, flights.0.flights.end()).await;
        };
        (cache, work)
    }

    /// Whether pages are kept at all.
    pub fn is_on(&self) -> bool {
        self.0.enabled
    }

    /// Makes worthless what is kept of some collections. When this returns, no look-up anywhere that begins later shows a
    /// page from before. `false`: Redis cannot be reached; then none in this process does, and others will be told.
    pub async fn bump(&self, scopes: &[Scope]) -> bool {
        // Boxed, and of a type that nobody needs to know: it is awaited deep inside of every mutation.
        let bump: Pin<Box<dyn Future<Output = bool> + Send + '_>> = Box::pin(self.0.generations.bump(scopes));
        let done = !self.0.enabled || bump.await;
        match done {
            true => self.0.numbers.bumped(),
            false => self.0.numbers.bump_failed(),
        }
        done
    }
}

impl std::fmt::Debug for PageCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageCache").field("enabled", &self.0.enabled).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
