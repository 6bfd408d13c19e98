//! A Flyte connector as `pyflyte serve connector` runs it, with the BigQuery that it talks to.
//!
//! | noun | file | |
//! |---|---|---|
//! | [`Flyte`] | here | the connector server: the jobs, a clock, and the lock between them |
//! | [`Setup`], [`Rule`], [`Ending`] | `setup.rs` | what exists at start and what becomes of queries; `sample.rs` has a company's |
//! | `service` | `service.rs` | the rpcs: which connector serves them, and how failures are worded |
//! | `Kind` | `connector.rs` | the connectors that the real server registers |
//! | `query` | `query.rs` | what the BigQuery connector makes of a task |
//! | `parameters` | `parameters.rs` | inputs that become query parameters; `sql.rs` finds those that a query wants |
//! | `Meta` | `meta.rs` | `resource_meta`, byte for byte |
//! | `BigQuery`, `Job` | `bigquery.rs`, `job.rs` | jobs as functions of time |
//! | `Exception` | `exception.rs` | what Python would raise, and how the server tells |
//! | `records` | `records.rs` | logs and metrics, for connectors that have them |
//!
//! What the server does was seen on the real one. What matters to a program: it answers INTERNAL with a traceback to
//! nearly everything, a caller's mistake included; inputs count only where the task's interface declares them; a job that
//! was stopped is FAILED; and whoever makes up a `resource_meta` gets what it names.
//!
//! Invariants: no task runs in the background, a job's state follows from the clock; jobs are limited in number and
//! queries in length.
//!
//! It deliberately does not run queries, serves no synchronous tasks, and refuses every task of the sensor and webhook
//! connectors, which it only lists.

mod bigquery;
mod connector;
mod exception;
mod job;
mod meta;
mod parameters;
mod query;
mod records;
pub(super) mod sample;
mod service;
mod setup;
mod sql;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tonic::service::Routes;

use self::bigquery::BigQuery;
pub use self::setup::{Ending, JobError, Pace, Rule, SeedJob, Setup};
use super::Scenario;
use crate::{
    clock::Clock,
    pb::flyteidl::service::{
        agent_metadata_service_server::AgentMetadataServiceServer,
        async_agent_service_server::AsyncAgentServiceServer,
    },
};

/// Full names of the services that an emulated connector offers.
const SERVICES: &[&str] = &["flyteidl.service.AsyncAgentService", "flyteidl.service.AgentMetadataService"];

/// An emulated connector server. Shared as `Arc`, which serves it.
pub struct Flyte {
    clock: Arc<dyn Clock>,
    bigquery: Mutex<BigQuery>,
    rich_log: bool,
    keeps_records: bool,
}

impl Flyte {
    /// Creates the server with the jobs that the scenario says exist.
    pub fn new(scenario: &Scenario, clock: Arc<dyn Clock>) -> Self {
        let setup = &scenario.flyte;
        let bigquery = Mutex::new(BigQuery::new(setup, scenario.seed, clock.now()));
        Self { clock, bigquery, rich_log: setup.rich_log, keeps_records: setup.keeps_records }
    }

    fn bigquery(&self) -> MutexGuard<'_, BigQuery> {
        self.bigquery.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flyte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flyte").finish_non_exhaustive()
    }
}

/// Returns the services of an emulated connector server and their names.
pub(super) fn routes(flyte: Arc<Flyte>) -> (Routes, &'static [&'static str]) {
    let routes = Routes::new(AsyncAgentServiceServer::new(flyte.clone()))
        .add_service(AgentMetadataServiceServer::new(flyte));
    (routes, SERVICES)
}
