//! The audit log: what is in it, what never is, and that it shows when it was changed.

use causeway::model::Role;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::harness::{Answer, Database, Gateway, Keyring, Scripted, causeway};

const BOOK: &str = "/v1/shelves/s/books/b";

fn book() -> Answer {
    Answer::Message(json!({"name": "shelves/s/books/b", "title": "Emma"}))
}

async fn list(gateway: &Gateway, query: &str) -> Value {
    let response = gateway.get(&format!("/v1/auditEntries?{query}")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()
}

#[tokio::test]
async fn every_request_has_its_entry() {
    for database in Database::each().await {
        let upstream = Scripted::start(|call| match call.method.rsplit('.').next() {
            Some("ArchiveBook") => Answer::Refuse(9, "on loan", Vec::new()),
            _ => book(),
        })
        .await;
        let gateway = Gateway::library_with(&upstream, &[&database.setting()]).await;
        let id = |id: &'static str| [("x-request-id", id), ("user-agent", "story/1")];
        gateway.send("GET", BOOK, &id("r1"), "").await;
        gateway.send("POST", "/v1/shelves/s/books", &id("r2"), r#"{"title":"Emma","extra":null}"#).await;
        gateway.send("POST", "/v1/shelves/s/books/b:archive", &id("r3"), "{}").await;
        gateway.send("GET", "/v1/nowhere", &id("r4"), "").await;
        gateway.send("POST", "/v1/shelves/s/books", &id("r5"), "{").await;
        gateway.get("/healthz").await;

        let all = list(&gateway, "orderBy=time").await;
        let all = all["auditEntries"].as_array().unwrap();
        let facts: Vec<_> = all
            .iter()
            .map(|entry| (entry["requestId"].as_str().unwrap(), entry["httpStatus"].as_u64().unwrap()))
            .collect();
        let mut sorted = facts.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [("r1", 200), ("r2", 200), ("r3", 400), ("r4", 404), ("r5", 400)]);
        let of = |id: &str| all.iter().find(|entry| entry["requestId"] == id).unwrap();
        assert_eq!(of("r2")["method"], "acme.v1.Library.CreateBook");
        assert_eq!(of("r2")["resourceNames"], json!(["shelves/s", "shelves/s/books/b"]));
        assert_eq!(of("r2")["request"], json!({"parent": "shelves/s", "book": {"title": "Emma"}}));
        assert_eq!(of("r2")["userAgent"], "story/1");
        assert_eq!(of("r2")["principal"], "anonymous");
        assert_eq!((&of("r3")["grpcCode"], &of("r3")["result"]), (&json!(9), &json!("ERROR")));
        assert_eq!(of("r4")["reason"], "ROUTE_NOT_FOUND");

        let found = list(&gateway, "filter=httpStatus%3E%3D400%20AND%20resourceNames:%22shelves/%22").await;
        let ids: Vec<_> =
            found["auditEntries"].as_array().unwrap().iter().map(|e| e["requestId"].clone()).collect();
        assert_eq!(ids, ["r5", "r3"], "newest first, and only these");
    }
}

/// Whoever named such a field in a mask left nothing of the request in the log.
#[tokio::test]
async fn a_mask_that_json_has_no_spelling_for_hides_nothing() {
    let upstream = Scripted::start(|_| book()).await;
    let gateway = Gateway::library(&upstream).await;
    drop(upstream);
    let target = format!("{BOOK}?updateMask=line_1,title");
    let changed = gateway.send("PATCH", &target, &[], r#"{"title":"Emma"}"#).await;
    changed.refused(503, "UPSTREAM_UNAVAILABLE");
    let all = list(&gateway, "filter=method=acme.v1.Library.UpdateBook").await;
    assert_eq!(
        all["auditEntries"][0]["request"],
        json!({"book": {"name": "shelves/s/books/b", "title": "Emma"}, "updateMask": "line_1,title"})
    );
}

/// It was found by its parent only.
#[tokio::test]
async fn a_creation_is_found_by_the_name_of_what_it_created() {
    for database in Database::each().await {
        let upstream = Scripted::start(|_| book()).await;
        let gateway = Gateway::library_with(&upstream, &[&database.setting()]).await;
        let send = async |method: &str, target: &str, id: &str, body: &'static str| {
            let response = gateway.send(method, target, &[("x-request-id", id)], body).await;
            assert_eq!(response.status, 200, "{}", response.text());
            response.json()
        };
        send("POST", "/v1/shelves/s/books", "made", r#"{"title":"Emma"}"#).await;
        send("GET", BOOK, "read", "").await;
        send("GET", "/v1/shelves/s/books/b-2", "another", "").await;
        let hook = r#"{"url":"https://hooks.example.com/"}"#;
        let hook =
            gateway.send("POST", "/v1/projects/acme/webhookEndpoints", &[("x-request-id", "hook")], hook);
        let hook = hook.await;
        let found = async |name: &str| {
            let page = list(&gateway, &format!("orderBy=time&filter=resourceNames=%22{name}%22")).await;
            let entries = page["auditEntries"].as_array().cloned().unwrap_or_default();
            entries.iter().map(|entry| entry["requestId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let sorted = async |name: &str| {
            let mut ids = found(name).await;
            ids.sort();
            ids
        };
        assert_eq!(sorted("shelves/s/books/b").await, ["made", "read"]);
        assert_eq!(sorted("shelves/s").await, ["another", "made", "read"]);
        assert_eq!(hook.status, 200, "{}", hook.text());
        assert_eq!(found(hook.json()["name"].as_str().unwrap()).await, ["hook"]);
        assert_eq!(found("projects/acme").await, ["hook"]);
    }
}

#[tokio::test]
async fn an_entry_is_read_by_its_name() {
    for database in Database::each().await {
        let (upstream, ring) = (Scripted::start(|_| book()).await, Keyring::of(database).await);
        let settings = ring.settings();
        let gateway = Gateway::library_with(&upstream, &[&settings[0], &settings[1]]).await;
        let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
        let (_, own) = ring.make("own", Role::Admin, &["projects/acme"]).await;
        let (_, every_project) = ring.make("lead", Role::Admin, &["projects/*"]).await;
        let get = async |target: &str, key: &str, id: &str| {
            let headers = [("x-goog-api-key", key), ("x-request-id", id)];
            gateway.send("GET", target, &headers, "").await
        };
        get("/v1/projects/acme/operations", &own, "ours").await;
        get("/v1/projects/other/operations", &root, "theirs").await;
        gateway
            .send(
                "POST",
                &format!("{BOOK}:archive"),
                &[("x-goog-api-key", &root), ("x-request-id", "nobodys")],
                "{}",
            )
            .await;
        let all = get("/v1/auditEntries", &root, "list").await.json();
        let named = |id: &str| {
            let entry = all["auditEntries"].as_array().unwrap().iter().find(|entry| entry["requestId"] == id);
            (entry.unwrap().clone(), format!("/v1/{}", entry.unwrap()["name"].as_str().unwrap()))
        };
        let [(ours, our_name), (theirs, their_name), (none, no_name)] =
            ["ours", "theirs", "nobodys"].map(named);
        for (entry, name) in [(&ours, &our_name), (&theirs, &their_name), (&none, &no_name)] {
            assert_eq!(get(name, &root, "r").await.json(), *entry);
        }
        assert_eq!(get(&our_name, &own, "r").await.json(), ours);
        assert_eq!(get(&our_name.replace("/acme/", "/-/"), &own, "r").await.json(), ours);
        get(&their_name, &own, "r").await.refused(403, "PERMISSION_DENIED");
        let id = our_name.rsplit('/').next().unwrap();
        for (target, key) in [
            (&*their_name.replace("/other/", "/-/"), &own),
            (&*no_name, &own),
            (&*no_name, &every_project),
            (&*no_name.replace("/v1/", "/v1/projects/-/"), &root),
            (&*no_name.replace("/auditEntries/", "/auditEntries/%2FauditEntries%2F"), &root),
            (&*format!("/v1/auditEntries/{}", our_name["/v1/".len()..].replace('/', "%2F")), &root),
            (&*their_name.replace("/other/", "/acme/"), &root),
            (&*format!("/v1/auditEntries/{id}"), &root),
            (
                &*our_name
                    .to_uppercase()
                    .replace("/V1/PROJECTS/ACME/AUDITENTRIES/", "/v1/projects/acme/auditEntries/"),
                &own,
            ),
            ("/v1/auditEntries/0198c5b2-6d1e-7c44-9a3f-5b0f4a1c2d3e", &root),
            ("/v1/auditEntries/ffffffff-ffff-ffff-ffff-ffffffffffff", &root),
            ("/v1/auditEntries/x", &root),
        ] {
            get(target, key, "r").await.refused(404, "RESOURCE_NOT_FOUND");
        }
    }
}

#[tokio::test]
async fn pages_neither_skip_nor_repeat() {
    let upstream = Scripted::start(|_| book()).await;
    let gateway = Gateway::library_with(&upstream, &[&Database::sqlite().setting()]).await;
    for n in 0..25 {
        let id = format!("p{n:02}");
        gateway.send("POST", "/v1/shelves/s/books/b:archive", &[("x-request-id", &id)], "{}").await;
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let filter = "filter=method%3Dacme.v1.Library.ArchiveBook";
        let page = list(&gateway, &format!("{filter}&orderBy=time&pageSize=10&pageToken={token}")).await;
        for entry in page["auditEntries"].as_array().unwrap() {
            seen.push(entry["requestId"].as_str().unwrap().to_owned());
        }
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    let expected: Vec<String> = (0..25).map(|n| format!("p{n:02}")).collect();
    assert_eq!(seen, expected);
    let foreign = gateway.get(&format!("/v1/auditEntries?pageToken={token}")).await;
    assert_eq!(foreign.status, 400, "a token is good for its query only");
    let lines = gateway.get("/v1/auditEntries:export").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert!(lines.text().lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    for (query, reason) in
        [("pageSize=-1", "INVALID_FIELD"), ("color=red", "UNKNOWN_FIELD"), ("filter=x", "INVALID_FIELD")]
    {
        let refused = gateway.get(&format!("/v1/auditEntries?{query}")).await;
        assert_eq!(refused.json()["error"]["details"][0]["reason"], reason, "{query}");
    }
}

/// Runs `causeway audit verify`, and returns whether it was content and what it said.
fn verify(database: &Database) -> (bool, String) {
    let output =
        causeway(&["audit", "verify", "--set", &database.setting()]).output().expect("the binary starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test]
async fn an_export_that_is_read_in_part_is_no_failure() {
    let database = Database::sqlite();
    let upstream = Scripted::start(|_| book()).await;
    let gateway = Gateway::library_with(&upstream, &[&database.setting()]).await;
    gateway.post("/v1/shelves/s/books/b:archive", "{}").await;
    list(&gateway, "").await;
    gateway.signal().await;
    gateway.ended().await.unwrap();
    let setting = database.setting();
    let mut export = causeway(&["audit", "export", "--set", &setting]);
    let whole = export.output().expect("the binary starts");
    assert!(!whole.stdout.is_empty(), "there is something to read");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = export.stdout(writer).output().expect("the binary starts");
    let told = String::from_utf8_lossy(&unread.stderr);
    assert!(unread.status.success() && told.is_empty(), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_the_log_is_found_out() {
    let Some(database) = Database::postgres().await else { return };
    let upstream = Scripted::start(|_| book()).await;
    let gateway = Gateway::library_with(&upstream, &[&database.setting()]).await;
    for _ in 0..12 {
        gateway.post("/v1/shelves/s/books/b:archive", "{}").await;
        list(&gateway, "").await;
    }
    gateway.signal().await;
    gateway.ended().await.unwrap();
    let (content, text) = verify(&database);
    assert!(content && text.contains("entries are as they were sealed"), "{text}");

    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let harms = [
        ("entry 7:", "UPDATE audit_entries SET outcome = replace(outcome, '200', '500') WHERE seq = 7"),
        ("entry 7:", "UPDATE audit_entries SET principal = 'mallory' WHERE seq = 7"),
        ("entry 7:", "DELETE FROM audit_entries WHERE seq = 7"),
        (
            "entry 7:",
            "UPDATE audit_entries a SET id = b.id, entry = b.entry FROM audit_entries b WHERE a.seq = 7 AND b.seq = 8",
        ),
        (
            "entry 1000:",
            "UPDATE audit_entries SET seq = 1000 WHERE seq = (SELECT max(seq) FROM audit_entries)",
        ),
        // It was shown to readers, and not looked at.
        (
            "entry -5:",
            "INSERT INTO audit_entries SELECT -5, sealed_at, id, opened_at, closed_at, 'forged', principal, project, method,
             resource, status, entry, outcome, digest FROM audit_entries WHERE seq = 7",
        ),
        ("entry 1:", "UPDATE audit_seals SET root = decode(repeat('00', 32), 'hex') WHERE first_seq = 1"),
    ];
    let backup =
        "CREATE TABLE kept AS SELECT * FROM audit_entries; CREATE TABLE seals AS SELECT * FROM audit_seals";
    sqlx::raw_sql(backup).execute(&pool).await.unwrap();
    for (named, harm) in harms {
        sqlx::query(harm).execute(&pool).await.unwrap();
        let (content, text) = verify(&database);
        let named = if named == "entry 1000:" { "is missing" } else { named };
        assert!(!content && text.contains(named), "{harm}: {text}");
        let restore = "TRUNCATE audit_entries; INSERT INTO audit_entries SELECT * FROM kept; \
                       TRUNCATE audit_seals; INSERT INTO audit_seals SELECT * FROM seals";
        sqlx::raw_sql(AssertSqlSafe(restore)).execute(&pool).await.unwrap();
        assert!(verify(&database).0, "restored");
    }
}

/// Postgres keeps no such name in an index: one request stopped the log for good, and one that was refused took with it what
/// was written together with it.
#[tokio::test]
async fn a_name_of_any_length_stops_no_log() {
    for database in Database::each().await {
        // Nothing that could be compressed.
        let long: String = std::iter::repeat_with(fastrand::alphanumeric).take(3500).collect();
        let operation = json!({"name": format!("projects/p/locations/l/operations/{long}")});
        let upstream = Scripted::start(move |call| match call.method.rsplit('.').next() {
            Some("CreateStream") => Answer::Message(operation.clone()),
            _ => Answer::Message(json!({})),
        })
        .await;
        let ring = Keyring::of(database).await;
        let mut settings: Vec<String> = ring.settings().into();
        settings.push(format!("upstreams.datastream.endpoint=http://{}", upstream.address));
        let gateway = Gateway::start(&settings).await;
        let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
        let (_, olga) = ring.make("olga", Role::Operator, &["projects/olga"]).await;
        let send = async |verb: &str, key: &str, target: &str| {
            let headers = [("x-goog-api-key", key), ("content-type", "application/json")];
            gateway.send(verb, target, &headers, if verb == "POST" { "{}" } else { "" }).await
        };
        for (verb, key, target) in [
            ("POST", &olga, format!("/v1/projects/olga/operations/{long}:cancel")),
            ("DELETE", &root, format!("/v1/projects/p/locations/l/streams/{long}")),
            ("GET", &olga, format!("/v1/projects/{long}/locations/l/streams")),
            ("GET", &root, format!("/v1/projects/{long}:overview")),
        ] {
            send(verb, key, &target).await.refused(400, "LIMIT_EXCEEDED");
        }
        let name = format!("projects/p/locations/l/operations/{long}");
        let headers = [("x-goog-api-key", &*root), ("content-type", "application/json")];
        let track = json!({"upstream": "datastream", "name": name}).to_string();
        gateway.send("POST", "/v1/operations:track", &headers, track).await.refused(400, "INVALID_FIELD");
        let parent = "/v1/projects/p/locations/l/streams";
        assert_eq!(send("POST", &root, &format!("{parent}?streamId=s")).await.status, 200);
        // What fits as a path, and is longer than what an index takes.
        let fits = format!("{parent}/{}", &long[..1900]);
        assert_eq!(send("GET", &root, &fits).await.status, 200);
        assert_eq!(send("GET", &root, &format!("{parent}/last")).await.status, 200);
        let entries = send("GET", &root, "/v1/auditEntries?pageSize=100").await.json();
        let entries = entries["auditEntries"].as_array().unwrap();
        assert_eq!(entries.iter().filter(|entry| entry["reason"] == "LIMIT_EXCEEDED").count(), 4);
        let last = json!(["projects/p/locations/l/streams/last"]);
        assert!(entries.iter().any(|entry| entry["resourceNames"] == last), "{entries:?}");
    }
}
