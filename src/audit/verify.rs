//! Is the log as it was sealed? Reads it from its beginning and names the first entry that is not.
//!
//! What this shows: that nothing was changed, taken out, put in or moved since it was sealed, by anybody without the key.
//! What it cannot show: that the newest entries were not cut off (compare [`Verified::last_seq`] and [`Verified::root`]
//! with what was noted elsewhere), nor what was written by somebody who had the key.

use std::{fmt, time::Duration};

use super::keeper::floor;
use crate::{
    crypto::{self, Keys, Purpose, Signer},
    error::Result,
    store::{
        Store,
        audit::{Filter, GENESIS, Seal, Sealed, Walk, digest, signed_message},
    },
};

/// Rows read at once.
const ROWS_MAX: u32 = 1000;

/// What was found to be in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries looked at.
    pub entries: u64,
    /// Number of the first entry that is still kept; 0 if there is none.
    pub first_seq: i64,
    /// Number of the last entry.
    pub last_seq: i64,
    /// Digest of the last entry: worth noting elsewhere.
    pub root: Vec<u8>,
}

/// The first entry that is not as it was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// Its number.
    pub seq: i64,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.seq, self.what)
    }
}

/// Reads the whole log. Entries older than `retention` may be gone.
///
/// # Errors
/// The database is away.
pub async fn verify(
    store: &Store,
    keys: &Keys,
    retention: Duration,
) -> Result<std::result::Result<Verified, Altered>> {
    let signer = keys.signer(Purpose::AuditSeal);
    // From below the first number on: what was put in there would be shown to readers, too.
    let mut entries = Entries::of(store, retention);
    let mut verified = Verified { entries: 0, first_seq: 0, last_seq: 0, root: GENESIS.to_vec() };
    loop {
        let seals = store.audit_seals(verified.last_seq, ROWS_MAX).await?;
        if seals.is_empty() {
            match entries.next().await? {
                None => return Ok(Ok(verified)),
                // What is behind the last seal may have come with one since that was read.
                Some(extra) if store.audit_seals(verified.last_seq, 1).await?.is_empty() => {
                    let what = "it is behind the last seal".to_owned();
                    return Ok(Err(Altered { seq: extra.seq, what }));
                }
                Some(extra) => {
                    entries.put_back(extra);
                    continue;
                }
            }
        }
        if let Err(altered) = check_batches(&seals, &mut entries, &mut verified, &signer).await? {
            return Ok(Err(altered));
        }
    }
}

/// Goes on with these batches.
async fn check_batches(
    seals: &[Seal],
    entries: &mut Entries<'_>,
    verified: &mut Verified,
    signer: &Signer,
) -> Result<std::result::Result<(), Altered>> {
    for seal in seals {
        // Seals go when their entries have gone, but for one.
        let is_behind_a_gap = seal.first_seq > verified.last_seq + 1;
        if is_behind_a_gap && entries.are_gone_before(seal, seal.first_seq).await? {
            entries.skip_to(seal.first_seq);
            verified.begin_again();
            verified.last_seq = seal.first_seq - 1;
            verified.root.clone_from(&seal.previous);
        }
        if let Err(altered) = check_seal(seal, verified, signer) {
            return Ok(Err(altered));
        }
        if let Err(altered) = check_entries(seal, entries, verified).await? {
            return Ok(Err(altered));
        }
        verified.last_seq = seal.last_seq;
        verified.root.clone_from(&seal.root);
    }
    Ok(Ok(()))
}

fn check_seal(seal: &Seal, before: &Verified, signer: &Signer) -> std::result::Result<(), Altered> {
    let altered = |seq, what: &str| Err(Altered { seq, what: what.to_owned() });
    let next = before.last_seq + 1;
    if seal.first_seq != next || seal.last_seq < seal.first_seq {
        return altered(next, "its seal is missing");
    }
    if seal.previous != before.root {
        return altered(seal.first_seq, "its seal does not continue the one before");
    }
    let message = signed_message(seal.first_seq, seal.last_seq, seal.sealed_at, &seal.previous, &seal.root);
    if !signer.is_ours(&seal.public_key) {
        return altered(
            seal.first_seq,
            "its seal was made with a key that is not in secrets; if gateways had another one before, put it into old_keys",
        );
    }
    if !crypto::verify(&seal.public_key, &message, &seal.signature) {
        return altered(seal.first_seq, "the signature of its seal does not fit");
    }
    Ok(())
}

