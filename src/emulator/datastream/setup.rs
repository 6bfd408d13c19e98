//! What exists in an emulated Datastream at start. Plain data.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    backfill::Run,
    name::ancestor,
    object,
    operation::{Operation, Phase, Work, nothing},
    pace::{Pace, after, before},
    refusal::{into_rpc, precondition},
    resource::Resource,
    stream,
    world::World,
};
use crate::{
    error::{Error, Result},
    pb::google::cloud::datastream::v1::{
        BackfillJob, ConnectionProfile, Error as StreamError, PrivateConnection, Route, Stream,
        backfill_job::{State, Trigger},
    },
};

/// One world for a Datastream to start with. Resources carry their full names.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// How long things take.
    pub pace: Pace,
    /// Connection profiles.
    pub profiles: Vec<ConnectionProfile>,
    /// Private connections.
    pub private_connections: Vec<PrivateConnection>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Streams. Their source settings say of which kind their objects are.
    pub streams: Vec<Stream>,
    /// Objects of the streams.
    pub objects: Vec<SeedObject>,
    /// Operations on streams, running and ended.
    pub operations: Vec<SeedOperation>,
}

/// An operation on a stream that was begun before the start. It changes nothing when it ends.
#[derive(Clone, Debug)]
pub struct SeedOperation {
    /// Last part of its name; made up if `None`.
    pub id: Option<&'static str>,
    /// Name of the stream. It is also what the operation answers, as it is then.
    pub stream: String,
    /// What is done: `create`, `update` or `run`.
    pub verb: &'static str,
    /// How long ago it was begun.
    pub ago: Duration,
    /// How long it takes: more than `ago`, and it is still running.
    pub takes: Duration,
    /// Why it fails; nothing when it succeeds.
    pub failure: Option<&'static str>,
}

/// An object that exists at start. Its id is made of schema and table: `public.orders` becomes `public-orders`.
#[derive(Clone, Debug)]
pub struct SeedObject {
    /// Name of its stream.
    pub stream: String,
    /// Schema or database; empty where the source has none.
    pub schema: String,
    /// Table, collection or object.
    pub table: String,
    /// Its latest backfill.
    pub backfill: SeedBackfill,
    /// Problems it has.
    pub errors: Vec<StreamError>,
}

/// The latest backfill of an object that exists at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedBackfill {
    /// None was asked for.
    NotStarted,
    /// The object cannot be backfilled.
    Unsupported,
    /// The stream asked for one this long before the start; it copies for `active`, and fails half-way where the table
    /// has `fail` in its name.
    Automatic {
        /// How long ago it was asked for.
        ago: Duration,
        /// How long it copies.
        active: Duration,
    },
}

impl Setup {
    /// Adds `count` objects without a backfill to a stream, tables `{table}_00000` and so on: for load and paging.
    #[must_use]
    pub fn with_many_objects(mut self, stream: &str, schema: &str, table: &str, count: usize) -> Self {
        self.objects.extend((0..count).map(|i| SeedObject {
            stream: stream.to_owned(),
            schema: schema.to_owned(),
            table: format!("{table}_{i:05}"),
            backfill: SeedBackfill::NotStarted,
            errors: Vec::new(),
        }));
        self
    }

    /// Adds `count` operations on a stream that ended a while ago: for load and paging.
    #[must_use]
    pub fn with_many_operations(mut self, stream: &str, count: usize) -> Self {
        self.operations.extend((0..count).map(|_| SeedOperation {
            id: None,
            stream: stream.to_owned(),
            verb: "update",
            ago: Duration::from_secs(3600),
            takes: Duration::from_secs(5),
            failure: None,
        }));
        self
    }

    /// Puts everything into a world. What has no creation time was created now.
    pub(super) fn furnish(self, world: &mut World, now: Timestamp) -> Result<()> {
        put(world, self.profiles, now);
        put(world, self.private_connections, now);
        put(world, self.routes, now);
        put(world, self.streams, now);
        for seed in self.objects {
            let kind = world.streams.get(&seed.stream).and_then(stream::kind);
            let kind = kind.ok_or_else(|| {
                let table = format!("{}.{}", seed.schema, seed.table);
                Error::invalid_field(
                    "objects",
                    format!("{table}: there is no stream {} with a source", seed.stream),
                )
            })?;
            seed.furnish(world, kind, now);
        }
        for seed in self.operations {
            world.recall(seed.into_operation(now));
        }
        Ok(())
    }
}

impl SeedOperation {
    fn into_operation(self, now: Timestamp) -> Operation {
        let (created, stream) = (before(now, self.ago), self.stream.clone());
        let refusal = self.failure.map(|why| into_rpc(&precondition("STREAM_NOT_READY", &self.stream, why)));
        let finish = Box::new(move |world: &mut World, _| {
            world.streams.get(&stream).map_or_else(nothing, Resource::to_any)
        });
        let work = Work { refusal, finish, undo: Box::new(|_, _| ()) };
        let name = self.id.map(|id| format!("{}/operations/{id}", ancestor(&self.stream, 2)));
        Operation {
            name: name.unwrap_or_default(),
            target: self.stream,
            verb: self.verb,
            created,
            validation: None,
            requested_cancellation: false,
            forgotten: false,
            phase: Phase::Running { due: after(created, self.takes), cancelled: None, work },
        }
    }
}

impl SeedObject {
    fn furnish(self, world: &mut World, kind: super::source::Kind, now: Timestamp) {
        let run = match self.backfill {
            SeedBackfill::Automatic { ago, active } => {
                let table = format!("{}.{}", self.schema, self.table);
                Some(Run { active, ..Run::start(Trigger::Automatic, &table, &world.pace, before(now, ago)) })
            }
            SeedBackfill::NotStarted | SeedBackfill::Unsupported => None,
        };
        let name = object::add(world, &self.stream, kind, (&self.schema, &self.table), run, now);
        let created = world.streams.get(&self.stream).and_then(|stream| stream.create_time);
        let Some(object) = world.objects.get_mut(&name) else { return };
        object.fixed.errors = self.errors;
        object.fixed.create_time = created.or(object.fixed.create_time);
        if self.backfill == SeedBackfill::Unsupported {
            let state = State::Unsupported.into();
            object.fixed.backfill_job = Some(BackfillJob { state, ..Default::default() });
        }
    }
}

fn put<T: Resource>(world: &mut World, resources: Vec<T>, now: Timestamp) {
    for mut resource in resources {
        let name = resource.name().to_owned();
        let created = resource.created();
        let at = created.and_then(|at| Timestamp::new(at.seconds, at.nanos).ok()).unwrap_or(now);
        resource.stamp(&name, created, at);
        T::shelf_mut(world).insert(name, resource);
    }
}
