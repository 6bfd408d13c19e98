//! The endpoints of one upstream, taken in turn.
//!
//! An endpoint that cannot be reached is avoided while another can, and a call that found it dead goes to the next: nothing
//! was sent, so that is harmless for every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;

use super::connection::{Answer, Lost, Purpose};
use super::connector::Connector;
use super::failure::Failure;
use super::tls::{self, Tls};
use super::way::Way;
use crate::config::{Endpoint as Address, Upstream as Section};

/// Endpoints of one upstream.
const ENDPOINTS_MAX: usize = 64;
/// Connections of one endpoint that a call is offered on: each may end just as it comes.
const OFFERS_MAX: usize = 3;
/// How often an upstream may refuse a call before its caller hears of it. More would be a burden on one that has too much to
/// do.
const REFUSALS_MAX: usize = 2;

/// The endpoints of one upstream.
#[derive(Debug)]
pub(super) struct Endpoints {
    list: Box<[Endpoint]>,
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    way: Arc<Way>,
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
            .map(|endpoint| Endpoint::new(endpoint, config, tls.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Self { list, turn: AtomicUsize::new(0) })
    }

    /// Sends a request to one endpoint after the other until one can be reached.
    pub(super) async fn send(
        &self,
        purpose: Purpose,
        request: impl Fn() -> Request<()>,
        message: &Bytes,
    ) -> Result<Response<Answer>, Failure> {
        let mut tried = 0_u64;
        loop {
            let index = self.pick(tried);
            tried |= 1 << index;
            let failure = match self.list[index].send(purpose, &request, message).await {
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
            up: self.list.iter().filter(|endpoint| endpoint.way.link().is_up()).count(),
            down: self.list.iter().filter(|endpoint| endpoint.way.link().is_down()).count(),
        }
    }

    /// Chooses an endpoint that was not tried yet, rather one that can be reached as far as is known. Whether one that could
    /// not be reached can be by now is found out meanwhile, if there is another.
    fn pick(&self, tried: u64) -> usize {
        let count = self.list.len();
        if count == 1 {
            return 0;
        }
        let now = Instant::now();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn =
            || (0..count).map(|step| first.wrapping_add(step) % count).filter(|i| tried & 1 << i == 0);
        let link = |index: usize| self.list[index].way.link();
        let stands = in_turn().find(|index| link(*index).stands());
        if stands.is_some() {
            in_turn()
                .filter(|index| link(*index).is_worth_a_look(now))
                .for_each(|index| self.list[index].way.look());
        }
        stands
            .or_else(|| in_turn().find(|index| link(*index).is_worth_a_look(now)))
            .or_else(|| in_turn().next())
            .expect("the loop in `send` ends when every endpoint was tried")
    }
}

impl Endpoint {
    fn new(
        address: &Address,
        config: &Section,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, (&'static str, String)> {
        let wrong = |why: &str| ("endpoint", format!("{address}: {why}"));
        let uri: Uri = address.as_str().parse().map_err(|_| wrong("not a URL"))?;
        let authority = uri.authority().cloned().ok_or_else(|| wrong("the host is missing"))?;
        let tls = tls.filter(|_| address.is_tls());
        let connector = Connector {
            host: address.host().into(),
            port: address.port(),
            tls: tls.map(|client| Tls::new(client, &config.tls, address.host())).transpose()?,
            time_max: config.connect_timeout,
        };
        Ok(Self {
            scheme: if address.is_tls() { Scheme::HTTPS } else { Scheme::HTTP },
            authority,
            way: Way::new(connector),
        })
    }

    /// Offers a request until the upstream begins with it, or cannot be reached.
    async fn send(
        &self,
        purpose: Purpose,
        request: &impl Fn() -> Request<()>,
        message: &Bytes,
    ) -> Result<Response<Answer>, Failure> {
        let began = Instant::now();
        let (mut offers, mut refusals) = (0, 0);
        let mut lent = None;
        loop {
            let connection = match lent.take() {
                Some(connection) => connection,
                None => self.way.connection(purpose).await?,
            };
            match connection.call(self.addressed(request()), message.clone()).await {
                Ok(answer) => {
                    self.way.link().reached();
                    return Ok(answer);
                }
                Err(Lost::Broken(error)) => return Err(Failure::Broken(error.into())),
                Err(Lost::Refused(error)) => {
                    refusals += 1;
                    if refusals == REFUSALS_MAX {
                        return Err(Failure::Refused(error.into()));
                    }
                }
                Err(Lost::Over(error)) => {
                    self.way.leave(connection.pulse());
                    offers += 1;
                    if offers >= OFFERS_MAX {
                        lent = self.way.lent(purpose).filter(|_| offers == OFFERS_MAX);
                        if lent.is_none() {
                            self.way.link().failed(began, Instant::now());
                            return Err(Failure::Unreachable(error.into()));
                        }
                    }
                }
            }
        }
    }

    /// Puts the endpoint's address to the path of a request.
    fn addressed(&self, mut request: Request<()>) -> Request<()> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).expect("a path with scheme and authority is a URI");
        request
    }
}
