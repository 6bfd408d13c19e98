//! The body of an answer: nothing, bytes at hand, bytes compressed as they leave, or a stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::{edge::compress::Gzip, in_flight::InFlight, stream::StreamBody};
use crate::error::Error;

/// What hyper sends. Holds the request's place among those in flight until the last byte is handed over.
pub(super) struct Body {
    kind: Kind,
    guard: Option<InFlight>,
}

enum Kind {
    Empty,
    Full(Bytes),
    Gzip(Box<Gzip>),
    Stream(Box<StreamBody>),
}

impl Body {
    pub(super) fn empty() -> Self {
        Self { kind: Kind::Empty, guard: None }
    }

    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { kind: if bytes.is_empty() { Kind::Empty } else { Kind::Full(bytes) }, guard: None }
    }

    pub(super) fn gzip(gzip: Gzip) -> Self {
        Self { kind: Kind::Gzip(Box::new(gzip)), guard: None }
    }

    pub(super) fn stream(stream: StreamBody) -> Self {
        Self { kind: Kind::Stream(Box::new(stream)), guard: None }
    }

    /// Keeps the request counted until this body is dropped.
    pub(super) fn hold(&mut self, guard: InFlight) {
        self.guard = Some(guard);
    }

    /// Returns the bytes, when they are all at hand.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Full(bytes) => Some(bytes),
            Kind::Empty | Kind::Gzip(_) | Kind::Stream(_) => None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        match &mut this.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                this.kind = Kind::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Kind::Gzip(gzip) => Poll::Ready(gzip.next_chunk().map(|chunk| Ok(Frame::data(chunk)))),
            Kind::Stream(stream) => stream.poll_next(cx).map(|item| item.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Gzip(_) | Kind::Stream(_) => SizeHint::default(),
        }
    }
}
