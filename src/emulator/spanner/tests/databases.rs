use super::*;
use crate::pb::google::spanner::admin::database::v1::{
    AddSplitPointsRequest, DropDatabaseRequest, GetDatabaseDdlRequest, ListDatabaseRolesRequest, SplitPoints,
    UpdateDatabaseDdlMetadata, UpdateDatabaseDdlRequest, UpdateDatabaseRequest, database::State,
};

const DATABASE: &str = "projects/acme-shop/instances/ledger/databases/ledger";

async fn change(story: &Story, id: &str, statements: &[&str]) -> Result<Operation, Status> {
    let request = UpdateDatabaseDdlRequest {
        database: DATABASE.to_owned(),
        statements: statements.iter().map(|text| (*text).to_owned()).collect(),
        operation_id: id.to_owned(),
        ..Default::default()
    };
    Ok(story.spanner.update_database_ddl(Request::new(request)).await?.into_inner())
}

async fn schema(story: &Story) -> Vec<String> {
    let request = GetDatabaseDdlRequest { database: DATABASE.to_owned() };
    story.spanner.get_database_ddl(Request::new(request)).await.expect("it serves").into_inner().statements
}

fn progress(operation: &Operation) -> Vec<i32> {
    let metadata: UpdateDatabaseDdlMetadata = metadata(operation, "database.v1.UpdateDatabaseDdlMetadata");
    metadata.progress.iter().map(|it| it.progress_percent).collect()
}

#[tokio::test]
async fn a_database_begins_with_its_statements_and_then_serves() {
    let story = Story::begin();
    let table = "CREATE TABLE Refunds (Id INT64) PRIMARY KEY (Id)";
    let operation = story.create_database("CREATE DATABASE `refunds`", &[table]).await.expect("it begins");
    let name = format!("{LEDGER}/databases/refunds");
    assert!(operation.name.starts_with(&format!("{name}/operations/")), "{operation:?}");
    assert_eq!(story.database(&name).await.expect("it is there").state(), State::Creating);
    let early = GetDatabaseDdlRequest { database: name.clone() };
    let early = story.spanner.get_database_ddl(Request::new(early)).await.expect_err("not yet");
    assert_eq!(reason(&early), "DATABASE_NOT_READY");
    story.pass(4);
    let made: Database =
        response(&story.operation(&operation.name).await.expect("it is kept"), "database.v1.Database");
    assert_eq!((made.state(), made.version_retention_period.as_str()), (State::Ready, "1h"));

    let broken = story.create_database("CREATE DATABASE twice", &[table, table]).await.expect("it begins");
    story.pass(4);
    let ended = story.operation(&broken.name).await.expect("it is kept");
    assert_eq!(error(&ended).code, i32::from(Code::FailedPrecondition));
    let gone = story.database(&format!("{LEDGER}/databases/twice")).await;
    assert_eq!(gone.expect_err("all or nothing").code(), Code::NotFound);
}

#[tokio::test]
async fn statements_take_effect_one_after_the_other() {
    let story = Story::begin();
    let before = schema(&story).await.len();
    let three = [
        "CREATE TABLE A (x INT64) PRIMARY KEY (x)",
        "CREATE INDEX AByX ON A(x)",
        "ALTER TABLE A ADD COLUMN y INT64",
    ];
    let operation = change(&story, "add_a", &three).await.expect("it begins");
    assert_eq!(operation.name, format!("{DATABASE}/operations/add_a"));
    let taken = change(&story, "add_a", &["DROP TABLE A"]).await.expect_err("the id is taken");
    assert_eq!(taken.code(), Code::AlreadyExists);

    story.pass(4);
    let under_way = story.operation(&operation.name).await.expect("it is kept");
    assert_eq!((under_way.done, progress(&under_way)), (false, vec![100, 33, 0]));
    // A change that is sent meanwhile waits, and builds on what will be there.
    let next = change(&story, "", &["DROP INDEX AByX"]).await.expect("it begins");
    story.pass(5);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    assert_eq!((ended.done, progress(&ended)), (true, vec![100; 3]));
    assert!(!story.operation(&next.name).await.expect("it is kept").done);
    story.pass(3);
    assert!(story.operation(&next.name).await.expect("it is kept").done);
    assert_eq!(schema(&story).await.len(), before + 2);
}

#[tokio::test]
async fn what_took_effect_before_a_failure_or_a_cancellation_stays() {
    let story = Story::begin();
    let before = schema(&story).await.len();
    let table = |name: &str| format!("CREATE TABLE {name} (x INT64) PRIMARY KEY (x)");
    let failing =
        change(&story, "", &[&table("A"), &table("Accounts"), &table("B")]).await.expect("it begins");
    story.pass(6);
    let ended = story.operation(&failing.name).await.expect("it is kept");
    assert_eq!(error(&ended).code, i32::from(Code::FailedPrecondition));
    assert_eq!(schema(&story).await.len(), before + 1);

    let cancelled = change(&story, "", &[&table("C"), &table("D")]).await.expect("it begins");
    story.pass(3);
    story.cancel(&cancelled.name).await;
    story.pass(2);
    let ended = story.operation(&cancelled.name).await.expect("it is kept");
    assert_eq!((error(&ended).code, schema(&story).await.len()), (1, before + 2));
    let refused = change(&story, "", &["SELECT 1"]).await.expect_err("no statement of a schema");
    assert_eq!(wrong_field(&refused), "statements");
}

#[tokio::test]
async fn protection_is_lifted_before_a_database_is_dropped() {
    let story = Story::begin();
    let drop = || {
        let request = DropDatabaseRequest { database: DATABASE.to_owned() };
        story.spanner.drop_database(Request::new(request))
    };
    assert_eq!(reason(&drop().await.expect_err("it is protected")), "DROP_PROTECTION");
    let update = || {
        let request = UpdateDatabaseRequest {
            database: Some(Database { name: DATABASE.to_owned(), ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["enable_drop_protection".to_owned()] }),
        };
        story.spanner.update_database(Request::new(request))
    };
    update().await.expect("it begins");
    assert!(story.database(DATABASE).await.expect("it is there").reconciling);
    assert_eq!(reason(&update().await.expect_err("one at a time")), "UPDATE_IN_PROGRESS");
    story.pass(4);
    drop().await.expect("it is not protected");
    assert_eq!(story.database(DATABASE).await.expect_err("gone").code(), Code::NotFound);
}

#[tokio::test]
async fn roles_and_split_points_follow_the_schema() {
    let story = Story::begin();
    let request = ListDatabaseRolesRequest { parent: DATABASE.to_owned(), ..Default::default() };
    let roles = story.spanner.list_database_roles(Request::new(request)).await.expect("a page").into_inner();
    assert!(roles.database_roles.iter().any(|role| role.name.ends_with("/databaseRoles/auditor")));

    let split = |table: &str| {
        let number = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue("7".to_owned())) };
        let key =
            database::split_points::Key { key_parts: Some(prost_types::ListValue { values: vec![number] }) };
        let points = SplitPoints { table: table.to_owned(), keys: vec![key], ..Default::default() };
        let request = AddSplitPointsRequest {
            database: DATABASE.to_owned(),
            split_points: vec![points],
            ..Default::default()
        };
        story.spanner.add_split_points(Request::new(request))
    };
    split("Accounts").await.expect("there is such a table");
    assert_eq!(split("Nothing").await.expect_err("no such table").code(), Code::NotFound);
}
