//! Accepts connections, up to a bound, until told to stop, and hands them to the workers; then waits for those that are
//! open.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use metrics::{Gauge, gauge};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Server,
    connection::{Protocols, Version},
    limits::HEAD_TIME_MAX,
    tls,
};
use crate::{
    config,
    error::Result,
    workers::{Place, Workers},
};

/// The first and the longest wait after the system had no socket to give.
const ACCEPT_WAITS: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// A bound socket and what is spoken on it.
pub struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    protocols: Arc<Protocols>,
    connections_max: usize,
    workers: Arc<Workers>,
    open: Gauge,
}

impl Listener {
    /// Prepares to serve what comes to `socket` on `workers`, which must outlive whatever a connection has begun.
    ///
    /// # Errors
    /// The TLS certificate or key cannot be used.
    pub fn new(socket: TcpListener, config: &config::Http, workers: Arc<Workers>) -> Result<Self> {
        Ok(Self {
            socket,
            tls: config.tls.as_ref().map(tls::acceptor).transpose()?,
            protocols: Arc::new(Protocols::new(config.idle_timeout)),
            connections_max: config.connections_max,
            workers,
            open: gauge!("causeway_connections_open"),
        })
    }

    /// Returns the address that was bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until `soft` is cancelled and every connection has finished. Dropping the future cuts them all.
    pub async fn run(self, server: Arc<Server>, soft: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut wait = ACCEPT_WAITS[0];
        loop {
            let accepted = tokio::select! {
                biased;
                () = soft.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    note(&ended);
                    continue;
                }
                accepted = self.socket.accept(), if connections.len() < self.connections_max => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    wait = ACCEPT_WAITS[0];
                    let place = self.workers.place();
                    let runtime = place.runtime().clone();
                    let connection = self.connection(place, stream, peer.ip(), server.clone(), soft.clone());
                    connections.spawn_on(connection, &runtime);
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, wait_ms = wait.as_millis(), "cannot accept connections; trying again");
                    let _stopped = soft.run_until_cancelled(sleep(wait)).await;
                    wait = (wait * 2).min(ACCEPT_WAITS[1]);
                }
            }
        }
        drop(self.socket);
        while let Some(ended) = connections.join_next().await {
            note(&ended);
        }
    }

    fn connection(
        &self,
        place: Place,
        stream: TcpStream,
        peer: IpAddr,
        server: Arc<Server>,
        soft: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (tls, protocols, open) = (self.tls.clone(), self.protocols.clone(), self.open.clone());
        async move {
            let (_open, _place) = (Open::new(open), place);
            let Some(stream) = moved(stream) else { return };
            // Answers are written whole; waiting for more to send would only delay them.
            let _ = stream.set_nodelay(true);
            match tls {
                None => {
                    let version = soft.run_until_cancelled(protocols.recognise(&stream)).await.flatten();
                    if let Some(version) = version {
                        protocols.serve(version, TokioIo::new(stream), peer, server, soft).await;
                    }
                }
                // Boxed: a handshake is several times larger than what a plain connection needs.
                Some(tls) => Box::pin(secure(tls, stream, peer, protocols, server, soft)).await,
            }
        }
    }
}

/// Moves a socket to the runtime of this thread. Only a system that is out of memory refuses.
fn moved(stream: TcpStream) -> Option<TcpStream> {
    let moved = stream.into_std().and_then(TcpStream::from_std);
    moved.inspect_err(|error| tracing::warn!(%error, "a connection cannot be served")).ok()
}

/// Shakes hands, then serves. Peers that speak no TLS are everyday noise.
async fn secure(
    tls: TlsAcceptor,
    stream: TcpStream,
    peer: IpAddr,
    protocols: Arc<Protocols>,
    server: Arc<Server>,
    soft: CancellationToken,
) {
    let shaken = soft.run_until_cancelled(timeout(HEAD_TIME_MAX, tls.accept(stream))).await;
    if let Some(Ok(Ok(stream))) = shaken {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let version = if http2 { Version::Http2 } else { Version::Http1 };
        protocols.serve(version, TokioIo::new(stream), peer, server, soft).await;
    }
}

/// Counts a connection while it is open.
struct Open(Gauge);

impl Open {
    fn new(gauge: Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// Whether only the connection that was about to be accepted is lost.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn note(ended: &Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection failed");
    }
}
