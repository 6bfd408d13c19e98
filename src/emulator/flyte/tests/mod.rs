//! Stories about the connector. Time is moved by hand; calls go through the generated service traits.

mod refusals;

use std::time::Duration;

use jiff::Timestamp;
use prost_types::{Struct, Value, value::Kind as JsonKind};
use tonic::{Code, Request, Status, codegen::tokio_stream::StreamExt as _};

use super::*;
use crate::{
    clock::ManualClock,
    pb::flyteidl::{
        admin::{
            CreateTaskRequest, DeleteTaskRequest, GetTaskLogsRequest, GetTaskLogsResponse, GetTaskRequest,
            Resource, TaskCategory,
        },
        core::{
            Literal, LiteralMap, LiteralType, Primitive, Scalar, Sql, TaskTemplate, TypedInterface, Variable,
            VariableMap, literal, literal_type::Type, primitive, scalar, task_execution::Phase,
            task_template::Target,
        },
        service::async_agent_service_server::AsyncAgentService as _,
    },
};

const QUERY: &str = "bigquery_query_job_task";

/// A connector at a fixed time, and the hands of its clock. Queries wait two seconds and run for eight.
struct Story {
    flyte: Arc<Flyte>,
    clock: Arc<ManualClock>,
}

impl Story {
    fn begin(flyte: Setup) -> Self {
        Self::in_world(&Scenario { flyte, ..Scenario::default() })
    }

    fn in_world(scenario: &Scenario) -> Self {
        let clock = Arc::new(ManualClock::new(now()));
        Self { flyte: Arc::new(Flyte::new(scenario, clock.clone())), clock }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn create(&self, request: CreateTaskRequest) -> Result<Vec<u8>, Status> {
        Ok(self.flyte.create_task(Request::new(request)).await?.into_inner().resource_meta.to_vec())
    }

    async fn query(&self, sql: &str) -> Vec<u8> {
        self.create(task(sql)).await.expect("it is begun")
    }

    async fn ask(&self, category: Option<(&str, i32)>, old: &str, meta: &[u8]) -> Result<Resource, Status> {
        #[expect(deprecated, reason = "callers still send it")]
        let request = GetTaskRequest {
            task_type: old.to_owned(),
            resource_meta: meta.to_vec().into(),
            task_category: category.map(|(name, version)| TaskCategory { name: name.to_owned(), version }),
            output_prefix: String::new(),
        };
        let answer = self.flyte.get_task(Request::new(request)).await?.into_inner();
        Ok(answer.resource.expect("an answer has one"))
    }

    async fn get(&self, meta: &[u8]) -> Result<Resource, Status> {
        self.ask(Some((QUERY, 0)), "", meta).await
    }

    async fn phase(&self, meta: &[u8]) -> (Phase, String) {
        let resource = self.get(meta).await.expect("it exists");
        (resource.phase(), resource.message)
    }

    async fn delete(&self, meta: &[u8]) -> Result<(), Status> {
        let request = DeleteTaskRequest {
            resource_meta: meta.to_vec().into(),
            task_category: Some(TaskCategory { name: QUERY.to_owned(), version: 0 }),
            ..DeleteTaskRequest::default()
        };
        self.flyte.delete_task(Request::new(request)).await.map(drop)
    }

    async fn logs(&self, meta: &[u8], token: &str, lines: u64) -> Result<Vec<GetTaskLogsResponse>, Status> {
        let request = GetTaskLogsRequest {
            resource_meta: meta.to_vec().into(),
            task_category: Some(TaskCategory { name: QUERY.to_owned(), version: 0 }),
            lines,
            token: token.to_owned(),
            ..GetTaskLogsRequest::default()
        };
        let mut stream = self.flyte.get_task_logs(Request::new(request)).await?.into_inner();
        let mut all = Vec::new();
        while let Some(message) = stream.next().await {
            all.push(message?);
        }
        Ok(all)
    }
}

fn now() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().expect("a timestamp")
}

fn json(text: &str) -> Value {
    Value { kind: Some(JsonKind::StringValue(text.to_owned())) }
}

fn custom(entries: &[(&str, Value)]) -> Struct {
    Struct { fields: entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect() }
}