async fn check_entries(
    seal: &Seal,
    entries: &mut Entries<'_>,
    verified: &mut Verified,
) -> Result<std::result::Result<(), Altered>> {
    let mut root = seal.previous.clone();
    for seq in seal.first_seq..=seal.last_seq {
        let altered = |what: &str| Ok(Err(Altered { seq, what: what.to_owned() }));
        let Some(entry) = entries.next_if(|entry| entry.seq <= seq).await? else {
            if entries.are_gone_before(seal, seq + 1).await? {
                verified.begin_again();
                return Ok(Ok(()));
            }
            return altered("it is missing");
        };
        if entry.seq < seq {
            let what =
                if entry.seq < 1 { "no entry has such a number" } else { "there are two with this number" };
            return Ok(Err(Altered { seq: entry.seq, what: what.to_owned() }));
        }
        let times = [entry.opened_at, entry.closed_at];
        root = digest(&root, seq, &entry.id, times, &entry.entry, &entry.outcome).to_vec();
        if root != entry.digest || entry.sealed_at != seal.sealed_at {
            return altered("it was changed");
        }
        let whole = serde_json::from_str(&entry.entry).ok().zip(serde_json::from_str(&entry.outcome).ok());
        if !whole.is_some_and(|(whole, outcome)| entry.columns.are_of(&whole, &outcome)) {
            return altered("the columns it is searched by were changed");
        }
        if verified.entries == 0 {
            verified.first_seq = seq;
        }
        verified.entries += 1;
    }
    if root != seal.root {
        let what = format!("it or one up to {} was changed, and their digests with them", seal.last_seq);
        return Ok(Err(Altered { seq: seal.first_seq, what }));
    }
    Ok(Ok(()))
}

impl Verified {
    /// Takes note that what was looked at until now has gone, for it was too old.
    fn begin_again(&mut self) {
        (self.entries, self.first_seq) = (0, 0);
    }
}

/// The entries in order, a page at a time.
struct Entries<'s> {
    store: &'s Store,
    retention: Duration,
    /// In reverse, so that the next one is popped.
    page: Vec<Sealed>,
    after: i64,
    /// With which number the log began when that was last looked at. It only grows.
    begins: i64,
}

impl<'s> Entries<'s> {
    fn of(store: &'s Store, retention: Duration) -> Self {
        Self { store, retention, page: Vec::new(), after: i64::MIN, begins: i64::MIN }
    }

    async fn next_if(&mut self, wanted: impl FnOnce(&Sealed) -> bool) -> Result<Option<Sealed>> {
        self.fill().await?;
        Ok(if self.page.last().is_some_and(wanted) { self.page.pop() } else { None })
    }

    async fn next(&mut self) -> Result<Option<Sealed>> {
        self.next_if(|_| true).await
    }

    fn put_back(&mut self, entry: Sealed) {
        self.page.push(entry);
    }

    /// Whether the log begins with this number, or behind it, because what was before is as old as this seal, and so may be
    /// gone. What is too old goes from the beginning, also while it is read.
    async fn are_gone_before(&mut self, seal: &Seal, seq: i64) -> Result<bool> {
        if seal.sealed_at >= floor(self.store.now(), self.retention) {
            return Ok(false);
        }
        if self.begins < seq {
            let walk = Walk { ascending: true, after: Some(i64::MIN), rows_max: 1 };
            let first = self.store.audit_page(&Filter::default(), walk).await?;
            self.begins = first.first().map_or(i64::MAX, |first| first.seq);
        }
        Ok(self.begins >= seq)
    }

    /// Forgets what was read and has gone since.
    fn skip_to(&mut self, seq: i64) {
        while self.page.last().is_some_and(|entry| entry.seq < seq) {
            self.page.pop();
        }
    }

    async fn fill(&mut self) -> Result<()> {
        if self.page.is_empty() {
            let walk = Walk { ascending: true, after: Some(self.after), rows_max: ROWS_MAX };
            self.page = self.store.audit_page(&Filter::default(), walk).await?;
            // The next page begins behind a number: another entry with the last one of this page would be in none.
            let is_full = self.page.len() >= ROWS_MAX as usize;
            if let Some(last) = self.page.last().map(|entry| entry.seq).filter(|_| is_full) {
                let before = self.page.partition_point(|entry| entry.seq < last);
                if before > 0 {
                    self.page.truncate(before);
                }
            }
            self.page.reverse();
            self.after = self.page.first().map_or(self.after, |entry| entry.seq);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::{
        clock::ManualClock,
        model::{Ending, Entry, Outcome},
        store::{audit::Closed, contract},
    };

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn keys() -> Keys {
        Keys::new(&[3; 32], &[])
    }

    async fn observe(store: &Store) {
        observe_many(store, 1).await;
    }

    async fn observe_many(store: &Store, rows: usize) {
        let outcome = Outcome { ending: Ending::Success, status: 200, ..Outcome::default() };
        let row = Closed::observed(store.now().as_microsecond(), &Entry::default(), &outcome);
        let signer = keys().signer(Purpose::AuditSeal);
        store.observe(&signer, vec![row; rows], 1).await.expect("it is written");
    }

    /// Seals were kept for ever, one for each fifth of a second.
    #[tokio::test]
    async fn old_seals_go_and_what_is_left_is_verified() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        for store in contract::each(clock.clone()).await {
            let verified = async || verify(&store, &keys(), 35 * DAY).await.expect("the database answers");
            for _ in 0..3 {
                observe(&store).await;
            }
            clock.advance(70 * DAY);
            observe(&store).await;
            let floor = floor(store.now(), 35 * DAY);
            store.forget_audit(floor, 10).await.expect("the database answers");
            store.forget_seals(floor).await.expect("the database answers");
            observe(&store).await;
            let found = verified().await.expect("nothing was altered");
            assert_eq!((found.entries, found.first_seq, found.last_seq), (2, 4, 5));
            contract::alter(&store, "DELETE FROM audit_seals WHERE first_seq = 3").await;
            let altered = verified().await.expect_err("what has gone was not too old");
            assert_eq!((altered.seq, &*altered.what), (1, "its seal is missing"));
        }
    }

    /// All of the log was gone through for what is old, and that deleted at once, while every request waited.
    #[tokio::test]
    async fn what_is_old_goes_by_whole_batches_and_what_is_left_is_verified() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let sqlite = contract::each(clock.clone()).await.swap_remove(0);
        for rows in [4, 4, 4, 25, 3] {
            observe_many(&sqlite, rows).await;
        }
        clock.advance(70 * DAY);
        observe(&sqlite).await;
        let floor = floor(sqlite.now(), 35 * DAY);
        let mut begins = Vec::new();
        loop {
            let may_be_more = sqlite.forget_audit(floor, 10).await.expect("the database answers");
            let verified = verify(&sqlite, &keys(), 35 * DAY).await.expect("the database answers");
            begins.push(verified.expect("nothing was altered").first_seq);
            if !may_be_more {
                break;
            }
        }
        assert_eq!(begins, [9, 13, 38, 41, 41]);
    }

