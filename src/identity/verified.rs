//! Credentials that were found good a moment ago, by their SHA-256: what makes a request with one cheap.
//!
//! An entry answers for itself until it is due; then one request looks again, and the others go on with the entry for
//! [`RECHECK_TIME_MAX`], so that a key in heavy use does not become many questions at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::model::{Principal, Proof};

/// Entries that are kept.
const ENTRIES_MAX: usize = 10_000;
/// How long the one request that looks again may take before another does.
pub(super) const RECHECK_TIME_MAX: Duration = Duration::from_secs(1);

type Digest = [u8; 32];

/// The entries.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<Digest, Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    principal: Arc<Principal>,
    confirmed: Timestamp,
    due: Timestamp,
    ends: Timestamp,
}

/// What is known about a credential.
#[derive(Debug, PartialEq)]
pub(super) enum Known {
    /// It is good.
    Good(Arc<Principal>),
    /// It was good at this time, and it is upon the one who asks to look again.
    Due(Arc<Principal>, Timestamp),
    /// Nothing.
    Nothing,
}

impl Verified {
    pub(super) fn find(&self, digest: &Digest, now: Timestamp) -> Known {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(digest).filter(|entry| now < entry.ends) else {
            return Known::Nothing;
        };
        if now < entry.due {
            return Known::Good(entry.principal.clone());
        }
        entry.due = later(now, RECHECK_TIME_MAX);
        Known::Due(entry.principal.clone(), entry.confirmed)
    }

    /// Takes note that a credential is good: until `ends` at most, and to be looked at again after `fresh_for`.
    pub(super) fn insert(
        &self,
        digest: Digest,
        principal: Arc<Principal>,
        now: Timestamp,
        fresh_for: Duration,
        ends: Timestamp,
    ) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&digest) {
            entries.retain(|_, entry| now < entry.due && now < entry.ends);
            if entries.len() >= ENTRIES_MAX {
                entries.clear();
            }
        }
        entries.insert(digest, Entry { principal, confirmed: now, due: later(now, fresh_for), ends });
    }

    pub(super) fn remove(&self, digest: &Digest) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
    }

    /// Forgets a key by its id.
    pub(super) fn forget_key(&self, id: &str) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| !matches!(&entry.principal.proof, Proof::ApiKey(other) if other == id));
    }
}

/// Adds to a time; past the end of time is its end.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn one_request_looks_again_and_the_others_go_on() {
        let (verified, principal) = (Verified::default(), Arc::new(Principal::anonymous()));
        assert_eq!(verified.find(&[1; 32], at(0)), Known::Nothing);
        verified.insert([1; 32], principal.clone(), at(0), FRESH, at(100));
        assert_eq!(verified.find(&[1; 32], at(4)), Known::Good(principal.clone()));
        assert_eq!(verified.find(&[1; 32], at(5)), Known::Due(principal.clone(), at(0)));
        assert_eq!(verified.find(&[1; 32], at(5)), Known::Good(principal.clone()));
        assert_eq!(verified.find(&[1; 32], at(6)), Known::Due(principal, at(0)));
    }

    #[test]
    fn what_has_ended_is_not_known() {
        let (verified, principal) = (Verified::default(), Arc::new(Principal::anonymous()));
        verified.insert([1; 32], principal, at(0), FRESH, at(3));
        assert_eq!(verified.find(&[1; 32], at(3)), Known::Nothing);
    }

    #[test]
    fn there_are_never_too_many() {
        let (verified, principal) = (Verified::default(), Arc::new(Principal::anonymous()));
        for n in 0..ENTRIES_MAX + 10 {
            let digest = crate::crypto::sha256(&[&n.to_be_bytes()]);
            verified.insert(digest, principal.clone(), at(0), FRESH, at(100));
        }
        assert!(verified.0.lock().unwrap().len() <= ENTRIES_MAX);
    }
}