fn task(sql: &str) -> CreateTaskRequest {
    let template = TaskTemplate {
        r#type: QUERY.to_owned(),
        custom: Some(custom(&[("ProjectID", json("acme-data")), ("Location", json("EU"))])),
        target: Some(Target::Sql(Sql { statement: sql.to_owned(), ..Sql::default() })),
        ..TaskTemplate::default()
    };
    CreateTaskRequest { template: Some(template), ..CreateTaskRequest::default() }
}

/// A task with one declared input and one value.
fn with_input(declared: (&str, Type), given: (&str, primitive::Value)) -> CreateTaskRequest {
    let mut request = task("SELECT 1");
    let variable = Variable {
        r#type: Some(LiteralType { r#type: Some(declared.1), ..LiteralType::default() }),
        ..Variable::default()
    };
    let inputs = VariableMap { variables: [(declared.0.to_owned(), variable)].into() };
    if let Some(template) = &mut request.template {
        template.interface = Some(TypedInterface { inputs: Some(inputs), outputs: None });
    }
    request.inputs = Some(LiteralMap { literals: [(given.0.to_owned(), value(given.1))].into() });
    request
}

fn value(value: primitive::Value) -> Literal {
    let scalar = Scalar { value: Some(scalar::Value::Primitive(Primitive { value: Some(value) })) };
    Literal { value: Some(literal::Value::Scalar(Box::new(scalar))), ..Literal::default() }
}

/// The exception at the end of a traceback.
#[track_caller]
fn raised(status: &Status) -> String {
    assert_eq!(status.code(), Code::Internal, "{status:?}");
    let (message, last) =
        status.message().rsplit_once("\n\nMessage:\n\n    ").expect("a traceback has two parts");
    assert!(message.contains("Traceback (most recent call last):"), "{message}");
    last.to_owned()
}

