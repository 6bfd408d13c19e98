//! Backups: make, keep longer, delete.

use std::time::Duration;

use jiff::Timestamp;
use tonic::Status;

use super::{
    database::{self, encryption_info, instance_exists, serving},
    id, instance,
    metadata::Kind,
    name::ancestor,
    operation::{Operation, Work},
    refusal::{already_exists, gone, invalid, precondition},
    resource::{ListRequest, Resource, check_parent, check_room, children, get},
    shapes::Described as _,
    time::{after, read, wire},
    world::World,
};
use crate::{
    emulator::hash,
    pb::google::{
        longrunning,
        spanner::admin::database::v1::{
            Backup, CreateBackupRequest, DeleteBackupRequest, EncryptionConfig, ListBackupsRequest,
            ListBackupsResponse, UpdateBackupRequest, backup::State,
            create_backup_encryption_config::EncryptionType,
        },
    },
};

/// A backup lives at least this long from now.
pub(super) const LIFE_MIN: Duration = Duration::from_secs(6 * 60 * 60);
/// And at most this long from its creation.
pub(super) const LIFE_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// What a filter may be about.
const FIELDS: &[&str] = &[
    "name",
    "database",
    "state",
    "create_time",
    "createTime",
    "expire_time",
    "expireTime",
    "version_time",
    "versionTime",
    "size_bytes",
    "sizeBytes",
    "backup_schedules",
    "backupSchedules",
];
/// What an update may change.
const CHANGEABLE: &[&str] = &["expire_time"];

/// Lists the backups of an instance, the most recently created first.
pub(super) fn list(world: &World, request: &ListBackupsRequest) -> Result<ListBackupsResponse, Status> {
    instance_exists(world, &request.parent)?;
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: &request.filter,
    };
    let newest_first = |backup: &Backup| {
        let created = backup.create_time.map_or(0, |at| at.seconds);
        format!("{:020} {}", i64::MAX - created, backup.name)
    };
    let all = children::<Backup>(world, &request.parent).map(|(_, it)| (newest_first(it), it.clone()));
    let mut kept = list.keep(world, FIELDS, all)?;
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    let (backups, next_page_token) = list.cut(world, Backup::KIND, kept)?;
    Ok(ListBackupsResponse { backups, next_page_token })
}

/// Begins to make a backup. It is there at once, in state `CREATING`.
pub(super) fn create(
    world: &mut World,
    request: CreateBackupRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let target = new_target(world, &request.parent, &request.backup_id)?;
    let wanted = request.backup.ok_or_else(|| invalid("backup", "is required"))?;
    let database = serving(world, "backup.database", &wanted.database)?;
    if ancestor(&wanted.database, 2) != request.parent {
        return Err(invalid("backup.database", "must be a database of the same instance"));
    }
    check_expiry("backup.expire_time", wanted.expire_time.as_ref(), now, now)?;
    let earliest = database::shown(&database, now).earliest_version_time;
    let version_time = wanted.version_time.unwrap_or_else(|| wire(now));
    let version = read(&version_time).ok_or_else(|| invalid("backup.version_time", "is no time"))?;
    if version > now || earliest.as_ref().and_then(read).is_some_and(|earliest| version < earliest) {
        let range = "must not be in the future nor before the database's earliest_version_time";
        return Err(invalid("backup.version_time", range));
    }
    let busy = |backup: &&Backup| backup.database == wanted.database && backup.state() == State::Creating;
    if let Some(other) = world.backups.values().find(busy) {
        let why = format!("is being backed up as {}", other.name);
        return Err(precondition("BACKUP_IN_PROGRESS", &wanted.database, &why));
    }
    let keys = match request.encryption_config {
        Some(config) if config.encryption_type() == EncryptionType::CustomerManagedEncryption => {
            Some(EncryptionConfig { kms_key_name: config.kms_key_name, kms_key_names: config.kms_key_names })
        }
        Some(config) if config.encryption_type() == EncryptionType::GoogleDefaultEncryption => None,
        _ => database.encryption_config.clone(),
    };
    let backup = Backup {
        database: wanted.database.clone(),
        version_time: Some(version_time),
        expire_time: wanted.expire_time,
        database_dialect: database.database_dialect,
        ..new(&target, keys.as_ref(), &wanted.database, now)
    };
    let kind = Kind::CreateBackup { name: target.clone(), database: wanted.database };
    let due = after(now, world.pace.backup);
    let work = creation(&target).refused(world.fate(&target));
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    world.backups.insert(target, backup);
    Ok(shown)
}

