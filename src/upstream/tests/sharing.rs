//! Calls that share a connection, and what those that are given up or not read leave to the others.

use h2::Reason as H2;
use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep;

use super::super::connection::{Connection, Lost, Purpose};
use super::*;

/// Has no setting: length, type, flags, stream.
pub(super) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A frame that says how many streams are taken.
const fn streams_max(count: u8) -> [u8; 15] {
    [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, count]
}

pub(super) fn request() -> http::Request<()> {
    http::Request::post("http://library.test/acme.v1.Library/GetBook").body(()).unwrap()
}

/// A connection whose other side has greeted that way and is now ours.
pub(super) async fn greeted(settings: &[u8]) -> (Connection, DuplexStream) {
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(settings).await.unwrap();
    let (connection, running) = Connection::open(ours, Purpose::Calls).await.unwrap();
    tokio::spawn(running);
    (connection, theirs)
}

/// Reads a raw connection: returns how many frames with the head of a request come until there is a `pause`.
async fn heads(theirs: &mut DuplexStream, pause: Duration) -> usize {
    frames(theirs, 1, pause).await
}

/// Returns how many frames of a kind come until there is a `pause`.
async fn frames(theirs: &mut DuplexStream, wanted: u8, pause: Duration) -> usize {
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
        let hasty = Call { timeout: Some(named(Duration::from_millis(5))), ..call() };
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
