//! Spanner's administration as it behaves: instances, databases, backups, and the operations that change them.
//!
//! | noun | file | |
//! |---|---|---|
//! | [`Spanner`] | here | the service: a world, a clock, and the lock between them |
//! | [`Setup`], [`SeedOperation`] | `setup.rs` | what exists at start; `sample.rs` has a company's |
//! | [`Pace`] | `pace.rs` | how long everything takes |
//! | `World` | `world.rs` | everything remembered, and the place where time moves it |
//! | `Operation` | `operation.rs` | a long-running operation; `metadata.rs` tells what it shows, `operations.rs` serves them |
//! | `Resource` | `resource.rs` | the six kinds of resource, each in its own file |
//! | `Capacity` | `capacity.rs` | nodes and processing units, which are the same twice |
//! | `Statement`, `Schema` | `ddl.rs`, `schema.rs` | what schema statements say, and what they add up to |
//! | `Reader` | `reader.rs` | fields of any message by name, for filters |
//!
//! Operations live with what they work on, in six collections: databases, instances, backups, instance partitions,
//! instance configurations, and their SSD caches. The last has no method that begins one: those are there from the start.
//!
//! Invariants: no task runs in the background. Every call first settles what the clock says is due, so two readers at
//! the same instant see the same, and a test moves hours by moving the clock. Every store has a named limit. What a
//! cancelled or failed operation had begun is taken back.
//!
//! What has `fail` in its id, or matches [`Setup::failing`], fails when its time comes.
//!
//! It deliberately stores no rows, executes no SQL beyond reading which object a statement is about, makes no backups by
//! schedule, and knows no permissions.

mod backup;
mod capacity;
mod config;
mod copy;
mod database;
mod database_service;
mod ddl;
mod iam;
mod id;
mod instance;
mod instance_service;
mod metadata;
mod operation;
mod operations;
mod pace;
mod partition;
mod reader;
mod refusal;
mod resource;
mod restore;
pub(super) mod sample;
mod schedule;
mod schema;
mod schema_change;
mod setup;
mod split_points;
mod world;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tonic::service::Routes;

use self::world::World;
pub use self::{
    pace::Pace,
    setup::{SeedDatabase, SeedOperation, SeedWork, Setup},
};
use super::{Scenario, filter, name, shapes, time};
use crate::{
    clock::Clock,
    error::{Error, Result},
    pb::google::{
        longrunning::operations_server::OperationsServer,
        spanner::admin::{
            database::v1::database_admin_server::DatabaseAdminServer,
            instance::v1::instance_admin_server::InstanceAdminServer,
        },
    },
};

/// Full names of the services that an emulated Spanner offers.
const SERVICES: &[&str] = &[
    "google.spanner.admin.instance.v1.InstanceAdmin",
    "google.spanner.admin.database.v1.DatabaseAdmin",
    "google.longrunning.Operations",
];

/// An emulated Spanner. Shared as `Arc`, which serves it.
pub struct Spanner {
    clock: Arc<dyn Clock>,
    world: Mutex<World>,
}

impl Spanner {
    /// Creates the service with what the scenario says exists.
    ///
    /// # Errors
    /// When the scenario has a statement that cannot be read.
    pub fn new(scenario: &Scenario, clock: Arc<dyn Clock>) -> Result<Self> {
        let shapes = shapes::Shapes::load().map_err(Error::internal)?;
        let setup = scenario.spanner.clone();
        let mut world = World::new(scenario, shapes);
        setup.furnish(&mut world, clock.now())?;
        Ok(Self { clock, world: Mutex::new(world) })
    }

    /// Returns the world after everything that is due has happened, and the time.
    fn world(&self) -> (MutexGuard<'_, World>, Timestamp) {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        world.settle(now);
        (world, now)
    }
}

impl fmt::Debug for Spanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spanner").finish_non_exhaustive()
    }
}

/// Returns the services of an emulated Spanner and their names.
pub(super) fn routes(spanner: Arc<Spanner>) -> (Routes, &'static [&'static str]) {
    let routes = Routes::new(InstanceAdminServer::new(spanner.clone()))
        .add_service(DatabaseAdminServer::new(spanner.clone()))
        .add_service(OperationsServer::new(spanner));
    (routes, SERVICES)
}
