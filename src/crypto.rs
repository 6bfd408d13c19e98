//! What is encrypted, authenticated and signed with the one configured secret.
//!
//! - [`Keys`]: the secret in use and those before it. Nothing uses a secret itself: every [`Purpose`] has keys of its own,
//!   derived with HKDF-SHA256, so that what was made for one purpose means nothing to another.
//! - [`Sealer`]: encrypts what rests or passes through foreign hands (AES-256-GCM). Each message has a key and a nonce of
//!   its own, from 28 random bytes, so no count of messages wears a secret out.
//! - [`Mac`]: authenticates what rests in foreign hands and may be seen there (HMAC-SHA256).
//! - [`Signer`]: signs what others verify without the secret (Ed25519).
//! - [`read_pem`]: certificates and private keys of others' making, for TLS; [`Certificate`]: one of ours, read again when
//!   it was renewed.
//!
//! What holds: new things are made with the secret in use; what an old one made still opens and verifies. A wrong or
//! damaged message is `None` or `false`, with no hint at what was wrong.
//!
//! It deliberately writes nothing and reads no configuration.

mod certificate;

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256},
    hkdf::{HKDF_SHA256, KeyType, Prk, Salt},
    hmac,
    rand::{SecureRandom as _, SystemRandom},
    signature::{self, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};

pub use self::certificate::{Certificate, Part};

/// Bytes of a secret, and of the keys made from it.
pub const KEY_BYTES: usize = 32;
/// First byte of every sealed message: the format below.
const FORMAT: u8 = 1;
/// Bytes that tell which secret sealed a message.
const KEY_ID_BYTES: usize = 4;
const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + KEY_ID_BYTES + SALT_BYTES + NONCE_LEN;

/// What a key is for. The text is part of its derivation: a new purpose is a new line, and no line ever changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Page tokens of our own lists and merged reads.
    PageToken,
    /// Answers kept to be replayed.
    Replay,
    /// The chain of the audit log.
    AuditSeal,
    /// `resource_meta` of tasks.
    ResourceMeta,
    /// Secrets of webhook endpoints.
    WebhookSecret,
    /// Which credential a cached page was read with.
    CacheVisibility,
    /// Pages that rest in Redis.
    CachedPage,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::PageToken => b"causeway page token",
            Self::Replay => b"causeway replay body",
            Self::AuditSeal => b"causeway audit seal",
            Self::ResourceMeta => b"causeway resource meta",
            Self::WebhookSecret => b"causeway webhook secret",
            Self::CacheVisibility => b"causeway cache visibility",
            Self::CachedPage => b"causeway cached page",
        }
    }
}

/// The secret in use and those before it. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Vec<Root>>);

struct Root {
    id: [u8; KEY_ID_BYTES],
    prk: Prk,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(<hidden>)")
    }
}

impl Keys {
    /// Takes the secret in use and the old ones.
    pub fn new(current: &[u8; KEY_BYTES], old: &[[u8; KEY_BYTES]]) -> Self {
        Self(Arc::new(std::iter::once(current).chain(old).map(Root::new).collect()))
    }

    /// Returns what encrypts for a purpose.
    pub fn sealer(&self, purpose: Purpose) -> Sealer {
        Sealer { keys: self.clone(), purpose }
    }

    /// Returns what authenticates for a purpose.
    pub fn mac(&self, purpose: Purpose) -> Mac {
        Mac(self
            .0
            .iter()
            .map(|root| hmac::Key::new(hmac::HMAC_SHA256, &root.derive(purpose, b"mac")))
            .collect())
    }

    /// Returns what signs for a purpose.
    pub fn signer(&self, purpose: Purpose) -> Signer {
        let pair = |root: &Root| {
            Ed25519KeyPair::from_seed_unchecked(&root.derive(purpose, b"sign")).expect("a seed has 32 bytes")
        };
        Signer(self.0.iter().map(pair).collect())
    }
}

impl Root {
    fn new(secret: &[u8; KEY_BYTES]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"causeway").extract(secret);
        let mut id = [0; KEY_ID_BYTES];
        expand(&prk, &[b"causeway key id"], &mut id);
        Self { id, prk }
    }

    fn derive(&self, purpose: Purpose, way: &[u8]) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        expand(&self.prk, &[purpose.label(), b"\0", way], &mut key);
        key
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) {
    prk.expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("a few dozen bytes are within what HKDF gives");
}

/// Encrypts for one purpose.
#[derive(Clone, Debug)]
pub struct Sealer {
    keys: Keys,
    purpose: Purpose,
}

