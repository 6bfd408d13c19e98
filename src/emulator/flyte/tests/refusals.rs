//! What is refused, and in which words.

use super::*;
use crate::pb::flyteidl::{
    admin::{GetAgentRequest, GetTaskMetricsRequest, ListAgentsRequest, get_task_logs_response::Part},
    core::SimpleType,
    service::agent_metadata_service_server::AgentMetadataService as _,
};

#[tokio::test]
async fn with_more_logging_a_failure_is_an_error() {
    let story = Story::begin(Setup { rich_log: true, ..Setup::default() });
    let meta = story.query("SELECT fail").await;
    story.pass(10);
    let error = story.get(&meta).await.expect_err("the log call trips");
    assert_eq!(raised(&error), "TypeError: not all arguments converted during string formatting.");
}

#[tokio::test]
async fn the_connector_is_found_by_category_or_else_by_the_old_field() {
    let story = Story::begin(Setup::default());
    let meta = story.query("SELECT 1").await;
    for (category, old) in [(Some((QUERY, 0)), "x"), (None, QUERY), (Some(("", 7)), QUERY)] {
        assert!(story.ask(category, old, &meta).await.is_ok(), "{category:?} {old}");
    }
    let cases = [
        (Some((QUERY, 1)), "", QUERY),
        (Some(("nope", 0)), "", "nope"),
        (Some(("nope", 0)), QUERY, QUERY),
        (None, "", ""),
    ];
    for (category, old, shown) in cases {
        let error = story.ask(category, old, &meta).await.expect_err("nobody serves it");
        assert_eq!(
            (error.code(), error.message()),
            (Code::NotFound, &*format!("Cannot find connector for task type: {shown}."))
        );
    }
    let webhook = story.ask(Some(("webhook", 0)), "", &meta).await.expect_err("it has no such method");
    assert_eq!(raised(&webhook), "AttributeError: 'WebhookConnector' object has no attribute 'get'.");

    let listed =
        story.flyte.list_agents(Request::new(ListAgentsRequest {})).await.expect("always").into_inner();
    let listed: Vec<_> = listed.agents.iter().map(|agent| (&*agent.name, agent.is_sync)).collect();
    assert_eq!(listed, [("Sensor", false), ("Bigquery Connector", false), ("Webhook Connector", true)]);
    let nobody = GetAgentRequest { name: "nobody".to_owned() };
    let error = story.flyte.get_agent(Request::new(nobody)).await.expect_err("no such connector");
    assert_eq!(error.code(), Code::Unknown);
}

#[tokio::test]
async fn a_callers_mistake_is_internal_too() {
    let story = Story::begin(Setup { denied_projects: vec!["vault".to_owned()], ..Setup::default() });
    let change = |change: &dyn Fn(&mut TaskTemplate)| {
        let mut request = task("SELECT 1");
        change(request.template.as_mut().expect("it has one"));
        request
    };
    let keys = |entries: &[(&str, Value)]| {
        let entries = custom(entries);
        change(&move |template: &mut TaskTemplate| template.custom = Some(entries.clone()))
    };
    let project = |project: Value| keys(&[("ProjectID", project), ("Location", json("EU"))]);
    let number = Value { kind: Some(JsonKind::NumberValue(5.0)) };
    let cases = [
        (change(&|template: &mut TaskTemplate| template.custom = None), "KeyError: 'ProjectID'."),
        (keys(&[("ProjectID", json("p"))]), "KeyError: 'Location'."),
        (project(number), "ValueError: Project must be a string.."),
        (project(json("vault")), "Forbidden: 403 POST"),
        (
            change(&|template: &mut TaskTemplate| template.target = None),
            "AttributeError: 'NoneType' object has no attribute 'statement'.",
        ),
        (task(""), "BadRequest: 400 POST"),
    ];
    for (request, expected) in cases {
        let error = story.create(request).await.expect_err(expected);
        assert!(raised(&error).starts_with(expected), "{error:?}");
    }
    let (text, integer) = (|| primitive::Value::StringValue("a".to_owned()), || primitive::Value::Integer(5));
    let simple = |simple: SimpleType| Type::Simple(simple.into());
    let inputs = [
        (("n", simple(SimpleType::Integer)), ("n", text()), "TypeTransformerFailedError: "),
        (("n", simple(SimpleType::Integer)), ("m", integer()), "KeyError: 'm'."),
        (("n", simple(SimpleType::Duration)), ("n", integer()), "KeyError: <class 'datetime.timedelta'>."),
        (("n", simple(SimpleType::Binary)), ("n", integer()), "ValueError: No transformers could reverse"),
    ];
    for (declared, given, expected) in inputs {
        let error = story.create(with_input(declared, given)).await.expect_err(expected);
        assert!(raised(&error).starts_with(expected), "{error:?}");
    }
}

