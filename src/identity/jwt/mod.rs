//! Tokens of configured issuers (RFC 7519, and what RFC 8725 asks of whoever reads them).
//!
//! - [`Issuers`]: finds whose a token is, and whether it is good.
//! - `keys`: the keys of one issuer, fetched, kept, and fetched again when a token names one that is not known.
//! - `jwks`: the document that an issuer publishes.
//!
//! What holds: the algorithm is one that the configuration names for the issuer and that fits the key, whatever the token
//! says; nothing in a token names a place to fetch from; a key is found by looking into a list, so what a `kid` looks
//! like does not matter; all times allow for [`LEEWAY`].

mod jwks;
mod keys;

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, de::IgnoredAny};

use self::keys::Keys;
use super::credential::unauthenticated;
use crate::{
    config,
    egress::Fetcher,
    error::{Error, Result},
};

/// How far the clocks of an issuer and ours may be apart.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);
/// The longest token, in bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// The longest `sub`, in bytes.
const SUBJECT_BYTES_MAX: usize = 256;
/// What a token may say it is.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// All issuers whose tokens are believed.
#[derive(Debug)]
pub(super) struct Issuers(Vec<Issuer>);

#[derive(Debug)]
struct Issuer {
    name: String,
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Believed {
    /// Name of the issuer in the configuration.
    pub(super) issuer: String,
    /// Whom the token is about, as the issuer calls them.
    pub(super) subject: String,
    /// When it ends, leeway included.
    pub(super) ends: Timestamp,
}

/// What is read of a header. A field that is there twice is an error.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<IgnoredAny>,
}

/// What is read of the claims. A claim that is there twice is an error.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[expect(dead_code, reason = "it is checked with the signature; here it must not be there twice")]
    aud: IgnoredAny,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
}

impl Issuers {
    pub(super) fn new(configured: &[config::Issuer], fetcher: &Fetcher) -> Self {
        let issuers = configured.iter().map(|issuer| {
            let algorithms: Vec<Algorithm> = issuer.algorithms.iter().map(algorithm).collect();
            Issuer {
                name: issuer.name.clone(),
                issuer: issuer.issuer.clone(),
                audiences: issuer.audiences.clone(),
                keys: Keys::new(&issuer.name, &issuer.jwks_url, &algorithms, fetcher.clone()),
                algorithms,
            }
        });
        Self(issuers.collect())
    }

    /// Whether a principal of this name is one that tokens of an issuer are about.
    pub(super) fn speak_for(&self, principal: &str) -> bool {
        principal.split_once(':').is_some_and(|(issuer, _)| self.0.iter().any(|known| known.name == issuer))
    }

    /// Whether a text is a token that says it is of one of these issuers. It may lie, to its own harm.
    pub(super) fn may_be_ours(&self, token: &str) -> bool {
        #[derive(Deserialize)]
        struct Says {
            iss: String,
        }
        let says = token.split('.').nth(1).and_then(read::<Says>);
        says.is_some_and(|says| self.0.iter().any(|issuer| issuer.issuer == says.iss))
    }

    /// Checks a token.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` with what is wrong with it; `UNAVAILABLE` if the issuer's keys cannot be had.
    pub(super) async fn check(&self, token: &str, now: Timestamp) -> Result<Believed> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(refused(format!("it has more than {TOKEN_BYTES_MAX} bytes")));
        }
        let parts: Vec<&str> = token.split('.').take(4).collect();
        let [header, claims, signature] = parts[..] else {
            return Err(refused("it is not three parts with dots between them"));
        };
        if signature.is_empty() {
            return Err(refused("it is not signed"));
        }
        let header: Header = read(header).ok_or_else(|| refused("its header cannot be read"))?;
        let claims: Claims = read(claims).ok_or_else(|| refused("its claims cannot be read"))?;
        let issuer = self.0.iter().find(|issuer| issuer.issuer == claims.iss);
        let issuer = issuer.ok_or_else(|| refused("its issuer is not one that is believed here"))?;
        let algorithm = issuer.algorithm(&header)?;
        let key = issuer.keys.find(header.kid.as_deref(), algorithm).await?;

        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&issuer.issuer]);
        validation.set_audience(&issuer.audiences);
        validation.set_required_spec_claims(&["iss", "aud", "sub"]);
        // Times are checked below, by our clock.
        validation.validate_exp = false;
        jsonwebtoken::decode::<IgnoredAny>(token, &key, &validation)
            .map_err(|error| refused(words(&error)))?;
        issuer.believe(claims, now)
    }
}

impl Issuer {
    /// Finds the algorithm that a header names among those that this issuer may use.
    fn algorithm(&self, header: &Header) -> Result<Algorithm> {
        if header.crit.is_some() {
            return Err(refused("it needs an extension that is not known here"));
        }
        let known = |typ: &String| TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known));
        if !header.typ.as_ref().is_none_or(known) {
            return Err(refused("it is not of a type that grants access"));
        }
        let named = header.alg.parse().ok().filter(|algorithm| self.algorithms.contains(algorithm));
        named.ok_or_else(|| refused("it is not signed with an algorithm that its issuer uses"))
    }

    fn believe(&self, claims: Claims, now: Timestamp) -> Result<Believed> {
        let (now, leeway) = (now.as_millisecond() as f64 / 1e3, LEEWAY.as_secs_f64());
        if now >= claims.exp + leeway {
            return Err(refused("it has expired"));
        }
        if [claims.nbf, claims.iat].into_iter().flatten().any(|begins| now < begins - leeway) {
            return Err(refused("it is not valid yet"));
        }
        let sub = claims.sub;
        if sub.is_empty() || sub.len() > SUBJECT_BYTES_MAX || sub.chars().any(char::is_control) {
            return Err(refused("its subject cannot be used"));
        }
        // What ends later than time itself ends with it.
        let ends = Timestamp::from_second((claims.exp + leeway) as i64).unwrap_or(Timestamp::MAX);
        Ok(Believed { issuer: self.name.clone(), subject: sub, ends })
    }
}

/// Decodes one part of a token.
fn read<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn refused(why: impl AsRef<str>) -> Error {
    unauthenticated(format!("The token is refused: {}.", why.as_ref()))
}

fn words(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidAudience => "it is meant for somebody else (aud)",
        ErrorKind::InvalidIssuer => "its issuer is not one that is believed here",
        ErrorKind::MissingRequiredClaim(_) => "iss, aud or sub is missing",
        _ => "its signature is wrong",
    }
}

fn algorithm(configured: &config::Algorithm) -> Algorithm {
    use config::Algorithm as Configured;
    match configured {
        Configured::Rs256 => Algorithm::RS256,
        Configured::Rs384 => Algorithm::RS384,
        Configured::Rs512 => Algorithm::RS512,
        Configured::Ps256 => Algorithm::PS256,
        Configured::Ps384 => Algorithm::PS384,
        Configured::Ps512 => Algorithm::PS512,
        Configured::Es256 => Algorithm::ES256,
        Configured::Es384 => Algorithm::ES384,
        Configured::EdDsa => Algorithm::EdDSA,
    }
}
