use super::*;
use crate::pb::google::longrunning::{
    DeleteOperationRequest, ListOperationsRequest, ListOperationsResponse, WaitOperationRequest,
};

async fn list(story: &Story, name: &str, filter: &str) -> Result<ListOperationsResponse, Status> {
    page(story, name, filter, 0, "").await
}

async fn page(
    story: &Story,
    name: &str,
    filter: &str,
    page_size: i32,
    page_token: &str,
) -> Result<ListOperationsResponse, Status> {
    let request = ListOperationsRequest {
        name: name.to_owned(),
        filter: filter.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    Ok(story.spanner.list_operations(Request::new(request)).await?.into_inner())
}

async fn delete(story: &Story, name: &str) -> Result<(), Status> {
    let request = DeleteOperationRequest { name: name.to_owned() };
    story.spanner.delete_operation(Request::new(request)).await.map(|_| ())
}

#[tokio::test]
async fn acme_has_operations_in_all_six_collections() {
    let story = Story::begin();
    for (target, count) in [
        (format!("{LEDGER}/databases/ledger"), 2),
        (LEDGER.to_owned(), 1),
        (format!("{LEDGER}/backups/ledger-monday"), 1),
        (format!("{LEDGER}/instancePartitions/americas"), 1),
        (format!("{SHOP}/instanceConfigs/custom-eur3-america"), 1),
        (format!("{SHOP}/instanceConfigs/custom-eur3-america/ssdCaches/sessions"), 1),
    ] {
        let collection = format!("{target}/operations");
        let found = list(&story, &collection, "").await.expect("a page").operations;
        assert_eq!(found.len(), count, "{collection}");
        for operation in found {
            assert!(operation.name.starts_with(&collection));
            assert_eq!(story.operation(&operation.name).await.expect("it is kept"), operation);
        }
        assert_eq!(wrong_field(&list(&story, &target, "").await.expect_err("without /operations")), "name");
    }
}

#[tokio::test]
async fn filters_look_into_metadata_and_results() {
    let story = Story::begin();
    let operations = format!("{LEDGER}/databases/ledger/operations");
    let count = async |filter: &str| list(&story, &operations, filter).await.expect(filter).operations.len();
    assert_eq!(count("done:true").await, 2);
    assert_eq!(count("error:*").await, 1);
    assert_eq!(count("(done = true) AND NOT error:*").await, 1);
    let ddl = "metadata.@type=type.googleapis.com/google.spanner.admin.database.v1.UpdateDatabaseDdlMetadata";
    assert_eq!(count(ddl).await, 2);
    assert_eq!(count(&format!("({ddl}) AND (metadata.statements:\"create role\")")).await, 1);
    assert_eq!(count("error.message:uniq*").await, 1);
    assert_eq!(count("response.@type:Empty OR error.code=9").await, 2);
    assert_eq!(wrong_field(&list(&story, &operations, "verb:x").await.expect_err("no field")), "filter");
}

#[tokio::test]
async fn pages_lead_to_all_and_no_size_means_all() {
    let mut scenario = Scenario::sample(start());
    let target = format!("{SHOP}/instances/sessions");
    scenario.spanner = scenario.spanner.with_many_operations(&target, 25);
    let story = Story::of(&scenario);
    let collection = format!("{target}/operations");
    assert_eq!(page(&story, &collection, "", -5, "").await.expect("all of them").operations.len(), 25);
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let page = page(&story, &collection, "", 10, &token).await.expect("a page");
        names.extend(page.operations.into_iter().map(|it| it.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names.len(), 25);
    names.dedup();
    assert_eq!(names.len(), 25);
    let first = page(&story, &collection, "", 10, "").await.expect("a page");
    let other = page(&story, &collection, "done:true", 10, &first.next_page_token).await;
    assert_eq!(wrong_field(&other.expect_err("another filter")), "page_token");
}

#[tokio::test]
async fn the_four_lists_of_the_admin_services_reach_below() {
    let story = Story::begin();
    let configs =
        instance::ListInstanceConfigOperationsRequest { parent: SHOP.to_owned(), ..Default::default() };
    let configs = story.spanner.list_instance_config_operations(Request::new(configs)).await.expect("a page");
    // The cache belongs to the configuration.
    assert_eq!(configs.into_inner().operations.len(), 2);
    let partitions =
        instance::ListInstancePartitionOperationsRequest { parent: LEDGER.to_owned(), ..Default::default() };
    let partitions = story.spanner.list_instance_partition_operations(Request::new(partitions)).await;
    assert_eq!(partitions.expect("a page").into_inner().operations.len(), 1);
    let backups = database::ListBackupOperationsRequest { parent: LEDGER.to_owned(), ..Default::default() };
    let backups = story.spanner.list_backup_operations(Request::new(backups)).await.expect("a page");
    let names: Vec<_> = backups.into_inner().operations.into_iter().map(|it| it.name).collect();
    assert!(names.len() == 2 && names[0].contains("before-migration"), "the newest first: {names:?}");
    let databases = database::ListDatabaseOperationsRequest {
        parent: LEDGER.to_owned(),
        filter: "metadata.@type:OptimizeRestoredDatabaseMetadata".to_owned(),
        ..Default::default()
    };
    let databases = story.spanner.list_database_operations(Request::new(databases)).await.expect("a page");
    assert_eq!(databases.into_inner().operations.len(), 1);
}

#[tokio::test]
async fn what_is_deleted_is_not_seen_again_but_works_on() {
    let story = Story::begin();
    let operation = story.create_instance("stock", 1).await.expect("it begins");
    delete(&story, &operation.name).await.expect("deleted");
    assert_eq!(story.operation(&operation.name).await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(delete(&story, &operation.name).await.expect_err("gone").code(), Code::NotFound);
    story.pass(12);
    let made = story.instance(&format!("{SHOP}/instances/stock")).await.expect("created");
    assert_eq!(made.state(), instance::instance::State::Ready);

    let of_database = story.create_database("CREATE DATABASE refunds", &[]).await.expect("it begins").name;
    let refused = delete(&story, &of_database).await.expect_err("not those of databases");
    assert_eq!(refused.code(), Code::Unimplemented);
    let wait = WaitOperationRequest { name: of_database, timeout: None };
    let refused = story.spanner.wait_operation(Request::new(wait)).await.expect_err("nobody waits here");
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_week_after_its_end_an_operation_is_forgotten() {
    let story = Story::begin();
    let operation = story.create_instance("stock", 1).await.expect("it begins");
    story.pass(12 + 7 * 86_400 - 1);
    assert!(story.operation(&operation.name).await.expect("it is kept").done);
    story.pass(1);
    assert_eq!(story.operation(&operation.name).await.expect_err("forgotten").code(), Code::NotFound);
}

#[tokio::test]
async fn metadata_may_be_of_a_type_that_nobody_knows() {
    let odd = |name: &str| prost_types::Any {
        type_url: format!("type.googleapis.com/google.spanner.admin.instance.v1.{name}"),
        value: vec![0x0a, 0x01, 0x78],
    };
    let mut scenario = Scenario::sample(start());
    scenario.spanner.operations.push(SeedOperation {
        id: None,
        target: LEDGER.to_owned(),
        work: SeedWork::Other { metadata: odd("ChangeQuorumMetadata"), response: odd("Unheard") },
        ago: Duration::from_secs(60),
        takes: Duration::from_secs(30),
        failure: None,
    });
    let story = Story::of(&scenario);
    let collection = format!("{LEDGER}/operations");
    let all = list(&story, &collection, "").await.expect("a page").operations;
    let known: Vec<_> = all.iter().filter_map(|it| it.metadata.as_ref()).collect();
    assert!(all.len() == 2 && known.contains(&&odd("ChangeQuorumMetadata")));
    let found = list(&story, &collection, "metadata.@type:ChangeQuorum").await.expect("a page").operations;
    assert_eq!(found.len(), 1);
}
