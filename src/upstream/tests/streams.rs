//! Calls with any number of answers.

use super::*;

#[tokio::test]
async fn a_stream_begins_with_its_first_message_and_ends_with_its_status() {
    let server = Server::start(|_, _| async {
        let (answer, script) = scripted();
        script.message(b"1");
        script.message(b"2");
        script.end(&[("grpc-status", "10"), ("grpc-message", "moved")]);
        answer
    });
    let upstream = upstream(&server.url());
    let mut stream = upstream.server_streaming(call()).await.unwrap();
    assert_eq!(upstream.health().in_flight, 1);
    assert_eq!(stream.next().await.unwrap().unwrap(), "1");
    assert_eq!(stream.next().await.unwrap().unwrap(), "2");
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!((facts(&error), error.message()), ((Code::Aborted, None), "moved"));
    assert!(stream.next().await.is_none());
    drop(stream);
    assert_eq!(upstream.health().in_flight, 0);
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_message_never_begins() {
    let server = Server::start(|number, _| async move {
        let (answer, script) = scripted();
        if number == 2 {
            script.message(b"1");
            script.end(&[("grpc-status", "0")]);
        } else {
            script.end(&[("grpc-status", "14")]);
        }
        answer
    });
    let upstream = upstream(&server.url());
    let error = upstream.server_streaming(call()).await.err().unwrap();
    assert_eq!(facts(&error), (Code::Unavailable, None));
    let mut stream = upstream.server_streaming(Call { retryable: true, ..call() }).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "1");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_may_be_empty_and_may_not_stall() {
    let empty = Server::start(|_, _| async { status(&[("grpc-status", "0")]) });
    let mut stream = upstream(&empty.url()).server_streaming(call()).await.unwrap();
    assert!(stream.next().await.is_none());

    let (sender, receiver) = oneshot::channel();
    let sender = std::sync::Mutex::new(Some(sender));
    let stalling = Server::start(move |_, request| {
        assert!(
            request.headers().get("grpc-timeout").is_none(),
            "a stream may outlive the deadline of a message"
        );
        let sender = sender.lock().unwrap().take().unwrap();
        async move {
            let (answer, script) = scripted();
            script.message(b"1");
            assert!(sender.send(script).is_ok());
            answer
        }
    });
    let mut section = section(&[&stalling.url()]);
    section.deadline = Duration::from_millis(200);
    let mut stream = build(section).server_streaming(call()).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), "1");
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(facts(&error), TIMEOUT);
    assert!(stream.next().await.is_none());
    let script = receiver.await.unwrap();
    timeout(Duration::from_secs(10), script.unwanted()).await.expect("the call is cancelled");
}

/// What the request as a whole has was told the upstream as the time for all of the stream, and cut it.
#[tokio::test]
async fn a_stream_has_the_time_that_its_caller_named_and_no_other() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = told.clone();
    let server = Server::start(move |_, request| {
        let timeout =
            request.headers().get("grpc-timeout").map(|timeout| timeout.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(timeout);
        async {
            let (answer, script) = scripted();
            script.message(b"1");
            script.end(&[("grpc-status", "0")]);
            answer
        }
    });
    let upstream = upstream(&server.url());
    let hour = Duration::from_secs(3600);
    for timeout in [
        Timeout::of(Duration::from_secs(30)),
        Timeout::of(Duration::from_secs(30)).named(Some(Instant::now() + hour)),
    ] {
        let mut stream = upstream.server_streaming(Call { timeout: Some(timeout), ..call() }).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "1");
    }
    let told = told.lock().unwrap();
    assert_eq!(told[0], None);
    assert!(told[1].as_ref().is_some_and(|timeout| timeout.starts_with("3599")), "{told:?}");
}
