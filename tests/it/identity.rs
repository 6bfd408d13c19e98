//! API keys: made, shown, replaced, taken away, and never seen where they do not belong.

use causeway::{identity::REVOKED_AFTER_MAX, model::Role};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Answer, Cluster, Database, Gateway, Keyring, Redis, Scripted, bearer};

const BOOK: &str = "/v1/shelves/s/books/b";

async fn library() -> Scripted {
    Scripted::start(|_| Answer::Message(json!({"name": "shelves/s/books/b", "title": "Emma"}))).await
}

async fn guarded(upstream: &Scripted, ring: &Keyring, more: &[&str]) -> Gateway {
    let settings = ring.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Gateway::library_with(upstream, &settings).await
}

#[tokio::test]
async fn a_key_opens_the_door_in_either_header_and_nothing_else_does() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let gateway = guarded(&upstream, &ring, &[]).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let (bearer, lower) = (bearer(&key), format!("bearer {key}"));
    for header in [("authorization", &*bearer), ("authorization", &*lower), ("x-goog-api-key", &*key)] {
        let response = gateway.send("GET", BOOK, &[header], "").await;
        assert_eq!(response.status, 200, "{header:?}: {}", response.text());
    }
    for target in [BOOK, "/v1/nowhere", "/metrics", "/v1/apiKeys", "/v1/shelves/s/books/b:archive"] {
        let refused = gateway.get(target).await;
        refused.refused(401, "UNAUTHENTICATED");
        assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"causeway\"");
        assert_eq!(refused.json()["error"]["status"], "UNAUTHENTICATED");
    }
    for target in ["/healthz", "/readyz", "/"] {
        assert_eq!(gateway.get(target).await.status, 200, "{target}");
    }
    assert_eq!(upstream.calls().len(), 3);
}

#[tokio::test]
async fn a_credential_for_us_never_goes_up_and_one_for_the_upstream_does() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let gateway = guarded(&upstream, &ring, &["upstreams.library.credentials=caller"]).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let bearer = bearer(&key);
    let (ours, api_key) = (("authorization", &*bearer), ("x-goog-api-key", &*key));
    let theirs = ("authorization", "Bearer ya29.theirs");
    let meant = ("x-causeway-upstream-authorization", "Bearer ya29.meant");
    for (headers, up) in [
        (&[ours][..], None),
        (&[api_key], None),
        (&[api_key, theirs], Some("Bearer ya29.theirs")),
        (&[ours, meant], Some("Bearer ya29.meant")),
        (&[api_key, theirs, meant], Some("Bearer ya29.meant")),
        (&[ours, ("x-goog-api-key", "AIzaTheirs")], None),
    ] {
        let response = gateway.send("GET", BOOK, headers, "").await;
        assert_eq!(response.status, 200, "{}", response.text());
        let seen = upstream.last().headers;
        assert_eq!(seen.get("authorization").map(|value| value.to_str().unwrap()), up, "{headers:?}");
        let all = format!("{seen:?}");
        assert!(!all.contains(&key[3..]) && !all.contains("AIza"), "{all}");
    }
    let calls = upstream.calls().len();
    let wrong_place = ("x-causeway-upstream-authorization", &*bearer);
    for headers in [&[wrong_place, api_key][..], &[ours, api_key], &[ours, theirs]] {
        gateway.send("GET", BOOK, headers, "").await.refused(401, "UNAUTHENTICATED");
    }
    assert_eq!(upstream.calls().len(), calls);
}

