//! The tries of one call: a place, a pass, an exchange, and perhaps another.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, response};
use tokio::time::{Instant, sleep, timeout_at};

use super::breaker::Outcome;
use super::call::Call;
use super::connection::{Answer, Purpose};
use super::credentials::Shown;
use super::deadline::{Deadline, grpc_timeout};
use super::failure::{self, Failure};
use super::frame::{self, Messages};
use super::limit::Place;
use super::metadata::{self, Additions};
use super::{Upstream, status};
use crate::error::{Code, Error, Result};

/// How many messages an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Exactly one.
    Unary,
    /// Any number.
    Streaming,
}

impl Kind {
    /// What connection it is made on.
    fn purpose(self) -> Purpose {
        match self {
            Self::Unary => Purpose::Calls,
            Self::Streaming => Purpose::Streams,
        }
    }
}

/// An answer whose first message is there.
pub(super) struct Opened {
    /// What comes down of headers and, once they are here, trailers.
    pub(super) headers: HeaderMap,
    /// The first message; none where a stream is empty.
    pub(super) first: Option<Bytes>,
    /// What follows.
    pub(super) rest: Messages<Answer>,
    /// Held for as long as the call runs.
    pub(super) place: Place,
}

/// A call in the form that every try needs.
struct Prepared<'c> {
    call: &'c Call,
    message: Bytes,
    routing: Option<HeaderValue>,
    kind: Kind,
}

/// Returns what the caller is told of two tries. What the later one says, such as that it came nowhere or was refused, says
/// nothing of the one before it, which may have taken effect.
fn graver(earlier: Option<Error>, later: Error) -> Error {
    match earlier.filter(|earlier| !earlier.nothing_sent() || earlier.maybe_done()) {
        Some(earlier) if later.nothing_sent() => earlier,
        Some(_) => later.with_maybe_done(),
        None => later,
    }
}

impl Upstream {
    /// Makes the call and waits for its first message; a unary call is over then.
    pub(super) async fn open(&self, call: &Call, kind: Kind, deadline: &Deadline) -> Result<Opened> {
        self.retry.earn();
        if let Some(wait) = self.gate.refuses() {
            return Err(failure::held_back(&self.key, wait));
        }
        let prepared = self.prepare(call, kind)?;
        let mut placed = false;
        match timeout_at(deadline.end(), self.tries(&prepared, deadline, &mut placed)).await {
            Ok(opened) => opened,
            Err(_) if placed => Err(failure::timed_out(&self.key, deadline)),
            Err(_) => Err(failure::waited_too_long(&self.key, deadline)),
        }
    }

    async fn tries(&self, call: &Prepared<'_>, deadline: &Deadline, placed: &mut bool) -> Result<Opened> {
        let crowded = |_| failure::crowded(&self.key, self.limit.running_max());
        let mut place = Some(self.limit.place().await.map_err(crowded)?);
        *placed = true;
        let mut attempt = 1;
        let mut last: Option<Error> = None;
        loop {
            let shown = self.credentials.show(call.call.authorization.as_ref(), deadline.end()).await;
            let shown = match shown {
                Ok(shown) => shown,
                Err(cause) => return Err(graver(last, failure::no_token(&self.key, cause))),
            };
            // Sent now, the call might take effect and nobody would hear of it.
            if deadline.remaining(Instant::now()).is_zero() {
                return Err(last.unwrap_or_else(|| failure::no_time_left(&self.key, deadline)));
            }
            let permit = match self.gate.admit(deadline) {
                Ok(permit) => permit,
                Err(wait) => return Err(last.unwrap_or_else(|| failure::held_back(&self.key, wait))),
            };
            let failure = match self.exchange(call, &shown, deadline, &mut place).await {
                Ok(opened) => {
                    permit.record(Outcome::Reached);
                    return Ok(opened);
                }
                Err(failure) => failure.or_timeout(deadline, Instant::now()),
            };
            permit.record(failure.outcome(deadline));
            let mut error = failure.into_error(&self.key, deadline);
            if error.code() == Code::Unauthenticated {
                self.credentials.refused();
                if let (Some(kind), None) = (self.credentials.own_kind(), error.reason()) {
                    error = failure::own_credential_refused(&self.key, kind, &error);
                }
            }
            let remaining = deadline.remaining(Instant::now());
            let again = if call.call.retryable { self.retry.again(attempt, &error, remaining) } else { None };
            let error = graver(last.take(), error);
            let Some(wait) = again else { return Err(error) };
            tracing::debug!(upstream = &*self.key, attempt, error = error.told(), "trying again");
            metrics::counter!("causeway_upstream_retries_total", "upstream" => self.key.clone()).increment(1);
            sleep(wait).await;
            last = Some(error);
            attempt += 1;
        }
    }

