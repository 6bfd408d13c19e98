//! What exists in an emulated Spanner at start. Plain data.

use std::time::Duration;

use jiff::Timestamp;
use prost_types::Any;

use super::{
    backup, config,
    database::shown,
    ddl::Statement,
    metadata::{Kind, SchemaChange},
    name::ancestor,
    operation::{Operation, Work, nothing},
    pace::Pace,
    refusal::{gone, into_rpc, precondition},
    resource::Resource,
    schema::{self, Schema},
    time::{after, before, wire},
    world::World,
};
use crate::{
    error::{Error, Result},
    pb::google::spanner::admin::{
        database::v1::{Backup, BackupSchedule, Database},
        instance::v1::{Instance, InstanceConfig, InstancePartition},
    },
};

/// One world for a Spanner to start with. Resources carry their full names.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// How long things take.
    pub pace: Pace,
    /// Globs over the names of what fails when its time comes, beside what has `fail` in its id.
    pub failing: Vec<String>,
    /// Configurations that projects made; those of Google are there anyway.
    pub configs: Vec<InstanceConfig>,
    /// Instances.
    pub instances: Vec<Instance>,
    /// Partitions.
    pub partitions: Vec<InstancePartition>,
    /// Databases with their schemas.
    pub databases: Vec<SeedDatabase>,
    /// Backups.
    pub backups: Vec<Backup>,
    /// Backup schedules.
    pub schedules: Vec<BackupSchedule>,
    /// Operations, running and ended.
    pub operations: Vec<SeedOperation>,
}

/// A database that exists at start.
#[derive(Clone, Debug)]
pub struct SeedDatabase {
    /// The database.
    pub database: Database,
    /// The statements that made its schema.
    pub statements: Vec<String>,
}

/// An operation that was begun before the start. It changes nothing when it ends, but a backup in the making is complete.
#[derive(Clone, Debug)]
pub struct SeedOperation {
    /// Its id; one such as the service gives, if left out.
    pub id: Option<&'static str>,
    /// Name of what it works on. It is also what the operation answers, as it is then.
    pub target: String,
    /// What it does.
    pub work: SeedWork,
    /// How long ago it was begun.
    pub ago: Duration,
    /// How long it takes: more than `ago`, and it is still running.
    pub takes: Duration,
    /// Why it fails; nothing when it succeeds.
    pub failure: Option<&'static str>,
}

/// What an operation does that was begun before the start.
#[derive(Clone, Debug)]
pub enum SeedWork {
    /// Creates the configuration, instance, partition, database or backup that is its target.
    Create,
    /// Changes the configuration, instance or partition that is its target, or whose SSD cache is.
    Update,
    /// Carries statements out on the database that is its target.
    UpdateSchema(Vec<String>),
    /// Optimizes the database that is its target.
    Optimize,
    /// Whatever it is, its metadata and response are these, of types that need not be known.
    Other {
        /// The metadata, which does not move.
        metadata: Any,
        /// The response.
        response: Any,
    },
}

impl Setup {
    /// Adds `count` operations on a target that ended a while ago: for load and paging.
    #[must_use]
    pub fn with_many_operations(mut self, target: &str, count: usize) -> Self {
        self.operations.extend((0..count).map(|_| SeedOperation {
            id: None,
            target: target.to_owned(),
            work: SeedWork::Update,
            ago: Duration::from_secs(3600),
            takes: Duration::from_secs(5),
            failure: None,
        }));
        self
    }

    /// Puts everything into a world. What has no creation time was created now.
    pub(super) fn furnish(self, world: &mut World, now: Timestamp) -> Result<()> {
        for seed in self.databases {
            seed.furnish(world, now)?;
        }
        let named = |name: &str| name.to_owned();
        world.configs.extend(self.configs.into_iter().map(|it| (named(&it.name), it)));
        world.instances.extend(self.instances.into_iter().map(|it| (named(&it.name), it)));
        world.partitions.extend(self.partitions.into_iter().map(|it| (named(&it.name), it)));
        world.backups.extend(self.backups.into_iter().map(|it| (named(&it.name), it)));
        world.schedules.extend(self.schedules.into_iter().map(|it| (named(&it.name), it)));
        for seed in self.operations {
            let began = before(now, seed.ago);
            let id = seed.id;
            let operation = seed.into_operation(world, now)?;
            let name = match id {
                Some(id) => format!("{}/operations/{id}", operation.target),
                None => world.next_name(&operation.target, began),
            };
            world.keep(operation, name, now);
        }
        Ok(())
    }
}

