//! Who calls, what they may do, and how much of it.
//!
//! - [`Identity`]: from the headers of a request to a [`Principal`]. `credential` sorts what a request shows, `keys` knows
//!   API keys, `jwt` tokens of issuers, `verified` remembers both for a moment.
//! - [`access`]: from a principal, a permission and a resource to yes or no. `pattern` compares names, `grants` reads those
//!   of the configuration.
//! - [`Limits`]: how much of it.
//!
//! What holds:
//! - A key's secret is nowhere: not in the database, not in a log. What is compared is a hash, in constant time.
//! - A revoked key opens nothing after [`REVOKED_AFTER_MAX`], in any replica; while a replica cannot reach the database,
//!   after [`WITHOUT_STORE_MAX`]. Where it is revoked over the API, that replica knows at once.
//! - A credential of ours is never among what may go on to an upstream.
//! - What is refused is refused before anybody looks whether the resource exists.
//!
//! It deliberately knows no routes and no methods: whoever has those asks with a permission, a role and a name.

pub mod access;
mod credential;
mod grants;
mod jwt;
mod key;
pub mod keys;
pub mod limit;
mod pattern;
mod verified;

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use jiff::Timestamp;

use self::{
    credential::{Headers, Shown, unauthenticated},
    grants::Grants,
    jwt::Issuers,
    keys::Keys,
    verified::{Known, Verified},
};
use crate::{
    clock::Clock,
    config, crypto,
    egress::Fetcher,
    error::{Code, Reason, Result},
    model::{ApiKey, Grant, Principal, Proof, Role},
    store::Store,
};

pub use self::{
    credential::refuse_in_query,
    key::Key,
    limit::{Limits, Verdict},
};

/// How long a key that was looked up is used without looking again.
const KEY_FRESH_FOR: Duration = Duration::from_secs(4);
/// The longest time after which a revoked key opens nothing, in every replica that reaches the database.
pub const REVOKED_AFTER_MAX: Duration = Duration::from_secs(5);
/// How long a key that was looked up is used while the database is away.
pub const WITHOUT_STORE_MAX: Duration = Duration::from_secs(60);
/// How long a token that was checked is used without checking again.
const TOKEN_FRESH_FOR: Duration = Duration::from_secs(60);

// What is not confirmed by then opens nothing.
const _: () = assert!(
    KEY_FRESH_FOR.as_millis() + verified::RECHECK_TIME_MAX.as_millis() <= REVOKED_AFTER_MAX.as_millis(),
    "what is promised about revoked keys is kept"
);

/// Tells who calls.
pub struct Identity {
    keys: Arc<Keys>,
    takes_keys: bool,
    issuers: Option<Issuers>,
    grants: Grants,
    limits: Arc<Limits>,
    verified: Verified,
    clock: Arc<dyn Clock>,
    anonymous: Arc<Principal>,
}

/// Who calls, and what of the headers may go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Authenticated {
    /// Who calls.
    pub principal: Arc<Principal>,
    /// Whether `Authorization` is not ours, so that it may go on to an upstream that takes the caller's.
    pub authorization_is_free: bool,
}

impl Identity {
    /// Prepares what the configuration asks for.
    ///
    /// # Errors
    /// There is no way to fetch the keys of issuers.
    pub fn new(
        config: &config::Identity,
        store: &Store,
        limits: Arc<Limits>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let issuers = match config.takes_tokens() {
            true => Some(Issuers::new(&config.issuers, &Fetcher::new()?)),
            false => None,
        };
        Ok(Self {
            keys: Arc::new(Keys::new(store.clone())),
            takes_keys: config.takes_keys(),
            issuers,
            grants: Grants::new(&config.grants),
            limits,
            verified: Verified::default(),
            clock,
            anonymous: Arc::new(Principal::anonymous()),
        })
    }

    /// Whether callers are asked who they are.
    pub fn is_on(&self) -> bool {
        self.takes_keys || self.issuers.is_some()
    }

    /// Returns the API keys, whether or not callers may show them.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Finds out who sends these headers from this address.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`; `RATE_LIMITED` after many wrong credentials of the address; `STORE_UNAVAILABLE`.
    pub async fn authenticate(&self, headers: &HeaderMap, address: IpAddr) -> Result<Authenticated> {
        if !self.is_on() {
            let authorization_is_free = credential::is_free_without_identity(headers)?;
            return Ok(Authenticated { principal: self.anonymous.clone(), authorization_is_free });
        }
        let found = self.find(headers, address).await;
        // That an issuer's keys cannot be had is no fault of the address.
        if found.as_ref().is_err_and(|error| error.code() == Code::Unauthenticated) {
            self.limits.count_failure(address);
        }
        found
    }