#[tokio::test]
async fn a_query_gets_only_the_parameters_that_are_declared() {
    let story = Story::begin(Setup::default());
    let integer = || Type::Simple(SimpleType::Integer.into());
    let sql = |mut request: CreateTaskRequest| {
        let statement = "SELECT *\nFROM t WHERE n = @N".to_owned();
        let template = request.template.as_mut().expect("it has one");
        template.target = Some(Target::Sql(Sql { statement, ..Sql::default() }));
        request
    };
    let given = || ("n", primitive::Value::Integer(5));
    let known = story.create(sql(with_input(("n", integer()), given()))).await.expect("it is begun");
    let mut undeclared = sql(with_input(("n", integer()), given()));
    undeclared.template.as_mut().expect("it has one").interface = None;
    let unknown = story.create(undeclared).await.expect("values are left out without a word");
    story.pass(10);
    assert_eq!(story.phase(&known).await.0, Phase::Succeeded);
    let (phase, message) = story.phase(&unknown).await;
    assert!(
        phase == Phase::Failed && message.contains("Query parameter 'N' not found at [2:18]"),
        "{message}"
    );
}

#[tokio::test]
async fn logs_and_metrics_are_for_connectors_that_have_them() {
    let story = Story::begin(Setup::default());
    let meta = story.query("SELECT 1").await;
    let error = story.logs(&meta, "", 0).await.expect_err("BigQuery's has none");
    assert_eq!(
        (error.code(), error.message()),
        (Code::Unknown, "Unexpected <class 'NotImplementedError'>: ")
    );

    let story = Story::begin(Setup { keeps_records: true, ..Setup::default() });
    let meta = story.query("SELECT 1").await;
    let read = |messages: Vec<GetTaskLogsResponse>| {
        let (mut token, mut lines) = (String::new(), Vec::new());
        for message in messages {
            match message.part.expect("one of the two") {
                Part::Header(header) => token = header.token,
                Part::Body(body) => lines.extend(body.structured_lines.into_iter().map(|line| line.message)),
            }
        }
        (token, lines)
    };
    story.pass(4);
    let (token, lines) = read(story.logs(&meta, "", 2).await.expect("a log"));
    assert_eq!((&*token, lines), ("2", vec!["created in EU".to_owned(), "step 0".to_owned()]));
    story.pass(60);
    let (token, lines) = read(story.logs(&meta, &token, 0).await.expect("a log"));
    assert_eq!((&*token, lines.len(), lines.last().map(|line| &**line)), ("", 8, Some("done")));

    let request = GetTaskMetricsRequest {
        resource_meta: meta.into(),
        task_category: Some(TaskCategory { name: QUERY.to_owned(), version: 0 }),
        queries: vec!["seconds".to_owned()],
        ..GetTaskMetricsRequest::default()
    };
    let answer = story.flyte.get_task_metrics(Request::new(request)).await.expect("metrics").into_inner();
    assert_eq!(answer.results.iter().map(|result| &*result.metric).collect::<Vec<_>>(), ["seconds"]);
}
