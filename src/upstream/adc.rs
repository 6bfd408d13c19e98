//! Google's application default credentials: a key file, a person's login, another cloud's identity, or the metadata
//! server of the machine, found and refreshed by Google's own crate.
//!
//! The crate fetches a token in the background when it is built, keeps it, and fetches the next four minutes before it
//! ends, so that a call hardly ever waits. What it does not do is done here: a wait has an end ([`TOKEN_TIME_MAX`]), and a
//! credential that it gave up for good, or that the upstream refused, is made anew after a while, with its file read
//! again: whoever rotates a key or logs in again need not restart anything.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use google_cloud_auth::build_errors;
use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderName, header};
use tokio::time::{Instant, timeout_at};

use super::backoff::Backoff;
use super::credentials::Shown;
use super::scrub::scrub;
use super::tls;
use crate::error::told;

/// The longest that a call waits for a token. The metadata server of a machine that just started takes a few seconds.
const TOKEN_TIME_MAX: Duration = Duration::from_secs(10);
/// How old a credential that the crate gave up must be before it is made anew.
const REMADE_BROKEN: Backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(60));
/// The same where the upstream refused its token.
const REMADE_REFUSED: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(60));
/// The same where the server of tokens is silent. The crate goes on waiting for it in the background, so each new
/// credential costs a connection that nobody ends: there must be few.
const REMADE_SILENT: Backoff = Backoff::new(Duration::from_secs(20), Duration::from_secs(900));

/// The scope that covers every Google Cloud service, and that credentials of each kind have.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
static USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// Makes a credential.
type Make = Box<dyn Fn() -> Result<Credentials, build_errors::Error> + Send + Sync>;

/// One upstream's credential. `Debug` shows none of it.
pub(super) struct Adc {
    make: Make,
    held: Mutex<Held>,
}

struct Held {
    credentials: Credentials,
    /// Counts the credentials made: news about an earlier one are no news.
    number: u64,
    made_at: Instant,
    doubt: Option<Doubt>,
    /// Since when it has been waited for an answer in vain.
    silent_since: Option<Instant>,
    /// Credentials made in a row that brought no token.
    fruitless: u32,
    failing: bool,
}

/// Why a credential is to be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// The upstream refused its token.
    Refused,
    /// It failed in a way that waiting does not mend.
    Broken,
    /// It did not say anything for [`TOKEN_TIME_MAX`].
    Silent,
}

/// How a wait for a token ended.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    Token,
    /// It may be mended by waiting, or not.
    Failure {
        for_good: bool,
    },
    Silence {
        since: Instant,
    },
}

/// There is no token to show. What it prints is for the log.
#[derive(Debug)]
pub(super) struct NoToken(String);

impl Adc {
    /// Finds the credentials of the process, for the scopes of a service. The error says which file cannot be used. Must
    /// run inside a tokio runtime.
    pub(super) fn new(scopes: Vec<String>) -> Result<Self, String> {
        let scopes = wanted(scopes);
        Self::with(Box::new(move || Builder::default().with_scopes(scopes.clone()).build()))
    }

    /// Takes the credentials that `make` makes.
    pub(super) fn with(make: Make) -> Result<Self, String> {
        tls::install_ring();
        let credentials = make().map_err(|error| scrub(&told(&error)))?;
        let held = Held {
            credentials,
            number: 0,
            made_at: Instant::now(),
            doubt: None,
            silent_since: None,
            fruitless: 0,
            failing: false,
        };
        Ok(Self { make, held: Mutex::new(held) })
    }

    /// Returns the token, and the quota project that the credential names. Waits for it until `end`, and no longer than
    /// [`TOKEN_TIME_MAX`].
    pub(super) async fn show(&self, end: Instant) -> Result<Shown, NoToken> {
        let (credentials, number) = self.current();
        let started = Instant::now();
        let end = end.min(started + TOKEN_TIME_MAX);
        let (why, outcome) = match timeout_at(end, headers(&credentials)).await {
            Ok(Ok(headers)) => {
                self.note(number, Outcome::Token);
                return Ok(shown(&headers));
            }
            Ok(Err(Failed::Error(error))) => {
                (told(&error), Outcome::Failure { for_good: !error.is_transient() })
            }
            Ok(Err(Failed::Panic(text))) => (text, Outcome::Failure { for_good: true }),
            Err(_) => {
                let waited = end.saturating_duration_since(started);
                (format!("no access token within {waited:?}"), Outcome::Silence { since: started })
            }
        };
        self.note(number, outcome);
        Err(NoToken(scrub(&why)))
    }