    async fn find(&self, headers: &HeaderMap, address: IpAddr) -> Result<Authenticated> {
        let sorted = credential::sort(headers)?;
        self.refuse_ours_among_what_goes_on(headers, &sorted)?;
        let (Shown::Key(shown) | Shown::Token(shown)) = sorted.shown else {
            return Err(unauthenticated(self.what_is_missing()));
        };
        let digest = crypto::sha256(&[shown.as_bytes()]);
        // What is not known yet is boxed: it is larger, and rare.
        let principal = match self.verified.find(&digest, self.clock.now()) {
            Known::Good(principal) => principal,
            known => Box::pin(self.look(sorted.shown, digest, known, address)).await?,
        };
        Ok(Authenticated { principal, authorization_is_free: sorted.authorization_is_free })
    }

    /// Looks at a credential that is not known to be good.
    async fn look(
        &self,
        shown: Shown<'_>,
        digest: [u8; 32],
        mut known: Known,
        address: IpAddr,
    ) -> Result<Arc<Principal>> {
        let mut turn = match &known {
            Known::Late(turn) => Some(turn.clone().lock_owned().await),
            _ => None,
        };
        let now = self.clock.now();
        if turn.is_some() {
            known = self.verified.find_in_turn(&digest, now);
        }
        if matches!(known, Known::Nothing) {
            // Others ask by themselves, too.
            turn = None;
            self.limits.check_failures(address)?;
        }
        let found = match (known, shown) {
            (Known::Good(principal), _) => Ok(principal),
            (known, Shown::Key(key)) => self.look_up(key, digest, known, now).await,
            (_, Shown::Token(token)) => self.check_token(token, digest, now).await,
            (_, Shown::Nothing) => Err(unauthenticated(self.what_is_missing())),
        };
        drop(turn);
        found
    }

    /// Asks the database about a key. While it is away, a key that was good a moment ago stays so.
    async fn look_up(
        &self,
        key: &str,
        digest: [u8; 32],
        known: Known,
        now: Timestamp,
    ) -> Result<Arc<Principal>> {
        if !self.takes_keys {
            return Err(unauthenticated(
                "This gateway takes no API keys; send a token as Authorization: Bearer.",
            ));
        }
        match (self.keys.verify(key).await, known) {
            (Ok(key), _) => {
                let ends = key.expires.unwrap_or(Timestamp::MAX);
                let principal = Arc::new(self.owner(key));
                self.verified.insert(digest, principal.clone(), now, KEY_FRESH_FOR, ends);
                Ok(principal)
            }
            (Err(error), Known::Due(principal, confirmed))
                if error.reason() == Some(Reason::StoreUnavailable)
                    && now < verified::later(confirmed, WITHOUT_STORE_MAX) =>
            {
                // Asking may have taken a while, in which the database was away.
                self.verified.go_on(&digest, self.clock.now(), KEY_FRESH_FOR, WITHOUT_STORE_MAX);
                Ok(principal)
            }
            (Err(error), known) => {
                // Whoever waits for a turn asks by itself then, as everybody with what is not known. Who knew nothing does not
                // know better than who came to know meanwhile.
                if matches!(known, Known::Due(..)) || error.reason() == Some(Reason::Unauthenticated) {
                    self.verified.remove(&digest);
                }
                Err(error)
            }
        }
    }

    async fn check_token(&self, token: &str, digest: [u8; 32], now: Timestamp) -> Result<Arc<Principal>> {
        let Some(issuers) = &self.issuers else {
            return Err(unauthenticated(
                "Authorization holds no API key of this gateway; a key begins with cw_ and goes into Authorization: \
                 Bearer or X-Goog-Api-Key.",
            ));
        };
        let believed = match issuers.check(token, now).await {
            Ok(believed) => believed,
            Err(error) => {
                self.verified.remove(&digest);
                return Err(error);
            }
        };
        let id = format!("{}:{}", believed.issuer, believed.subject);
        let grants = self.grants.of(&id);
        let principal = Arc::new(Principal { id, proof: Proof::Jwt(believed.issuer), grants });
        self.verified.insert(digest, principal.clone(), now, TOKEN_FRESH_FOR, believed.ends);
        Ok(principal)
    }

