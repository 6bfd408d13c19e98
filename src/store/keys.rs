//! API keys.

use jiff::Timestamp;

use super::{Store, both};
use crate::{
    error::{Error, Result},
    model::{ApiKey, Pattern, Role},
};

/// Keys that one statement marks as used.
pub const TOUCHED_MAX: usize = 1000;

/// How many live keys a principal may have.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// All together.
    pub live_max: u32,
    /// With the same role on the same resources.
    pub alike_max: u32,
}

/// Whether a key was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was.
    Yes,
    /// There are too many that open the same.
    TooManyAlike,
    /// There are too many.
    TooMany,
}

/// A key as both dialects keep it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) hash: Vec<u8>,
    pub(super) principal: String,
    pub(super) role: String,
    pub(super) resources: String,
    pub(super) note: String,
    pub(super) created_by: String,
    pub(super) created_at: i64,
    pub(super) expires_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    pub(super) last_used_at: Option<i64>,
}

impl Store {
    /// Keeps a new key if there is room for it among those of its principal that are live at `now`.
    pub async fn insert_key(&self, key: &ApiKey, room: Room, now: Timestamp) -> Result<Kept> {
        let row = Row::of(key);
        both!(self, keys::insert(&row, room, now.as_microsecond()))
    }

    /// Finds a key by its id, dead or alive.
    pub async fn find_key(&self, id: &str) -> Result<Option<ApiKey>> {
        both!(self, keys::find(id))?.map(Row::read).transpose()
    }

    /// Lists up to `limit` keys, the newest first, behind the one that was made at `after` and has that id.
    pub async fn list_keys(&self, after: Option<(Timestamp, &str)>, limit: u32) -> Result<Vec<ApiKey>> {
        let (created, id) = after.map_or((i64::MAX, ""), |(created, id)| (created.as_microsecond(), id));
        both!(self, keys::list(created, id, limit.into()))?.into_iter().map(Row::read).collect()
    }

    /// Revokes a key and returns it; one that is revoked already stays revoked since then. `None` if there is none.
    pub async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<Option<ApiKey>> {
        both!(self, keys::revoke(id, now.as_microsecond()))?.map(Row::read).transpose()
    }

    /// Marks up to [`TOUCHED_MAX`] keys as used; a mark never goes back in time.
    pub async fn touch_keys(&self, used: &[(String, Timestamp)]) -> Result<()> {
        let used = &used[..used.len().min(TOUCHED_MAX)];
        let (ids, times): (Vec<String>, Vec<i64>) =
            used.iter().map(|(id, at)| (id.clone(), at.as_microsecond())).unzip();
        both!(self, keys::touch(&ids, &times))
    }
}

impl Row {
    fn of(key: &ApiKey) -> Self {
        let resources: Vec<&str> = key.resources.iter().map(Pattern::as_str).collect();
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        Self {
            id: key.id.clone(),
            hash: key.hash.to_vec(),
            principal: key.principal.clone(),
            role: key.role.name().to_owned(),
            resources: resources.join("\n"),
            note: key.note.clone(),
            created_by: key.created_by.clone(),
            created_at: key.created.as_microsecond(),
            expires_at: micros(key.expires),
            revoked_at: micros(key.revoked),
            last_used_at: micros(key.last_used),
        }
    }

    fn read(self) -> Result<ApiKey> {
        let wrong = |what: &str| Error::internal(format!("api_keys: {} has no readable {what}", self.id));
        let time = |micros: i64| Timestamp::from_microsecond(micros).map_err(|_| wrong("time"));
        Ok(ApiKey {
            hash: self.hash.as_slice().try_into().map_err(|_| wrong("hash"))?,
            role: Role::find(&self.role).ok_or_else(|| wrong("role"))?,
            resources: self
                .resources
                .lines()
                .map(|line| line.parse().map_err(|_| wrong("resources")))
                .collect::<Result<_>>()?,
            created: time(self.created_at)?,
            expires: self.expires_at.map(time).transpose()?,
            revoked: self.revoked_at.map(time).transpose()?,
            last_used: self.last_used_at.map(time).transpose()?,
            id: self.id,
            principal: self.principal,
            note: self.note,
            created_by: self.created_by,
        })
    }
}
