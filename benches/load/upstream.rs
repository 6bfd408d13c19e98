//! The upstream of the run: HTTP/2 and gRPC framing, constant bytes, nothing else.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, task::JoinSet};

use super::payload::{Outcome, Payload, Reply, STREAM_PAGES};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const UNKNOWN: i32 = 2;

/// Serves until killed.
pub(crate) async fn run(listen: SocketAddr) -> Outcome {
    let payload = Arc::new(Payload::load()?);
    let listener = TcpListener::bind(listen).await?;
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let payload = payload.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(request, payload.clone()));
            let mut http2 = http2::Builder::new(TokioExecutor::new());
            http2.max_concurrent_streams(1000);
            let _ = http2.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, payload: Arc<Payload>) -> Result<Response<Answer>, Infallible> {
    let asked =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut response = Response::new(Answer { message: Bytes::new(), times: 0, trailers: None });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    match payload.find(&asked).map(|case| &case.reply) {
        Some(Reply::Message(message)) => *response.body_mut() = Answer::new(message, 1),
        Some(Reply::Stream(message)) => *response.body_mut() = Answer::new(message, STREAM_PAGES),
        Some(Reply::Refusal(code, text, details)) => refuse(headers, *code, text, details),
        None => refuse(headers, UNKNOWN, "no case has such a request", &[]),
    }
    Ok(response)
}

fn refuse(headers: &mut HeaderMap, code: i32, text: &str, details: &[u8]) {
    headers.insert(STATUS, HeaderValue::from(code));
    let text: String = text.bytes().map(percent).collect();
    headers.extend(HeaderValue::from_str(&text).map(|text| (MESSAGE, text)));
    let details = base64_simd::STANDARD_NO_PAD.encode_to_string(details);
    headers.extend(HeaderValue::from_str(&details).map(|details| (DETAILS, details)));
}

fn percent(byte: u8) -> String {
    if (b' '..=b'~').contains(&byte) && byte != b'%' {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// A message, some number of times, and the trailers of success.
struct Answer {
    message: Bytes,
    times: usize,
    trailers: Option<HeaderMap>,
}

impl Answer {
    fn new(message: &Bytes, times: usize) -> Self {
        let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
        Self { message: message.clone(), times, trailers: Some(trailers) }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.times > 0 {
            self.times -= 1;
            return Poll::Ready(Some(Ok(Frame::data(self.message.clone()))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.times == 0 && self.trailers.is_none()
    }
}
