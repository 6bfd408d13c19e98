//! The one error of the gateway: a canonical code, a stable reason, words for the caller, and a cause for the log.
//!
//! Every module returns [`Error`]. What it displays is what a caller may read; the cause chain is for the log and is
//! printed once, where the error is handled ([`Error::told`]). How a code becomes an HTTP status is decided in `http`.
//!
//! An error deliberately does not know HTTP, tonic or JSON.

mod code;
mod nearest;

use std::{error::Error as StdError, fmt, time::Duration};

use bytes::Bytes;
use http::HeaderMap;

pub use self::{code::Code, nearest::nearest};

/// Bytes of a field's name, and of what is said about it, that an error repeats: either may hold what a caller sent.
const QUOTED_BYTES_MAX: usize = 512;

/// What callers read of a fault of ours.
const FAULT: &str = "The gateway failed. Quote the request id when you report this.";

/// The result of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Field violations and metadata kept per error: a body with a million mistakes gets the first few named.
pub const VIOLATIONS_MAX: usize = 32;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// Why the gateway itself refused: the `reason` of its `ErrorInfo`. Names are added, never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns the published name, e.g. `ROUTE_NOT_FOUND`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// No template matches the path.
    RouteNotFound = "ROUTE_NOT_FOUND";
    /// There is no such resource of the gateway's own.
    ResourceNotFound = "RESOURCE_NOT_FOUND";
    /// The path is known, with other verbs.
    MethodNotAllowed = "METHOD_NOT_ALLOWED";
    /// The body is not JSON.
    InvalidJson = "INVALID_JSON";
    /// The message has no such field.
    UnknownField = "UNKNOWN_FIELD";
    /// A field, parameter or header has a value it cannot take.
    InvalidField = "INVALID_FIELD";
    /// The body is larger than allowed.
    BodyTooLarge = "BODY_TOO_LARGE";
    /// Another named limit was passed.
    LimitExceeded = "LIMIT_EXCEEDED";
    /// The body's content type or encoding is not one we read.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE";
    /// The upstream cannot be reached.
    UpstreamUnavailable = "UPSTREAM_UNAVAILABLE";
    /// The upstream did not answer in time.
    UpstreamTimeout = "UPSTREAM_TIMEOUT";
    /// The service is known but the configuration has no section for it.
    UpstreamNotConfigured = "UPSTREAM_NOT_CONFIGURED";
    /// The upstream has no such method.
    NotOffered = "NOT_OFFERED";
    /// The upstream answered with something that cannot be shown.
    UpstreamInvalidResponse = "UPSTREAM_INVALID_RESPONSE";
    /// No valid credential.
    Unauthenticated = "UNAUTHENTICATED";
    /// A valid credential that may not do this.
    PermissionDenied = "PERMISSION_DENIED";
    /// The webhook endpoint is disabled.
    EndpointDisabled = "ENDPOINT_DISABLED";
    /// Too many requests.
    RateLimited = "RATE_LIMITED";
    /// A request with this Idempotency-Key is still running.
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS";
    /// The Idempotency-Key was used with another request.
    IdempotencyMismatch = "IDEMPOTENCY_MISMATCH";
    /// Nobody can say whether the first request took effect.
    OutcomeUnknown = "OUTCOME_UNKNOWN";
    /// The audit log cannot be written, so nothing was sent.
    AuditUnavailable = "AUDIT_UNAVAILABLE";
    /// The gateway has as many requests as it can work on.
    Overloaded = "OVERLOADED";
    /// The gateway's own database cannot be used.
    StoreUnavailable = "STORE_UNAVAILABLE";
    /// The gateway is stopping.
    ShuttingDown = "SHUTTING_DOWN";
    /// A fault of the gateway.
    Internal = "INTERNAL";
}

/// One wrong field of a request: an entry of `google.rpc.BadRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field as the caller wrote it, e.g. `connection.cloudSql.noSuch`.
    pub field: String,
    /// What is wrong and what would be right.
    pub description: String,
}

/// One packed detail of an upstream's status, passed through as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Type URL, e.g. `type.googleapis.com/google.rpc.ErrorInfo`.
    pub type_url: String,
    /// The message in wire format.
    pub value: Bytes,
}

/// What went wrong. One pointer wide, so that `Result` stays small on the fast path.
pub struct Error(Box<Inner>);

