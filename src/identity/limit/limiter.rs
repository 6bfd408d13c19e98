//! One limit on many callers.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync, time::Instant};

use super::{
    gcra::{Quota, Taken},
    shared::Shared,
};
use crate::{config::Rate, kv::Kv};

/// Callers that are kept apart. Past that, those who have not called for a while are forgotten.
const CALLERS_MAX: usize = 50_000;

/// Counts requests of each caller apart.
#[derive(Debug)]
pub(super) struct Limiter {
    name: &'static str,
    quota: Quota,
    policy: String,
    started: Instant,
    callers: Mutex<HashMap<Box<str>, Account>>,
    shared: Option<Shared>,
}

/// What one caller has left.
#[derive(Debug, Default)]
struct Account {
    arrival: u64,
    lease: Option<Lease>,
    /// One request at a time asks Redis.
    asking: Option<Arc<sync::Mutex<()>>>,
}

/// What was taken from Redis and is not spent, or the news that there is nothing to take.
#[derive(Clone, Copy, Debug)]
struct Lease {
    left: u64,
    elsewhere: u64,
    reset: Instant,
    ends: Instant,
    /// There was nothing to take.
    refused: bool,
}

/// What a limiter says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    name: &'static str,
    allowed: bool,
    remaining: u64,
    /// If refused: until when. Else: until all is there again.
    reset: Duration,
}

impl Verdict {
    /// Whether the request may go on.
    pub fn allowed(&self) -> bool {
        self.allowed
    }

    /// Returns how long to wait: at least a second, since that is what `Retry-After` counts in.
    pub fn retry_after(&self) -> Duration {
        self.reset.max(Duration::from_secs(1))
    }

    /// Returns whose limit it is: `principal` or `project`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Appends an item of the `RateLimit` header.
    pub fn print(&self, out: &mut String) {
        let reset = self.reset.as_secs() + u64::from(self.reset.subsec_nanos() > 0);
        let reset = if self.allowed { reset } else { reset.max(1) };
        write!(out, "\"{}\";r={};t={reset}", self.name, self.remaining)
            .expect("writing to a string does not fail");
    }
}

impl Limiter {
    pub(super) fn new(name: &'static str, rate: Rate, kv: Option<(Arc<Kv>, Duration)>) -> Self {
        let quota = Quota::new(rate);
        Self {
            name,
            quota,
            policy: format!("\"{name}\";q={};w={}", quota.burst, quota.window_secs()),
            started: Instant::now(),
            callers: Mutex::default(),
            shared: kv.map(|(kv, lease)| Shared::new(kv, rate, lease)),
        }
    }

    /// Returns the item of the `RateLimit-Policy` header.
    pub(super) fn policy(&self) -> &str {
        &self.policy
    }

    /// Counts a request of a caller.
    pub(super) async fn take(&self, who: &str) -> Verdict {
        match &self.shared {
            None => self.take_here(who),
            Some(shared) => match self.spend(who) {
                Ok(verdict) => verdict,
                // Boxed: it is larger than what most requests need.
                Err(asking) => Box::pin(self.lease(shared, who, &asking)).await,
            },
        }
    }

    /// Whether a caller has nothing left. Counts nothing.
    pub(super) fn is_spent(&self, who: &str) -> bool {
        let now = self.now();
        let callers = self.callers();
        callers.get(who).is_some_and(|account| {
            let mut arrival = account.arrival;
            self.quota.take(&mut arrival, now, 1).granted == 0
        })
    }

    /// Counts in this process only.
    pub(super) fn take_here(&self, who: &str) -> Verdict {
        let now = self.now();
        let mut callers = self.callers();
        let account = self.account(&mut callers, who);
        let Taken { granted, remaining, reset } = self.quota.take(&mut account.arrival, now, 1);
        self.verdict(granted > 0, remaining, reset)
    }

