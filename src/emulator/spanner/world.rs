//! Everything the service remembers, in memory, and the one place where time moves it.

use std::collections::BTreeMap;

use fastrand::Rng;
use jiff::Timestamp;
use tonic::Status;

use super::{
    name::last_segment,
    operation::Operation,
    pace::Pace,
    reader::Reader,
    refusal::{already_exists, busy, failed, quota},
    resource::Shelf,
    schema::Schema,
    shapes::Shapes,
    time::{after, read},
};
use crate::{
    emulator::{PageSizes, Scenario, glob},
    pb::google::{
        iam::v1::Policy,
        longrunning, rpc,
        spanner::admin::{
            database::v1::{Backup, BackupSchedule, Database},
            instance::v1::{Instance, InstanceConfig, InstancePartition},
        },
    },
};

/// Operations kept; the oldest that have ended are forgotten first.
const OPERATIONS_MAX: usize = 2000;
/// Policies kept.
const POLICIES_MAX: usize = 2000;
/// What fails has this in its id.
const FAIL: &str = "fail";

/// The state of the emulated service.
pub(super) struct World {
    pub(super) pace: Pace,
    pub(super) page_sizes: PageSizes,
    pub(super) shapes: Shapes,
    pub(super) reader: Reader,
    pub(super) rng: Rng,
    /// Globs over the names of what fails.
    failing: Vec<String>,
    /// Configurations that projects made; those of Google are in `config.rs`.
    pub(super) configs: Shelf<InstanceConfig>,
    pub(super) instances: Shelf<Instance>,
    pub(super) partitions: Shelf<InstancePartition>,
    pub(super) databases: Shelf<Database>,
    pub(super) backups: Shelf<Backup>,
    pub(super) schedules: Shelf<BackupSchedule>,
    /// By the name of the database.
    pub(super) schemas: BTreeMap<String, Schema>,
    /// By the name of the resource.
    pub(super) policies: BTreeMap<String, Policy>,
    pub(super) operations: BTreeMap<String, Operation>,
    begun: i64,
}

impl World {
    /// Creates a world without anything in it.
    pub(super) fn new(scenario: &Scenario, shapes: Shapes) -> Self {
        Self {
            pace: scenario.spanner.pace,
            page_sizes: scenario.page_sizes,
            reader: Reader::new(&shapes),
            shapes,
            rng: Rng::with_seed(scenario.seed),
            failing: scenario.spanner.failing.clone(),
            configs: BTreeMap::new(),
            instances: BTreeMap::new(),
            partitions: BTreeMap::new(),
            databases: BTreeMap::new(),
            backups: BTreeMap::new(),
            schedules: BTreeMap::new(),
            schemas: BTreeMap::new(),
            policies: BTreeMap::new(),
            operations: BTreeMap::new(),
            begun: 0,
        }
    }

