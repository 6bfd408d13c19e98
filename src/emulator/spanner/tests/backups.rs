use super::*;
use crate::pb::google::spanner::admin::database::v1::{
    Backup, BackupSchedule, CopyBackupMetadata, CopyBackupRequest, CreateBackupMetadata, CreateBackupRequest,
    CreateBackupScheduleRequest, DeleteBackupRequest, GetBackupRequest, ListBackupsRequest,
    OptimizeRestoredDatabaseMetadata, RestoreDatabaseMetadata, RestoreDatabaseRequest, backup,
    database::State, restore_database_request::Source,
};

const MONDAY: &str = "projects/acme-shop/instances/ledger/backups/ledger-monday";

async fn create(story: &Story, id: &str, of: &str, hours: i64) -> Result<Operation, Status> {
    let request = CreateBackupRequest {
        parent: LEDGER.to_owned(),
        backup_id: id.to_owned(),
        backup: Some(Backup {
            database: format!("{LEDGER}/databases/{of}"),
            expire_time: in_hours(hours),
            ..Default::default()
        }),
        encryption_config: None,
    };
    Ok(story.spanner.create_backup(Request::new(request)).await?.into_inner())
}

async fn backup(story: &Story, name: &str) -> Result<Backup, Status> {
    let request = GetBackupRequest { name: name.to_owned() };
    Ok(story.spanner.get_backup(Request::new(request)).await?.into_inner())
}

#[tokio::test]
async fn a_backup_moves_towards_its_end_and_is_there_until_it_expires() {
    let story = Story::begin();
    let operation = create(&story, "invoices-now", "invoices", 7).await.expect("it begins");
    story.pass(5);
    let shown = story.operation(&operation.name).await.expect("it is kept");
    let shown: CreateBackupMetadata = metadata(&shown, "database.v1.CreateBackupMetadata");
    assert_eq!(shown.progress.map(|it| it.progress_percent), Some(25));
    let again = create(&story, "invoices-again", "invoices", 7).await.expect_err("one at a time");
    assert_eq!(reason(&again), "BACKUP_IN_PROGRESS");
    story.pass(15);
    let made: Backup =
        response(&story.operation(&operation.name).await.expect("it is kept"), "database.v1.Backup");
    assert_eq!(made.state(), backup::State::Ready);
    story.pass(7 * 3600);
    assert_eq!(backup(&story, &made.name).await.expect_err("expired").code(), Code::NotFound);
}

#[tokio::test]
async fn a_cancelled_backup_is_deleted() {
    let story = Story::begin();
    let operation = create(&story, "invoices-now", "invoices", 7).await.expect("it begins");
    story.cancel(&operation.name).await;
    let name = format!("{LEDGER}/backups/invoices-now");
    assert_eq!(backup(&story, &name).await.expect_err("deleted").code(), Code::NotFound);
    story.pass(2);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    let shown: CreateBackupMetadata = metadata(&ended, "database.v1.CreateBackupMetadata");
    assert!(shown.cancel_time.is_some() && shown.progress.is_some_and(|it| it.progress_percent < 100));
    assert_eq!(error(&ended).code, 1);
}

