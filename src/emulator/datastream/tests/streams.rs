use prost_types::FieldMask;

use super::*;

/// What makes a good request bad.
type Change = fn(&mut v1::CreateStreamRequest);

async fn tills(story: &Story) -> Stream {
    let name = "projects/acme-data/locations/us-central1/streams/tills-to-bigquery".to_owned();
    story
        .datastream
        .get_stream(Request::new(v1::GetStreamRequest { name }))
        .await
        .expect("the sample has it")
        .into_inner()
}

async fn create(story: &Story, request: v1::CreateStreamRequest) -> Result<Operation, Status> {
    Ok(story.datastream.create_stream(Request::new(request)).await?.into_inner())
}

async fn update(story: &Story, stream: Stream, paths: &[&str]) -> Result<Operation, Status> {
    let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
    let request = v1::UpdateStreamRequest { stream: Some(stream), update_mask, ..Default::default() };
    Ok(story.datastream.update_stream(Request::new(request)).await?.into_inner())
}

async fn template(story: &Story) -> v1::CreateStreamRequest {
    let stream = story.stream("shop-to-bigquery").await.expect("the sample has it");
    let stream =
        Stream { display_name: "Second copy".to_owned(), state: State::Unspecified.into(), ..stream };
    v1::CreateStreamRequest {
        parent: HOME.to_owned(),
        stream_id: "second-copy".to_owned(),
        stream: Some(stream),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_stream_is_created_started_paused_resumed_and_deleted() {
    let story = Story::begin();
    let operation = create(&story, template(&story).await).await.expect("it begins");
    assert!(!operation.done && operation.name.starts_with(&format!("{HOME}/operations/operation-")));
    let facts = metadata(&operation);
    assert_eq!((facts.verb.as_str(), facts.api_version.as_str()), ("create", "v1"));
    assert_eq!(facts.target, format!("{HOME}/streams/second-copy"));
    assert!(facts.validation_result.is_some());
    assert_eq!(story.stream("second-copy").await.expect_err("not yet").code(), Code::NotFound);

    story.pass(5);
    let done = story.operation(&operation.name).await.expect("it is kept");
    let created: Stream = response(&done, "google.cloud.datastream.v1.Stream");
    assert!(done.done && metadata(&done).end_time.is_some());
    assert_eq!(created.state(), State::NotStarted);

    // Started by a PATCH of the state; on its way it says so, and once it runs it has objects that fill up.
    let wanted = Stream { state: State::Running.into(), ..created };
    update(&story, wanted.clone(), &["state"]).await.expect("it starts");
    assert_eq!(story.stream("second-copy").await.expect("it is there").state(), State::Starting);
    let busy = update(&story, wanted.clone(), &["state"]).await.expect_err("one change at a time");
    assert_eq!((busy.code(), reason(&busy).as_str()), (Code::Aborted, "OPERATION_IN_PROGRESS"));
    story.pass(5);
    assert_eq!(story.stream("second-copy").await.expect("it is there").state(), State::Running);
    assert_eq!(story.job("second-copy", "public-orders").await.state(), JobState::Pending);
    story.pass(60);
    assert_eq!(story.job("second-copy", "public-orders").await.state(), JobState::Completed);
    assert_eq!(story.job("second-copy", "billing-failed-charges").await.state(), JobState::Failed);

    let paused = Stream { state: State::Paused.into(), ..wanted };
    update(&story, paused, &["state"]).await.expect("it pauses");
    assert_eq!(story.stream("second-copy").await.expect("it is there").state(), State::Draining);
    story.pass(5);
    let run = v1::RunStreamRequest { name: format!("{HOME}/streams/second-copy"), ..Default::default() };
    story.datastream.run_stream(Request::new(run.clone())).await.expect("it resumes");
    story.pass(5);
    let running = story.datastream.run_stream(Request::new(run)).await.expect_err("it runs");
    assert_eq!(running.code(), Code::FailedPrecondition);

    let delete =
        v1::DeleteStreamRequest { name: format!("{HOME}/streams/second-copy"), ..Default::default() };
    let deleted = story.datastream.delete_stream(Request::new(delete)).await.expect("it begins").into_inner();
    story.pass(5);
    response::<()>(&story.operation(&deleted.name).await.expect("it is kept"), "google.protobuf.Empty");
    assert_eq!(story.stream("second-copy").await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(story.object("second-copy", "public-orders").await.expect_err("gone").code(), Code::NotFound);
}

#[tokio::test]
async fn validate_only_answers_a_finished_operation_without_a_name_and_changes_nothing() {
    let story = Story::begin();
    let request = v1::CreateStreamRequest { validate_only: true, ..template(&story).await };
    let operation = create(&story, request).await.expect("the checks pass");
    assert!(operation.done && operation.name.is_empty());
    assert_eq!(metadata(&operation).validation_result.map(|result| result.validations.len()), Some(2));
    story.pass(60);
    assert_eq!(story.stream("second-copy").await.expect_err("never created").code(), Code::NotFound);
}

#[tokio::test]
async fn a_request_id_makes_a_repetition_harmless() {
    let story = Story::begin();
    let request_id = "0b6e1f0e-8b1e-4f57-9b53-0c7a4c6a5a10".to_owned();
    let request = v1::CreateStreamRequest { request_id, ..template(&story).await };
    let first = create(&story, request.clone()).await.expect("it begins");
    story.pass(5);
    let second = create(&story, request.clone()).await.expect("the same operation");
    assert_eq!((first.name.as_str(), second.done), (second.name.as_str(), true));

    let other = v1::CreateStreamRequest { stream_id: "third-copy".to_owned(), ..request.clone() };
    assert_eq!(wrong_field(&create(&story, other).await.expect_err("another request")), "request_id");
    for bad in ["x", "00000000-0000-0000-0000-000000000000"] {
        let request = v1::CreateStreamRequest { request_id: bad.to_owned(), ..request.clone() };
        assert_eq!(wrong_field(&create(&story, request).await.expect_err("no such id")), "request_id");
    }
    let plain = v1::CreateStreamRequest { request_id: String::new(), ..request };
    assert_eq!(create(&story, plain).await.expect_err("it exists").code(), Code::AlreadyExists);
}

#[tokio::test]
async fn a_mask_changes_what_it_names_and_without_one_everything_is_overwritten() {
    let story = Story::begin();
    let old = story.stream("shop-to-bigquery").await.expect("the sample has it");
    let mut wanted = Stream { display_name: "Renamed".to_owned(), ..old.clone() };
    wanted.labels.clear();
    let path = "destination_config.bigquery_destination_config.data_freshness";
    let mut destination = wanted.destination_config.take().expect("it has one");
    if let Some(v1::destination_config::DestinationStreamConfig::BigqueryDestinationConfig(config)) =
        &mut destination.destination_stream_config
    {
        config.data_freshness = Some(prost_types::Duration { seconds: 300, nanos: 0 });
        config.dataset_config = None;
    }
    wanted.destination_config = Some(destination);

    update(&story, wanted.clone(), &["display_name", path]).await.expect("it begins");
    story.pass(5);
    let new = story.stream("shop-to-bigquery").await.expect("it is there");
    assert_eq!((new.display_name.as_str(), &new.labels), ("Renamed", &old.labels));
    let Some(v1::destination_config::DestinationStreamConfig::BigqueryDestinationConfig(config)) =
        new.destination_config.and_then(|it| it.destination_stream_config)
    else {
        panic!("still BigQuery")
    };
    assert_eq!(config.data_freshness.map(|it| it.seconds), Some(300));
    assert!(config.dataset_config.is_some(), "not named, not changed");

    update(&story, wanted, &[]).await.expect("it begins");
    story.pass(5);
    assert!(story.stream("shop-to-bigquery").await.expect("it is there").labels.is_empty());

    for bad in ["displayName", "nonsense", "display_name.x", "labels.team", ""] {
        let refused = update(&story, old.clone(), &[bad]).await.expect_err(bad);
        assert_eq!(wrong_field(&refused), "update_mask", "{bad}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_field() {
    let story = Story::begin();
    let good = template(&story).await;
    let changed = |change: Change| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let stream =
        |request: &mut v1::CreateStreamRequest| -> Stream { request.stream.clone().unwrap_or_default() };
    let cases: [(&str, Change); 5] = [
        ("parent", |it| it.parent = "projects/p".to_owned()),
        ("stream_id", |it| it.stream_id = "Not An Id".to_owned()),
        ("stream", |it| it.stream = None),
        ("stream.display_name", |it| it.stream.as_mut().expect("a stream").display_name.clear()),
        ("stream.state", |it| it.stream.as_mut().expect("a stream").set_state(State::Paused)),
    ];
    for (field, change) in cases {
        assert_eq!(wrong_field(&create(&story, changed(change)).await.expect_err(field)), field);
    }
    let mut missing = good.clone();
    let mut body = stream(&mut missing);
    body.source_config.as_mut().expect("a source").source_connection_profile =
        format!("{HOME}/connectionProfiles/nobody");
    let missing = create(&story, v1::CreateStreamRequest { stream: Some(body), ..missing }).await;
    assert_eq!(missing.expect_err("no such profile").code(), Code::NotFound);
    let mut other = stream(&mut good.clone());
    other.source_config = tills(&story).await.source_config.map(|config| v1::SourceConfig {
        source_connection_profile: format!("{HOME}/connectionProfiles/shop-postgres"),
        ..config
    });
    let other = create(&story, v1::CreateStreamRequest { stream: Some(other), ..good.clone() }).await;
    assert_eq!(wrong_field(&other.expect_err("settings of another kind")), "stream.source_config");
}

#[tokio::test]
async fn a_failed_stream_recovers_when_it_is_started() {
    let story = Story::begin();
    let failed = story.stream("erp-to-lake").await.expect("the sample has it");
    assert_eq!((failed.state(), failed.errors.len()), (State::Failed, 1));
    update(&story, Stream { state: State::Running.into(), ..failed }, &["state"]).await.expect("it starts");
    story.pass(5);
    let healthy = story.stream("erp-to-lake").await.expect("it is there");
    assert_eq!((healthy.state(), healthy.errors.len()), (State::Running, 0));
}
