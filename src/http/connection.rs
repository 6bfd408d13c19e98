//! One connection: HTTP/1.1 or HTTP/2, told apart by its first bytes.

use std::{pin::pin, sync::Arc, time::Duration};

use hyper::{
    rt::{Read, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto::Builder,
};
use tokio_util::sync::CancellationToken;

use super::{
    Server, edge,
    limits::{
        PARSER_BUFFER_BYTES_MAX, PARSER_HEADER_LIST_BYTES_MAX, PARSER_HEADERS_MAX, STREAMS_PER_CONNECTION_MAX,
    },
    watch::{Activity, Watched},
};

/// How often a silent HTTP/2 peer is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIME_MAX: Duration = Duration::from_secs(20);

/// The protocol settings that all connections share.
pub(super) struct Protocol {
    builder: Builder<TokioExecutor>,
    idle: Duration,
}

impl Protocol {
    pub(super) fn new(idle: Duration) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // Both waits are the socket's own: see `watch`.
            .header_read_timeout(None)
            .max_headers(PARSER_HEADERS_MAX)
            .max_buf_size(PARSER_BUFFER_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .max_header_list_size(PARSER_HEADER_LIST_BYTES_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME_MAX);
        Self { builder, idle }
    }

    /// Serves `io` until its peer leaves, does nothing for too long, or `soft` is cancelled and what is under way is
    /// answered.
    pub(super) async fn serve<I>(&self, io: I, server: Arc<Server>, soft: CancellationToken)
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let io = Watched::new(io, activity.clone(), self.idle);
        // Boxed, so that a connection between two requests holds two words for them.
        let service =
            service_fn(move |request| Box::pin(edge::serve(server.clone(), request, activity.clone())));
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = soft.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "a connection ended early");
        }
    }
}
