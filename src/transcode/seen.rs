//! A set of bits: which fields and oneofs of one message have been met.

/// Bits held without allocating; messages with more fields pay for theirs.
const INLINE_WORDS: usize = 4;

/// Which fields and oneofs of one message have been met.
#[derive(Default)]
pub(super) struct Seen {
    inline: [u64; INLINE_WORDS],
    more: Vec<u64>,
}

impl Seen {
    /// Marks a bit and tells whether it was marked before.
    #[inline]
    pub(super) fn set(&mut self, bit: usize) -> bool {
        let (index, mask) = (bit / 64, 1 << (bit % 64));
        let word = match self.inline.get_mut(index) {
            Some(word) => word,
            None => self.large(index - INLINE_WORDS),
        };
        let before = *word & mask != 0;
        *word |= mask;
        before
    }

    /// Tells whether a bit is marked.
    pub(super) fn has(&self, bit: usize) -> bool {
        let (index, mask) = (bit / 64, 1 << (bit % 64));
        let word = self.inline.get(index).or_else(|| self.more.get(index.wrapping_sub(INLINE_WORDS)));
        word.is_some_and(|word| word & mask != 0)
    }

    #[cold]
    fn large(&mut self, index: usize) -> &mut u64 {
        if self.more.len() <= index {
            self.more.resize(index + 1, 0);
        }
        &mut self.more[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_near_and_far_are_told_apart() {
        let mut seen = Seen::default();
        for bit in [0, 63, 64, 255, 256, 5000] {
            assert!(!seen.has(bit));
            assert!(!seen.set(bit));
            assert!(seen.set(bit));
            assert!(seen.has(bit));
        }
        assert!(!seen.has(1) && !seen.has(257));
    }
}
