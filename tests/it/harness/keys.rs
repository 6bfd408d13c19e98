//! Keys of callers, made as `causeway keys` makes them.

use std::sync::Arc;

use causeway::{
    clock::SystemClock,
    config::{Config, Sources},
    identity::keys::{Keys, NewKey},
    model::{ApiKey, Role},
    store::Store,
};

use super::database::Database;

/// The keys of one database.
pub(crate) struct Keyring {
    /// The keys themselves.
    pub(crate) keys: Keys,
    /// The database of a gateway.
    pub(crate) database: Database,
}

impl Keyring {
    /// Opens a file that a gateway may have open too.
    pub(crate) async fn new() -> Self {
        Self::of(Database::sqlite()).await
    }

    /// Opens a database.
    pub(crate) async fn of(database: Database) -> Self {
        let set = vec!["identity.mode=keys".to_owned(), database.setting()];
        let config = Config::load(Sources { set, ..Sources::default() })
            .into_config()
            .unwrap_or_else(|problems| panic!("{problems}"));
        let store = Store::open(&config.database, Arc::new(SystemClock))
            .await
            .unwrap_or_else(|error| panic!("{}", error.told()));
        Self { keys: Keys::new(store), database }
    }

    /// What a gateway needs to know these keys.
    pub(crate) fn settings(&self) -> [String; 2] {
        ["identity.mode=keys".to_owned(), self.database.setting()]
    }

    /// Makes a key.
    pub(crate) async fn make(&self, principal: &str, role: Role, resources: &[&str]) -> (ApiKey, String) {
        make_key(&self.keys, principal, role, resources).await
    }
}

/// Makes a key, and returns it with its text.
pub(crate) async fn make_key(
    keys: &Keys,
    principal: &str,
    role: Role,
    resources: &[&str],
) -> (ApiKey, String) {
    let new = NewKey {
        principal: principal.to_owned(),
        role,
        resources: resources.iter().map(|pattern| pattern.parse().expect("a pattern")).collect(),
        note: String::new(),
        expires: None,
    };
    let (kept, key) = keys.create(new, "the story").await.unwrap_or_else(|error| panic!("{}", error.told()));
    (kept, key.expose().to_owned())
}

/// Puts a key or token where it belongs.
pub(crate) fn bearer(credential: &str) -> String {
    format!("Bearer {credential}")
}
