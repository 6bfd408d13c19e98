//! Stories about list pages that are kept: who is shown what, and when it is out of date.

mod across;
mod cluster;
mod isolation;
mod overview;
mod shared;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use serde_json::json;

use crate::harness::{Answer, Call, Gateway, Scripted};

const BOOKS: &str = "/v1/shelves/s/books";
const LIST: &str = "acme.v1.Library.ListBooks";

/// Writes a service YAML that keeps the pages of the library for so long, and returns its setting.
fn rules(ttl: &str, stale: &str) -> String {
    rules_at(&format!("pages-{ttl}-{stale}"), "", ttl, stale)
}

/// The same, for a library that has other paths.
fn rules_at(name: &str, http: &str, ttl: &str, stale: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    let text = format!(
        "type: google.api.Service\nname: library\napis:\n- name: acme.v1.Library\n{http}causeway:\n  rules:\n  \
         - selector: {LIST}\n    cache: {{ ttl: {ttl}, stale: {stale} }}\n"
    );
    // Stories that run beside this one write the same file, and a gateway must not read half of it.
    let draft = path.with_extension(format!("{:016x}", fastrand::u64(..)));
    std::fs::write(&draft, text).expect("the target folder is writable");
    std::fs::rename(&draft, &path).expect("the target folder is writable");
    format!("upstreams.library.service_config=\"{}\"", path.display())
}

/// A library whose lists say how often they were read.
async fn counting() -> (Scripted, Arc<AtomicUsize>) {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = lists.clone();
    let upstream = Scripted::start(move |call: &Call| match call.method == LIST {
        true => {
            let number = count.fetch_add(1, SeqCst) + 1;
            Answer::Message(json!({"books": [{"name": "shelves/s/books/b", "copies": number}]}))
        }
        false => Answer::Message(json!({"name": "shelves/s/books/b"})),
    })
    .await;
    (upstream, lists)
}

async fn keeping(upstream: &Scripted, more: &[&str]) -> Gateway {
    let rules = rules("30s", "60s");
    let more: Vec<&str> = [rules.as_str()].into_iter().chain(more.iter().copied()).collect();
    Gateway::library_with(upstream, &more).await
}

/// Reads the page and returns how often it had been read when it was made.
async fn copies(gateway: &Gateway, target: &str, headers: &[(&str, &str)]) -> i64 {
    let response = gateway.send("GET", target, headers, "").await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["books"][0]["copies"].as_i64().unwrap()
}

#[tokio::test]
async fn a_page_is_read_once_and_says_where_it_comes_from() {
    let (upstream, lists) = counting().await;
    let gateway = keeping(&upstream, &[]).await;
    let first = gateway.get(BOOKS).await;
    assert_eq!(first.header("cache-status"), "causeway; fwd=uri-miss; stored");
    assert_eq!(first.header("vary"), "Authorization, X-Goog-Api-Key, Accept-Encoding");
    assert_eq!((first.header("cache-control"), first.header("age")), ("private, no-cache", "0"));
    let second = gateway.get(BOOKS).await;
    assert!(second.header("cache-status").starts_with("causeway; hit; ttl="), "{:?}", second.headers);
    assert!(second.header("cache-status").ends_with("; detail=memory"));
    assert_eq!((&first.body, first.header("etag")), (&second.body, second.header("etag")));
    assert_eq!(first.header("content-type"), second.header("content-type"));
    assert_eq!(lists.load(SeqCst), 1);

    let known = gateway.send("GET", BOOKS, &[("if-none-match", first.header("etag"))], "").await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    // A cache that asks so would take another length for another page, and drop what it has.
    let head = gateway.send("HEAD", BOOKS, &[("if-none-match", first.header("etag"))], "").await;
    assert_eq!((head.status.as_u16(), head.headers.get("content-length")), (304, None));
    assert_eq!(known.header("etag"), first.header("etag"));
    assert!(known.header("cache-status").starts_with("causeway; hit"));
    let other = gateway.send("GET", BOOKS, &[("if-none-match", "\"other\"")], "").await;
    assert_eq!(other.status, 200);
    let head = gateway.send("HEAD", BOOKS, &[], "").await;
    assert_eq!((head.status.as_u16(), head.header("etag")), (200, first.header("etag")));
    assert_eq!(lists.load(SeqCst), 1);

    let hits = gateway.metric("causeway_cache_requests_total{outcome=\"hit\",detail=\"memory\"}").await;
    assert!(hits.unwrap() >= 4.0);
    assert!(gateway.metric("causeway_cache_memory_bytes").await.unwrap() > 0.0);
}

