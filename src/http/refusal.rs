//! What the HTTP/1 parser refuses is answered with an envelope too.
//!
//! hyper answers a head that it cannot read by itself: with a bare status, before any code of ours is asked. One of ours
//! takes its place on the way to the socket, and whoever is still writing gets to read it: what they write is dropped for a
//! while before the connection goes.
//!
//! A bare answer is the first that is written while no answer is under way, and has exactly the lines that hyper gives it.
//! Both are asked for: a body may have any bytes, also those of such an answer.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use serde_json::Value;
use tokio::time::{Sleep, sleep};

use super::{
    JSON,
    edge::request_id,
    error::{Style, envelope},
    limits::{DISCARD_BYTES_MAX, DISCARD_TIME_MAX, HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX},
    status::{LIMIT, LIMIT_HEADERS, LIMIT_URL},
    watch::Activity,
};
use crate::error::Error;

/// What a bare answer says of its body.
const NO_BODY: &str = "content-length: 0\r\n";
/// The names of all its headers.
const BARE: [&str; 3] = ["connection", "content-length", "date"];
/// Bytes that are read, and dropped, at once.
const DISCARD_BYTES: usize = 8 * 1024;

/// A socket whose bare answers are replaced.
pub(super) struct Refusals<I, N> {
    io: I,
    activity: Arc<Activity>,
    note: N,
    state: State,
}

enum State {
    /// Every answer so far has left: what is written next begins one.
    Between,
    /// An answer of ours is under way.
    Busy,
    /// What takes the place of a bare answer, and how much of it is written.
    Answering(Vec<u8>, usize),
    Answered,
    /// How much more is dropped, and for how long.
    Discarding(usize, Pin<Box<Sleep>>),
}

impl<I, N: Fn(u16) -> HeaderValue> Refusals<I, N> {
    /// Takes a socket on which nothing was written yet, what its requests tell of themselves, and who notes the status of a
    /// refusal and gives it an id.
    pub(super) fn new(io: I, activity: Arc<Activity>, note: N) -> Self {
        Self { io, activity, note, state: State::Between }
    }

    /// Sees what is about to be written.
    fn see(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Between) {
            let answer = answer(bytes, &self.note);
            self.state = answer.map_or(State::Busy, |answer| State::Answering(answer, 0));
        }
    }
}

impl<I: Read + Unpin, N: Unpin> Read for Refusals<I, N> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, cursor)
    }
}

impl<I: Read + Write + Unpin, N> Refusals<I, N> {
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
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Discarding(left, time) = &mut self.state else { return Poll::Ready(()) };
        let mut bytes = [0; DISCARD_BYTES];
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

impl<I, N> Write for Refusals<I, N>
where
    I: Read + Write + Unpin,
    N: Fn(u16) -> HeaderValue + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.see(bytes);
        match self.state {
            State::Answering(..) => self.poll_answer(cx, bytes.len()),
            _ => Pin::new(&mut self.io).poll_write(cx, bytes),
        }
    }

    /// hyper flushes when it has written all that it has; an answer is over then if its request is too, whose body is gone.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        if matches!(self.state, State::Busy) && !self.activity.is_busy() {
            self.state = State::Between;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.state, State::Discarding(..)) {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        if matches!(self.state, State::Answered) {
            self.state = State::Discarding(DISCARD_BYTES_MAX, Box::pin(sleep(DISCARD_TIME_MAX)));
        }
        self.poll_discard(cx).map(Ok)
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
            _ => {
                if matches!(self.state, State::Between) {
                    self.state = State::Busy;
                }
                Pin::new(&mut self.io).poll_write_vectored(cx, slices)
            }
        }
    }
}

