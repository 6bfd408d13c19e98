//! One write for the calls that are ready together.
//!
//! A call wakes the task that writes for its connection, and that would write while other requests are still being read:
//! on the runtime of the poller at once, since a task that was just woken runs there before all others. Each call would so
//! be a write of its own, and a write costs more than all else that happens to a small call. This socket lets whatever is
//! ready run before it writes; the calls that come of it are sent along.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::yield_now;

/// A socket that waits its turn before each write.
#[derive(Debug)]
pub(super) struct Gathered<S> {
    socket: S,
    turn: Option<Arc<Turn>>,
}

/// The end of what was ready to run when somebody asked for it.
#[derive(Debug)]
struct Turn {
    has_come: AtomicBool,
    task: Waker,
}

impl Turn {
    fn wait(task: &Waker) -> Arc<Self> {
        let turn = Arc::new(Self { has_come: AtomicBool::new(false), task: task.clone() });
        // Yielding hands the waker to the scheduler for later. It is ours and not the task's, because the next call wakes
        // the task too, and that is not yet its turn.
        let waker = Waker::from(Arc::clone(&turn));
        let _ = pin!(yield_now()).poll(&mut Context::from_waker(&waker));
        turn
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.has_come.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<S> Gathered<S> {
    pub(super) fn new(socket: S) -> Self {
        Self { socket, turn: None }
    }

    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        match &self.turn {
            Some(turn) if turn.has_come.load(Ordering::Acquire) => return Poll::Ready(()),
            Some(turn) if turn.task.will_wake(cx.waker()) => {}
            _ => self.turn = Some(Turn::wait(cx.waker())),
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx));
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes));
        self.turn = None;
        Poll::Ready(written)
    }

    /// Several slices are a message that was too large to be gathered: it goes at once, since each frame of it would wait
    /// for a turn of its own.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.iter().filter(|slice| !slice.is_empty()).count() <= 1 {
            ready!(self.poll_turn(cx));
        }
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices));
        self.turn = None;
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_ready_runs_before_a_write() {
        let (ours, mut theirs) = duplex(64);
        let mut socket = Gathered::new(ours);
        for round in 0..3_u8 {
            let other = tokio::spawn(async {});
            socket.write_all(&[round]).await.expect("there is room");
            assert!(other.is_finished());
            assert_eq!(theirs.read_u8().await.expect("it was written"), round);
        }
    }

    #[tokio::test]
    async fn being_polled_again_is_not_ones_turn() {
        let (ours, _theirs) = duplex(64);
        let mut socket = Gathered::new(ours);
        std::future::poll_fn(|cx| {
            for _ in 0..3 {
                assert!(Pin::new(&mut socket).poll_write(cx, b"x").is_pending());
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(socket.write(b"x").await.expect("there is room"), 1);
    }

    #[tokio::test]
    async fn a_large_message_does_not_wait() {
        let (ours, _theirs) = duplex(64);
        let mut socket = Gathered::new(ours);
        let other = tokio::spawn(async {});
        let slices = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        assert_eq!(socket.write_vectored(&slices).await.expect("there is room"), 8);
        assert!(!other.is_finished());
    }

    #[tokio::test]
    async fn a_socket_that_is_full_writes_when_it_can() {
        let (ours, mut theirs) = duplex(1);
        let mut socket = Gathered::new(ours);
        let writing = tokio::spawn(async move { socket.write_all(b"abc").await });
        let mut read = [0; 3];
        theirs.read_exact(&mut read).await.expect("it was written");
        assert_eq!(&read, b"abc");
        writing.await.expect("no panic").expect("there was room in the end");
    }
}
