//! What the gateway shows to an upstream: nothing, a token of its own, or what the caller hands over. Never two of them.
//!
//! A token file is read again every [`REREAD`], and at once (at most every [`DOUBT`]) when the upstream refuses it: whoever
//! rotates it need not restart anything. While it cannot be read, the last token stays.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use crate::config::{Credentials as Configured, Token};

/// How old a token from a file may become.
const REREAD: Duration = Duration::from_secs(30);
/// How old a token must be before a refusal makes us read the file again.
const DOUBT: Duration = Duration::from_secs(1);
/// The largest token file, in bytes.
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// The credential of one upstream. `Debug` shows no token.
#[derive(Debug)]
pub(super) enum Credentials {
    None,
    Token(HeaderValue),
    File(TokenFile),
    Caller,
}

/// A bearer token that lives in a file.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    read: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    token: HeaderValue,
    at: Instant,
}

impl Credentials {
    /// Reads what the configuration names. The error names the key that is wrong and never the token.
    pub(super) fn new(config: &Configured) -> Result<Self, (&'static str, String)> {
        Ok(match config {
            Configured::None => Self::None,
            Configured::Caller => Self::Caller,
            Configured::Token(Token::Inline(token)) => {
                Self::Token(bearer(token.expose()).map_err(|why| ("token", why.to_owned()))?)
            }
            Configured::Token(Token::File(path)) => {
                let token = read_token(path)
                    .map_err(|error| ("token_file", format!("{}: {error}", path.display())))?;
                let held = Held { token, at: Instant::now() };
                Self::File(TokenFile { path: path.clone(), read: Mutex::new(held) })
            }
        })
    }

    /// Returns the `authorization` of a call, given what the caller handed over for this upstream.
    pub(super) fn authorization(&self, handed_over: Option<&HeaderValue>) -> Option<HeaderValue> {
        let mut value = match self {
            Self::None => return None,
            Self::Token(token) => token.clone(),
            Self::File(file) => file.token(REREAD),
            Self::Caller => handed_over?.clone(),
        };
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes note that the upstream refused the credential.
    pub(super) fn refused(&self) {
        if let Self::File(file) = self {
            file.token(DOUBT);
        }
    }

    /// Tells whether the caller's own credential and quota project go up.
    pub(super) fn are_the_callers(&self) -> bool {
        matches!(self, Self::Caller)
    }
}

impl TokenFile {
    fn token(&self, age_max: Duration) -> HeaderValue {
        let mut held = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.saturating_duration_since(held.at) >= age_max {
            held.at = now;
            match read_token(&self.path) {
                Ok(token) => held.token = token,
                Err(error) => {
                    tracing::warn!(path = %self.path.display(), %error, "token file cannot be read; the last token stays");
                }
            }
        }
        held.token.clone()
    }
}

fn read_token(path: &Path) -> io::Result<HeaderValue> {
    let mut text = String::new();
    File::open(path)?.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TOKEN_BYTES_MAX {
        return Err(io::Error::other(format!("larger than {TOKEN_BYTES_MAX} bytes")));
    }
    bearer(text.trim()).map_err(io::Error::other)
}

fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("a bearer token is printable ASCII without spaces, and not empty");
    }
    let mut value =
        HeaderValue::try_from(format!("Bearer {token}")).expect("printable ASCII is a header value");
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn inline(token: &str) -> Result<Credentials, (&'static str, String)> {
        Credentials::new(&Configured::Token(Token::Inline(Secret::new(token))))
    }

    #[test]
    fn a_token_never_shows() {
        let credentials = inline("s3cr3t").unwrap();
        assert_eq!(credentials.authorization(None).unwrap(), "Bearer s3cr3t");
        assert!(!format!("{credentials:?} {:?}", credentials.authorization(None)).contains("s3cr3t"));
        let (key, why) = inline("s3cr3t two").unwrap_err();
        assert!(key == "token" && !why.contains("s3cr3t"));
    }

    #[test]
    fn the_callers_credential_goes_up_only_where_configured() {
        let callers = HeaderValue::from_static("Bearer callers");
        let callers = Some(&callers);
        assert_eq!(Credentials::None.authorization(callers), None);
        assert_eq!(inline("ours").unwrap().authorization(callers).unwrap(), "Bearer ours");
        assert_eq!(Credentials::Caller.authorization(callers), callers.cloned());
        assert_eq!(Credentials::Caller.authorization(None), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_file_is_read_again_and_a_lost_one_keeps_its_token() {
        let path = std::env::temp_dir().join(format!("causeway-token-{}", std::process::id()));
        std::fs::write(&path, "first\n").unwrap();
        let config = Configured::Token(Token::File(path.clone()));
        let credentials = Credentials::new(&config).unwrap();
        std::fs::write(&path, "second").unwrap();
        assert_eq!(credentials.authorization(None).unwrap(), "Bearer first");
        tokio::time::advance(DOUBT).await;
        credentials.refused();
        assert_eq!(credentials.authorization(None).unwrap(), "Bearer second");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(REREAD).await;
        assert_eq!(credentials.authorization(None).unwrap(), "Bearer second");
        assert_eq!(Credentials::new(&config).unwrap_err().0, "token_file");
    }
}
