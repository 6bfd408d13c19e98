//! The connections to one upstream: one for each endpoint and worker, and one more for streams, made on first use. Endpoints
//! are taken in turn.
//!
//! A worker calls on its own connections, so that nothing that happens to a call wakes another thread (see
//! [`crate::workers`]); all threads that are none share those of one. Where it can have none, as an upstream may allow fewer
//! than there are threads, it calls on another thread's.
//!
//! An endpoint that cannot be reached is avoided while another can, and a call that found it dead goes to the next: nothing
//! was sent, so that is harmless for every call.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::task::TaskTracker;

use super::connection::{Answer, Connection, Lost, Purpose};
use super::connector::{Connector, Link};
use super::failure::Failure;
use super::pulse::Pulse;
use super::tls::{self, Tls};
use crate::config::{Endpoint as Address, Upstream as Section};
use crate::workers;

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
    /// Runs the connections. They end when their way is gone and nothing is on them.
    tasks: TaskTracker,
}

/// The connections of an endpoint, however they stand.
#[derive(Debug)]
struct Way {
    connector: Connector,
    link: Link,
    states: Mutex<States>,
}

/// How the connections of each worker stand, by its number, for calls and for streams; of those behind the end there is none.
#[derive(Debug, Default)]
struct States(Vec<[State; 2]>);

#[derive(Debug, Default)]
enum State {
    #[default]
    Absent,
    /// None could be made, and for so long none is tried where another thread has one.
    Denied(Instant),
    /// Being made, for all who wait: a caller that leaves does not take it along.
    Coming(watch::Receiver<Arrival>),
    Open(Connection),
}

/// How long a thread calls on another's connections before it tries again to have its own.
const LENT_FOR: Duration = Duration::from_secs(1);

/// What came of making a connection, once it is known.
type Arrival = Option<Result<Connection, Arc<io::Error>>>;

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
            up: self.list.iter().filter(|endpoint| endpoint.way.link.is_up()).count(),
            down: self.list.iter().filter(|endpoint| endpoint.way.link.is_down()).count(),
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
        let link = |index: usize| &self.list[index].way.link;
        let stands = in_turn().find(|index| link(*index).stands());
        if stands.is_some() {
            in_turn()
                .filter(|index| link(*index).is_worth_a_look(now))
                .for_each(|index| self.list[index].look());
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
            way: Arc::new(Way { connector, link: Link::default(), states: Mutex::default() }),
            tasks: TaskTracker::new(),
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
                None => self.connection(purpose).await?,
            };
            match connection.call(self.addressed(request()), message.clone()).await {
                Ok(answer) => {
                    self.way.link.reached();
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
                            self.way.link.failed(began, Instant::now());
                            return Err(Failure::Unreachable(error.into()));
                        }
                    }
                }
            }
        }
    }

    /// Makes a connection that nobody waits for, if there is none.
    fn look(&self) {
        let mut states = self.way.lock();
        let state = states.mine(Purpose::Calls);
        match state {
            State::Open(_) => self.way.link.found(),
            State::Coming(_) => {}
            State::Absent | State::Denied(_) => {
                let told = watch::Sender::new(None);
                *state = State::Coming(told.subscribe());
                drop(states);
                self.tasks.spawn(keep(Arc::clone(&self.way), Purpose::Calls, told));
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

    /// Returns the connection that is there, or waits for one.
    async fn connection(&self, purpose: Purpose) -> Result<Connection, Failure> {
        let mut arrival = {
            let mut states = self.way.lock();
            if let State::Denied(until) = *states.mine(purpose)
                && let Some(connection) = states.lent(purpose)
            {
                let now = Instant::now();
                if until <= now {
                    // Nobody waits for it: it may take long, and fail again.
                    *states.mine(purpose) = State::Denied(now + self.way.connector.longest() + LENT_FOR);
                    drop(states);
                    self.tasks.spawn(keep(Arc::clone(&self.way), purpose, watch::Sender::new(None)));
                }
                return Ok(connection);
            }
            let state = states.mine(purpose);
            match state {
                State::Open(connection) if !connection.pulse().is_doubtful() => return Ok(connection.clone()),
                State::Coming(arrival) => arrival.clone(),
                State::Absent | State::Denied(_) | State::Open(_) => {
                    let (told, arrival) = watch::channel(None);
                    *state = State::Coming(arrival.clone());
                    drop(states);
                    self.tasks.spawn(keep(Arc::clone(&self.way), purpose, told));
                    arrival
                }
            }
        };
        // Nobody tells where the task has panicked, or its runtime ends.
        let arrived = arrival.wait_for(Option::is_some).await.ok().and_then(|arrived| arrived.clone());
        match arrived {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(error)) => self.way.lent(purpose).ok_or_else(|| Failure::Unreachable(error.into())),
            None => {
                self.way.forget(&arrival);
                Err(Failure::Unreachable("nobody makes a connection".into()))
            }
        }
    }
}

/// Makes a connection, tells those who wait for it, and runs it to its end. It stays on the thread that asked for it.
async fn keep(way: Arc<Way>, purpose: Purpose, told: watch::Sender<Arrival>) {
    let began = Instant::now();
    match way.connector.connect(purpose).await {
        Ok((connection, running)) => {
            {
                let mut states = way.lock();
                let state = states.mine(purpose);
                if let Some(first) = state.usable() {
                    // Somebody else was sooner, while nobody waited for this one.
                    return drop(told.send_replace(Some(Ok(first))));
                }
                *state = State::Open(connection.clone());
            }
            way.link.found();
            let _farewell = Farewell { way: Arc::downgrade(&way), pulse: Arc::clone(connection.pulse()) };
            told.send_replace(Some(Ok(connection)));
            // Else it would never be without anybody who could call on it, and so never close.
            drop((told, way));
            running.await;
        }
        Err(error) => {
            let now = Instant::now();
            // Who can be reached on another connection is not down.
            if way.lent(purpose).is_none() {
                way.link.failed(began, now);
            }
            {
                let mut states = way.lock();
                let state = states.mine(purpose);
                let is_anothers = match state {
                    State::Open(_) => true,
                    State::Coming(arrival) => !arrival.same_channel(&told.subscribe()),
                    State::Absent | State::Denied(_) => false,
                };
                if !is_anothers {
                    *state = State::Denied(now + LENT_FOR);
                }
            }
            told.send_replace(Some(Err(Arc::new(error))));
        }
    }
}

/// Leaves a connection when its task ends, however that is.
struct Farewell {
    way: Weak<Way>,
    pulse: Arc<Pulse>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(way) = self.way.upgrade() {
            way.leave(&self.pulse);
        }
    }
}

