//! Secrets that nobody configured: made once, and kept in the database.

use super::{Store, both};
use crate::{
    crypto,
    error::{Error, Result},
};

impl Store {
    /// Returns the secret of this name, made now if there is none. All replicas get the same.
    ///
    /// # Errors
    /// The database is away.
    pub async fn generated_secret(&self, name: &str) -> Result<[u8; crypto::KEY_BYTES]> {
        let fresh: [u8; crypto::KEY_BYTES] = crypto::random();
        both!(self, generated::keep(name, &fresh, self.now().as_microsecond())).and_then(read)
    }

    /// Returns the secret of this name, if there is one.
    ///
    /// # Errors
    /// The database is away.
    pub async fn find_generated_secret(&self, name: &str) -> Result<Option<[u8; crypto::KEY_BYTES]>> {
        both!(self, generated::find(name))?.map(read).transpose()
    }
}

fn read(kept: Vec<u8>) -> Result<[u8; crypto::KEY_BYTES]> {
    kept.try_into().map_err(|_| Error::internal("a generated secret has another length"))
}
