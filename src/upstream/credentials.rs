//! What the gateway shows to an upstream: nothing, a token of its own, or what the caller hands over. Never two of them.

use http::HeaderValue;
use tokio::time::Instant;

use super::adc::{Adc, NoToken};
use super::token_file::TokenFile;
use crate::config::{Credentials as Configured, Token};

/// The credential of one upstream. `Debug` shows no token.
#[derive(Debug)]
pub(super) enum Credentials {
    None,
    Token(HeaderValue),
    File(TokenFile),
    Adc(Adc),
    Caller,
}

/// What one try shows.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// `authorization`.
    pub(super) authorization: Option<HeaderValue>,
    /// The `x-goog-user-project` that the credential itself names.
    pub(super) user_project: Option<HeaderValue>,
}

impl Credentials {
    /// Reads what the configuration names; `scopes` are those of the upstream's services. The error names the key that is
    /// wrong and never the token. Must run inside a tokio runtime.
    pub(super) fn new(config: &Configured, scopes: Vec<String>) -> Result<Self, (&'static str, String)> {
        Ok(match config {
            Configured::None => Self::None,
            Configured::Caller => Self::Caller,
            Configured::Adc => Self::Adc(Adc::new(scopes).map_err(|why| ("credentials", why))?),
            Configured::Token(Token::Inline(token)) => {
                Self::Token(bearer(token.expose()).map_err(|why| ("token", why.to_owned()))?)
            }
            Configured::Token(Token::File(path)) => {
                Self::File(TokenFile::open(path).map_err(|why| ("token_file", why))?)
            }
        })
    }

    /// Returns what a try shows, given what the caller handed over for this upstream. Waits for a token no longer than
    /// until `end`.
    pub(super) async fn show(
        &self,
        handed_over: Option<&HeaderValue>,
        end: Instant,
    ) -> Result<Shown, NoToken> {
        let mut shown = match self {
            Self::None => Shown::default(),
            Self::Token(token) => token.clone().into(),
            Self::File(file) => file.token().into(),
            Self::Adc(adc) => adc.show(end).await?,
            Self::Caller => Shown { authorization: handed_over.cloned(), user_project: None },
        };
        if let Some(authorization) = &mut shown.authorization {
            authorization.set_sensitive(true);
        }
        Ok(shown)
    }

    /// Takes note that the upstream refused the credential.
    pub(super) fn refused(&self) {
        match self {
            Self::File(file) => file.refused(),
            Self::Adc(adc) => adc.refused(),
            Self::None | Self::Token(_) | Self::Caller => {}
        }
    }

    /// Tells whether the last try found no token to show.
    pub(super) fn are_missing(&self) -> bool {
        matches!(self, Self::Adc(adc) if adc.is_failing())
    }

    /// Returns the configuration's word for a credential of the gateway's own, where there is one.
    pub(super) fn own_kind(&self) -> Option<&'static str> {
        match self {
            Self::Token(_) | Self::File(_) => Some("token"),
            Self::Adc(_) => Some("adc"),
            Self::None | Self::Caller => None,
        }
    }

    /// Tells whether the caller's own credential and quota project go up.
    pub(super) fn are_the_callers(&self) -> bool {
        matches!(self, Self::Caller)
    }
}

impl From<HeaderValue> for Shown {
    fn from(authorization: HeaderValue) -> Self {
        Self { authorization: Some(authorization), user_project: None }
    }
}

/// Puts the scheme before a token. The error does not show it.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
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
        Credentials::new(&Configured::Token(Token::Inline(Secret::new(token))), Vec::new())
    }

    async fn authorization(
        credentials: &Credentials,
        handed_over: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        credentials.show(handed_over, Instant::now()).await.unwrap().authorization
    }

    #[tokio::test]
    async fn a_token_never_shows() {
        let credentials = inline("s3cr3t").unwrap();
        assert_eq!(authorization(&credentials, None).await.unwrap(), "Bearer s3cr3t");
        let shown = credentials.show(None, Instant::now()).await.unwrap();
        assert!(!format!("{credentials:?} {shown:?}").contains("s3cr3t"));
        let (key, why) = inline("s3cr3t two").unwrap_err();
        assert!(key == "token" && !why.contains("s3cr3t"));
    }

    #[tokio::test]
    async fn the_callers_credential_goes_up_only_where_configured() {
        let callers = HeaderValue::from_static("Bearer callers");
        let callers = Some(&callers);
        assert_eq!(authorization(&Credentials::None, callers).await, None);
        assert_eq!(authorization(&inline("ours").unwrap(), callers).await.unwrap(), "Bearer ours");
        assert_eq!(authorization(&Credentials::Caller, callers).await, callers.cloned());
        assert_eq!(authorization(&Credentials::Caller, None).await, None);
    }
}