impl State {
    fn usable(&self) -> Option<Connection> {
        match self {
            Self::Open(connection) if !connection.pulse().is_doubtful() => Some(connection.clone()),
            _ => None,
        }
    }
}

impl States {
    /// Returns that of this thread.
    fn mine(&mut self, purpose: Purpose) -> &mut State {
        let number = workers::current();
        if self.0.len() <= number {
            self.0.resize_with(number + 1, Default::default);
        }
        &mut self.0[number][purpose as usize]
    }

    /// Finds one of any thread, rather of the same purpose: an upstream may allow no more than one.
    fn lent(&self, purpose: Purpose) -> Option<Connection> {
        let of = |purpose: usize| self.0.iter().find_map(|states| states[purpose].usable());
        of(purpose as usize).or_else(|| of(1 - purpose as usize))
    }

    /// Takes the one that is meant for gone.
    fn end(&mut self, is_meant: impl Fn(&State) -> bool) {
        if let Some(state) = self.0.iter_mut().flatten().find(|state| is_meant(state)) {
            *state = State::Absent;
        }
    }
}

impl Way {
    /// Finds a connection of any thread.
    fn lent(&self, purpose: Purpose) -> Option<Connection> {
        self.lock().lent(purpose)
    }

    /// Makes no further call on a connection; those under way go on.
    fn leave(&self, pulse: &Arc<Pulse>) {
        self.lock().end(|state| matches!(state, State::Open(open) if Arc::ptr_eq(open.pulse(), pulse)));
    }

    /// Waits no longer for a connection of which nobody will tell.
    fn forget(&self, arrival: &watch::Receiver<Arrival>) {
        self.lock().end(|state| matches!(state, State::Coming(coming) if coming.same_channel(arrival)));
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
