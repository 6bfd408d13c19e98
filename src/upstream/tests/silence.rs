//! Connections of which nothing is heard.

use tokio::io::{DuplexStream, duplex};
use tokio::time::Instant;

use super::super::connection::{Connection, Lost, Purpose};
use super::sharing::{SETTINGS, greeted, request};
use super::*;

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_gone_without_a_word_is_noticed() {
    let (connection, mut theirs) = greeted(SETTINGS).await;
    tokio::spawn(async move { while theirs.read(&mut [0; 1024]).await.unwrap() > 0 {} });
    let started = Instant::now();
    let lost = connection.call(request(), Bytes::new()).await.map(drop).unwrap_err();
    assert!(matches!(lost, Lost::Broken(_)), "{lost:?}");
    assert_eq!(started.elapsed().as_secs(), 40);
    let lost = connection.call(request(), Bytes::new()).await.map(drop).unwrap_err();
    assert!(matches!(lost, Lost::Over(_)), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_takes_long_is_not_pestered() {
    let (ours, theirs) = duplex(64 * 1024);
    let (seen, mut pings) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut server = h2::server::handshake(Listened { socket: theirs, seen }).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok(unanswered)) = server.accept().await {
            kept.push(unanswered);
        }
    });
    let (connection, running) = Connection::open(ours, Purpose::Calls).await.unwrap();
    tokio::spawn(running);
    let started = Instant::now();
    let call = async { connection.call(request(), Bytes::new()).await.map(drop) };
    timeout(Duration::from_secs(600), call).await.expect_err("it is asked and says that it lives");
    let mut asked = Vec::new();
    while let Ok(at) = pings.try_recv() {
        asked.push((at - started).as_secs());
    }
    assert_eq!(asked, [30, 360]);
    tokio::time::sleep(LONG).await;
    assert!(pings.try_recv().is_err(), "nobody waits for anything now");
}

/// Notes when a PING that is no answer is read.
struct Listened {
    socket: DuplexStream,
    seen: mpsc::UnboundedSender<Instant>,
}

impl tokio::io::AsyncRead for Listened {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0];
        let before = buffer.filled().len();
        let polled = std::pin::Pin::new(&mut self.socket).poll_read(cx, buffer);
        for _ in buffer.filled()[before..].windows(PING.len()).filter(|bytes| *bytes == PING) {
            self.seen.send(Instant::now()).unwrap();
        }
        polled
    }
}

impl tokio::io::AsyncWrite for Listened {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
