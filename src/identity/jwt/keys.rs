//! The keys of one issuer, kept.
//!
//! They are fetched when the first token comes, again when they are older than [`FRESH_FOR`], and when a token names a
//! key that is not among them, but then at most once every [`RETRY`]: whoever makes up key ids makes us fetch no more than
//! that. While the issuer cannot be reached, the keys at hand stay good for [`STALE_FOR`].

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};

use super::{jwks::Jwks, refused};
use crate::{
    egress::Fetcher,
    error::{Code, Error, Reason, Result},
};

/// How long keys are used without looking for newer ones.
const FRESH_FOR: Duration = Duration::from_secs(600);
/// How long keys are used while there is no way to look for newer ones.
const STALE_FOR: Duration = Duration::from_secs(24 * 3600);
/// The least time between two fetches while there are keys at hand.
const RETRY: Duration = Duration::from_secs(60);
/// The least time between two fetches while there are none.
const RETRY_WITHOUT_KEYS: Duration = Duration::from_secs(5);
/// Tokens that wait for their issuer's keys; others are refused at once, so that an issuer that takes its time does not take the
/// places of those who need none of it.
const WAITING_MAX: usize = 256;
/// The largest document, in bytes.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Keys {
    name: String,
    url: String,
    algorithms: Vec<Algorithm>,
    fetcher: Fetcher,
    held: RwLock<Option<Arc<Held>>>,
    /// How many may wait for a fetch.
    waiting: Semaphore,
    /// When the last fetch began, and then when it ended. Held during a fetch, so that there is one at a time.
    tried: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Held {
    jwks: Jwks,
    since: Instant,
}

impl Keys {
    pub(super) fn new(name: &str, url: &str, algorithms: &[Algorithm], fetcher: Fetcher) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            algorithms: algorithms.to_vec(),
            fetcher,
            held: RwLock::new(None),
            waiting: Semaphore::new(WAITING_MAX),
            tried: Mutex::new(None),
        }
    }

    /// Finds the key of a token.
    pub(super) async fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<DecodingKey> {
        let held = self.held();
        let key = held.as_ref().and_then(|held| held.jwks.find(kid, algorithm)).cloned();
        let age = held.as_ref().map(|held| held.since.elapsed());
        match (key, age) {
            (Some(key), Some(age)) if age < FRESH_FOR => return Ok(key),
            (Some(key), Some(age)) if age < STALE_FOR => {
                // One caller looks for newer keys; the others need not wait for that.
                if let Ok(mut tried) = self.tried.try_lock() {
                    self.fetch(&mut tried).await;
                    return self.at_hand(kid, algorithm).map_or(Ok(key), Ok);
                }
                return Ok(key);
            }
            _ => {}
        }
        {
            let Ok(_waiting) = self.waiting.try_acquire() else { return Err(self.away()) };
            let mut tried = self.tried.lock().await;
            // Somebody else may have fetched while this one waited.
            if let Some(key) = self.at_hand(kid, algorithm) {
                return Ok(key);
            }
            self.fetch(&mut tried).await;
        }
        // Keys that are too old say no more which ones the issuer has now.
        match (self.at_hand(kid, algorithm), self.held().filter(|held| held.since.elapsed() < STALE_FOR)) {
            (Some(key), _) => Ok(key),
            (None, Some(_)) => Err(refused("its key is not one of its issuer's")),
            (None, None) => Err(self.away()),
        }
    }

    /// Nobody can tell at the moment whether a token is good.
    fn away(&self) -> Error {
        let text =
            format!("The keys of the issuer {} cannot be had at the moment; try again later.", self.name);
        Error::new(Code::Unavailable, Reason::Unauthenticated, text).with_retry_after(RETRY_WITHOUT_KEYS)
    }

    fn held(&self) -> Option<Arc<Held>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finds a key that is at hand and not too old.
    fn at_hand(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let held = self.held().filter(|held| held.since.elapsed() < STALE_FOR)?;
        held.jwks.find(kid, algorithm).cloned()
    }

    /// Fetches, unless that was tried just now. A failure is logged and leaves what there is.
    async fn fetch(&self, tried: &mut Option<Instant>) {
        let serves = self.held().is_some_and(|held| held.since.elapsed() < STALE_FOR);
        let wait = if serves { RETRY } else { RETRY_WITHOUT_KEYS };
        if tried.is_some_and(|tried| tried.elapsed() < wait) {
            return;
        }
        *tried = Some(Instant::now());
        let fetched = match self.fetcher.get(&self.url, DOCUMENT_BYTES_MAX).await {
            Ok(document) => Jwks::parse(&document, &self.algorithms).map_err(|error| error.to_string()),
            Err(error) => Err(error.told()),
        };
        match fetched {
            Ok(jwks) if jwks.is_empty() => {
                tracing::warn!(issuer = self.name, "the issuer publishes no key that can be used");
            }
            Ok(jwks) => {
                let held = Some(Arc::new(Held { jwks, since: Instant::now() }));
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
            }
            Err(error) => tracing::warn!(issuer = self.name, error, "the issuer's keys cannot be fetched"),
        }
        // Whoever waited for this does not try again.
        *tried = Some(Instant::now());
    }
}
