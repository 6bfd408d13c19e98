//! Places for those who stay: what is watched ends when whoever watches wants, and each look costs the database.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    admit::overloaded,
    share::{Counter, Shares},
};
use crate::error::Result;

/// So many seats; one principal has at most half of them.
pub(in crate::http) struct Seats {
    free: Arc<Semaphore>,
    shares: Arc<Shares>,
}

/// A seat; given back when dropped.
pub(in crate::http) struct Seat {
    _seat: OwnedSemaphorePermit,
    _share: Option<Share>,
}

struct Share(Arc<Shares>, Counter);

impl Drop for Share {
    fn drop(&mut self) {
        self.0.give_back(self.1, 1);
    }
}

impl Seats {
    /// Makes so many.
    pub(in crate::http) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), shares: Arc::new(Shares::new(count)) }
    }

    /// Takes a seat; for a principal, if callers are told apart.
    ///
    /// # Errors
    /// `OVERLOADED`: there is none, or the principal has as many as it may.
    pub(in crate::http) fn take(&self, principal: Option<&str>) -> Result<Seat> {
        let share = principal.map(|principal| Share(self.shares.clone(), self.shares.of(principal)));
        if share.as_ref().is_some_and(|share| !self.shares.add(share.1, 1)) {
            return Err(overloaded("watchers of yours as it can"));
        }
        match self.free.clone().try_acquire_owned() {
            Ok(_seat) => Ok(Seat { _seat, _share: share }),
            Err(_) => Err(overloaded("watchers as it can")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever had a key could have the database asked without end.
    #[test]
    fn there_are_so_many_and_one_principal_has_half() {
        let seats = Seats::new(4);
        let mut taken: Vec<_> = (0..2).map(|_| seats.take(Some("alice")).ok().unwrap()).collect();
        let refused = seats.take(Some("alice")).err().unwrap();
        assert!(refused.message().contains("of yours"), "{refused}");
        taken.extend((0..2).map(|_| seats.take(None).ok().unwrap()));
        assert!(seats.take(None).is_err());
        taken.clear();
        assert!(seats.take(Some("alice")).is_ok());
    }
}
