use super::*;

async fn list(
    story: &Story,
    filter: &str,
    page_size: i32,
    page_token: &str,
) -> Result<(Vec<Operation>, String), Status> {
    let request = ListOperationsRequest {
        name: HOME.to_owned(),
        filter: filter.to_owned(),
        page_size,
        page_token: page_token.to_owned(),
        ..Default::default()
    };
    let answer = story.datastream.list_operations(Request::new(request)).await?.into_inner();
    Ok((answer.operations, answer.next_page_token))
}

async fn begin(story: &Story, id: &str) -> Operation {
    let request = v1::CreateConnectionProfileRequest {
        parent: HOME.to_owned(),
        connection_profile_id: id.to_owned(),
        connection_profile: Some(v1::ConnectionProfile {
            display_name: id.to_owned(),
            profile: Some(v1::connection_profile::Profile::BigqueryProfile(v1::BigQueryProfile {})),
            ..Default::default()
        }),
        ..Default::default()
    };
    story.datastream.create_connection_profile(Request::new(request)).await.expect("it begins").into_inner()
}

#[tokio::test]
async fn a_cancelled_operation_ends_with_code_1_and_changes_nothing() {
    let story = Story::begin();
    let operation = begin(&story, "second-warehouse").await;
    let cancel = || Request::new(CancelOperationRequest { name: operation.name.clone() });
    story.datastream.cancel_operation(cancel()).await.expect("accepted");
    let still = story.operation(&operation.name).await.expect("it is kept");
    assert!(!still.done && metadata(&still).requested_cancellation);

    story.pass(1);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    assert_eq!((ended.done, error(&ended).code), (true, 1));
    story.pass(60);
    let name = format!("{HOME}/connectionProfiles/second-warehouse");
    let get =
        story.datastream.get_connection_profile(Request::new(v1::GetConnectionProfileRequest { name })).await;
    assert_eq!(get.expect_err("never created").code(), Code::NotFound);
    story.datastream.cancel_operation(cancel()).await.expect("cancelling what has ended does nothing");
}

#[tokio::test]
async fn a_cancellation_that_comes_too_late_does_not_take() {
    let story = Story::begin();
    let operation = begin(&story, "second-warehouse").await;
    story.pass(4);
    let cancel = Request::new(CancelOperationRequest { name: operation.name.clone() });
    story.datastream.cancel_operation(cancel).await.expect("accepted");
    story.pass(1);
    let ended = story.operation(&operation.name).await.expect("it is kept");
    assert!(metadata(&ended).requested_cancellation);
    response::<v1::ConnectionProfile>(&ended, "google.cloud.datastream.v1.ConnectionProfile");
}

#[tokio::test]
async fn operations_are_listed_page_by_page_and_by_filter_under_the_location() {
    let story = Story::begin();
    for id in ["a", "b", "c"] {
        begin(&story, id).await;
    }
    story.pass(5);
    begin(&story, "d").await;

    let today = "metadata.verb = create";
    let (first, token) = list(&story, today, 3, "").await.expect("a page");
    assert_eq!(first.len(), 3);
    assert!(['+', '/', '='].iter().all(|c| token.contains(*c)), "{token}");
    let (second, end) = list(&story, today, 3, &token).await.expect("a page");
    assert_eq!((second.len(), end.as_str()), (1, ""));
    // Three of today, and three that were there before.
    assert_eq!(list(&story, "done=true", 0, "").await.expect("a page").0.len(), 6);
    assert_eq!(list(&story, "error.code = 9", 0, "").await.expect("a page").0.len(), 1);
    let target = format!("metadata.target = \"{HOME}/connectionProfiles/d\"");
    assert_eq!(list(&story, &target, 0, "").await.expect("a page").0.len(), 1);

    assert_eq!(
        wrong_field(&list(&story, "done=true", 3, &token).await.expect_err("another filter")),
        "page_token"
    );
    assert_eq!(wrong_field(&list(&story, "nonsense", 0, "").await.expect_err("no filter")), "filter");
    let suffixed = ListOperationsRequest { name: format!("{HOME}/operations"), ..Default::default() };
    let refused = story.datastream.list_operations(Request::new(suffixed)).await;
    assert_eq!(wrong_field(&refused.expect_err("the name is the location")), "name");
}

#[tokio::test]
async fn a_deleted_operation_is_not_seen_again_but_does_its_work() {
    let story = Story::begin();
    let operation = begin(&story, "second-warehouse").await;
    let delete = || Request::new(DeleteOperationRequest { name: operation.name.clone() });
    story.datastream.delete_operation(delete()).await.expect("deleted");
    assert_eq!(story.operation(&operation.name).await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(story.datastream.delete_operation(delete()).await.expect_err("gone").code(), Code::NotFound);
    story.pass(5);
    let name = format!("{HOME}/connectionProfiles/second-warehouse");
    story
        .datastream
        .get_connection_profile(Request::new(v1::GetConnectionProfileRequest { name }))
        .await
        .expect("created");
}
