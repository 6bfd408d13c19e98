//! Tasks behind Flyte's own paths, in front of an emulated connector.

use std::{sync::Arc, time::Duration};

use base64_simd::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use causeway::{
    clock::{Clock as _, ManualClock, SystemClock},
    emulator::{Emulator, Scenario, Upstream, flyte::Setup},
    pb::flyteidl::admin::{DeleteTaskRequest, GetTaskLogsRequest, GetTaskMetricsRequest, GetTaskRequest},
};
use serde_json::{Value, json};

use crate::harness::{Gateway, Response};

const TASK: &str = "/api/v1/agent/task";
const QUERY: &str = "bigquery_query_job_task/0";

/// A connector whose clock is in the story's hands, and the gateway in front of it.
struct Story {
    emulator: Emulator,
    gateway: Gateway,
    clock: Arc<ManualClock>,
}

impl Story {
    async fn begin(change: impl FnOnce(&mut Setup)) -> Self {
        let now = SystemClock.now();
        let clock = Arc::new(ManualClock::new(now));
        let mut scenario = Scenario::sample(now);
        change(&mut scenario.flyte);
        let emulator = Emulator::start_on_loopback(scenario, clock.clone()).await.unwrap();
        let endpoint = emulator.endpoint(Upstream::Flyte).unwrap();
        let gateway = Gateway::start(&[format!("upstreams.flyte.endpoint={endpoint}")]).await;
        Self { emulator, gateway, clock }
    }

