//! How a call can fail, and what the caller is told.
//!
//! A call that the upstream answered is told apart from one that never got an answer: the first passes through as it
//! came, the second names the upstream and whether anything was sent. Addresses and credentials stay in the log.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::adc::NoToken;
use super::breaker::Outcome;
use super::connection;
use super::deadline::{Deadline, Whose};
use super::limit::WAITING_MAX;
use crate::error::{Code, Error, Reason};

/// How often tokens are asked for while there is none.
const TOKEN_RETRY: Duration = Duration::from_secs(10);
/// An upstream that says "time is over" this shortly before we would is told apart no longer.
const EXPIRY_SLACK: Duration = Duration::from_millis(10);

/// The cause of a failure, for the log.
pub(super) type Cause = Box<dyn StdError + Send + Sync>;

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection could be made, or none that lasted until the call began. Nothing was sent.
    Unreachable(Cause),
    /// The upstream said that it did not begin with the call.
    Refused(Cause),
    /// The connection broke, or something before the upstream answered for it. Whether the call took effect is unknown.
    Broken(Cause),
    /// The deadline passed.
    TimedOut,
    /// The upstream answered, with a status or with something that is none.
    Answered(Error),
}

impl Failure {
    /// Says what the failure means for the breaker.
    pub(super) fn outcome(&self, deadline: &Deadline) -> Outcome {
        match self {
            // One answer that cannot be read says nothing about the others.
            Self::Broken(cause) if connection::is_of_one_answer(&**cause) => Outcome::Reached,
            Self::Unreachable(_) | Self::Broken(_) => Outcome::Failed,
            Self::TimedOut if deadline.whose() == Whose::Configured => Outcome::Failed,
            Self::TimedOut => Outcome::Abandoned,
            Self::Answered(_) | Self::Refused(_) => Outcome::Reached,
        }
    }

    /// Turns an upstream's own "time is over" into ours where the time was in fact over: who of the two says it first is
    /// a race, and some servers call it `CANCELLED`.
    pub(super) fn or_timeout(self, deadline: &Deadline, now: Instant) -> Self {
        match &self {
            Self::Answered(error)
                if matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded)
                    && deadline.remaining(now) <= EXPIRY_SLACK =>
            {
                Self::TimedOut
            }
            _ => self,
        }
    }

    /// Says it to the caller.
    pub(super) fn into_error(self, upstream: &str, deadline: &Deadline) -> Error {
        match self {
            Self::Unreachable(cause) => unavailable(upstream, "cannot be reached. Nothing was sent.")
                .with_source(cause)
                .with_nothing_sent(),
            Self::Refused(cause) => unavailable(upstream, "took up no further call. Nothing was done.")
                .with_source(cause)
                .with_nothing_sent(),
            Self::Broken(cause) => {
                unavailable(upstream, "broke off the call. Whether it took effect is not known.")
                    .with_source(cause)
            }
            Self::TimedOut => timed_out(upstream, deadline),
            Self::Answered(error) => error,
        }
    }
}

/// The breaker is open.
pub(super) fn held_back(upstream: &str, wait: Duration) -> Error {
    unavailable(upstream, "keeps failing, so calls are held back for a moment. Nothing was sent.")
        .with_retry_after(wait)
        .with_nothing_sent()
}

/// The gateway has nothing to show to the upstream. The cause is for the log.
pub(super) fn no_token(upstream: &str, cause: NoToken) -> Error {
    let text = format!(
        "not called: the gateway has no access token for it (upstreams.{upstream}.credentials = \"adc\"). Nothing was sent. \
         Its operator finds the reason in the log, or with `causeway check --live`."
    );
    Error::new(Code::Unavailable, Reason::UpstreamUnavailable, format!("Upstream `{upstream}` was {text}"))
        .with_metadata("upstream", upstream)
        .with_metadata("credentials", "adc")
        .with_retry_after(TOKEN_RETRY)
        .with_source(cause)
        .with_nothing_sent()
}

/// The upstream refused what the gateway itself showed. Its details pass. Whose credential it was is said, because callers
/// who hear that they are not authenticated renew their own.
pub(super) fn own_credential_refused(upstream: &str, kind: &str, error: &Error) -> Error {
    let text = format!(
        "Upstream `{upstream}` refused the gateway's own credential (upstreams.{upstream}.credentials = \"{kind}\"), \
         not the caller's: {}",
        error.message()
    );
    Error::upstream(error.code(), text, error.details().to_vec()).with_headers(error.headers().clone())
}