    fn owner(&self, key: ApiKey) -> Principal {
        let mut grants = vec![Grant { role: key.role, resources: key.resources }];
        grants.extend(self.grants.of(&key.principal));
        Principal { id: key.principal, proof: Proof::ApiKey(key.id), grants }
    }

    /// Refuses to let a principal make keys that stand for a name. A key may do what the configuration grants its name, too, so
    /// whoever makes one has to be admin of all of that; and of everything, where the name is one that tokens of an issuer
    /// speak for.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn require_over_name(&self, principal: &Principal, permission: &str, name: &str) -> Result<()> {
        // One's own too: a key outlives what the issuer says of somebody.
        if self.issuers.as_ref().is_some_and(|issuers| issuers.speak_for(name)) {
            access::require(principal, permission, Role::Admin, "*")?;
        }
        if principal.id == name {
            return Ok(());
        }
        let granted = self.grants.of(name);
        granted.iter().try_for_each(|grant| keys::require_over(principal, permission, &grant.resources))
    }

    /// Forgets what is remembered of a key, so that its end takes effect in this process at once.
    pub fn forget_key(&self, id: &str) {
        self.verified.forget_key(id);
    }

    /// A token that one of our issuers made would let whoever runs the upstream call us.
    fn refuse_ours_among_what_goes_on(&self, headers: &HeaderMap, sorted: &Headers<'_>) -> Result<()> {
        let Some(issuers) = &self.issuers else { return Ok(()) };
        let going_on = credential::going_on(headers, sorted);
        if going_on.into_iter().flatten().any(|token| issuers.may_be_ours(token)) {
            return Err(unauthenticated(
                "A token for this gateway is meant for an upstream here; send it alone, in Authorization: Bearer.",
            ));
        }
        Ok(())
    }

    fn what_is_missing(&self) -> &'static str {
        match (self.takes_keys, &self.issuers) {
            (true, None) => "No credential: send an API key in Authorization: Bearer or in X-Goog-Api-Key.",
            (false, _) => "No credential: send a token in Authorization: Bearer.",
            (true, Some(_)) => {
                "No credential: send a token or an API key in Authorization: Bearer, or a key in X-Goog-Api-Key."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::{clock::ManualClock, store::contract};

    fn identity(store: &Store, clock: &Arc<ManualClock>) -> Identity {
        let set = vec!["identity.mode=keys".to_owned(), "database.url=sqlite://unused.db".to_owned()];
        let config = config::Config::load(config::Sources { set, ..config::Sources::default() });
        let config = config.into_config().expect("the settings are right");
        let limits = Arc::new(Limits::new(&config.limits, None));
        Identity::new(&config.identity, store, limits, clock.clone()).expect("there is no issuer")
    }

    /// One request a second was refused, and all others passed for as long as the database was away.
    #[tokio::test]
    async fn without_a_database_a_key_opens_for_so_long_and_then_to_nobody() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        for store in contract::each(clock.clone()).await {
            let identity = identity(&store, &clock);
            let new = keys::NewKey {
                principal: "alice".to_owned(),
                role: Role::Viewer,
                resources: vec!["*".parse().expect("it is a pattern")],
                note: String::new(),
                expires: None,
            };
            let (_, key) = identity.keys().create(new, "bob").await.expect("it is made");
            let mut shown = HeaderValue::from_str(&format!("Bearer {}", key.expose())).expect("it is text");
            shown.set_sensitive(true);
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, shown)]);
            let opened = async || {
                let mut opened = 0;
                for _ in 0..3 {
                    opened +=
                        usize::from(identity.authenticate(&headers, [127, 0, 0, 1].into()).await.is_ok());
                }
                opened
            };
            assert_eq!(opened().await, 3);
            contract::take_away(&store);
            for _ in 0..11 {
                clock.advance(REVOKED_AFTER_MAX);
                assert_eq!(opened().await, 3, "{}", clock.now());
            }
            clock.advance(REVOKED_AFTER_MAX);
            assert_eq!(opened().await, 0, "{}", clock.now());
            clock.advance(Duration::from_secs(1));
            assert_eq!(opened().await, 0, "{}", clock.now());
        }
    }
}
