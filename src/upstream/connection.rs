//! One HTTP/2 connection: calls take their streams of it themselves, and one task reads and writes for all of them.
//!
//! A call so costs two turns of the scheduler: the task's, to send it, and its own, when the answer is there. A client that
//! hands calls on through a queue to tasks of its own costs three more and as many allocations.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong, RecvStream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

/// What one answer may have in flight, in bytes. A page of a thousand items fits without waiting for the window to open.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What all answers of one connection may have in flight, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest frame that is taken, in bytes. Where the upstream makes use of it, a page comes in one frame: read in few
/// pieces, and passed on without being put together first.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// The largest header list of an answer, in bytes: an error's details come in one header.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// How often a connection with calls on it is looked at; one that was silent in between is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// When it is asked again in the same silence. gRPC servers take three questions within five minutes for an attack, and
/// hang up on all calls.
const PING_AGAIN: Duration = Duration::from_secs(301);
/// How long it has to say so.
const PING_TIME_MAX: Duration = Duration::from_secs(10);

/// The way onto one connection. It closes when this, its clones and all its calls are gone.
#[derive(Clone)]
pub(super) struct Connection {
    streams: SendRequest<Bytes>,
    pulse: Arc<Pulse>,
}

/// What has to run for anything to happen on a connection; it ends with it.
pub(super) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Lost {
    /// The connection was over before the call began. Nothing was sent, or nothing of it was looked at.
    Over(h2::Error),
    /// The upstream refused to begin with it.
    Refused(h2::Error),
    /// Nobody knows what came of it.
    Broken(h2::Error),
}

/// What the task of a connection knows of the calls on it.
#[derive(Debug, Default)]
struct Pulse {
    calls: AtomicUsize,
    /// Whether anything came since it was last looked at.
    is_heard: AtomicBool,
}

/// One call, for as long as it is under way.
struct Beat(Arc<Pulse>);

impl Beat {
    fn new(pulse: &Arc<Pulse>) -> Self {
        pulse.calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(pulse))
    }

    fn heard(&self) {
        self.0.is_heard.store(true, Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("pulse", &self.pulse).finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins to speak HTTP/2 on a stream of bytes. Does not wait for the other side.
    pub(super) async fn open<S>(io: S) -> Result<(Self, Running), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (streams, mut connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .enable_push(false)
            .handshake(io)
            .await?;
        let pulse = Arc::<Pulse>::default();
        let ping = connection.ping_pong().expect("nobody has taken it before");
        let listening = Arc::clone(&pulse);
        let running = async move {
            tokio::select! {
                biased;
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a connection to an upstream broke");
                    }
                }
                () = silence(ping, &listening) => tracing::debug!("a connection to an upstream is silent and given up"),
            }
        };
        Ok((Self { streams, pulse }, Box::pin(running)))
    }

    /// Tells whether this is the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pulse, &other.pulse)
    }

    /// Makes a call and waits for the head of its answer. Dropping the future, and later the answer, cancels it.
    pub(super) async fn call(&self, request: Request<()>, message: Bytes) -> Result<Response<Answer>, Lost> {
        let beat = Beat::new(&self.pulse);
        // Above the upstream's limit of streams the call waits for one to end: the concurrency limit bounds how many do.
        let (answer, mut sending) = self.streams.clone().send_request(request, false).map_err(Lost::Over)?;
        // All at once, however small the window: it is kept as it is until the upstream lets it through.
        sending.send_data(message, true).map_err(Lost::Broken)?;
        drop(sending);
        let (head, stream) = answer.await.map_err(Lost::of)?.into_parts();
        beat.heard();
        Ok(Response::from_parts(head, Answer { stream, data_is_over: false, beat }))
    }
}

impl Lost {
    /// Sorts the end of a call that was sent, by what RFC 9113 (sections 6.8 and 8.7) says about repeating it.
    fn of(error: h2::Error) -> Self {
        match error.reason() {
            // These come for streams above the last one that the upstream has looked at, and for no others.
            Some(h2::Reason::NO_ERROR) if error.is_remote() && error.is_go_away() => Self::Over(error),
            Some(h2::Reason::REFUSED_STREAM) if error.is_remote() && error.is_reset() => Self::Refused(error),
            _ => Self::Broken(error),
        }
    }
}

/// Waits until an upstream with calls on its connection says nothing and does not answer either when it is asked.
async fn silence(mut ping: PingPong, pulse: &Pulse) {
    let mut wait = PING_EVERY;
    loop {
        sleep(wait).await;
        wait = PING_EVERY;
        if pulse.is_heard.swap(false, Ordering::Relaxed) || pulse.calls.load(Ordering::Relaxed) == 0 {
            continue;
        }
        match timeout(PING_TIME_MAX, ping.ping(Ping::opaque())).await {
            Ok(Ok(_pong)) => wait = PING_AGAIN,
            // Broken for another reason, of which the connection itself will say more.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

/// The body of an answer.
pub(super) struct Answer {
    stream: RecvStream,
    data_is_over: bool,
    beat: Beat,
}

impl Answer {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? else { return Poll::Ready(None) };
        // What was taken makes room for more: whoever holds an answer up does it by not asking.
        self.stream.flow_control().release_capacity(data.len())?;
        self.beat.heard();
        Poll::Ready(Some(Ok(data)))
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<HeaderMap>, h2::Error>> {
        self.stream.poll_trailers(cx)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.data_is_over {
            if let Some(data) = ready!(self.poll_data(cx)) {
                return Poll::Ready(Some(data.map(Frame::data)));
            }
            self.data_is_over = true;
        }
        Poll::Ready(ready!(self.poll_trailers(cx)).transpose().map(|trailers| trailers.map(Frame::trailers)))
    }
}
