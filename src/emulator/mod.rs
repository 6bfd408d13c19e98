//! Upstreams that speak real gRPC, for `causeway dev`, for `causeway emulator` and for tests.
//!
//! An [`Emulator`] opens one port per [`Upstream`] and keeps the manners of the real service there: what it refuses and
//! with which details, what it fills in, what it never returns, how it pages. Everything a test or a demonstration wants
//! to choose is data in a [`Scenario`]: what exists at start, how pages are cut, which calls are slow or fail.
//!
//! | noun | file | |
//! |---|---|---|
//! | [`Emulator`] | here | all upstreams of one scenario, and how to end them |
//! | [`Scenario`] | `scenario.rs` | what exists and how it behaves |
//! | [`Calls`] | `calls.rs` | what was called: counts, and the last calls with metadata and bytes |
//! | [`Faults`], [`Fault`] | `faults.rs` | calls that are delayed, refused, or never answered |
//! | `Observed` | `observed.rs` | the layer in front of every service that notes calls and applies faults |
//! | `Listener` | `server.rs` | one port: services, health, reflection |
//! | `Link` | `link.rs` | a connection that can be cut |
//! | `Page` | `paging.rs` | page sizes and opaque page tokens |
//! | `Refusal` | `status.rs` | errors with the details that the real services send |
//! | `Filter` | `filter.rs` | list filters |
//! | `Shapes` | `shapes.rs` | update masks and secrets, by descriptor (`mask.rs`) |
//! | policies | `policy.rs` | who may use a resource |
//! | names, instants | `name.rs`, `time.rs` | their shape, and arithmetic that cannot fail |
//! | [`Connections`] | `connection/` | BigQuery Connection |
//! | [`Datastream`] | `datastream/` | Datastream, with its operations and locations |
//! | [`Spanner`] | `spanner/` | Spanner's instances, databases and backups, with all its operations |
//! | [`Flyte`] | `flyte/` | a Flyte connector and the jobs it starts |
//!
//! Invariants: everything is kept in memory under a named limit (`limits.rs`); whatever is random comes from the
//! scenario's seed, and time from the clock that is passed in, so that a story can be told twice.
//!
//! It deliberately does not check who calls, does not persist anything, and imports nothing of the gateway above the
//! base modules: it is the far side of the network.

mod calls;
pub mod connection;
pub mod datastream;
mod faults;
mod filter;
pub mod flyte;
mod glob;
mod hash;
pub mod limits;
mod link;
mod mask;
mod name;
mod observed;
mod paging;
mod policy;
mod scenario;
mod server;
mod shapes;
pub mod spanner;
mod status;
#[cfg(test)]
mod tests;
mod time;

use std::{fmt, net::SocketAddr, sync::Arc};

use tonic::service::Routes;

pub use self::{
    calls::{Call, Calls},
    connection::Connections,
    datastream::Datastream,
    faults::{Effect, Fault, Faults, Moment},
    flyte::Flyte,
    scenario::{PageSizes, Scenario},
    spanner::Spanner,
};
use self::{observed::Observed, server::Listener};
use crate::{
    clock::Clock,
    error::{Error, Result},
};

/// A system that is emulated, on a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// `google.cloud.bigquery.connection.v1.ConnectionService`.
    BigQueryConnection,
    /// `google.cloud.datastream.v1.Datastream` with its mixins.
    Datastream,
    /// Spanner's `InstanceAdmin` and `DatabaseAdmin` with their operations.
    Spanner,
    /// `flyteidl.service.AsyncAgentService` and `AgentMetadataService`.
    Flyte,
}

impl Upstream {
    /// Every emulated system, in the order of their default ports.
    pub const ALL: &[Self] = &[Self::BigQueryConnection, Self::Datastream, Self::Spanner, Self::Flyte];

