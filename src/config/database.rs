//! `[database]`: where records are kept.

use super::secret::SecretUrl;
use super::section::Section;

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// `url`: `postgres://…` or `sqlite://…`.
    pub url: Option<SecretUrl>,
    /// `migrate`: whether `serve` brings the schema up to date when it starts. Default true.
    pub migrate: bool,
}

impl Database {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.without_effect("url");
        s.without_effect("migrate");
        let url = s.optional::<SecretUrl>("url");
        if url.as_ref().is_some_and(|url| {
            !["postgres://", "postgresql://", "sqlite://"]
                .iter()
                .any(|scheme| url.expose().starts_with(scheme))
        }) {
            s.wrong("url", "expected a URL that begins with postgres:// or sqlite://");
        }
        Self { url, migrate: s.value("migrate", true) }
    }
}
