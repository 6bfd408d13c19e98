//! Credentials that were found good a moment ago, by their SHA-256: what makes a request with one cheap.
//!
//! An entry answers for itself until it is due; then one request looks again, and the others go on with the entry for
//! [`RECHECK_TIME_MAX`], so that a key in heavy use does not become many questions at once. After that nobody goes on with
//! what was not confirmed: they look in turn, and whoever comes second finds what the first has found.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync;

use crate::model::{Principal, Proof};

/// Entries that are kept.
const ENTRIES_MAX: usize = 10_000;
/// How long the one request that looks again may take before another does, and before the others wait for it.
pub(super) const RECHECK_TIME_MAX: Duration = Duration::from_secs(1);

type Digest = [u8; 32];

/// The entries.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<Digest, Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    principal: Arc<Principal>,
    confirmed: Timestamp,
    /// From when on somebody looks again.
    due: Timestamp,
    /// Up to when the others need not wait for that.
    good_until: Timestamp,
    ends: Timestamp,
    turn: Turn,
}

/// Whoever has it looks again.
pub(super) type Turn = Arc<sync::Mutex<()>>;

/// What is known about a credential.
#[derive(Debug)]
pub(super) enum Known {
    /// It is good.
    Good(Arc<Principal>),
    /// It was good at this time, and it is upon the one who asks to look again.
    Due(Arc<Principal>, Timestamp),
    /// It was good too long ago: ask again, in turn.
    Late(Turn),
    /// Nothing.
    Nothing,
}

impl Verified {
    pub(super) fn find(&self, digest: &Digest, now: Timestamp) -> Known {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get_mut(digest).filter(|entry| now < entry.ends) else {
            return Known::Nothing;
        };
        if now >= entry.good_until {
            return Known::Late(entry.turn.clone());
        }
        if now < entry.due {
            return Known::Good(entry.principal.clone());
        }
        entry.due = later(now, RECHECK_TIME_MAX);
        Known::Due(entry.principal.clone(), entry.confirmed)
    }

    /// Asks again, for whoever has its turn.
    pub(super) fn find_in_turn(&self, digest: &Digest, now: Timestamp) -> Known {
        match self.find(digest, now) {
            Known::Late(_) => {
                let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let entry = entries.get(digest);
                entry.map_or(Known::Nothing, |it| Known::Due(it.principal.clone(), it.confirmed))
            }
            known => known,
        }
    }

    /// Goes on with what could not be looked at, as if it had been confirmed: not for longer than `limit` since it was.
    pub(super) fn go_on(&self, digest: &Digest, now: Timestamp, fresh_for: Duration, limit: Duration) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(digest) {
            let end = later(entry.confirmed, limit);
            entry.due = later(now, RECHECK_TIME_MAX).min(end);
            entry.good_until = later(now, fresh_for + RECHECK_TIME_MAX).min(end);
        }
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
        let turn = entries.get(&digest).map(|entry| entry.turn.clone()).unwrap_or_default();
        let good_until = later(now, fresh_for + RECHECK_TIME_MAX);
        let due = later(now, fresh_for);
        entries.insert(digest, Entry { principal, confirmed: now, due, good_until, ends, turn });
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

    /// What is known, in words, with the second in which it was confirmed.
    fn found(verified: &Verified, second: i64) -> String {
        told(&verified.find(&[1; 32], at(second)))
    }

    fn told(known: &Known) -> String {
        match known {
            Known::Good(_) => "good".to_owned(),
            Known::Due(_, confirmed) => format!("due since {}", confirmed.as_second()),
            Known::Late(_) => "late".to_owned(),
            Known::Nothing => "nothing".to_owned(),
        }
    }

    fn with_one(ends: i64) -> Verified {
        let verified = Verified::default();
        verified.insert([1; 32], Arc::new(Principal::anonymous()), at(0), FRESH, at(ends));
        verified
    }

    #[test]
    fn one_request_looks_again_and_the_others_go_on() {
        assert_eq!(found(&Verified::default(), 0), "nothing");
        let verified = with_one(100);
        assert_eq!([4, 5, 5].map(|second| found(&verified, second)), ["good", "due since 0", "good"]);
    }

    /// All but the one that looked went on for ever, also with a key that was revoked or a token nobody vouched for.
    #[test]
    fn nobody_goes_on_with_what_was_not_confirmed() {
        let verified = with_one(100);
        assert_eq!(
            [5, 6, 6, 99].map(|second| found(&verified, second)),
            ["due since 0", "late", "late", "late"]
        );
        assert_eq!(told(&verified.find_in_turn(&[1; 32], at(6))), "due since 0");
        verified.insert([1; 32], Arc::new(Principal::anonymous()), at(7), FRESH, at(100));
        assert_eq!(told(&verified.find_in_turn(&[1; 32], at(8))), "good", "the one before has looked");
        verified.remove(&[1; 32]);
        assert_eq!(told(&verified.find_in_turn(&[1; 32], at(8))), "nothing");
    }

    #[test]
    fn what_cannot_be_looked_at_is_good_for_so_long_and_no_longer() {
        let (verified, limit) = (with_one(1000), Duration::from_secs(60));
        for second in (6..60).step_by(6) {
            assert_eq!(found(&verified, second), "late");
            verified.go_on(&[1; 32], at(second), FRESH, limit);
            assert_eq!(
                [0, 1, 1].map(|later| found(&verified, second + later)),
                ["good", "due since 0", "good"]
            );
        }
        verified.go_on(&[1; 32], at(59), FRESH, limit);
        assert_eq!([59, 60, 61].map(|second| found(&verified, second)), ["good", "late", "late"]);
        verified.go_on(&[1; 32], at(61), FRESH, limit);
        assert_eq!(found(&verified, 61), "late");
    }

    #[test]
    fn what_has_ended_is_not_known() {
        assert_eq!(found(&with_one(3), 3), "nothing");
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
