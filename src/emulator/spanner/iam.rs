//! Who may use what: policies of instances, databases, backups and schedules, and the test of permissions.

use tonic::Status;

use super::{
    name::{self, ancestor, last_segment},
    refusal::{DOMAIN, invalid, not_found},
    resource::Resource,
    shapes::Described as _,
    world::World,
};
use crate::{
    emulator::{limits::EMULATOR_PERMISSIONS_MAX, policy, status::Refusal},
    pb::google::{
        iam::v1::{
            GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest,
            TestIamPermissionsResponse,
        },
        spanner::admin::{
            database::v1::{Backup, BackupSchedule, Database},
            instance::v1::Instance,
        },
    },
};

/// Collections of the name of a role.
const ROLE: &[&str] = &["projects", "instances", "databases", "databaseRoles"];
/// What can be permitted on instances, and on what they hold.
const ON_INSTANCES: &[&str] = &[
    "instances",
    "instanceOperations",
    "instancePartitions",
    "instancePartitionOperations",
    "databases",
    "databaseOperations",
    "backups",
    "backupOperations",
];
/// What can be permitted on databases, and on what they hold.
const ON_DATABASES: &[&str] =
    &["databases", "databaseOperations", "databaseRoles", "sessions", "backupSchedules"];
/// What can be permitted on backups.
const ON_BACKUPS: &[&str] = &["backups", "backupOperations"];
/// What only a parent permits.
const OF_THE_PARENT: &[&str] = &["create", "list"];

/// A resource with a policy.
struct Subject {
    /// Of what kind it is, as errors spell it.
    kind: &'static str,
    exists: bool,
    /// What can be permitted on it; the first is its own collection.
    collections: &'static [&'static str],
}

/// Returns the policy of a resource; an empty one where none was set.
pub(super) fn read(world: &World, request: &GetIamPolicyRequest, kinds: Kinds) -> Result<Policy, Status> {
    existing(world, &request.resource, kinds)?;
    policy::read(world.policies.get(&request.resource), request)
}

/// Replaces the policy of a resource.
pub(super) fn change(
    world: &mut World,
    request: SetIamPolicyRequest,
    kinds: Kinds,
) -> Result<Policy, Status> {
    existing(world, &request.resource, kinds)?;
    let (resource, fresh) = (request.resource.clone(), world.rng.u64(..));
    let set = policy::change(DOMAIN, world.policies.get(&resource), request, fresh)?;
    world.keep_policy(&resource, set.clone())?;
    Ok(set)
}

/// Returns those of the permissions that the caller has: here everybody has all. What does not exist is `NOT_FOUND`, as
/// for a caller who may list.
pub(super) fn test(
    world: &World,
    request: TestIamPermissionsRequest,
    kinds: Kinds,
) -> Result<TestIamPermissionsResponse, Status> {
    let subject = existing(world, &request.resource, kinds)?;
    let mut permissions = request.permissions;
    if permissions.len() > EMULATOR_PERMISSIONS_MAX {
        return Err(invalid("permissions", format!("at most {EMULATOR_PERMISSIONS_MAX}")));
    }
    let mut refusal = Refusal::invalid("Invalid permission");
    for (index, permission) in permissions.iter().enumerate() {
        if parts(permission).is_none_or(|(collection, _)| !subject.collections.contains(&collection)) {
            refusal = refusal.field(format!("permissions[{index}]"), "is not valid for this resource");
        }
    }
    if refusal.has_fields() {
        return Err(refusal.status());
    }
    let own = subject.collections.first().copied().unwrap_or_default();
    permissions.retain(|permission| {
        parts(permission).is_some_and(|(at, verb)| at != own || !OF_THE_PARENT.contains(&verb))
    });
    Ok(TestIamPermissionsResponse { permissions })
}

/// Which of the two services is asked, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    /// Instances.
    Instances,
    /// Databases, backups and schedules.
    Databases,
    /// These, and the roles of databases.
    DatabasesAndRoles,
}

fn existing(world: &World, resource: &str, kinds: Kinds) -> Result<Subject, Status> {
    let subject = subject(world, resource, kinds).ok_or_else(|| {
        invalid("resource", format!("{resource:?} is no name of something that has a policy here"))
    })?;
    if subject.exists { Ok(subject) } else { Err(not_found(subject.kind, resource)) }
}

fn subject(world: &World, resource: &str, kinds: Kinds) -> Option<Subject> {
    let is = |collections: &[&str]| name::check("resource", resource, collections).is_ok();
    if kinds == Kinds::Instances {
        let exists = world.instances.contains_key(resource);
        return is(Instance::COLLECTIONS).then_some(Subject {
            kind: Instance::KIND,
            exists,
            collections: ON_INSTANCES,
        });
    }
    if is(Database::COLLECTIONS) {
        let exists = world.databases.contains_key(resource);
        return Some(Subject { kind: Database::KIND, exists, collections: ON_DATABASES });
    }
    if is(Backup::COLLECTIONS) {
        let exists = world.backups.contains_key(resource);
        return Some(Subject { kind: Backup::KIND, exists, collections: ON_BACKUPS });
    }
    if is(BackupSchedule::COLLECTIONS) {
        let exists = world.schedules.contains_key(resource);
        return Some(Subject { kind: BackupSchedule::KIND, exists, collections: &["backupSchedules"] });
    }
    if kinds == Kinds::DatabasesAndRoles && is(ROLE) {
        let schema = world.schemas.get(ancestor(resource, 3));
        let exists = schema.is_some_and(|it| it.now.roles().any(|role| role == last_segment(resource)));
        return Some(Subject { kind: "DatabaseRole", exists, collections: &["databaseRoles", "databases"] });
    }
    None
}

/// Splits `spanner.databases.read` into its collection and verb.
fn parts(permission: &str) -> Option<(&str, &str)> {
    let (collection, verb) = permission.strip_prefix("spanner.")?.split_once('.')?;
    let word = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_alphabetic());
    word.then_some((collection, verb))
}
