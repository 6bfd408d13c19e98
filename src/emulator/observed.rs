//! The layer in front of every service: notes each call, then lets the faults decide what becomes of it.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::{Status, body::Body};
use tower_service::Service;

use super::{
    Upstream,
    calls::{Calls, Note},
    faults::{Effect, Fate, Faults, Moment},
    status,
};

/// Services whose calls are neither counted nor hit by faults: they ask about the server, not the upstream.
const APART: [&str; 2] = ["grpc.health.", "grpc.reflection."];

/// A service behind the eyes of the emulator.
#[derive(Clone)]
pub(super) struct Observed<S> {
    inner: S,
    upstream: Upstream,
    calls: Arc<Calls>,
    faults: Arc<Faults>,
}

impl<S> Observed<S> {
    pub(super) fn new(inner: S, upstream: Upstream, calls: Arc<Calls>, faults: Arc<Faults>) -> Self {
        Self { inner, upstream, calls, faults }
    }
}

impl<S> Service<Request<Body>> for Observed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The instance that was polled ready serves the call; a fresh clone takes its place.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let rpc = request.uri().path().trim_start_matches('/').to_owned();
        if APART.iter().any(|apart| rpc.starts_with(apart)) {
            return Box::pin(inner.call(request));
        }
        let note = self.calls.begin(self.upstream, &rpc, request.headers());
        let fate = self.faults.decide(&rpc);
        let tapped = note.clone();
        let request = request.map(|body| Tapped { body, note: tapped });
        Box::pin(async move {
            let response = undergo(fate, request, inner).await?;
            note.answered(code_of(response.headers()));
            Ok(response)
        })
    }
}

/// Takes a call through what was decided for it.
async fn undergo<S>(
    fate: Fate,
    mut request: Request<Tapped>,
    mut inner: S,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    if !fate.delay.is_zero() {
        tokio::time::sleep(fate.delay).await;
    }
    match fate.end {
        None | Some(Effect::Delay { .. }) => inner.call(request.map(Body::new)).await,
        Some(Effect::Silence) => {
            request.body_mut().note_message().await;
            std::future::pending().await
        }
        Some(Effect::Fail { code, message, details, moment }) => {
            match moment {
                Moment::Before => request.body_mut().note_message().await,
                Moment::After => drop(inner.call(request.map(Body::new)).await?),
            }
            Ok(status::injected(code, &message, &details).into_http())
        }
    }
}

/// A call that has begun to answer has no status yet and counts as answered well.
fn code_of(headers: &HeaderMap) -> i32 {
    Status::from_header_map(headers).map_or(0, |status| i32::from(status.code()))
}

/// A request body that is noted as it passes.
struct Tapped {
    body: Body,
    note: Arc<Note>,
}

impl Tapped {
    /// Reads until the first message is noted, for calls that nobody else reads: tests ask what was sent.
    async fn note_message(&mut self) {
        while !self.note.has_message() {
            let Some(Ok(_)) = self.frame().await else { return };
        }
    }
}

impl HttpBody for Tapped {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.note.received(data);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
