//! Generations of a process that shares them with nobody.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use super::Scope;

/// Scopes that are told apart. Past it all are forgotten, and every page with them.
const SCOPES_MAX: usize = 65_536;

/// The generations. Values come from one counter, so none comes back.
#[derive(Default)]
pub(super) struct LocalGenerations(RwLock<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    /// The generation of what is not in the table: past those of all that was ever in it before.
    others: u64,
    known: HashMap<Scope, u64>,
}

impl LocalGenerations {
    pub(super) fn read(&self, scopes: &[Scope]) -> Vec<u64> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        scopes.iter().map(|scope| table.of(scope)).collect()
    }

    /// Whether the generations are still these.
    pub(super) fn are(&self, scopes: &[Scope], generations: &[u64]) -> bool {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        scopes.iter().zip(generations).all(|(scope, generation)| table.of(scope) == *generation)
    }

    pub(super) fn bump(&self, scopes: &[Scope]) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.known.len() + scopes.len() > SCOPES_MAX {
            table.known.clear();
            table.last += 1;
            table.others = table.last;
        }
        for scope in scopes {
            table.last += 1;
            let next = table.last;
            table.known.insert(*scope, next);
        }
    }
}

impl Table {
    fn of(&self, scope: &Scope) -> u64 {
        self.known.get(scope).copied().unwrap_or(self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_generation_comes_back_after_it_was_forgotten() {
        let generations = LocalGenerations::default();
        let scope = |n: usize| Scope(n as u128);
        let untouched = [scope(usize::MAX)];
        let before = generations.read(&untouched);
        generations.bump(&[scope(0)]);
        let bumped = generations.read(&[scope(0)]);
        assert!(generations.are(&untouched, &before));
        (1..=SCOPES_MAX).for_each(|n| generations.bump(&[scope(n)]));
        assert!(!generations.are(&[scope(0)], &bumped), "its entry is gone, and its pages with it");
        assert!(!generations.are(&untouched, &before));
    }
}
