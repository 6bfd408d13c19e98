//! Queries through Flyte's connector, as tasks.

use std::{sync::Arc, time::Duration};

use causeway::{
    clock::{Clock as _, ManualClock, SystemClock},
    emulator::{Emulator, Scenario, Upstream},
};
use serde_json::{Value, json};

use crate::harness::{Database, Gateway, Response};

const TASKS: &str = "/v1/projects/acme-data/locations/EU/tasks";
const JSON: (&str, &str) = ("content-type", "application/json");

struct Story {
    emulator: Emulator,
    gateway: Gateway,
    clock: Arc<ManualClock>,
    _database: Database,
}

impl Story {
    async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for database in Database::each().await {
            let clock = Arc::new(ManualClock::new(SystemClock.now()));
            let scenario = Scenario::sample(clock.now());
            let emulator = Emulator::start_on_loopback(scenario, clock.clone()).await.unwrap();
            let endpoint = emulator.endpoint(Upstream::Flyte).unwrap();
            let settings = [
                format!("upstreams.flyte.endpoint={endpoint}"),
                database.setting(),
                format!("secrets.key={}", "A".repeat(43) + "="),
            ];
            let gateway = Gateway::start(&settings).await;
            all.push(Self { emulator, gateway, clock, _database: database });
        }
        all
    }

    async fn create(&self, key: &str, body: &Value) -> Response {
        self.gateway.send("POST", TASKS, &[JSON, ("idempotency-key", key)], body.to_string()).await
    }

    async fn ended(&self, name: &Value) -> Value {
        let path = format!("/v1/{}:wait", name.as_str().unwrap());
        let answer = self.gateway.post(&path, r#"{"timeout":"30s"}"#).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    fn started(&self) -> u64 {
        self.emulator.calls().count("flyteidl.service.AsyncAgentService/CreateTask")
    }
}

fn query(sql: &str) -> Value {
    json!({"query": sql, "labels": {"team": "sales"}})
}

#[tokio::test]
async fn a_query_is_an_operation_that_ends_with_its_rows() {
    for story in Story::each().await {
        let started = story.create("one", &query("SELECT country FROM shop.orders")).await;
        assert_eq!(started.status, 200, "{}", started.text());
        let operation = started.json();
        assert_eq!(operation["name"], started.header("causeway-operation"));
        let again = story.create("one", &query("SELECT country FROM shop.orders")).await;
        assert_eq!((again.json()["name"].clone(), story.started()), (operation["name"].clone(), 1));
        assert_eq!(again.header("idempotency-replayed"), "true");
        story.create("one", &query("SELECT 2")).await.refused(422, "IDEMPOTENCY_MISMATCH");

        let task = operation["metadata"]["value"]["target"].as_str().unwrap().to_owned();
        let shown = story.gateway.get(&format!("/v1/{task}")).await.json();
        assert_eq!(
            (&shown["name"], &shown["labels"], &shown["project"]),
            (&json!(task), &json!({"team": "sales"}), &json!("acme-data"))
        );
        assert!(
            !shown.to_string().contains("resourceMeta") && !shown.to_string().contains("job_id"),
            "{shown}"
        );
        story.clock.advance(Duration::from_secs(60));
        let done = story.ended(&operation["name"]).await;
        let response = &done["response"]["value"];
        assert_eq!(done["done"], true, "{done}");
        assert!(response["outputs"]["results"].as_str().unwrap().starts_with("bq://acme-data:"), "{done}");
        assert_eq!(response["logLinks"][0]["name"], "BigQuery Console");
        let listed = story.gateway.get(TASKS).await.json();
        assert_eq!(listed["tasks"][0]["state"], "SUCCEEDED", "{listed}");
        assert_eq!(
            story.gateway.get("/v1/projects/acme-data/locations/US/tasks").await.json(),
            json!({"tasks": []})
        );
        story
            .gateway
            .get(&format!("/v1/{}", task.replace("/EU/", "/US/")))
            .await
            .refused(404, "RESOURCE_NOT_FOUND");
        for part in ["metrics", "logs"] {
            let answer = story.gateway.get(&format!("/v1/{task}:{part}")).await;
            assert_eq!(answer.status, 501, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_task_that_is_deleted_is_cancelled() {
    for story in Story::each().await {
        let operation = story.create("one", &query("SELECT 1")).await.json();
        let task = operation["metadata"]["value"]["target"].as_str().unwrap();
        assert_eq!(story.gateway.send("DELETE", &format!("/v1/{task}"), &[], "").await.text(), "{}");
        story.clock.advance(Duration::from_secs(60));
        let done = story.ended(&operation["name"]).await;
        assert_eq!(done["error"]["code"], 1, "{done}");
    }
}

#[tokio::test]
async fn what_cannot_be_passed_on_is_refused_before_anything_is_sent() {
    for story in Story::each().await {
        for (body, field) in [
            (json!({}), "query"),
            (json!({"query": "SELECT 1", "resourceMeta": "e30="}), "resourceMeta"),
            (
                json!({"query": "SELECT 1", "parameters": {"a": {"type": "ARRAY", "value": [1]}}}),
                "parameters.a.type",
            ),
            (json!({"query": "SELECT 1", "parameters": {"a": 1}}), "parameters.a"),
            (json!({"query": "SELECT 1", "labels": {"a": 1}}), "labels.a"),
            (json!({"query": "SELECT 1", "taskTypeVersion": -1}), "taskTypeVersion"),
        ] {
            let refused = story.gateway.post(TASKS, &body.to_string()).await;
            assert_eq!(
                (refused.status.as_u16(), refused.fields()),
                (400, vec![field.to_owned()]),
                "{}",
                refused.text()
            );
        }
        assert_eq!(story.started(), 0);
    }
}

#[tokio::test]
async fn what_the_connector_refuses_is_told_to_whoever_can_mend_it() {
    for story in Story::each().await {
        let parameters = json!({"p": {"type": "BYTES", "value": "AAEC"}});
        for key in ["one", "one", "two"] {
            let refused = story.create(key, &json!({"query": "SELECT @p", "parameters": parameters})).await;
            assert_eq!(refused.status, 400, "{}", refused.text());
            assert!(refused.text().contains("BYTES") && !refused.text().contains("Traceback"));
        }
        let refused = story.gateway.get("/v1/projects/acme-data/operations").await.json();
        assert_eq!(refused, json!({"operations": []}), "nothing was started");
    }
}

/// SQLite took one place for the other.
#[tokio::test]
async fn a_place_in_small_letters_is_another_place() {
    for story in Story::each().await {
        assert_eq!(story.create("k", &query("SELECT 1")).await.status, 200);
        assert_eq!(story.gateway.get(TASKS).await.json()["tasks"].as_array().unwrap().len(), 1);
        let other = story.gateway.get("/v1/projects/acme-data/locations/eu/tasks").await;
        assert_eq!(other.json(), json!({"tasks": []}));
        let found = async |target: &str| {
            let list =
                story.gateway.get(&format!("/v1/operations?filter=target:%22{target}%22")).await.json();
            list["operations"].as_array().map_or(0, Vec::len)
        };
        assert_eq!((found("/EU/tasks").await, found("/eu/tasks").await, found("/E_/tasks").await), (1, 0, 0));
    }
}
