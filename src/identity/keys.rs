//! API keys: made, shown once, looked up, revoked.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    access,
    credential::unauthenticated,
    key::{Key, PREFIX},
};
use crate::{
    error::{Code, Error, Reason, Result},
    model::{ApiKey, Pattern, Principal, Role},
    store::{Health, Kept, Room, Store, TOUCHED_MAX},
};

/// Live keys of one principal, whatever they open.
pub const LIVE_KEYS_MAX: u32 = 10;
/// Live keys of one principal that open the same: the one in use, and the one that is to take its place. With more, nobody
/// would know which of them is still needed.
pub const ALIKE_KEYS_MAX: u32 = 2;
/// Patterns of one key.
const PATTERNS_MAX: usize = 64;
/// Bytes of a principal's name, and of a note.
const TEXT_BYTES_MAX: usize = 256;
/// When to try again while the database is away.
const AWAY_WAIT: Duration = Duration::from_secs(2);
/// How often marks of use are written.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Marks of use that wait to be written.
const MARKS_MAX: usize = 10_000;

/// The keys in the database, and the marks of use that are not yet there.
pub struct Keys {
    store: Store,
    used: Mutex<HashMap<String, Timestamp>>,
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Who will have it.
    pub principal: String,
    /// What its owner may do.
    pub role: Role,
    /// To which resources.
    pub resources: Vec<Pattern>,
    /// What it is for.
    pub note: String,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

impl Keys {
    /// Manages the keys of a store.
    pub fn new(store: Store) -> Self {
        Self { store, used: Mutex::default() }
    }

    /// Makes a key. The second value is the key itself, which nobody will ever see again.
    ///
    /// # Errors
    /// `INVALID_FIELD` for what cannot be, `LIMIT_EXCEEDED` if the principal has [`ALIKE_KEYS_MAX`] live keys that open the same, or
    /// [`LIVE_KEYS_MAX`] in all.
    pub async fn create(&self, new: NewKey, created_by: &str) -> Result<(ApiKey, Key)> {
        let now = self.store.now();
        check(&new, now)?;
        let key = Key::generate();
        let kept = ApiKey {
            id: key.id().to_owned(),
            hash: key.hash(),
            principal: new.principal,
            role: new.role,
            resources: new.resources,
            note: new.note,
            created_by: created_by.to_owned(),
            created: now,
            expires: new.expires,
            revoked: None,
            last_used: None,
        };
        let room = Room { live_max: LIVE_KEYS_MAX, alike_max: ALIKE_KEYS_MAX };
        let full = match self.store.insert_key(&kept, room, now).await? {
            Kept::Yes => return Ok((kept, key)),
            Kept::TooManyAlike => {
                format!(
                    "{ALIKE_KEYS_MAX} live keys with this role on these resources, the old one and the new"
                )
            }
            Kept::TooMany => format!("{LIVE_KEYS_MAX} live keys"),
        };
        let text = format!("{} has {full}; revoke one that is no longer used first.", kept.principal);
        Err(Error::new(Code::FailedPrecondition, Reason::LimitExceeded, text))
    }

    /// Finds a key by its id, dead or alive.
    pub async fn find(&self, id: &str) -> Result<Option<ApiKey>> {
        self.store.find_key(id).await
    }

    /// Lists up to `limit` keys, the newest first, behind the one that was made at `after` and has that id.
    pub async fn list(&self, after: Option<(Timestamp, &str)>, limit: u32) -> Result<Vec<ApiKey>> {
        self.store.list_keys(after, limit).await
    }

    /// Revokes a key and returns it; `None` if there is none.
    pub async fn revoke(&self, id: &str) -> Result<Option<ApiKey>> {
        self.store.revoke_key(id, self.store.now()).await
    }

    /// Tells the time by which keys end.
    pub fn now(&self) -> Timestamp {
        self.store.now()
    }

