//! What was called: counts per rpc, and the last calls with their metadata and bytes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};

use super::{
    Upstream, glob,
    limits::{
        EMULATOR_CALL_BYTES_MAX, EMULATOR_CALL_METADATA_MAX, EMULATOR_CALLS_MAX, EMULATOR_RPC_NAMES_MAX,
    },
};

/// Bytes before each message of a gRPC stream: one of flags, four of length.
const PREFIX_BYTES: usize = 5;

/// Under which name calls are counted once there are too many names.
const OTHER: &str = "(other)";

/// Notes every call that reaches an emulator, whatever becomes of it.
#[derive(Debug, Default)]
pub struct Calls {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    counts: BTreeMap<String, u64>,
    recent: VecDeque<Arc<Note>>,
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The system that was called.
    pub upstream: Upstream,
    /// Full name of the rpc, e.g. `pkg.Service/Method`.
    pub rpc: String,
    /// Metadata as sent, names in lower case, in order; values that are not text are left out.
    pub metadata: Vec<(String, String)>,
    /// The first message of the request in wire format, up to [`EMULATOR_CALL_BYTES_MAX`].
    pub request: Bytes,
    /// The gRPC code of the answer; `None` while there is none, or when the caller left first.
    pub code: Option<i32>,
}

impl Call {
    /// Returns the first metadata value of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.metadata.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A call under way: the fixed part, and what is still growing.
#[derive(Debug)]
pub(super) struct Note {
    upstream: Upstream,
    rpc: String,
    metadata: Vec<(String, String)>,
    growing: Mutex<Growing>,
}

#[derive(Debug, Default)]
struct Growing {
    stream: BytesMut,
    code: Option<i32>,
}

impl Calls {
    /// Returns how often an rpc was called, by its full name (`pkg.Service/Method`).
    pub fn count(&self, rpc: &str) -> u64 {
        lock(&self.kept).counts.get(rpc).copied().unwrap_or(0)
    }

    /// Returns the counts of all rpcs whose full name matches the glob.
    pub fn counts(&self, glob: &str) -> BTreeMap<String, u64> {
        let kept = lock(&self.kept);
        let matching = kept.counts.iter().filter(|(rpc, _)| glob::matches(glob, rpc));
        matching.map(|(rpc, count)| (rpc.clone(), *count)).collect()
    }

    /// Returns the kept calls whose rpc matches the glob, oldest first.
    pub fn recent(&self, glob: &str) -> Vec<Call> {
        let notes: Vec<_> = lock(&self.kept).recent.iter().cloned().collect();
        notes.iter().filter(|note| glob::matches(glob, &note.rpc)).map(|note| note.call()).collect()
    }

    /// Returns the latest call whose rpc matches the glob.
    pub fn last(&self, glob: &str) -> Option<Call> {
        let found = lock(&self.kept).recent.iter().rev().find(|note| glob::matches(glob, &note.rpc)).cloned();
        found.map(|note| note.call())
    }

    /// Forgets everything, counts included.
    pub fn clear(&self) {
        *lock(&self.kept) = Kept::default();
    }

    /// Notes a call that has just come in.
    pub(super) fn begin(&self, upstream: Upstream, rpc: &str, headers: &http::HeaderMap) -> Arc<Note> {
        let metadata = headers.iter().take(EMULATOR_CALL_METADATA_MAX);
        let metadata =
            metadata.filter_map(|(key, value)| Some((key.to_string(), value.to_str().ok()?.to_owned())));
        let note = Arc::new(Note {
            upstream,
            rpc: rpc.to_owned(),
            metadata: metadata.collect(),
            growing: Mutex::default(),
        });
        let mut kept = lock(&self.kept);
        let known = kept.counts.contains_key(rpc) || kept.counts.len() < EMULATOR_RPC_NAMES_MAX;
        let name = if known { rpc } else { OTHER };
        *kept.counts.entry(name.to_owned()).or_default() += 1;
        if kept.recent.len() == EMULATOR_CALLS_MAX {
            kept.recent.pop_front();
        }
        kept.recent.push_back(note.clone());
        note
    }
}

impl Note {
    /// Adds bytes of the request stream as they arrive; what exceeds the limit is not kept.
    pub(super) fn received(&self, data: &[u8]) {
        let mut growing = lock(&self.growing);
        let room = (PREFIX_BYTES + EMULATOR_CALL_BYTES_MAX).saturating_sub(growing.stream.len());
        growing.stream.extend_from_slice(&data[..data.len().min(room)]);
    }

