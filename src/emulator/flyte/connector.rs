//! The connectors that the server registers when the BigQuery plugin is loaded.

use tonic::Status;

use super::exception::Exception;
use crate::pb::flyteidl::admin::{Agent, TaskCategory};

/// A connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Waits for something to happen. Part of every server.
    Sensor,
    /// Runs queries.
    BigQuery,
    /// Calls an address. Answers at once and has no other methods.
    Webhook,
}

/// The connectors in the order in which the server lists them.
const ALL: [Kind; 3] = [Kind::Sensor, Kind::BigQuery, Kind::Webhook];

/// All of them are served in this version only.
const VERSION: i32 = 0;

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Sensor => "Sensor",
            Self::BigQuery => "Bigquery Connector",
            Self::Webhook => "Webhook Connector",
        }
    }

    fn task_type(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::BigQuery => "bigquery_query_job_task",
            Self::Webhook => "webhook",
        }
    }

    #[expect(deprecated, reason = "the server fills the old field in too")]
    fn describe(self) -> Agent {
        let name = self.task_type().to_owned();
        Agent {
            name: self.name().to_owned(),
            supported_task_types: vec![name.clone()],
            is_sync: self == Self::Webhook,
            supported_task_categories: vec![TaskCategory { name, version: VERSION }],
        }
    }
}

/// Finds the connector of a type of task.
pub(super) fn find(task_type: &str, version: i32) -> Option<Kind> {
    ALL.into_iter().find(|kind| kind.task_type() == task_type && version == VERSION)
}

/// Describes all connectors.
pub(super) fn list() -> Vec<Agent> {
    ALL.into_iter().map(Kind::describe).collect()
}

/// Describes the connector of that name.
///
/// # Errors
/// `UNKNOWN` when nobody has the name.
pub(super) fn describe(name: &str) -> Result<Agent, Status> {
    let found = ALL.into_iter().find(|kind| kind.name() == name);
    found.map(Kind::describe).ok_or_else(|| unregistered(&format!("name: {name}")).unexpected())
}

/// What the registry raises when it has no connector.
pub(super) fn unregistered(what: &str) -> Exception {
    Exception::new(
        "flytekit.exceptions.system.FlyteConnectorNotFound",
        format!("SYSTEM:ConnectorNotFound: error=Cannot find connector for {what}."),
    )
}