#[tokio::test]
async fn a_key_in_a_query_is_refused_and_everything_else_there_is_stripped() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let gateway = guarded(&upstream, &ring, &[]).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let auth = [("x-goog-api-key", &*key)];
    for query in [
        format!("key={key}"),
        "access_token=cw_x".into(),
        format!("oauth_token=Bearer%20{key}"),
        format!("filter={key}"),
    ] {
        for target in [format!("{BOOK}?{query}"), format!("/healthz?{query}"), format!("/v1/nowhere?{query}")]
        {
            let refused = gateway.send("GET", &target, &auth, "").await;
            refused.refused(401, "UNAUTHENTICATED");
            assert!(!refused.text().contains(&key[16..]), "{}", refused.text());
        }
    }
    let form =
        [auth[0], ("x-http-method-override", "GET"), ("content-type", "application/x-www-form-urlencoded")];
    gateway.send("POST", BOOK, &form, format!("key={key}")).await.refused(401, "UNAUTHENTICATED");
    let stripped = format!("{BOOK}?key=AIza&access_token=ya29.a&oauth_token=b");
    assert_eq!(gateway.send("GET", &stripped, &auth, "").await.status, 200);
    assert_eq!(upstream.last().request, json!({"name": "shelves/s/books/b"}));
    let open = Gateway::library(&upstream).await;
    open.get(&format!("{BOOK}?key={key}")).await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_soon_after_in_every_replica() {
    for database in Database::each().await {
        let (upstream, ring) = (library().await, Keyring::of(database).await);
        let gateway = guarded(&upstream, &ring, &[]).await;
        let (old, old_key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
        let (_, new_key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
        let get = async |key: &str| gateway.send("GET", BOOK, &[("x-goog-api-key", key)], "").await;
        assert_eq!((get(&old_key).await.status.as_u16(), get(&new_key).await.status.as_u16()), (200, 200));
        // Somebody else revokes it: this replica learns of that when it looks again.
        ring.keys.revoke(&old.id).await.unwrap();
        let revoked = Instant::now();
        while get(&old_key).await.status == 200 {
            assert!(revoked.elapsed() <= REVOKED_AFTER_MAX + REVOKED_AFTER_MAX / 5, "still open");
            sleep(REVOKED_AFTER_MAX / 50).await;
        }
        get(&old_key).await.refused(401, "UNAUTHENTICATED");
        assert_eq!(get(&new_key).await.status, 200);
    }
}

/// Whoever was admin of one project became admin of everything by making a key for somebody whom the configuration makes one.
#[tokio::test]
async fn a_key_for_another_name_needs_what_the_configuration_grants_that_name() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let grants = r#"identity.grants=[
        { principal = "ops*", role = "viewer", resources = ["projects/acme-1", "projects/other"] },
        { principal = "lead", role = "viewer", resources = ["projects/other"] },
    ]"#;
    let gateway = guarded(&upstream, &ring, &[grants]).await;
    let (_, lead) = ring.make("lead", Role::Admin, &["projects/acme-*"]).await;
    let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
    let make = async |who: &str, principal: &str| {
        let new = json!({"principal": principal, "role": "viewer", "resources": ["projects/acme-1"]});
        let headers = [("x-goog-api-key", who), ("content-type", "application/json")];
        gateway.send("POST", "/v1/apiKeys", &headers, new.to_string()).await
    };
    make(&lead, "ops-robot").await.refused(403, "PERMISSION_DENIED");
    assert_eq!(make(&root, "ops-robot").await.status, 200);
    assert_eq!(make(&lead, "lead").await.status, 200, "who it is already");
    let robot = make(&lead, "robot").await;
    assert_eq!(robot.status, 200, "{}", robot.text());
    let key = robot.json()["key"].as_str().unwrap().to_owned();
    let other = gateway.send("GET", "/v1/projects/other/operations", &[("x-goog-api-key", &key)], "").await;
    other.refused(403, "PERMISSION_DENIED");
}

