//! Calls on real sockets, against servers that behave and servers that do not.

mod adc;
mod answers;
mod connections;
mod crowd;
mod endpoints;
mod server;
mod sharing;
mod silence;
mod streams;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tonic::transport::server::TcpIncoming;

use self::server::{Server, headers, metadata, ok, scripted, status};
use super::*;
use crate::config::{self, Secret, Token, UnknownFields, UpstreamTls};
use crate::error::{Code, Reason};

const NEVER: Duration = Duration::from_secs(3600);

fn section(urls: &[&str]) -> config::Upstream {
    config::Upstream {
        forward_headers: Vec::new(),
        endpoints: urls.iter().map(|url| config::Endpoint::parse(url).unwrap()).collect(),
        credentials: config::Credentials::None,
        poll_credentials: None,
        quota_project: None,
        services: Vec::new(),
        service_config: None,
        unknown_fields: UnknownFields::Reject,
        locations: Vec::new(),
        primary: false,
        deadline: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(5),
        message_size_max: 1024 * 1024,
        concurrency_max: 100,
        calls_per_minute: 1200,
        tls: UpstreamTls::default(),
        allow_clear_text: false,
        retry: config::Retry { attempts: 3, budget: 0.2 },
        breaker: config::Breaker { failures: 10, open_for: NEVER },
    }
}

fn build(section: config::Upstream) -> Arc<Upstream> {
    let upstreams =
        Upstreams::build(&BTreeMap::from([("library".to_owned(), section)]), |_| Vec::new()).unwrap();
    Arc::clone(upstreams.get("library").unwrap())
}

fn upstream(url: &str) -> Arc<Upstream> {
    build(section(&[url]))
}

/// The time that a caller names.
fn named(timeout: Duration) -> Timeout {
    let end = Instant::now() + timeout;
    Timeout::until(end).named(Some(end))
}

fn call() -> Call {
    Call {
        path: PathAndQuery::from_static("/acme.v1.Library/GetBook"),
        message: Bytes::from_static(b"request"),
        metadata: Vec::new(),
        routing: None,
        timeout: None,
        retryable: false,
        authorization: None,
    }
}

/// An address where nobody listens.
async fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An address where somebody listens and never accepts: once its backlog is full, nothing answers.
async fn silent() -> (String, (TcpListener, Vec<TcpStream>)) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = socket.listen(1).unwrap();
    let mut full = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        full.push(stream.unwrap());
    }
    (format!("http://{address}"), (listener, full))
}

fn facts(error: &Error) -> (Code, Option<Reason>) {
    (error.code(), error.reason())
}

const UNAVAILABLE: (Code, Option<Reason>) = (Code::Unavailable, Some(Reason::UpstreamUnavailable));
const TIMEOUT: (Code, Option<Reason>) = (Code::DeadlineExceeded, Some(Reason::UpstreamTimeout));

async fn headers_only(script: &[(&'static str, &str)]) -> Error {
    let script: Vec<(&'static str, String)> = script.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    let server = Server::start(move |_, _| {
        let pairs: Vec<_> = script.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let answer = status(&pairs);
        async move { answer }
    });
    upstream(&server.url()).unary(call()).await.unwrap_err()
}

#[tokio::test]
async fn a_call_carries_what_it_should_and_brings_the_answer_back() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |_, request| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            seen.send((head, body.collect().await.unwrap().to_bytes())).unwrap();
            let mut answer = ok(b"answer");
            answer.headers_mut().extend(headers(&[("x-goog-ext", "1"), ("trace-bin", "AAEC")]));
            answer
        }
    });
    let mut section = section(&[&server.url()]);
    section.credentials = config::Credentials::Token(Token::Inline(Secret::new("ours")));
    let upstream = build(section);
    assert_eq!(upstream.health().status, HealthStatus::Unknown);

    let reply = upstream
        .unary(Call {
            metadata: metadata(&[
                ("x-goog-api-client", "gl-python/3"),
                ("cookie", "a=b"),
                ("x-goog-user-project", "p"),
            ]),
            routing: Some("name=projects%2Fp".to_owned()),
            authorization: Some(HeaderValue::from_static("Bearer theirs")),
            ..call()
        })
        .await
        .unwrap();
    assert_eq!(reply.message, "answer");
    assert_eq!(reply.headers, headers(&[("x-goog-ext", "1")]));

    let (head, body) = requests.recv().await.unwrap();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/acme.v1.Library/GetBook"));
    assert_eq!(&body[..], b"\0\0\0\0\x07request");
    let header = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("authorization"), Some("Bearer ours"));
    assert_eq!(header("x-goog-request-params"), Some("name=projects%2Fp"));
    assert_eq!(header("x-goog-api-client"), Some("gl-python/3"));
    assert_eq!(header("content-type"), Some("application/grpc"));
    assert_eq!(
        (header("cookie"), header("x-goog-user-project"), header("content-length")),
        (None, None, None)
    );
    let timeout: u64 = header("grpc-timeout").unwrap().strip_suffix('m').unwrap().parse().unwrap();
    assert!((29_000..=30_000).contains(&timeout), "{timeout}");
    assert!(header("user-agent").unwrap().starts_with("causeway/"));

    let health = upstream.health();
    assert_eq!((health.status, health.in_flight, health.endpoints_up), (HealthStatus::Ready, 0, 1));
    assert!(!format!("{upstream:?}").contains("ours"));
}