struct Inner {
    code: Code,
    reason: Option<Reason>,
    message: String,
    violations: Vec<FieldViolation>,
    metadata: Vec<(&'static str, String)>,
    details: Vec<Detail>,
    headers: HeaderMap,
    allow: Option<String>,
    retry_after: Option<Duration>,
    nothing_sent: bool,
    maybe_done: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of ours. `message` is for the caller: it names the field and the way out.
    pub fn new(code: Code, reason: Reason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            reason: Some(reason),
            message: message.into(),
            violations: Vec::new(),
            metadata: Vec::new(),
            details: Vec::new(),
            headers: HeaderMap::new(),
            allow: None,
            retry_after: None,
            nothing_sent: false,
            maybe_done: false,
            source: None,
        }))
    }

    /// Creates the error that an upstream answered: its code, words and details, with no reason of ours.
    pub fn upstream(code: Code, message: impl Into<String>, details: Vec<Detail>) -> Self {
        let mut error = Self::new(code, Reason::Internal, message);
        error.0.reason = None;
        error.0.details = details;
        error
    }

    /// A field that cannot take the value given.
    pub fn invalid_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::field(Reason::InvalidField, field.into(), description.into())
    }

    /// A field or parameter that the message does not have.
    pub fn unknown_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::field(Reason::UnknownField, field.into(), description.into())
    }

    /// A named limit was passed.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, Reason::LimitExceeded, message)
    }

    /// A fault of ours. The message is generic on purpose; `source` goes to the log.
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Code::Internal, Reason::Internal, FAULT).with_source(source)
    }

    fn field(reason: Reason, field: String, description: String) -> Self {
        let (field, description) = (cut(field), cut(description));
        let message = if field.is_empty() { description.clone() } else { format!("{field}: {description}") };
        let mut error = Self::new(Code::InvalidArgument, reason, message);
        error.0.violations.push(FieldViolation { field, description });
        error
    }

    /// Copies it for another caller who asked the same; of its cause only the words.
    #[must_use]
    pub fn shared(&self) -> Self {
        let Inner { code, reason, message, violations, metadata, details, headers, allow, .. } = &*self.0;
        Self(Box::new(Inner {
            code: *code,
            reason: *reason,
            message: message.clone(),
            violations: violations.clone(),
            metadata: metadata.clone(),
            details: details.clone(),
            headers: headers.clone(),
            allow: allow.clone(),
            retry_after: self.0.retry_after,
            nothing_sent: self.0.nothing_sent,
            maybe_done: self.0.maybe_done,
            source: self.0.source.as_ref().map(|source| source.to_string().into()),
        }))
    }

    /// Says which of several places it is about.
    #[must_use]
    pub fn at(mut self, place: &str) -> Self {
        self.0.message = format!("{place}: {}", self.0.message);
        self
    }

    /// Adds a cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds a fact to the `ErrorInfo` metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: &'static str, value: impl Into<String>) -> Self {
        if self.0.metadata.len() < VIOLATIONS_MAX {
            self.0.metadata.push((key, value.into()));
        }
        self
    }

    /// Adds one more wrong field; those past [`VIOLATIONS_MAX`] are dropped.
    #[must_use]
    pub fn with_violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        if self.0.violations.len() < VIOLATIONS_MAX {
            self.0.violations.push(FieldViolation { field: field.into(), description: description.into() });
        }
        self
    }

    /// Adds what came beside it of the upstream's headers and trailers and may reach the caller.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers = headers;
        self
    }

    /// Sets the verbs that the path does accept, as the `Allow` header prints them.
    #[must_use]
    pub fn with_allow(mut self, verbs: impl Into<String>) -> Self {
        self.0.allow = Some(verbs.into());
        self
    }

    /// Sets how long a caller should wait before trying again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Says that nothing left for the upstream, so nothing can have changed there.
    #[must_use]
    pub fn with_nothing_sent(mut self) -> Self {
        self.0.nothing_sent = true;
        self
    }

    /// Says that an earlier try of the same may have taken effect, whatever this one says of itself.
    #[must_use]
    pub fn with_maybe_done(mut self) -> Self {
        self.0.maybe_done = true;
        self
    }

    /// Puts `prefix.` before every field named, for errors found inside a field's own value.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        if prefix.is_empty() {
            return self;
        }
        for violation in &mut self.0.violations {
            let separator =
                if violation.field.is_empty() || violation.field.starts_with('[') { "" } else { "." };
            violation.field = format!("{prefix}{separator}{}", violation.field);
        }
        if let [first, ..] = self.0.violations.as_slice() {
            self.0.message = format!("{}: {}", first.field, first.description);
        }
        self
    }

    /// Returns the canonical code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Returns our reason; `None` when an upstream said it.
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason
    }

    /// Returns the words for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the wrong fields.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.violations
    }

    /// Returns the facts of the `ErrorInfo`.
    pub fn metadata(&self) -> &[(&'static str, String)] {
        &self.0.metadata
    }

    /// Returns the details that an upstream packed.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// Returns what came beside it of the upstream's headers and trailers and may reach the caller.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// Returns the value of the `Allow` header, on a wrong verb.
    pub fn allow(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    /// Returns how long to wait before trying again, when that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Tells whether it is certain that nothing left for the upstream.
    pub fn nothing_sent(&self) -> bool {
        self.0.nothing_sent
    }

    /// Tells whether an earlier try of the same may have taken effect.
    pub fn maybe_done(&self) -> bool {
        self.0.maybe_done
    }

    /// Prints it for whoever runs the gateway; see [`told`].
    pub fn told(&self) -> String {
        told(self)
    }
}

/// Prints an error and its causes on one line, for whoever runs the gateway: each once, and where a cause is known not the
/// words that callers read of a fault of ours.
pub fn told(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if text.ends_with(FAULT) {
            text.truncate(text.len() - FAULT.len());
            text.push_str(&words);
        } else if !text.ends_with(&words) {
            join(&mut text, &words);
        }
        cause = error.source();
    }
    text
}

