//! No caller has all the places: of those for requests that are worked on, one principal has at most half.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many counters there are. Two principals that share one share its places too; which ones do is not foreseeable.
const COUNTERS: usize = 1024;

/// What each principal has.
pub(in crate::http) struct Shares {
    counters: Box<[AtomicUsize]>,
    hasher: RandomState,
    of_one: usize,
}

/// A place of a principal's; given back when dropped.
pub(super) struct Share<'s>(&'s AtomicUsize);

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shares {
    pub(in crate::http) fn new(places: usize) -> Self {
        let counters = std::iter::repeat_with(AtomicUsize::default).take(COUNTERS).collect();
        Self { counters, hasher: RandomState::new(), of_one: places.div_ceil(2) }
    }

    /// Takes a place for a principal, unless it has as many as it may.
    pub(super) fn take(&self, principal: &str) -> Option<Share<'_>> {
        let at = self.hasher.hash_one(principal) as usize % COUNTERS;
        let share = Share(&self.counters[at]);
        (share.0.fetch_add(1, Ordering::Relaxed) < self.of_one).then_some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever waited for enough operations at once kept everybody else out.
    #[test]
    fn one_principal_has_half_of_the_places() {
        let shares = Shares::new(9);
        let mut taken: Vec<_> = (0..5).map(|_| shares.take("alice").expect("there is one")).collect();
        assert!(shares.take("alice").is_none() && shares.take("alice").is_none());
        let others = (0..100).filter(|n| shares.take(&format!("bob-{n}")).is_some()).count();
        assert!(others > 90, "{others}");
        taken.pop();
        assert!(shares.take("alice").is_some());
    }
}