#[tokio::test]
async fn keys_are_managed_over_the_api_by_those_who_may() {
    for database in Database::each().await {
        let (upstream, ring) = (library().await, Keyring::of(database).await);
        let gateway = guarded(&upstream, &ring, &[]).await;
        let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
        let (_, acme) = ring.make("acme-admin", Role::Admin, &["projects/acme-*"]).await;
        let (_, editor) = ring.make("editor", Role::Editor, &["*"]).await;
        let send = async |verb: &str, target: &str, key: &str, body: &Value| {
            let text = if body.is_null() { String::new() } else { body.to_string() };
            let headers = [("x-goog-api-key", key), ("content-type", "application/json")];
            gateway.send(verb, target, &headers, text).await
        };
        let new = |resources: &[&str]| json!({"principal": "bob", "role": "viewer", "resources": resources});

        let made = send("POST", "/v1/apiKeys", &acme, &new(&["projects/acme-1"])).await;
        assert_eq!(made.status, 200, "{}", made.text());
        assert_eq!(made.header("cache-control"), "no-store");
        let made = made.json();
        let (name, key) = (made["name"].as_str().unwrap(), made["key"].as_str().unwrap());
        assert!(key.starts_with("cw_") && key.contains(&name["apiKeys/".len()..]));
        assert_eq!((&made["state"], &made["createdBy"]), (&json!("ACTIVE"), &json!("acme-admin")));

        for (who, resources) in
            [(&acme, "*"), (&acme, "projects/*"), (&acme, "projects/acme*"), (&editor, "projects/acme-1")]
        {
            send("POST", "/v1/apiKeys", who, &new(&[resources])).await.refused(403, "PERMISSION_DENIED");
        }
        let listed = async |key: &str| {
            let page = send("GET", "/v1/apiKeys", key, &Value::Null).await;
            assert!(!page.text().contains("\"key\"") && !page.text().contains("hash"), "{}", page.text());
            page.json()["apiKeys"].as_array().unwrap().len()
        };
        assert_eq!((listed(&root).await, listed(&acme).await), (4, 2));
        send("GET", "/v1/apiKeys", &editor, &Value::Null).await.refused(403, "PERMISSION_DENIED");
        let page = send("GET", "/v1/apiKeys?pageSize=3", &root, &Value::Null).await.json();
        let token = page["nextPageToken"].as_str().unwrap();
        let rest = send("GET", &format!("/v1/apiKeys?pageToken={token}"), &root, &Value::Null).await.json();
        assert_eq!(
            (page["apiKeys"].as_array().unwrap().len(), rest["apiKeys"].as_array().unwrap().len()),
            (3, 1)
        );
        let stolen = send("GET", &format!("/v1/apiKeys?pageToken={token}"), &acme, &Value::Null).await;
        stolen.refused(400, "INVALID_FIELD");

        // Where it is revoked, it is revoked at once.
        assert_eq!(send("GET", "/v1/shelves/s/books/b", key, &Value::Null).await.status, 403);
        let others = listed_name(&ring, "root").await;
        send("DELETE", &format!("/v1/{others}"), &acme, &Value::Null)
            .await
            .refused(404, "RESOURCE_NOT_FOUND");
        let revoked = send("DELETE", &format!("/v1/{name}"), &acme, &Value::Null).await.json();
        assert_eq!(revoked["state"], "REVOKED");
        send("GET", "/v1/shelves/s/books/b", key, &Value::Null).await.refused(401, "UNAUTHENTICATED");
        let filter = "filter=principal%20%3D%20%22acme-admin%22%20AND%20httpStatus%20%3D%20200";
        let log = send("GET", &format!("/v1/auditEntries?{filter}"), &root, &Value::Null).await.json();
        let methods: Vec<_> =
            log["auditEntries"].as_array().unwrap().iter().map(|e| e["method"].clone()).collect();
        assert!(
            methods.contains(&json!("POST /v1/apiKeys"))
                && methods.contains(&json!("DELETE /v1/apiKeys/{key}")),
            "{log}"
        );
        assert!(!log.to_string().contains(&key[16..]));

        for (body, field) in [
            (json!({"role": "viewer", "resources": ["projects/acme-1"]}), "principal"),
            (json!({"principal": "b", "role": "root", "resources": ["projects/acme-1"]}), "role"),
            (json!({"principal": "b", "role": "viewer", "resources": ["/x/"]}), "resources"),
            (json!({"principal": "b", "role": "viewer", "resources": []}), "resources"),
            (json!({"principal": "b c", "role": "viewer", "resources": ["projects/acme-1"]}), "principal"),
            (
                json!({"principal": "b", "role": "viewer", "resources": ["projects/acme-1"], "key": "cw"}),
                "key",
            ),
            (
                json!({"principal": "b", "role": "viewer", "resources": ["projects/acme-1"], "expireTime": "2001-01-01T00:00:00Z"}),
                "expireTime",
            ),
        ] {
            let refused = send("POST", "/v1/apiKeys", &acme, &body).await;
            assert_eq!(
                (refused.status.as_u16(), refused.fields()),
                (400, vec![field.to_owned()]),
                "{}",
                refused.text()
            );
        }
    }
}

async fn listed_name(ring: &Keyring, principal: &str) -> String {
    let all = ring.keys.list(None, 100).await.unwrap();
    let key = all.iter().find(|key| key.principal == principal).unwrap();
    format!("apiKeys/{}", key.id)
}

#[tokio::test]
async fn a_key_that_is_used_says_when() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let gateway = guarded(&upstream, &ring, &[]).await;
    let (kept, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    assert_eq!(gateway.send("GET", BOOK, &[("x-goog-api-key", &key)], "").await.status, 200);
    gateway.signal().await;
    gateway.ended().await.unwrap();
    let used = ring.keys.find(&kept.id).await.unwrap().unwrap().last_used;
    assert!(used.is_some_and(|used| used >= kept.created), "{used:?}");
}

