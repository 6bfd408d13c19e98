//! Connections that end, refuse, or are long in coming.

use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason as H2;
use tokio::io::copy_bidirectional;
use tokio::time::sleep;

use super::super::connection::{Lost, Purpose};
use super::super::connector::Connector;
use super::super::way::Way;
use super::sharing::{SETTINGS, greeted, request};
use super::tls::{server as encrypted, trusting, with};
use super::*;
use crate::workers::{Place, Workers};

/// Speaks raw HTTP/2 on the other side: greets, waits for a request, and says `last`.
async fn spoken(last: &'static [u8]) -> Result<http::Response<()>, Lost> {
    let (connection, mut theirs) = greeted(SETTINGS).await;
    tokio::spawn(async move {
        let mut read = Vec::new();
        // A message of an odd length, which so is no other frame.
        while !read.windows(3).any(|bytes| bytes == b"odd") {
            theirs.read_buf(&mut read).await.unwrap();
        }
        theirs.write_all(last).await.unwrap();
    });
    let answer = connection.call(request(), Bytes::from_static(b"odd")).await;
    answer.map(|answer| answer.map(drop))
}

#[tokio::test]
async fn only_what_the_upstream_did_not_begin_with_may_be_offered_again() {
    let over = |lost| matches!(lost, Err(Lost::Over(_)));
    let refused = |lost| matches!(lost, Err(Lost::Refused(_)));
    let broken = |lost| matches!(lost, Err(Lost::Broken(_)));
    // GOAWAY: length, type, flags, stream; last stream, reason.
    assert!(
        over(spoken(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await),
        "nothing was looked at"
    );
    assert!(
        broken(spoken(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]).await),
        "the first may be done"
    );
    assert!(broken(spoken(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]).await), "it is angry");
    // RST_STREAM: length, type, flags, stream; reason.
    assert!(refused(spoken(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7]).await));
    assert!(broken(spoken(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2]).await), "an internal error");
    assert!(broken(spoken(&[]).await), "gone without a word");
}

/// An upstream that refuses the first `refusals` calls, and answers the others; and how many came.
async fn refusing(refusals: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let came = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&came);
    tokio::spawn(async move {
        let mut server = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        while let Some(Ok((_, mut answer))) = server.accept().await {
            if counted.fetch_add(1, Ordering::SeqCst) < refusals {
                answer.send_reset(H2::REFUSED_STREAM);
                continue;
            }
            let mut stream = answer.send_response(status(&[]).map(drop), false).unwrap();
            stream.send_data(frame::framed(b"done").unwrap(), false).unwrap();
            stream.send_trailers(headers(&[("grpc-status", "0")])).unwrap();
        }
    });
    (url, came)
}

#[tokio::test]
async fn a_refused_call_is_offered_once_more_whatever_it_does() {
    let (url, came) = refusing(1).await;
    assert_eq!(upstream(&url).unary(call()).await.unwrap().message, "done");
    assert_eq!(came.load(Ordering::SeqCst), 2);

    let (url, came) = refusing(usize::MAX).await;
    let upstream = upstream(&url);
    let error = upstream.unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.message().contains("took up no further call. Nothing was done"), "{error}");
    assert_eq!((came.load(Ordering::SeqCst), upstream.health().breaker), (2, BreakerState::Closed));
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

/// An upstream that takes the first call, and is gone without a word: whoever comes then finds nobody.
async fn gone_with_a_call() -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taken = tokio::spawn(async move {
        let socket = listener.accept().await.unwrap().0;
        let mut server = h2::server::handshake(socket).await.unwrap();
        let (request, _answer) = server.accept().await.unwrap().unwrap();
        drop(listener);
        drop((request, server));
    });
    (url, taken)
}

/// The caller was told that nothing was sent, and its Idempotency-Key was free for something else.
#[tokio::test]
async fn that_a_second_try_came_nowhere_says_nothing_of_the_first() {
    let (url, taken) = gone_with_a_call().await;
    let error = upstream(&url).unary(Call { retryable: true, ..call() }).await.unwrap_err();
    taken.await.unwrap();
    assert_eq!((facts(&error), error.nothing_sent()), (UNAVAILABLE, false));
    assert!(error.message().contains("Whether it took effect is not known"), "{error}");
}

/// A call that broke off and was then refused was said not to be done, and its key was free for something else.
#[tokio::test]
async fn that_a_second_try_is_refused_says_nothing_of_the_first() {
    let server = Server::start(|number, _| async move {
        if number == 1 { status(&[("grpc-status", "14")]) } else { status(&[("grpc-status", "8")]) }
    });
    let error = upstream(&server.url()).unary(Call { retryable: true, ..call() }).await.unwrap_err();
    assert_eq!((error.code(), error.maybe_done(), server.calls()), (Code::ResourceExhausted, true, 2));
    let server = Server::start(|_, _| async { status(&[("grpc-status", "8")]) });
    let error = upstream(&server.url()).unary(Call { retryable: true, ..call() }).await.unwrap_err();
    assert_eq!((error.code(), error.maybe_done()), (Code::ResourceExhausted, false));
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
        let hasty = Call { timeout: Some(named(Duration::from_millis(40))), ..call() };
        assert_eq!(facts(&upstream.unary(hasty).await.unwrap_err()), TIMEOUT);
    }
    assert_eq!(upstream.unary(call()).await.unwrap().message, "safe");
    assert_eq!(came.load(Ordering::SeqCst), 1, "one connection for all of them");
}

