//! Connections that end, refuse, are silent, or are long in coming.

use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason as H2;
use tokio::io::{copy_bidirectional, duplex};
use tokio::time::{Instant, sleep};

use super::super::connection::{Connection, Lost};
use super::tls::{server as encrypted, trusting, with};
use super::*;

const LONG: Duration = Duration::from_secs(3600);

/// An upstream that leaves while a call is on its way, then refuses one, and then answers.
#[tokio::test]
async fn a_call_that_was_not_begun_is_offered_again_whatever_it_does() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (begun, mut calls) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut leaving = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        leaving.abrupt_shutdown(H2::NO_ERROR);
        tokio::spawn(async move { while leaving.accept().await.is_some() {} });

        let mut staying = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        let mut number = 0;
        while let Some(Ok((_, mut answer))) = staying.accept().await {
            number += 1;
            if number == 1 {
                answer.send_reset(H2::REFUSED_STREAM);
                continue;
            }
            begun.send(number).unwrap();
            let mut stream = answer.send_response(status(&[]).map(drop), false).unwrap();
            stream.send_data(frame::framed(b"done").unwrap(), false).unwrap();
            stream.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
        }
    });
    let reply = upstream(&url).unary(call()).await.unwrap();
    assert_eq!((&reply.message[..], calls.recv().await), (&b"done"[..], Some(2)));
    assert!(calls.try_recv().is_err(), "once and no more");
}

#[tokio::test]
async fn an_upstream_that_begins_with_no_call_is_not_asked_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let offers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&offers);
    tokio::spawn(async move {
        let mut refusing = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok((_, mut answer))) = refusing.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            answer.send_reset(H2::REFUSED_STREAM);
        }
    });
    let error = upstream(&url).unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.message().contains("Nothing was sent"), "{error}");
    assert_eq!(offers.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_server_that_starts_again_costs_no_call() {
    let server = Server::saying(b"before");
    let (url, address) = (server.url(), server.address);
    let upstream = upstream(&url);
    assert_eq!(upstream.unary(call()).await.unwrap().message, "before");
    drop(server);
    let again = async {
        loop {
            // The old one has the address until its last connection is closed.
            if let Ok(listener) = TcpListener::bind(address).await {
                return drop(listener);
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), again).await.unwrap();
    let _server = Server::start_at(address, None, |_, _| async { ok(b"after") });
    assert_eq!(upstream.unary(call()).await.unwrap().message, "after");
}

/// A server behind a door that takes its time, and how often somebody came.
async fn slow_door(server: std::net::SocketAddr, wait: Duration) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                sleep(wait).await;
                let mut inside = TcpStream::connect(server).await.unwrap();
                let _ended = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (url, came)
}

#[tokio::test]
async fn a_hasty_caller_does_not_take_the_connection_along() {
    let (server, _) = encrypted(tonic::transport::ServerTlsConfig::new());
    let (url, came) = slow_door(server.address, Duration::from_millis(300)).await;
    let upstream = build(with(&url, trusting()));
    for _ in 0..3 {
        let hasty = Call { timeout: Some(Duration::from_millis(40)), ..call() };
        assert_eq!(facts(&upstream.unary(hasty).await.unwrap_err()), TIMEOUT);
    }
    assert_eq!(upstream.unary(call()).await.unwrap().message, "safe");
    assert_eq!(came.load(Ordering::SeqCst), 1, "one connection for all of them");
}

fn request() -> http::Request<()> {
    http::Request::post("http://library.test/acme.v1.Library/GetBook").body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_gone_without_a_word_is_noticed() {
    let (ours, mut theirs) = duplex(64 * 1024);
    let (connection, running) = Connection::open(ours).await.unwrap();
    tokio::spawn(running);
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
    let (connection, running) = Connection::open(ours).await.unwrap();
    tokio::spawn(running);
    let (seen, mut pings) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut server = h2::server::handshake(Listened { socket: theirs, seen }).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok(unanswered)) = server.accept().await {
            kept.push(unanswered);
        }
    });
    let started = Instant::now();
    let call = async { connection.call(request(), Bytes::new()).await.map(drop) };
    timeout(Duration::from_secs(600), call).await.expect_err("it is asked and says that it lives");
    let mut asked = Vec::new();
    while let Ok(at) = pings.try_recv() {
        asked.push((at - started).as_secs());
    }
    assert_eq!(asked, [30, 331]);
    tokio::time::sleep(LONG).await;
    assert!(pings.try_recv().is_err(), "nobody waits for anything now");
}

/// Notes when a PING that is no answer is read.
struct Listened {
    socket: tokio::io::DuplexStream,
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
