//! What an upstream can answer with, and should not.

use super::*;

#[tokio::test]
async fn what_the_upstream_says_passes_through_with_details() {
    // google.rpc.Status { code: 9, details: [{ type_url: "type.googleapis.com/google.rpc.ErrorInfo", value: "\n\1R" }] }
    let mut packed = vec![0x08, 9, 0x1a, 0x2f, 0x0a, 40];
    packed.extend(b"type.googleapis.com/google.rpc.ErrorInfo");
    packed.extend([0x12, 3, 0x0a, 1, b'R']);
    let padded = base64_simd::STANDARD.encode_to_string(&packed);
    for text in [padded.clone(), padded.trim_end_matches('=').to_owned()] {
        let error = headers_only(&[
            ("grpc-status", "9"),
            ("grpc-message", "has%20children"),
            ("grpc-status-details-bin", &text),
        ])
        .await;
        assert_eq!(facts(&error), (Code::FailedPrecondition, None));
        assert_eq!(error.message(), "has children");
        assert_eq!(error.details()[0].type_url, "type.googleapis.com/google.rpc.ErrorInfo");
        assert_eq!(&error.details()[0].value[..], b"\x0a\x01R");
    }
    let error = headers_only(&[("grpc-status", "9"), ("grpc-status-details-bin", "!!not base64!!")]).await;
    assert_eq!(facts(&error), (Code::FailedPrecondition, None));

    // The same in trailers, after headers.
    let server = Server::start(|_, _| async {
        let (answer, script) = scripted();
        script.end(&[("grpc-status", "5"), ("grpc-message", "no book")]);
        answer
    });
    let error = upstream(&server.url()).unary(call()).await.unwrap_err();
    assert_eq!((facts(&error), error.message()), ((Code::NotFound, None), "no book"));
}

/// It was dropped, where that of an answer came down.
#[tokio::test]
async fn what_comes_with_a_refusal_comes_down_by_the_same_rules() {
    const SENT: [(&str, &str); 5] = [
        ("grpc-status", "5"),
        ("x-quota", "7"),
        ("trace-bin", "AAEC"),
        ("set-cookie", "a=b"),
        ("x-quota", "8"),
    ];
    let quotas = |error: &Error| {
        assert_eq!(error.headers().len(), 2, "{:?}", error.headers());
        error
            .headers()
            .get_all("x-quota")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(quotas(&headers_only(&SENT).await), ["7", "8"]);
    let server = Server::start(|_, _| async {
        let (answer, script) = scripted();
        script.end(&SENT);
        answer
    });
    assert_eq!(quotas(&upstream(&server.url()).unary(call()).await.unwrap_err()), ["7", "8"]);
    assert_eq!(quotas(&upstream(&server.url()).server_streaming(call()).await.err().unwrap()), ["7", "8"]);
}

#[tokio::test]
async fn answers_that_are_not_as_they_should_be_are_refused_with_words() {
    let odd = |code, reason| (code, Some(reason));
    type Case = (&'static str, fn() -> Response<Body>, (Code, Option<Reason>));
    let cases: [Case; 9] = [
        ("too large", || ok(&vec![0; 1024 * 1024 + 1]), odd(Code::Internal, Reason::LimitExceeded)),
        (
            "no message",
            || status(&[("grpc-status", "0")]),
            odd(Code::Internal, Reason::UpstreamInvalidResponse),
        ),
        (
            "two messages",
            || {
                let (answer, script) = scripted();
                script.message(b"1");
                script.message(b"2");
                script.end(&[("grpc-status", "0")]);
                answer
            },
            odd(Code::Internal, Reason::UpstreamInvalidResponse),
        ),
        (
            "cut short",
            || {
                let (answer, script) = scripted();
                script.raw(&[0, 0, 0, 0, 9, 1]);
                script.end(&[("grpc-status", "0")]);
                answer
            },
            odd(Code::Internal, Reason::UpstreamInvalidResponse),
        ),
        (
            "no status",
            || {
                let (answer, script) = scripted();
                script.message(b"1");
                answer
            },
            UNAVAILABLE,
        ),
        ("a web page", || Response::new(Body::empty()), odd(Code::Internal, Reason::UpstreamInvalidResponse)),
        ("a proxy", || Response::builder().status(503).body(Body::empty()).unwrap(), UNAVAILABLE),
        (
            "a wrong path",
            || Response::builder().status(404).body(Body::empty()).unwrap(),
            odd(Code::Unimplemented, Reason::UpstreamInvalidResponse),
        ),
        ("a number that is no code", || status(&[("grpc-status", "99")]), (Code::Unknown, None)),
    ];
    for (what, script, expected) in cases {
        let server = Server::start(move |_, _| async move { script() });
        let error = upstream(&server.url()).unary(call()).await.unwrap_err();
        assert_eq!(facts(&error), expected, "{what}: {error}");
        assert!(!error.message().is_empty() && !error.message().contains("127.0.0.1"));
    }
}

#[tokio::test]
async fn a_message_in_many_pieces_arrives_whole() {
    let server = Server::start(|_, _| async {
        let (answer, script) = scripted();
        let framed = frame::framed(&vec![7; 200_000]).unwrap();
        for piece in framed.chunks(3).take(3).chain(framed[9..].chunks(10_000)) {
            script.raw(piece);
        }
        script.end(&[("grpc-status", "0"), ("x-goog-late", "1")]);
        answer
    });
    let reply = upstream(&server.url()).unary(call()).await.unwrap();
    assert_eq!(reply.message, vec![7; 200_000]);
    assert_eq!(reply.headers, headers(&[("x-goog-late", "1")]));
}

/// What HTTP/2 says before any request: its preface, settings, the window of the connection, and that the other side's
/// settings were read.
const GREETING_BYTES: usize = 24 + 9 + 4 * 6 + 9 + 4 + 9 + 1;

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
            // The greeting, and some of the request: by then it was sent.
            let mut begun = 0;
            while begun < GREETING_BYTES {
                match stream.read(&mut [0; 256]).await.unwrap() {
                    0 => return,
                    bytes => begun += bytes,
                }
            }
        }
    });
    let error = upstream(&url).unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.message().contains("not known"), "{error}");
}
