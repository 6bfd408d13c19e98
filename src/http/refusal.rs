//! What the HTTP/1 parser refuses is answered with an envelope too.
//!
//! hyper answers a head that it cannot read by itself: with a bare status, before any code of ours is asked. Such an answer
//! is known by what it lacks, the id of a request, and one of ours takes its place on the way to the socket. Whoever is still
//! writing gets to read it: what they write is dropped for a while before the connection goes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderValue};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use serde_json::Value;
use tokio::time::{Sleep, sleep};

use super::{
    JSON, Server,
    edge::request_id,
    error::{Style, envelope},
    limits::{DISCARD_BYTES_MAX, DISCARD_TIME_MAX, HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX},
    status::{LIMIT, LIMIT_HEADERS, LIMIT_URL},
};
use crate::error::Error;

/// How a bare answer begins; the rest of its status follows.
const BEGINNING: &[u8] = b"HTTP/1.1 4";
/// What a bare answer says of its body.
const NO_BODY: &str = "content-length: 0\r\n";

/// A socket whose bare answers are replaced.
pub(super) struct Refusals<I> {
    io: I,
    server: Arc<Server>,
    state: State,
}

enum State {
    Watching,
    /// Our answer, and how much of it is written.
    Answering(Vec<u8>, usize),
    Answered,
    /// How much more is dropped, and for how long.
    Dropping(usize, Pin<Box<Sleep>>),
}

impl<I> Refusals<I> {
    pub(super) fn new(io: I, server: Arc<Server>) -> Self {
        Self { io, server, state: State::Watching }
    }
}

impl<I: Read + Unpin> Read for Refusals<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, cursor)
    }
}

impl<I: Read + Write + Unpin> Refusals<I> {
    /// Writes all of our answer, and says that the bare one is written.
    fn poll_answer(&mut self, cx: &mut Context<'_>, bare: usize) -> Poll<io::Result<usize>> {
        while let State::Answering(answer, written) = &mut self.state {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &answer[*written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *written += count,
            }
            if *written == answer.len() {
                self.state = State::Answered;
            }
        }
        Poll::Ready(Ok(bare))
    }

    /// Reads what the peer still sends, within bounds.
    fn poll_drop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Dropping(left, time) = &mut self.state else { return Poll::Ready(()) };
        let mut bytes = [0; 1024];
        loop {
            if time.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()));
            let count = buffer.filled().len();
            match left.checked_sub(count) {
                Some(rest) if read.is_ok() && count > 0 => *left = rest,
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<I: Read + Write + Unpin> Write for Refusals<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if matches!(self.state, State::Watching)
            && bytes.starts_with(BEGINNING)
            && let Some(answer) = answer(bytes, &request_id::of(&HeaderMap::new(), self.server.store.now()))
        {
            self.state = State::Answering(answer, 0);
        }
        match self.state {
            State::Answering(..) => self.poll_answer(cx, bytes.len()),
            _ => Pin::new(&mut self.io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        if matches!(self.state, State::Answered) {
            self.state = State::Dropping(DISCARD_BYTES_MAX, Box::pin(sleep(DISCARD_TIME_MAX)));
        }
        self.poll_drop(cx).map(Ok)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // A bare answer is one piece: it has no body.
            [bytes] => self.poll_write(cx, bytes),
            _ => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
        }
    }
}

/// Returns what to say instead of a bare answer; `None` for all others.
fn answer(bare: &[u8], id: &HeaderValue) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n")?;
    let (before, after) = head.split_once(NO_BODY)?;
    if head.contains(request_id::HEADER.as_str()) {
        return None;
    }
    let error = match before.get("HTTP/1.1 ".len()..)?.get(..3)? {
        "400" => Error::invalid_field("", "This is no request of HTTP/1 (RFC 9112)."),
        "414" => Error::limit(format!("The URL is too long; at most {URL_BYTES_MAX} bytes are allowed."))
            .with_metadata(LIMIT, LIMIT_URL),
        "431" => Error::limit(format!(
            "The request has more than {HEADERS_MAX} header lines, or more than {HEADER_BYTES_MAX} bytes of them."
        ))
        .with_metadata(LIMIT, LIMIT_HEADERS),
        _ => return None,
    };
    let body = envelope(&error, "", Style::default(), |_| Value::Null);
    let mut answer = format!(
        "{before}content-length: {}\r\ncontent-type: {}\r\nx-content-type-options: nosniff\r\n{}: {}\r\n{after}\r\n",
        body.len(),
        JSON.to_str().ok()?,
        request_id::HEADER,
        id.to_str().ok()?,
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: HeaderValue = HeaderValue::from_static("id-1");

    fn answered(bare: &str) -> Option<String> {
        answer(bare.as_bytes(), &ID).map(|answer| String::from_utf8(answer).expect("it is text"))
    }

    #[test]
    fn a_bare_answer_gets_an_envelope_and_keeps_the_rest() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let answer = answered(bare).expect("it is bare");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(
            head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"),
            "{head}"
        );
        assert!(head.ends_with("x-request-id: id-1\r\ndate: now"), "{head}");
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(
            (&body["error"]["code"], &body["error"]["details"][0]["metadata"]["limit"]),
            (&431.into(), &"headers".into())
        );
    }

    #[test]
    fn answers_of_ours_and_all_that_has_a_body_stay_as_they_are() {
        for answer in [
            "HTTP/1.1 404 Not Found\r\nx-request-id: a\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n0123456789",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "HTTP/1.1 499 ?\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 4",
        ] {
            assert_eq!(answered(answer), None, "{answer}");
        }
    }
}