/// Puts a cause behind what it caused, whose full stop is none any more.
fn join(text: &mut String, cause: &str) {
    text.truncate(text.trim_end_matches('.').len());
    text.push_str(": ");
    text.push_str(cause);
}

/// Cuts what may hold a caller's words to a length that an error can bear.
fn cut(mut text: String) -> String {
    if text.len() > QUOTED_BYTES_MAX {
        text.truncate(text.floor_char_boundary(QUOTED_BYTES_MAX));
        text.push('…');
    }
    text
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("code", &self.0.code).field("reason", &self.0.reason).field("message", &self.0.message);
        if !self.0.violations.is_empty() {
            debug.field("violations", &self.0.violations);
        }
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_reaches_every_field_and_the_message() {
        let error = Error::unknown_field("noSuch", "no such field").within("cloudSql").within("connection");
        assert_eq!(error.violations()[0].field, "connection.cloudSql.noSuch");
        assert_eq!(error.to_string(), "connection.cloudSql.noSuch: no such field");
    }

    #[test]
    fn the_chain_is_for_the_log_and_not_in_the_message() {
        let error = Error::internal("disk on fire");
        assert!(!error.to_string().contains("disk"));
        assert_eq!(error.told(), "disk on fire");
    }

    #[test]
    fn an_operator_is_told_the_causes_once_and_not_what_callers_read() {
        let fault = || Error::internal("disk on fire");
        assert_eq!(fault().told(), "disk on fire");
        assert_eq!(fault().at("part").told(), "part: disk on fire");
        assert_eq!(told(&std::io::Error::other(fault())), "disk on fire");
        assert_eq!(Error::limit("too long").with_source(fault()).told(), "too long: disk on fire");
        assert_eq!(Error::limit("disk on fire").with_source("on fire").told(), "disk on fire");
        assert_eq!(fault().with_source(fault()).told(), "disk on fire");
    }

    #[test]
    fn a_callers_words_are_quoted_in_part() {
        let long = "é".repeat(1 << 20);
        let error = Error::invalid_field(long.as_str(), long.as_str());
        assert!(error.message().len() < 3 * QUOTED_BYTES_MAX, "{}", error.message().len());
        assert!(error.violations()[0].field.ends_with("é…"));
    }

    #[test]
    fn codes_go_both_ways() {
        for number in 1..=16 {
            assert_eq!(Code::from_number(number).map(Code::number), Some(number));
        }
        assert_eq!(Code::from_number(0), None);
        assert_eq!(Code::from_number(17), None);
    }
}