/// A call must not wake another thread than the one that serves its caller.
#[tokio::test]
async fn each_worker_calls_on_a_connection_of_its_own() {
    let server = Server::saying(b"");
    let (url, came) = slow_door(server.address, Duration::ZERO).await;
    let upstream = upstream(&url.replace("https", "http"));
    let workers = Workers::start(2).unwrap();
    let places = [workers.place(), workers.place()];
    let on = |place: &Place| {
        let upstream = Arc::clone(&upstream);
        place.runtime().spawn(async move { upstream.unary(call()).await.unwrap() })
    };
    for _ in 0..3 {
        for place in &places {
            on(place).await.unwrap();
        }
    }
    assert_eq!(came.load(Ordering::SeqCst), 2);
    for _ in 0..3 {
        upstream.unary(call()).await.unwrap();
    }
    assert_eq!(came.load(Ordering::SeqCst), 3, "and all that are no workers share one");
    workers.end().await;
    for _ in 0..3 {
        upstream.unary(call()).await.unwrap();
    }
    assert_eq!(came.load(Ordering::SeqCst), 3, "one that ends takes nobody else's along");
}

#[tokio::test]
async fn streams_have_a_connection_of_their_own() {
    let server = Server::saying(b"");
    let (url, came) = slow_door(server.address, Duration::ZERO).await;
    let upstream = upstream(&url.replace("https", "http"));
    for _ in 0..3 {
        upstream.unary(call()).await.unwrap();
        let mut stream = upstream.server_streaming(call()).await.unwrap();
        while let Some(message) = stream.next().await {
            message.unwrap();
        }
    }
    assert_eq!(came.load(Ordering::SeqCst), 2);
}

/// The system takes up connections for a process that hangs. Every other call went there, and waited.
#[tokio::test]
async fn a_process_that_hangs_is_avoided() {
    let hung = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::saying(b"here");
    let mut section = section(&[&format!("http://{}", hung.local_addr().unwrap()), &server.url()]);
    section.connect_timeout = Duration::from_millis(100);
    let upstream = build(section);
    for _ in 0..10 {
        assert_eq!(upstream.unary(call()).await.unwrap().message, "here");
    }
}

/// An endpoint whose only connection was one that nobody trusts counted as found again.
#[tokio::test]
async fn an_endpoint_is_found_again_by_a_connection_that_can_be_trusted() {
    let server = Server::saying(b"");
    let way = Way::new(Connector {
        host: server.address.ip().to_string().into(),
        port: server.address.port(),
        tls: None,
        time_max: Duration::from_secs(10),
    });
    let first = way.connection(Purpose::Calls).await.unwrap();
    let now = Instant::now();
    way.link().failed(now, now);
    way.look();
    assert!(way.link().stands(), "it has a connection");
    way.link().failed(now, now);
    first.pulse().doubt();
    way.look();
    assert!(!way.link().stands());
    let second = way.connection(Purpose::Calls).await.unwrap();
    assert!(way.link().stands() && !Arc::ptr_eq(first.pulse(), second.pulse()));
}

/// An upstream that allows fewer connections than there are threads failed every call of some callers.
#[tokio::test]
async fn a_worker_without_a_connection_calls_on_anothers() {
    let server = Server::saying(b"");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = server.address;
    tokio::spawn(async move {
        let (mut outside, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut inside = TcpStream::connect(address).await.unwrap();
        let _ended = copy_bidirectional(&mut outside, &mut inside).await;
    });
    let upstream = upstream(&url);
    let workers = Workers::start(2).unwrap();
    let places = [workers.place(), workers.place()];
    for place in places.iter().cycle().take(6) {
        let caller = Arc::clone(&upstream);
        let calls = async move {
            caller.unary(call()).await.unwrap();
            // It may have to be the connection for calls.
            let mut stream = caller.server_streaming(call()).await.unwrap();
            assert!(stream.next().await.unwrap().is_ok());
        };
        place.runtime().spawn(calls).await.unwrap();
        assert_eq!(upstream.health().status, HealthStatus::Ready);
    }
    workers.end().await;
}

/// One resource with headers that are too long held back all calls.
#[tokio::test]
async fn an_answer_that_cannot_be_taken_opens_no_breaker() {
    let server = Server::start(|_, _| async { status(&[("x-long", &"x".repeat(80_000))]) });
    let mut section = section(&[&server.url()]);
    section.breaker.failures = 2;
    let upstream = build(section);
    for _ in 0..4 {
        assert_eq!(facts(&upstream.unary(call()).await.unwrap_err()), UNAVAILABLE);
    }
    assert_eq!(upstream.health().breaker, BreakerState::Closed);
}
