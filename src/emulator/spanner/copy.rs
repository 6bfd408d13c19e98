//! Copies of backups.

use jiff::Timestamp;
use tonic::Status;

use super::{
    backup::{check_expiry, complete, creation, new, new_target},
    metadata::Kind,
    operation::{Operation, Work},
    time::{after, read},
    world::World,
};
use crate::pb::google::{
    longrunning,
    spanner::admin::database::v1::{
        Backup, CopyBackupRequest, EncryptionConfig, copy_backup_encryption_config::EncryptionType,
    },
};

/// Begins to copy a backup. The copy is there at once, in state `CREATING`; until the end, the source refers to it.
pub(super) fn begin(
    world: &mut World,
    request: CopyBackupRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let target = new_target(world, &request.parent, &request.backup_id)?;
    let source = complete(world, "source_backup", &request.source_backup)?;
    let created = source.create_time.as_ref().and_then(read).unwrap_or(now);
    check_expiry("expire_time", request.expire_time.as_ref(), created, now)?;
    let keys = request
        .encryption_config
        .filter(|config| config.encryption_type() == EncryptionType::CustomerManagedEncryption)
        .map(|config| EncryptionConfig {
            kms_key_name: config.kms_key_name,
            kms_key_names: config.kms_key_names,
        });
    let copy = Backup {
        database: source.database.clone(),
        version_time: source.version_time,
        expire_time: request.expire_time,
        max_expire_time: source.max_expire_time,
        database_dialect: source.database_dialect,
        ..new(&target, keys.as_ref(), &source.database, now)
    };
    let Work { finish, undo, .. } = creation(&target);
    let (one, other) = (request.source_backup.clone(), request.source_backup.clone());
    let (done, undone) = (target.clone(), target.clone());
    let work = Work::at_the_end(move |world, at| {
        release(world, &one, &done);
        finish(world, at)
    });
    let work = work
        .or_else(move |world, at| {
            release(world, &other, &undone);
            undo(world, at);
        })
        .undone_at_once()
        .refused(world.fate(&target));
    let kind = Kind::CopyBackup { name: target.clone(), source: request.source_backup.clone() };
    let due = after(now, world.pace.backup);
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    if let Some(source) = world.backups.get_mut(&request.source_backup) {
        source.referencing_backups.push(target.clone());
    }
    world.backups.insert(target, copy);
    Ok(shown)
}

fn release(world: &mut World, source: &str, copy: &str) {
    if let Some(source) = world.backups.get_mut(source) {
        source.referencing_backups.retain(|it| it != copy);
    }
}
