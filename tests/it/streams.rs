//! Answers that come message by message.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::sync::mpsc;

use crate::harness::{Answer, Gateway, Scripted};

type Messages = mpsc::Sender<Result<Value, (i32, &'static str)>>;

const WATCH: &str = "/v1/shelves/s/books:watch";

/// An upstream whose first stream is fed by the story.
async fn fed() -> (Scripted, Gateway, Messages) {
    let (sender, receiver) = mpsc::channel(16);
    let receiver = Mutex::new(Some(receiver));
    let upstream = Scripted::start(move |_| Answer::Stream(receiver.lock().unwrap().take().unwrap())).await;
    let gateway = Gateway::library(&upstream).await;
    (upstream, gateway, sender)
}

/// An upstream whose first stream is these messages, whole.
async fn whole(messages: Vec<Result<Value, (i32, &'static str)>>) -> (Scripted, Gateway) {
    let (upstream, gateway, sender) = fed().await;
    for message in messages {
        sender.send(message).await.unwrap();
    }
    (upstream, gateway)
}

fn book(name: &str) -> Result<Value, (i32, &'static str)> {
    Ok(json!({"name": name}))
}

#[tokio::test]
async fn a_stream_is_an_array_unless_asked_otherwise() {
    let (_upstream, gateway) = whole(vec![book("a"), book("b")]).await;
    let response = gateway.get(WATCH).await;
    assert_eq!(response.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(response.json(), json!([{"name": "a"}, {"name": "b"}]));
}

#[tokio::test]
async fn an_empty_stream_is_an_empty_array() {
    let (_upstream, gateway) = whole(vec![]).await;
    assert_eq!(gateway.get(WATCH).await.json(), json!([]));
}

#[tokio::test]
async fn lines_and_events_come_on_request() {
    let (_upstream, gateway) = whole(vec![book("a"), book("b")]).await;
    let lines = gateway.send("GET", WATCH, &[("accept", "application/x-ndjson")], "").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson; charset=utf-8");
    assert_eq!(lines.text(), "{\"name\":\"a\"}\n{\"name\":\"b\"}\n");

    let (_upstream, gateway) = whole(vec![book("a")]).await;
    let events = gateway.get(&format!("{WATCH}?$alt=sse")).await;
    assert_eq!(events.header("content-type"), "text/event-stream; charset=utf-8");
    assert_eq!(events.text(), "data: {\"name\":\"a\"}\n\n");
}

#[tokio::test]
async fn a_failure_before_the_first_message_is_a_status() {
    let (_upstream, gateway) = whole(vec![Err((5, "no such shelf"))]).await;
    let response = gateway.get(WATCH).await;
    assert_eq!(response.status, 404);
    assert_eq!(response.json()["error"]["message"], "no such shelf");
}

#[tokio::test]
async fn a_failure_in_mid_stream_is_the_last_element() {
    for (accept, shape) in [("application/json", "array"), ("application/x-ndjson", "lines")] {
        let (_upstream, gateway) = whole(vec![book("a"), Err((8, "slow down"))]).await;
        let response = gateway.send("GET", WATCH, &[("accept", accept)], "").await;
        assert_eq!(response.status, 200);
        let last: Value = match shape {
            "array" => response.json()[1].clone(),
            _ => serde_json::from_str(response.text().lines().last().unwrap()).unwrap(),
        };
        assert_eq!(last["error"]["status"], "RESOURCE_EXHAUSTED", "{last}");
        assert_eq!(last["error"]["code"], 429);
    }
}

#[tokio::test]
async fn a_message_is_sent_when_it_comes() {
    let (_upstream, gateway, sender) = fed().await;
    sender.send(book("a")).await.unwrap();
    let mut connection = gateway.connect().await;
    let mut body = connection.open("GET", WATCH, &[], "").await.into_body();
    // The upstream has said no more than this, and is not finished.
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "[{\"name\":\"a\"}");
    sender.send(book("b")).await.unwrap();
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(second, ",\n{\"name\":\"b\"}");
    drop(sender);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "]");
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_call() {
    let (_upstream, gateway, sender) = fed().await;
    sender.send(book("a")).await.unwrap();
    let mut connection = gateway.connect().await;
    let response = connection.open("GET", WATCH, &[], "").await;
    drop((response, connection));
    // The upstream hangs up on the story because the gateway hung up on it.
    sender.closed().await;
}

#[tokio::test]
async fn a_stream_ends_with_a_retryable_error_when_the_gateway_stops() {
    let (_upstream, gateway, sender) = fed().await;
    sender.send(book("a")).await.unwrap();
    let mut connection = gateway.connect().await;
    let mut body = connection.open("GET", WATCH, &[], "").await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    gateway.signal().await;
    let rest = body.collect().await.unwrap().to_bytes();
    let all: Value = serde_json::from_slice(&[&first[..], &rest[..]].concat()).unwrap();
    assert_eq!(all[1]["error"]["status"], "UNAVAILABLE");
    assert_eq!(all[1]["error"]["details"][0]["reason"], "SHUTTING_DOWN");
    assert_eq!(gateway.ended().await, Ok(()));
}

#[tokio::test]
async fn raw_bodies_stream_raw() {
    let (_upstream, gateway) = whole(vec![
        Ok(json!({"contentType": "text/csv", "data": "YSxi"})),
        Ok(json!({"contentType": "text/csv", "data": "Cg=="})),
    ])
    .await;
    let response = gateway.get("/v1/shelves/s/books/b:read").await;
    assert_eq!(response.header("content-type"), "text/csv");
    assert_eq!(response.text(), "a,b\n");
}