    /// What went between two looks, entries and their seals, was called missing.
    #[tokio::test]
    async fn a_log_is_verified_while_its_beginning_goes() {
        let signer = keys().signer(Purpose::AuditSeal);
        // The first look at entries ends within the second batch.
        let batches = [600, 600, 3, 3];
        for (looked_at, are_seals_old) in [(1, true), (1, false), (2, true), (2, false), (3, false)] {
            let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
            let stores = contract::each(clock.clone()).await;
            for store in &stores {
                for rows in batches {
                    observe_many(store, rows).await;
                }
            }
            clock.advance(70 * DAY);
            for store in &stores {
                observe(store).await;
                let mut seals = store.audit_seals(0, 10).await.expect("the database answers");
                let mut entries = Entries::of(store, 35 * DAY);
                let mut verified = Verified { entries: 0, first_seq: 0, last_seq: 0, root: GENESIS.to_vec() };
                let first = check_batches(&seals[..looked_at], &mut entries, &mut verified, &signer).await;
                first.expect("the database answers").expect("nothing was altered");
                let floor = floor(store.now(), 35 * DAY);
                while store.forget_audit(floor, 10).await.expect("the database answers") {}
                store.forget_seals(floor).await.expect("the database answers");
                seals.drain(..looked_at);
                if !are_seals_old {
                    let after = verified.last_seq;
                    seals = store.audit_seals(after, 10).await.expect("the database answers");
                    assert_eq!(seals.len(), 2, "the last that is old, and the young one");
                }
                let rest = check_batches(&seals, &mut entries, &mut verified, &signer).await;
                rest.expect("the database answers").expect("nothing was altered");
                assert_eq!(verified.last_seq, 1207);
            }
        }
    }

    /// Of two entries with the last number of a page the second was never looked at, and shown to readers. Only where a number
    /// and a time together are the key is there room for it.
    #[tokio::test]
    async fn two_entries_with_the_last_number_of_a_page_are_told() {
        let copy = "INSERT INTO audit_entries SELECT seq, sealed_at + 1, id, opened_at, closed_at, request_id, 'mallory',
                        project, method, resource, status, entry, outcome, digest FROM audit_entries WHERE seq = 1000";
        for store in contract::each(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH))).await {
            if store.is_embedded() {
                continue;
            }
            observe_many(&store, 1003).await;
            contract::alter(&store, copy).await;
            let altered = verify(&store, &keys(), DAY).await.expect("the database answers");
            assert_eq!(altered.expect_err("there is one more").what, "there are two with this number");
        }
    }

    #[tokio::test]
    async fn what_is_missing_and_not_too_old_is_told() {
        for (seq, statement) in
            [(1, "DELETE FROM audit_entries WHERE seq = 1"), (2, "DELETE FROM audit_entries WHERE seq = 2")]
        {
            for store in contract::each(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH))).await {
                for _ in 0..3 {
                    observe(&store).await;
                }
                contract::alter(&store, statement).await;
                let altered = verify(&store, &keys(), DAY).await.expect("the database answers");
                let altered = altered.expect_err("it was there");
                assert_eq!((altered.seq, &*altered.what), (seq, "it is missing"));
            }
        }
    }

    /// What was sealed between two looks was called altered.
    #[tokio::test]
    async fn a_log_is_verified_while_it_is_written() {
        for store in contract::each(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH))).await {
            let write = async {
                for _ in 0..100 {
                    observe(&store).await;
                }
            };
            let look = async {
                loop {
                    let altered = verify(&store, &keys(), DAY).await.expect("the database answers").err();
                    assert_eq!(altered, None);
                }
            };
            tokio::select! {
                () = write => {}
                () = look => {}
            }
        }
    }
}
