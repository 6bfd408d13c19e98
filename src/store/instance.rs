//! One running gateway: what it has begun and not ended becomes an orphan when it is no longer alive.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use super::{Store, both};
use crate::{crypto, error::Result};

/// How long a process that says nothing still counts as alive.
pub const LEASE: Duration = Duration::from_secs(15);
/// How much longer what it has begun is left to it: it may live, and be cut off from the database or stopped for a while. What
/// others found out meanwhile would stand in the log for ever, and it would tell of it once more.
const LEFT_TO_IT: Duration = Duration::from_secs(20);

const NANOS_PER_MILLI: u128 = 1_000_000;

/// Identifies a running process. New with every start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstanceId([u8; 16]);

impl InstanceId {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(time_ordered_id(now))
    }

    /// Returns the 16 bytes as they are kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crypto::uuid_text(&self.0))
    }
}

/// Makes a UUID of version 7 (RFC 9562): later ones sort behind, so that new rows stand together. Behind the millisecond
/// stands the part of it that is over, in 4096ths (6.2, method 3): what happened within one is listed in its order, too.
pub(super) fn time_ordered_id(now: Timestamp) -> [u8; 16] {
    let nanos = u128::try_from(now.as_nanosecond()).unwrap_or_default();
    let millis = (nanos / NANOS_PER_MILLI) as u64;
    let part = (nanos % NANOS_PER_MILLI * 4096 / NANOS_PER_MILLI) as u16;
    let mut id: [u8; 16] = fastrand::u128(..).to_be_bytes();
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    id[6..8].copy_from_slice(&(0x7000 | part).to_be_bytes());
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Makes an id of the same time as another that follows from what it is about: whoever makes it again makes the same.
pub(super) fn derived_id(mut id: [u8; 16], about: &[&[u8]]) -> [u8; 16] {
    let digest = crypto::sha256_of_each(about.iter().copied());
    // The moment at its begin and the bits that say which kind of id it is stay.
    id[6] = id[6] & 0xf0 | digest[6] & 0x0f;
    id[7] = digest[7];
    id[8] = id[8] & 0xc0 | digest[8] & 0x3f;
    id[9..].copy_from_slice(&digest[9..16]);
    id
}

/// Makes an id that sorts by time, given in microseconds since 1970.
pub fn time_ordered(micros: i64) -> [u8; 16] {
    time_ordered_id(Timestamp::from_microsecond(micros).unwrap_or_default())
}

/// Returns the microseconds since 1970 in which an id of [`time_ordered`] was made: from the first to before the second.
pub(super) fn times_of(id: &[u8; 16]) -> [i64; 2] {
    let millis = id[..6].iter().fold(0, |millis, byte| millis << 8 | i64::from(*byte));
    [millis * 1000, (millis + 1) * 1000]
}

impl Store {
    /// Returns the time, in microseconds since 1970, up to which a process must have said that it lives, or what it has begun is
    /// an orphan. An embedded store has one process: whoever else is on record is gone when it is no longer alive.
    pub(super) fn abandoned_before(&self) -> i64 {
        let left_to_it = if self.is_embedded() { Duration::ZERO } else { LEFT_TO_IT };
        let now = self.now();
        now.checked_sub(left_to_it).unwrap_or(now).as_microsecond()
    }

    /// Returns who this process is.
    pub fn instance(&self) -> InstanceId {
        self.0.instance
    }

    /// Says that this process is alive until `until`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn stay_alive(&self, until: Timestamp) -> Result<()> {
        let (now, until) = (self.now().as_microsecond(), until.as_microsecond());
        both!(self, instance::stay_alive(self.0.instance.as_bytes(), now, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two events of one millisecond were listed in any order: a deletion before the creation, every other time.
    #[test]
    fn what_is_made_within_a_millisecond_sorts_by_when() {
        let begin = 1_767_225_600_123_000;
        let ids: Vec<_> = (begin..begin + 1000).map(time_ordered).collect();
        assert!(ids.is_sorted() && ids[0][..6] == ids[999][..6]);
        assert!(ids.iter().all(|id| id[6] >> 4 == 7 && id[8] >> 6 == 0b10), "they are of version 7");
        assert_ne!(time_ordered(begin), time_ordered(begin), "and two of one moment are two");
    }

    #[test]
    fn an_id_says_when_it_was_made() {
        for micros in [0, 1, 999, 1000, 1_767_225_600_123_999] {
            let [from, before] = times_of(&time_ordered(micros));
            assert!((from..before).contains(&micros), "{micros}");
            assert_eq!(before - from, 1000);
        }
        assert!(times_of(&[255; 16])[0] > 0, "what others send is a time, too");
    }
}
