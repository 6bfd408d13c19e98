//! Stories about the overview of a project.

use std::time::Duration;

use causeway::model::Role;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Answer, Call, Gateway, Keyring, Scripted};

const OVERVIEW: &str = "/v1/projects/p:overview";

/// Everything behind the gateway in one: two locations, a stream in each, objects in those.
async fn company(slow: &'static str) -> Scripted {
    Scripted::start(move |call: &Call| {
        let rpc = call.method.rsplit('.').next().unwrap();
        if rpc == slow {
            return Answer::Never;
        }
        let parent = call.request["parent"].as_str().or(call.request["name"].as_str()).unwrap().to_owned();
        Answer::Message(match rpc {
            "ListLocations" => {
                json!({"locations": [{"name": format!("{parent}/locations/us")}, {"name": format!("{parent}/locations/eu")}]})
            }
            "ListStreams" => json!({"streams": [
                {"name": format!("{parent}/streams/a"), "state": "RUNNING"},
                {"name": format!("{parent}/streams/b"), "state": "PAUSED"},
            ]}),
            "ListStreamObjects" => json!({"streamObjects": [
                {"name": format!("{parent}/objects/x"), "backfillJob": {"state": "ACTIVE"}},
                {"name": format!("{parent}/objects/y")},
            ]}),
            "ListConnections" => json!({"connections": [
                {"name": format!("{parent}/connections/a"), "cloudResource": {}},
                {"name": format!("{parent}/connections/b"), "cloudSql": {"database": "d"}},
                {"name": format!("{parent}/connections/c")},
            ]}),
            other => panic!("{other}"),
        })
    })
    .await
}

async fn before(upstream: &Scripted, more: &[String]) -> Gateway {
    let endpoint = |key: &str| format!("upstreams.{key}.endpoint=http://{}", upstream.address);
    let mut settings = vec![
        endpoint("bigqueryconnection"),
        endpoint("datastream"),
        "upstreams.bigqueryconnection.locations=[\"us\", \"eu\", \"asia\"]".to_owned(),
    ];
    settings.extend_from_slice(more);
    Gateway::start(&settings).await
}

fn without_time(mut page: Value) -> Value {
    for section in ["connections", "streams", "streamObjects", "operations", "tasks"] {
        let told = page[section].as_object_mut().unwrap_or_else(|| panic!("{section}")).remove("asOf");
        assert!(told.unwrap().as_str().unwrap().ends_with('Z'));
    }
    page
}

#[tokio::test]
async fn everything_of_a_project_is_counted() {
    let upstream = company("").await;
    let gateway = before(&upstream, &[]).await;
    let response = gateway.get(OVERVIEW).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(
        without_time(response.json()),
        json!({
            "name": "projects/p",
            "connections": {"status": "OK", "total": 9, "byType": {"cloudResource": 3, "cloudSql": 3, "other": 3}},
            "streams": {"status": "OK", "total": 4, "byState": {"RUNNING": 2, "PAUSED": 2}},
            "streamObjects": {"status": "OK", "total": 8, "byState": {"ACTIVE": 4, "STATE_UNSPECIFIED": 4}},
            "operations": {"status": "OK", "total": 0, "byState": {}},
            "tasks": {"status": "OK", "total": 0, "byPhase": {}},
        })
    );
    let calls = upstream.calls().len();
    gateway.get(OVERVIEW).await;
    assert_eq!(upstream.calls().len(), calls, "the second look is at kept pages");
    for target in ["/v1/projects/-:overview", "/v1/projects/p:overview?pageSize=3"] {
        assert_eq!(gateway.get(target).await.status, 400, "{target}");
    }
}

/// Kept pages cost no time to wait for: nothing stopped the one who counted, and its thread was everybody's.
#[tokio::test]
async fn a_list_without_an_end_is_counted_to_some_page() {
    let upstream = Scripted::start(|_: &Call| Answer::Message(json!({"nextPageToken": "again"}))).await;
    let endpoint = format!("upstreams.bigqueryconnection.endpoint=http://{}", upstream.address);
    let locations = "upstreams.bigqueryconnection.locations=[\"us\"]".to_owned();
    let gateway = Gateway::start(&[endpoint, locations]).await;
    let page = gateway.send("GET", OVERVIEW, &[("x-server-timeout", "20")], "").await.json();
    assert_eq!(
        (&page["connections"]["total"], &page["connections"]["status"]),
        (&json!(0), &json!("PARTIAL"))
    );
    assert_eq!(page["connections"]["unreachable"], Value::Null, "all of it answered");
}

