//! Connections that end, refuse, are silent, or are long in coming.

use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason as H2;
use tokio::io::{copy_bidirectional, duplex};
use tokio::time::{Instant, sleep};

use super::super::connection::{Connection, Lost, Purpose};
use super::tls::{server as encrypted, trusting, with};
use super::*;
use crate::workers::{Place, Workers};

const LONG: Duration = Duration::from_secs(3600);

/// Has no setting: length, type, flags, stream.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A frame that says how many streams are taken.
const fn streams_max(count: u8) -> [u8; 15] {
    [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, count]
}

/// A connection whose other side has greeted that way and is now ours.
async fn greeted(settings: &[u8]) -> (Connection, tokio::io::DuplexStream) {
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(settings).await.unwrap();
    let (connection, running) = Connection::open(ours, Purpose::Calls).await.unwrap();
    tokio::spawn(running);
    (connection, theirs)
}

/// Reads a raw connection: returns how many frames with the head of a request come until there is a `pause`.
async fn heads(theirs: &mut tokio::io::DuplexStream, pause: Duration) -> usize {
    frames(theirs, 1, pause).await
}

/// Returns how many frames of a kind come until there is a `pause`.
async fn frames(theirs: &mut tokio::io::DuplexStream, wanted: u8, pause: Duration) -> usize {
    let mut read = Vec::new();
    while let Ok(Ok(1..)) = timeout(pause, theirs.read_buf(&mut read)).await {}
    let mut rest = read.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_or(&read);
    let mut found = 0;
    while let [a, b, c, kind, ..] = *rest {
        found += usize::from(kind == wanted);
        rest = &rest[9 + usize::from(a) * 65_536 + usize::from(b) * 256 + usize::from(c)..];
    }
    found
}

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

/// What was handed to the connection above the limit stayed there when its caller left, and was sent to be cancelled.
#[tokio::test]
async fn calls_above_the_upstreams_limit_of_streams_wait_here_and_leave_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (came, mut calls) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let socket = listener.accept().await.unwrap().0;
        let mut server =
            h2::server::Builder::new().max_concurrent_streams(2).handshake::<_, Bytes>(socket).await.unwrap();
        while let Some(Ok((_, answer))) = server.accept().await {
            came.send(answer).unwrap();
        }
    });
    let upstream = upstream(&url);
    let start = || {
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move { upstream.unary(call()).await })
    };
    let _first = start();
    let first = calls.recv().await.unwrap();
    let second_call = start();
    let mut second = calls.recv().await.unwrap();
    for _ in 0..10 {
        let hasty = Call { timeout: Some(Duration::from_millis(5)), ..call() };
        assert_eq!(facts(&upstream.unary(hasty).await.unwrap_err()), TIMEOUT);
    }
    let third_call = start();
    second.send_response(status(&[("grpc-status", "5")]).map(drop), true).unwrap();
    assert_eq!(second_call.await.unwrap().unwrap_err().code(), Code::NotFound);
    let mut third = timeout(Duration::from_secs(10), calls.recv()).await.unwrap().unwrap();
    third.send_response(status(&[("grpc-status", "6")]).map(drop), true).unwrap();
    assert_eq!(third_call.await.unwrap().unwrap_err().code(), Code::AlreadyExists);
    assert!(calls.try_recv().is_err(), "nobody hears of those who left");
    drop(first);
}