#[tokio::test]
async fn callers_are_told_their_limits_and_held_to_them() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let gateway = guarded(&upstream, &ring, &["limits.principal_rate=1", "limits.principal_burst=3"]).await;
    let (_, alice) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let (_, bob) = ring.make("bob", Role::Viewer, &["shelves/*"]).await;
    let get = async |key: &str| gateway.send("GET", BOOK, &[("x-goog-api-key", key)], "").await;
    let first = get(&alice).await;
    assert_eq!(first.header("ratelimit-policy"), "\"principal\";q=3;w=3");
    assert_eq!(first.header("ratelimit"), "\"principal\";r=2;t=1");
    get(&alice).await;
    get(&alice).await;
    let refused = get(&alice).await;
    refused.refused(429, "RATE_LIMITED");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"principal\";r=0;t=1");
    assert_eq!(get(&bob).await.status, 200);
    assert_eq!(upstream.calls().len(), 4);
    let anonymous =
        Gateway::library_with(&upstream, &["limits.principal_rate=1", "limits.principal_burst=1"]).await;
    for _ in 0..3 {
        assert_eq!(anonymous.get(BOOK).await.header("ratelimit"), "");
    }
}

/// Starts a gateway that takes two requests on a project at once.
async fn two_on_a_project(upstream: &Scripted, ring: &Keyring) -> Gateway {
    let mut settings = ring.settings().to_vec();
    settings.push(format!("upstreams.bigqueryconnection.endpoint=http://{}", upstream.address));
    settings.extend(["limits.project_rate=1".to_owned(), "limits.project_burst=2".to_owned()]);
    Gateway::start(&settings).await
}

#[tokio::test]
async fn a_project_is_counted_for_whoever_asks_but_not_for_those_who_may_not() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let gateway = two_on_a_project(&upstream, &ring).await;
    let (_, alice) = ring.make("alice", Role::Viewer, &["projects/p"]).await;
    let (_, bob) = ring.make("bob", Role::Viewer, &["projects/*"]).await;
    let (_, eve) = ring.make("eve", Role::Viewer, &["projects/other"]).await;
    let get = async |key: &str, project: &str| {
        let target = format!("/v1/projects/{project}/locations/l/connections/c");
        gateway.send("GET", &target, &[("x-goog-api-key", key)], "").await
    };
    for _ in 0..5 {
        get(&eve, "p").await.refused(403, "PERMISSION_DENIED");
    }
    assert_eq!(get(&alice, "p").await.status, 200);
    let second = get(&bob, "p").await;
    assert_eq!(second.header("ratelimit").split(", ").nth(1), Some("\"project\";r=0;t=2"));
    let message = get(&alice, "p").await.refused(429, "RATE_LIMITED");
    assert!(message.contains("project"), "{message}");
    assert_eq!(get(&bob, "q").await.status, 200);
}

/// Only what was passed on as it came over REST was counted.
#[tokio::test]
async fn a_project_is_counted_whatever_is_asked_of_it() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let gateway = two_on_a_project(&upstream, &ring).await;
    let (_, alice) = ring.make("alice", Role::Viewer, &["projects/*"]).await;
    let (_, eve) = ring.make("eve", Role::Viewer, &["projects/other"]).await;
    let get =
        async |key: &str, target: &str| gateway.send("GET", target, &[("x-goog-api-key", key)], "").await;
    for target in ["/v1/projects/a:overview", "/v1/projects/b/operations", "/v1/projects/c/webhookEndpoints"]
    {
        for _ in 0..3 {
            get(&eve, target).await.refused(403, "PERMISSION_DENIED");
        }
        for _ in 0..2 {
            assert_eq!(get(&alice, target).await.status, 200, "{target}");
        }
        get(&alice, target).await.refused(429, "RATE_LIMITED");
    }
}

#[tokio::test]
async fn a_full_gateway_sends_away_and_stays_alive() {
    let upstream = Scripted::start(|_| Answer::Never).await;
    let gateway = Gateway::library_with(&upstream, &["limits.concurrency_max=1"]).await;
    let mut busy = gateway.connect().await;
    let waiting = busy.send("GET", BOOK, &[("x-server-timeout", "2")], "");
    let others = async {
        while upstream.calls().is_empty() {
            tokio::task::yield_now().await;
            sleep(std::time::Duration::from_millis(1)).await;
        }
        let refused = gateway.get(BOOK).await;
        refused.refused(503, "OVERLOADED");
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(gateway.get("/healthz").await.status, 200);
    };
    let (waited, ()) = tokio::join!(waiting, others);
    waited.refused(504, "UPSTREAM_TIMEOUT");
}

