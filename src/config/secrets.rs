//! `[secrets]`: what encrypts and signs.

use std::fmt;

use toml::Value;

use super::secret::HIDDEN;
use super::section::Section;
use super::setting::{Setting, Why};

/// The length of a key, in bytes.
const KEY_BYTES: usize = 32;

/// The key in use and those before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// `key`: encrypts and signs what is new.
    pub key: Option<SecretsKey>,
    /// `old_keys`: still open what they sealed.
    pub old_keys: Vec<SecretsKey>,
}

/// A key of 32 bytes, written in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretsKey([u8; KEY_BYTES]);

impl SecretsKey {
    /// Returns the bytes. Never log them.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Secrets {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { key: s.optional("key"), old_keys: s.value("old_keys", Vec::new()) }
    }
}

impl Setting for SecretsKey {
    const EXPECTED: &'static str = "32 bytes in base64, as `openssl rand -base64 32` prints them";
    const SECRET: bool = true;
    const TEXT: bool = true;

    fn read(value: &Value) -> Result<Self, Why> {
        let text = value.as_str().ok_or_else(Why::default)?;
        let bytes = base64_simd::STANDARD.decode_to_vec(text).map_err(|_| Why::new("not base64"))?;
        let length = bytes.len();
        bytes.try_into().map(Self).map_err(|_| Why::new(format!("{length} bytes")))
    }

    fn show(&self) -> Value {
        Value::String(HIDDEN.to_owned())
    }
}
