//! One HTTP/2 connection: calls take their streams of it themselves, and one task reads and writes for all of them.
//!
//! A call so costs two turns of the scheduler: the task's, to send it, and its own, when the answer is there. A client that
//! hands calls on through a queue to tasks of its own costs three more and as many allocations.

use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong, RecvStream, SendStream};
use http::{Request, Response};
use http_body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout};

use super::pulse::{Beat, Pulse, Waiting};

/// What one answer may have in flight, in bytes. A page of a thousand items fits without waiting for the window to open.
const ANSWER_WINDOW_BYTES: u32 = 1024 * 1024;
/// What all answers of one connection may have in flight, in bytes. They are read as they come, whatever their callers do.
const ANSWERS_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// What one stream of messages may have in flight, in bytes: what its reader has not taken is kept.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// What all streams of one connection may have in flight: as much as each of them may, so that none waits for the reader of
/// another. It is bounded by `upstreams.<key>.concurrency_max` times the window of one: 256 MiB unless configured.
const STREAMS_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// What frames of few bytes may take up beyond them, in bytes, over all answers of a connection that are not read yet. An
/// upstream that sends short lines to slow readers is no attacker, and what is exceeded ends all calls.
const SMALL_FRAMES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Calls that were given up and are remembered for so long: what still comes for them is no fault of the upstream.
const GIVEN_UP_MAX: usize = 4096;
const GIVEN_UP_TIME: Duration = Duration::from_secs(30);
/// The largest frame that is taken, in bytes. Where the upstream makes use of it, a page comes in one frame: read in few
/// pieces, and passed on without being put together first.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// The largest header list of an answer, in bytes: an error's details come in one header.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// How often a connection is looked at; one that had calls and was silent since is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(30);
/// When it is asked again in the same silence. gRPC servers take three questions within five minutes for an attack, and
/// hang up on all calls.
const PING_AGAIN: Duration = Duration::from_secs(301);
/// How long it has to say so.
const PING_TIME_MAX: Duration = Duration::from_secs(10);

/// What a connection is for. Streams have one of their own: what their readers leave lying would hold up calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Calls with one answer.
    Calls,
    /// Calls with a stream of answers.
    Streams,
}

impl Purpose {
    /// What one answer, and all of a connection, may have in flight, in bytes.
    fn windows(self) -> [u32; 2] {
        match self {
            Self::Calls => [ANSWER_WINDOW_BYTES, ANSWERS_WINDOW_BYTES],
            Self::Streams => [STREAM_WINDOW_BYTES, STREAMS_WINDOW_BYTES],
        }
    }
}

/// The way onto one connection. It closes when this, its clones and all its calls are gone.
#[derive(Clone)]
pub(super) struct Connection {
    streams: SendRequest<Outgoing>,
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

/// A message on its way. The connection drops it when all of it was written.
struct Outgoing {
    bytes: Bytes,
    is_gone: Arc<AtomicBool>,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.is_gone.store(true, Ordering::Relaxed);
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("pulse", &self.pulse).finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins to speak HTTP/2 on a stream of bytes, and waits until the other side does: a socket is taken up for a process
    /// that hangs too, and what is sent before an upstream has said how many streams it takes may be too much for it.
    pub(super) async fn open<S>(io: S, purpose: Purpose) -> Result<(Self, Running), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let [stream_window, connection_window] = purpose.windows();
        let (streams, mut connection) = Builder::new()
            .initial_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .data_frame_budget(SMALL_FRAMES_BYTES_MAX)
            .max_frame_size(FRAME_BYTES_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            // It protects servers from their clients. An upstream that answers late would have all calls ended by it.
            .max_local_error_reset_streams(None)
            .max_concurrent_reset_streams(GIVEN_UP_MAX)
            .reset_stream_duration(GIVEN_UP_TIME)
            // More than none once the upstream has said how many.
            .initial_max_send_streams(0)
            .enable_push(false)
            .handshake::<S, Outgoing>(io)
            .await?;
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(ended.and(Err(h2::Reason::NO_ERROR.into()))),
            Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let pulse = Arc::<Pulse>::default();
        let ping = connection.ping_pong().expect("nobody has taken it before");
        let listening = Arc::clone(&pulse);
        let running = async move {
            let mut calls_max = connection.max_concurrent_send_streams();
            let connection = poll_fn(|cx| {
                let ended = Pin::new(&mut connection).poll(cx);
                if listening.is_waited_for() {
                    // The upstream may take more than before, or may have said that it takes no more.
                    let now = connection.max_concurrent_send_streams();
                    if std::mem::replace(&mut calls_max, now) < now {
                        listening.wake_all();
                    } else {
                        listening.wake_one();
                    }
                }
                ended
            });
            tokio::select! {
                biased;
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(error = &error as &dyn StdError, "a connection to an upstream broke");
                    }
                }
                () = silence(ping, &listening) => tracing::debug!("a connection to an upstream is silent and given up"),
            }
            listening.end();
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
        let (answer, mut sending) = self.streams.clone().send_request(request, false).map_err(Lost::Over)?;
        let is_gone = Arc::<AtomicBool>::default();
        let message = Outgoing { bytes: message, is_gone: Arc::clone(&is_gone) };
        // All at once, however small the window: it is kept as it is until the upstream lets it through. Where that fails
        // the stream is over already, and the answer says why.
        let _over = sending.send_data(message, true);
        let head = answer.await;
        beat.heard();
        let (head, stream) = head.map_err(Lost::of)?.into_parts();
        Ok(Response::from_parts(head, Answer { stream, data_is_over: false, sending, is_gone, beat }))
    }