/// Whoever waited for enough at once kept everybody else out.
#[tokio::test]
async fn one_caller_leaves_half_of_the_places_to_others() {
    let upstream = Scripted::start(|_| Answer::Never).await;
    let ring = Keyring::new().await;
    let gateway = guarded(&upstream, &ring, &["limits.concurrency_max=2"]).await;
    let (_, alice) = ring.make("alice", Role::Viewer, &["*"]).await;
    let (_, bob) = ring.make("bob", Role::Viewer, &["*"]).await;
    let get = async |key: &str, time: &str| {
        let headers = [("x-goog-api-key", key), ("x-server-timeout", time)];
        gateway.send("GET", BOOK, &headers, "").await
    };
    let others = async {
        while upstream.calls().is_empty() {
            tokio::task::yield_now().await;
            sleep(std::time::Duration::from_millis(1)).await;
        }
        assert!(get(&alice, "0.05").await.refused(503, "OVERLOADED").contains("of yours"));
        get(&bob, "0.05").await.refused(504, "UPSTREAM_TIMEOUT");
    };
    let (waited, ()) = tokio::join!(get(&alice, "2"), others);
    waited.refused(504, "UPSTREAM_TIMEOUT");
}

#[tokio::test]
async fn the_address_of_a_caller_is_only_taken_from_proxies_that_are_trusted() {
    let upstream = library().await;
    let forwarded = [("x-forwarded-for", "203.0.113.9, 198.51.100.7"), ("x-request-id", "r1")];
    for (setting, expected) in
        [("http.trusted_proxies=[]", "127.0.0.1"), ("http.trusted_proxies=[\"127.0.0.0/8\"]", "198.51.100.7")]
    {
        let gateway = Gateway::library_with(&upstream, &[setting]).await;
        gateway.send("GET", BOOK, &forwarded, "").await;
        let entries = gateway.get("/v1/auditEntries?filter=requestId=r1").await.json();
        assert_eq!(entries["auditEntries"][0]["callerAddress"], expected, "{entries}");
    }
}

#[tokio::test]
async fn the_audit_log_says_who_it_was_and_who_was_turned_away() {
    let (upstream, ring) = (library().await, Keyring::new().await);
    let gateway = guarded(&upstream, &ring, &[]).await;
    let (kept, key) = ring.make("alice", Role::Viewer, &["shelves/s"]).await;
    let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
    let send = async |id: &str, target: &str, key: &str| {
        gateway.send("GET", target, &[("x-goog-api-key", key), ("x-request-id", id)], "").await
    };
    send("r1", BOOK, &key).await;
    send("r2", "/v1/shelves/t/books/b", &key).await.refused(403, "PERMISSION_DENIED");
    send("r3", BOOK, "cw_wrong").await.refused(401, "UNAUTHENTICATED");
    send("r4", "/v1/auditEntries", &key).await.refused(403, "PERMISSION_DENIED");
    let entries = send("r5", "/v1/auditEntries?orderBy=time", &root).await.json();
    let of = |id: &str| {
        let all = entries["auditEntries"].as_array().unwrap().iter();
        all.into_iter()
            .find(|entry| entry["requestId"] == id)
            .unwrap_or_else(|| panic!("{id}: {entries}"))
            .clone()
    };
    assert_eq!(of("r1")["principal"], "alice");
    assert_eq!(of("r1")["authentication"], format!("apiKey:{}", kept.id));
    assert_eq!((&of("r1")["granted"], &of("r1")["permission"]), (&json!(true), &json!("library.books.get")));
    assert_eq!((&of("r2")["granted"], &of("r2")["result"]), (&json!(false), &json!("DENIED")));
    assert_eq!(of("r2")["resourceNames"], json!(["shelves/t/books/b"]));
    assert_eq!((&of("r3")["granted"], &of("r3")["httpStatus"]), (&json!(false), &json!(401)));
    assert_eq!(of("r4")["permission"], "causeway.auditEntries.list");
    assert!(!entries.to_string().contains(&key[16..]));
}

