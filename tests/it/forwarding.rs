//! What goes up to an upstream, and what comes down from it.

use serde_json::json;

use crate::harness::{Answer, Gateway, Scripted, bytes};

const BOOK: &str = "/v1/shelves/s/books/b";

async fn answering(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Scripted, Gateway) {
    let upstream = Scripted::start(move |_| answer()).await;
    let gateway = Gateway::library(&upstream).await;
    (upstream, gateway)
}

fn book() -> Answer {
    Answer::Message(
        json!({"name": "shelves/s/books/b", "title": "Emma", "genre": "NOVEL", "pages": "9007199254740993"}),
    )
}

#[tokio::test]
async fn the_request_id_and_the_trace_go_through() {
    let (upstream, gateway) = answering(book).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let given = [("x-request-id", "order-7"), ("traceparent", trace), ("tracestate", "a=b")];
    let response = gateway.send("GET", BOOK, &given, "").await;
    assert_eq!(response.header("x-request-id"), "order-7");
    let up = upstream.last().headers;
    assert_eq!(
        (&up["x-request-id"], &up["tracestate"]),
        (&"order-7".parse().unwrap(), &"a=b".parse().unwrap())
    );
    let parent = up["traceparent"].to_str().unwrap();
    assert_eq!((&parent[..36], &parent[52..]), (&trace[..36], "-01"));
    assert_ne!(&parent[36..52], &trace[36..52]);

    let response = gateway.get(BOOK).await;
    assert_eq!(response.header("x-request-id").len(), 32);
    assert_eq!(upstream.last().headers["x-request-id"], response.header("x-request-id"));
}

