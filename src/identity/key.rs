//! The form of an API key: `cw_<id>_<secret>`.
//!
//! The id is no secret: it is what lists and logs show. The secret ends in six characters made from everything before
//! them, so that a mistyped key, or text that merely looks like one, is refused without a look into the database, and a
//! scanner for leaked secrets can tell a key from a coincidence.

use std::fmt;

use crate::crypto;

/// What every key begins with.
pub(super) const PREFIX: &str = "cw_";

/// Characters of an id: 62 bits, so that two never meet.
const ID_LEN: usize = 12;
/// Random characters of a secret: 190 bits.
const RANDOM_LEN: usize = 32;
/// Characters that check the others.
const CHECK_LEN: usize = 6;
/// Bytes of a whole key.
const KEY_LEN: usize = PREFIX.len() + ID_LEN + 1 + RANDOM_LEN + CHECK_LEN;

/// Lower case and digits: an id may end up in places that fold case.
const ID_ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const SECRET_ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A whole key. Shown once, to whom it is made for; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Makes a key of fresh random characters.
    pub fn generate() -> Self {
        let mut text = String::with_capacity(KEY_LEN);
        text.push_str(PREFIX);
        pick(ID_ALPHABET, ID_LEN, &mut text);
        text.push('_');
        pick(SECRET_ALPHABET, RANDOM_LEN, &mut text);
        let check = check(&text);
        text.push_str(&check);
        Self(text)
    }

    /// Reads a key; `None` if the text was never one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (body, given) = text.split_at_checked(KEY_LEN - CHECK_LEN)?;
        let rest = body.strip_prefix(PREFIX)?;
        let (id, random) = rest.split_once('_')?;
        let made_of = |text: &str, alphabet: &[u8]| text.bytes().all(|byte| alphabet.contains(&byte));
        let shaped = id.len() == ID_LEN && made_of(id, ID_ALPHABET) && made_of(random, SECRET_ALPHABET);
        (shaped && check(body) == given).then(|| Self(text.to_owned()))
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + ID_LEN]
    }

    /// Returns what is stored in place of the key. With 190 random bits in it, nothing slower than SHA-256 is needed.
    pub fn hash(&self) -> [u8; 32] {
        crypto::sha256(&[self.0.as_bytes()])
    }

    /// Compares with what is stored, in a time that does not depend on where they differ.
    pub fn has_hash(&self, stored: &[u8; 32]) -> bool {
        crypto::equal(&self.hash(), stored)
    }

    /// Returns the key itself. Never log the result.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_<hidden>", self.id())
    }
}

/// Whether a text is meant as a key of ours, right or wrong.
pub(super) fn is_meant_as_key(text: &str) -> bool {
    text.trim_start()
        .as_bytes()
        .get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Makes the last characters of a key from those before them.
fn check(body: &str) -> String {
    let [a, b, c, d, ..] = crypto::sha256(&[body.as_bytes()]);
    let mut number = u32::from_be_bytes([a, b, c, d]);
    let base = u32::try_from(SECRET_ALPHABET.len()).expect("62 fits");
    let mut text = String::with_capacity(CHECK_LEN);
    for _ in 0..CHECK_LEN {
        text.push(char::from(SECRET_ALPHABET[(number % base) as usize]));
        number /= base;
    }
    text
}

/// Appends `count` characters, each as likely as any other: a byte past the last whole multiple of the alphabet is thrown
/// away. Of 64 bytes at a time at least some are kept, so it ends.
fn pick(alphabet: &[u8], count: usize, text: &mut String) {
    let end = text.len() + count;
    let limit = 256 - 256 % alphabet.len();
    while text.len() < end {
        let bytes: [u8; 64] = crypto::random();
        let kept = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit);
        let room = end - text.len();
        text.extend(kept.take(room).map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_made() {
        let key = Key::generate();
        let read = Key::parse(key.expose()).unwrap();
        assert_eq!(read, key);
        assert_eq!(key.expose().len(), KEY_LEN);
        assert!(read.has_hash(&key.hash()) && !read.has_hash(&Key::generate().hash()));
        assert!(!format!("{key:?}").contains(&key.expose()[KEY_LEN - 20..]));
    }

    #[test]
    fn a_key_with_anything_wrong_is_none() {
        let key = Key::generate();
        let text = key.expose();
        for position in PREFIX.len()..KEY_LEN {
            let other = if text.as_bytes()[position] == b'a' { "b" } else { "a" };
            let mut wrong = text.to_owned();
            wrong.replace_range(position..=position, other);
            assert_eq!(Key::parse(&wrong), None, "{position}");
        }
        let longer = format!("{text}a");
        for wrong in
            ["", "cw_", "cw__", &text[1..], &text[..KEY_LEN - 1], &longer, "cw_ä", &text.to_uppercase()]
        {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_meant_as_a_key_is_known_by_its_beginning() {
        for text in ["cw_", "cw_anything", " cw_x", "CW_x"] {
            assert!(is_meant_as_key(text), "{text}");
        }
        for text in ["", "cw", "xcw_", "AIzaSy", "ya29.cw_"] {
            assert!(!is_meant_as_key(text), "{text}");
        }
    }
}