    /// Whether the first message has arrived, or as much of it as is kept.
    pub(super) fn has_message(&self) -> bool {
        let growing = lock(&self.growing);
        let length = message_length(&growing.stream);
        length
            .is_some_and(|length| growing.stream.len() >= PREFIX_BYTES + length.min(EMULATOR_CALL_BYTES_MAX))
    }

    /// Notes how the call was answered.
    pub(super) fn answered(&self, code: i32) {
        lock(&self.growing).code = Some(code);
    }

    fn call(&self) -> Call {
        let growing = lock(&self.growing);
        Call {
            upstream: self.upstream,
            rpc: self.rpc.clone(),
            metadata: self.metadata.clone(),
            request: first_message(&growing.stream),
            code: growing.code,
        }
    }
}

/// Cuts the first message out of a gRPC stream that may have been cut short itself.
fn first_message(stream: &[u8]) -> Bytes {
    let Some(length) = message_length(stream) else { return Bytes::new() };
    let rest = &stream[PREFIX_BYTES..];
    Bytes::copy_from_slice(&rest[..length.min(rest.len())])
}

/// How long the first message says that it is; `None` before its prefix has arrived.
fn message_length(stream: &[u8]) -> Option<usize> {
    let prefix = stream.first_chunk::<PREFIX_BYTES>()?;
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(calls: &Calls, rpc: &str) -> Arc<Note> {
        calls.begin(Upstream::BigQueryConnection, rpc, &http::HeaderMap::new())
    }

    #[test]
    fn the_first_message_is_kept_without_its_prefix() {
        let calls = Calls::default();
        let note = call(&calls, "p.S/M");
        note.received(&[0, 0, 0, 0, 3, b'a']);
        note.received(b"bc\0\0\0\0\0");
        note.answered(5);
        let last = calls.last("*").expect("a call was made");
        assert_eq!((&last.request[..], last.code), (&b"abc"[..], Some(5)));
    }

    #[test]
    fn only_the_latest_calls_are_kept_and_all_are_counted() {
        let calls = Calls::default();
        for number in 0..EMULATOR_CALLS_MAX + 10 {
            call(&calls, "p.S/M").answered(i32::try_from(number).expect("few"));
        }
        let recent = calls.recent("*");
        assert_eq!(recent.len(), EMULATOR_CALLS_MAX);
        assert_eq!(recent[0].code, Some(10));
        assert_eq!(calls.count("p.S/M"), u64::try_from(EMULATOR_CALLS_MAX + 10).expect("few"));
    }

    #[test]
    fn a_flood_of_names_is_counted_under_one() {
        let calls = Calls::default();
        for number in 0..EMULATOR_RPC_NAMES_MAX + 7 {
            call(&calls, &format!("p.S/M{number}"));
        }
        assert_eq!(calls.count(OTHER), 7);
    }

    #[test]
    fn long_requests_are_cut() {
        let calls = Calls::default();
        let note = call(&calls, "p.S/M");
        note.received(&[0, 0xff, 0xff, 0xff, 0xff]);
        for _ in 0..3 {
            note.received(&vec![7; EMULATOR_CALL_BYTES_MAX / 2]);
        }
        assert_eq!(calls.last("*").expect("a call was made").request.len(), EMULATOR_CALL_BYTES_MAX);
    }
}