    /// Finds the key that a text is, if it is live.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, the same for a key that is not there and one whose secret is wrong; `STORE_UNAVAILABLE`.
    pub(super) async fn verify(&self, text: &str) -> Result<ApiKey> {
        let unknown = || unauthenticated("The API key is not known here, or was revoked.");
        let shown = Key::parse(text).ok_or_else(|| {
            unauthenticated(format!(
                "The API key is not whole; a key begins with {PREFIX} and has 54 characters."
            ))
        })?;
        if self.store.health() == Health::Away {
            // Asking would take as long as the wait for a connection, for every request.
            return Err(Error::new(
                Code::Unavailable,
                Reason::StoreUnavailable,
                "The gateway's database cannot be reached, so the key cannot be looked up. Try again later.",
            )
            .with_retry_after(AWAY_WAIT));
        }
        let kept = self.store.find_key(shown.id()).await?.ok_or_else(unknown)?;
        if !shown.has_hash(&kept.hash) || kept.revoked.is_some() {
            return Err(unknown());
        }
        let now = self.store.now();
        if !kept.is_live(now) {
            return Err(unauthenticated("The API key has expired."));
        }
        self.mark(&kept.id, now);
        Ok(kept)
    }

    fn mark(&self, id: &str, now: Timestamp) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() < MARKS_MAX {
            used.insert(id.to_owned(), now);
        }
    }

    /// Writes marks of use now and then until `stop` is cancelled, and once more. What cannot be written waits.
    pub async fn keep_marks(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(FLUSH_EVERY)).await.is_some() {
            self.flush().await;
        }
        self.flush().await;
    }

    async fn flush(&self) {
        let mut marks: Vec<(String, Timestamp)> = {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.drain().collect()
        };
        // In one order everywhere, so that two replicas never wait for one another.
        marks.sort_unstable();
        for some in marks.chunks(TOUCHED_MAX) {
            if let Err(error) = self.store.touch_keys(some).await {
                tracing::debug!(error = error.told(), "marks of use of API keys could not be written");
                let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
                for (id, at) in some.iter().take(MARKS_MAX.saturating_sub(used.len())) {
                    // It may have been used meanwhile.
                    used.entry(id.clone()).or_insert(*at);
                }
            }
        }
    }
}

/// Refuses to let a principal hand out, or take away, more than it has.
///
/// # Errors
/// `PERMISSION_DENIED`.
pub fn require_over(principal: &Principal, permission: &str, resources: &[Pattern]) -> Result<()> {
    resources
        .iter()
        .try_for_each(|pattern| access::require(principal, permission, Role::Admin, pattern.as_str()))
}

fn check(new: &NewKey, now: Timestamp) -> Result<()> {
    // No space, and nothing that is not seen or turns others around: whoever reads the log must read who it was.
    let is_filler = |c: char| matches!(c, '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    let plain = |c: char| c.is_ascii_graphic() || (c.is_alphanumeric() && !is_filler(c));
    let name = &new.principal;
    if name.is_empty() || name.len() > TEXT_BYTES_MAX || !name.chars().all(plain) {
        let why = format!(
            "expected a name of 1 to {TEXT_BYTES_MAX} bytes, of letters, digits and signs of ASCII, without spaces"
        );
        return Err(Error::invalid_field("principal", why));
    }
    if *name == Principal::anonymous().id || name.ends_with('*') {
        return Err(Error::invalid_field("principal", "this name has a meaning of its own; choose another"));
    }
    if new.resources.is_empty() || new.resources.len() > PATTERNS_MAX {
        let why =
            format!("expected 1 to {PATTERNS_MAX} patterns, such as projects/acme-*; * means everything");
        return Err(Error::invalid_field("resources", why));
    }
    if new.note.len() > TEXT_BYTES_MAX || new.note.chars().any(char::is_control) {
        return Err(Error::invalid_field("note", format!("expected at most {TEXT_BYTES_MAX} bytes of text")));
    }
    if new.expires.is_some_and(|expires| expires <= now) {
        return Err(Error::invalid_field("expireTime", "expected a time that is still to come"));
    }
    Ok(())
}
