//! What bad input gets before anybody asks what it means.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::harness::{Answer, Connection, Gateway, Scripted};

async fn library() -> (Scripted, Gateway) {
    let upstream =
        Scripted::start(|call| Answer::Message(call.request.get("book").cloned().unwrap_or(json!({})))).await;
    let gateway = Gateway::library(&upstream).await;
    (upstream, gateway)
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_known_one_with_another_verb_405() {
    let (_upstream, gateway) = library().await;
    gateway.get("/nowhere").await.refused(404, "ROUTE_NOT_FOUND");
    let refused = gateway.send("PUT", "/v1/shelves/s/books/b", &[], "").await;
    refused.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(refused.header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH");
    assert_eq!(refused.json()["error"]["status"], "INVALID_ARGUMENT");
    let archive = gateway.get("/v1/shelves/s/books/b:archive").await;
    archive.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(archive.header("allow"), "OPTIONS, POST");
    let options = gateway.send("OPTIONS", "/v1/shelves/s/books/b", &[("origin", "http://evil")], "").await;
    assert_eq!(
        (options.status.as_u16(), options.header("allow")),
        (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
    );
    assert_eq!(options.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn hostile_paths_are_refused_by_name() {
    let (upstream, gateway) = library().await;
    for (path, status) in [
        ("/v1/shelves/%zz/books/b", 400),
        ("/v1/shelves/%ff/books/b", 400),
        ("/v1/shelves/%00/books/b", 400),
        ("/v1/shelves/../books/b", 400),
        ("/v1/shelves/s//books/b", 404),
        ("/v1/shelves/s/books/", 404),
        ("/v1/shelves/s/books/b/", 404),
        ("//", 404),
        (&format!("/v1/shelves/{}/books/b", "s".repeat(5000)), 400),
        (&format!("/v1/shelves/s{}/books/b", "/s".repeat(200)), 400),
        ("*", 404),
    ] {
        let response = gateway.get(path).await;
        let code = response.status.as_u16();
        assert!(code == status || (status == 400 && code == 404), "{path}: {}", response.text());
        assert!(response.json()["error"]["message"].is_string(), "{path}");
    }
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn every_limit_of_the_head_has_its_status() {
    let (_upstream, gateway) = library().await;
    let long = format!("/v1/shelves/{}/books/b", "s".repeat(17 * 1024));
    gateway.get(&long).await.refused(414, "LIMIT_EXCEEDED");
    let many: Vec<_> = (0..120).map(|n| (format!("x-{n}"), "v")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    gateway.send("GET", "/healthz", &many, "").await.refused(431, "LIMIT_EXCEEDED");
    let large = "v".repeat(40 * 1024);
    gateway.send("GET", "/healthz", &[("x-large", &large)], "").await.refused(431, "LIMIT_EXCEEDED");
    let parameters = vec!["filter=x"; 300].join("&");
    gateway.get(&format!("/v1/shelves/s/books?{parameters}")).await.refused(400, "LIMIT_EXCEEDED");
}

#[tokio::test]
async fn bodies_are_bounded_as_sent_and_as_decoded() {
    let (upstream, gateway) = library().await;
    let mut connection = gateway.connect().await;
    let big = vec![b' '; 10 << 20];
    let json = ("content-type", "application/json");
    connection.send("POST", "/v1/shelves/s/books", &[json], big.clone()).await.refused(413, "BODY_TOO_LARGE");
    // The rest of the body was dropped, so the connection is as good as new.
    assert_eq!(connection.send("GET", "/healthz", &[], "").await.status, 200);

    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&big).unwrap();
    let gzip = ("content-encoding", "gzip");
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 64 * 1024);
    gateway.send("POST", "/v1/shelves/s/books", &[json, gzip], bomb).await.refused(413, "BODY_TOO_LARGE");
    let broken = gateway.send("POST", "/v1/shelves/s/books", &[json, gzip], "plain").await;
    broken.refused(400, "INVALID_FIELD");
    let brotli = gateway.send("POST", "/v1/shelves/s/books", &[json, ("content-encoding", "br")], "{}").await;
    brotli.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let deep = format!("{}{}", r#"{"sequel":"#.repeat(200) + "{}", "}".repeat(200));
    let deep = gateway.post("/v1/shelves/s/books", &deep).await;
    assert_eq!(deep.status, 400, "{}", deep.text());
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn a_connection_survives_every_refusal() {
    let (_upstream, gateway) = library().await;
    for mut connection in [Connection::http1(gateway.address).await, Connection::http2(gateway.address).await]
    {
        for (verb, path, body) in [
            ("GET", "/nowhere", ""),
            ("POST", "/nowhere", "a body that nobody reads"),
            ("POST", "/v1/shelves/s/books", "{"),
            ("PUT", "/v1/shelves/s/books/b", "{}"),
            ("GET", "/v1/shelves/s/books/b?no=such", ""),
        ] {
            let response = connection.send(verb, path, &[], body).await;
            assert!(response.status.is_client_error(), "{verb} {path}: {}", response.text());
        }
        assert_eq!(connection.send("GET", "/healthz", &[], "").await.text(), "ok\n");
    }
}

#[tokio::test]
async fn only_json_is_read_as_json() {
    let (upstream, gateway) = library().await;
    for kind in [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin1",
    ] {
        let response = gateway.send("POST", "/v1/shelves/s/books", &[("content-type", kind)], "{}").await;
        response.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn unreadable_timeouts_are_named() {
    let (_upstream, gateway) = library().await;
    for (name, value) in [("grpc-timeout", "soon"), ("x-server-timeout", "-1")] {
        let response = gateway.send("GET", "/v1/shelves/s/books/b", &[(name, value)], "").await;
        response.refused(400, "INVALID_FIELD");
        assert_eq!(response.fields(), [name]);
    }
}