#[tokio::test]
async fn an_answer_larger_than_all_windows_arrives() {
    const BYTES: usize = 40 << 20;
    let server = Server::start(|_, _| async { ok(&vec![7; BYTES]) });
    let mut section = section(&[&server.url()]);
    section.message_size_max = 64 << 20;
    let upstream = build(section);
    for _ in 0..2 {
        assert_eq!(upstream.unary(call()).await.unwrap().message.len(), BYTES);
    }
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

/// What an upstream has not read when it answers stays in the connection, unless its stream is reset.
#[tokio::test]
async fn an_upstream_that_answers_before_it_has_read_everything_is_sent_no_more() {
    for (window, bytes) in [(65_535, 1024 * 1024), (0, 1), (10, 11)] {
        answered_early(window, bytes).await;
    }
}

async fn answered_early(window: u32, bytes: usize) {
    let (ours, theirs) = duplex(64 * 1024);
    let served = tokio::spawn(async move {
        let mut server = h2::server::Builder::new()
            .initial_window_size(window)
            .handshake::<_, Bytes>(theirs)
            .await
            .unwrap();
        let (request, mut answer) = server.accept().await.unwrap().unwrap();
        let enough = http::Response::builder().status(413).body(()).unwrap();
        // Its window is full of what nobody reads.
        let mut stream = answer.send_response(enough, true).unwrap();
        let reset = tokio::select! {
            reset = std::future::poll_fn(|cx| stream.poll_reset(cx)) => reset.unwrap(),
            more = server.accept() => panic!("nobody calls again: {more:?}"),
        };
        drop(request);
        reset
    });
    let (connection, running) = Connection::open(ours, Purpose::Calls).await.unwrap();
    tokio::spawn(running);
    let message = Bytes::from(vec![0; bytes]);
    let answer = connection.call(request(), message).await.unwrap();
    assert_eq!(answer.status(), 413);
    drop(answer);
    let reset = timeout(Duration::from_secs(10), served).await.expect("the stream is reset").unwrap();
    assert_eq!(reset, H2::CANCEL);
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

fn request() -> http::Request<()> {
    http::Request::post("http://library.test/acme.v1.Library/GetBook").body(()).unwrap()
}

/// After a thousand frames for calls that were given up, all calls of the connection ended.
#[tokio::test(start_paused = true)]
async fn what_comes_late_for_calls_that_were_given_up_ends_no_other() {
    const GIVEN_UP: u32 = 1500;
    let (connection, mut theirs) = greeted(SETTINGS).await;
    let theirs = tokio::spawn(async move {
        for _ in 0..GIVEN_UP {
            while heads(&mut theirs, Duration::from_millis(1)).await == 0 {}
        }
        theirs
    });
    for _ in 0..GIVEN_UP {
        let call = connection.call(request(), Bytes::new());
        timeout(Duration::from_millis(20), call).await.map(drop).unwrap_err();
    }
    let mut theirs = theirs.await.unwrap();
    let last = connection.call(request(), Bytes::new());
    let answers = async {
        for call in 0..=GIVEN_UP {
            // HEADERS: length, type, flags, stream; `:status: 200`.
            let [a, b, c, d] = (2 * call + 1).to_be_bytes();
            theirs.write_all(&[0, 0, 1, 1, 4, a, b, c, d, 0x88]).await.unwrap();
        }
        heads(&mut theirs, Duration::from_millis(1)).await;
    };
    let (answer, ()) = tokio::join!(last, answers);
    assert_eq!(answer.map(|answer| answer.status()).unwrap(), 200);
}

/// What was answered well was remembered too, and left no room for what was given up.
#[tokio::test(start_paused = true)]
async fn only_calls_that_were_given_up_are_remembered() {
    const MOMENT: Duration = Duration::from_millis(1);
    let (connection, mut theirs) = greeted(SETTINGS).await;
    // HEADERS: length, type, flags, stream; `:status: 200`.
    let head = |flags: u8, call: u32| {
        let [a, b, c, d] = (2 * call + 1).to_be_bytes();
        [0, 0, 1, 1, flags, a, b, c, d, 0x88]
    };
    let answered = 5_000;
    for number in 0..answered {
        let answer = async {
            while heads(&mut theirs, MOMENT).await == 0 {}
            theirs.write_all(&head(5, number)).await.unwrap();
        };
        let (answer, ()) = tokio::join!(connection.call(request(), Bytes::from_static(b"x")), answer);
        let mut body = answer.unwrap().into_body();
        assert!(http_body_util::BodyExt::frame(&mut body).await.is_none());
    }
    let given_up = 100;
    for _ in 0..given_up {
        let call = connection.call(request(), Bytes::new());
        timeout(Duration::from_millis(20), call).await.map(drop).unwrap_err();
    }
    assert_eq!(frames(&mut theirs, 3, MOMENT).await, given_up as usize, "each is cancelled");
    for number in answered..answered + given_up {
        theirs.write_all(&head(4, number)).await.unwrap();
    }
    assert_eq!(frames(&mut theirs, 3, MOMENT).await, 0, "what comes late is no fault");
}

/// Calls that waited for a stream were woken by the end of another, and by nothing else.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_stream_hears_that_there_are_more_or_none() {
    const SOON: Duration = Duration::from_millis(10);
    let (connection, mut theirs) = greeted(&streams_max(1)).await;
    let start = || {
        let connection = connection.clone();
        tokio::spawn(async move { connection.call(request(), Bytes::new()).await.map(drop) })
    };
    let _calls = [start(), start(), start()];
    assert_eq!(heads(&mut theirs, SOON).await, 1);
    theirs.write_all(&streams_max(3)).await.unwrap();
    assert_eq!(heads(&mut theirs, SOON).await, 2);

    let waiting = [start(), start()];
    assert_eq!(heads(&mut theirs, SOON).await, 0);
    // GOAWAY after the fifth stream: those that run go on.
    theirs.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]).await.unwrap();
    for call in waiting {
        let lost = timeout(SOON, call).await.expect("it need not wait for the others").unwrap().unwrap_err();
        assert!(matches!(lost, Lost::Over(_)), "{lost:?}");
    }
}