#[tokio::test]
async fn a_query_waits_runs_and_leaves_its_rows_somewhere() {
    let story = Story::begin(Setup::default());
    let meta = story.query("SELECT country FROM shop.orders").await;
    let text = String::from_utf8(meta.clone()).expect("JSON");
    let id = text.strip_prefix(r#"{"job_id": ""#).and_then(|rest| rest.get(..36)).expect("a UUID");
    assert_eq!(text, format!(r#"{{"job_id": "{id}", "project": "acme-data", "location": "EU"}}"#));

    assert_eq!(story.phase(&meta).await, (Phase::Initializing, "PENDING".to_owned()));
    story.pass(2);
    assert_eq!(story.phase(&meta).await, (Phase::Running, "RUNNING".to_owned()));
    story.pass(8);
    let done = story.get(&meta).await.expect("it exists");
    assert_eq!((done.phase(), &*done.message), (Phase::Succeeded, "DONE"));
    let link = &done.log_links[0];
    let console =
        format!("https://console.cloud.google.com/bigquery?project=acme-data&j=bq:EU:{id}&page=queryresults");
    assert_eq!((&*link.name, &*link.uri), ("BigQuery Console", &*console));
    let results = &done.outputs.as_ref().expect("a query that reads has rows").literals["results"];
    let Some(literal::Value::Scalar(scalar)) = &results.value else { panic!("{results:?}") };
    let Some(scalar::Value::StructuredDataset(dataset)) = &scalar.value else { panic!("{scalar:?}") };
    assert!(dataset.uri.starts_with("bq://acme-data:_"), "{}", dataset.uri);
    assert_eq!(story.get(&meta).await.expect("it is kept"), done);
}

#[tokio::test]
async fn queries_end_as_the_rules_say() {
    let rule = |glob: &str, ending| Rule::new(glob, ending);
    let error = || JobError::new("invalidQuery", "it's wrong");
    let rules = vec![
        rule("*table*", Ending::Into("p:d.t".to_owned())),
        rule("*bad*", Ending::Failure(error())),
        rule("*odd*", Ending::Warning(error())),
        rule("*never*", Ending::Refusal(error())),
        rule("*quick*", Ending::Success).running(Duration::ZERO),
    ];
    let story = Story::begin(Setup { rules, ..Setup::default() });
    let told = r#"[{'reason': 'invalidQuery', 'location': 'query', 'message': "it's wrong"}]"#;
    let mut metas = Vec::new();
    for sql in [
        "SELECT * FROM Bad",
        "SELECT odd",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TABLE t AS SELECT 1",
        "quick",
    ] {
        metas.push(story.query(sql).await);
    }
    let refused = story.create(task("never")).await.expect_err("it is refused");
    assert!(raised(&refused).starts_with("BadRequest: 400 POST https://bigquery"), "{refused:?}");
    story.pass(2);
    let [bad, odd, view, table, quick] = &metas[..] else { panic!("five") };
    assert_eq!(story.phase(bad).await, (Phase::Running, "RUNNING".to_owned()));
    assert_eq!(story.phase(odd).await, (Phase::Failed, told.to_owned()));
    assert_eq!(story.phase(quick).await.0, Phase::Succeeded);
    story.pass(8);
    assert_eq!(story.phase(bad).await, (Phase::Failed, told.to_owned()));
    let view = story.get(view).await.expect("it exists");
    assert_eq!((view.phase(), view.outputs), (Phase::Succeeded, None));
    assert!(format!("{:?}", story.get(table).await).contains("bq://p:d.t"));
}

#[tokio::test]
async fn what_is_stopped_has_failed_and_what_has_ended_stays() {
    let story = Story::begin(Setup::default());
    let (stopped, done) = (story.query("SELECT 1").await, story.query("SELECT 2").await);
    story.delete(&stopped).await.expect("it is asked to stop");
    assert_eq!(story.phase(&stopped).await.0, Phase::Initializing);
    story.pass(1);
    let why =
        "[{'reason': 'stopped', 'message': 'Job execution was cancelled: User requested cancellation'}]";
    assert_eq!(story.phase(&stopped).await, (Phase::Failed, why.to_owned()));
    story.pass(9);
    for meta in [&done, &stopped] {
        story.delete(meta).await.expect("nobody complains");
    }
    story.pass(60);
    assert_eq!(story.phase(&done).await.0, Phase::Succeeded);
    assert_eq!(story.phase(&stopped).await, (Phase::Failed, why.to_owned()));
}

#[tokio::test]
async fn whoever_makes_up_a_meta_gets_what_it_names() {
    let story = Story::in_world(&Scenario::sample(now()));
    let meta = |id: &str, project: &str, location: &str| {
        format!(r#"{{"project":{project},"job_id":"{id}","location":{location}}}"#).into_bytes()
    };
    let night = "5d0c2f8e-7a41-4c39-9f0b-2f6f5f0e6a11";
    for (project, location) in [(r#""acme-data""#, r#""EU""#), ("null", "null"), ("null", r#""eu""#)] {
        assert_eq!(
            story.phase(&meta(night, project, location)).await.0,
            Phase::Succeeded,
            "{project} {location}"
        );
    }
    let elsewhere = story.get(&meta(night, "null", r#""US""#)).await.expect_err("it runs in the EU");
    assert!(raised(&elsewhere).contains(&format!("Not found: Job acme-data:US.{night}")), "{elsewhere:?}");
    let denied = story.get(&meta(night, r#""acme-finance""#, "null")).await.expect_err("not allowed");
    assert!(raised(&denied).starts_with("Forbidden: 403 GET"), "{denied:?}");
    let phases = ["e2a94b36-0d7f-4f6a-b1c8-6b1d3a5f9c43", "0f3e8d71-5b26-4a90-9d3c-8e7a1c2b4f64"];
    assert_eq!(story.phase(&meta(phases[0], "null", "null")).await.0, Phase::Failed);
    assert_eq!(story.phase(&meta(phases[1], "null", "null")).await.0, Phase::Running);
}

#[tokio::test]
async fn jobs_without_end_push_out_those_that_ended_and_no_others() {
    let story = Story::begin(Setup::default());
    let first = story.query("SELECT 1").await;
    story.pass(1);
    let second = story.query("SELECT 1").await;
    for _ in 2..2000 {
        story.query("SELECT 1").await;
    }
    let full = story.create(task("SELECT 1")).await.expect_err("all of them run");
    assert!(raised(&full).starts_with("Forbidden: 403"), "{full:?}");
    story.pass(9);
    let third = story.query("SELECT 1").await;
    let forgotten = story.get(&first).await.expect_err("it made room");
    assert!(raised(&forgotten).starts_with("NotFound: 404 GET"), "{forgotten:?}");
    assert!(story.get(&second).await.is_ok() && story.get(&third).await.is_ok());
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids() {
    let id = async |seed| Story::in_world(&Scenario { seed, ..Scenario::default() }).query("SELECT 1").await;
    assert_eq!(id(1).await, id(1).await);
    assert_ne!(id(1).await, id(2).await);
}
