//! What is kept of an API key.

use jiff::Timestamp;

use super::{Pattern, Role};

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id: the part of the key that is no secret.
    pub id: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// Who has it.
    pub principal: String,
    /// What its owner may do.
    pub role: Role,
    /// To which resources.
    pub resources: Vec<Pattern>,
    /// What it is for, in its creator's words.
    pub note: String,
    /// Who made it: a principal, or `cli`.
    pub created_by: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last seen, to within half a minute.
    pub last_used: Option<Timestamp>,
}

impl ApiKey {
    /// Whether it opens anything at this moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}
