//! A hash of short names: quick, and no protection against whoever makes names to collide. Tables that are filled from
//! descriptors need none, and neither does what only looks closer where two hashes are the same.

use std::hash::{BuildHasherDefault, Hasher};

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes a name: eight bytes by each multiplication, then what is left and the length. The low bits know of all bytes.
#[inline]
pub(super) fn hash(name: &[u8]) -> u64 {
    let mixed = mix(0, name);
    mixed ^ mixed >> 32
}

#[inline]
fn mix(start: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let last = rest.iter().fold(bytes.len() as u64, |last, byte| last << 8 | u64::from(*byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([last]);
    words.fold(start, |hash, word| (hash.rotate_left(29) ^ word).wrapping_mul(FACTOR))
}

/// The same for a map of names.
#[derive(Clone, Debug, Default)]
pub(super) struct NameHasher(u64);

pub(super) type BuildNameHasher = BuildHasherDefault<NameHasher>;

impl Hasher for NameHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0, bytes);
    }

    /// Ends a text. There is nothing behind it that it could be confused with.
    #[inline]
    fn write_u8(&mut self, _end: u8) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_more_or_another_one_is_another_hash() {
        let names: Vec<Vec<u8>> = (0..40)
            .flat_map(|length| (0..=length).map(move |at| (length, at)))
            .map(|(length, at)| (0..length).map(|i| b'a' + u8::from(i == at)).collect())
            .collect();
        let hashes: std::collections::HashSet<u64> = names.iter().map(|name| hash(name)).collect();
        assert_eq!(hashes.len(), names.len());
    }
}
