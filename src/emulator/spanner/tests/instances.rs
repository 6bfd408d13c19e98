use prost_types::FieldMask;

use super::*;
use crate::pb::google::spanner::admin::instance::v1::{
    CreateInstanceConfigRequest, CreateInstanceMetadata, DeleteInstanceRequest, InstanceConfig,
    InstancePartition, ListInstancesRequest, MoveInstanceRequest, UpdateInstanceMetadata,
    UpdateInstanceRequest, instance::State, instance_partition,
};

async fn update(story: &Story, instance: Instance, paths: &[&str]) -> Result<Operation, Status> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let request = UpdateInstanceRequest { instance: Some(instance), field_mask: Some(FieldMask { paths }) };
    Ok(story.spanner.update_instance(Request::new(request)).await?.into_inner())
}

async fn listed(story: &Story, filter: &str) -> Result<Vec<String>, Status> {
    let request =
        ListInstancesRequest { parent: SHOP.to_owned(), filter: filter.to_owned(), ..Default::default() };
    let found = story.spanner.list_instances(Request::new(request)).await?.into_inner().instances;
    Ok(found.iter().map(|it| it.name.rsplit('/').next().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn an_instance_is_there_at_once_and_ready_at_the_end() {
    let story = Story::begin();
    let operation = story.create_instance("stock", 2).await.expect("it begins");
    assert!(operation.name.starts_with(&format!("{SHOP}/instances/stock/operations/")), "{operation:?}");
    let name = format!("{SHOP}/instances/stock");
    let created = story.instance(&name).await.expect("it is there");
    assert_eq!((created.state(), created.node_count, created.processing_units), (State::Creating, 2, 2000));

    story.pass(12);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    let made: Instance = response(&ended, "instance.v1.Instance");
    assert_eq!((made.state(), &made), (State::Ready, &story.instance(&name).await.expect("it is there")));
    let metadata: CreateInstanceMetadata = metadata(&ended, "instance.v1.CreateInstanceMetadata");
    assert!(metadata.end_time.is_some() && metadata.cancel_time.is_none());
}

#[tokio::test]
async fn cancelling_a_creation_takes_the_instance_away_at_once() {
    let story = Story::begin();
    let operation = story.create_instance("stock", 2).await.expect("it begins");
    story.pass(11);
    story.cancel(&operation.name).await;
    let gone = story.instance(&format!("{SHOP}/instances/stock")).await.expect_err("unreadable");
    assert_eq!(gone.code(), Code::NotFound);
    let still = story.operation(&operation.name).await.expect("it is kept");
    let shown: CreateInstanceMetadata = metadata(&still, "instance.v1.CreateInstanceMetadata");
    assert!(!still.done && shown.cancel_time.is_some());
    // Though it would have been done a second later, what is gone does not come back.
    story.pass(5);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    assert_eq!((ended.done, error(&ended).code), (true, 1));
}

#[tokio::test]
async fn an_update_shows_at_the_end_and_a_cancelled_one_never() {
    let story = Story::begin();
    let wanted = Instance { name: LEDGER.to_owned(), node_count: 5, ..Default::default() };
    let operation = update(&story, wanted.clone(), &["node_count"]).await.expect("it begins");
    assert_eq!(story.instance(LEDGER).await.expect("it is there").node_count, 3);
    let busy = update(&story, wanted.clone(), &["node_count"]).await.expect_err("one at a time");
    assert_eq!(busy.code(), Code::Aborted);
    story.cancel(&operation.name).await;
    story.pass(10);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    assert_eq!(error(&ended).code, 1);
    assert_eq!(story.instance(LEDGER).await.expect("it is there").node_count, 3);

    let operation = update(&story, wanted, &["node_count"]).await.expect("it begins");
    story.pass(10);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    let shown: UpdateInstanceMetadata = metadata(&ended, "instance.v1.UpdateInstanceMetadata");
    assert_eq!(shown.instance.map(|it| it.processing_units), Some(5000));
    assert_eq!(story.instance(LEDGER).await.expect("it is there").processing_units, 5000);
}

#[tokio::test]
async fn what_cannot_be_made_or_changed_is_refused_before_anything_begins() {
    let story = Story::begin();
    assert_eq!(wrong_field(&story.create_instance("Stock", 1).await.expect_err("capitals")), "instance_id");
    assert_eq!(
        wrong_field(&story.create_instance("stock", 0).await.expect_err("no capacity")),
        "instance.node_count"
    );
    assert_eq!(story.create_instance("ledger", 1).await.expect_err("taken").code(), Code::AlreadyExists);
    let named = |name: &str| Instance { name: name.to_owned(), ..Default::default() };
    assert_eq!(
        wrong_field(&update(&story, named(LEDGER), &["config"]).await.expect_err("moved otherwise")),
        "field_mask"
    );
    assert_eq!(wrong_field(&update(&story, named(LEDGER), &[]).await.expect_err("no mask")), "field_mask");
    let nobody = named("projects/acme-shop/instances/nobody");
    let absent = update(&story, nobody, &["display_name"]).await.expect_err("absent");
    assert_eq!((absent.code(), reason(&absent).as_str()), (Code::NotFound, "RESOURCE_NOT_FOUND"));

    let delete = DeleteInstanceRequest { name: LEDGER.to_owned() };
    let used = story.spanner.delete_instance(Request::new(delete)).await.expect_err("it has backups");
    assert_eq!((used.code(), reason(&used).as_str()), (Code::FailedPrecondition, "RESOURCE_IN_USE"));
    let request = MoveInstanceRequest {
        name: LEDGER.to_owned(),
        target_config: format!("{SHOP}/instanceConfigs/regional-us-east1"),
    };
    let fixed = story.spanner.move_instance(Request::new(request)).await.expect_err("it has backups");
    assert_eq!(reason(&fixed), "INSTANCE_NOT_MOVABLE");
}

#[tokio::test]
async fn instances_are_found_by_filter_whatever_the_case() {
    let story = Story::begin();
    assert_eq!(listed(&story, "").await.expect("a page"), ["ledger", "sessions", "trial"]);
    assert_eq!(listed(&story, "labels.team:PAY*").await.expect("a page"), ["ledger"]);
    assert_eq!(listed(&story, "labels.env:* AND name:sess").await.expect("a page"), ["sessions"]);
    assert_eq!(listed(&story, "displayName = \"graph trial\"").await.expect("a page"), ["trial"]);
    assert_eq!(listed(&story, "NOT labels.env:*").await.expect("a page"), ["trial"]);
    assert_eq!(wrong_field(&listed(&story, "nodes > 1").await.expect_err("no such field")), "filter");
}

#[tokio::test]
async fn what_is_meant_to_fail_fails_and_leaves_nothing() {
    let mut scenario = Scenario::sample(start());
    scenario.spanner.failing.push("*/instances/stock".to_owned());
    let story = Story::of(&scenario);
    for id in ["stock", "to-fail"] {
        let operation = story.create_instance(id, 1).await.expect("it begins");
        story.pass(12);
        let ended = story.operation(&operation.name).await.expect("it is kept");
        assert_eq!(error(&ended).code, i32::from(Code::ResourceExhausted));
        let gone = story.instance(&format!("{SHOP}/instances/{id}")).await.expect_err("taken back");
        assert_eq!(gone.code(), Code::NotFound);
    }
}

#[tokio::test]
async fn partitions_and_configurations_have_operations_of_their_own() {
    let story = Story::begin();
    let request = instance::CreateInstancePartitionRequest {
        parent: LEDGER.to_owned(),
        instance_partition_id: "asia".to_owned(),
        instance_partition: Some(InstancePartition {
            config: format!("{SHOP}/instanceConfigs/regional-asia-northeast1"),
            display_name: "Asian ledger".to_owned(),
            compute_capacity: Some(instance_partition::ComputeCapacity::NodeCount(1)),
            ..Default::default()
        }),
    };
    let operation = story.spanner.create_instance_partition(Request::new(request)).await.expect("it begins");
    let name = operation.into_inner().name;
    assert!(name.starts_with(&format!("{LEDGER}/instancePartitions/asia/operations/")), "{name}");
    story.pass(12);
    let made: InstancePartition =
        response(&story.operation(&name).await.expect("it is kept"), "instance.v1.InstancePartition");
    assert_eq!(made.state(), instance_partition::State::Ready);

    let base = instance::GetInstanceConfigRequest { name: format!("{SHOP}/instanceConfigs/nam3") };
    let base = story.spanner.get_instance_config(Request::new(base)).await.expect("Google's").into_inner();
    let mut replicas = base.replicas.clone();
    replicas.push(base.optional_replicas[0].clone());
    let ask = |id: &str, validate_only| CreateInstanceConfigRequest {
        parent: SHOP.to_owned(),
        instance_config_id: id.to_owned(),
        instance_config: Some(InstanceConfig {
            base_config: base.name.clone(),
            display_name: "America, and Los Angeles".to_owned(),
            replicas: replicas.clone(),
            ..Default::default()
        }),
        validate_only,
    };
    let create = |request| story.spanner.create_instance_config(Request::new(request));
    assert_eq!(
        wrong_field(&create(ask("nam3-west", false)).await.expect_err("no prefix")),
        "instance_config_id"
    );
    let checked = create(ask("custom-nam3-west", true)).await.expect("it is good").into_inner();
    assert_eq!((checked.done, checked.name.as_str()), (true, ""));
    let begun = create(ask("custom-nam3-west", false)).await.expect("it begins").into_inner();
    assert!(begun.name.starts_with(&format!("{SHOP}/instanceConfigs/custom-nam3-west/operations/")));
    story.pass(10);
    let made: InstanceConfig =
        response(&story.operation(&begun.name).await.expect("it is kept"), "instance.v1.InstanceConfig");
    assert!(!made.reconciling && !made.etag.is_empty());
}
