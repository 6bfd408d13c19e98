//! What the owner of an endpoint does with it, and what is refused.

use causeway::model::Role;
use serde_json::{Value, json};

use super::{ENDPOINTS, Receiver, believed, create, gateway, name, until};
use crate::harness::{Database, Keyring};

#[tokio::test]
async fn a_ping_goes_round() {
    for database in Database::each().await {
        let (gateway, receiver) = (gateway(&[database.setting()]).await, Receiver::listen().await);
        let made = create(&gateway, &json!({"url": receiver.url(), "headers": {"X-Token": "t"}})).await;
        assert_eq!(
            (made.status.as_u16(), made.header("cache-control")),
            (200, "no-store"),
            "{}",
            made.text()
        );
        let made = made.json();
        let secret = made["secret"].as_str().unwrap();
        let shown = gateway.get(&name(&made)).await;
        assert!(!shown.text().contains(secret), "the secret is shown once");
        assert_eq!(
            (&shown.json()["headerNames"], &shown.json()["state"]),
            (&json!(["x-token"]), &json!("ENABLED"))
        );
        let ping = gateway.post(&format!("{}:ping", name(&made)), "").await;
        assert_eq!(ping.status, 200, "{}", ping.text());
        let heard = receiver.hears(1).await.remove(0);
        let (headers, body) = (&heard.0, believed(secret, &heard));
        assert_eq!(
            (&headers["x-token"], &headers["content-type"]),
            (&"t".parse().unwrap(), &"application/json".parse().unwrap())
        );
        assert_eq!((&body["type"], &body["data"]["webhookEndpoint"]), (&json!("ping"), &made["name"]));
        let delivery = format!("/v1/{}", ping.json()["name"].as_str().unwrap());
        let delivery_shown = until(&gateway, &delivery, |shown| shown["state"] == "SUCCEEDED").await;
        assert_eq!(
            (&delivery_shown["attemptCount"], &delivery_shown["lastStatus"]),
            (&json!(1), &json!(204))
        );
        let attempts = gateway.get(&format!("{delivery}/attempts")).await.json();
        assert_eq!(attempts["attempts"][0]["status"], 204);
        let event = gateway.get(&format!("/v1/{}", delivery_shown["event"].as_str().unwrap())).await.json();
        assert_eq!(event["type"], "ping");
        let events = gateway.get("/v1/projects/acme/events?filter=type%3D%22ping%22").await.json();
        assert_eq!(events["events"], json!([event]));
        gateway.post(&format!("{delivery}:resend"), "{}").await;
        let heard = receiver.hears(2).await;
        assert_eq!(heard[0].0["webhook-id"], heard[1].0["webhook-id"]);
        let listed = gateway.get(&format!("{}/deliveries", name(&made))).await.json();
        assert_eq!(listed["deliveries"].as_array().unwrap().len(), 1);
    }
}

/// A copy of the records, made to try something out, called the webhooks of the original.
#[tokio::test]
async fn where_nothing_is_to_be_delivered_it_waits() {
    for database in Database::each().await {
        let receiver = Receiver::listen().await;
        let quiet = gateway(&[database.setting(), "webhooks.deliver=false".to_owned()]).await;
        let made = create(&quiet, &json!({"url": receiver.url()})).await.json();
        assert_eq!(quiet.post(&format!("{}:ping", name(&made)), "").await.status, 200);
        // As long as another takes to call.
        let (other, heard_there) = (gateway(&[]).await, Receiver::listen().await);
        let there = create(&other, &json!({"url": heard_there.url()})).await.json();
        other.post(&format!("{}:ping", name(&there)), "").await;
        heard_there.hears(1).await;
        quiet.signal().await;
        quiet.ended().await.expect("it ends well");
        assert!(receiver.heard().is_empty());
        let _loud = gateway(&[database.setting()]).await;
        let heard = receiver.hears(1).await.remove(0);
        assert_eq!(believed(made["secret"].as_str().unwrap(), &heard)["type"], "ping");
    }
}