#[tokio::test]
async fn backups_are_refused_that_would_not_live_or_have_no_source() {
    let story = Story::begin();
    for hours in [5, 24 * 367] {
        let refused = create(&story, "invoices-now", "invoices", hours).await.expect_err("its life");
        assert_eq!(wrong_field(&refused), "backup.expire_time");
    }
    let absent = create(&story, "invoices-now", "nothing", 7).await.expect_err("no such database");
    assert_eq!(absent.code(), Code::NotFound);
    let taken = create(&story, "ledger-monday", "ledger", 7).await.expect_err("taken");
    assert_eq!(taken.code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_copy_holds_its_source_until_it_is_complete() {
    let story = Story::begin();
    let request = CopyBackupRequest {
        parent: LEDGER.to_owned(),
        backup_id: "ledger-copy".to_owned(),
        source_backup: MONDAY.to_owned(),
        expire_time: in_hours(48),
        encryption_config: None,
    };
    let operation = story.spanner.copy_backup(Request::new(request)).await.expect("it begins").into_inner();
    let shown: CopyBackupMetadata = metadata(&operation, "database.v1.CopyBackupMetadata");
    assert_eq!(shown.source_backup, MONDAY);
    let delete =
        || story.spanner.delete_backup(Request::new(DeleteBackupRequest { name: MONDAY.to_owned() }));
    assert_eq!(reason(&delete().await.expect_err("the copy needs it")), "RESOURCE_IN_USE");
    story.pass(20);
    let copy: Backup =
        response(&story.operation(&operation.name).await.expect("it is kept"), "database.v1.Backup");
    assert_eq!((copy.state(), copy.size_bytes > 0), (backup::State::Ready, true));
    delete().await.expect("nothing needs it");
}

#[tokio::test]
async fn a_restored_database_serves_first_and_is_optimized_then() {
    let story = Story::begin();
    let request = RestoreDatabaseRequest {
        parent: LEDGER.to_owned(),
        database_id: "ledger-again".to_owned(),
        source: Some(Source::Backup(MONDAY.to_owned())),
        encryption_config: None,
    };
    let operation =
        story.spanner.restore_database(Request::new(request)).await.expect("it begins").into_inner();
    story.pass(10);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    let restored: Database = response(&ended, "database.v1.Database");
    assert_eq!(restored.state(), State::ReadyOptimizing);
    let shown: RestoreDatabaseMetadata = metadata(&ended, "database.v1.RestoreDatabaseMetadata");
    let second = shown.optimize_database_operation_name;
    assert_eq!(
        backup(&story, MONDAY).await.expect("there").referencing_databases,
        std::slice::from_ref(&restored.name)
    );

    story.pass(10);
    let optimizing = story.operation(&second).await.expect("it runs");
    let shown: OptimizeRestoredDatabaseMetadata =
        metadata(&optimizing, "database.v1.OptimizeRestoredDatabaseMetadata");
    assert_eq!(shown.progress.map(|it| it.progress_percent), Some(50));
    story.cancel(&second).await;
    story.pass(10);
    assert!(story.operation(&second).await.expect("it is kept").done, "it cannot be cancelled");
    assert_eq!(story.database(&restored.name).await.expect("there").state(), State::Ready);
    assert!(backup(&story, MONDAY).await.expect("there").referencing_databases.is_empty());
}

#[tokio::test]
async fn backups_are_listed_newest_first_and_by_filter() {
    let story = Story::begin();
    let list = |filter: &str| ListBackupsRequest {
        parent: LEDGER.to_owned(),
        filter: filter.to_owned(),
        ..Default::default()
    };
    let names = async |filter: &str| {
        let page = story.spanner.list_backups(Request::new(list(filter))).await.expect("a page").into_inner();
        page.backups
            .iter()
            .map(|it| it.name.rsplit('/').next().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    };
    let found = names("").await.expect("names");
    assert_eq!(found, ["ledger-before-migration", "ledger-monday"]);
    assert_eq!(names("state:ready").await.expect("names"), ["ledger-monday"]);
    assert_eq!(names("(size_bytes > 1000) AND state:creating").await.expect("names"), found[..1]);
    assert_eq!(names("backup_schedules:nightly").await.expect("names"), found[1..]);
    assert_eq!(names("create_time < \"2030-01-01T00:00:00Z\"").await.expect("names"), found[1..]);
}

#[tokio::test]
async fn a_schedule_says_when_how_and_for_how_long() {
    let story = Story::begin();
    let create = |schedule| {
        let request = CreateBackupScheduleRequest {
            parent: format!("{LEDGER}/databases/invoices"),
            backup_schedule_id: "nightly".to_owned(),
            backup_schedule: Some(schedule),
        };
        story.spanner.create_backup_schedule(Request::new(request))
    };
    let name = format!("{LEDGER}/databases/ledger/backupSchedules/nightly");
    let model = database::GetBackupScheduleRequest { name };
    let model =
        story.spanner.get_backup_schedule(Request::new(model)).await.expect("Acme has it").into_inner();
    let made = create(BackupSchedule { name: String::new(), ..model.clone() }).await.expect("it is good");
    assert!(made.into_inner().name.ends_with("/databases/invoices/backupSchedules/nightly"));
    assert_eq!(create(model.clone()).await.expect_err("taken").code(), Code::AlreadyExists);
}
