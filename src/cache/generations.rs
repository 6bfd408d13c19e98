//! The generations of scopes, wherever they are.

use std::sync::Arc;

use super::{Scope, local::LocalGenerations, shared::Shared};

/// Why a look-up gets no generations.
pub(super) const AWAY: &str = "redis-away";
/// The same.
pub(super) const BUMP_PENDING: &str = "bump-pending";

/// Where the generations are.
pub(super) enum Generations {
    Local(LocalGenerations),
    Shared(Arc<Shared>),
}

impl Generations {
    /// Reads the generations as they are no earlier than now.
    pub(super) async fn read(&self, scopes: &Arc<[Scope]>) -> Result<Vec<u64>, &'static str> {
        match self {
            Self::Local(local) => Ok(local.read(scopes)),
            Self::Shared(shared) => shared.generations(scopes).await,
        }
    }

    /// Reads the generations as they are no earlier than now if they are others than these; `None`: they are these.
    pub(super) async fn changed(
        &self,
        scopes: &Arc<[Scope]>,
        known: &[u64],
    ) -> Result<Option<Vec<u64>>, &'static str> {
        let now = match self {
            Self::Local(local) if local.are(scopes, known) => return Ok(None),
            Self::Local(local) => local.read(scopes),
            Self::Shared(shared) => shared.generations(scopes).await?,
        };
        Ok((now != known).then_some(now))
    }

    /// Tells whether it is done; where not, it will be.
    pub(super) async fn bump(&self, scopes: &[Scope]) -> bool {
        match self {
            Self::Local(local) => {
                local.bump(scopes);
                true
            }
            Self::Shared(shared) => shared.bump(scopes).await,
        }
    }

    pub(super) fn shared(&self) -> Option<&Arc<Shared>> {
        match self {
            Self::Local(_) => None,
            Self::Shared(shared) => Some(shared),
        }
    }
}
