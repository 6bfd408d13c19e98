//! Bytes that no decent client sends.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Answer, Gateway, Scripted};

async fn library() -> (Scripted, Gateway) {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let gateway = Gateway::library(&upstream).await;
    (upstream, gateway)
}

/// Sends the parts, each in a segment of its own, and reads until the other side closes.
async fn exchange(gateway: &Gateway, parts: &[&str]) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for part in parts {
        stream.write_all(part.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const CLOSE: &str = "Host: x\r\nConnection: close\r\n";

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let (_upstream, gateway) = library().await;
    let request = format!("GET /healthz HTTP/1.1\r\n{CLOSE}\r\n");
    let bytes: Vec<String> = request.chars().map(String::from).collect();
    let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
    let answer = exchange(&gateway, &bytes).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ok\n"), "{answer}");
    let post = format!("POST /v1/shelves/s/books HTTP/1.1\r\n{CLOSE}Content-Length: 2\r\n\r\n{{}}");
    let answer = exchange(&gateway, &[&post[..1], &post[1..2], &post[2..]]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn requests_may_be_sent_ahead() {
    let (_upstream, gateway) = library().await;
    let first = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = format!("GET /nowhere HTTP/1.1\r\n{CLOSE}\r\n");
    let answer = exchange(&gateway, &[&format!("{first}{first}{last}")]).await;
    let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|text| &text[..3]).collect();
    assert_eq!(statuses, ["200", "200", "404"], "{answer}");
}

#[tokio::test]
async fn a_body_whose_length_is_in_doubt_reaches_nobody() {
    let (upstream, gateway) = library().await;
    for doubt in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 2, 3\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let request = format!("POST /v1/shelves/s/books HTTP/1.1\r\n{CLOSE}{doubt}\r\n{{}}x");
        let answer = exchange(&gateway, &[&request]).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{doubt}: {answer}");
    }
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn a_request_has_one_host() {
    let (upstream, gateway) = library().await;
    for hosts in ["", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n"] {
        let request = format!("GET /v1/shelves/s/books/b HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
        let answer = exchange(&gateway, &[&request]).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("INVALID_FIELD"), "{hosts}: {answer}");
    }
    assert!(upstream.calls().is_empty());
    let old = exchange(&gateway, &["GET /healthz HTTP/1.0\r\n\r\n"]).await;
    assert!(old.starts_with("HTTP/1.0 200 ") || old.starts_with("HTTP/1.1 200 "), "{old}");
}

#[tokio::test]
async fn nonsense_is_refused_and_hurts_nobody() {
    let (_upstream, gateway) = library().await;
    for nonsense in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "PRI * HTTP/9.9\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "\r\n\r\n\r\n{",
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            !answer.starts_with(b"HTTP/1.1 2") && !answer.starts_with(b"HTTP/1.1 5"),
            "{nonsense:?}: {answer:?}"
        );
    }
    assert_eq!(gateway.get("/healthz").await.status, 200);
}
