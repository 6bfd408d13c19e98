//! Headers of an endpoint's own, such as a token of a proxy in front of it.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    crypto::Sealer,
    error::{Error, Result},
};

/// Headers of one endpoint.
const COUNT_MAX: usize = 16;
/// Bytes of a header's value.
const VALUE_BYTES_MAX: usize = 4096;
/// Headers that are ours to set, or that belong to a connection (RFC 9110 §7.6.1).
const RESERVED: [&str; 18] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// Families of headers that are ours.
const RESERVED_PREFIXES: [&str; 2] = ["webhook-", "causeway-"];

/// Headers by their name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Judges headers.
    ///
    /// # Errors
    /// `INVALID_FIELD` for `headers.<name>`.
    pub fn new(given: BTreeMap<String, String>) -> Result<Self> {
        if given.len() > COUNT_MAX {
            return Err(Error::invalid_field("headers", format!("at most {COUNT_MAX} headers")));
        }
        let mut headers = BTreeMap::new();
        for (name, value) in given {
            let field = format!("headers.{name}");
            let lower = HeaderName::try_from(&name)
                .map_err(|_| Error::invalid_field(&*field, "not the name of a header"))?
                .as_str()
                .to_owned();
            if RESERVED.contains(&lower.as_str())
                || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
            {
                return Err(Error::invalid_field(
                    field,
                    "reserved: set by the gateway, or part of the connection",
                ));
            }
            let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            if value.len() > VALUE_BYTES_MAX || !printable {
                let text = format!("the value must be printable ASCII of at most {VALUE_BYTES_MAX} bytes");
                return Err(Error::invalid_field(field, text));
            }
            if headers.insert(lower, value).is_some() {
                return Err(Error::invalid_field(field, "given twice, in different case"));
            }
        }
        Ok(Self(headers))
    }

    /// Lists the names.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Turns them into what is sent.
    pub(super) fn to_map(&self) -> HeaderMap {
        let pair = |(name, value): (&String, &String)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        };
        self.0.iter().filter_map(pair).collect()
    }

    /// Encrypts them for the endpoint of this id: a value is likely a credential.
    pub(super) fn seal(&self, sealer: &Sealer, endpoint: &str) -> Result<Vec<u8>> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let plain = serde_json::to_vec(&self.0).map_err(Error::internal)?;
        Ok(sealer.seal(&plain, context(endpoint).as_bytes()))
    }

    /// Decrypts what [`Self::seal`] made.
    pub(super) fn open(sealed: &[u8], sealer: &Sealer, endpoint: &str) -> Result<Self> {
        if sealed.is_empty() {
            return Ok(Self::default());
        }
        let lost =
            || Error::internal(format!("the headers of {endpoint} were sealed with another secrets.key"));
        let plain = sealer.open(sealed, context(endpoint).as_bytes()).ok_or_else(lost)?;
        Ok(Self(serde_json::from_slice(&plain).map_err(Error::internal)?))
    }
}

fn context(endpoint: &str) -> String {
    format!("{endpoint} headers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Keys, Purpose};

    fn of(name: &str, value: &str) -> Result<Headers> {
        Headers::new(BTreeMap::from([(name.to_owned(), value.to_owned())]))
    }

    #[test]
    fn what_is_ours_or_would_break_the_request_is_refused() {
        for (name, value) in [
            ("Host", "evil"),
            ("content-length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("Webhook-Id", "x"),
            ("webhook-signature", "v1,x"),
            ("Causeway-Audit", "x"),
            ("X-A\r\nX-B", "x"),
            ("X A", "x"),
            ("", "x"),
            ("X-A", "x\r\nX-B: y"),
            ("X-A", "x\0"),
            ("X-A", "é"),
        ] {
            let error = of(name, value).unwrap_err();
            assert_eq!(error.violations()[0].field, format!("headers.{name}"), "{name}: {value}");
        }
        assert!(of("X-A", &"x".repeat(VALUE_BYTES_MAX + 1)).is_err());
        let many = (0..=COUNT_MAX).map(|n| (format!("x-{n}"), String::new())).collect();
        assert!(Headers::new(many).is_err());
    }

    #[test]
    fn others_are_kept_sealed() {
        let headers = of("Authorization", "Bearer t").unwrap();
        let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::WebhookSecret);
        let sealed = headers.seal(&sealer, "a").unwrap();
        assert_eq!(Headers::open(&sealed, &sealer, "a").unwrap(), headers);
        assert_eq!(headers.names(), ["authorization"]);
        assert_eq!(headers.to_map()["authorization"], "Bearer t");
    }
}