/// A peer that died in a long silence cost all calls of five minutes.
#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_unheard_is_the_last_on_its_connection() {
    for (patience, is_doubtful) in [(1, false), (5, true)] {
        let (connection, _theirs) = greeted(SETTINGS).await;
        let call = connection.call(request(), Bytes::new());
        timeout(Duration::from_secs(patience), call).await.map(drop).unwrap_err();
        assert_eq!(connection.pulse().is_doubtful(), is_doubtful, "after {patience} s");
    }
    let (connection, mut theirs) = greeted(SETTINGS).await;
    let slow = connection.call(request(), Bytes::new());
    let other = connection.call(request(), Bytes::new());
    let answer = async {
        sleep(Duration::from_secs(1)).await;
        theirs.write_all(&[0, 0, 1, 1, 5, 0, 0, 0, 3, 0x88]).await.unwrap();
    };
    let (slow, other, ()) = tokio::join!(timeout(Duration::from_secs(9), slow), other, answer);
    slow.map(drop).unwrap_err();
    assert_eq!(other.unwrap().status(), 200);
    assert!(!connection.pulse().is_doubtful(), "another was heard of");
}

/// Sixteen streams that nobody read took the window of all calls.
#[tokio::test]
async fn a_stream_that_nobody_reads_holds_up_no_other() {
    const STREAMS: usize = 80;
    const BYTES: usize = 256 * 1024;
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut server = h2::server::Builder::new()
            .max_send_buffer_size(2 * BYTES)
            .handshake::<_, Bytes>(theirs)
            .await
            .unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((_, mut answer))) = server.accept().await {
            let mut stream = answer.send_response(status(&[]).map(drop), false).unwrap();
            stream.send_data(Bytes::from(vec![0; BYTES]), false).unwrap();
            kept.push(stream);
        }
    });
    let (connection, running) = Connection::open(ours, Purpose::Streams).await.unwrap();
    tokio::spawn(running);
    let mut unread = Vec::new();
    for _ in 0..STREAMS {
        unread.push(connection.call(request(), Bytes::new()).await.unwrap());
    }
    let mut last = connection.call(request(), Bytes::new()).await.unwrap().into_body();
    let read = async {
        let mut read = 0;
        while read < BYTES {
            let frame = http_body_util::BodyExt::frame(&mut last).await.unwrap().unwrap();
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    timeout(Duration::from_secs(20), read).await.expect("all of it comes");
}

/// An upstream that sends lines of few bytes to readers who are slow had all calls ended, as an attacker.
#[tokio::test]
async fn short_lines_that_nobody_reads_end_nothing() {
    const LINES: usize = 5_000;
    let (ours, theirs) = duplex(1024 * 1024);
    tokio::spawn(async move {
        let mut server = h2::server::handshake(theirs).await.unwrap();
        let mut kept = Vec::new();
        while let Some(Ok((_, mut answer))) = server.accept().await {
            let mut stream = answer.send_response(status(&[]).map(drop), false).unwrap();
            for _ in 0..LINES {
                stream.send_data(Bytes::from_static(&[7; 49]), false).unwrap();
            }
            kept.push(stream);
        }
    });
    let (connection, running) = Connection::open(ours, Purpose::Streams).await.unwrap();
    tokio::spawn(running);
    let mut unread = Vec::new();
    for _ in 0..12 {
        unread.push(connection.call(request(), Bytes::new()).await.unwrap());
    }
    let mut last = unread.pop().unwrap().into_body();
    for _ in 0..LINES {
        let frame = timeout(Duration::from_secs(20), http_body_util::BodyExt::frame(&mut last)).await;
        assert!(frame.expect("it comes").unwrap().is_ok());
    }
    connection.call(request(), Bytes::new()).await.unwrap();
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