#[tokio::test]
async fn the_callers_credential_and_quota_project_go_up_where_configured() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let server = Server::start(move |_, request| {
        seen.send(request.headers().clone()).unwrap();
        async { ok(b"") }
    });
    let mut section = section(&[&server.url()]);
    section.credentials = config::Credentials::Caller;
    let call = Call {
        metadata: metadata(&[("x-goog-user-project", "p"), ("authorization", "Bearer for the gateway")]),
        authorization: Some(HeaderValue::from_static("Bearer theirs")),
        ..call()
    };
    assert!(!format!("{call:?}").contains("Bearer"));
    build(section).unary(call).await.unwrap();
    let seen = requests.recv().await.unwrap();
    assert_eq!(seen["authorization"], "Bearer theirs");
    assert_eq!(seen["x-goog-user-project"], "p");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_upstreams_name_and_not_its_address() {
    let url = dead().await;
    let upstream = upstream(&url);
    let error = upstream.unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.message().contains("`library`") && !error.message().contains("127.0.0.1"), "{error}");
    assert_eq!(error.metadata(), [("upstream", "library".to_owned())]);
    assert_eq!(upstream.health().status, HealthStatus::ConnectFailed);

    let server =
        Server::start_at(url.trim_start_matches("http://").parse().unwrap(), None, |_, _| async { ok(b"") });
    let mut call = call();
    call.retryable = true;
    upstream.unary(call).await.unwrap();
    assert_eq!((server.calls(), upstream.health().status), (1, HealthStatus::Ready));
}

#[tokio::test]
async fn too_slow_is_a_timeout_of_ours_and_says_whose_time_it_was() {
    let server = Server::start(|_, _| std::future::pending());
    let mut section = section(&[&server.url()]);
    section.deadline = Duration::from_millis(200);
    section.breaker.failures = 2;
    let upstream = build(section);
    let hasty = Call { timeout: Some(named(Duration::from_millis(50))), ..call() };
    for _ in 0..3 {
        let error = upstream.unary(hasty.clone()).await.unwrap_err();
        assert_eq!(facts(&error), TIMEOUT);
        assert!(error.message().contains("50ms, the time that the caller gave"), "{error}");
    }
    assert_eq!(upstream.health().breaker, BreakerState::Closed, "hasty callers open no breaker");
    for _ in 0..2 {
        let error = upstream.unary(call()).await.unwrap_err();
        assert_eq!(facts(&error), TIMEOUT);
        assert_eq!(error.message(), "Upstream `library` did not answer within 200ms.");
    }
    assert_eq!(upstream.health().breaker, BreakerState::Open);
    assert_eq!(upstream.health().in_flight, 0);
}

/// A call without time was sent and took effect, and whether its caller heard of that was a matter of luck.
#[tokio::test]
async fn a_call_that_has_no_time_left_is_not_sent() {
    let server = Server::start(|_, _| async { ok(b"done") });
    let upstream = build(section(&[&server.url()]));
    upstream.unary(call()).await.unwrap();
    for _ in 0..20 {
        let late = Call { timeout: Some(named(Duration::ZERO)), ..call() };
        let error = upstream.unary(late).await.unwrap_err();
        assert_eq!((facts(&error), error.nothing_sent()), (TIMEOUT, true));
    }
    assert_eq!((server.calls(), upstream.health().in_flight), (1, 0));
}