/// Changes when a backup expires.
pub(super) fn update(
    world: &mut World,
    request: &UpdateBackupRequest,
    now: Timestamp,
) -> Result<Backup, Status> {
    let body = request.backup.as_ref().ok_or_else(|| invalid("backup", "is required"))?;
    let old = get::<Backup>(world, "backup.name", &body.name)?;
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    instance::check_paths("update_mask", paths, CHANGEABLE)?;
    let created = old.create_time.as_ref().and_then(read).unwrap_or(now);
    check_expiry("backup.expire_time", body.expire_time.as_ref(), created, now)?;
    let changed = Backup { expire_time: body.expire_time, ..old.clone() };
    world.backups.insert(body.name.clone(), changed.clone());
    Ok(changed)
}

/// Deletes a backup that nothing is made from.
pub(super) fn delete(world: &mut World, request: &DeleteBackupRequest) -> Result<(), Status> {
    let backup = get::<Backup>(world, "name", &request.name)?;
    let users = backup.referencing_databases.iter().chain(&backup.referencing_backups);
    if let Some(user) = users.into_iter().next() {
        let why = format!("is needed by {user}");
        return Err(precondition("RESOURCE_IN_USE", &request.name, &why));
    }
    world.remove_tree(&request.name);
    Ok(())
}

/// Checks that a backup can be created in an instance and returns its name.
pub(super) fn new_target(world: &World, parent: &str, id: &str) -> Result<String, Status> {
    check_parent::<Backup>(parent)?;
    id::check("backup_id", id, id::BACKUP)?;
    instance::ready(world, "parent", parent)?;
    let target = format!("{parent}/backups/{id}");
    if world.backups.contains_key(&target) {
        return Err(already_exists(Backup::KIND, &target));
    }
    check_room::<Backup>(world)?;
    Ok(target)
}

/// Checks when something is to expire that was, or is, created at `created`.
pub(super) fn check_expiry(
    field: &str,
    at: Option<&prost_types::Timestamp>,
    created: Timestamp,
    now: Timestamp,
) -> Result<(), Status> {
    let at = at.ok_or_else(|| invalid(field, "is required"))?;
    let at = read(at).ok_or_else(|| invalid(field, "is no time"))?;
    if at < after(now, LIFE_MIN) || at > after(created, LIFE_MAX) {
        return Err(invalid(
            field,
            "must be at least 6 hours from now and at most 366 days after the creation",
        ));
    }
    Ok(())
}

/// Returns a backup in the making. Its size follows from what it is a copy of.
pub(super) fn new(name: &str, keys: Option<&EncryptionConfig>, source: &str, now: Timestamp) -> Backup {
    let size = i64::try_from(hash::of(&[source]) % 900_000_000_000).unwrap_or_default() + 1_000_000_000;
    let information = encryption_info(keys);
    Backup {
        name: name.to_owned(),
        create_time: Some(wire(now)),
        max_expire_time: Some(wire(after(now, LIFE_MAX))),
        size_bytes: size,
        exclusive_size_bytes: size,
        freeable_size_bytes: size,
        state: State::Creating.into(),
        encryption_info: information.first().cloned(),
        encryption_information: information,
        ..Default::default()
    }
}

/// What making or copying does to a backup that is there already: completes it, or removes it.
pub(super) fn creation(target: &str) -> Work {
    let (name, undone) = (target.to_owned(), target.to_owned());
    let work = Work::at_the_end(move |world, _| {
        let backup = world.backups.get_mut(&name).ok_or_else(|| gone(Backup::KIND, &name))?;
        backup.set_state(State::Ready);
        Ok(backup.to_any())
    });
    work.or_else(move |world, _| world.remove_tree(&undone)).undone_at_once()
}

/// Returns a complete backup, from whatever instance.
pub(super) fn complete(world: &World, field: &str, name: &str) -> Result<Backup, Status> {
    let backup = get::<Backup>(world, field, name)?;
    if backup.state() != State::Ready {
        return Err(precondition("BACKUP_NOT_READY", name, "is still being made"));
    }
    Ok(backup.clone())
}
