//! One call with one answer.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, uri::PathAndQuery};
use tokio::time::Instant;

use super::Upstream;
use super::attempt::Kind;
use super::deadline::{Deadline, Timeout};
use crate::error::Result;

/// What to send.
#[derive(Clone)]
pub struct Call {
    /// The method as a path, `/package.Service/Rpc`; made once per method.
    pub path: PathAndQuery,
    /// The request in wire format.
    pub message: Bytes,
    /// Headers of the caller. Those that an upstream may see go up, the others stay.
    pub metadata: Vec<(HeaderName, HeaderValue)>,
    /// Value of `x-goog-request-params`, e.g. `name=projects%2Fp`.
    pub routing: Option<String>,
    /// The time that whoever wants it has left. The configured deadline holds where it is shorter, or where there is none.
    pub timeout: Option<Timeout>,
    /// Whether a second try is harmless: the method changes nothing, or the upstream recognises the request.
    pub retryable: bool,
    /// What the caller handed over for this upstream. Sent only where `credentials = "caller"`.
    pub authorization: Option<HeaderValue>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The response in wire format.
    pub message: Bytes,
    /// Headers and trailers of the upstream that may reach the caller.
    pub headers: HeaderMap,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("path", &self.path)
            .field("message_bytes", &self.message.len())
            .field("timeout", &self.timeout)
            .field("retryable", &self.retryable)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// Returns the time that a stream must be over in; `None` where its caller named none.
    pub(super) fn stream_timeout(&self) -> Option<Timeout> {
        self.timeout.and_then(Timeout::of_stream)
    }
}

impl Upstream {
    /// Makes a call with one answer. Dropping the future cancels the call at the upstream.
    ///
    /// # Errors
    ///
    /// What the upstream answered, with its code, words and details; `UPSTREAM_UNAVAILABLE` where there was no answer;
    /// `UPSTREAM_TIMEOUT` where it did not come in time; `LIMIT_EXCEEDED` where too many calls wait already or the
    /// answer is too large; `UPSTREAM_INVALID_RESPONSE` where it is not gRPC as it should be.
    pub async fn unary(&self, call: Call) -> Result<Reply> {
        let deadline = Deadline::start(Instant::now(), self.deadline, call.timeout);
        let opened = self.open(&call, Kind::Unary, &deadline).await?;
        Ok(Reply { message: opened.first.expect("a unary answer has a message"), headers: opened.headers })
    }
}