#[tokio::test]
async fn the_routing_header_is_made_from_the_path_and_never_taken_over() {
    let (upstream, gateway) = answering(book).await;
    let target = "/v1/shelves/example.com:s/books/b%20c";
    gateway.send("GET", target, &[("x-goog-request-params", "name=forged")], "").await;
    let up = upstream.last();
    assert_eq!(up.headers["x-goog-request-params"], "name=shelves/example.com%3As/books/b%20c");
    assert_eq!(up.request, json!({"name": "shelves/example.com:s/books/b c"}));
    gateway.send("PATCH", &format!("{BOOK}?updateMask=title"), &[], r#"{"title":"x"}"#).await;
    assert_eq!(upstream.last().headers["x-goog-request-params"], "book.name=shelves/s/books/b");
}

/// Nothing happened: the upstream took a change of two fields for one of all.
#[tokio::test]
async fn a_rule_makes_a_missing_mask_of_the_body() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("derived-mask.yaml");
    let rules = "apis: [{ name: acme.v1.Library }]\ncauseway: { rules: [{ selector: acme.v1.Library.UpdateBook, derive_mask: true }] }";
    std::fs::write(&file, rules).unwrap();
    let upstream = Scripted::start(|_| book()).await;
    let rules = format!("upstreams.library.service_config=\"{}\"", file.display());
    let gateway = Gateway::library_with(&upstream, &[&rules]).await;
    let patch = async |target: &str, key: &str, body: &'static str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        gateway.send("PATCH", target, &headers, body).await
    };
    let whole = r#"{"title": "Emma", "sequel": {"pages": 3, "name": "s"}, "authors": null}"#;
    assert_eq!(patch(BOOK, "one", whole).await.status, 200);
    assert_eq!(upstream.last().request["updateMask"], "authors,sequel.name,sequel.pages,title");
    // The mask is part of what is asked for.
    assert_eq!(patch(BOOK, "two", r#"{"title": "Emma", "authors": null}"#).await.status, 200);
    patch(BOOK, "two", r#"{"title": "Emma"}"#).await.refused(422, "IDEMPOTENCY_MISMATCH");
    let given = patch(&format!("{BOOK}?updateMask=title"), "three", whole).await;
    assert_eq!((given.status.as_u16(), &upstream.last().request["updateMask"]), (200, &json!("title")));
    let message = patch(BOOK, "four", "{}").await.refused(400, "INVALID_FIELD");
    assert!(message.starts_with("updateMask: cannot be made"), "{message}");
}

/// An own service could not be told what its callers say in headers of its own.
#[tokio::test]
async fn headers_that_the_configuration_names_go_up_and_are_part_of_the_request() {
    let upstream = Scripted::start(|_| book()).await;
    let gateway =
        Gateway::library_with(&upstream, &["upstreams.library.forward_headers=[\"X-Tenant\"]"]).await;
    let given = [("X-Tenant", "acme"), ("x-tenant", "two words"), ("x-secret", "s")];
    assert_eq!(gateway.send("GET", BOOK, &given, "").await.status, 200);
    let up = upstream.last().headers;
    assert_eq!(up.get_all("x-tenant").iter().collect::<Vec<_>>(), ["acme", "two words"]);
    assert!(!up.contains_key("x-secret"));
    gateway.get(BOOK).await;
    assert!(!upstream.last().headers.contains_key("x-tenant"));

    let calls = upstream.calls().len();
    let refused = gateway.send("GET", BOOK, &[("x-tenant", "Zoë")], "").await;
    let message = refused.refused(400, "INVALID_FIELD");
    assert!(message.starts_with("x-tenant: this header goes to the upstream"), "{message}");
    let long = "x".repeat(4096);
    gateway.send("GET", BOOK, &[("x-tenant", &*long)], "").await.refused(400, "LIMIT_EXCEEDED");
    assert_eq!(upstream.calls().len(), calls);

    let archive = async |tenant: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k"), ("x-tenant", tenant)];
        gateway.send("POST", &format!("{BOOK}:archive"), &headers, "{}").await
    };
    assert_eq!(archive("acme").await.status, 200);
    assert_eq!(archive("acme").await.header("idempotency-replayed"), "true");
    archive("rival").await.refused(422, "IDEMPOTENCY_MISMATCH");
}

#[tokio::test]
async fn no_credential_goes_up_unless_the_upstream_takes_the_callers() {
    let (upstream, gateway) = answering(book).await;
    let given = [("authorization", "Bearer a"), ("cookie", "b=c"), ("x-secret", "d")];
    gateway.send("GET", BOOK, &given, "").await;
    for name in ["authorization", "cookie", "x-secret"] {
        assert!(!upstream.last().headers.contains_key(name), "{name}");
    }

    let gateway = Gateway::library_with(&upstream, &["upstreams.library.credentials=caller"]).await;
    gateway.send("GET", BOOK, &given, "").await;
    assert_eq!(upstream.last().headers["authorization"], "Bearer a");
    let meant = [("authorization", "Bearer a"), ("x-causeway-upstream-authorization", "Bearer b")];
    gateway.send("GET", BOOK, &meant, "").await;
    assert_eq!(upstream.last().headers["authorization"], "Bearer b");
}

#[tokio::test]
async fn the_callers_patience_becomes_the_deadline() {
    let (upstream, gateway) = answering(|| Answer::Never).await;
    for header in [("x-server-timeout", "0.05"), ("grpc-timeout", "50m")] {
        let response = gateway.send("GET", BOOK, &[header], "").await;
        let message = response.refused(504, "UPSTREAM_TIMEOUT");
        assert!(message.contains("library"), "{message}");
        assert!(upstream.last().headers.contains_key("grpc-timeout"));
    }
}

#[tokio::test]
async fn headers_of_the_upstream_come_down_without_those_of_grpc() {
    let (_upstream, gateway) = answering(|| {
        Answer::WithHeaders(&[("x-quota", "7"), ("trace-bin", "AAEC"), ("set-cookie", "a=b")], json!({}))
    })
    .await;
    let response = gateway.get(BOOK).await;
    assert_eq!(response.header("x-quota"), "7");
    for name in ["trace-bin", "set-cookie", "grpc-status", "grpc-message"] {
        assert!(!response.headers.contains_key(name), "{name}");
    }
    assert_eq!(response.header("content-type"), "application/json; charset=utf-8");
}

/// They were dropped.
#[tokio::test]
async fn what_an_upstream_sends_with_a_refusal_comes_down_too() {
    let (_upstream, gateway) = answering(|| {
        let trailers =
            &[("x-quota", "7"), ("trace-bin", "AAEC"), ("set-cookie", "a=b"), ("x-request-id", "forged")];
        Answer::RefuseWith(9, trailers)
    })
    .await;
    for (verb, target) in [("GET", BOOK), ("DELETE", BOOK), ("GET", "/v1/shelves/s/books:watch")] {
        let refused = gateway.send(verb, target, &[], "").await;
        assert_eq!((refused.status.as_u16(), refused.header("x-quota")), (400, "7"), "{verb} {target}");
        for name in ["trace-bin", "set-cookie", "grpc-status", "grpc-message"] {
            assert!(!refused.headers.contains_key(name), "{name}");
        }
        assert_ne!(refused.header("x-request-id"), "forged");
        assert_eq!(refused.header("content-type"), "application/json; charset=utf-8");
    }
}

#[tokio::test]
async fn an_upstreams_refusal_passes_with_its_details() {
    let (_upstream, gateway) = answering(|| {
        let info =
            json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "GONE", "domain": "acme"});
        let mut status = bytes("google.rpc.Status", json!({"code": 5, "message": "gone", "details": [info]}));
        // A detail whose type nobody here knows: google.protobuf.Any { type_url: "x/acme.No", value: 0x01 }.
        status.extend_from_slice(b"\x1a\x0e\x0a\x09x/acme.No\x12\x01\x01");
        Answer::Refuse(5, "gone", status)
    })
    .await;
    let response = gateway.get(BOOK).await;
    assert_eq!(response.status, 404);
    assert_eq!(
        response.json(),
        json!({"error": {"code": 404, "message": "gone", "status": "NOT_FOUND", "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "GONE", "domain": "acme"},
            {"@type": "x/acme.No", "value": "AQ=="},
        ]}})
    );
    let legacy = gateway.get(&format!("{BOOK}?$.xgafv=1")).await.json();
    assert_eq!(legacy["error"]["errors"][0]["reason"], "notFound");
}

