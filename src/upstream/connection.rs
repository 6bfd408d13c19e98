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
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// What one answer may have in flight, in bytes. A page of a thousand items fits without waiting for the window to open.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What all answers of one connection may have in flight, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest frame that is taken, in bytes. Where the upstream makes use of it, a page comes in one frame: read in few
/// pieces, and passed on without being put together first.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// The largest header list of an answer, in bytes: an error's details come in one header.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Streams that are opened before the upstream has said how many it takes.
const STREAMS_FIRST: usize = 100;
/// The window of a stream before the upstream has said how large it is, in bytes (RFC 9113, section 6.9.2).
const SEND_WINDOW_BYTES: usize = 65_535;
/// How often a connection is looked at; one that had calls and was silent since is asked whether it lives.
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
pub(super) struct Pulse {
    calls: AtomicUsize,
    /// Wakes those who wait for a call to end.
    ended: Notify,
    is_over: AtomicBool,
    /// Whether a call began, and whether anything came, since it was last looked at.
    is_used: AtomicBool,
    is_heard: AtomicBool,
}

/// One call, for as long as it is under way.
struct Beat(Arc<Pulse>);

impl Beat {
    /// Begins, if there are fewer than so many.
    fn begin(pulse: &Arc<Pulse>, calls_max: usize) -> Option<Self> {
        let one_more = |calls: usize| (calls < calls_max).then_some(calls + 1);
        pulse.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        pulse.is_used.store(true, Ordering::Relaxed);
        Some(Self(Arc::clone(pulse)))
    }

    fn heard(&self) {
        self.0.is_heard.store(true, Ordering::Relaxed);
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
        self.0.ended.notify_one();
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
            .initial_max_send_streams(STREAMS_FIRST)
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
            // Whoever waits for a stream of it finds out that there will be none.
            listening.is_over.store(true, Ordering::Release);
            listening.ended.notify_waiters();
        };
        Ok((Self { streams, pulse }, Box::pin(running)))
    }

    /// Tells this connection from others, and does not hold it open.
    pub(super) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Makes a call and waits for the head of its answer. Dropping the future, and later the answer, cancels it.
    pub(super) async fn call(&self, request: Request<()>, message: Bytes) -> Result<Response<Answer>, Lost> {
        let beat = self.stream().await;
        let is_long = message.len() > SEND_WINDOW_BYTES;
        let (answer, mut sending) = self.streams.clone().send_request(request, false).map_err(Lost::Over)?;
        // All at once, however small the window: it is kept as it is until the upstream lets it through. Where that fails
        // the stream is over already, and the answer says why.
        let _over = sending.send_data(message, true);
        let unsent = is_long.then_some(sending);
        let (head, stream) = answer.await.map_err(Lost::of)?.into_parts();
        beat.heard();
        Ok(Response::from_parts(head, Answer { stream, data_is_over: false, unsent, beat }))
    }

    /// Waits until the upstream takes one more stream. What is handed over before that is kept by the connection, also when
    /// its caller has left, and goes out in the end to be cancelled at once: servers hang up on those who do that.
    async fn stream(&self) -> Beat {
        loop {
            let ended = self.pulse.ended.notified();
            let is_over = self.pulse.is_over.load(Ordering::Acquire);
            let calls_max = if is_over { usize::MAX } else { self.streams.current_max_send_streams() };
            if let Some(beat) = Beat::begin(&self.pulse, calls_max) {
                return beat;
            }
            ended.await;
        }
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

/// Waits until an upstream that was called says nothing and does not answer either when it is asked.
async fn silence(mut ping: PingPong, pulse: &Pulse) {
    let mut asked: Option<Instant> = None;
    loop {
        sleep(PING_EVERY).await;
        let was_used =
            pulse.is_used.swap(false, Ordering::Relaxed) || pulse.calls.load(Ordering::Relaxed) > 0;
        if pulse.is_heard.swap(false, Ordering::Relaxed) {
            asked = None;
            continue;
        }
        if !was_used || asked.is_some_and(|at| at.elapsed() < PING_AGAIN) {
            continue;
        }
        asked = Some(Instant::now());
        match timeout(PING_TIME_MAX, ping.ping(Ping::opaque())).await {
            Ok(Ok(_pong)) => {}
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
    /// What may not have been sent whole, since it is longer than the window.
    unsent: Option<SendStream<Bytes>>,
    beat: Beat,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // An upstream may answer before it has read everything. Then nobody will.
        if let Some(mut unsent) = self.unsent.take() {
            unsent.send_reset(h2::Reason::CANCEL);
        }
    }
}

impl Answer {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? else { return Poll::Ready(None) };
        // What was taken makes room for more: whoever holds an answer up does it by not asking.
        self.stream.flow_control().release_capacity(data.len())?;
        self.beat.heard();
        Poll::Ready(Some(Ok(data)))
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
        let trailers = ready!(self.stream.poll_trailers(cx)).transpose();
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }
}
