//! What operators see: health, metrics, the end.

use std::sync::Mutex;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};

use crate::harness::{Answer, Connection, Gateway, Scripted};

async fn library() -> (Scripted, Gateway) {
    let upstream = Scripted::start(|_| Answer::Message(json!({"name": "shelves/s/books/b"}))).await;
    let gateway = Gateway::library(&upstream).await;
    (upstream, gateway)
}

#[tokio::test]
async fn it_lives_and_is_ready_although_an_upstream_is_down() {
    let (upstream, gateway) = library().await;
    drop(upstream);
    assert_eq!(gateway.get("/healthz").await.text(), "ok\n");
    let refused = gateway.get("/v1/shelves/s/books/b").await;
    let message = refused.refused(503, "UPSTREAM_UNAVAILABLE");
    assert!(message.contains("library"), "{message}");
    let ready = gateway.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let upstreams = ready.json()["upstreams"].clone();
    assert_eq!(upstreams.as_array().unwrap().len(), 1, "{upstreams}");
    assert_eq!((&upstreams[0]["name"], &upstreams[0]["endpointsDown"]), (&json!("library"), &json!(1)));
}

#[tokio::test]
async fn callers_are_spread_and_what_one_asks_stays_on_one_thread() {
    let (upstream, gateway) = library().await;
    let mut callers = Vec::new();
    for number in 1..=4 {
        let mut caller = gateway.connect().await;
        for _ in 0..3 {
            assert_eq!(caller.send("GET", "/v1/shelves/s/books/b", &[], "").await.status, 200);
        }
        callers.push(caller);
        assert_eq!(
            upstream.connections(),
            number.min(2),
            "a connection for each of two threads, once it is used"
        );
    }
}

#[tokio::test]
async fn the_root_says_what_this_is() {
    let (_upstream, gateway) = library().await;
    let root = gateway.get("/").await;
    assert_eq!(root.json()["name"], "causeway");
    assert_eq!(root.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn requests_are_counted_by_binding_upstream_and_status() {
    let (_upstream, gateway) = library().await;
    let labels = r#"binding="GET /v1/{name=shelves/*/books/*}:title",upstream="library",status="200""#;
    let series = format!("causeway_requests_total{{{labels}}}");
    let before = gateway.metric(&series).await.unwrap_or(0.0);
    for _ in 0..3 {
        assert_eq!(gateway.get("/v1/shelves/s/books/b:title").await.status, 200);
    }
    assert_eq!(gateway.metric(&series).await, Some(before + 3.0));
    let text = gateway.get("/metrics").await.text();
    for name in [
        "causeway_request_duration_seconds_bucket",
        "causeway_requests_in_flight",
        "causeway_connections_open",
        "causeway_upstream_breaker_state{upstream=\"library\"}",
    ] {
        assert!(text.contains(name), "{name} is missing:\n{text}");
    }
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_idle_connections_are_closed() {
    let (release, released) = oneshot::channel::<()>();
    let released = Mutex::new(Some(released));
    let (arrive, arrived) = oneshot::channel();
    let arrive = Mutex::new(Some(arrive));
    let upstream = Scripted::start(move |_| {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let released = released.lock().unwrap().take().unwrap();
        arrive.lock().unwrap().take().unwrap().send(()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends when the story releases it")]
        tokio::spawn(async move {
            released.await.unwrap();
            sender.send(Ok(json!({"name": "late"}))).await.unwrap();
        });
        Answer::Stream(receiver)
    })
    .await;
    let gateway = Gateway::library(&upstream).await;
    let mut idle = TcpStream::connect(gateway.address).await.unwrap();
    let mut busy = gateway.connect().await;
    let answer = tokio::join!(async { busy.send("GET", "/v1/shelves/s/books/b", &[], "").await }, async {
        arrived.await.unwrap();
        gateway.signal().await;
        assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0, "an idle connection is closed at once");
        assert!(TcpStream::connect(gateway.address).await.is_err(), "nobody listens any more");
        release.send(()).unwrap();
    })
    .0;
    assert_eq!(answer.json(), json!({"name": "late"}));
    assert_eq!(gateway.ended().await, Ok(()));
}

/// A laptop that slept held up the end for all of the time there is, and made it an unclean one.
#[tokio::test]
async fn whoever_is_asleep_does_not_hold_up_the_end() {
    let (_upstream, gateway) = library().await;
    let mut asleep = TcpStream::connect(gateway.address).await.unwrap();
    asleep.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // It has been greeted, and says nothing more.
    asleep.read_exact(&mut [0; 9]).await.unwrap();
    let _half = TcpStream::connect(gateway.address).await.unwrap().write_all(b"PRI").await;
    gateway.signal().await;
    gateway.ended().await.expect("nothing is cut short");
}

#[tokio::test]
async fn a_second_signal_waits_for_nobody() {
    let upstream = Scripted::start(|_| Answer::Never).await;
    let gateway = Gateway::library(&upstream).await;
    let mut connection = gateway.connect().await;
    tokio::select! {
        biased;
        response = connection.send("GET", "/v1/shelves/s/books/b", &[], "") => panic!("{response:?}"),
        () = async {
            while upstream.calls().is_empty() {
                tokio::task::yield_now().await;
            }
            gateway.signal().await;
            gateway.signal().await;
        } => {}
    }
    assert!(gateway.ended().await.is_err());
}

#[tokio::test]
async fn http2_is_spoken_on_the_same_port_many_requests_at_a_time() {
    let (_upstream, gateway) = library().await;
    let mut connection = Connection::http2(gateway.address).await;
    let response = connection.open("GET", "/v1/shelves/s/books/b", &[], "").await;
    assert_eq!(response.version(), http::Version::HTTP_2);
    let next = connection.send("GET", "/v1/shelves/s/books/b", &[], "").await;
    assert_eq!(next.json(), json!({"name": "shelves/s/books/b"}));
}
