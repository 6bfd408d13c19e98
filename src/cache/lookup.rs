//! The way of a look-up: memory, Redis, upstream.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::{
    Found, How, Key, Page, PageCache, Rule, Scope, Served, Tier,
    flight::{Landed, Landing, Seat},
    memory::Entry,
};
use crate::{
    error::{Code, Error, Reason, Result},
    kv::BUDGET,
};

/// How often a request joins others before it gives up with the error that they got.
const ROUNDS_MAX: usize = 3;

/// What the caller thinks of kept pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// They are welcome.
    Any,
    /// They are welcome up to this age.
    NotOlderThan(Duration),
    /// It wants a new one, which may be kept.
    Fresh,
    /// Nothing kept and nothing to be kept.
    Apart,
}

/// What was found.
#[derive(Debug)]
pub enum Lookup {
    /// This is the answer.
    Hit(Served),
    /// This is the answer, and a new page is to be fetched aside.
    Stale(Served, Ticket),
    /// Nothing that may be shown.
    Miss(Ticket),
    /// The cache must be left alone, for this reason.
    Bypass(&'static str),
}

/// Leave to keep a page, from before it is fetched.
#[derive(Clone, Debug)]
pub struct Ticket {
    key: Key,
    place: Key,
    scopes: Arc<[Scope]>,
    generations: Vec<u64>,
    rule: Rule,
    /// Fetched for this request only.
    alone: bool,
}

impl PageCache {
    /// Looks for a page. `scopes` tells what makes it worthless; it is the same for every look-up of a key.
    pub async fn look_up(
        &self,
        key: Key,
        rule: Rule,
        wish: Wish,
        scopes: impl FnOnce() -> Arc<[Scope]>,
    ) -> Lookup {
        let within = &self.0;
        let end = Instant::now() + BUDGET;
        if wish == Wish::Apart {
            return Lookup::Bypass("no-store");
        }
        let mut known = None;
        if let Some(entry) = &within.memory.get(&key) {
            match within.generations.changed(&entry.scopes, &entry.generations).await {
                Err(why) => return Lookup::Bypass(why),
                Ok(None) if wish != Wish::Fresh && entry.is_alive() => {
                    let found = Found { page: entry.page.clone(), age: entry.age(), tier: Tier::Memory };
                    return self.found(found, entry.rule, wish, || Ticket::renewing(key, entry));
                }
                Ok(None) => known = Some((entry.scopes.clone(), entry.generations.clone())),
                Ok(Some(now)) => {
                    within.memory.remove(&key);
                    known = Some((entry.scopes.clone(), now));
                }
            }
        }
        let (scopes, generations) = match known {
            Some(known) => known,
            None => {
                let scopes = scopes();
                match within.generations.read(&scopes).await {
                    Ok(generations) => (scopes, generations),
                    Err(why) => return Lookup::Bypass(why),
                }
            }
        };
        let place = key.under(&generations);
        let ticket = Ticket { key, place, scopes, generations, rule, alone: wish == Wish::Fresh };
        if !ticket.alone
            && let Some(shared) = within.generations.shared()
            && let Some((page, age)) = shared.get(&place, end).await
            && age < rule.ttl + rule.stale
        {
            let page = Arc::new(page);
            within.memory.put(key, Arc::new(ticket.entry(page.clone(), age)));
            return self.found(Found { page, age, tier: Tier::Redis }, rule, wish, || ticket.clone());
        }
        Lookup::Miss(ticket)
    }

    fn found(&self, found: Found, rule: Rule, wish: Wish, ticket: impl FnOnce() -> Ticket) -> Lookup {
        let Found { page, age, tier } = found;
        if let Wish::NotOlderThan(most) = wish
            && age > most
        {
            return Lookup::Miss(Ticket { alone: true, ..ticket() });
        }
        if age < rule.ttl {
            return Lookup::Hit(self.served(page, age, How::Hit(rule.ttl - age, tier)));
        }
        Lookup::Stale(self.served(page, age, How::Stale(age - rule.ttl, tier)), ticket())
    }

