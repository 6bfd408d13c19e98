//! What exists in an emulator at start, and how it behaves. Plain data.

use jiff::Timestamp;

use super::{
    connection::sample,
    datastream::{self, Setup},
    faults::Fault,
    flyte, spanner,
};
use crate::pb::google::cloud::bigquery::connection::v1::Connection;

/// One world for an emulator to start with.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// Where everything random comes from: the same seed and the same calls give the same ids, times aside.
    pub seed: u64,
    /// How lists are cut.
    pub page_sizes: PageSizes,
    /// Faults in force from the start.
    pub faults: Vec<Fault>,
    /// Connections that exist, full names included. Their `has_credential` is taken as it is.
    pub connections: Vec<Connection>,
    /// What exists in Datastream, and how fast it moves.
    pub datastream: Setup,
    /// What exists in Spanner, and how fast it moves.
    pub spanner: spanner::Setup,
    /// What a Flyte connector finds, and what becomes of its queries.
    pub flyte: flyte::Setup,
}

/// How many items a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSizes {
    /// When the caller leaves it open.
    pub default: usize,
    /// At most, whatever the caller asks for.
    pub max: usize,
}

impl Default for PageSizes {
    /// 50 and 1000, which Datastream documents; the connection service documents nothing.
    fn default() -> Self {
        Self { default: 50, max: 1000 }
    }
}

impl Scenario {
    /// Nothing exists.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A company's data platform as one would find it at `now`: for demonstrations.
    pub fn sample(now: Timestamp) -> Self {
        Self {
            connections: sample::connections(now),
            datastream: datastream::sample::setup(now),
            spanner: spanner::sample::setup(now),
            flyte: flyte::sample::setup(),
            ..Self::default()
        }
    }

    /// Adds `count` connections of one kind under a parent, named `{prefix}-00000` and so on: for load and paging.
    #[must_use]
    pub fn with_many_connections(mut self, parent: &str, prefix: &str, count: usize, now: Timestamp) -> Self {
        self.connections.extend(sample::many(parent, prefix, count, now));
        self
    }
}