#[tokio::test]
async fn what_is_asked_for_in_other_words_is_another_page() {
    let (upstream, lists) = counting().await;
    let gateway = keeping(&upstream, &[]).await;
    let targets = [
        "/v1/shelves/s/books",
        "/v1/shelves/t/books",
        "/v1/shelves/s/books?pageSize=5",
        "/v1/shelves/s/books?pageSize=5&filter=a",
        "/v1/shelves/s/books?pageToken=5",
        "/v1/shelves/s/books?$alt=json;enum-encoding=int",
        "/v1/shelves/s/books?fields=books.copies",
        "/v1/shelves/s/books?prettyPrint=true",
    ];
    for (number, target) in (1..).zip(targets) {
        assert_eq!(copies(&gateway, target, &[]).await, number, "{target}");
    }
    let wire = gateway.get("/v1/shelves/s/books?$alt=proto").await;
    assert_eq!(wire.header("content-type"), "application/x-protobuf");
    let count = lists.load(SeqCst);
    for (number, target) in (1..).zip(targets) {
        assert_eq!(copies(&gateway, target, &[]).await, number, "{target}");
    }
    assert_eq!(gateway.get("/v1/shelves/s/books?$alt=proto").await.body, wire.body);
    let turned = "/v1/shelves/s/books?filter=a&pageSize=5";
    assert_eq!(copies(&gateway, turned, &[]).await, 4, "the order of parameters does not matter");
    // The same under the upstream's own prefix, and by the original names.
    assert_eq!(copies(&gateway, "/library/v1/shelves/s/books?page_size=5", &[]).await, 3);
    assert_eq!(lists.load(SeqCst), count);
    assert_eq!(copies(&gateway, BOOKS, &[("accept-language", "de")]).await, 10);
}

#[tokio::test]
async fn the_caller_decides_whether_a_kept_page_will_do() {
    let (upstream, _) = counting().await;
    let gateway = keeping(&upstream, &[]).await;
    assert_eq!(copies(&gateway, BOOKS, &[]).await, 1);
    let fresh = gateway.send("GET", BOOKS, &[("cache-control", "no-cache")], "").await;
    assert_eq!(fresh.header("cache-status"), "causeway; fwd=request; stored");
    assert_eq!(copies(&gateway, BOOKS, &[]).await, 2);
    let apart = gateway.send("GET", BOOKS, &[("cache-control", "no-store")], "").await;
    assert_eq!(apart.header("cache-status"), "causeway; fwd=bypass; detail=no-store");
    assert_eq!(copies(&gateway, BOOKS, &[]).await, 2);
    assert_eq!(copies(&gateway, BOOKS, &[("cache-control", "max-age=0")]).await, 4);
}

