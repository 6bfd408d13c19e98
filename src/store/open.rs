//! From a configuration to a store that can be used.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::sync::Notify;

use super::{Backend, InstanceId, Store, Temporary, clock::Offset, failure, postgres, sqlite};
use crate::{
    clock::Clock,
    config, crypto,
    error::{Code, Error, Reason, Result},
    workers::Home,
};

/// The longest wait for a connection, and so for the database to show that it is away.
pub(super) const ACQUIRE_TIME_MAX: Duration = Duration::from_secs(3);

impl Store {
    /// Connects, checks that the database keeps what it is given, and brings its schema up to date if `migrate` is set. A
    /// file that is not there is made. Without a URL the store is a temporary file.
    ///
    /// # Errors
    /// The database cannot be reached, is not as it must be, or lacks migrations.
    pub async fn open(config: &config::Database, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::connect(config, clock).await?.brought_up_to_date(config).await
    }

    /// Opens, for whoever has nothing to do in a database that is new.
    ///
    /// # Errors
    /// As [`Self::open`], or there is no such file.
    pub async fn open_existing(config: &config::Database, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::connect_existing(config, clock).await?.brought_up_to_date(config).await
    }

    /// Connects without looking at the schema, as `migrate` does. A file that is not there is made.
    ///
    /// # Errors
    /// The database cannot be reached or is not as it must be.
    pub async fn connect(config: &config::Database, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::connect_to(config, clock, true).await
    }

    /// Connects without looking at the schema, for whoever has nothing to do in a database that is new.
    ///
    /// # Errors
    /// As [`Self::connect`], or there is no such file.
    pub async fn connect_existing(config: &config::Database, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::connect_to(config, clock, false).await
    }

    async fn brought_up_to_date(self, config: &config::Database) -> Result<Self> {
        if config.migrate || self.is_temporary() {
            let done = self.migrate().await?;
            if !done.is_empty() && !self.is_temporary() {
                tracing::info!(migrations = done.join(", "), "brought the schema up to date");
            }
        }
        self.require_current().await?;
        Ok(self)
    }

    async fn connect_to(config: &config::Database, clock: Arc<dyn Clock>, may_make: bool) -> Result<Self> {
        let mut temporary = None;
        let backend = match &config.url {
            Some(url) if url.expose().starts_with("sqlite:") => {
                let files = sqlite::open(url.expose(), may_make).await;
                Backend::Sqlite(files.map_err(|error| cannot(config, &error))?)
            }
            Some(url) => {
                let pool = postgres::open(url.expose(), config.connections_max).await;
                Backend::Postgres(pool.map_err(|error| cannot(config, &error))?)
            }
            None => {
                let folder = temporary_folder(&config.temporary_folder)?;
                let file = folder.join("causeway.db");
                temporary = Some(Temporary(folder));
                Backend::Sqlite(sqlite::open_temporary(&file).await.map_err(failure::of)?)
            }
        };
        let instance = InstanceId::new(clock.now());
        let store = Self(Arc::new(super::Inner {
            backend,
            clock,
            offset: Offset::default(),
            instance,
            home: Home::here(),
            told: Notify::new(),
            temporary,
        }));
        store.measure_clock().await;
        Ok(store)
    }
}

fn cannot(config: &config::Database, error: &sqlx::Error) -> Error {
    let shown = config.url.as_ref().map(ToString::to_string).unwrap_or_default();
    let why = match error {
        sqlx::Error::Configuration(why) => why.to_string(),
        _ => error.to_string(),
    };
    let text = format!("database.url: {shown}: {why}");
    Error::new(Code::Unavailable, Reason::StoreUnavailable, text)
}

/// Makes a folder that nobody else can guess or read.
fn temporary_folder(within: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;

    let name = format!("causeway-{}", crypto::uuid_text(&crypto::random()));
    let folder = within.join(name);
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(|error| {
        let text =
            format!("no database.url is set, and no temporary file can be made in {}", folder.display());
        Error::new(Code::Unavailable, Reason::StoreUnavailable, text).with_source(error)
    })?;
    Ok(folder)
}
