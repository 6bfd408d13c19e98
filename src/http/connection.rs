//! One connection: HTTP/1.1 or HTTP/2, on one port.
//!
//! Which of the two is settled before a protocol is started: by ALPN under TLS, else by looking at the first bytes
//! without taking them. Handing a protocol bytes that were read before would cost it a buffer of twice the size.

use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioTimer;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Server, edge,
    limits::{
        CONNECTION_WINDOW_BYTES, FAREWELL_TIME_MAX, HEAD_TIME_MAX, PARSER_BUFFER_BYTES_MAX,
        PARSER_HEADER_LIST_BYTES_MAX, PARSER_HEADERS_MAX, RESETS_MAX, STREAM_WINDOW_BYTES,
        STREAMS_PER_CONNECTION_MAX,
    },
    refusal::Refusals,
    streams::Streams,
    watch::{Activity, Watched},
};
use crate::workers::Home;

/// How an HTTP/2 connection begins; no HTTP/1 verb does.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How soon to look again when fewer bytes have come than tell the protocol, and how seldom at last: hardly ever needed,
/// but thousands of connections may stop in the middle of it on purpose.
const LOOK_AGAIN: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];

/// How often a silent HTTP/2 peer is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(60);
const PING_TIME_MAX: Duration = Duration::from_secs(20);

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// The protocol settings that all connections share.
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
    idle: Duration,
}

impl Protocols {
    pub(super) fn new(idle: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        // The waits for a head are the socket's own: see `watch`.
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(PARSER_HEADERS_MAX)
            .max_buf_size(PARSER_BUFFER_BYTES_MAX);
        let mut http2 = http2::Builder::new(Streams { home: Home::here() });
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .max_header_list_size(PARSER_HEADER_LIST_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_local_error_reset_streams(RESETS_MAX)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME_MAX);
        Self { http1, http2, idle }
    }

    /// Waits for the first bytes of a plain connection; `None` when there are none in time.
    pub(super) async fn recognise(&self, stream: &TcpStream) -> Option<Version> {
        let mut first = [0; HTTP2_PREFACE.len()];
        if !matches!(timeout(self.idle, stream.peek(&mut first)).await, Ok(Ok(1..))) {
            return None;
        }
        timeout(HEAD_TIME_MAX, settle(stream)).await.ok()?.ok()
    }

    /// Serves `io` until its peer leaves, does nothing for too long, or `soft` is cancelled and what is under way is
    /// answered.
    pub(super) async fn serve<I>(
        &self,
        version: Version,
        io: I,
        peer: IpAddr,
        server: Arc<Server>,
        soft: CancellationToken,
    ) where
        I: Read + Write + Unpin + Send + 'static,
    {
        let ended = match version {
            Version::Http1 => self.http1(io, peer, server, soft).await,
            // Boxed: it is larger than what the many idle connections of HTTP/1 need.
            Version::Http2 => Box::pin(self.http2(io, peer, server, soft)).await,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }

    async fn http1<I>(
        &self,
        io: I,
        peer: IpAddr,
        server: Arc<Server>,
        soft: CancellationToken,
    ) -> hyper::Result<()>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let io = Watched::http1(io, activity.clone(), self.idle);
        let unread = server.clone();
        let io = Refusals::new(io, activity.clone(), move |status| unread.note_unread(status));
        // Boxed, so that a connection between two requests holds two words for them.
        let service =
            service_fn(move |request| Box::pin(edge::serve(server.clone(), request, peer, activity.clone())));
        let mut connection = pin!(self.http1.serve_connection(io, service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = soft.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn http2<I>(
        &self,
        io: I,
        peer: IpAddr,
        server: Arc<Server>,
        soft: CancellationToken,
    ) -> hyper::Result<()>
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::default());
        let quiet = activity.clone();
        let io = Watched::http2(io, activity.clone(), self.idle);
        let service =
            service_fn(move |request| Box::pin(edge::serve(server.clone(), request, peer, activity.clone())));
        let mut connection = pin!(self.http2.serve_connection(io, service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = soft.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        // A peer that is asleep never says that it will send no more.
        tokio::select! {
            ended = connection => ended,
            () = quiet.rests_for(FAREWELL_TIME_MAX) => Ok(()),
        }
    }
}

/// Looks until the bytes are enough to tell.
async fn settle(stream: &TcpStream) -> io::Result<Version> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let mut wait = LOOK_AGAIN[0];
    loop {
        let seen = stream.peek(&mut first).await?;
        if !HTTP2_PREFACE.starts_with(&first[..seen]) {
            return Ok(Version::Http1);
        }
        if seen == HTTP2_PREFACE.len() {
            return Ok(Version::Http2);
        }
        sleep(wait).await;
        wait = (wait * 2).min(LOOK_AGAIN[1]);
    }
}