    /// One try.
    async fn exchange(
        &self,
        call: &Prepared<'_>,
        shown: &Shown,
        deadline: &Deadline,
        place: &mut Option<Place>,
    ) -> Result<Opened, Failure> {
        let response = self
            .endpoints
            .send(call.kind.purpose(), || self.request(call, shown, deadline), &call.message)
            .await?;
        let (head, body) = response.into_parts();
        let mut headers = HeaderMap::new();
        metadata::down(&mut headers, &head.headers);
        let mut rest = Messages::new(body, self.message_size_max);
        let first = match self.first(call.kind, &head, &mut rest, &mut headers).await {
            Ok(first) => first,
            // Whatever came with a refusal of the upstream goes with it.
            Err(Failure::Answered(error)) if error.reason().is_none() => {
                return Err(Failure::Answered(error.with_headers(headers)));
            }
            Err(failure) => return Err(failure),
        };
        let place = place.take().expect("only the try that succeeds takes the place along");
        Ok(Opened { headers, first, rest, place })
    }

    /// Waits for the first message of an answer; where there is only one, for its end too.
    async fn first(
        &self,
        kind: Kind,
        head: &response::Parts,
        rest: &mut Messages<Answer>,
        headers: &mut HeaderMap,
    ) -> Result<Option<Bytes>, Failure> {
        let mut first = None;
        if !self.is_over(head.status, &head.headers)? {
            first = rest.next(&self.key).await?;
            if first.is_none() || kind == Kind::Unary {
                self.finish(rest, headers).await?;
            }
        }
        if first.is_none() && kind == Kind::Unary {
            return Err(failure::invalid(&self.key, "answered OK without a message"));
        }
        Ok(first)
    }

    /// Tells whether the answer ends with its headers. An error there is the answer.
    fn is_over(&self, http_status: StatusCode, headers: &HeaderMap) -> Result<bool, Failure> {
        if let Some(status) = status::read(&self.key, headers) {
            return status.map(|()| true).map_err(Failure::Answered);
        }
        if http_status != StatusCode::OK {
            return Err(failure::not_grpc(&self.key, http_status));
        }
        let content_type = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if !content_type.starts_with(b"application/grpc") {
            return Err(failure::invalid(&self.key, "answered with something other than gRPC"));
        }
        Ok(false)
    }

    /// Reads to the end and takes the status from the trailers.
    pub(super) async fn finish(
        &self,
        messages: &mut Messages<Answer>,
        headers: &mut HeaderMap,
    ) -> Result<(), Failure> {
        if messages.next(&self.key).await?.is_some() {
            return Err(failure::invalid(&self.key, "answered with more than one message"));
        }
        let trailers = messages.trailers().unwrap_or_default();
        let status = status::read(&self.key, &trailers).ok_or_else(failure::no_status)?;
        metadata::down(headers, &trailers);
        status.map_err(Failure::Answered)
    }

    fn request(&self, call: &Prepared<'_>, shown: &Shown, deadline: &Deadline) -> Request<()> {
        let headers = metadata::up(
            &call.call.metadata,
            Additions {
                routing: call.routing.as_ref(),
                timeout: Self::timeout(call, deadline),
                authorization: shown.authorization.clone(),
                user_project: self.quota_project.as_ref().or(shown.user_project.as_ref()),
                callers_credential: self.credentials.are_the_callers(),
                forward_headers: &self.forward_headers,
            },
        );
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = Uri::from(call.call.path.clone());
        *request.headers_mut() = headers;
        request
    }

    /// A stream may go on for longer than its first message may take, unless the caller says how long.
    fn timeout(call: &Prepared<'_>, deadline: &Deadline) -> Option<HeaderValue> {
        let now = Instant::now();
        let left = match call.kind {
            Kind::Unary => deadline.remaining(now),
            Kind::Streaming => call.call.stream_timeout()?.end().saturating_duration_since(now),
        };
        Some(grpc_timeout(left))
    }

    fn prepare<'c>(&self, call: &'c Call, kind: Kind) -> Result<Prepared<'c>> {
        let too_long = || failure::request_too_long(&self.key, call.message.len(), self.message_size_max);
        if call.message.len() > self.message_size_max {
            return Err(too_long());
        }
        let message = frame::framed(&call.message).ok_or_else(too_long)?;
        let routing = match &call.routing {
            Some(routing) => Some(HeaderValue::from_str(routing).map_err(Error::internal)?),
            None => None,
        };
        Ok(Prepared { call, message, routing, kind })
    }
}