#[tokio::test]
async fn an_endpoint_is_changed_and_goes() {
    let (gateway, receiver) = (gateway(&[]).await, Receiver::listen().await);
    let made =
        create(&gateway, &json!({"url": receiver.url(), "eventTypes": ["operation.*"], "description": "a"}))
            .await
            .json();
    let path = name(&made);
    let patched = gateway
        .send("PATCH", &path, &[], r#"{"description": "b", "maxDeliveriesPerSecond": 5}"#)
        .await
        .json();
    assert_eq!((&patched["description"], &patched["eventTypes"]), (&json!("b"), &json!(["operation.*"])));
    let target = format!("{path}?updateMask=event_types,maxDeliveriesPerSecond");
    let masked = gateway.send("PATCH", &target, &[], r#"{"description": "c"}"#).await.json();
    assert_eq!((&masked["description"], &masked["eventTypes"]), (&json!("b"), &json!([])));
    assert!(masked.get("maxDeliveriesPerSecond").is_none());
    let disabled = gateway.send("PATCH", &path, &[], r#"{"state": "DISABLED"}"#).await.json();
    assert_eq!(disabled["disabledReason"], "disabled by its owner");
    assert_eq!(
        gateway.post(&format!("{path}:ping"), "").await.json()["error"]["status"],
        "FAILED_PRECONDITION"
    );
    assert_eq!(gateway.post(&format!("{path}:enable"), "").await.json()["state"], "ENABLED");
    let rotated = gateway.post(&format!("{path}:rotateSecret"), r#"{"overlap": "0s"}"#).await.json();
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(gateway.get(ENDPOINTS).await.json()["webhookEndpoints"].as_array().unwrap().len(), 1);
    assert_eq!(gateway.send("DELETE", &path, &[], "").await.text(), "{}");
    gateway.get(&path).await.refused(404, "RESOURCE_NOT_FOUND");
    gateway.get("/v1/projects/acme/events/evt_1").await.refused(404, "RESOURCE_NOT_FOUND");
}

/// It was refused as a field that there is not.
#[tokio::test]
async fn a_star_as_mask_replaces_what_can_be_replaced() {
    let (gateway, receiver) = (gateway(&[]).await, Receiver::listen().await);
    let wish = json!({
        "url": receiver.url(), "eventTypes": ["operation.*"], "description": "a", "kinds": ["FLYTE_TASK"],
        "maxDeliveriesPerSecond": 5, "headers": {"x-token": "t"},
    });
    let made = create(&gateway, &wish).await.json();
    let path = name(&made);
    let replace = async |mask: &str, body: &Value| {
        gateway.send("PATCH", &format!("{path}?updateMask={mask}"), &[], body.to_string()).await
    };
    let mut shown = gateway.get(&path).await.json();
    let same = replace("*", &shown).await.json();
    shown["updateTime"] = same["updateTime"].clone();
    assert_eq!(same, shown, "what was answered may be sent back");
    let moved = format!("{}?to=elsewhere", receiver.url());
    let replaced = replace("*", &json!({"url": moved, "eventTypes": ["ping"]})).await.json();
    assert_eq!((&replaced["url"], &replaced["eventTypes"]), (&json!(moved), &json!(["ping"])));
    for gone in ["description", "kinds", "maxDeliveriesPerSecond"] {
        assert!(replaced.get(gone).is_none(), "{replaced}");
    }
    assert_eq!((&replaced["name"], &replaced["createTime"]), (&made["name"], &made["createTime"]));
    assert_eq!(replaced["headerNames"], json!(["x-token"]), "nobody could have sent it back");
    gateway.post(&format!("{path}:ping"), "").await;
    let heard = receiver.hears(1).await.remove(0);
    assert_eq!(believed(made["secret"].as_str().unwrap(), &heard)["type"], "ping", "the secret is the same");
    assert_eq!(heard.0["x-token"], "t");
    let disabled = replace("state", &json!({"state": "DISABLED"})).await.json();
    assert_eq!(disabled["state"], "DISABLED");
    let bare = replace("*", &json!({"url": moved, "headers": {}})).await.json();
    assert_eq!((&bare["state"], bare.get("headerNames")), (&json!("DISABLED"), None));
    let refused = replace("*", &json!({"description": "b"})).await.refused(400, "INVALID_FIELD");
    assert!(refused.contains("url"), "{refused}");
    let refused = replace("*,url", &json!({"url": moved})).await.refused(400, "INVALID_FIELD");
    assert!(refused.contains("alone"), "{refused}");
}

/// Whoever could change where events go had the credentials sent there that nobody is shown.
#[tokio::test]
async fn headers_go_to_no_host_that_they_were_not_given_for() {
    let (gateway, one, other) = (gateway(&[]).await, Receiver::listen().await, Receiver::listen().await);
    let wish = json!({"url": one.url(), "eventTypes": ["operation.*"], "headers": {"x-token": "s3cret"}});
    let path = name(&create(&gateway, &wish).await.json());
    let patch = async |body: Value| gateway.send("PATCH", &path, &[], body.to_string()).await;
    let refused = patch(json!({"url": other.url()})).await.refused(400, "INVALID_FIELD");
    assert!(refused.contains("headers"), "{refused}");
    assert_eq!(patch(json!({"url": format!("{}/elsewhere", one.url())})).await.status, 200);
    assert_eq!(patch(json!({"url": other.url(), "headers": {}})).await.status, 200);
    assert_eq!(patch(json!({"url": one.url()})).await.status, 200, "there are none left");
}

/// Where events go could be changed without a trace of where to.
#[tokio::test]
async fn the_log_says_where_events_go_and_no_secret() {
    let (gateway, receiver) = (gateway(&[]).await, Receiver::listen().await);
    let url = format!("{}?token=kanarienvogel", receiver.url());
    let wish = json!({"url": url, "eventTypes": ["operation.*"], "headers": {"x-token": "kanarienvogel"}});
    let path = name(&create(&gateway, &wish).await.json());
    let target = format!("{path}?updateMask=kinds");
    assert_eq!(gateway.send("PATCH", &target, &[], r#"{"kinds": ["FLYTE_TASK"]}"#).await.status, 200);
    let entries = gateway.get("/v1/auditEntries").await.json();
    assert!(!entries.to_string().contains("kanarienvogel"));
    let asked = |verb: &str| {
        let mut entries = entries["auditEntries"].as_array().unwrap().iter();
        let entry = entries.find(|entry| entry["method"].as_str().unwrap().starts_with(verb));
        entry.unwrap()["request"].clone()
    };
    let mut kept = asked("POST");
    let digest = kept.as_object_mut().unwrap().remove("urlDigest");
    assert_eq!(digest.unwrap().as_str().unwrap().len(), 16);
    let place = receiver.url().trim_end_matches("/hook").to_owned();
    assert_eq!(kept, json!({"url": place, "eventTypes": ["operation.*"], "headerNames": ["x-token"]}));
    assert_eq!(asked("PATCH"), json!({"kinds": ["FLYTE_TASK"], "updateMask": "kinds"}));
}

/// Which of our own fields were wanted was judged, and then all were answered; of what was given twice, the last was taken.
#[tokio::test]
async fn our_own_answers_follow_what_the_query_says() {
    let (gateway, receiver) = (gateway(&[]).await, Receiver::listen().await);
    let made = create(&gateway, &json!({"url": receiver.url()})).await.json();
    let named = gateway.get(&format!("{ENDPOINTS}?$fields=webhookEndpoints/name")).await.json();
    assert_eq!(named, json!({"webhookEndpoints": [{"name": made["name"]}]}));
    let pretty = gateway.get(&format!("{}?fields=state&prettyPrint=true", name(&made))).await.text();
    assert_eq!(pretty, "{\n  \"state\": \"ENABLED\"\n}");
    for wrong in ["pageSize=1&pageSize=2", "alt=proto", "fields=("] {
        assert_eq!(gateway.get(&format!("{ENDPOINTS}?{wrong}")).await.status, 400, "{wrong}");
    }
    let twice = format!(r#"{{"url": "https://example.com/", "url": {:?}}}"#, receiver.url());
    let refused = gateway.post(ENDPOINTS, &twice).await;
    assert_eq!(
        (refused.status.as_u16(), refused.fields()),
        (400, vec!["url".to_owned()]),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_field() {
    let (gateway, receiver) = (gateway(&[]).await, Receiver::listen().await);
    let good = receiver.url();
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": "nowhere"}), "url"),
        (json!({"url": "https://10.0.0.1/"}), "url"),
        (json!({"url": "https://u:p@example.com/"}), "url"),
        (json!({"url": 7}), "url"),
        (json!({"url": good, "eventTypes": ["operation.succeeded", "operation.done"]}), "eventTypes[1]"),
        (json!({"url": good, "eventTypes": "x"}), "eventTypes"),
        (json!({"url": good, "secret": "whsec_c2hvcnQ="}), "secret"),
        (json!({"url": good, "headers": {"X-A": "b\r\nX-C: d"}}), "headers.X-A"),
        (json!({"url": good, "headers": {"Webhook-Id": "1"}}), "headers.Webhook-Id"),
        (json!({"url": good, "headers": {"Transfer-Encoding": "chunked"}}), "headers.Transfer-Encoding"),
        (json!({"url": good, "maxDeliveriesPerSecond": 0}), "maxDeliveriesPerSecond"),
        (json!({"url": good, "maxConcurrentDeliveries": "many"}), "maxConcurrentDeliveries"),
        (json!({"url": good, "urll": ""}), "urll"),
        // Nobody would ever have heard of anything.
        (json!({"url": good, "kinds": ["FLYTE_TASK", "LRO"]}), "kinds[1]"),
        (json!({"url": good, "upstreams": ["data-stream"]}), "upstreams[0]"),
    ] {
        let refused = create(&gateway, &body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.fields()),
            (400, vec![field.to_owned()]),
            "{body}: {}",
            refused.text()
        );
    }
    for (url, rule) in [
        ("https://[::ffff:169.254.169.254]/", "Address"),
        ("https://8.8.8.8:22/", "Port"),
        ("gopher://example.com/", "Scheme"),
        ("https://u@example.com/", "UserInfo"),
    ] {
        let refused = create(&gateway, &json!({"url": url})).await.json();
        assert_eq!(refused["error"]["details"][0]["metadata"]["rule"], rule, "{url}: {refused}");
    }
    for project in ["-", "a%2Fb", "a%20b"] {
        let target = format!("/v1/projects/{project}/webhookEndpoints");
        let refused = gateway.post(&target, &json!({"url": good}).to_string()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.fields()),
            (400, vec!["parent".to_owned()]),
            "{project}"
        );
    }
    let path = name(&create(&gateway, &json!({"url": good})).await.json());
    for (verb, target, body, field) in [
        ("PATCH", format!("{path}?updateMask=url,nothing"), json!({"url": good}), "updateMask"),
        ("PATCH", path.clone(), json!({"secret": "x"}), "secret"),
        ("PATCH", path.clone(), json!({"state": "GONE"}), "state"),
        ("POST", format!("{path}:rotateSecret"), json!({"overlap": "700000s"}), "overlap"),
        ("POST", format!("{path}:rotateSecret"), json!({"overlap": "-1s"}), "overlap"),
        ("POST", format!("{path}:replay"), json!({"endTime": "2026-01-01T00:00:00Z"}), "startTime"),
        (
            "POST",
            format!("{path}:replay"),
            json!({"startTime": "2026-01-01T00:00:00Z", "endTime": "2999-01-01T00:00:00Z"}),
            "endTime",
        ),
        (
            "POST",
            format!("{path}:replay"),
            json!({"startTime": "2020-01-01T00:00:00Z", "endTime": "2020-02-01T00:00:00Z"}),
            "startTime",
        ),
        (
            "POST",
            format!("{path}:replay"),
            json!({"startTime": "today", "endTime": "2020-02-01T00:00:00Z"}),
            "startTime",
        ),
        ("POST", format!("{path}:ping"), json!({"x": 1}), "x"),
        ("GET", format!("{path}/deliveries?filter=state%3DLOST"), json!({}), "filter"),
        ("GET", format!("{ENDPOINTS}?pageToken=AAAA"), json!({}), "pageToken"),
        ("GET", format!("{path}/deliveries?pageToken=AAAA"), json!({}), "pageToken"),
        ("GET", format!("{ENDPOINTS}?pageSize=-1"), json!({}), "pageSize"),
    ] {
        let body = if verb == "GET" { String::new() } else { body.to_string() };
        let refused = gateway.send(verb, &target, &[], body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.fields()),
            (400, vec![field.to_owned()]),
            "{target}: {}",
            refused.text()
        );
    }
}

#[tokio::test]
async fn what_is_not_read_across_projects_says_so() {
    let gateway = gateway(&[]).await;
    for (verb, target) in [
        ("GET", "/v1/projects/-/webhookEndpoints"),
        ("GET", "/v1/projects/-/events"),
        ("DELETE", "/v1/projects/-/cache"),
        ("GET", "/v1/projects/-:overview"),
    ] {
        let refused = gateway.send(verb, target, &[], "").await;
        let message = refused.refused(400, "INVALID_FIELD");
        assert!(message.contains("name one project"), "{target}: {message}");
    }
}

#[tokio::test]
async fn whoever_misspells_a_field_hears_of_all_there_are() {
    let gateway = gateway(&[]).await;
    let refused = create(&gateway, &json!({"url": "https://example.com/", "maxDelivery": 3})).await;
    let message = refused.refused(400, "UNKNOWN_FIELD");
    for field in ["maxDeliveriesPerSecond", "maxConcurrentDeliveries"] {
        assert!(message.contains(field), "{message}");
    }
}

/// The log called them by names that nothing else has, and a grant on one of them opened nothing.
#[tokio::test]
async fn endpoints_are_granted_and_logged_by_their_names() {
    let ring = Keyring::new().await;
    let gateway = gateway(&ring.settings()).await;
    let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
    let send = async |key: &str, verb: &str, target: &str, body: &Value| {
        let headers = [("x-goog-api-key", key), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        gateway.send(verb, target, &headers, body).await
    };
    let receiver = Receiver::listen().await;
    let made = send(&root, "POST", ENDPOINTS, &json!({"url": receiver.url()})).await.json();
    let named = made["name"].as_str().unwrap();
    let (_, own) = ring.make("own", Role::Operator, &[named]).await;
    let (_, viewer) = ring.make("viewer", Role::Viewer, &["*"]).await;
    let ping = format!("{}:ping", name(&made));
    let pinged = send(&own, "POST", &ping, &Value::Null).await;
    assert_eq!(pinged.status, 200, "{}", pinged.text());
    let delivery = pinged.json()["name"].as_str().unwrap().to_owned();
    assert_eq!(send(&own, "GET", &format!("/v1/{delivery}"), &Value::Null).await.status, 200);
    send(&own, "GET", ENDPOINTS, &Value::Null).await.refused(403, "PERMISSION_DENIED");
    // Whoever could change where it points, or have what was told sent again, would hear of the whole project.
    let (_, editor) = ring.make("editor", Role::Editor, &[named]).await;
    send(&editor, "PATCH", &name(&made), &json!({"eventTypes": []})).await.refused(403, "PERMISSION_DENIED");
    let window = json!({"startTime": "2026-01-01T00:00:00Z"});
    send(&editor, "POST", &format!("{}:replay", name(&made)), &window)
        .await
        .refused(403, "PERMISSION_DENIED");
    // Who has the role nowhere is refused what the path names.
    send(&viewer, "POST", &ping, &Value::Null).await.refused(403, "PERMISSION_DENIED");
    let log = send(&root, "GET", "/v1/projects/acme/auditEntries", &Value::Null).await.json();
    let of = |principal: &str| -> Vec<Value> {
        let entries = log["auditEntries"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["principal"] == principal)
            .map(|it| it["resourceNames"].clone())
            .collect()
    };
    assert_eq!(of("own"), [json!(["projects/acme"]), json!([delivery]), json!([named])], "{log}");
    assert_eq!(of("viewer"), [json!([named])], "{log}");
}

#[tokio::test]
async fn a_project_has_a_hundred_endpoints() {
    let (gateway, receiver) = (gateway(&[]).await, Receiver::listen().await);
    for _ in 0..100 {
        assert_eq!(create(&gateway, &json!({"url": receiver.url()})).await.status, 200);
    }
    let refused = create(&gateway, &json!({"url": receiver.url()})).await;
    assert!(refused.refused(400, "LIMIT_EXCEEDED").contains("100"));
    let page = gateway.get(&format!("{ENDPOINTS}?pageSize=60")).await.json();
    let next = gateway
        .get(&format!("{ENDPOINTS}?pageSize=60&pageToken={}", page["nextPageToken"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(
        (
            page["webhookEndpoints"].as_array().unwrap().len(),
            next["webhookEndpoints"].as_array().unwrap().len()
        ),
        (60, 40)
    );
    assert!(next.get("nextPageToken").is_none(), "{next}");
    let types = gateway.get("/v1/eventTypes").await.json();
    assert!(
        types["eventTypes"].as_array().unwrap().iter().any(|known| known["type"] == "operation.succeeded")
    );
}
