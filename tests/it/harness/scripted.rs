//! An upstream that speaks real gRPC and does what the story says.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::descriptors::{bytes, message, pool};

/// What stands before each message: whether it is compressed, and its length.
const FRAME_HEAD_BYTES: usize = 5;

/// A call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Full name of the method, e.g. `acme.v1.Library.GetBook`.
    pub(crate) method: String,
    /// The request message.
    pub(crate) request: Value,
    /// The metadata.
    pub(crate) headers: HeaderMap,
}

/// What the upstream does with a call.
pub(crate) enum Answer {
    /// Answers with a message of the method's response type.
    Message(Value),
    /// The same, with headers.
    WithHeaders(&'static [(&'static str, &'static str)], Value),
    /// Answers with bytes that are meant to be a message.
    Bytes(Vec<u8>),
    /// Refuses with a code, a text, and a packed `google.rpc.Status` or nothing.
    Refuse(i32, &'static str, Vec<u8>),
    /// Refuses with a code and these trailers.
    RefuseWith(i32, &'static [(&'static str, &'static str)]),
    /// Answers with what the story sends, one message at a time, until it hangs up or sends a refusal.
    Stream(mpsc::Receiver<Result<Value, (i32, &'static str)>>),
    /// Says nothing.
    Never,
}

/// The upstream. Ends when dropped.
pub(crate) struct Scripted {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

type Script = Arc<dyn Fn(&Call) -> Answer + Send + Sync>;

impl Scripted {
    /// Starts to listen; `script` decides about each call.
    pub(crate) async fn start(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (script, seen): (Script, _) = (Arc::new(script), calls.clone());
        let connections = Arc::new(AtomicUsize::new(0));
        let came = connections.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                came.fetch_add(1, Ordering::SeqCst);
                let (script, seen) = (script.clone(), seen.clone());
                let service = service_fn(move |request| serve(request, script.clone(), seen.clone()));
                let connection = http2::Builder::new(TokioExecutor::new());
                open.spawn(async move {
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, calls, connections, _tasks: tasks }
    }

    /// Tells how many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no story panics while it holds this").clone()
    }

    /// Returns the last call.
    pub(crate) fn last(&self) -> Call {
        self.calls().pop().expect("the upstream was called")
    }
}

async fn serve(
    request: Request<Incoming>,
    script: Script,
    seen: Arc<Mutex<Vec<Call>>>,
) -> Result<Response<Channel>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    // A caller that died before its message was out called nobody, and hears nothing.
    let Some(body) = body.get(FRAME_HEAD_BYTES..) else {
        return Ok(Response::new(Channel(mpsc::channel(1).1)));
    };
    let (service, method) = head.uri.path()[1..].split_once('/').expect("a gRPC path");
    let rpc = pool()
        .get_service_by_name(service)
        .and_then(|service| service.methods().find(|known| known.name() == method))
        .unwrap_or_else(|| panic!("no method {service}.{method}"));
    let call = Call {
        method: rpc.full_name().to_owned(),
        request: message(rpc.input().full_name(), body),
        headers: head.headers,
    };
    let answer = script(&call);
    seen.lock().expect("no story panics while it holds this").push(call);

    let output = rpc.output().full_name().to_owned();
    let (sender, receiver) = mpsc::channel(16);
    let mut response = Response::new(Channel(receiver));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    match answer {
        Answer::Message(json) => finish(&sender, &bytes(&output, json)).await,
        Answer::Bytes(bytes) => finish(&sender, &bytes).await,
        Answer::WithHeaders(headers, json) => {
            for (name, value) in headers {
                response.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            finish(&sender, &bytes(&output, json)).await;
        }
        Answer::Refuse(code, text, details) => {
            let _ = sender.send(Frame::trailers(status(code, text, &details))).await;
        }
        Answer::RefuseWith(code, more) => {
            let mut trailers = status(code, "no", &[]);
            for (name, value) in more {
                trailers.append(*name, HeaderValue::from_static(value));
            }
            let _ = sender.send(Frame::trailers(trailers)).await;
        }
        Answer::Stream(mut messages) => {
            #[expect(clippy::disallowed_methods, reason = "it ends when the story or the gateway hangs up")]
            tokio::spawn(async move {
                loop {
                    let message = tokio::select! {
                        message = messages.recv() => message,
                        () = sender.closed() => return,
                    };
                    let frame = match message {
                        Some(Ok(json)) => Frame::data(frame(&bytes(&output, json))),
                        Some(Err((code, text))) => Frame::trailers(status(code, text, &[])),
                        None => Frame::trailers(status(0, "", &[])),
                    };
                    let last = frame.is_trailers();
                    if sender.send(frame).await.is_err() || last {
                        return;
                    }
                }
            });
        }
        Answer::Never => {
            #[expect(clippy::disallowed_methods, reason = "it ends when the gateway hangs up")]
            tokio::spawn(async move { sender.closed().await });
        }
    }
    Ok(response)
}

async fn finish(sender: &mpsc::Sender<Frame<Bytes>>, message: &[u8]) {
    let _ = sender.send(Frame::data(frame(message))).await;
    let _ = sender.send(Frame::trailers(status(0, "", &[]))).await;
}

fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + FRAME_HEAD_BYTES);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("a story's message is small"));
    framed.extend_from_slice(message);
    framed.freeze()
}

fn status(code: i32, text: &str, details: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    trailers.insert("grpc-message", HeaderValue::from_str(text).expect("a story's text is plain"));
    if !details.is_empty() {
        let encoded = base64_simd::STANDARD_NO_PAD.encode_to_string(details);
        trailers.insert("grpc-status-details-bin", HeaderValue::from_str(&encoded).expect("base64 is plain"));
    }
    trailers
}

struct Channel(mpsc::Receiver<Frame<Bytes>>);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}