#[tokio::test]
async fn replicas_count_together_in_redis() {
    let Some(redis) = Redis::start().await else { return };
    let Some(cluster) = Cluster::start(3, None).await else { return };
    for redis in [redis.setting(), cluster.setting()] {
        let (upstream, ring) = (library().await, Keyring::new().await);
        let more = [redis.as_str(), "limits.principal_rate=1", "limits.principal_burst=8"];
        let replicas = [guarded(&upstream, &ring, &more).await, guarded(&upstream, &ring, &more).await];
        // Until it is connected each counts for itself.
        let (_, other) = ring.make("other", Role::Viewer, &["shelves/*"]).await;
        for replica in &replicas {
            for _ in 0..3 {
                replica.send("GET", BOOK, &[("x-goog-api-key", &other)], "").await;
            }
        }
        let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
        let started = Instant::now();
        let mut allowed = 0;
        for n in 0..30 {
            let response = replicas[n % 2].send("GET", BOOK, &[("x-goog-api-key", &key)], "").await;
            match response.status.as_u16() {
                200 => allowed += 1,
                _ => drop(response.refused(429, "RATE_LIMITED")),
            }
        }
        let refilled = started.elapsed().as_secs() + 1;
        assert!((8..=8 + refilled).contains(&allowed), "{redis}: {allowed} in {refilled} s");
    }
}

#[tokio::test]
async fn a_key_in_use_outlives_the_database_for_a_while_and_an_unknown_one_waits() {
    let Some(database) = Database::postgres().await else { return };
    let (near, link) = database.behind().await;
    let (upstream, ring) = (library().await, Keyring::of(database).await);
    let settings = ["identity.mode=keys", &near.setting()];
    let gateway = Gateway::library_with(&upstream, &settings).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let (_, other) = ring.make("bob", Role::Viewer, &["shelves/*"]).await;
    let get = async |key: &str| gateway.send("GET", BOOK, &[("x-goog-api-key", key)], "").await;
    assert_eq!(get(&key).await.status, 200);
    link.cut();
    let cut = Instant::now();
    // Past the time after which it is looked up again.
    while cut.elapsed() < REVOKED_AFTER_MAX + REVOKED_AFTER_MAX / 2 {
        assert_eq!(get(&key).await.status, 200);
        sleep(REVOKED_AFTER_MAX / 20).await;
    }
    let refused = get(&other).await;
    refused.refused(503, "STORE_UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "2");
    link.mend();
    let mended = Instant::now();
    while get(&other).await.status != 200 {
        assert!(mended.elapsed().as_secs() < 20, "it recovers by itself");
        sleep(REVOKED_AFTER_MAX / 20).await;
    }
}

/// Whoever has no key need not show one where nobody is asked: a page of another site had a browser change what it wanted.
#[tokio::test]
async fn where_nobody_is_asked_a_page_of_another_site_does_nothing() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("a-get-that-changes.yaml");
    let rules = "causeway: { rules: [{ selector: acme.v1.Library.GetTitle, read_only: false }] }";
    std::fs::write(&file, rules).unwrap();
    let rules = format!("upstreams.library.service_config=\"{}\"", file.display());
    let gateway = Gateway::library_with(&upstream, &["http.hosts=[\"gateway.example\"]", &rules]).await;
    let host = ("host", "localhost:8080");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let delete = format!("{BOOK}?$httpMethod=DELETE");
    for headers in [
        &[host, form, ("sec-fetch-site", "cross-site")][..],
        &[host, form, ("sec-fetch-site", "same-site")],
        &[host, form, ("origin", "http://evil.example")],
        &[("host", "evil.example"), ("sec-fetch-site", "same-origin")],
    ] {
        let refused = gateway.send("POST", &delete, headers, "").await;
        refused.refused(403, "PERMISSION_DENIED");
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    let changes = format!("{BOOK}:title");
    let image = gateway.send("GET", &changes, &[host, ("sec-fetch-site", "cross-site")], "").await;
    image.refused(403, "PERMISSION_DENIED");
    assert_eq!(upstream.calls().len(), 0);
    for headers in [
        &[][..],
        &[host, ("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8080")],
        &[("host", "gateway.example"), ("sec-fetch-site", "none")],
    ] {
        let passed = gateway.send("POST", &delete, headers, "").await;
        assert_eq!(passed.status, 200, "{}", passed.text());
    }
    // Whoever shows a key may be called by any name.
    let ring = Keyring::new().await;
    let guarded = guarded(&upstream, &ring, &[]).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/*"]).await;
    let headers = [("host", "api.acme.example"), ("x-goog-api-key", &*key), ("sec-fetch-site", "cross-site")];
    assert_eq!(guarded.send("GET", BOOK, &headers, "").await.status, 200);
}