    /// Ends every operation whose time has come, earliest first; then forgets what is past its time.
    pub(super) fn settle(&mut self, now: Timestamp) {
        // An operation that ends may begin another, which may be due as well: twice as many at most.
        for _ in 0..2 * OPERATIONS_MAX {
            let next = self.operations.values().filter_map(|op| Some((op.ends()?, &op.name))).min();
            let Some((at, name)) = next.filter(|(at, _)| *at <= now) else { break };
            let name = name.clone();
            self.end(&name, at);
        }
        let kept = self.pace.kept;
        self.operations.retain(|_, op| op.ended().is_none_or(|at| after(at, kept) > now));
        let expired =
            |backup: &Backup| backup.expire_time.as_ref().and_then(read).is_some_and(|at| at <= now);
        let gone: Vec<String> =
            self.backups.iter().filter(|(_, it)| expired(it)).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.backups.remove(&name);
            self.policies.remove(&name);
        }
    }

    fn end(&mut self, name: &str, at: Timestamp) {
        if let Some(mut operation) = self.operations.remove(name) {
            operation.end(self, at);
            if !operation.forgotten {
                self.operations.insert(name.to_owned(), operation);
            }
        }
    }

    /// Begins an operation: gives it a name below its target and keeps it.
    ///
    /// # Errors
    /// `ALREADY_EXISTS` when the id is taken, `RESOURCE_EXHAUSTED` when too many run.
    pub(super) fn begin(
        &mut self,
        operation: Operation,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<longrunning::Operation, Status> {
        self.make_room()?;
        let name = match id {
            Some(id) => format!("{}/operations/{id}", operation.target),
            None => self.next_name(&operation.target, now),
        };
        if self.operations.contains_key(&name) {
            return Err(already_exists("Operation", &name));
        }
        Ok(self.keep(operation, name, now))
    }

    /// Keeps an operation under a name, whatever there is.
    pub(super) fn keep(
        &mut self,
        mut operation: Operation,
        name: String,
        now: Timestamp,
    ) -> longrunning::Operation {
        operation.name.clone_from(&name);
        let shown = operation.render(now);
        self.operations.insert(name, operation);
        shown
    }

    /// Makes up the name of an operation that begins now.
    pub(super) fn next_name(&mut self, target: &str, now: Timestamp) -> String {
        self.begun += 1;
        format!("{target}/operations/_auto_{}", now.as_microsecond() + self.begun)
    }

    /// Returns an operation that has not been deleted.
    pub(super) fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.get(name).filter(|it| !it.forgotten)
    }

    /// Asks for the cancellation of an operation; `false` when there is none of that name.
    pub(super) fn cancel(&mut self, name: &str, now: Timestamp) -> bool {
        if self.operation(name).is_none() {
            return false;
        }
        let Some(mut operation) = self.operations.remove(name) else { return false };
        let at = after(now, self.pace.cancellation);
        operation.cancel(self, now, at);
        self.operations.insert(name.to_owned(), operation);
        true
    }

    /// Deletes an operation, but not what it does; `false` when there is none of that name.
    pub(super) fn forget(&mut self, name: &str) -> bool {
        let Some(operation) = self.operations.get_mut(name).filter(|it| !it.forgotten) else { return false };
        operation.forgotten = true;
        if operation.ended().is_some() {
            self.operations.remove(name);
        }
        true
    }

    /// Returns the operations that work on `target` now.
    pub(super) fn running(&self, target: &str) -> impl Iterator<Item = &Operation> {
        self.operations.values().filter(move |op| op.target == target && op.ends().is_some())
    }

    /// Refuses when an operation works on `target`.
    pub(super) fn check_idle(&self, target: &str) -> Result<(), Status> {
        match self.running(target).next() {
            Some(operation) => Err(busy(target, &operation.name)),
            None => Ok(()),
        }
    }

    /// Returns why what is done to `target` will fail, if it will.
    pub(super) fn fate(&self, target: &str) -> Option<rpc::Status> {
        let by_name = last_segment(target).contains(FAIL);
        let fails = by_name || self.failing.iter().any(|glob| glob::matches(glob, target));
        fails.then(|| failed(target))
    }

    /// Keeps a policy.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when there are too many.
    pub(super) fn keep_policy(&mut self, resource: &str, policy: Policy) -> Result<(), Status> {
        if self.policies.len() >= POLICIES_MAX && !self.policies.contains_key(resource) {
            return Err(quota(resource, &format!("at most {POLICIES_MAX} policies are kept here")));
        }
        self.policies.insert(resource.to_owned(), policy);
        Ok(())
    }

    /// Removes a resource and everything below it: databases of an instance, schedules of a database, their policies.
    pub(super) fn remove_tree(&mut self, name: &str) {
        let below = format!("{name}/");
        let stays = |key: &String| key != name && !key.starts_with(&below);
        self.instances.retain(|key, _| stays(key));
        self.partitions.retain(|key, _| stays(key));
        self.databases.retain(|key, _| stays(key));
        self.backups.retain(|key, _| stays(key));
        self.schedules.retain(|key, _| stays(key));
        self.schemas.retain(|key, _| stays(key));
        self.policies.retain(|key, _| stays(key));
    }

    fn make_room(&mut self) -> Result<(), Status> {
        if self.operations.len() < OPERATIONS_MAX {
            return Ok(());
        }
        let ended = self.operations.values().filter_map(|op| Some((op.ended()?, &op.name)));
        let Some(name) = ended.min().map(|(_, name)| name.clone()) else {
            return Err(quota("operations", &format!("{OPERATIONS_MAX} operations are running")));
        };
        self.operations.remove(&name);
        Ok(())
    }
}
