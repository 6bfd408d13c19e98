//! `[redis]`: what replicas share besides the database.

use super::secret::SecretUrl;
use super::section::Section;

/// The link to Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redis {
    /// `url`: `redis://…` or `rediss://…`.
    pub url: Option<SecretUrl>,
}

impl Redis {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let url = s.optional::<SecretUrl>("url");
        if url.as_ref().is_some_and(|url| {
            !url.expose().starts_with("redis://") && !url.expose().starts_with("rediss://")
        }) {
            s.wrong("url", "expected a URL that begins with redis:// or rediss://");
        }
        Self { url }
    }
}
