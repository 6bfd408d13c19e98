//! A socket that is closed when its peer does nothing: no head, half a head, or an answer that nobody reads.
//!
//! HTTP/1 has no other defence against a peer that holds a connection for nothing. An HTTP/2 peer that is silent but
//! there answers pings, which count as activity; one that is gone does not.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::limits::{HEAD_TIME_MAX, STALL_TIME_MAX};

/// What the requests of a connection tell its socket.
#[derive(Debug, Default)]
pub(super) struct Activity {
    started: AtomicU64,
    running: AtomicU32,
}

impl Activity {
    /// A request head has been read.
    pub(super) fn begin(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer has been handed over.
    pub(super) fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits until no request has run for so long.
    pub(super) async fn rests_for(&self, time: Duration) {
        loop {
            let (started, is_busy) = (self.started(), self.is_busy());
            sleep(time).await;
            if !is_busy && !self.is_busy() && self.started() == started {
                return;
            }
        }
    }

    fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Whether a request runs whose answer was not handed over.
    pub(super) fn is_busy(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }
}

/// The watched socket.
pub(super) struct Watched<I> {
    io: I,
    activity: Arc<Activity>,
    idle: Duration,
    http2: bool,
    read_at: Instant,
    /// When bytes came that are not yet part of a request, and how many requests had begun then.
    head: Option<(Instant, u64)>,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<I> Watched<I> {
    /// Watches a connection on which a head must come whole soon after its first byte.
    pub(super) fn http1(io: I, activity: Arc<Activity>, idle: Duration) -> Self {
        let read_at = Instant::now();
        Self { io, activity, idle, http2: false, read_at, head: None, reading: None, writing: None }
    }

    /// Watches a connection whose bytes need not belong to a request.
    pub(super) fn http2(io: I, activity: Arc<Activity>, idle: Duration) -> Self {
        Self { http2: true, ..Self::http1(io, activity, idle) }
    }

    fn has_read(&mut self) {
        self.read_at = Instant::now();
        if self.http2 || self.activity.is_busy() {
            self.head = None;
        } else if self.head.is_none_or(|(_, started)| started != self.activity.started()) {
            self.head = Some((self.read_at, self.activity.started()));
        }
    }

    /// When silence is too long; `None` while a request runs, which has limits of its own.
    fn deadline(&self) -> Option<Instant> {
        match self.head {
            Some((since, started)) if started == self.activity.started() => Some(since + HEAD_TIME_MAX),
            _ if self.activity.is_busy() => None,
            _ => Some(self.read_at + self.idle),
        }
    }

    fn watch_silence<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let deadline = self.deadline();
        let later = || Instant::now() + self.idle;
        let sleep = self.reading.get_or_insert_with(|| Box::pin(sleep_until(deadline.unwrap_or_else(later))));
        if let Some(deadline) = deadline
            && sleep.deadline() > deadline
        {
            sleep.as_mut().reset(deadline);
        }
        // A timer that was set before the last activity fires early and is set anew: cheaper than moving it each time.
        while sleep.as_mut().poll(cx).is_ready() {
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            sleep.as_mut().reset(deadline.unwrap_or_else(later));
        }
        Poll::Pending
    }

    fn watch_stall<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let sleep =
            self.writing.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL_TIME_MAX)));
        sleep.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: Read + Unpin> Read for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(cx, cursor) {
            Poll::Ready(Ok(())) => {
                self.has_read();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self.watch_silence(cx),
        }
    }
}

impl<I: Write + Unpin> Write for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch_stall(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch_stall(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch_stall(shut, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch_stall(written, cx)
    }
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    type Socket = Watched<TokioIo<DuplexStream>>;
    type Ours = TokioIo<Socket>;

    fn watched(
        watch: fn(TokioIo<DuplexStream>, Arc<Activity>, Duration) -> Socket,
    ) -> (Ours, DuplexStream, Arc<Activity>) {
        let (ours, theirs) = duplex(64);
        let activity = Arc::new(Activity::default());
        let watched = watch(TokioIo::new(ours), activity.clone(), IDLE);
        (TokioIo::new(watched), theirs, activity)
    }

    async fn times_out_after(ours: &mut Ours, expected: Duration) {
        let started = Instant::now();
        let error = ours.read(&mut [0; 8]).await.expect_err("the peer does nothing");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let took = started.elapsed();
        assert!(took >= expected && took < expected + Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_closed_when_it_was_idle_for_too_long() {
        let (mut ours, _theirs, _activity) = watched(Watched::http1);
        times_out_after(&mut ours, IDLE).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_must_come_whole_soon_however_it_trickles() {
        let (mut ours, mut theirs, _activity) = watched(Watched::http1);
        theirs.write_all(b"GET / HT").await.expect("there is room");
        ours.read_exact(&mut [0; 8]).await.expect("it was written");
        tokio::time::advance(Duration::from_secs(4)).await;
        theirs.write_all(b"TP").await.expect("there is room");
        ours.read_exact(&mut [0; 2]).await.expect("it was written");
        times_out_after(&mut ours, HEAD_TIME_MAX - Duration::from_secs(4)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_silence_counts_from_the_last_byte_and_never_while_one_runs() {
        let (mut ours, mut theirs, activity) = watched(Watched::http1);
        theirs.write_all(b"GET / HT").await.expect("there is room");
        ours.read_exact(&mut [0; 8]).await.expect("it was written");
        activity.begin();
        let mut buffer = [0; 8];
        let silent = tokio::time::timeout(3 * IDLE, ours.read(&mut buffer)).await;
        assert!(silent.is_err(), "the request is still running");
        theirs.write_all(b"x").await.expect("there is room");
        ours.read_exact(&mut [0; 1]).await.expect("it was written");
        activity.end();
        times_out_after(&mut ours, IDLE).await;
    }

    #[tokio::test(start_paused = true)]
    async fn http2_may_be_quiet_after_its_preface() {
        let (mut ours, mut theirs, _activity) = watched(Watched::http2);
        theirs.write_all(b"PRI * HTTP/2.0").await.expect("there is room");
        ours.read_exact(&mut [0; 14]).await.expect("it was written");
        times_out_after(&mut ours, IDLE).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_is_given_up() {
        let (mut ours, mut theirs, _activity) = watched(Watched::http1);
        ours.write_all(&[0; 64]).await.expect("there is room");
        let started = Instant::now();
        let error = ours.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), started.elapsed() >= STALL_TIME_MAX), (io::ErrorKind::TimedOut, true));
        theirs.read_exact(&mut [0; 64]).await.expect("it was written");
    }

    /// An answer that was handed over just before the end of the wait was cut off.
    #[tokio::test(start_paused = true)]
    async fn rest_begins_when_the_last_request_has_ended() {
        let (activity, time) = (Activity::default(), Duration::from_secs(5));
        let started = Instant::now();
        activity.begin();
        let request = async {
            sleep(time - Duration::from_millis(10)).await;
            activity.end();
        };
        tokio::join!(activity.rests_for(time), request);
        assert_eq!(started.elapsed(), time * 2);
    }
}