#[tokio::test]
async fn a_change_through_the_gateway_ends_the_page_whatever_came_of_it() {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = lists.clone();
    let upstream = Scripted::start(move |call: &Call| match call.method.as_str() {
        LIST => {
            let number = count.fetch_add(1, SeqCst) + 1;
            Answer::Message(json!({"books": [{"copies": number}]}))
        }
        "acme.v1.Library.DeleteBook" => Answer::Refuse(14, "who knows", Vec::new()),
        "acme.v1.Library.GetBook" => Answer::Message(json!({"name": "shelves/s/books/b"})),
        "acme.v1.Library.UpdateBook" => Answer::Refuse(5, "no such book", Vec::new()),
        _ => Answer::Message(json!({"name": "shelves/s/books/b"})),
    })
    .await;
    let gateway = keeping(&upstream, &[]).await;
    let book = "/v1/shelves/s/books/b";
    let mut seen = copies(&gateway, BOOKS, &[]).await;
    for (verb, target, body) in [
        ("POST", BOOKS.to_owned(), "{}"),
        ("PATCH", book.to_owned(), "{}"),
        ("DELETE", book.to_owned(), ""),
        ("POST", format!("{book}:archive"), "{}"),
        ("POST", "/library/v1/shelves/s/books".to_owned(), "{}"),
    ] {
        assert_eq!(copies(&gateway, BOOKS, &[]).await, seen);
        gateway.send(verb, &target, &[], body).await;
        seen += 1;
        assert_eq!(copies(&gateway, BOOKS, &[]).await, seen, "{verb} {target}");
    }
    gateway.get(book).await;
    gateway.post(BOOKS, "no JSON").await;
    gateway.post("/v1/shelves/t/books", "{}").await;
    assert_eq!(copies(&gateway, BOOKS, &[]).await, seen, "what changed nothing here ends nothing");
}

/// Every second part of a path was taken for a collection. Where there is one more, pages stayed as they were.
#[tokio::test]
async fn a_change_ends_the_page_whatever_its_path_looks_like() {
    for (at, (list, change)) in [
        ("/v1/{parent=shelves/*/inbox}/books", "/v1/shelves/s/inbox/books"),
        ("/api/{parent=shelves/*}/books", "/api/shelves/s/books"),
        ("/api/shelves/{parent}/books", "/api/shelves/s/books"),
        ("/v1/shop/books", "/v1/shop/books"),
    ]
    .into_iter()
    .enumerate()
    {
        let (upstream, _) = counting().await;
        let http = format!(
            "http:\n  rules:\n  - selector: {LIST}\n    get: {list}\n  \
             - selector: acme.v1.Library.CreateBook\n    post: {list}\n    body: book\n"
        );
        let rules = rules_at(&format!("pages-at-{at}"), &http, "30s", "60s");
        let gateway = Gateway::library_with(&upstream, &[&rules]).await;
        assert_eq!(copies(&gateway, change, &[]).await, 1, "{list}");
        assert_eq!(copies(&gateway, change, &[]).await, 1, "{list}");
        let made = gateway.post(change, "{}").await;
        assert_eq!(made.status, 200, "{list}: {}", made.text());
        assert_eq!(copies(&gateway, change, &[]).await, 2, "{list}");
    }
}

#[tokio::test]
async fn failures_are_not_kept_and_neither_is_what_is_incomplete() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let upstream = Scripted::start(move |call: &Call| match count.fetch_add(1, SeqCst) {
        0 => Answer::Refuse(5, "no such project", Vec::new()),
        1 => Answer::Refuse(8, "slow down", Vec::new()),
        2 if call.method.ends_with("ListConnections") => {
            Answer::Message(json!({"connections": [{"name": "a"}]}))
        }
        _ => Answer::Message(json!({"streams": [{"name": "a"}], "unreachable": ["projects/p/locations/b"]})),
    })
    .await;
    let gateway = Gateway::builtin(&upstream).await;
    let connections = "/v1/projects/p/locations/l/connections";
    for (status, total) in [(404, 1), (429, 2), (200, 3), (200, 3)] {
        assert_eq!(gateway.get(connections).await.status, status);
        assert_eq!(calls.load(SeqCst), total);
    }
    for total in [4, 5] {
        let partial = gateway.get("/v1/projects/p/locations/l/streams").await;
        assert_eq!(partial.header("cache-status"), "causeway; fwd=uri-miss");
        assert_eq!(calls.load(SeqCst), total);
    }
}