    /// Waits until the upstream takes one more stream. What is handed over before that is kept by the connection, also when
    /// its caller has left, and goes out in the end to be cancelled at once: servers hang up on those who do that.
    async fn stream(&self) -> Beat {
        if let Some(beat) = Beat::begin(&self.pulse, self.streams.current_max_send_streams()) {
            return beat;
        }
        let _waiting = Waiting::begin(&self.pulse);
        loop {
            let ended = self.pulse.change();
            let calls_max = if self.is_over() { usize::MAX } else { self.streams.current_max_send_streams() };
            if let Some(beat) = Beat::begin(&self.pulse, calls_max) {
                return beat;
            }
            ended.await;
        }
    }

    /// Whether no call can begin on it any more. Whoever finds out tells all who wait: they need not wait for a call to end.
    fn is_over(&self) -> bool {
        if self.pulse.is_over() {
            return true;
        }
        let asked = self.streams.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        let is_over = matches!(asked, Poll::Ready(Err(_)));
        if is_over {
            self.pulse.end();
        }
        is_over
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

/// Whether the other side went without a word about why.
pub(super) fn is_hang_up(error: &h2::Error) -> bool {
    error.reason() == Some(h2::Reason::NO_ERROR)
}

/// Whether it was we who gave up an answer for what it is, such as headers that are too long.
pub(super) fn is_of_one_answer(cause: &(dyn StdError + 'static)) -> bool {
    cause.downcast_ref::<h2::Error>().is_some_and(|error| error.is_library() && error.is_reset())
}

/// Waits until an upstream that was called says nothing and does not answer either when it is asked.
async fn silence(mut ping: PingPong, pulse: &Pulse) {
    let mut asked: Option<Instant> = None;
    let mut heard_before = pulse.heard();
    loop {
        sleep(PING_EVERY).await;
        let was_used = pulse.take_used();
        let heard = pulse.heard();
        if std::mem::replace(&mut heard_before, heard) != heard {
            asked = None;
            continue;
        }
        if !was_used || asked.is_some_and(|at| at.elapsed() < PING_AGAIN) {
            continue;
        }
        asked = Some(Instant::now());
        match timeout(PING_TIME_MAX, ping.ping(Ping::opaque())).await {
            Ok(Ok(_pong)) => pulse.ponged(),
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
    /// The message, and whether it was sent whole: the window may be too small for it.
    sending: SendStream<Outgoing>,
    is_gone: Arc<AtomicBool>,
    beat: Beat,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // An upstream may answer before it has read everything. Then nobody will. No other stream: one that is reset is
        // remembered, even if it had ended.
        if !self.is_gone.load(Ordering::Relaxed) {
            self.sending.send_reset(h2::Reason::CANCEL);
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
