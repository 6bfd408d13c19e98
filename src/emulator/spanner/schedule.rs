//! Backup schedules, which are kept and make nothing.

use std::time::Duration;

use jiff::Timestamp;
use tonic::Status;

use super::{
    backup::{LIFE_MAX, LIFE_MIN},
    database::serving,
    id, instance,
    refusal::{already_exists, invalid},
    resource::{ListRequest, check_parent, check_room, children, get},
    shapes::Described as _,
    time::wire,
    world::World,
};
use crate::pb::google::spanner::admin::database::v1::{
    BackupSchedule, CreateBackupScheduleRequest, CrontabSpec, Database, ListBackupSchedulesRequest,
    ListBackupSchedulesResponse, UpdateBackupScheduleRequest, backup_schedule::BackupTypeSpec,
    backup_schedule_spec::ScheduleSpec,
};

/// Schedules of one database.
const PER_DATABASE_MAX: usize = 4;
/// How much later than it says a backup may begin.
const WINDOW: Duration = Duration::from_secs(4 * 60 * 60);
/// What an update may change; what is inside of these too.
const CHANGEABLE: &[&str] =
    &["spec", "retention_duration", "encryption_config", "full_backup_spec", "incremental_backup_spec"];

/// Lists the schedules of a database.
pub(super) fn list(
    world: &World,
    request: &ListBackupSchedulesRequest,
) -> Result<ListBackupSchedulesResponse, Status> {
    get::<Database>(world, "parent", &request.parent)?;
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: "",
    };
    let all =
        children::<BackupSchedule>(world, &request.parent).map(|(name, it)| (name.to_owned(), it.clone()));
    let (backup_schedules, next_page_token) = list.cut(world, BackupSchedule::KIND, all)?;
    Ok(ListBackupSchedulesResponse { backup_schedules, next_page_token })
}

/// Creates a schedule.
pub(super) fn create(
    world: &mut World,
    request: CreateBackupScheduleRequest,
    now: Timestamp,
) -> Result<BackupSchedule, Status> {
    check_parent::<BackupSchedule>(&request.parent)?;
    id::check("backup_schedule_id", &request.backup_schedule_id, id::BACKUP)?;
    serving(world, "parent", &request.parent)?;
    let schedule = request.backup_schedule.ok_or_else(|| invalid("backup_schedule", "is required"))?;
    let name = format!("{}/backupSchedules/{}", request.parent, request.backup_schedule_id);
    if world.schedules.contains_key(&name) {
        return Err(already_exists(BackupSchedule::KIND, &name));
    }
    if children::<BackupSchedule>(world, &request.parent).count() >= PER_DATABASE_MAX {
        let most = format!("{PER_DATABASE_MAX} schedules per database");
        return Err(super::refusal::quota(&request.parent, &most));
    }
    check_room::<BackupSchedule>(world)?;
    let schedule = fill(BackupSchedule { name: name.clone(), ..schedule }, now)?;
    world.schedules.insert(name, schedule.clone());
    Ok(schedule)
}

/// Changes a schedule.
pub(super) fn update(
    world: &mut World,
    request: UpdateBackupScheduleRequest,
    now: Timestamp,
) -> Result<BackupSchedule, Status> {
    let body = request.backup_schedule.ok_or_else(|| invalid("backup_schedule", "is required"))?;
    let name = body.name.clone();
    let old = get::<BackupSchedule>(world, "backup_schedule.name", &name)?;
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    instance::check_paths("update_mask", paths, CHANGEABLE)?;
    let schedule = world.shapes.masked(old, body, ("update_mask", request.update_mask.as_ref()))?;
    let kind = |it: &BackupSchedule| it.backup_type_spec.as_ref().map(std::mem::discriminant);
    if kind(&schedule) != kind(old) {
        return Err(invalid("backup_schedule", "cannot change from full to incremental backups or back"));
    }
    let schedule = fill(schedule, now)?;
    world.schedules.insert(name, schedule.clone());
    Ok(schedule)
}

/// Deletes a schedule.
pub(super) fn delete(world: &mut World, name: &str) -> Result<(), Status> {
    get::<BackupSchedule>(world, "name", name)?;
    world.remove_tree(name);
    Ok(())
}

/// Checks a schedule and fills in what the service says.
fn fill(mut schedule: BackupSchedule, now: Timestamp) -> Result<BackupSchedule, Status> {
    let Some(ScheduleSpec::CronSpec(cron)) =
        schedule.spec.as_mut().and_then(|spec| spec.schedule_spec.as_mut())
    else {
        return Err(invalid("backup_schedule.spec.cron_spec", "is required"));
    };
    let incremental = matches!(schedule.backup_type_spec, Some(BackupTypeSpec::IncrementalBackupSpec(_)));
    check_cron(cron, if incremental { 4 } else { 12 })?;
    cron.time_zone = "UTC".to_owned();
    cron.creation_window = prost_types::Duration::try_from(WINDOW).ok();
    if schedule.backup_type_spec.is_none() {
        let field = "backup_schedule.full_backup_spec";
        return Err(invalid(field, "or incremental_backup_spec is required"));
    }
    let kept = schedule.retention_duration.and_then(|kept| Duration::try_from(kept).ok());
    if !kept.is_some_and(|kept| (LIFE_MIN..=LIFE_MAX).contains(&kept)) {
        return Err(invalid("backup_schedule.retention_duration", "must be from 6 hours to 366 days"));
    }
    schedule.update_time = Some(wire(now));
    Ok(schedule)
}

/// Checks a line of a crontab: five parts, one minute of the hour, and at least `hours` between two times.
fn check_cron(cron: &CrontabSpec, hours: u32) -> Result<(), Status> {
    let wrong = |why: &str| Err(invalid("backup_schedule.spec.cron_spec.text", why));
    let parts: Vec<&str> = cron.text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = parts[..] else {
        return wrong("must have five parts: minute, hour, day of the month, month, day of the week");
    };
    if !minute.parse::<u32>().is_ok_and(|minute| minute < 60) {
        return wrong("must name one minute, from 0 to 59");
    }
    let legal = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"*,-/".contains(&b));
    if ![hour, day, month, weekday].into_iter().all(legal) {
        return wrong("may hold letters, digits, *, comma, - and /");
    }
    let often = match hour.strip_prefix("*/").map(str::parse::<u32>) {
        Some(every) => !every.is_ok_and(|every| (hours..24).contains(&every)),
        None if hour == "*" => true,
        None => hour.split(',').any(|hour| !hour.parse::<u32>().is_ok_and(|hour| hour < 24)),
    };
    if often {
        return wrong(&format!("must name hours from 0 to 23, at least {hours} hours apart"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crontab_line_names_a_minute_and_distant_hours() {
        for (text, hours, good) in [
            ("0 2 * * *", 12, true),
            ("30 2,14 * * *", 12, true),
            ("0 */12 * * *", 12, true),
            ("0 */4 * * *", 4, true),
            ("0 */4 * * *", 12, false),
            ("0 0 1 * *", 12, true),
            ("0 0 * * SUN", 12, true),
            ("* 2 * * *", 12, false),
            ("0 * * * *", 4, false),
            ("0 25 * * *", 12, false),
            ("0 2 * *", 12, false),
            ("", 12, false),
        ] {
            let cron = CrontabSpec { text: text.to_owned(), ..Default::default() };
            assert_eq!(check_cron(&cron, hours).is_ok(), good, "{text:?}");
        }
    }
}