    /// Starts a query and returns its `resourceMeta` as the answer spells it.
    async fn query(&self, sql: &str) -> String {
        let answer = self.create(&task(sql)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["resourceMeta"].as_str().unwrap().to_owned()
    }

    async fn create(&self, task: &Value) -> Response {
        self.gateway.post(TASK, &task.to_string()).await
    }

    async fn get(&self, meta: &str) -> Response {
        self.gateway.get(&format!("{TASK}/{QUERY}/{meta}")).await
    }

    async fn phase(&self, meta: &str) -> String {
        let answer = self.get(meta).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["resource"]["phase"].as_str().unwrap().to_owned()
    }

    /// The request of the last call of an rpc, on the wire.
    fn sent<T: prost::Message + Default>(&self, rpc: &str) -> T {
        let call = self.emulator.calls().last(&format!("*AsyncAgentService/{rpc}")).unwrap();
        T::decode(call.request).unwrap()
    }
}

fn task(sql: &str) -> Value {
    json!({"template": {
        "type": "bigquery_query_job_task",
        "custom": {"ProjectID": "acme-data", "Location": "EU"},
        "sql": {"statement": sql},
    }})
}

/// Makes a `resourceMeta` fit for a path.
fn in_path(meta: &str) -> String {
    meta.replace('+', "-").replace('/', "_")
}

#[tokio::test]
async fn a_query_is_started_watched_and_done() {
    let story = Story::begin(|_| ()).await;
    let meta = story.query("SELECT country, COUNT(*) AS orders FROM shop.orders GROUP BY country").await;
    let decoded = STANDARD.decode_to_vec(&meta).unwrap();
    let job: Value = serde_json::from_slice(&decoded).unwrap();
    assert_eq!((&job["project"], &job["location"]), (&json!("acme-data"), &json!("EU")));

    let meta = in_path(&meta);
    assert_eq!(story.phase(&meta).await, "INITIALIZING");
    story.clock.advance(Duration::from_secs(2));
    assert_eq!(story.phase(&meta).await, "RUNNING");
    story.clock.advance(Duration::from_secs(8));
    let done = story.get(&meta).await.json();
    let uri = &done["resource"]["outputs"]["literals"]["results"]["scalar"]["structuredDataset"]["uri"];
    assert!(uri.as_str().unwrap().starts_with("bq://acme-data:_"), "{done}");
    assert_eq!(
        (&done["resource"]["phase"], &done["resource"]["message"]),
        (&json!("SUCCEEDED"), &json!("DONE"))
    );
    let numbers =
        story.gateway.get(&format!("{TASK}/{QUERY}/{meta}?$alt=json;enum-encoding=int")).await.json();
    assert_eq!(numbers["resource"]["phase"], 3, "{numbers}");
}

#[tokio::test]
async fn a_query_that_is_stopped_has_failed() {
    let story = Story::begin(|_| ()).await;
    let meta = in_path(&story.query("SELECT 1").await);
    let path = format!("/api/v1/agent/task_executions/{QUERY}/{meta}");
    let stopped = story.gateway.send("DELETE", &path, &[], "").await;
    assert_eq!((stopped.status.as_u16(), &*stopped.text()), (200, "{}"));
    story.clock.advance(Duration::from_secs(1));
    let resource = story.get(&meta).await.json()["resource"].clone();
    assert_eq!(resource["phase"], "FAILED");
    assert!(resource["message"].as_str().unwrap().contains("'reason': 'stopped'"), "{resource}");
}

#[tokio::test]
async fn resource_meta_comes_in_every_spelling_of_base64() {
    let story = Story::begin(|_| ()).await;
    let escaped = |text: &str, escapes: [&str; 3]| {
        text.replace('/', escapes[0]).replace('+', escapes[1]).replace('=', escapes[2])
    };
    // Digits 62 and 63 in every place, and every length of the last group.
    for bytes in [&b"\xfb\xff\xbf\xfe\xfb\xef"[..], b"\xff\xff\xfe\xfb\xf0", b"\xfb\xef\xbe\xff"] {
        let metas = [
            STANDARD.encode_to_string(bytes),
            STANDARD_NO_PAD.encode_to_string(bytes),
            URL_SAFE.encode_to_string(bytes),
            URL_SAFE_NO_PAD.encode_to_string(bytes),
        ];
        let mut spellings: Vec<String> = Vec::new();
        for meta in &metas {
            spellings.push(escaped(meta, ["%2F", "%2B", "%3D"]));
            spellings.push(escaped(meta, ["%2f", "%2b", "%3d"]));
            spellings.push(escaped(meta, ["%2F", "+", "="]));
            spellings.push(meta.bytes().map(|byte| format!("%{byte:02X}")).collect());
        }
        for meta in spellings {
            let calls = story.emulator.calls();
            calls.clear();
            story.get(&meta).await;
            let get: GetTaskRequest = story.sent("GetTask");
            let category = get.task_category.unwrap();
            assert_eq!((&*category.name, category.version), ("bigquery_query_job_task", 0));
            let path = format!("/api/v1/agent/task_executions/{QUERY}/{meta}");
            story.gateway.send("DELETE", &path, &[], "").await;
            let delete: DeleteTaskRequest = story.sent("DeleteTask");
            story.gateway.get(&format!("{TASK}/metrics/{QUERY}/{meta}?queries=a&queries=b&step=60s")).await;
            let metrics: GetTaskMetricsRequest = story.sent("GetTaskMetrics");
            assert_eq!((metrics.queries.join(","), metrics.step.unwrap().seconds), ("a,b".to_owned(), 60));
            story.gateway.get(&format!("{TASK}/logs/{QUERY}/{meta}?lines=5&token=t%2B")).await;
            let logs: GetTaskLogsRequest = story.sent("GetTaskLogs");
            assert_eq!((logs.lines, &*logs.token), (5, "t+"));
            for found in [get.resource_meta, delete.resource_meta, metrics.resource_meta, logs.resource_meta]
            {
                assert_eq!(&found[..], bytes, "{meta}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_base64_never_leaves() {
    let story = Story::begin(|_| ()).await;
    for meta in ["a", "%20", "a%20b", "*", "ab=c", "====", "a===", "%C3%A9"] {
        let refused = story.get(meta).await;
        refused.refused(400, "INVALID_FIELD");
        assert_eq!(refused.fields(), ["resource_meta"], "{meta}");
    }
    let version = story.gateway.get(&format!("{TASK}/bigquery_query_job_task/first/aaaa")).await;
    version.refused(400, "INVALID_FIELD");
    assert_eq!(version.fields(), ["task_category.version"]);
    let unknown = story.gateway.get(&format!("{TASK}/{QUERY}/aaaa?output_prefx=x")).await;
    assert!(unknown.refused(400, "UNKNOWN_FIELD").contains("outputPrefix"), "{}", unknown.text());
    story.get("").await.refused(404, "ROUTE_NOT_FOUND");
    // A slash that is not escaped makes a longer path.
    assert_eq!(story.get("ab/cd").await.status, 404);
    assert!(story.emulator.calls().counts("*").is_empty());
}

#[tokio::test]
async fn a_traceback_is_told_in_one_line() {
    let story = Story::begin(|setup| setup.denied_projects.push("s3cr3t".to_owned())).await;
    let change = |pointer: &str, value: Value| {
        let mut task = task("SELECT 1");
        *task.pointer_mut(pointer).unwrap() = value;
        task
    };
    let cases = [
        (change("/template/custom", json!({"ProjectID": "p"})), "KeyError"),
        (change("/template/custom/ProjectID", json!(5)), "ValueError"),
        (change("/template/custom/ProjectID", json!("s3cr3t")), "google.api_core.exceptions.Forbidden"),
        (change("/template/sql", Value::Null), "AttributeError"),
        (change("/template/sql/statement", json!("")), "google.api_core.exceptions.BadRequest"),
    ];
    let mut answers = Vec::new();
    for (task, exception) in cases {
        answers.push((story.create(&task).await, exception));
    }
    for (meta, exception) in [
        ("not json", "json.decoder.JSONDecodeError"),
        (
            r#"{"job_id":"s3cr3t","project":"acme-data","location":"EU"}"#,
            "google.api_core.exceptions.NotFound",
        ),
        (r#"{"job_id":"s3cr3t"}"#, "TypeError"),
    ] {
        let meta = URL_SAFE_NO_PAD.encode_to_string(meta);
        answers.push((story.get(&meta).await, exception));
        let path = format!("/api/v1/agent/task_executions/{QUERY}/{meta}");
        answers.push((story.gateway.send("DELETE", &path, &[], "").await, exception));
    }
    for (answer, exception) in answers {
        let told = json!({"error": {
            "code": 500,
            "message": format!("Upstream `flyte` failed with {exception}. The log of the gateway has its words."),
            "status": "INTERNAL",
        }});
        assert_eq!((answer.status.as_u16(), answer.json()), (500, told));
        assert!(!answer.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn what_the_connector_says_in_one_line_passes() {
    let story = Story::begin(|_| ()).await;
    let meta = in_path(&story.query("SELECT 1").await);
    let nobody = story.gateway.get(&format!("{TASK}/nope/0/{meta}")).await;
    let error = &nobody.json()["error"];
    let told = "Cannot find connector for task type: nope.";
    assert_eq!((&error["status"], &error["message"]), (&json!("NOT_FOUND"), &json!(told)));
    for path in [format!("{TASK}/metrics/{QUERY}/{meta}"), format!("{TASK}/logs/{QUERY}/{meta}")] {
        let unable = story.gateway.get(&path).await;
        let error = &unable.json()["error"];
        assert_eq!((unable.status.as_u16(), &error["status"]), (500, &json!("UNKNOWN")));
        assert_eq!(error["message"], "Unexpected <class 'NotImplementedError'>: ");
    }
}

#[tokio::test]
async fn a_log_is_a_stream() {
    let story = Story::begin(|setup| setup.keeps_records = true).await;
    let meta = in_path(&story.query("SELECT 1").await);
    story.clock.advance(Duration::from_secs(30));
    let path = format!("{TASK}/logs/{QUERY}/{meta}");
    let whole = story.gateway.get(&path).await.json();
    assert_eq!(whole[0], json!({"header": {}}));
    let lines = whole[1]["body"]["structuredLines"].as_array().unwrap();
    let said = |line: &Value| (line["originator"].clone(), line["message"].clone());
    assert_eq!(said(&lines[0]), (json!("SYSTEM"), json!("created in EU")));
    assert_eq!(said(&lines[1]), (json!("USER"), json!("step 0")));
    assert_eq!(said(&lines[9]), (json!("SYSTEM"), json!("done")));

    let some = story
        .gateway
        .send("GET", &format!("{path}?lines=2"), &[("accept", "application/x-ndjson")], "")
        .await;
    let text = some.text();
    let (header, body) = text.split_once('\n').unwrap();
    assert_eq!(header, r#"{"header":{"token":"2"}}"#);
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["body"]["structuredLines"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn paths_that_look_alike_are_told_apart() {
    let story = Story::begin(|_| ()).await;
    let agents = story.gateway.get("/api/v1/agents").await;
    assert_eq!(agents.json()["agents"].as_array().unwrap().len(), 3);
    assert_eq!(agents.body, story.gateway.get("/flyte/api/v1/agents").await.body);
    let agent = story.gateway.get("/api/v1/agent/Bigquery%20Connector").await.json();
    assert_eq!(agent["agent"]["supportedTaskCategories"], json!([{"name": "bigquery_query_job_task"}]));
    // A connector may be called `task`, and a type of task `metrics`.
    let task = story.gateway.get(TASK).await.json();
    assert!(
        task["error"]["message"].as_str().unwrap().ends_with("Cannot find connector for name: task."),
        "{task}"
    );
    let metrics = story.gateway.get(&format!("{TASK}/metrics/0/aaaa")).await.json();
    assert_eq!(metrics["error"]["message"], "Cannot find connector for task type: metrics.");
    // Both sides of it stream.
    let sync = story.gateway.post("/api/v1/agent/task/stream", "{}").await;
    sync.refused(404, "ROUTE_NOT_FOUND");
}
