//! How much callers may ask for: of each principal, on each project, and how often an address may show what is no
//! credential.
//!
//! Replicas share the counts through Redis if there is one; each takes blocks of requests and spends them by itself, so
//! that hardly any request waits for Redis, and none for longer than [`crate::kv::BUDGET`]. Without Redis, or while it is
//! away, each counts for itself.

mod gcra;
mod limiter;
mod shared;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use self::limiter::Limiter;
use crate::{
    config::{self, Rate},
    error::{Code, Error, Reason, Result},
    kv::Kv,
};

pub use self::limiter::Verdict;

/// How often one address may show something that is no credential, while the others go on.
const FAILURES: Rate = Rate { per_second: 20, burst: 100 };

/// All limits on callers.
#[derive(Debug)]
pub struct Limits {
    principal: Limiter,
    project: Limiter,
    failures: Limiter,
}

impl Limits {
    /// Prepares to count; in Redis if there is one.
    pub fn new(config: &config::Limits, kv: Option<&Arc<Kv>>) -> Self {
        let shared = || kv.map(|kv| (kv.clone(), config.lease));
        Self {
            principal: Limiter::new("principal", config.principal, shared()),
            project: Limiter::new("project", config.project, shared()),
            failures: Limiter::new("address", FAILURES, None),
        }
    }

    /// Counts a request of a principal.
    pub async fn principal(&self, id: &str) -> Verdict {
        self.principal.take(id).await
    }

    /// Counts a request on a project's resources.
    pub async fn project(&self, project: &str) -> Verdict {
        self.project.take(project).await
    }

    /// Returns the `RateLimit-Policy` header for verdicts on a principal, or on both.
    pub fn policy(&self, both: bool) -> String {
        match both {
            false => self.principal.policy().to_owned(),
            true => format!("{}, {}", self.principal.policy(), self.project.policy()),
        }
    }

    /// Refuses to look at another credential of an address that showed too many wrong ones.
    ///
    /// # Errors
    /// `RATE_LIMITED`.
    pub(super) fn check_failures(&self, address: IpAddr) -> Result<()> {
        let who = network(address);
        if self.failures.is_spent(&who) {
            return Err(Error::new(
                Code::ResourceExhausted,
                Reason::RateLimited,
                "Too many requests of your address showed no valid credential; try again later.",
            )
            .with_retry_after(std::time::Duration::from_secs(1)));
        }
        Ok(())
    }

    /// Counts a wrong credential of an address.
    pub(super) fn count_failure(&self, address: IpAddr) {
        self.failures.take_here(&network(address));
    }
}

/// Makes the error of a request that a verdict refuses.
pub fn exceeded(verdict: &Verdict) -> Error {
    let whose = verdict.name();
    Error::new(
        Code::ResourceExhausted,
        Reason::RateLimited,
        format!(
            "The {whose} has used up its requests for now; RateLimit says how many there are, and when again."
        ),
    )
    .with_metadata("limit", whose)
    .with_retry_after(verdict.retry_after())
}

/// Names who owns an address: with IPv6 that is whoever has the network of 64 bits.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 64).to_string(),
    }
}
