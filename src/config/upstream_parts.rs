//! The parts of an upstream's section that are tables or choices of their own.

use std::{path::PathBuf, time::Duration};

use super::secret::Secret;
use super::section::Section;
use super::setting::words;

words! {
    /// What becomes of a field or parameter that the request message does not have.
    pub enum UnknownFields {
        /// The request is refused, naming the field.
        Reject = "reject",
        /// It is dropped.
        Ignore = "ignore",
        /// It is dropped, and a response header names it.
        Warn = "warn",
    }
}

words! {
    /// The words of `credentials`.
    enum CredentialsKind {
        /// Nothing.
        None = "none",
        /// A fixed bearer token.
        Token = "token",
        /// Google's application default credentials.
        Adc = "adc",
        /// What the caller hands over.
        Caller = "caller",
    }
}

/// What the gateway shows to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// `none`: no credential.
    None,
    /// `token`: a bearer token.
    Token(Token),
    /// `adc`: Google's application default credentials.
    Adc,
    /// `caller`: what the caller sends for the upstream.
    Caller,
}

impl Credentials {
    /// Returns the word that the configuration has for it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token(_) => "token",
            Self::Adc => "adc",
            Self::Caller => "caller",
        }
    }
}

/// Where a bearer token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// `token`: written in the configuration.
    Inline(Secret),
    /// `token_file`: the content of a file, without surrounding white space.
    File(PathBuf),
}

/// Reads what is shown for callers, and what is shown for nobody where that differs.
pub(super) fn read_credentials(s: &mut Section<'_>) -> (Credentials, Option<Credentials>) {
    let kind = s.value("credentials", CredentialsKind::None);
    let poll: Option<CredentialsKind> = s.optional("poll_credentials");
    match (kind, poll) {
        (CredentialsKind::Caller, None) => (read_kind(s, kind), None),
        (CredentialsKind::Caller, Some(CredentialsKind::Caller)) => {
            s.wrong(
                "poll_credentials",
                "nobody calls when operations are looked after; set token, adc or none",
            );
            (Credentials::Caller, None)
        }
        (CredentialsKind::Caller, Some(poll)) => (Credentials::Caller, Some(read_kind(s, poll))),
        (_, Some(_)) => {
            s.wrong(
                "poll_credentials",
                r#"has a meaning with credentials = "caller" only; else credentials are shown"#,
            );
            (read_kind(s, kind), None)
        }
        (_, None) => (read_kind(s, kind), None),
    }
}

fn read_kind(s: &mut Section<'_>, kind: CredentialsKind) -> Credentials {
    let token = match (s.optional("token"), s.optional("token_file")) {
        (Some(_), Some(_)) => {
            s.wrong("token_file", "token is set too; keep one of them");
            None
        }
        (Some(token), None) => Some(Token::Inline(token)),
        (None, Some(file)) => Some(Token::File(file)),
        (None, None) => None,
    };
    match (kind, token) {
        (CredentialsKind::Token, Some(token)) => return Credentials::Token(token),
        (CredentialsKind::Token, None) => {
            s.wrong(
                "token",
                r#"missing; credentials or poll_credentials = "token" needs token or token_file"#,
            );
        }
        (_, Some(_)) => s.wrong("token", r#"would not be sent; set credentials = "token""#),
        (CredentialsKind::Adc, None) => return Credentials::Adc,
        (CredentialsKind::Caller, None) => return Credentials::Caller,
        (CredentialsKind::None, None) => {}
    }
    Credentials::None
}

/// How an upstream and the gateway prove to each other who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// `ca_file`: PEM file with the roots to trust. Default the machine's.
    pub ca_file: Option<PathBuf>,
    /// `domain`: the name the certificate must carry. Default the endpoint's host.
    pub domain: Option<String>,
    /// `certificate`, `key`: what the gateway shows. Default nothing.
    pub client: Option<ClientCertificate>,
}

/// A client certificate. Both files are read at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// `certificate`: PEM file with the certificate and those between it and its root.
    pub certificate: PathBuf,
    /// `key`: PEM file with its private key.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// Reads `certificate` and `key`, which mean nothing without each other.
    pub(super) fn read(s: &mut Section<'_>) -> Option<Self> {
        match (s.optional("certificate"), s.optional("key")) {
            (Some(certificate), Some(key)) => Some(Self { certificate, key }),
            (Some(_), None) => {
                s.wrong("key", "missing; a client certificate needs its private key");
                None
            }
            (None, Some(_)) => {
                s.wrong("certificate", "missing; the private key is of no use without its certificate");
                None
            }
            (None, None) => None,
        }
    }
}

impl UpstreamTls {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        let client = ClientCertificate::read(s);
        Self { ca_file: s.optional("ca_file"), domain: s.optional("domain"), client }
    }
}

/// When a failed call is tried again. Only calls that change nothing, or that the upstream can recognise, ever are.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// `attempts`: tries in all; 1 turns retries off. Default 3.
    pub attempts: u32,
    /// `budget`: retries as a share of calls, so that an ailing upstream is not buried. Default 0.2.
    pub budget: f64,
}

impl Retry {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self { attempts: s.bounded("attempts", 3, 1..=10), budget: s.bounded("budget", 0.2, 0.0..=1.0) }
    }
}

/// When a failing upstream is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// `failures`: failures in a row that open the breaker; 0 turns it off. Default 10.
    pub failures: u32,
    /// `open_for`: the longest that calls are refused before one is let through to look. It begins at an eighth of
    /// this and doubles. Default 5 s.
    pub open_for: Duration,
}

impl Breaker {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            failures: s.bounded("failures", 10, 0..=10_000),
            open_for: s.bounded(
                "open_for",
                Duration::from_secs(5),
                Duration::from_millis(10)..=Duration::from_secs(600),
            ),
        }
    }
}