/// The concurrency limit and its queue are full.
pub(super) fn crowded(upstream: &str, running_max: usize) -> Error {
    let text = format!(
        "Upstream `{upstream}` has {running_max} calls running and {WAITING_MAX} waiting, which is the limit. Nothing was sent."
    );
    Error::new(Code::Unavailable, Reason::LimitExceeded, text)
        .with_metadata("upstream", upstream)
        .with_retry_after(Duration::from_secs(1))
        .with_nothing_sent()
}

/// The deadline passed before the call's turn came.
pub(super) fn waited_too_long(upstream: &str, deadline: &Deadline) -> Error {
    let text =
        format!("Upstream `{upstream}` had no free place within {}. Nothing was sent.", given(deadline));
    Error::new(Code::DeadlineExceeded, Reason::UpstreamTimeout, text)
        .with_metadata("upstream", upstream)
        .with_nothing_sent()
}

/// The deadline had passed before the call was made.
pub(super) fn no_time_left(upstream: &str, deadline: &Deadline) -> Error {
    let text = format!(
        "No time was left to call upstream `{upstream}` within {}. Nothing was sent.",
        given(deadline)
    );
    Error::new(Code::DeadlineExceeded, Reason::UpstreamTimeout, text)
        .with_metadata("upstream", upstream)
        .with_nothing_sent()
}

/// The deadline passed.
pub(super) fn timed_out(upstream: &str, deadline: &Deadline) -> Error {
    let text = format!("Upstream `{upstream}` did not answer within {}.", given(deadline));
    Error::new(Code::DeadlineExceeded, Reason::UpstreamTimeout, text).with_metadata("upstream", upstream)
}

/// A message is larger than the limit.
pub(super) fn oversize(upstream: &str, bytes: usize, bytes_max: usize) -> Failure {
    let text = format!(
        "Upstream `{upstream}` answered with a message of {bytes} bytes; the limit is {bytes_max} \
         (upstreams.{upstream}.message_size_max). Ask for less, such as a smaller page."
    );
    Failure::Answered(
        Error::new(Code::Internal, Reason::LimitExceeded, text).with_metadata("upstream", upstream),
    )
}

/// What is to be sent is larger than the limit.
pub(super) fn request_too_long(upstream: &str, bytes: usize, bytes_max: usize) -> Error {
    let text = format!(
        "The request is a message of {bytes} bytes; upstream `{upstream}` is sent at most {bytes_max} \
         (upstreams.{upstream}.message_size_max)."
    );
    Error::limit(text).with_metadata("upstream", upstream).with_nothing_sent()
}

/// The answer is not gRPC as it should be; `what` completes "Upstream `x` …".
pub(super) fn invalid(upstream: &str, what: impl fmt::Display) -> Failure {
    Failure::Answered(invalid_with(Code::Internal, upstream, what))
}

/// The answer ended, but nothing says whether well.
pub(super) fn no_status() -> Failure {
    Failure::Broken("the answer ended without a status".into())
}

/// An HTTP status in place of a gRPC one: a proxy, a load balancer or a server that speaks something else.
pub(super) fn not_grpc(upstream: &str, status: StatusCode) -> Failure {
    let code = match status.as_u16() {
        502..=504 => return Failure::Broken(format!("HTTP status {status} and no gRPC status").into()),
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 => Code::Unavailable,
        _ => Code::Unknown,
    };
    let what = format_args!("answered with HTTP status {} and no gRPC status", status.as_u16());
    Failure::Answered(invalid_with(code, upstream, what))
}

fn invalid_with(code: Code, upstream: &str, what: impl fmt::Display) -> Error {
    Error::new(code, Reason::UpstreamInvalidResponse, format!("Upstream `{upstream}` {what}."))
        .with_metadata("upstream", upstream)
}

fn unavailable(upstream: &str, what: &str) -> Error {
    Error::new(Code::Unavailable, Reason::UpstreamUnavailable, format!("Upstream `{upstream}` {what}"))
        .with_metadata("upstream", upstream)
}

fn given(deadline: &Deadline) -> String {
    let whose = match deadline.whose() {
        Whose::Configured => "",
        Whose::Caller => ", the time that the caller gave",
        Whose::Request => ", the time that the request had left",
    };
    // What the gateway itself has taken of the caller's time is less than that.
    let millis = deadline.allowed().as_micros().div_ceil(1000);
    let allowed = Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
    format!("{allowed:?}{whose}")
}
