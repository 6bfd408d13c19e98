//! Databases from backups: restored by one operation, which makes them serve, and optimized by a second.

use jiff::Timestamp;
use tonic::Status;

use super::{
    backup::complete,
    database::{creation, encryption_info, new_target, shown},
    id, instance,
    metadata::Kind,
    name::ancestor,
    operation::{Operation, Work},
    refusal::{gone, invalid, precondition},
    resource::Resource as _,
    schema::Schema,
    shapes::Described as _,
    time::{after, wire},
    world::World,
};
use crate::pb::google::{
    longrunning,
    spanner::admin::database::v1::{
        BackupInfo, Database, EncryptionConfig, RestoreDatabaseRequest, RestoreInfo, RestoreSourceType,
        database::State, encryption_info::Type, restore_database_encryption_config::EncryptionType,
        restore_database_request::Source, restore_info::SourceInfo,
    },
};

/// Begins to restore a database. It is there at once, in state `CREATING`; until it is optimized, the backup refers to
/// it.
pub(super) fn begin(
    world: &mut World,
    request: RestoreDatabaseRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    id::check("database_id", &request.database_id, id::DATABASE)?;
    let target = new_target(world, &request.parent, &request.database_id)?;
    let Some(Source::Backup(from)) = request.source else { return Err(invalid("backup", "is required")) };
    let backup = complete(world, "backup", &from)?;
    let here = instance::ready(world, "parent", &request.parent)?;
    let there = instance::ready(world, "backup", ancestor(&from, 2))?;
    if name_of_config(&here.config) != name_of_config(&there.config) {
        let why = "belongs to an instance with another configuration";
        return Err(precondition("CONFIG_MISMATCH", &from, why));
    }
    let info = BackupInfo {
        backup: from.clone(),
        create_time: backup.create_time,
        source_database: backup.database.clone(),
        version_time: backup.version_time,
    };
    let keys = match request.encryption_config {
        Some(config) if config.encryption_type() == EncryptionType::CustomerManagedEncryption => {
            Some(EncryptionConfig { kms_key_name: config.kms_key_name, kms_key_names: config.kms_key_names })
        }
        Some(config) if config.encryption_type() == EncryptionType::GoogleDefaultEncryption => None,
        _ => keys_of(&backup.encryption_information),
    };
    let database = Database {
        name: target.clone(),
        state: State::Creating.into(),
        create_time: Some(wire(now)),
        restore_info: Some(RestoreInfo {
            source_type: RestoreSourceType::Backup.into(),
            source_info: Some(SourceInfo::BackupInfo(info.clone())),
        }),
        encryption_info: encryption_info(keys.as_ref()),
        encryption_config: keys,
        version_retention_period: "1h".to_owned(),
        database_dialect: backup.database_dialect,
        ..Default::default()
    };
    // The schema came with the data; where its database is gone, nobody remembers it.
    let schema = world.schemas.get(&backup.database).map(|it| it.now.clone()).unwrap_or_default();

    let optimizing = world.next_name(&target, now);
    let kind = Kind::Restore { name: target.clone(), from: info, optimizing: optimizing.clone() };
    let Work { finish, undo, .. } = creation(&target, State::ReadyOptimizing);
    let (name, one, other) = (target.clone(), from.clone(), from.clone());
    let undone = target.clone();
    let work = Work::at_the_end(move |world, at| {
        let response = finish(world, at)?;
        optimize(world, &name, one, optimizing, at);
        Ok(response)
    });
    let work = work
        .or_else(move |world, at| {
            release(world, &other, &undone);
            undo(world, at);
        })
        .undone_at_once()
        .refused(world.fate(&target));
    let due = after(now, world.pace.restore);
    let answer = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    if let Some(backup) = world.backups.get_mut(&from) {
        backup.referencing_databases.push(target.clone());
    }
    world
        .schemas
        .insert(target.clone(), Schema { planned: schema.clone(), now: schema, ..Schema::default() });
    world.databases.insert(target, database);
    Ok(answer)
}

/// Begins the second operation, which nobody asked for.
fn optimize(world: &mut World, database: &str, backup: String, operation: String, at: Timestamp) {
    let name = database.to_owned();
    let work = Work::at_the_end(move |world, at| {
        release(world, &backup, &name);
        let database = world.databases.get_mut(&name).ok_or_else(|| gone(Database::KIND, &name))?;
        database.set_state(State::Ready);
        Ok(shown(database, at).to_any())
    });
    let due = after(at, world.pace.optimize);
    let kind = Kind::Optimize { name: database.to_owned() };
    world.keep(Operation::new(database, kind, (at, due), work), operation, at);
}

fn release(world: &mut World, backup: &str, database: &str) {
    if let Some(backup) = world.backups.get_mut(backup) {
        backup.referencing_databases.retain(|it| it != database);
    }
}

/// Two projects name the same configuration differently.
fn name_of_config(config: &str) -> &str {
    config.rsplit('/').next().unwrap_or(config)
}

/// Returns the customer's keys behind the versions that encrypt something.
fn keys_of(
    information: &[crate::pb::google::spanner::admin::database::v1::EncryptionInfo],
) -> Option<EncryptionConfig> {
    let own = information.iter().filter(|it| it.encryption_type() == Type::CustomerManagedEncryption);
    let mut keys: Vec<String> = own
        .filter_map(|it| Some(it.kms_key_version.split_once("/cryptoKeyVersions/")?.0.to_owned()))
        .collect();
    match keys.len() {
        0 => None,
        1 => Some(EncryptionConfig { kms_key_name: keys.remove(0), kms_key_names: Vec::new() }),
        _ => Some(EncryptionConfig { kms_key_name: String::new(), kms_key_names: keys }),
    }
}
