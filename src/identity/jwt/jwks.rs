//! The keys that an issuer publishes (RFC 7517).

use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

/// Keys that are read of one document.
const KEYS_MAX: usize = 100;
/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Keys that signatures can be checked with.
#[derive(Debug, Default)]
pub(super) struct Jwks(Vec<PublicKey>);

#[derive(Debug)]
struct PublicKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

/// One key as it is published; what it does not need is not read.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwks {
    /// Reads a document. Keys that cannot be used with one of `allowed` are passed over: shared secrets, keys for
    /// encryption, short ones, curves that nobody asked for.
    pub(super) fn parse(document: &[u8], allowed: &[Algorithm]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(document)?;
        let keys = document.keys.into_iter().take(KEYS_MAX);
        Ok(Self(keys.filter_map(|key| usable(serde_json::from_value(key).ok()?, allowed)).collect()))
    }

    /// Whether there is no key to use.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds the key for a token: by its id, or, if the token names none, the only one that fits.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        });
        let first = fitting.next()?;
        (kid.is_some() || fitting.next().is_none()).then_some(&first.key)
    }
}

fn usable(key: Published, allowed: &[Algorithm]) -> Option<PublicKey> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let (fitting, decoding): (&[Algorithm], _) = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => {
            let modulus = key.n?;
            let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(&modulus).ok()?;
            if !MODULUS_BYTES.contains(&bytes.len()) {
                return None;
            }
            (&[RS256, RS384, RS512, PS256, PS384, PS512], DecodingKey::from_rsa_components(&modulus, &key.e?))
        }
        ("EC", Some("P-256")) => (&[ES256], DecodingKey::from_ec_components(&key.x?, &key.y?)),
        ("EC", Some("P-384")) => (&[ES384], DecodingKey::from_ec_components(&key.x?, &key.y?)),
        ("OKP", Some("Ed25519")) => (&[EdDSA], DecodingKey::from_ed_components(&key.x?)),
        _ => return None,
    };
    let named = key.alg.map(|name| name.parse::<Algorithm>());
    let algorithms: Vec<Algorithm> = fitting
        .iter()
        .copied()
        .filter(|algorithm| allowed.contains(algorithm))
        .filter(|algorithm| named.as_ref().is_none_or(|named| named.as_ref().ok() == Some(algorithm)))
        .collect();
    let key = PublicKey { kid: key.kid, algorithms, key: decoding.ok()? };
    (!key.algorithms.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_keys_for_signatures_are_taken() {
        let x = base64_simd::URL_SAFE_NO_PAD.encode_to_string([7; 32]);
        let (short, long) = ([1; 128], [1; 256]);
        let [short, long] =
            [&short[..], &long[..]].map(|bytes| base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes));
        let document = serde_json::json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "good"},
            {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "enc", "use": "enc"},
            {"kty": "OKP", "crv": "X25519", "x": x, "kid": "exchange"},
            {"kty": "oct", "k": x, "kid": "secret", "alg": "HS256"},
            {"kty": "RSA", "n": short, "e": "AQAB", "kid": "short"},
            {"kty": "RSA", "n": long, "e": "AQAB", "kid": "rsa", "alg": "RS256"},
            {"kty": "EC", "crv": "P-521", "x": x, "y": x, "kid": "curve"},
            {"kty": 7}, "nonsense", null,
        ]});
        let allowed = [Algorithm::RS256, Algorithm::RS512, Algorithm::EdDSA];
        let keys = Jwks::parse(document.to_string().as_bytes(), &allowed).unwrap();
        assert_eq!(keys.0.len(), 2);
        assert!(keys.find(Some("good"), Algorithm::EdDSA).is_some());
        assert!(keys.find(None, Algorithm::EdDSA).is_some());
        assert!(keys.find(Some("rsa"), Algorithm::RS256).is_some());
        assert!(keys.find(Some("rsa"), Algorithm::RS512).is_none(), "the key says RS256");
        assert!(keys.find(Some("rsa"), Algorithm::HS256).is_none());
        assert!(keys.find(Some("../good"), Algorithm::EdDSA).is_none());
        assert!(Jwks::parse(b"<html>", &allowed).is_err());
    }
}