#[tokio::test]
async fn only_harmless_calls_are_tried_again() {
    let flaky = || {
        Server::start(|number, _| async move {
            if number < 3 { status(&[("grpc-status", "14"), ("grpc-message", "later")]) } else { ok(b"done") }
        })
    };
    let server = flaky();
    let error = upstream(&server.url()).unary(call()).await.unwrap_err();
    assert_eq!((facts(&error), server.calls()), ((Code::Unavailable, None), 1));

    let server = flaky();
    let reply = upstream(&server.url()).unary(Call { retryable: true, ..call() }).await.unwrap();
    assert_eq!((&reply.message[..], server.calls()), (&b"done"[..], 3));

    let server = Server::start(|_, _| async { status(&[("grpc-status", "14")]) });
    upstream(&server.url()).unary(Call { retryable: true, ..call() }).await.unwrap_err();
    assert_eq!(server.calls(), 3);

    let server = Server::start(|_, _| async { status(&[("grpc-status", "13")]) });
    upstream(&server.url()).unary(Call { retryable: true, ..call() }).await.unwrap_err();
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn an_answered_unavailable_opens_no_breaker_and_a_dead_upstream_does() {
    let server = Server::start(|_, _| async { status(&[("grpc-status", "14")]) });
    let mut answering = section(&[&server.url()]);
    answering.breaker.failures = 2;
    let answering = build(answering);
    for _ in 0..5 {
        answering.unary(call()).await.unwrap_err();
    }
    assert_eq!((server.calls(), answering.health().breaker), (5, BreakerState::Closed));

    let url = dead().await;
    let mut section = section(&[&url]);
    section.breaker = config::Breaker { failures: 2, open_for: Duration::from_millis(400) };
    let upstream = build(section);
    for _ in 0..2 {
        assert_eq!(facts(&upstream.unary(call()).await.unwrap_err()), UNAVAILABLE);
    }
    let error = upstream.unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.message().contains("held back") && error.retry_after().is_some(), "{error}");
    assert_eq!(upstream.health().status, HealthStatus::BreakerOpen);

    let address = url.trim_start_matches("http://").parse().unwrap();
    let _server = Server::start_at(address, None, |_, _| async { ok(b"back") });
    let back = async {
        loop {
            match upstream.unary(call()).await {
                Ok(reply) => return reply,
                Err(error) => tokio::time::sleep(error.retry_after().unwrap_or_default()).await,
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(10), back).await.unwrap().message, "back");
    assert_eq!(upstream.health().status, HealthStatus::Ready);
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_call_along() {
    let (started, mut starts) = mpsc::unbounded_channel();
    let (farewell, mut gone) = mpsc::unbounded_channel();
    let server = Server::start(move |_, _| {
        let (started, farewell) = (started.clone(), farewell.clone());
        async move {
            let _farewell = Farewell(farewell);
            started.send(()).unwrap();
            std::future::pending().await
        }
    });
    let upstream = upstream(&server.url());
    let leaving = tokio::spawn({
        let upstream = Arc::clone(&upstream);
        async move { upstream.unary(call()).await }
    });
    starts.recv().await.unwrap();
    assert_eq!(upstream.health().in_flight, 1);
    leaving.abort();
    leaving.await.unwrap_err();
    assert_eq!(upstream.health().in_flight, 0);
    timeout(Duration::from_secs(10), gone.recv()).await.expect("the server stops too").unwrap();
    drop(server);
}

/// Says so when it is dropped.
struct Farewell(mpsc::UnboundedSender<()>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn a_request_above_the_limit_is_not_sent() {
    let server = Server::saying(b"");
    let long = Call { message: vec![0; 1024 * 1024 + 1].into(), ..call() };
    let error = upstream(&server.url()).unary(long).await.unwrap_err();
    assert_eq!(facts(&error), (Code::InvalidArgument, Some(Reason::LimitExceeded)));
    assert_eq!(server.calls(), 0);
}

#[tokio::test]
async fn a_real_service_understands_us() {
    let (reporter, service) = tonic_health::server::health_reporter();
    reporter.set_service_status("acme.v1.Library", tonic_health::ServingStatus::Serving).await;
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", incoming.local_addr().unwrap());
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    let upstream = upstream(&url);
    let check = |name: &[u8]| Call {
        path: PathAndQuery::from_static("/grpc.health.v1.Health/Check"),
        message: [&[0x0a, u8::try_from(name.len()).unwrap()], name].concat().into(),
        ..call()
    };
    let watch =
        Call { path: PathAndQuery::from_static("/grpc.health.v1.Health/Watch"), ..check(b"acme.v1.Library") };
    assert_eq!(upstream.unary(check(b"acme.v1.Library")).await.unwrap().message, &[8, 1][..]);
    assert_eq!(facts(&upstream.unary(check(b"nobody")).await.unwrap_err()), (Code::NotFound, None));
    assert_eq!(facts(&upstream.unary(call()).await.unwrap_err()), (Code::Unimplemented, None));

    let mut stream = upstream.server_streaming(watch).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap(), &[8, 1][..]);
    reporter.set_service_status("acme.v1.Library", tonic_health::ServingStatus::NotServing).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), &[8, 2][..]);
}
