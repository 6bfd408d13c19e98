//! The body of an answer: nothing, bytes at hand, bytes compressed as they leave, or a stream.
//!
//! It is handed over in pieces: what HTTP/2 was given it keeps until its reader takes it, and a reader may never.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{
    edge::compress::Gzip,
    feed::Feed,
    in_flight::{InFlight, Unread},
    limits::PIECE_BYTES_MAX,
    stall,
    stream::StreamBody,
    streams,
};
use crate::error::Error;

/// What hyper sends. Holds the request's place among those in flight until the last byte is handed over.
pub(super) struct Body {
    kind: Kind,
    /// What was too large to hand over in one piece.
    rest: Bytes,
    guard: Option<InFlight>,
    /// What follows the last byte.
    trailers: Option<HeaderMap>,
}

enum Kind {
    Empty,
    Full(Bytes),
    Gzip(Box<Gzip>),
    Stream(Box<StreamBody>),
    Feed(Feed),
}

impl Body {
    pub(super) fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::of(if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) })
    }

    pub(super) fn gzip(gzip: Gzip) -> Self {
        Self::of(Kind::Gzip(Box::new(gzip)))
    }

    pub(super) fn stream(stream: StreamBody) -> Self {
        Self::of(Kind::Stream(Box::new(stream)))
    }

    pub(super) fn feed(feed: Feed) -> Self {
        Self::of(Kind::Feed(feed))
    }

    /// Bytes and what follows them, as gRPC has it.
    pub(super) fn with_trailers(bytes: impl Into<Bytes>, trailers: HeaderMap) -> Self {
        Self { trailers: Some(trailers), ..Self::full(bytes) }
    }

    fn of(kind: Kind) -> Self {
        Self { kind, rest: Bytes::new(), guard: None, trailers: None }
    }

    /// Keeps the request, and the bytes at hand, counted until this body is dropped. The answer leaves now: its reader may
    /// take it.
    pub(super) fn hold(&mut self, mut guard: InFlight, unread: &Arc<Unread>) {
        guard.weigh(self.held(), unread);
        self.guard = Some(guard);
        stall::asked(true);
    }

    /// Returns the bytes, when they are all at hand.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Full(bytes) => Some(bytes),
            Kind::Empty | Kind::Gzip(_) | Kind::Stream(_) | Kind::Feed(_) => None,
        }
    }

    fn held(&self) -> usize {
        match &self.kind {
            Kind::Full(bytes) => bytes.len(),
            Kind::Gzip(gzip) => gzip.held(),
            Kind::Empty | Kind::Stream(_) | Kind::Feed(_) => 0,
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let mut bytes = if !self.rest.is_empty() {
            std::mem::take(&mut self.rest)
        } else {
            match &mut self.kind {
                Kind::Empty => return Poll::Ready(None),
                Kind::Full(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.kind = Kind::Empty;
                    bytes
                }
                Kind::Gzip(gzip) => match gzip.next_chunk() {
                    Some(chunk) => chunk,
                    None => return Poll::Ready(None),
                },
                Kind::Stream(stream) => match stream.poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => chunk,
                    ended_or_pending => return ended_or_pending,
                },
                Kind::Feed(feed) => match feed.poll_next(cx) {
                    Poll::Ready(Some(Ok(chunk))) => chunk,
                    ended_or_pending => return ended_or_pending,
                },
            }
        };
        if bytes.len() > PIECE_BYTES_MAX {
            self.rest = bytes.split_off(PIECE_BYTES_MAX);
        }
        if let Some(guard) = &mut self.guard {
            guard.took(bytes.len());
        }
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let polled = this.poll_piece(cx);
        if polled.is_pending() && matches!(this.kind, Kind::Feed(_)) {
            streams::waits();
        }
        stall::asked(matches!(polled, Poll::Ready(Some(_))));
        if matches!(polled, Poll::Ready(None))
            && let Some(trailers) = this.trailers.take()
        {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        polled.map(|item| item.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Empty) && self.rest.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(self.rest.len() as u64),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Gzip(_) | Kind::Stream(_) | Kind::Feed(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_large_answer_is_handed_over_in_pieces_and_whole() {
        let sent: Vec<u8> =
            (0..3 * PIECE_BYTES_MAX + 1).map(|at| u8::try_from(at % 251).expect("small")).collect();
        let mut body = Body::full(sent.clone());
        let mut got = Vec::new();
        while !body.is_end_stream() {
            assert_eq!(body.size_hint().exact(), Some((sent.len() - got.len()) as u64));
            let frame = body.frame().await.expect("there is more").expect("bytes do not fail");
            let piece = frame.into_data().expect("no trailers");
            assert!((1..=PIECE_BYTES_MAX).contains(&piece.len()));
            got.extend_from_slice(&piece);
        }
        assert_eq!(got, sent);
        assert!(body.frame().await.is_none());
    }
}
