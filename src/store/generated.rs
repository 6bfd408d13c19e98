//! Secrets that nobody configured: made once, and kept in the database.

use super::{Store, both};
use crate::{crypto, error::Result};

impl Store {
    /// Returns the secret of this name, made now if there is none. All replicas get the same.
    ///
    /// # Errors
    /// The database is away.
    pub async fn generated_secret(&self, name: &str) -> Result<[u8; crypto::KEY_BYTES]> {
        let fresh: [u8; crypto::KEY_BYTES] = crypto::random();
        let kept: Vec<u8> = both!(self, generated::keep(name, &fresh, self.now().as_microsecond()))?;
        kept.try_into().map_err(|_| crate::error::Error::internal("a generated secret has another length"))
    }
}