#[tokio::test]
async fn the_built_in_lists_are_kept_and_operations_are_not() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let settings = ["bigqueryconnection", "datastream", "flyte", "spanner"]
        .map(|key| format!("upstreams.{key}.endpoint=http://{}", upstream.address));
    let gateway = Gateway::start(&settings).await;
    for target in [
        "/v1/projects/p/locations/l/connections",
        "/v1/projects/p/locations/l/streams",
        "/v1/projects/p/locations/l/streams/s/objects",
        "/datastream/v1/projects/p/locations",
        "/api/v1/agents",
        "/v1/projects/p/instances",
    ] {
        let first = gateway.get(target).await;
        assert_eq!(first.header("cache-status"), "causeway; fwd=uri-miss; stored", "{target}");
        assert!(gateway.get(target).await.header("cache-status").contains("hit"), "{target}");
    }
    for target in [
        "/datastream/v1/projects/p/locations/l/operations",
        "/v1/projects/p/instances/i/databases/d/operations",
        "/v1/projects/p/instances/i/databaseOperations",
        "/v1/projects/p/locations/l/streams/s",
    ] {
        let response = gateway.get(target).await;
        assert_eq!((response.status.as_u16(), response.header("cache-status")), (200, ""), "{target}");
        assert_eq!(response.header("etag"), "");
    }
}

#[tokio::test]
async fn a_gateway_that_keeps_nothing_says_nothing() {
    let (upstream, _) = counting().await;
    let gateway = keeping(&upstream, &["cache.enabled=false"]).await;
    for number in 1..3 {
        let response = gateway.get(BOOKS).await;
        assert_eq!(response.json()["books"][0]["copies"], number);
        assert_eq!(response.header("cache-status"), "");
    }
}

#[tokio::test]
async fn a_stale_page_is_shown_while_a_new_one_comes_and_never_past_its_time() {
    let (upstream, lists) = counting().await;
    let rules = rules("50ms", "1h");
    let gateway = Gateway::library_with(&upstream, &[&rules]).await;
    assert_eq!(copies(&gateway, BOOKS, &[]).await, 1);
    let mut stale = 0;
    while lists.load(SeqCst) < 5 {
        let response = gateway.get(BOOKS).await;
        stale += usize::from(response.header("cache-status").contains("ttl=-"));
    }
    assert!(stale >= 4, "{stale}");
}

#[tokio::test]
async fn a_thousand_callers_make_one_call_and_one_who_leaves_takes_nobody_along() {
    let (answers, waiting) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (leave, count) = (answers.clone(), waiting.clone());
    let upstream = Scripted::start(move |_| {
        count.fetch_add(1, SeqCst);
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let leave = leave.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the story")]
        tokio::spawn(async move {
            leave.acquire().await.unwrap().forget();
            let _ = sender.send(Ok(json!({"books": [{"copies": 7}]}))).await;
        });
        Answer::Stream(receiver)
    })
    .await;
    let gateway = Arc::new(keeping(&upstream, &[]).await);
    // The one who asks first has no patience.
    let impatient = gateway.send("GET", BOOKS, &[("x-server-timeout", "0.05")], "").await;
    impatient.refused(504, "UPSTREAM_TIMEOUT");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut connection = crate::harness::Connection::http2(gateway.address).await;
        tasks.spawn(async move {
            let mut all = Vec::new();
            for _ in 0..50 {
                all.push(connection.open("GET", BOOKS, &[], "").await.status());
            }
            all
        });
    }
    tokio::task::yield_now().await;
    answers.add_permits(1);
    let statuses = tasks.join_all().await.concat();
    assert_eq!(statuses.len(), 1000);
    assert!(statuses.iter().all(|status| *status == 200));
    assert_eq!(waiting.load(SeqCst), 1);
}
