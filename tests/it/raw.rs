//! Bytes that no decent client sends.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
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

/// The parser answered these by itself: a bare status, without a word of what is wrong.
#[tokio::test]
async fn what_cannot_be_read_is_refused_with_an_envelope() {
    let (upstream, gateway) = library().await;
    let lines = |count: usize, bytes: usize| -> String {
        (0..count).map(|n| format!("x-{n}: {}\r\n", "v".repeat(bytes))).collect()
    };
    for (request, status, reason) in [
        ("GET /v1/shelves/s/books/b HTTP/1.1\r\nHost x\r\n\r\n".to_owned(), 400, "INVALID_FIELD"),
        ("GET  HTTP/1.1\r\n\r\n".to_owned(), 400, "INVALID_FIELD"),
        ("\u{1}\u{2}\u{3}\r\n\r\n".to_owned(), 400, "INVALID_FIELD"),
        (format!("GET /{} HTTP/1.1\r\n{CLOSE}\r\n", "s".repeat(70_000)), 414, "LIMIT_EXCEEDED"),
        (format!("GET / HTTP/1.1\r\n{CLOSE}{}\r\n", lines(101, 1)), 431, "LIMIT_EXCEEDED"),
        // Still being written when it is refused.
        (format!("GET / HTTP/1.1\r\n{CLOSE}{}\r\n", lines(2_000, 2_000)), 431, "LIMIT_EXCEEDED"),
        (format!("GET / HTTP/1.1\r\n{CLOSE}x: {}\r\n\r\n", "v".repeat(4 << 20)), 431, "LIMIT_EXCEEDED"),
    ] {
        let answer = exchange(&gateway, &[&request]).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let body: Value = serde_json::from_str(body).expect(body);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        for header in ["x-request-id: ", "content-type: application/json", "connection: close"] {
            assert!(head.contains(header), "{head}");
        }
        assert_eq!(body["error"]["details"][0]["reason"], reason, "{body}");
        let series = format!(r#"causeway_requests_total{{binding="",upstream="",status="{status}"}}"#);
        assert!(gateway.metric(&series).await >= Some(1.0), "it is counted");
    }
    assert!(upstream.calls().is_empty());
}

/// Who has sent a request ahead of it still gets its answer.
#[tokio::test]
async fn what_cannot_be_read_takes_nothing_along() {
    let (_upstream, gateway) = library().await;
    for first in [
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the first is answered");
        }
        stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.get(8..13) == Some(" 400 ") && answer.contains("INVALID_FIELD"), "{answer}");
    }
}

/// Reads frames until so many of a kind have come.
async fn frames(stream: &mut TcpStream, kind: u8, mut count: usize) {
    while count > 0 {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("the connection lives");
        let [a, b, c, found, ..] = head;
        let mut rest = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        stream.read_exact(&mut rest).await.unwrap();
        assert_ne!(found, GOAWAY, "{rest:?}");
        count -= usize::from(found == kind);
    }
}

/// Writes a frame of HTTP/2.
fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let [a, b, c, d] = id.to_be_bytes();
    [&[length[1], length[2], length[3], kind, flags, a, b, c, d], payload].concat()
}

/// Connects, and greets with settings.
async fn http2(gateway: &Gateway, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// What a proxy still sent for requests that had been refused counted as an attack, and cut off all its callers.
#[tokio::test]
async fn what_comes_late_for_refused_requests_ends_no_other() {
    let (_upstream, gateway) = library().await;
    let mut stream = http2(&gateway, &[]).await;
    // All answers may come: WINDOW_UPDATE of the connection.
    stream.write_all(&frame(8, 0, 0, &[0x3f, 0xff, 0xff, 0xff])).await.unwrap();
    // `:method: POST`, `:scheme: http`, and by their index in the static table `:authority` and `:path`.
    let nowhere = b"\x83\x86\x01\x01x\x04\x02/x";
    let mut ids = (1_u32..).step_by(2);
    for _ in 0..30 {
        let some: Vec<u32> = ids.by_ref().take(100).collect();
        for id in &some {
            stream.write_all(&frame(HEADERS, 4, *id, nowhere)).await.unwrap();
        }
        frames(&mut stream, HEADERS, some.len()).await;
        // A server remembers fifty that it has refused.
        for id in &some {
            stream.write_all(&frame(0, 1, *id, b"{}")).await.unwrap();
        }
    }
    // `:method: GET` of `/`.
    stream.write_all(&frame(HEADERS, 5, ids.next().unwrap(), b"\x82\x86\x01\x01x\x84")).await.unwrap();
    frames(&mut stream, HEADERS, 1).await;
}

/// Whoever asked for large documents and took nothing of them had the gateway keep them all.
#[tokio::test]
async fn answers_that_nobody_takes_have_only_public_ones_refused() {
    const CONNECTIONS_MAX: usize = 20;
    // The connection takes some of each, which is its own to bound.
    const TAKEN_MAX: usize = 64 * 1024;
    let (_upstream, gateway) = library().await;
    let document = gateway.get("/openapi.json").await.body.len();
    let [_, kept_max] = causeway::http::limits::UNREAD_BYTES_MAX;
    let mut left = kept_max / document.checked_sub(TAKEN_MAX).expect("it is larger") + 1;
    let mut idle = Vec::new();
    while left > 0 {
        assert!(idle.len() < CONNECTIONS_MAX, "a document of {document} bytes is too small for this");
        // INITIAL_WINDOW_SIZE: nothing is taken.
        let mut stream = http2(&gateway, &[0, 4, 0, 0, 0, 0]).await;
        let some = left.min(100);
        for id in (1_u32..).step_by(2).take(some) {
            // `:method: GET`, `:scheme: http`, and by their index in the static table `:authority` and `:path`.
            stream
                .write_all(&frame(HEADERS, 5, id, b"\x82\x86\x01\x01x\x04\x0d/openapi.json"))
                .await
                .unwrap();
        }
        frames(&mut stream, HEADERS, some).await;
        idle.push(stream);
        left -= some;
    }
    let refused = gateway.get("/openapi.json").await;
    // Said first: else a document would be printed.
    assert_eq!(refused.status, 503);
    refused.refused(503, "OVERLOADED");
    assert_eq!(gateway.get("/healthz").await.status, 200);
    assert_eq!(gateway.get("/v1/shelves/s/books/b").await.status, 200);
    drop(idle);
    let again = async {
        while gateway.get("/openapi.json").await.status != 200 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(20), again).await.expect("who has gone keeps nothing");
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
