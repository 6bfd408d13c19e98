//! The connections to one upstream: one per endpoint, made on first use, taken in turn.
//!
//! tonic's own balancer fails a share of the calls for as long as one endpoint is dead. Here an endpoint that cannot be
//! reached is avoided while another can, and a call that found it dead goes to the next: nothing was sent, so that is
//! harmless for every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::{Channel, ClientTlsConfig};
use tower_service::Service as _;

use super::connector::{Connector, Link};
use super::failure::{Failure, with_causes};
use super::tls;
use crate::config::{Endpoint as Address, Upstream as Section};

/// Endpoints of one upstream.
const ENDPOINTS_MAX: usize = 64;
/// What one answer may have in flight, in bytes. A page of a thousand items fits without waiting for the window to open.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What all answers of one connection may have in flight, in bytes.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest frame that is taken, in bytes. Where the upstream makes use of it, a page comes in one frame: read in few
/// pieces, and passed on without being put together first.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// The largest header list of an answer, in bytes: an error's details come in one header.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// A connection with calls on it that is silent for this long is asked whether it lives. gRPC servers drop those who ask
/// much more often.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long it has to say so.
const PING_TIME_MAX: Duration = Duration::from_secs(10);

/// The endpoints of one upstream.
#[derive(Debug)]
pub(super) struct Endpoints {
    list: Box<[Endpoint]>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Endpoint {
    channel: Channel,
    link: Arc<Link>,
}

/// How many endpoints there are, and how the last try went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) up: usize,
    pub(super) down: usize,
}

impl Endpoints {
    /// Prepares the connections; none is made yet. Must run inside a tokio runtime. The error names the key that is
    /// wrong.
    pub(super) fn new(config: &Section) -> Result<Self, (&'static str, String)> {
        if config.endpoints.len() > ENDPOINTS_MAX {
            return Err(("endpoint", format!("at most {ENDPOINTS_MAX} endpoints can be balanced")));
        }
        let tls =
            if config.endpoints.iter().any(Address::is_tls) { Some(tls::client(&config.tls)?) } else { None };
        let list = config
            .endpoints
            .iter()
            .map(|endpoint| Endpoint::new(endpoint, config.connect_timeout, tls.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { list, turn: AtomicUsize::new(0) })
    }

    /// Sends a request to one endpoint after the other until one can be reached.
    pub(super) async fn send(&self, request: impl Fn() -> Request<Body>) -> Result<Response<Body>, Failure> {
        let mut tried = 0_u64;
        loop {
            let index = self.pick(tried);
            tried |= 1 << index;
            let failure = match self.list[index].send(request()).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let left = self.list.len() - tried.count_ones() as usize;
            if left == 0 || !matches!(failure, Failure::Unreachable(_)) {
                return Err(failure);
            }
        }
    }

    pub(super) fn census(&self) -> Census {
        Census {
            up: self.list.iter().filter(|endpoint| endpoint.link.is_up()).count(),
            down: self.list.iter().filter(|endpoint| endpoint.link.is_down()).count(),
        }
    }

    /// Chooses an endpoint that was not tried yet, rather one that is worth it.
    fn pick(&self, tried: u64) -> usize {
        let count = self.list.len();
        if count == 1 {
            return 0;
        }
        let now = Instant::now();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            || (0..count).map(|step| first.wrapping_add(step) % count).filter(|i| tried & 1 << i == 0);
        in_turn()
            .find(|index| self.list[*index].link.is_worth_a_try(now))
            .or_else(|| in_turn().next())
            .expect("the loop in `send` ends when every endpoint was tried")
    }
}

impl Endpoint {
    fn new(
        config: &Address,
        connect_timeout: Duration,
        tls: Option<&ClientTlsConfig>,
    ) -> Result<Self, (&'static str, String)> {
        let wrong = |error: tonic::transport::Error| ("tls", format!("{config}: {}", with_causes(&error)));
        let mut endpoint = Channel::from_shared(config.as_str().to_owned())
            .map_err(|error| ("endpoint", error.to_string()))?
            .user_agent(concat!("causeway/", env!("CARGO_PKG_VERSION")))
            .map_err(wrong)?
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES_MAX)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME_MAX)
            .keep_alive_while_idle(false);
        if let (true, Some(tls)) = (config.is_tls(), tls) {
            endpoint = endpoint.tls_config(tls.clone().timeout(connect_timeout)).map_err(wrong)?;
        }
        let link = Arc::new(Link::default());
        let connector = Connector::new(config.host(), config.port(), connect_timeout, Arc::clone(&link));
        Ok(Self { channel: endpoint.connect_with_connector_lazy(connector), link })
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let mut channel = self.channel.clone();
        std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(Failure::of_transport)?;
        match channel.call(request).await {
            Ok(response) => {
                self.link.reached();
                Ok(response)
            }
            Err(error) => {
                let failure = Failure::of_transport(error);
                if matches!(failure, Failure::Unreachable(_)) {
                    self.link.failed(Instant::now());
                }
                Err(failure)
            }
        }
    }
}