impl Sealer {
    /// Encrypts `plain`. It opens only with the same `context`, which is not in the result.
    pub fn seal(&self, plain: &[u8], context: &[u8]) -> Vec<u8> {
        let root = &self.keys.0[0];
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&root.id);
        sealed.extend_from_slice(&random::<{ SALT_BYTES + NONCE_LEN }>());
        let (key, nonce) = self.message_key(root, &sealed);
        let mut body = plain.to_vec();
        key.seal_in_place_append_tag(nonce, Aad::from(context), &mut body)
            .expect("what fits in memory is within the limit of AES-GCM");
        sealed.append(&mut body);
        sealed
    }

    /// Decrypts what [`Self::seal`] made, with the same context; `None` for anything else.
    pub fn open(&self, sealed: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (head, body) = sealed.split_at_checked(HEAD_BYTES)?;
        let id = head.strip_prefix(&[FORMAT])?.get(..KEY_ID_BYTES)?;
        let root = self.keys.0.iter().find(|root| root.id == id)?;
        let (key, nonce) = self.message_key(root, head);
        let mut body = body.to_vec();
        let length = key.open_in_place(nonce, Aad::from(context), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }

    /// Tells whether a message was sealed with the secret in use, and not with an old or a foreign one.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        sealed.strip_prefix(&[FORMAT]).is_some_and(|rest| rest.starts_with(&self.keys.0[0].id))
    }

    fn message_key(&self, root: &Root, head: &[u8]) -> (LessSafeKey, Nonce) {
        let random = &head[1 + KEY_ID_BYTES..HEAD_BYTES];
        let base = root.derive(self.purpose, b"seal");
        let prk = Prk::new_less_safe(HKDF_SHA256, &base);
        let mut key = [0; KEY_BYTES];
        expand(&prk, &[b"message", &random[..SALT_BYTES]], &mut key);
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the key has 32 bytes");
        let nonce = Nonce::try_assume_unique_for_key(&random[SALT_BYTES..]).expect("the head has a nonce");
        (LessSafeKey::new(key), nonce)
    }
}

/// Authenticates for one purpose.
#[derive(Clone, Debug)]
pub struct Mac(Vec<hmac::Key>);

impl Mac {
    /// Returns the tag of a message.
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0[0], message);
        tag.as_ref().try_into().expect("HMAC-SHA256 gives 32 bytes")
    }

    /// Tells whether `tag` is the tag of `message`, or its beginning of at least 16 bytes.
    pub fn is_tag(&self, message: &[u8], tag: &[u8]) -> bool {
        let matches = |key: &hmac::Key| {
            let whole = hmac::sign(key, message);
            whole.as_ref().get(..tag.len()).is_some_and(|whole| equal(whole, tag))
        };
        tag.len() >= 16 && self.0.iter().any(matches)
    }
}

/// Signs for one purpose.
pub struct Signer(Vec<Ed25519KeyPair>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(<hidden>)")
    }
}

impl Signer {
    /// Signs a message: 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0[0].sign(message).as_ref().to_vec()
    }

    /// Returns the public key in use: 32 bytes.
    pub fn public_key(&self) -> Vec<u8> {
        self.0[0].public_key().as_ref().to_vec()
    }

    /// Tells whether a public key is of the secret in use or of an old one.
    pub fn is_ours(&self, public_key: &[u8]) -> bool {
        self.0.iter().any(|pair| pair.public_key().as_ref() == public_key)
    }
}

/// Tells whether an Ed25519 signature over `message` was made with the key that `public_key` belongs to.
pub fn verify(public_key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&signature::ED25519, public_key).verify(message, signature).is_ok()
}

/// Returns the SHA-256 of `parts`, one after the other. Parts that could run into each other need a length before them.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Returns the SHA-256 of `parts`, each with its length before it, so that none runs into the next.
pub fn sha256_of_each<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// Compares in a time that does not depend on where the difference is.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    // Comparing tags under a key that nobody knows leaks nothing about what was tagged.
    static KEY: OnceLock<hmac::Key> = OnceLock::new();
    let key = KEY.get_or_init(|| hmac::Key::new(hmac::HMAC_SHA256, &random::<KEY_BYTES>()));
    hmac::verify(key, a, hmac::sign(key, b).as_ref()).is_ok()
}

/// What a PEM file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pem {
    /// One certificate or several.
    Certificate,
    /// `PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`. A key behind a password is `ENCRYPTED PRIVATE KEY`, which
    /// cannot be read, and is told when it is first needed.
    PrivateKey,
}

