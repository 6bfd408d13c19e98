//! Mutations: written down before they leave, once for each Idempotency-Key, whatever breaks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Scenario, Upstream},
    model::Role,
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::harness::{Answer, Database, Gateway, Keyring, Link, Scripted};

const BOOKS: &str = "/v1/shelves/s/books";
const IMPORT: &str = "/v1/shelves/s/books:import";
const ARCHIVE: &str = "/v1/shelves/s/books/b:archive";
const JSON: (&str, &str) = ("content-type", "application/json");
const PATIENCE: Duration = Duration::from_secs(20);

fn book() -> Answer {
    Answer::Message(json!({"name": "shelves/s/books/b", "title": "Emma"}))
}

async fn start(upstream: &Scripted, database: &Database) -> Gateway {
    let key = format!("secrets.key={}", "A".repeat(43) + "=");
    Gateway::library_with(upstream, &[&database.setting(), &key]).await
}

async fn entries(gateway: &Gateway, filter: &str) -> Vec<Value> {
    let target = format!("/v1/auditEntries?filter={}", filter.replace(' ', "%20").replace('"', "%22"));
    let response = gateway.get(&target).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["auditEntries"].as_array().cloned().unwrap_or_default()
}

/// Asks until the answer is as it should be.
async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

#[tokio::test]
async fn a_hundred_calls_with_one_key_are_one_call() {
    for database in Database::each().await {
        let upstream = Scripted::start(|_| book()).await;
        let gateway = start(&upstream, &database).await;
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let mut connection = gateway.connect().await;
            calls.spawn(async move {
                connection
                    .send("POST", ARCHIVE, &[JSON, ("idempotency-key", "k1")], r#"{"reason":"old"}"#)
                    .await
            });
        }
        let answers = calls.join_all().await;
        assert_eq!(upstream.calls().len(), 1);
        let done = answers.iter().filter(|answer| answer.status == 200).count();
        let busy: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert!(done >= 1, "{}", busy[0].text());
        for answer in busy {
            assert_eq!(answer.status, 409);
            assert_eq!(answer.json()["error"]["details"][0]["reason"], "IDEMPOTENCY_IN_PROGRESS");
            assert!(answer.headers.contains_key("retry-after"));
        }
        let again = gateway
            .send("POST", ARCHIVE, &[JSON, ("idempotency-key", "\"k1\"")], r#"{"reason":"old"}"#)
            .await;
        assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, "true"));
        assert_eq!(again.json()["title"], "Emma");
        assert_eq!(upstream.calls().len(), 1);
    }
}

