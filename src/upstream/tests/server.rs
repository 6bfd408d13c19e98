//! A gRPC server whose every answer a test writes by hand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use tonic::body::Body;
use tonic::transport::ServerTlsConfig;
use tonic::transport::server::TcpIncoming;
use tower_service::Service;

use super::super::frame::framed;

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(usize, Request<Body>) -> Answer + Send + Sync>;

/// Runs until dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    calls: Arc<AtomicUsize>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Answers each call with what `handler` makes of it; calls are numbered from one.
    pub(super) fn start<F, A>(handler: F) -> Self
    where
        F: Fn(usize, Request<Body>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), None, handler)
    }

    pub(super) fn start_at<F, A>(address: SocketAddr, tls: Option<ServerTlsConfig>, handler: F) -> Self
    where
        F: Fn(usize, Request<Body>) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let incoming = TcpIncoming::bind(address).unwrap();
        let address = incoming.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let service = Answering {
            handler: Arc::new(move |number, request| Box::pin(handler(number, request))),
            calls: Arc::clone(&calls),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let mut server = tonic::transport::Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.serve_with_incoming_shutdown(service, incoming, stopped).await.unwrap();
        });
        Self { address, calls, _stop: stop }
    }

    /// Answers every call with `message` and OK.
    pub(super) fn saying(message: &'static [u8]) -> Self {
        Self::start(move |_, _| async move { ok(message) })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Answering {
    handler: Handler,
    calls: Arc<AtomicUsize>,
}

impl Service<Request<Body>> for Answering {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = (self.handler)(number, request);
        Box::pin(async move { Ok(answer.await) })
    }
}

/// One message and OK.
pub(super) fn ok(message: &[u8]) -> Response<Body> {
    let (answer, script) = scripted();
    script.message(message);
    script.end(&[("grpc-status", "0")]);
    answer
}

/// A status without a message, in the headers.
pub(super) fn status(pairs: &[(&'static str, &str)]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers(pairs);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// An answer that the test writes as it goes.
pub(super) fn scripted() -> (Response<Body>, Script) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut response = Response::new(Body::new(Scripted(receiver)));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    (response, Script(sender))
}

#[derive(Clone)]
pub(super) struct Script(mpsc::UnboundedSender<Frame<Bytes>>);

impl Script {
    pub(super) fn message(&self, message: &[u8]) {
        self.raw(&framed(message).unwrap());
    }

    pub(super) fn raw(&self, bytes: &[u8]) {
        let _ = self.0.send(Frame::data(Bytes::copy_from_slice(bytes)));
    }

    pub(super) fn end(&self, trailers: &[(&'static str, &str)]) {
        let _ = self.0.send(Frame::trailers(headers(trailers)));
    }

    /// Waits until the other side no longer wants the answer.
    pub(super) async fn unwanted(&self) {
        self.0.closed().await;
    }
}

struct Scripted(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

/// What a caller hands over.
pub(super) fn metadata(pairs: &[(&'static str, &'static str)]) -> Vec<(HeaderName, HeaderValue)> {
    pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

pub(super) fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    map
}
