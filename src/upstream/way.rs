//! The connections to one endpoint: one for each worker, and one more for streams, made on first use.
//!
//! A worker calls on its own connections, so that nothing that happens to a call wakes another thread (see
//! [`crate::workers`]); all threads that are none share those of one. Where it can have none, as an upstream may allow fewer
//! than there are threads, it calls on another thread's.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Purpose};
use super::connector::{Connector, Link};
use super::failure::Failure;
use super::pulse::Pulse;
use crate::workers;

/// How long a thread calls on another's connections before it tries again to have its own.
const LENT_FOR: Duration = Duration::from_secs(1);

/// The way to one endpoint.
#[derive(Debug)]
pub(super) struct Way {
    connector: Connector,
    link: Link,
    states: Mutex<States>,
    /// Runs the connections. They end when this is gone and nothing is on them.
    tasks: TaskTracker,
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

/// What came of making a connection, once it is known.
type Arrival = Option<Result<Connection, Arc<io::Error>>>;

impl Way {
    /// Prepares it; no connection is made yet.
    pub(super) fn new(connector: Connector) -> Arc<Self> {
        Arc::new(Self {
            connector,
            link: Link::default(),
            states: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    /// Returns what is known of how it stands.
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Returns this thread's connection, or waits for one. Must run inside a tokio runtime, on which the connection stays.
    pub(super) async fn connection(self: &Arc<Self>, purpose: Purpose) -> Result<Connection, Failure> {
        let mut arrival = {
            let mut states = self.lock();
            if let State::Denied(until) = *states.mine(purpose)
                && let Some(connection) = states.lent(purpose)
            {
                let now = Instant::now();
                if until <= now {
                    // Nobody waits for it: it may take long, and fail again.
                    *states.mine(purpose) = State::Denied(now + self.connector.longest() + LENT_FOR);
                    drop(states);
                    self.tasks.spawn(keep(Arc::clone(self), purpose, watch::Sender::new(None)));
                }
                return Ok(connection);
            }
            let state = states.mine(purpose);
            if let Some(connection) = state.usable() {
                return Ok(connection);
            }
            match state {
                State::Coming(arrival) => arrival.clone(),
                State::Absent | State::Denied(_) | State::Open(_) => {
                    let told = state.begin();
                    drop(states);
                    let arrival = told.subscribe();
                    self.tasks.spawn(keep(Arc::clone(self), purpose, told));
                    arrival
                }
            }
        };
        // Nobody tells where the task has panicked, or its runtime ends.
        let arrived = arrival.wait_for(Option::is_some).await.ok().and_then(|arrived| arrived.clone());
        match arrived {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(error)) => self.lent(purpose).ok_or_else(|| Failure::Unreachable(error.into())),
            None => {
                self.forget(&arrival);
                Err(Failure::Unreachable("nobody makes a connection".into()))
            }
        }
    }

    /// Finds out whether there can be a connection, while nobody waits for it.
    pub(super) fn look(self: &Arc<Self>) {
        let mut states = self.lock();
        let state = states.mine(Purpose::Calls);
        match state {
            State::Open(connection) if !connection.pulse().is_doubtful() => self.link.found(),
            State::Coming(_) => {}
            State::Absent | State::Denied(_) | State::Open(_) => {
                let told = state.begin();
                drop(states);
                self.tasks.spawn(keep(Arc::clone(self), Purpose::Calls, told));
            }
        }
    }

    /// Finds a connection of any thread.
    pub(super) fn lent(&self, purpose: Purpose) -> Option<Connection> {
        self.lock().lent(purpose)
    }

    /// Makes no further call on a connection; those under way go on.
    pub(super) fn leave(&self, pulse: &Arc<Pulse>) {
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

impl State {
    /// Has all who come from now on wait for what [`keep`] is to tell.
    fn begin(&mut self) -> watch::Sender<Arrival> {
        let told = watch::Sender::new(None);
        *self = Self::Coming(told.subscribe());
        told
    }

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