    /// Asks Redis for a block, one request of a caller at a time.
    async fn lease(&self, shared: &Shared, who: &str, asking: &sync::Mutex<()>) -> Verdict {
        let _alone = asking.lock().await;
        // Somebody else may have asked while this one waited.
        if let Ok(verdict) = self.spend(who) {
            return verdict;
        }
        let Ok(block) = shared.take(&format!("causeway:limit:{}:{who}", self.name)).await else {
            return self.take_here(who);
        };
        let now = Instant::now();
        let mut callers = self.callers();
        let account = self.account(&mut callers, who);
        let ends = if block.granted > 0 { now + shared.lease } else { now + block.reset };
        account.lease = Some(Lease {
            left: block.granted.saturating_sub(1),
            elsewhere: block.remaining,
            reset: now + block.reset,
            ends,
            refused: block.granted == 0,
        });
        self.verdict(block.granted > 0, block.granted.saturating_sub(1) + block.remaining, block.reset)
    }

    /// Spends one request of the lease at hand, or refuses while there is known to be nothing. `Err` if Redis must be
    /// asked.
    fn spend(&self, who: &str) -> Result<Verdict, Arc<sync::Mutex<()>>> {
        let now = Instant::now();
        let mut callers = self.callers();
        let account = self.account(&mut callers, who);
        if let Some(lease) = account.lease.as_mut().filter(|lease| now < lease.ends) {
            let reset = lease.reset.saturating_duration_since(now);
            if lease.left > 0 {
                lease.left -= 1;
                return Ok(self.verdict(true, lease.left + lease.elsewhere, reset));
            }
            if lease.refused {
                return Ok(self.verdict(false, 0, reset));
            }
        }
        Err(account.asking.get_or_insert_default().clone())
    }

    fn verdict(&self, allowed: bool, remaining: u64, reset: Duration) -> Verdict {
        Verdict { name: self.name, allowed, remaining, reset }
    }

    fn account<'c>(&self, callers: &'c mut HashMap<Box<str>, Account>, who: &str) -> &'c mut Account {
        if !callers.contains_key(who) {
            if callers.len() >= CALLERS_MAX {
                let (now, instant) = (self.now(), Instant::now());
                callers.retain(|_, account| {
                    !Quota::is_idle(account.arrival, now)
                        || account.lease.is_some_and(|lease| instant < lease.ends)
                });
                if callers.len() >= CALLERS_MAX {
                    callers.clear();
                }
            }
            callers.insert(who.into(), Account::default());
        }
        callers.get_mut(who).expect("it was inserted above")
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Box<str>, Account>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(verdict: &Verdict) -> String {
        let mut text = String::new();
        verdict.print(&mut text);
        text
    }

    #[tokio::test(start_paused = true)]
    async fn callers_are_counted_apart_and_told_when_to_come_back() {
        let limiter = Limiter::new("principal", Rate { per_second: 1, burst: 2 }, None);
        assert_eq!(limiter.policy(), "\"principal\";q=2;w=2");
        let first = limiter.take("alice").await;
        assert_eq!((first.allowed(), printed(&first).as_str()), (true, "\"principal\";r=1;t=1"));
        assert!(limiter.take("alice").await.allowed() && limiter.is_spent("alice"));
        let refused = limiter.take("alice").await;
        assert_eq!((refused.allowed(), printed(&refused).as_str()), (false, "\"principal\";r=0;t=1"));
        assert_eq!(refused.retry_after(), Duration::from_secs(1));
        assert!(limiter.take("bob").await.allowed() && !limiter.is_spent("bob"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(limiter.take("alice").await.allowed());
    }

    #[tokio::test]
    async fn without_redis_each_replica_counts_for_itself() {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = crate::config::RedisUrl::parse(&format!("redis://{nobody}")).unwrap();
        let kv = Arc::new(Kv::new(&url, &crate::config::RedisTls::default()).unwrap());
        let lease = Duration::from_secs(1);
        let limiter = Limiter::new("principal", Rate { per_second: 1, burst: 2 }, Some((kv, lease)));
        let mut allowed = Vec::new();
        for _ in 0..4 {
            allowed.push(limiter.take("alice").await.allowed());
        }
        assert_eq!(allowed, [true, true, false, false]);
    }
}