#[tokio::test]
async fn a_key_means_one_request_and_survives_a_restart() {
    for database in Database::each().await {
        let upstream = Scripted::start(|call| match call.request["reason"].as_str() {
            Some("missing") => Answer::Refuse(5, "no such book", Vec::new()),
            _ => book(),
        })
        .await;
        let gateway = start(&upstream, &database).await;
        let post = async |gateway: &Gateway, key: &str, body: &str| {
            gateway.send("POST", ARCHIVE, &[JSON, ("idempotency-key", key)], body.to_owned()).await
        };
        assert_eq!(post(&gateway, "k", r#"{"reason":"old"}"#).await.status, 200);
        let other = post(&gateway, "k", r#"{"reason":"new"}"#).await;
        assert_eq!(
            (other.status.as_u16(), &other.json()["error"]["status"]),
            (422, &json!("INVALID_ARGUMENT"))
        );
        assert_eq!(other.json()["error"]["details"][0]["reason"], "IDEMPOTENCY_MISMATCH");
        assert_eq!(post(&gateway, "gone", r#"{"reason":"missing"}"#).await.status, 404);
        let calls = upstream.calls().len();

        gateway.signal().await;
        gateway.ended().await.unwrap();
        let gateway = start(&upstream, &database).await;
        let spaced = post(&gateway, "k", "{ \"reason\" : \"old\" }").await;
        assert_eq!((spaced.status.as_u16(), spaced.header("idempotency-replayed")), (200, "true"));
        let gone = post(&gateway, "gone", r#"{"reason":"missing"}"#).await;
        assert_eq!((gone.status.as_u16(), gone.header("idempotency-replayed")), (404, "true"));
        assert_eq!(gone.json()["error"]["message"], "no such book");
        assert_eq!(upstream.calls().len(), calls, "nothing was sent again");
    }
}

/// A client that makes its body anew from a map without an order was told that it asked for something else.
#[tokio::test]
async fn a_key_means_the_same_request_in_whatever_order_it_is_written() {
    let clock = Arc::new(SystemClock);
    let emulator = Emulator::start_on_loopback(Scenario::sample(clock.now()), clock).await.unwrap();
    let endpoint = emulator.endpoint(Upstream::Datastream).unwrap();
    let gateway = Gateway::start(&[format!("upstreams.datastream.endpoint={endpoint}")]).await;
    let stream = "/v1/projects/acme-data/locations/europe-west1/streams/shop-to-bigquery";
    let target = format!("{stream}?updateMask=displayName,labels");
    let patch = async |body: &'static str| {
        let answer = gateway.send("PATCH", &target, &[JSON, ("idempotency-key", "k")], body).await;
        (answer.status.as_u16(), answer.header("idempotency-replayed").to_owned())
    };
    let replayed = (200, "true".to_owned());
    assert_eq!(patch(r#"{"displayName":"x","labels":{"a":"1","b":"2"}}"#).await, (200, String::new()));
    assert_eq!(patch(r#"{"labels":{"b":"2","a":"1"},"display_name":"x"}"#).await, replayed);
    assert_eq!(patch(r#"{"displayName":"x","labels":{"a":"2","b":"1"}}"#).await.0, 422);
}

#[tokio::test]
async fn the_same_key_of_another_principal_is_another_key() {
    for database in Database::each().await {
        let (upstream, ring) = (Scripted::start(|_| book()).await, Keyring::of(database).await);
        let settings = ring.settings();
        let gateway = Gateway::library_with(&upstream, &settings.each_ref().map(String::as_str)).await;
        let (_, alice) = ring.make("alice", Role::Editor, &["shelves/*"]).await;
        let (_, again) = ring.make("alice", Role::Editor, &["shelves/*"]).await;
        let (_, bob) = ring.make("bob", Role::Editor, &["shelves/*"]).await;
        let post = async |credential: &str, body: &str| {
            let headers = [JSON, ("idempotency-key", "k"), ("x-goog-api-key", credential)];
            let answer = gateway.send("POST", ARCHIVE, &headers, body.to_owned()).await;
            (answer.status.as_u16(), answer.header("idempotency-replayed").to_owned())
        };
        assert_eq!(post(&alice, r#"{"reason":"old"}"#).await, (200, String::new()));
        assert_eq!(post(&bob, r#"{"reason":"new"}"#).await, (200, String::new()));
        assert_eq!(
            post(&again, r#"{"reason":"old"}"#).await,
            (200, "true".to_owned()),
            "a rotated credential"
        );
        assert_eq!(post(&bob, r#"{"reason":"old"}"#).await.0, 422);
        assert_eq!(upstream.calls().len(), 2);
    }
}

#[tokio::test]
async fn what_is_not_definite_is_not_kept() {
    let upstream = Scripted::start(|call| match call.request["reason"].as_str() {
        Some("denied") => Answer::Refuse(7, "not you", Vec::new()),
        Some("lost") => Answer::Refuse(14, "gone away", Vec::new()),
        _ => book(),
    })
    .await;
    let gateway = start(&upstream, &Database::sqlite()).await;
    let post = async |key: &str, body: &str| {
        gateway.send("POST", ARCHIVE, &[JSON, ("idempotency-key", key)], body.to_owned()).await
    };
    for calls in 1..=2 {
        assert_eq!(post("a", r#"{"reason":"denied"}"#).await.status, 403);
        assert_eq!(upstream.calls().len(), calls, "a refusal is asked again");
    }
    assert_eq!(post("b", r#"{"reason":"lost"}"#).await.status, 503);
    let unknown = post("b", r#"{"reason":"lost"}"#).await;
    assert_eq!(unknown.json()["error"]["details"][0]["reason"], "OUTCOME_UNKNOWN");
    assert_eq!((unknown.status.as_u16(), upstream.calls().len()), (409, 3), "and nothing is sent twice");
}

#[tokio::test]
async fn an_upstream_that_knows_request_ids_is_given_one() {
    let upstream = Scripted::start(|_| book()).await;
    let gateway = start(&upstream, &Database::sqlite()).await;
    let post = async |headers: &[(&str, &str)], query: &str| {
        gateway.send("POST", &format!("{BOOKS}?bookId=b{query}"), headers, "{}").await;
        upstream.last().request["requestId"].as_str().unwrap_or_default().to_owned()
    };
    let made = post(&[JSON, ("idempotency-key", "k")], "").await;
    assert_eq!((made.len(), &made[14..15]), (36, "5"), "{made}");
    assert_ne!(post(&[JSON, ("idempotency-key", "l")], "").await, made);
    assert_eq!(post(&[JSON, ("idempotency-key", "m")], "&requestId=mine").await, "mine");
    assert_eq!(post(&[JSON], "").await, "");
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_the_outcome() {
    for database in Database::each().await {
        let (answers, arrived) = (Arc::new(Mutex::new(None)), Arc::new(tokio::sync::Notify::new()));
        let (kept, told) = (answers.clone(), arrived.clone());
        let upstream = Scripted::start(move |_| {
            let (sender, receiver) = mpsc::channel(1);
            *kept.lock().unwrap() = Some(sender);
            told.notify_one();
            Answer::Stream(receiver)
        })
        .await;
        let gateway = start(&upstream, &database).await;
        let mut connection = gateway.connect().await;
        let mut left = JoinSet::new();
        left.spawn(async move {
            connection.send("POST", ARCHIVE, &[JSON, ("x-request-id", "left")], "{}").await;
        });
        arrived.notified().await;
        left.shutdown().await;
        let answer: mpsc::Sender<_> = answers.lock().unwrap().take().unwrap();
        answer.send(Ok(json!({"name": "shelves/s/books/b"}))).await.unwrap();
        drop(answer);
        let entry = eventually("the entry of the request", async || {
            entries(&gateway, "requestId = left").await.into_iter().next()
        })
        .await;
        assert_eq!((&entry["httpStatus"], &entry["result"]), (&json!(200), &json!("SUCCESS")));
    }
}

/// An upstream that answers a call with what the story sends, and says when it was called.
async fn told_by_hand() -> (Scripted, Arc<Mutex<Vec<Hand>>>, Arc<tokio::sync::Notify>) {
    let (hands, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tokio::sync::Notify::new()));
    let (kept, told) = (hands.clone(), arrived.clone());
    let upstream = Scripted::start(move |_| {
        let (sender, receiver) = mpsc::channel(4);
        kept.lock().unwrap().push(sender);
        told.notify_one();
        Answer::Stream(receiver)
    })
    .await;
    (upstream, hands, arrived)
}

type Hand = mpsc::Sender<Result<Value, (i32, &'static str)>>;

#[tokio::test]
async fn a_stream_that_changes_something_is_written_down_and_kept_for_its_key() {
    for database in Database::each().await {
        let (upstream, hands, arrived) = told_by_hand().await;
        let gateway = start(&upstream, &database).await;
        let import = async |key: &str, id: &str, filter: &str| {
            let headers = [JSON, ("idempotency-key", key), ("x-request-id", id)];
            let body = json!({"filter": filter}).to_string();
            gateway.connect().await.send("POST", IMPORT, &headers, body).await
        };
        let feed = async |messages: Vec<Result<Value, (i32, &'static str)>>| {
            arrived.notified().await;
            let hand = hands.lock().unwrap().pop().unwrap();
            for message in messages {
                hand.send(message).await.unwrap();
            }
        };
        let one = || Ok(json!({"name": "shelves/s/books/one"}));
        let (answer, ()) = tokio::join!(import("k", "whole", "all"), feed(vec![one(), one()]));
        assert_eq!((answer.status.as_u16(), answer.json().as_array().unwrap().len()), (200, 2));
        let whole = entries(&gateway, "requestId = whole").await;
        assert_eq!((whole.len(), &whole[0]["result"]), (1, &json!("SUCCESS")));
        assert_eq!(whole[0]["method"], "acme.v1.Library.ImportBooks");

        let again = import("k", "again", "all").await;
        assert_eq!((again.json(), again.header("idempotency-replayed")), (answer.json(), "true"));
        import("k", "other", "some").await.refused(422, "IDEMPOTENCY_MISMATCH");
        assert_eq!(upstream.calls().len(), 1);

        // What failed on its way is told as it went, and is as definite as its code.
        let (failed, ()) = tokio::join!(import("f", "failed", "all"), feed(vec![one(), Err((9, "full"))]));
        assert_eq!(
            (failed.status.as_u16(), &failed.json()[1]["error"]["status"]),
            (200, &json!("FAILED_PRECONDITION"))
        );
        assert_eq!(import("f", "failed-again", "all").await.json(), failed.json());
        let entry = entries(&gateway, "requestId = failed").await.remove(0);
        assert_eq!((&entry["httpStatus"], &entry["grpcCode"]), (&json!(200), &json!(9)));
        let (lost, ()) = tokio::join!(import("l", "lost", "all"), feed(vec![one(), Err((14, "gone"))]));
        assert_eq!(lost.json()[1]["error"]["status"], "UNAVAILABLE");
        import("l", "lost-again", "all").await.refused(409, "OUTCOME_UNKNOWN");
        // One that was refused before it began has the status of its refusal, again and again.
        let (refused, ()) = tokio::join!(import("r", "refused", "all"), feed(vec![Err((5, "no shelf"))]));
        assert_eq!(refused.status, 404);
        assert_eq!(import("r", "refused-again", "all").await.status, 404);
        assert_eq!(entries(&gateway, "requestId = refused").await[0]["httpStatus"], 404);
        assert_eq!(upstream.calls().len(), 4);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_does_not_stop_the_outcome() {
    for database in Database::each().await {
        let (upstream, hands, arrived) = told_by_hand().await;
        let gateway = start(&upstream, &database).await;
        let mut connection = gateway.connect().await;
        let mut left = JoinSet::new();
        left.spawn(async move {
            connection.send("POST", IMPORT, &[JSON, ("x-request-id", "left")], "{}").await;
        });
        arrived.notified().await;
        let hand = hands.lock().unwrap().pop().unwrap();
        hand.send(Ok(json!({"name": "shelves/s/books/one"}))).await.unwrap();
        left.shutdown().await;
        hand.send(Ok(json!({"name": "shelves/s/books/two"}))).await.unwrap();
        drop(hand);
        let entry = eventually("the entry of the request", async || {
            entries(&gateway, "requestId = left").await.into_iter().next()
        })
        .await;
        assert_eq!((&entry["httpStatus"], &entry["result"]), (&json!(200), &json!("SUCCESS")));
    }
}

#[tokio::test]
async fn a_key_keeps_what_is_our_own_from_being_done_twice() {
    for database in Database::each().await {
        let upstream = Scripted::start(|_| book()).await;
        let gateway = start(&upstream, &database).await;
        let send = async |verb: &str, target: &str, key: &str, body: &str| {
            gateway.send(verb, target, &[JSON, ("idempotency-key", key)], body.to_owned()).await
        };
        for (target, body, laid_out, other, secret) in [
            (
                "/v1/apiKeys",
                r#"{"principal":"bob","role":"viewer","resources":["projects/p"]}"#,
                r#"{"role": "viewer", "principal": "bob", "resources": ["projects/p"]}"#,
                r#"{"principal":"bob","role":"admin","resources":["projects/p"]}"#,
                "key",
            ),
            (
                "/v1/projects/p/webhookEndpoints",
                r#"{"url":"https://hooks.example.com/","eventTypes":["operation.*"]}"#,
                r#"{"eventTypes": ["operation.*"], "url": "https://hooks.example.com/"}"#,
                r#"{"url":"https://hooks.example.com/other","eventTypes":["operation.*"]}"#,
                "secret",
            ),
        ] {
            let made = send("POST", target, target, body).await;
            assert_eq!(
                (made.status.as_u16(), made.header("idempotency-replayed")),
                (200, ""),
                "{}",
                made.text()
            );
            let mut kept = made.json();
            assert!(kept.as_object_mut().unwrap().remove(secret).is_some(), "{kept}");
            let again = send("POST", target, target, laid_out).await;
            assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (200, "true"));
            assert_eq!(again.json(), kept, "as it was, without what is shown once");
            assert_eq!(again.header("cache-control"), "no-store");
            send("POST", target, target, other).await.refused(422, "IDEMPOTENCY_MISMATCH");
            let listed = gateway.get(target).await.json();
            let count = listed.as_object().unwrap().values().find_map(Value::as_array).unwrap().len();
            assert_eq!(count, 1, "{listed}");

            let one = format!("/v1/{}", kept["name"].as_str().unwrap());
            let gone = send("DELETE", &one, &one, "").await;
            let repeated = send("DELETE", &one, &one, "").await;
            assert_eq!((gone.status.as_u16(), repeated.json()), (200, gone.json()));
            assert_eq!(repeated.header("idempotency-replayed"), "true");
        }
        // A refusal of ours changed nothing, and is not kept.
        for _ in 0..2 {
            let refused = send("DELETE", "/v1/projects/p/operations/none", "d", "").await;
            assert_eq!((refused.status.as_u16(), refused.header("idempotency-replayed")), (404, ""));
        }
        send("POST", "/v1/apiKeys", "\"", "{}").await.refused(400, "INVALID_FIELD");
    }
}

async fn behind_a_link() -> Option<(Database, Link)> {
    Some(Database::postgres().await?.behind().await)
}

#[tokio::test]
async fn without_the_database_nothing_is_sent_and_reads_go_on() {
    let Some((database, link)) = behind_a_link().await else { return };
    let upstream = Scripted::start(|_| book()).await;
    let gateway = start(&upstream, &database).await;
    assert_eq!(gateway.post(ARCHIVE, "{}").await.status, 200);
    link.cut();
    for _ in 0..3 {
        let refused = gateway.post(ARCHIVE, "{}").await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(refused.json()["error"]["details"][0]["reason"], "AUDIT_UNAVAILABLE");
    }
    assert_eq!(upstream.calls().len(), 1, "nothing was sent");
    assert_eq!(gateway.get("/v1/shelves/s/books/b").await.status, 200, "reads go on");
    assert_eq!(gateway.get("/readyz").await.json()["store"], "AWAY");
    link.mend();
    eventually("mutations again", async || (gateway.post(ARCHIVE, "{}").await.status == 200).then_some(()))
        .await;
    eventually("ready again", async || (gateway.get("/readyz").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_is_answered_and_written_later() {
    let Some((database, link)) = behind_a_link().await else { return };
    let link = Arc::new(link);
    let cut = link.clone();
    let upstream = Scripted::start(move |_| {
        cut.cut();
        book()
    })
    .await;
    let gateway = start(&upstream, &database).await;
    let headers = [JSON, ("x-request-id", "late"), ("idempotency-key", "k")];
    let answer = gateway.send("POST", ARCHIVE, &headers, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.header("causeway-audit")), (200, "deferred"));
    link.mend();
    let entry = eventually("the entry of the request", async || {
        let answer = gateway.get("/v1/auditEntries?filter=requestId%3Dlate").await;
        (answer.status == 200)
            .then(|| answer.json()["auditEntries"][0].clone())
            .filter(|entry| !entry.is_null())
    })
    .await;
    assert_eq!((&entry["httpStatus"], &entry["result"]), (&json!(200), &json!("SUCCESS")));
    let replayed = gateway.send("POST", ARCHIVE, &headers, "{}").await;
    assert_eq!((replayed.status.as_u16(), replayed.header("idempotency-replayed")), (200, "true"));
}