#[tokio::test]
async fn every_code_of_an_upstream_has_its_status() {
    let expected = [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, status) in (1..).zip(expected) {
        let (_upstream, gateway) = answering(move || Answer::Refuse(code, "no", Vec::new())).await;
        let response = gateway.get(BOOK).await;
        assert_eq!(response.status, status, "code {code}");
        assert_eq!(response.json()["error"]["message"], "no");
    }
}

#[tokio::test]
async fn nonsense_from_an_upstream_is_its_fault_and_not_the_callers() {
    let (_upstream, gateway) = answering(|| Answer::Bytes(vec![0x0a, 0xff])).await;
    let response = gateway.get(BOOK).await;
    assert!(response.status.is_server_error(), "{}", response.text());
    let error = &response.json()["error"];
    assert_eq!(error["details"][0]["reason"], "UPSTREAM_INVALID_RESPONSE");
    let told = error["message"].as_str().unwrap();
    assert!(told.contains("`library`") && told.contains("acme.v1.Library.GetBook"), "{told}");
}

#[tokio::test]
async fn a_known_upstream_without_a_section_says_what_to_add() {
    let (_upstream, gateway) = answering(book).await;
    let response = gateway.get("/v1/projects/p/locations/us/connections/c").await;
    let message = response.refused(501, "UPSTREAM_NOT_CONFIGURED");
    assert!(message.contains("[upstreams.bigqueryconnection]"), "{message}");
}

