//! Pages in this process, bounded by their bytes.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Key, Page, Rule, Scope, numbers::Numbers};

/// Parts that are locked one by one.
const SHARDS: usize = 8;

/// A page, with what it was read under.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) page: Arc<Page>,
    pub(super) scopes: Arc<[Scope]>,
    pub(super) generations: Vec<u64>,
    pub(super) born: Instant,
    pub(super) rule: Rule,
}

impl Entry {
    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Whether it may be shown, fresh or stale.
    pub(super) fn is_alive(&self) -> bool {
        self.age() < self.rule.ttl + self.rule.stale
    }
}

/// The pages. What was not asked for since the hand of a clock last passed it goes first.
pub(super) struct Memory {
    shards: [Mutex<Shard>; SHARDS],
    /// Bytes of each.
    bytes_max: usize,
    numbers: Numbers,
}

#[derive(Default)]
struct Shard {
    places: HashMap<Key, usize, BuildHasherDefault<Hashed>>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    hand: usize,
    bytes: usize,
}

struct Slot {
    key: Key,
    entry: Option<Arc<Entry>>,
    asked_for: bool,
}

/// Takes the beginning of a key, which is a hash already.
#[derive(Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Memory {
    pub(super) fn new(bytes_max: usize, numbers: Numbers) -> Self {
        Self { shards: Default::default(), bytes_max: bytes_max / SHARDS, numbers }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        let mut shard = self.shard(key);
        let place = *shard.places.get(key)?;
        let slot = &mut shard.slots[place];
        slot.asked_for = true;
        slot.entry.clone()
    }

    pub(super) fn put(&self, key: Key, entry: Arc<Entry>) {
        let weight = entry.page.weight();
        if weight > self.bytes_max {
            return;
        }
        let mut shard = self.shard(&key);
        let before = shard.bytes;
        shard.remove(&key);
        while shard.bytes + weight > self.bytes_max {
            shard.evict();
            self.numbers.evicted();
        }
        shard.insert(key, entry, weight);
        self.numbers.holds(before, shard.bytes);
    }

    pub(super) fn remove(&self, key: &Key) {
        let mut shard = self.shard(key);
        let before = shard.bytes;
        shard.remove(key);
        self.numbers.holds(before, shard.bytes);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        self.shards[usize::from(key.0[31]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().bytes).sum()
    }
}

impl Shard {
    fn insert(&mut self, key: Key, entry: Arc<Entry>, weight: usize) {
        let slot = Slot { key, entry: Some(entry), asked_for: false };
        let place = match self.free.pop() {
            Some(place) => {
                self.slots[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.places.insert(key, place);
        self.bytes += weight;
    }

    fn remove(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.clear(place);
        }
    }

    fn clear(&mut self, place: usize) {
        if let Some(entry) = self.slots[place].entry.take() {
            self.bytes -= entry.page.weight();
            self.free.push(place);
        }
    }

    /// Moves the hand to a page that nobody asked for since it was last there, and takes that. Two rounds are enough.
    fn evict(&mut self) {
        loop {
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[self.hand];
            if slot.entry.is_some() && !std::mem::take(&mut slot.asked_for) {
                let key = slot.key;
                return self.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(bytes: usize) -> Arc<Entry> {
        Arc::new(Entry {
            page: Arc::new(Page::new(Bytes::from(vec![0; bytes]), 0, Vec::new())),
            scopes: [].into(),
            generations: Vec::new(),
            born: Instant::now(),
            rule: Rule { ttl: Duration::from_secs(1), stale: Duration::ZERO },
        })
    }

    fn key(n: u64) -> Key {
        Key::of([&n.to_be_bytes()[..]])
    }

    #[tokio::test]
    async fn it_never_holds_more_than_allowed_and_keeps_what_is_asked_for() {
        const BYTES_MAX: usize = 1 << 20;
        let memory = Memory::new(BYTES_MAX, Numbers::new());
        memory.put(key(0), entry(1000));
        for n in 1..5_000 {
            memory.put(key(n), entry(usize::try_from(n).unwrap() % 3_000));
            assert!(memory.get(&key(0)).is_some(), "{n}");
            assert!(memory.bytes() <= BYTES_MAX);
        }
        assert!(memory.bytes() > BYTES_MAX / 2);
        assert!(memory.get(&key(1)).is_none());
        memory.put(key(0), entry(BYTES_MAX));
        assert!(memory.get(&key(0)).is_some(), "a page too large for it replaces nothing");
        let slots: usize = memory.shards.iter().map(|shard| shard.lock().unwrap().slots.len()).sum();
        assert!(slots < 3_000, "places are used again: {slots}");
    }

    #[test]
    fn what_is_put_again_is_counted_once() {
        let memory = Memory::new(1 << 20, Numbers::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let entry = runtime.block_on(async { entry(100) });
        (0..10).for_each(|_| memory.put(key(1), entry.clone()));
        assert_eq!(memory.bytes(), entry.page.weight());
        memory.remove(&key(1));
        assert_eq!(memory.bytes(), 0);
    }
}