/// Returns what to say instead of a bare answer, whose status is noted; `None` for all others.
fn answer(bare: &[u8], note: impl Fn(u16) -> HeaderValue) -> Option<Vec<u8>> {
    let is_refusal = matches!(bare, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', b'4', ..]);
    if !is_refusal {
        return None;
    }
    let head = std::str::from_utf8(bare).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.get("HTTP/1.1 ".len()..)?.get(..3)?.parse().ok()?;
    if !lines.all(|line| line.split_once(": ").is_some_and(|(name, _)| BARE.contains(&name))) {
        return None;
    }
    let (before, after) = head.split_once(NO_BODY)?;
    let error = match status {
        400 => Error::invalid_field("", "The request cannot be read as HTTP/1 (RFC 9112)."),
        414 => Error::limit(format!("The URL is too long; at most {URL_BYTES_MAX} bytes are allowed."))
            .with_metadata(LIMIT, LIMIT_URL),
        431 => Error::limit(format!(
            "The head of the request is too long; at most {HEADERS_MAX} header lines, {HEADER_BYTES_MAX} bytes of them and \
             {URL_BYTES_MAX} bytes of URL are allowed."
        ))
        .with_metadata(LIMIT, LIMIT_HEADERS),
        _ => return None,
    };
    let body = envelope(&error, "", Style::default(), |_| Value::Null);
    let mut answer = format!(
        "{before}content-length: {}\r\ncontent-type: {}\r\nx-content-type-options: nosniff\r\n{}: {}\r\n{after}\r\n\r\n",
        body.len(),
        JSON.to_str().ok()?,
        request_id::HEADER,
        note(status).to_str().ok()?,
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const BARE_ANSWER: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";

    const ID: HeaderValue = HeaderValue::from_static("id-1");

    fn answered(bare: &str) -> Option<String> {
        answer(bare.as_bytes(), |_| ID).map(|answer| String::from_utf8(answer).expect("it is text"))
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
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nset-cookie: a=b\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(answered(answer), None, "{answer}");
        }
    }

    /// A body may end with a piece that looks like a bare answer: replaced by a longer one, it would have run on into the
    /// next answer.
    #[tokio::test]
    async fn a_body_is_never_taken_for_an_answer() {
        let (ours, mut theirs) = duplex(4096);
        let activity = Arc::<Activity>::default();
        let mut socket = TokioIo::new(Refusals::new(TokioIo::new(ours), activity.clone(), |_| ID));
        let head = b"HTTP/1.1 200 OK\r\nx-request-id: a\r\n\r\n";
        for _ in 0..2 {
            activity.begin();
            socket.write_all(head).await.expect("there is room");
            socket.flush().await.expect("nothing fails");
            socket.write_all(BARE_ANSWER).await.expect("there is room");
            // The last piece is handed over before it is written.
            activity.end();
            socket.write_all(BARE_ANSWER).await.expect("there is room");
            socket.flush().await.expect("nothing fails");
            let sent = [head, BARE_ANSWER, BARE_ANSWER].concat();
            let mut came = vec![0; sent.len()];
            theirs.read_exact(&mut came).await.expect("it was written");
            assert_eq!(came, sent);
        }
        // Between two answers it is one.
        socket.write_all(BARE_ANSWER).await.expect("there is room");
        drop(socket);
        let mut came = String::new();
        theirs.read_to_string(&mut came).await.expect("text");
        assert!(came.contains("INVALID_FIELD"), "{came}");
    }

    #[tokio::test]
    async fn an_answer_is_written_whole_however_little_is_taken_at_once() {
        let (ours, mut theirs) = duplex(7);
        let mut socket = TokioIo::new(Refusals::new(TokioIo::new(ours), Arc::default(), |_| ID));
        let reading = async {
            let mut came = String::new();
            theirs.read_to_string(&mut came).await.map(|_| came)
        };
        let writing = async {
            socket.write_all(BARE_ANSWER).await.expect("it is read");
            drop(socket);
        };
        let (came, ()) = tokio::join!(reading, writing);
        assert_eq!(Some(came.expect("text")), answered(std::str::from_utf8(BARE_ANSWER).expect("text")));
    }
}