#[tokio::test]
async fn what_is_dropped_is_named_in_a_header() {
    let upstream = Scripted::start(|_| book()).await;
    let gateway = Gateway::library_with(&upstream, &["upstreams.library.unknown_fields=warn"]).await;
    let response = gateway.post("/v1/shelves/s/books?nope=1", r#"{"title":"Emma","sequel":{"no":1}}"#).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let dropped = response.header("causeway-ignored-fields");
    assert!(dropped.contains("nope") && dropped.contains("sequel.no"), "{dropped}");
}

/// Clients of many kinds send what a method without a body has no place for, and were refused however lenient the upstream.
#[tokio::test]
async fn where_no_body_is_taken_unknown_fields_are_dropped_too() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let gateway = Gateway::library_with(&upstream, &["upstreams.library.unknown_fields=warn"]).await;
    let response = gateway.send("DELETE", BOOK, &[], r#"{"nope":{"a":[1]},"no":2}"#).await;
    assert_eq!((response.status.as_u16(), response.header("causeway-ignored-fields")), (200, "nope, no"));
    // What it has cannot be given like this, and is more than a word too many.
    let refused = gateway.send("GET", "/v1/shelves/s/books", &[], r#"{"nope":1,"filter":"f"}"#).await;
    refused.refused(400, "INVALID_FIELD");
    let strict = Gateway::library(&upstream).await;
    strict.send("DELETE", BOOK, &[], r#"{"nope":1}"#).await.refused(400, "INVALID_FIELD");
    assert_eq!(upstream.calls().len(), 1);
}

/// What was dropped is often why it was refused.
#[tokio::test]
async fn what_is_dropped_is_named_beside_an_error_too() {
    let upstream = Scripted::start(|_| Answer::Refuse(3, "no title", Vec::new())).await;
    let gateway = Gateway::library_with(&upstream, &["upstreams.library.unknown_fields=warn"]).await;
    let refused = gateway.post("/v1/shelves/s/books", r#"{"titel":"Emma"}"#).await;
    assert_eq!((refused.status.as_u16(), refused.header("causeway-ignored-fields")), (400, "book.titel"));
    let missing = gateway.get("/v1/shelves/s/books?nope=1").await;
    assert_eq!((missing.status.as_u16(), missing.header("causeway-ignored-fields")), (400, "nope"));
}

#[tokio::test]
async fn callers_choose_how_an_answer_is_printed() {
    let (_upstream, gateway) = answering(book).await;
    let get = async |query: &str| gateway.get(&format!("{BOOK}?{query}")).await;
    assert_eq!(
        get("").await.json(),
        json!({"name": "shelves/s/books/b", "title": "Emma", "genre": "NOVEL", "pages": "9007199254740993"})
    );
    assert_eq!(get("$alt=json;enum-encoding=int").await.json()["genre"], 1);
    assert_eq!(get("fields=title").await.json(), json!({"title": "Emma"}));
    assert_eq!(
        get("$fields=title,pages").await.json(),
        json!({"title": "Emma", "pages": "9007199254740993"})
    );
    assert!(get("prettyPrint=true").await.text().contains("\n"));
    let proto = get("$alt=proto").await;
    assert_eq!(proto.header("content-type"), "application/x-protobuf");
    assert_eq!(proto.body, bytes("acme.v1.Book", get("").await.json()));
    get("$fields=no.such").await.refused(400, "INVALID_FIELD");
    assert_eq!(gateway.get(&format!("{BOOK}:title")).await.text(), "\"Emma\"");
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let (_upstream, gateway) = answering(book).await;
    let length = gateway.get(BOOK).await.body.len().to_string();
    let head = gateway.send("HEAD", BOOK, &[], "").await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, &*length, 0));
}

#[tokio::test]
async fn a_method_bound_to_head_is_called_and_its_answer_has_no_body() {
    let upstream = Scripted::start(|_| book()).await;
    let rules = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bound-to-head.yaml");
    let text = "http: { rules: [{ selector: acme.v1.Library.GetBook, \
                custom: { kind: HEAD, path: '/v1/{name=shelves/*/books/*}' } }] }";
    std::fs::write(&rules, text).unwrap();
    let setting = format!("upstreams.library.service_config=\"{}\"", rules.display());
    let gateway = Gateway::library_with(&upstream, &[&setting]).await;
    let head = gateway.send("HEAD", BOOK, &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(upstream.last().method, "acme.v1.Library.GetBook");
    assert_eq!(upstream.last().request, json!({"name": "shelves/s/books/b"}));
    let get = gateway.get(BOOK).await;
    get.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(get.header("allow"), "DELETE, HEAD, OPTIONS, PATCH");
}

#[tokio::test]
async fn raw_bodies_go_in_and_out_as_they_are() {
    let (upstream, gateway) =
        answering(|| Answer::Message(json!({"contentType": "image/png", "data": "iVBORw=="}))).await;
    let response = gateway.get(&format!("{BOOK}:download")).await;
    assert_eq!((response.header("content-type"), &response.body[..]), ("image/png", &b"\x89PNG"[..]));

    let (upstream, gateway) = {
        drop((upstream, gateway));
        answering(book).await
    };
    let sent = gateway
        .send("POST", &format!("{BOOK}:upload"), &[("content-type", "image/png")], &b"\x89PNG"[..])
        .await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(
        upstream.last().request,
        json!({"name": "shelves/s/books/b", "file": {"contentType": "image/png", "data": "iVBORw=="}})
    );
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_take_it() {
    let (_upstream, gateway) = answering(|| Answer::Message(json!({"title": "x".repeat(200_000)}))).await;
    let plain = gateway.get(BOOK).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    let small = gateway.send("GET", BOOK, &[("accept-encoding", "gzip, deflate")], "").await;
    assert_eq!(small.header("content-encoding"), "gzip");
    assert!(small.body.len() < 10_000);
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::bufread::GzDecoder::new(&small.body[..]), &mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.text());
    let refused = gateway.send("GET", BOOK, &[("accept-encoding", "gzip;q=0, identity")], "").await;
    assert_eq!(refused.header("content-encoding"), "");
}
