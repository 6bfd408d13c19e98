//! Messages on the wire: a flag, a length of four bytes, the message.
//!
//! One that arrives in a single HTTP/2 frame is passed on without copying.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::failure::{self, Failure};

/// Bytes before each message.
const PREFIX_BYTES: usize = 5;
/// Bytes set aside for a message on the word of its prefix alone; beyond that room grows as data arrives. Room is not yet
/// memory, which the system gives when it is written to; growing costs a copy, and both are held for a moment.
const RESERVE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Puts the prefix before a message. `None`: it is longer than four bytes can say.
pub(super) fn framed(message: &[u8]) -> Option<Bytes> {
    let length = u32::try_from(message.len()).ok()?;
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Some(frame.freeze())
}

/// The messages of an answer, and the trailers after them.
pub(super) struct Messages<B> {
    body: B,
    /// What has arrived and is not read yet.
    chunk: Bytes,
    trailers: Option<HeaderMap>,
    bytes_max: usize,
}

impl<B> Messages<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<failure::Cause>,
{
    /// Reads messages of up to `bytes_max` bytes each.
    pub(super) fn new(body: B, bytes_max: usize) -> Self {
        Self { body, chunk: Bytes::new(), trailers: None, bytes_max }
    }

    /// Waits for the next message; `None` after the last.
    pub(super) async fn next(&mut self, upstream: &str) -> Result<Option<Bytes>, Failure> {
        while self.chunk.len() < PREFIX_BYTES {
            match self.data().await? {
                Some(data) => self.join(data),
                None if self.chunk.is_empty() => return Ok(None),
                None => return Err(failure::invalid(upstream, "ended its answer within a message")),
            }
        }
        let compressed = self.chunk.get_u8() != 0;
        let length = usize::try_from(self.chunk.get_u32()).unwrap_or(usize::MAX);
        if compressed {
            return Err(failure::invalid(upstream, "compressed its answer without being asked to"));
        }
        if length > self.bytes_max {
            return Err(failure::oversize(upstream, length, self.bytes_max));
        }
        if self.chunk.len() >= length {
            return Ok(Some(self.chunk.split_to(length)));
        }
        self.gather(upstream, length).await.map(Some)
    }

    /// Returns the trailers, once [`Self::next`] has returned `None`.
    pub(super) fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    async fn gather(&mut self, upstream: &str, length: usize) -> Result<Bytes, Failure> {
        let mut message = BytesMut::with_capacity(length.min(RESERVE_BYTES_MAX));
        message.put(std::mem::take(&mut self.chunk));
        while message.len() < length {
            let Some(mut data) = self.data().await? else {
                return Err(failure::invalid(upstream, "ended its answer within a message"));
            };
            let missing = data.len().min(length - message.len());
            message.put_slice(&data[..missing]);
            data.advance(missing);
            self.chunk = data;
        }
        Ok(message.freeze())
    }

    fn join(&mut self, data: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = data;
            return;
        }
        let mut joined = BytesMut::with_capacity(self.chunk.len() + data.len());
        joined.put_slice(&self.chunk);
        joined.put_slice(&data);
        self.chunk = joined.freeze();
    }

    async fn data(&mut self) -> Result<Option<Bytes>, Failure> {
        while let Some(frame) = self.body.frame().await {
            match frame.map_err(|error| Failure::Broken(error.into()))?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use proptest::prelude::*;

    use super::*;
    use crate::error::Reason;

    /// A body that arrives in given pieces.
    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|data| Ok(Frame::data(data))))
        }
    }

    fn read(wire: &[u8], piece: usize, bytes_max: usize) -> Result<Vec<Bytes>, Failure> {
        let pieces = wire.chunks(piece.max(1)).map(Bytes::copy_from_slice).collect();
        let mut messages = Messages::new(Pieces(pieces), bytes_max);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut all = Vec::new();
            while let Some(message) = messages.next("x").await? {
                all.push(message);
            }
            Ok(all)
        })
    }

    fn reason(result: Result<Vec<Bytes>, Failure>) -> Option<Reason> {
        match result {
            Err(Failure::Answered(error)) => error.reason(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_too_large_compressed_or_cut_short_is_refused() {
        assert_eq!(reason(read(&framed(b"12345").unwrap(), 99, 4)), Some(Reason::LimitExceeded));
        assert_eq!(reason(read(&[0, 255, 255, 255, 255], 99, 1 << 20)), Some(Reason::LimitExceeded));
        assert_eq!(reason(read(&[1, 0, 0, 0, 0], 99, 4)), Some(Reason::UpstreamInvalidResponse));
        assert_eq!(reason(read(&[0, 0, 0, 0, 2, 7], 99, 4)), Some(Reason::UpstreamInvalidResponse));
        assert_eq!(reason(read(&[0, 0], 1, 4)), Some(Reason::UpstreamInvalidResponse));
    }

    proptest! {
        #[test]
        fn messages_survive_any_cutting(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8),
            piece in 1_usize..80,
        ) {
            let wire: Vec<u8> = messages.iter().flat_map(|message| framed(message).unwrap()).collect();
            let read = read(&wire, piece, 64).unwrap();
            prop_assert_eq!(read, messages);
        }

        #[test]
        fn no_bytes_make_us_fail_otherwise_than_by_refusing(wire: Vec<u8>, piece in 1_usize..80) {
            let _ = read(&wire, piece, 1024);
        }
    }
}