impl SeedDatabase {
    fn furnish(self, world: &mut World, now: Timestamp) -> Result<()> {
        let mut database = self.database;
        let mut schema = Schema::default();
        for text in &self.statements {
            let wrong = |why: &str| Error::invalid_field("statements", format!("{text}: {why}"));
            let statement = Statement::parse(text).map_err(|status| wrong(status.message()))?;
            schema.now.apply(&statement).map_err(|status| wrong(&status.message))?;
            schema::configure(&mut database, &statement);
        }
        schema.planned = schema.now.clone();
        database.create_time = database.create_time.or_else(|| Some(wire(now)));
        world.schemas.insert(database.name.clone(), schema);
        world.databases.insert(database.name.clone(), database);
        Ok(())
    }
}

impl SeedOperation {
    fn into_operation(self, world: &World, now: Timestamp) -> Result<Operation> {
        let (began, target) = (before(now, self.ago), self.target);
        let refusal = self.failure.map(|why| into_rpc(&precondition("NOT_POSSIBLE", &target, why)));
        let kind = kind(world, &target, &self.work, self.takes, refusal.is_some());
        let kind =
            kind.ok_or_else(|| Error::invalid_field("operations", format!("{target}: nothing fits")))?;
        let work = if matches!(kind, Kind::CreateBackup { .. }) {
            backup::creation(&target)
        } else {
            let target = target.clone();
            Work::at_the_end(move |world, at| match self.work {
                SeedWork::Other { response, .. } => Ok(response),
                SeedWork::UpdateSchema(_) => Ok(nothing()),
                _ => present(world, &target, at).ok_or_else(|| gone("Resource", &target)),
            })
        };
        let times = (began, after(began, self.takes));
        Ok(Operation::new(&target, kind, times, work.refused(refusal)))
    }
}

/// Finds the metadata for what is done to a target.
fn kind(world: &World, target: &str, work: &SeedWork, takes: Duration, fails: bool) -> Option<Kind> {
    let create = matches!(work, SeedWork::Create);
    match work {
        SeedWork::Other { metadata, .. } => return Some(Kind::Other(metadata.clone())),
        SeedWork::Optimize => return Some(Kind::Optimize { name: target.to_owned() }),
        SeedWork::UpdateSchema(texts) => {
            let statements: Vec<Statement> =
                texts.iter().map(|text| Statement::parse(text)).collect::<Result<_, _>>().ok()?;
            let count = u32::try_from(statements.len()).ok()?.max(1);
            let fails_at = fails.then(|| statements.len().saturating_sub(1));
            return Some(Kind::UpdateSchema(SchemaChange {
                database: target.to_owned(),
                actions: statements.iter().map(Statement::info).collect(),
                statements: texts.clone(),
                each: takes / count,
                fails_at,
            }));
        }
        SeedWork::Create | SeedWork::Update => {}
    }
    if let Some(instance) = world.instances.get(target).cloned() {
        return Some(if create { Kind::CreateInstance(instance) } else { Kind::UpdateInstance(instance) });
    }
    if let Some(partition) = world.partitions.get(target).cloned() {
        return Some(if create {
            Kind::CreatePartition(partition)
        } else {
            Kind::UpdatePartition(partition)
        });
    }
    if let Some(backup) = world.backups.get(target) {
        return create
            .then(|| Kind::CreateBackup { name: target.to_owned(), database: backup.database.clone() });
    }
    if world.databases.contains_key(target) {
        return create.then(|| Kind::CreateDatabase { database: target.to_owned() });
    }
    let config = config_of(world, target)?;
    Some(if create { Kind::CreateConfig(config) } else { Kind::UpdateConfig(config) })
}

/// Packs the target of an operation as it is now.
fn present(world: &World, target: &str, now: Timestamp) -> Option<Any> {
    let instance = world.instances.get(target).map(Resource::to_any);
    let partition = || world.partitions.get(target).map(Resource::to_any);
    let database = || world.databases.get(target).map(|it| shown(it, now).to_any());
    let backup = || world.backups.get(target).map(Resource::to_any);
    let config = || config_of(world, target).map(|it| it.to_any());
    instance.or_else(partition).or_else(database).or_else(backup).or_else(config)
}

/// Returns the configuration that a target is, or whose SSD cache it is.
fn config_of(world: &World, target: &str) -> Option<InstanceConfig> {
    config::get(world, "name", ancestor(target, 2)).ok()
}