#[tokio::test]
async fn a_system_that_hangs_costs_its_section() {
    let upstream = company("ListConnections").await;
    let gateway = before(&upstream, &[]).await;
    let started = Instant::now();
    let page = gateway.send("GET", OVERVIEW, &[("x-server-timeout", "0.8")], "").await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    let page = page.json();
    assert_eq!(page["connections"]["status"], "UNAVAILABLE", "{page}");
    assert!(page["connections"]["error"].as_str().unwrap().contains("projects/p/locations/eu"), "{page}");
    assert_eq!((&page["streams"]["status"], &page["streams"]["total"]), (&json!("OK"), &json!(4)));

    let upstream = company("ListLocations").await;
    let gateway = before(&upstream, &[]).await;
    let page = gateway.send("GET", OVERVIEW, &[("x-server-timeout", "0.8")], "").await.json();
    assert_eq!(
        (&page["streams"]["status"], &page["connections"]["status"]),
        (&json!("UNAVAILABLE"), &json!("OK"))
    );
    assert!(!page["streams"]["error"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_answer_anywhere_is_unavailable_and_not_nothing() {
    // Both locations refuse, or one of the two.
    for (refusing, status) in [("/locations/", "UNAVAILABLE"), ("/locations/eu", "PARTIAL")] {
        let upstream = Scripted::start(move |call: &Call| {
            let rpc = call.method.rsplit('.').next().unwrap();
            let parent = call.request["parent"].as_str().or(call.request["name"].as_str()).unwrap();
            Answer::Message(match rpc {
                "ListLocations" => {
                    json!({"locations": [{"name": format!("{parent}/locations/us")}, {"name": format!("{parent}/locations/eu")}]})
                }
                "ListStreams" if parent.contains(refusing) => return Answer::Refuse(13, "broken", Vec::new()),
                "ListStreams" => json!({"streams": [{"name": format!("{parent}/streams/a"), "state": "RUNNING"}]}),
                _ => json!({}),
            })
        })
        .await;
        let gateway = before(&upstream, &[]).await;
        let page = gateway.get(OVERVIEW).await.json();
        let streams = &page["streams"];
        assert_eq!(streams["status"], status, "{page}");
        if status == "PARTIAL" {
            assert_eq!(
                (&streams["total"], &streams["unreachable"]),
                (&json!(1), &json!(["projects/p/locations/eu"]))
            );
        } else {
            // Nothing was counted, so there is no number of it.
            assert_eq!((&streams["total"], &streams["byState"]), (&Value::Null, &Value::Null), "{page}");
            let told = streams["error"].as_str().unwrap();
            assert!(
                told.contains("projects/p/locations/eu") && told.contains("projects/p/locations/us"),
                "{told}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_is_told_of_what_they_may_not_see() {
    let (upstream, ring) = (company("").await, Keyring::new().await);
    let gateway = before(&upstream, &ring.settings()).await;
    let (_, eu) = ring.make("eu", Role::Viewer, &["projects/p/locations/eu"]).await;
    let page = gateway.send("GET", OVERVIEW, &[("x-goog-api-key", &eu)], "").await.json();
    assert_eq!((&page["connections"]["total"], &page["streams"]["total"]), (&json!(3), &json!(2)));
    assert_eq!(page["operations"]["status"], "DENIED", "{page}");
    let (_, one) = ring.make("one", Role::Viewer, &["projects/p/locations/us/streams/a"]).await;
    let page = gateway.send("GET", OVERVIEW, &[("x-goog-api-key", &one)], "").await.json();
    assert_eq!((&page["streams"]["status"], &page["streamObjects"]["total"]), (&json!("DENIED"), &json!(2)));
    let (_, other) = ring.make("other", Role::Admin, &["projects/q"]).await;
    gateway.send("GET", OVERVIEW, &[("x-goog-api-key", &other)], "").await.refused(403, "PERMISSION_DENIED");
}

#[tokio::test]
async fn an_upstream_without_a_section_says_so() {
    let gateway = Gateway::start(&[]).await;
    let page = gateway.get(OVERVIEW).await.json();
    assert_eq!(page["streams"]["status"], "NOT_CONFIGURED", "{page}");
    assert_eq!(page["operations"]["status"], "OK");
}

#[tokio::test]
async fn the_pages_of_a_project_are_forgotten_when_somebody_says_so() {
    let (upstream, ring) = (company("").await, Keyring::new().await);
    let gateway = before(&upstream, &ring.settings()).await;
    let (_, operator) = ring.make("operator", Role::Operator, &["projects/p"]).await;
    let (_, viewer) = ring.make("viewer", Role::Viewer, &["*"]).await;
    let (own, other) = ("/v1/projects/p/locations/us/streams", "/v1/projects/q/locations/us/streams");
    let read = async |target: &str| {
        let response = gateway.send("GET", target, &[("x-goog-api-key", &viewer)], "").await;
        response.header("cache-status").contains("hit")
    };
    for target in [own, other] {
        assert!(!read(target).await);
        assert!(read(target).await);
    }
    let forget = async |key: &str, project: &str| {
        gateway.send("DELETE", &format!("/v1/projects/{project}/cache"), &[("x-goog-api-key", key)], "").await
    };
    forget(&viewer, "p").await.refused(403, "PERMISSION_DENIED");
    forget(&operator, "q").await.refused(403, "PERMISSION_DENIED");
    let done = forget(&operator, "p").await;
    assert_eq!((done.status.as_u16(), done.text().as_str()), (200, "{}"));
    assert!(!read(own).await);
    assert!(read(other).await);
}
