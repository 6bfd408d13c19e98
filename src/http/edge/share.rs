//! No caller has all there is: of what all requests share, such as places and bytes, one principal has at most half.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many counters there are. Two principals that share one share what it counts too; which ones do is not foreseeable.
const COUNTERS: usize = 1024;

/// What each principal has.
pub(in crate::http) struct Shares {
    counters: Box<[AtomicUsize]>,
    hasher: RandomState,
    of_one: usize,
}

/// Which counter is a principal's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct Counter(usize);

/// A place of a principal's; given back when dropped.
pub(super) struct Share<'s>(&'s Shares, Counter);

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.0.give_back(self.1, 1);
    }
}

impl Shares {
    /// Makes counters for so much altogether.
    pub(in crate::http) fn new(all: usize) -> Self {
        let counters = std::iter::repeat_with(AtomicUsize::default).take(COUNTERS).collect();
        Self { counters, hasher: RandomState::new(), of_one: all.div_ceil(2) }
    }

    /// Finds the counter of a principal.
    pub(super) fn of(&self, principal: &str) -> Counter {
        Counter(self.hasher.hash_one(principal) as usize % COUNTERS)
    }

    /// Takes a place for a principal, unless it has as many as it may.
    pub(super) fn take(&self, principal: &str) -> Option<Share<'_>> {
        let share = Share(self, self.of(principal));
        self.add(share.1, 1).then_some(share)
    }

    /// Counts so much more, and tells whether a principal may have it. It is to be given back in both cases.
    pub(super) fn add(&self, counter: Counter, count: usize) -> bool {
        self.counters[counter.0].fetch_add(count, Ordering::Relaxed) + count <= self.of_one
    }

    pub(super) fn give_back(&self, counter: Counter, count: usize) {
        self.counters[counter.0].fetch_sub(count, Ordering::Relaxed);
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