    /// Returns the key that configuration knows it by.
    pub fn key(self) -> &'static str {
        match self {
            Self::BigQueryConnection => "bigqueryconnection",
            Self::Datastream => "datastream",
            Self::Spanner => "spanner",
            Self::Flyte => "flyte",
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// What all upstreams of one emulator share.
#[derive(Clone)]
struct World {
    scenario: Arc<Scenario>,
    clock: Arc<dyn Clock>,
    calls: Arc<Calls>,
    faults: Arc<Faults>,
}

/// Running upstreams. They stop when this is dropped; [`Emulator::stop`] also waits for them.
pub struct Emulator {
    world: World,
    connections: Arc<Connections>,
    datastream: Arc<Datastream>,
    spanner: Arc<Spanner>,
    flyte: Arc<Flyte>,
    listeners: Vec<(Upstream, Listener)>,
}

impl Emulator {
    /// Opens one port for each given upstream; port 0 takes a free one.
    ///
    /// # Errors
    /// When an address cannot be bound. Those bound before it are closed again.
    pub async fn start(
        scenario: Scenario,
        clock: Arc<dyn Clock>,
        addresses: &[(Upstream, SocketAddr)],
    ) -> Result<Self> {
        let faults = Faults::new(scenario.seed, scenario.faults.clone())?;
        let world =
            World { scenario: Arc::new(scenario), clock, calls: Arc::default(), faults: Arc::new(faults) };
        let connections = Connections::new(&world.scenario, world.clock.clone())?;
        let datastream = Datastream::new(&world.scenario, world.clock.clone())?;
        let spanner = Spanner::new(&world.scenario, world.clock.clone())?;
        let flyte = Flyte::new(&world.scenario, world.clock.clone());
        let mut emulator = Self {
            world,
            connections: Arc::new(connections),
            datastream: Arc::new(datastream),
            spanner: Arc::new(spanner),
            flyte: Arc::new(flyte),
            listeners: Vec::new(),
        };
        for (upstream, address) in addresses {
            let listener = emulator.listen(*upstream, *address).await?;
            emulator.listeners.push((*upstream, listener));
        }
        Ok(emulator)
    }

    /// Opens a free loopback port for every upstream.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub async fn start_on_loopback(scenario: Scenario, clock: Arc<dyn Clock>) -> Result<Self> {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let addresses: Vec<_> = Upstream::ALL.iter().map(|upstream| (*upstream, loopback)).collect();
        Self::start(scenario, clock, &addresses).await
    }

    /// Returns the upstreams that are up and where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = (Upstream, SocketAddr)> + '_ {
        self.listeners.iter().map(|(upstream, listener)| (*upstream, listener.address()))
    }

    /// Returns where an upstream listens, as `http://host:port`; `None` when it was not started.
    pub fn endpoint(&self, upstream: Upstream) -> Option<String> {
        self.addresses().find(|(up, _)| *up == upstream).map(|(_, address)| format!("http://{address}"))
    }

    /// Returns what has been called so far.
    pub fn calls(&self) -> &Calls {
        &self.world.calls
    }

    /// Returns the faults in force, to be changed at any time.
    pub fn faults(&self) -> &Faults {
        &self.world.faults
    }

    /// Returns the connections that exist, to be looked at or added to behind the API's back.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Closes the port of an upstream at once: open connections die, new ones are refused. Its state is kept.
    pub async fn take_down(&mut self, upstream: Upstream) {
        if let Some((_, listener)) = self.listeners.iter_mut().find(|(up, _)| *up == upstream) {
            listener.abort().await;
        }
    }

    /// Opens the same port again after [`Emulator::take_down`].
    ///
    /// # Errors
    /// When the upstream was never started, or its port has been taken by somebody else.
    pub async fn bring_up(&mut self, upstream: Upstream) -> Result<()> {
        let place = self.listeners.iter().position(|(up, _)| *up == upstream);
        let place =
            place.ok_or_else(|| Error::invalid_field("upstream", format!("{upstream} was not started")))?;
        let address = self.listeners[place].1.address();
        self.listeners[place].1.abort().await;
        self.listeners[place].1 = self.listen(upstream, address).await?;
        Ok(())
    }

    /// Ends all upstreams: no new calls, those under way may finish within [`limits::EMULATOR_STOP_MAX`].
    pub async fn stop(mut self) {
        for (_, listener) in &mut self.listeners {
            listener.signal();
        }
        for (_, listener) in self.listeners {
            listener.join().await;
        }
    }

    async fn listen(&self, upstream: Upstream, address: SocketAddr) -> Result<Listener> {
        let (routes, services) = self.routes(upstream);
        let observed = move |routes| {
            Observed::new(routes, upstream, self.world.calls.clone(), self.world.faults.clone())
        };
        Listener::bind(address, routes, services, observed).await
    }

    /// Returns the services of an upstream and their names.
    fn routes(&self, upstream: Upstream) -> (Routes, &'static [&'static str]) {
        match upstream {
            Upstream::BigQueryConnection => connection::routes(self.connections.clone()),
            Upstream::Datastream => datastream::routes(self.datastream.clone()),
            Upstream::Spanner => spanner::routes(self.spanner.clone()),
            Upstream::Flyte => flyte::routes(self.flyte.clone()),
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.addresses()).finish()
    }
}
