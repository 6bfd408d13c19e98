//! A client that sends what it is told, right or wrong.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};

use super::gateway::headers;

/// A connection that is kept.
pub(crate) struct Connection {
    sender: Sender,
    authority: String,
    _task: JoinSet<()>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Bytes,
}

impl Connection {
    /// Connects and speaks HTTP/1.1.
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        Self::over(stream, &address.to_string(), false).await
    }

    /// Connects and speaks HTTP/2 without asking.
    pub(crate) async fn http2(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        Self::over(stream, &address.to_string(), true).await
    }

    /// Speaks HTTP over what is connected already.
    pub(crate) async fn over<S>(stream: S, authority: &str, http2: bool) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (io, mut task) = (TokioIo::new(stream), JoinSet::new());
        let sender = if http2 {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.expect("no bytes yet");
            task.spawn(async move { drop(connection.await) });
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.expect("no bytes yet");
            task.spawn(async move { drop(connection.await) });
            Sender::Http1(sender)
        };
        Self { sender, authority: authority.to_owned(), _task: task }
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn send(
        &mut self,
        verb: &str,
        target: &str,
        pairs: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        let (head, body) = self.open(verb, target, pairs, body).await.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Response { status: head.status, headers: head.headers, body }
    }

    /// Sends a request and leaves the body of the answer to the story.
    pub(crate) async fn open(
        &mut self,
        verb: &str,
        target: &str,
        pairs: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> http::Response<Incoming> {
        let http2 = matches!(self.sender, Sender::Http2(_));
        let target = if http2 { format!("http://{}{target}", self.authority) } else { target.to_owned() };
        let mut request = Request::builder()
            .method(verb)
            .uri(target)
            .body(Full::new(body.into()))
            .expect("the story's request can be sent");
        *request.headers_mut() = headers(pairs);
        if !http2 && !request.headers().contains_key("host") {
            request.headers_mut().insert("host", self.authority.parse().expect("an address is a host"));
        }
        match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await.expect("the connection is open");
                sender.send_request(request).await.expect("there is an answer")
            }
            Sender::Http2(sender) => {
                sender.ready().await.expect("the connection is open");
                sender.send_request(request).await.expect("there is an answer")
            }
        }
    }
}

/// Sends a request on a connection of its own to what may be gone at any moment; `None`: there was no whole answer.
pub(crate) async fn attempt(
    address: SocketAddr,
    verb: &str,
    target: &str,
    pairs: &[(&str, &str)],
    body: String,
) -> Option<Response> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut task = JoinSet::new();
    task.spawn(async move { drop(connection.await) });
    let mut request = Request::builder().method(verb).uri(target).body(Full::new(Bytes::from(body))).ok()?;
    *request.headers_mut() = headers(pairs);
    request.headers_mut().insert("host", address.to_string().parse().expect("an address is a host"));
    let (head, body) = sender.send_request(request).await.ok()?.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Response { status: head.status, headers: head.headers, body })
}

impl Response {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).expect("the body is text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// A header as text, empty without.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("plain text"))
    }

    /// Checks that this is the envelope of an error of ours and returns its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, reason: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8");
        assert!(!self.header("x-request-id").is_empty());
        let error = &self.json()["error"];
        assert_eq!(error["code"], status, "{error}");
        let info = &error["details"][0];
        assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo", "{error}");
        assert_eq!((&info["reason"], &info["domain"]), (&reason.into(), &"causeway".into()), "{error}");
        error["message"].as_str().expect("a message is text").to_owned()
    }

    /// The fields that a refusal names.
    pub(crate) fn fields(&self) -> Vec<String> {
        let error = &self.json()["error"];
        let details = error["details"].as_array().cloned().unwrap_or_default();
        details
            .iter()
            .filter_map(|detail| detail["fieldViolations"].as_array())
            .flatten()
            .map(|violation| violation["field"].as_str().expect("a field is text").to_owned())
            .collect()
    }
}
