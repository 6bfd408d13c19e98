use super::*;

const STREAM: &str = "shop-to-bigquery";

async fn start(story: &Story, id: &str, condition: &str) -> Result<v1::BackfillJob, Status> {
    let event_filter = (!condition.is_empty()).then(|| v1::EventFilter {
        filter: Some(v1::event_filter::Filter::SqlWhereClause(condition.to_owned())),
    });
    let object = format!("{HOME}/streams/{STREAM}/objects/{id}");
    let request = v1::StartBackfillJobRequest { object, event_filter };
    let answer = story.datastream.start_backfill_job(Request::new(request)).await?.into_inner();
    Ok(answer.object.expect("the object").backfill_job.expect("its job"))
}

async fn stop(story: &Story, id: &str) -> Result<v1::BackfillJob, Status> {
    let object = format!("{HOME}/streams/{STREAM}/objects/{id}");
    let request = Request::new(v1::StopBackfillJobRequest { object });
    let answer = story.datastream.stop_backfill_job(request).await?.into_inner();
    Ok(answer.object.expect("the object").backfill_job.expect("its job"))
}

#[tokio::test]
async fn a_backfill_waits_copies_completes_and_can_be_started_again() {
    let story = Story::begin();
    let before = story.job(STREAM, "public-orders").await;
    assert_eq!(before.state(), JobState::Completed);

    // The answer comes at once and still shows the times of the run before.
    let started = start(&story, "public-orders", "").await.expect("it starts");
    assert_eq!(started.state(), JobState::Pending);
    assert_eq!(started.trigger(), v1::backfill_job::Trigger::Manual);
    assert_eq!(started.last_start_time, before.last_start_time);

    let twice = start(&story, "public-orders", "").await.expect_err("one at a time");
    assert_eq!((twice.code(), reason(&twice).as_str()), (Code::FailedPrecondition, "BACKFILL_IN_PROGRESS"));

    story.pass(3);
    let active = story.job(STREAM, "public-orders").await;
    assert_eq!((active.state(), active.last_end_time), (JobState::Active, None));
    assert!(active.last_start_time.map(|at| at.seconds) > before.last_start_time.map(|at| at.seconds));

    story.pass(12);
    let done = story.job(STREAM, "public-orders").await;
    assert_eq!(done.state(), JobState::Completed);
    assert_eq!(done.last_end_time.map(|at| at.seconds), done.last_start_time.map(|at| at.seconds + 12));

    start(&story, "public-orders", "").await.expect("a further run");
}

#[tokio::test]
async fn the_table_with_fail_in_its_name_fails_and_says_why() {
    let story = Story::begin();
    start(&story, "billing-failed-charges", "").await.expect("it starts");
    story.pass(60);
    let job = story.job(STREAM, "billing-failed-charges").await;
    assert_eq!(job.state(), JobState::Failed);
    assert_eq!(job.errors[0].reason, "BACKFILL_FAILED");
    assert_eq!(job.errors[0].details["table"], "billing.failed_charges");
}

#[tokio::test]
async fn a_stopped_backfill_winds_down_and_then_there_is_nothing_left_to_stop() {
    let story = Story::begin();
    start(&story, "public-carts", "").await.expect("it starts");
    story.pass(5);
    assert_eq!(stop(&story, "public-carts").await.expect("it stops").state(), JobState::Active);
    story.pass(1);
    let stopped = story.job(STREAM, "public-carts").await;
    assert_eq!(stopped.state(), JobState::Stopped);
    assert!(stopped.last_end_time.is_some());

    let again = stop(&story, "public-carts").await.expect_err("it has ended");
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::FailedPrecondition, "BACKFILL_NOT_IN_PROGRESS")
    );
}

#[tokio::test]
async fn some_rows_can_be_picked_by_a_condition_without_the_word_where() {
    let story = Story::begin();
    let job = start(&story, "public-orders", "placed_at >= '2030-01-01'").await.expect("it starts");
    assert!(job.event_filter.is_some());
    let refused = start(&story, "public-carts", "WHERE true").await.expect_err("the word is not part of it");
    assert_eq!(wrong_field(&refused), "event_filter.sql_where_clause");
}

#[tokio::test]
async fn what_cannot_be_backfilled_is_refused() {
    let story = Story::begin();
    let missing = start(&story, "public-nothing", "").await.expect_err("no such object");
    assert_eq!(missing.code(), Code::NotFound);

    let at = |stream: &str, id: &str| v1::StartBackfillJobRequest {
        object: format!("{HOME}/streams/{stream}/objects/{id}"),
        event_filter: None,
    };
    let request = Request::new(at("erp-to-lake", "hr-payroll-runs"));
    let unsupported = story.datastream.start_backfill_job(request).await.expect_err("unsupported");
    assert_eq!(reason(&unsupported), "BACKFILL_UNSUPPORTED");
    let request = Request::new(at("shop-archive", "billing-invoices"));
    let paused = story.datastream.start_backfill_job(request).await.expect_err("the stream is paused");
    assert_eq!(reason(&paused), "STREAM_NOT_RUNNING");
}