    /// Takes note that the upstream refused the token.
    pub(super) fn refused(&self) {
        let mut held = self.lock();
        held.doubt = held.doubt.or(Some(Doubt::Refused));
    }

    /// Tells whether the last call found no token.
    pub(super) fn is_failing(&self) -> bool {
        self.lock().failing
    }

    /// Returns the credential to use now, a new one where the last is in doubt and has had its time.
    fn current(&self) -> (Credentials, u64) {
        let mut held = self.lock();
        let wait = match held.doubt {
            None => return (held.credentials.clone(), held.number),
            Some(Doubt::Refused) => REMADE_REFUSED,
            Some(Doubt::Broken) => REMADE_BROKEN,
            Some(Doubt::Silent) => REMADE_SILENT,
        };
        let now = Instant::now();
        if now.saturating_duration_since(held.made_at) >= wait.step(held.fruitless + 1) {
            held.made_at = now;
            held.fruitless = held.fruitless.saturating_add(1);
            match (self.make)() {
                Ok(credentials) => {
                    held.credentials = credentials;
                    held.number += 1;
                    held.doubt = None;
                    held.silent_since = None;
                }
                Err(error) => {
                    let error = scrub(&told(&error));
                    tracing::warn!(error, "Google's credentials cannot be read again; the last ones stay");
                }
            }
        }
        (held.credentials.clone(), held.number)
    }

    fn note(&self, number: u64, outcome: Outcome) {
        let mut held = self.lock();
        if number != held.number {
            return;
        }
        held.failing = !matches!(outcome, Outcome::Token);
        match outcome {
            Outcome::Token => (held.fruitless, held.silent_since) = (0, None),
            Outcome::Failure { for_good } => {
                held.silent_since = None;
                if for_good {
                    held.doubt = Some(Doubt::Broken);
                }
            }
            Outcome::Silence { since } => {
                let since = *held.silent_since.get_or_insert(since);
                // Callers without patience say nothing about the server of tokens, but many of them in a row do.
                if Instant::now().saturating_duration_since(since) >= TOKEN_TIME_MAX {
                    held.doubt = Some(Doubt::Silent);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Adc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adc").finish_non_exhaustive()
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoToken {}

/// Chooses what to ask for among the scopes that a service takes. A person's login cannot get a scope that was not agreed
/// to when they logged in, and `cloud-platform` is what everybody agrees to; what may be done is for IAM to say.
fn wanted(scopes: Vec<String>) -> Vec<String> {
    if scopes.is_empty() || scopes.iter().any(|scope| scope == CLOUD_PLATFORM) {
        return vec![CLOUD_PLATFORM.to_owned()];
    }
    scopes
}

enum Failed {
    Error(CredentialsError),
    Panic(String),
}

/// Asks the crate. A token task of its that died makes it panic, for instance where no root certificate is installed:
/// that is one more way to have no token.
async fn headers(credentials: &Credentials) -> Result<HeaderMap, Failed> {
    let mut asked = pin!(credentials.headers(Extensions::new()));
    let answer =
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(cx))) {
            Ok(poll) => poll.map_err(Failed::Error),
            Err(payload) => Poll::Ready(Err(Failed::Panic(text(payload.as_ref()).to_owned()))),
        });
    match answer.await? {
        CacheableResource::New { data, .. } => Ok(data),
        CacheableResource::NotModified => {
            Err(Failed::Panic("nothing new, though nothing was held".to_owned()))
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a text")
}

fn shown(headers: &HeaderMap) -> Shown {
    Shown {
        authorization: headers.get(header::AUTHORIZATION).cloned(),
        user_project: headers.get(&USER_PROJECT).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_for_nothing_they_did_not_agree_to() {
        let of = |scopes: &[&str]| wanted(scopes.iter().map(|&scope| scope.to_owned()).collect());
        let bigquery = "https://www.googleapis.com/auth/bigquery";
        assert_eq!(of(&[]), [CLOUD_PLATFORM]);
        assert_eq!(of(&[bigquery, CLOUD_PLATFORM]), [CLOUD_PLATFORM]);
        assert_eq!(of(&[bigquery]), [bigquery]);
    }
}
