//! `[database]`: where records are kept.

use std::path::PathBuf;

use super::secret::SecretUrl;
use super::section::Section;
use super::source;

/// The store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// `url`: `postgres://…` or `sqlite://…`. Without it records are kept in a temporary file.
    pub url: Option<SecretUrl>,
    /// `migrate`: whether `serve` brings the schema up to date when it starts. Default true.
    pub migrate: bool,
    /// `connections_max`: connections to Postgres. Default 16.
    pub connections_max: u32,
    /// Where a temporary file is made. Not a key: the system says it.
    pub temporary_folder: PathBuf,
}

impl Database {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let url = s.optional::<SecretUrl>("url");
        if url.as_ref().is_some_and(|url| {
            !["postgres://", "postgresql://", "sqlite://"]
                .iter()
                .any(|scheme| url.expose().starts_with(scheme))
        }) {
            s.wrong("url", "expected a URL that begins with postgres:// or sqlite://");
        }
        Self {
            url,
            migrate: s.value("migrate", true),
            connections_max: s.bounded("connections_max", 16, 4..=1000),
            temporary_folder: source::temporary_folder(),
        }
    }
}
