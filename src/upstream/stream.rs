//! One call with any number of answers.
//!
//! The first message is awaited before the call counts as begun, with the deadline, breaker and retries of a unary
//! call: most failures come before it, and can so be told with a proper status. After it nothing is tried again. Each
//! further message has the configured deadline to itself; a caller that named a time has it for the whole stream.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::attempt::Kind;
use super::call::Call;
use super::connection::Answer;
use super::deadline::{Deadline, Timeout, Whose};
use super::failure::{self, Failure};
use super::frame::Messages;
use super::limit::Place;
use super::{Upstream, status};
use crate::error::Result;

/// The answers of a call, one at a time. Dropping it cancels the call at the upstream.
pub struct Streaming {
    /// Headers of the upstream that may reach the caller.
    pub headers: HeaderMap,
    upstream: Arc<Upstream>,
    first: Option<Bytes>,
    rest: Option<Messages<Answer>>,
    deadline: Deadline,
    /// What its caller named.
    timeout: Option<Timeout>,
    _place: Place,
}

impl Upstream {
    /// Makes a call with any number of answers and waits for the first.
    ///
    /// # Errors
    ///
    /// As [`Upstream::unary`], for what goes wrong before the first message.
    pub async fn server_streaming(self: &Arc<Self>, call: Call) -> Result<Streaming> {
        let deadline = Deadline::start(Instant::now(), self.deadline, call.timeout);
        let opened = self.open(&call, Kind::Streaming, &deadline).await?;
        Ok(Streaming {
            headers: opened.headers,
            upstream: Arc::clone(self),
            rest: opened.first.is_some().then_some(opened.rest),
            first: opened.first,
            deadline,
            timeout: call.stream_timeout(),
            _place: opened.place,
        })
    }
}

impl Streaming {
    /// Waits for the next message; `None` after the last, and after an error.
    ///
    /// # Errors
    ///
    /// As [`Upstream::unary`]. An error ends the stream.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        let rest = self.rest.as_mut()?;
        let deadline = match self.deadline.whose() {
            Whose::Caller => self.deadline,
            Whose::Configured | Whose::Request => {
                Deadline::start(Instant::now(), self.upstream.deadline, self.timeout)
            }
        };
        let key = &self.upstream.key;
        let failure = match timeout_at(deadline.end(), next(key, rest)).await {
            Ok(Ok(Some(message))) => return Some(Ok(message)),
            Ok(Ok(None)) => {
                self.rest = None;
                return None;
            }
            Ok(Err(failure)) => failure.or_timeout(&deadline, Instant::now()),
            Err(_) => Failure::TimedOut,
        };
        self.rest = None;
        Some(Err(failure.into_error(key, &deadline)))
    }
}

async fn next(upstream: &str, rest: &mut Messages<Answer>) -> Result<Option<Bytes>, Failure> {
    if let Some(message) = rest.next(upstream).await? {
        return Ok(Some(message));
    }
    match rest.trailers().and_then(|trailers| status::read(upstream, &trailers)) {
        Some(Ok(())) => Ok(None),
        Some(Err(error)) => Err(Failure::Answered(error)),
        None => Err(failure::no_status()),
    }
}
