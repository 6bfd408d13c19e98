//! Datastream, with its Operations and Locations mixins, as a server that speaks real gRPC.
//!
//! | noun | file | |
//! |---|---|---|
//! | [`Datastream`] | here | the service: a world, a clock, and the lock between them |
//! | [`Setup`], [`SeedObject`] | `setup.rs` | what exists at start; `sample.rs` has a company's |
//! | [`Pace`] | `pace.rs` | how long everything takes |
//! | `World` | `world.rs` | everything remembered, and the place where time moves it |
//! | `Operation` | `operation.rs` | a long-running operation; `change.rs` begins one, `operations.rs` serves them |
//! | `Run` | `backfill.rs` | one run of a backfill, as a function of time; `backfill_job.rs` starts and stops it |
//! | `Resource` | `resource.rs` | profiles, streams, private connections and routes, each in its own file |
//! | `Object` | `object.rs` | the tables of a stream; `catalogue.rs` has the tables of the sources |
//! | `Shapes` | `../shapes.rs` | update masks and secrets, by descriptor (`mask.rs`) |
//!
//! Invariants: no task runs in the background. Every call first settles what the clock says is due, so two readers at
//! the same instant see the same, and a test moves hours by moving the clock. Every store has a named limit. Secrets
//! are dropped when they arrive.
//!
//! It deliberately copies no data, connects to nothing, and knows no permissions.

mod backfill;
mod backfill_job;
mod catalogue;
mod change;
mod discover;
mod id;
mod location;
mod object;
mod operation;
mod operations;
mod pace;
mod private_connection;
mod profile;
mod refusal;
mod resource;
mod route;
pub(super) mod sample;
mod selection;
mod service;
mod setup;
mod source;
mod stream;
mod validation;
mod world;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tonic::service::Routes;

pub use self::{
    pace::Pace,
    setup::{SeedBackfill, SeedObject, SeedOperation, Setup},
};
use self::{shapes::Shapes, world::World};
use super::{Scenario, filter, name, shapes};
use crate::{
    clock::Clock,
    error::{Error, Result},
    pb::google::{
        cloud::{
            datastream::v1::datastream_server::DatastreamServer, location::locations_server::LocationsServer,
        },
        longrunning::operations_server::OperationsServer,
    },
};

/// Full names of the services that an emulated Datastream offers.
const SERVICES: &[&str] = &[
    "google.cloud.datastream.v1.Datastream",
    "google.cloud.location.Locations",
    "google.longrunning.Operations",
];

/// An emulated Datastream. Shared as `Arc`, which serves it.
pub struct Datastream {
    clock: Arc<dyn Clock>,
    world: Mutex<World>,
}

impl Datastream {
    /// Creates the service with what the scenario says exists.
    ///
    /// # Errors
    /// When the scenario has an object of a stream that it does not have.
    pub fn new(scenario: &Scenario, clock: Arc<dyn Clock>) -> Result<Self> {
        let shapes = Shapes::load().map_err(Error::internal)?;
        let setup = scenario.datastream.clone();
        let mut world = World::new(setup.pace, scenario.page_sizes, shapes);
        setup.furnish(&mut world, clock.now())?;
        Ok(Self { clock, world: Mutex::new(world) })
    }

    /// Returns the world after everything that is due has happened.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.settle(self.now());
        world
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl fmt::Debug for Datastream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datastream").finish_non_exhaustive()
    }
}

/// Returns the services of an emulated Datastream and their names.
pub(super) fn routes(datastream: Arc<Datastream>) -> (Routes, &'static [&'static str]) {
    let routes = Routes::new(DatastreamServer::new(datastream.clone()))
        .add_service(OperationsServer::new(datastream.clone()))
        .add_service(LocationsServer::new(datastream));
    (routes, SERVICES)
}