/// Reads a PEM file that holds at least one such thing. The error names the file and shows nothing of what is in it.
pub fn read_pem(file: &Path, holds: Pem) -> Result<Vec<u8>, String> {
    let wrong = |why: String| format!("{}: {why}", file.display());
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let (mark, name): (&[u8], _) = match holds {
        Pem::Certificate => (b"-----BEGIN CERTIFICATE-----", "certificate"),
        Pem::PrivateKey => (b"PRIVATE KEY-----", "private key"),
    };
    match memchr::memmem::find(&pem, mark) {
        Some(_) => Ok(pem),
        None => Err(wrong(format!("holds no PEM {name}"))),
    }
}

/// Returns bytes that nobody can guess.
///
/// # Panics
/// The operating system has no randomness: nothing that needs a secret can go on.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Returns the UUID of version 5 (RFC 9562) of a name in a namespace, as text.
pub fn uuid_v5(namespace: &[u8; 16], name: &[u8]) -> String {
    let mut context = digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(namespace);
    context.update(name);
    let mut id = [0; 16];
    id.copy_from_slice(&context.finish().as_ref()[..16]);
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    uuid_text(&id)
}

/// Prints a UUID in its usual form of 36 characters.
pub fn uuid_text(id: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (place, byte) in id.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Reads a UUID in the form of [`uuid_text`], in which each has one name only.
pub fn uuid_of(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|letter| *letter != '-').collect();
    let id = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    (uuid_text(&id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; KEY_BYTES] = [7; KEY_BYTES];
    const B: [u8; KEY_BYTES] = [9; KEY_BYTES];

    #[test]
    fn what_was_sealed_opens_in_its_context_only() {
        let sealer = Keys::new(&A, &[]).sealer(Purpose::Replay);
        let sealed = sealer.seal(b"body", b"alice");
        assert_eq!(sealer.open(&sealed, b"alice").as_deref(), Some(&b"body"[..]));
        assert_eq!(sealer.open(&sealed, b"bob"), None);
        assert_ne!(sealer.seal(b"body", b"alice"), sealed, "two seals of one message differ");
        assert_eq!(Keys::new(&A, &[]).sealer(Purpose::ResourceMeta).open(&sealed, b"alice"), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(sealer.open(&damaged, b"alice"), None, "byte {at}");
            assert_eq!(sealer.open(&sealed[..at], b"alice"), None, "the first {at} bytes");
        }
    }

    #[test]
    fn an_old_secret_opens_and_a_forgotten_one_does_not() {
        let (before, rotated) = (Keys::new(&A, &[]), Keys::new(&B, &[A]));
        let sealed = before.sealer(Purpose::Replay).seal(b"body", b"");
        assert!(rotated.sealer(Purpose::Replay).open(&sealed, b"").is_some());
        assert_eq!(Keys::new(&B, &[]).sealer(Purpose::Replay).open(&sealed, b""), None);
        let tag = before.mac(Purpose::PageToken).tag(b"token");
        let rotated = rotated.mac(Purpose::PageToken);
        assert!(rotated.is_tag(b"token", &tag) && rotated.is_tag(b"token", &tag[..16]));
        assert!(!rotated.is_tag(b"taken", &tag) && !rotated.is_tag(b"token", &tag[..15]));
        assert_ne!(rotated.tag(b"token"), tag);
    }

    #[test]
    fn a_signature_is_verified_with_the_public_key_alone() {
        let signer = Keys::new(&A, &[]).signer(Purpose::AuditSeal);
        let signature = signer.sign(b"root");
        assert!(verify(&signer.public_key(), b"root", &signature));
        assert!(!verify(&signer.public_key(), b"rood", &signature));
        assert!(Keys::new(&B, &[A]).signer(Purpose::AuditSeal).is_ours(&signer.public_key()));
        assert!(!Keys::new(&B, &[]).signer(Purpose::AuditSeal).is_ours(&signer.public_key()));
    }

    #[test]
    fn a_uuid_is_read_as_it_is_written() {
        let text = "0198c5b2-6d1e-7c44-9a3f-5b0f4a1c2d3e";
        assert_eq!(uuid_of(text).map(|id| uuid_text(&id)).as_deref(), Some(text));
        for other in [&text.replace('-', ""), &text.to_uppercase(), &text[1..], "", "+", "é", &"9".repeat(60)]
        {
            assert_eq!(uuid_of(other), None, "{other}");
        }
    }

    #[test]
    fn uuids_of_version_five_are_those_of_the_standard() {
        // The namespace and example of RFC 9562, appendix A.4.
        let dns =
            [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        assert_eq!(uuid_v5(&dns, b"www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }
}
