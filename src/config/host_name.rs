//! A name that a request may be addressed to.

use std::str::FromStr;

use toml::Value;

use super::setting::{Setting, Why};

/// Longest name of the domain name system (RFC 1035, 2.3.4).
const BYTES_MAX: usize = 253;

/// The name of a host, in lower case and without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// Whether a request is addressed to it; `host` comes without a port.
    pub fn is(&self, host: &str) -> bool {
        self.0.eq_ignore_ascii_case(host)
    }
}

impl FromStr for HostName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_name = (1..=BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !text.starts_with('.')
            && !text.ends_with('.');
        is_name.then(|| Self(text.to_ascii_lowercase())).ok_or(())
    }
}

impl Setting for HostName {
    const EXPECTED: &'static str = r#"the name of a host without a port, such as "gateway.example.com""#;

    fn read(value: &Value) -> Result<Self, Why> {
        value.as_str().and_then(|text| text.parse().ok()).ok_or_else(Why::default)
    }

    fn show(&self) -> Value {
        Value::String(self.0.clone())
    }
}