    /// Fetches a page, or waits until `end` for another request that fetches it.
    ///
    /// # Errors
    /// As the fetch has it; `UPSTREAM_TIMEOUT`.
    pub async fn fetch<F>(&self, ticket: Ticket, end: Instant, fetch: impl FnOnce() -> F) -> Result<Served>
    where
        F: Future<Output = Result<Page>> + Send + 'static,
    {
        if ticket.alone {
            let page = Arc::new(timeout_at(end, fetch()).await.map_err(|_| too_late())??);
            let stored = self.keep(&ticket, &page);
            return Ok(self.served(
                page,
                Duration::ZERO,
                How::Fetched { wanted: true, stored, collapsed: false },
            ));
        }
        let (mut fetch, mut last) = (Some(fetch), None);
        for _ in 0..ROUNDS_MAX {
            let begin = || {
                let fetch = fetch.take().expect("whoever leads leaves the loop");
                self.clone().land(ticket.clone(), fetch())
            };
            let (mut landing, collapsed) = match self.0.flights.join(ticket.place, begin) {
                Seat::Leads(landing) => (landing, false),
                Seat::Follows(landing) => (landing, true),
            };
            match landed(&mut landing, end).await? {
                Some(Ok(page)) => {
                    let stored = page.keep && page.body.len() <= self.0.page_bytes_max;
                    let how = How::Fetched { wanted: false, stored, collapsed };
                    return Ok(self.served(page, Duration::ZERO, how));
                }
                Some(Err(error)) if !collapsed || is_about_the_request(&error) => return Err(error.shared()),
                Some(Err(error)) => last = Some(error),
                None if !collapsed => return Err(Error::internal("fetching a page panicked")),
                None => {}
            }
        }
        Err(last.map_or_else(|| Error::internal("fetching a page panicked"), |error| error.shared()))
    }

    /// Fetches a page that nobody waits for, unless that is under way.
    pub fn refresh<F>(&self, ticket: Ticket, fetch: impl FnOnce() -> F)
    where
        F: Future<Output = Result<Page>> + Send + 'static,
    {
        let (cache, soft) = (self.clone(), self.0.soft.clone());
        let place = ticket.place;
        self.0.flights.join(place, || {
            let landing = cache.land(ticket, fetch());
            async move {
                tokio::select! {
                    landed = landing => landed,
                    () = soft.cancelled() => Err(Arc::new(too_late())),
                }
            }
        });
    }

    /// Wraps a page that was fetched around the cache.
    pub fn around(&self, page: Page, why: &'static str) -> Served {
        self.served(Arc::new(page), Duration::ZERO, How::Bypassed(why))
    }

    async fn land(self, ticket: Ticket, fetch: impl Future<Output = Result<Page>> + Send) -> Landed {
        let page = Arc::new(fetch.await.map_err(Arc::new)?);
        self.keep(&ticket, &page);
        Ok(page)
    }

    /// Keeps a page here, and in Redis a moment later.
    fn keep(&self, ticket: &Ticket, page: &Arc<Page>) -> bool {
        if !page.keep || page.body.len() > self.0.page_bytes_max {
            return false;
        }
        let entry = Arc::new(ticket.entry(page.clone(), Duration::ZERO));
        self.0.memory.put(ticket.key, entry.clone());
        if let Some(shared) = self.0.generations.shared() {
            let (shared, place) = (shared.clone(), ticket.place);
            self.0.flights.aside(async move {
                shared.put(&place, &entry.page, entry.age(), entry.rule).await;
            });
        }
        true
    }

    fn served(&self, page: Arc<Page>, age: Duration, how: How) -> Served {
        self.0.numbers.served(how);
        Served { page, age, how }
    }
}

impl Ticket {
    fn renewing(key: Key, entry: &Entry) -> Self {
        Self {
            key,
            place: key.under(&entry.generations),
            scopes: entry.scopes.clone(),
            generations: entry.generations.clone(),
            rule: entry.rule,
            alone: false,
        }
    }

    fn entry(&self, page: Arc<Page>, age: Duration) -> Entry {
        let now = Instant::now();
        Entry {
            page,
            scopes: self.scopes.clone(),
            generations: self.generations.clone(),
            born: now.checked_sub(age).unwrap_or(now),
            rule: self.rule,
        }
    }
}

async fn landed(landing: &mut Landing, end: Instant) -> Result<Option<Landed>> {
    let told = timeout_at(end, landing.wait_for(Option::is_some)).await.map_err(|_| too_late())?;
    Ok(told.ok().and_then(|landed| landed.clone()))
}

fn too_late() -> Error {
    let text = "The upstream did not answer in the time that the request has.";
    Error::new(Code::DeadlineExceeded, Reason::UpstreamTimeout, text)
}

/// Whether whoever asks the same gets the same: then nobody needs to ask again.
fn is_about_the_request(error: &Error) -> bool {
    use Code::{
        AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PermissionDenied,
        Unauthenticated, Unimplemented,
    };
    matches!(
        error.code(),
        InvalidArgument
            | NotFound
            | AlreadyExists
            | PermissionDenied
            | FailedPrecondition
            | OutOfRange
            | Unimplemented
            | Unauthenticated
    )
}
