//! How the record of an operation begins: from an answer that tells of one, or from a task that we start ourselves.

use prost::Message as _;

use super::{Answered, Role, Sighting, Tracker, event, pace, sources::Run};
use crate::{
    error::{Error, Result},
    model::{EventKind, Kind, Operation, OperationId, State},
    pb::google::{cloud::datastream::v1::StartBackfillJobResponse, longrunning},
    store::operations::Birth,
};

/// Bytes of an upstream's name for an operation. Postgres keeps little more in an index, and would refuse everything that is
/// written together with it.
const UPSTREAM_NAME_BYTES_MAX: usize = 2400;

impl Tracker {
    /// Begins a record. `None` for what has no name or no project.
    pub(super) fn begin(
        &self,
        kind: Kind,
        from: &Answered<'_>,
        name: &str,
        id: OperationId,
    ) -> Option<Operation> {
        let project = project_of(name).or_else(|| from.names.iter().find_map(|name| project_of(name)));
        let Some(project) = project.filter(|_| !name.is_empty()) else {
            tracing::debug!(upstream = from.upstream, name, "an operation without a project is not recorded");
            return None;
        };
        let (parent, target) = match kind {
            Kind::GoogleLro => (self.known().parent_of(from.upstream, name), String::new()),
            Kind::DatastreamBackfill => {
                let stream = name.split_once("/objects/").map_or("", |(stream, _)| stream);
                (stream.to_owned(), name.to_owned())
            }
            Kind::FlyteTask => (String::new(), String::new()),
        };
        if name.len() > UPSTREAM_NAME_BYTES_MAX {
            tracing::warn!(
                upstream = from.upstream,
                bytes = name.len(),
                "an operation's name is too long to keep"
            );
            return None;
        }
        let now = self.store().now().as_microsecond();
        let wait = pace::first(&self.known().hints(from.upstream, from.method));
        Some(Operation {
            id,
            project: project.to_owned(),
            kind,
            upstream: from.upstream.to_owned(),
            upstream_name: name.to_owned(),
            run: if kind == Kind::DatastreamBackfill { id.to_string() } else { String::new() },
            parent,
            target,
            method: from.method.to_owned(),
            principal: from.principal.to_owned(),
            state: if kind == Kind::GoogleLro { State::Running } else { State::Pending },
            version: 1,
            progress: None,
            created_at: now,
            started_at: None,
            updated_at: now,
            ended_at: None,
            metadata: Vec::new(),
            response: Vec::new(),
            error: Vec::new(),
            source: Vec::new(),
            problem: String::new(),
            poll_at: now.saturating_add(pace::micros(pace::jittered(wait, fastrand::f64()))),
            spacing: pace::micros(wait),
            failures: 0,
            lease_token: 0,
        })
    }

    /// Finishes a record with what was seen at once.
    pub(super) fn born(&self, operation: &Operation, seen: &Sighting) -> Birth {
        self.open().born(&operation.upstream);
        let mut change = self.applied(seen, operation, operation.created_at);
        let created = if change.operation.state.is_final() {
            operation
        } else {
            // What it is like from the start is no move.
            change.operation.version = 1;
            change.events.clear();
            &change.operation
        };
        let mut events = vec![event::of(created, EventKind::Created)];
        event::tell(&mut events, created, self.view());
        events.extend(change.events);
        Birth { operation: change.operation, events }
    }

    /// Returns the operation that an answer tells of, to be committed with the outcome of the call.
    ///
    /// # Errors
    /// The answer cannot be decoded.
    pub fn started(&self, role: Role, from: &Answered<'_>, id: OperationId) -> Result<Option<Birth>> {
        let (kind, name, message, source) = match role {
            Role::StartsLro => {
                let it = longrunning::Operation::decode(from.reply).map_err(Error::internal)?;
                (Kind::GoogleLro, it.name, from.reply.to_vec(), Vec::new())
            }
            Role::StartsBackfill => {
                let it = StartBackfillJobResponse::decode(from.reply).map_err(Error::internal)?;
                let object = it.object.unwrap_or_default();
                let run = Run::start(&object).bytes();
                (Kind::DatastreamBackfill, object.name.clone(), object.encode_to_vec(), run)
            }
            _ => return Ok(None),
        };
        let Some(mut operation) = self.begin(kind, from, &name, id) else { return Ok(None) };
        operation.source = source;
        let seen = self.sources().of(kind).read(&operation, &message)?;
        Ok(Some(self.born(&operation, &seen)))
    }

    /// Returns the name of the operation that an answer tells of and that is on record, and whether a caller deleted that.
    ///
    /// # Errors
    /// The database is away.
    pub async fn name_of(&self, role: Role, from: &Answered<'_>) -> Result<Option<(String, bool)>> {
        let name = match role {
            Role::StartsLro => longrunning::Operation::decode(from.reply).ok().map(|it| it.name),
            Role::StartsBackfill => StartBackfillJobResponse::decode(from.reply)
                .ok()
                .and_then(|it| it.object)
                .map(|object| object.name),
            _ => None,
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
        let found = self.store().operation_named(from.upstream, &name).await?;
        Ok(found.map(|(operation, deleted)| (operation.name(), deleted)))
    }
}

/// Returns the id of the project in a name.
pub(super) fn project_of(name: &str) -> Option<&str> {
    name.strip_prefix("projects/")?.split('/').next().filter(|id| !id.is_empty() && *id != "-")
}
