//! Whoever subscribed is told of every move of an operation, from its start to its end, whatever the end: each once, signed,
//! and with the operation as anybody can read it at that moment.

use std::collections::BTreeSet;

use super::{
    faces::{Company, DATABASES, OBJECT as EMULATED_OBJECT, TASKS},
    *,
};
use crate::webhooks::{Receiver, believed};

/// Bytes of a message that a receiver must be ready for.
const MESSAGE_BYTES_MAX: usize = 20 * 1024;

/// Receivers are made from what is published, and one so made refused the first event of each operation.
fn has_what_is_required(schema: &Value, body: &Value) {
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(body.get(name.as_str().unwrap()).is_some(), "{name} is missing in {body}");
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        body.get(name).into_iter().for_each(|value| has_what_is_required(inner, value));
    }
}

/// Somebody who listens to everything that is told of a project's operations.
struct Ear {
    receiver: Receiver,
    secret: String,
    project: String,
    /// What is published of the types of events.
    types: Value,
}

impl Ear {
    async fn at(gateway: &Gateway, project: &str) -> Self {
        let receiver = Receiver::listen().await;
        let wish =
            json!({"url": receiver.url(), "eventTypes": ["operation.*", "operation.progressed"]}).to_string();
        let made = gateway.post(&format!("/v1/projects/{project}/webhookEndpoints"), &wish).await;
        assert_eq!(made.status, 200, "{}", made.text());
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        let types = gateway.get("/v1/eventTypes").await.json()["eventTypes"].clone();
        Self { receiver, secret, project: project.to_owned(), types }
    }

    /// What was heard so far: each with its id and the operation that it is about, in the order in which it happened.
    fn heard(&self) -> Vec<(String, Value)> {
        let mut all: Vec<_> = (self.receiver.heard().iter())
            .map(|heard| {
                let id = heard.0["webhook-id"].to_str().unwrap().to_owned();
                assert!(heard.1.len() <= MESSAGE_BYTES_MAX, "{} bytes", heard.1.len());
                (id, believed(&self.secret, heard))
            })
            .collect();
        all.sort_by_key(|(_, body)| body["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
        all
    }

    /// Waits for the last of what is told about an operation, and returns all of it; it is `moves` and nothing else.
    async fn hears(&self, name: &str, moves: &[&str]) -> Vec<Value> {
        let about = |body: &Value| body["data"]["operation"]["name"] == name;
        let told = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                let told: Vec<_> =
                    self.heard().into_iter().map(|(_, body)| body).filter(|body| about(body)).collect();
                if told.len() >= moves.len() {
                    return told;
                }
                self.receiver.hears(self.receiver.heard().len() + 1).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{name}: {moves:?} in time, and not only {:?}", self.heard()));
        let kinds: Vec<_> = told.iter().map(|body| body["type"].as_str().unwrap()).collect();
        let moves: Vec<_> = moves.iter().map(|name| format!("operation.{name}")).collect();
        assert_eq!(kinds, moves, "{name}");
        for body in &told {
            let published = self.types.as_array().unwrap().iter().find(|known| {
                known["name"].as_str().unwrap().strip_prefix("eventTypes/") == body["type"].as_str()
            });
            has_what_is_required(&published.unwrap()["schema"], body);
        }
        told
    }

    /// Nothing was told twice, and nothing that is not on record; nothing on record was not told.
    async fn heard_what_is_kept(&self, gateway: &Gateway) {
        let kept = gateway.get(&format!("/v1/projects/{}/events?pageSize=500", self.project)).await.json();
        let kept: BTreeSet<String> = (kept["events"].as_array().unwrap().iter())
            .map(|event| event["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect();
        self.receiver.hears(kept.len()).await;
        let heard: Vec<String> = self.heard().into_iter().map(|(id, _)| id).collect();
        assert_eq!(heard.len(), kept.len(), "each once");
        assert_eq!(heard.into_iter().collect::<BTreeSet<_>>(), kept);
    }
}

/// A gateway that does not poll, a replica by hand that does, and who listens.
struct Scene {
    story: Story,
    gateway: Gateway,
    hand: Hand,
    ear: Ear,
}

impl Scene {
    async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for story in Story::each().await {
            let gateway = story.gateway().await;
            let hand = story.hand_with(&["operations.max_age=1h"]).await;
            let ear = Ear::at(&gateway, "p").await;
            all.push(Self { story, gateway, hand, ear });
        }
        all
    }

    /// Starts something, and returns the name of its operation.
    async fn start(&self, target: &str) -> String {
        let started = self.gateway.post(target, "{}").await;
        assert_eq!(started.status, 200, "{}", started.text());
        started.header("causeway-operation").to_owned()
    }

    async fn create(&self, id: &str) -> String {
        self.start(&format!("/v1/{PLACE}/streams?streamId={id}")).await
    }

    /// The operation as anybody reads it now.
    async fn shown(&self, name: &str) -> Value {
        let shown = self.gateway.get(&format!("/v1/{name}")).await;
        assert_eq!(shown.status, 200, "{}", shown.text());
        shown.json()
    }

    /// The replica looks, a minute later.
    async fn look(&self) {
        self.story.pass(61);
        self.hand.tick().await;
    }

    async fn cancel(&self, name: &str) {
        assert_eq!(self.gateway.post(&format!("/v1/{name}:cancel"), "{}").await.text(), "{}");
    }

    /// Takes down how the operation is shown, move by move, and compares that with what is told.
    async fn told(&self, name: &str, moves: &[&str], shown: &[Value]) {
        let told = self.ear.hears(name, moves).await;
        let told: Vec<_> = told.iter().map(|body| body["data"]["operation"].clone()).collect();
        assert_eq!(told, shown, "what is told is what is shown");
        self.ear.heard_what_is_kept(&self.gateway).await;
    }
}

fn done() -> Value {
    json!({"response": {"@type": "type.googleapis.com/google.cloud.datastream.v1.Stream", "displayName": "A"}})
}

#[tokio::test]
async fn a_result_is_told_step_by_step() {
    for scene in Scene::each().await {
        let name = scene.create("a").await;
        let mut shown = vec![scene.shown(&name).await];
        scene.story.far(|far| {
            let it = far.operations.get_mut(&format!("{PLACE}/operations/a")).unwrap();
            it["metadata"] = json!({
                "@type": "type.googleapis.com/google.spanner.admin.database.v1.OptimizeRestoredDatabaseMetadata",
                "name": format!("{PLACE}/streams/a"), "progress": {"progressPercent": 40},
            });
        });
        scene.look().await;
        shown.push(scene.shown(&name).await);
        scene.look().await;
        scene.story.far(|far| far.end("a", done()));
        scene.look().await;
        shown.push(scene.shown(&name).await);
        scene.look().await;
        assert_eq!(
            (
                &shown[1]["metadata"]["value"]["progressPercent"],
                &shown[2]["response"]["value"]["displayName"]
            ),
            (&json!(40), &json!("A"))
        );
        scene.told(&name, &["created", "progressed", "succeeded"], &shown).await;
    }
}

#[tokio::test]
async fn a_failure_is_told_with_its_words() {
    for scene in Scene::each().await {
        let name = scene.create("a").await;
        let mut shown = vec![scene.shown(&name).await];
        let reason = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NO_PUBLICATION"});
        let error = json!({"code": 9, "message": "there is no publication", "details": [reason]});
        scene.story.far(|far| far.end("a", json!({"error": error})));
        scene.look().await;
        shown.push(scene.shown(&name).await);
        assert_eq!(shown[1]["error"], error);
        scene.told(&name, &["created", "failed"], &shown).await;
    }
}

#[tokio::test]
async fn a_cancellation_is_told_when_it_is_asked_for_and_when_it_is_done() {
    for scene in Scene::each().await {
        let name = scene.create("a").await;
        let mut shown = vec![scene.shown(&name).await];
        scene.cancel(&name).await;
        shown.push(scene.shown(&name).await);
        scene.look().await;
        shown.push(scene.shown(&name).await);
        assert_eq!(shown[1]["metadata"]["value"]["state"], "CANCELLING");
        scene.told(&name, &["created", "progressed", "cancelled"], &shown).await;
    }
}

#[tokio::test]
async fn a_backfill_that_is_restarted_is_told_to_be_superseded_and_one_that_is_stopped_to_be_cancelled() {
    for scene in Scene::each().await {
        let show = |state: &str, began: &str| {
            let object = json!({"name": OBJECT, "backfillJob": {"state": state, "lastStartTime": began}});
            scene.story.far(|far| far.objects.insert(OBJECT.into(), object));
        };
        let start = format!("/v1/{OBJECT}:startBackfillJob");
        show("COMPLETED", "2026-01-01T00:00:00Z");
        let first = scene.start(&start).await;
        let mut firsts = vec![scene.shown(&first).await];
        show("ACTIVE", "2026-01-02T00:00:00Z");
        scene.look().await;
        firsts.push(scene.shown(&first).await);
        // Somebody starts it again behind our back, then somebody else through us.
        show("ACTIVE", "2026-01-03T00:00:00Z");
        scene.look().await;
        firsts.push(scene.shown(&first).await);
        scene.told(&first, &["created", "progressed", "superseded"], &firsts).await;
        let second = scene.start(&start).await;
        let mut seconds = vec![scene.shown(&second).await];
        scene.cancel(&second).await;
        seconds.push(scene.shown(&second).await);
        show("STOPPED", "2026-01-03T00:00:00Z");
        scene.look().await;
        seconds.push(scene.shown(&second).await);
        scene.told(&second, &["created", "progressed", "cancelled"], &seconds).await;
    }
}

#[tokio::test]
async fn what_nobody_can_follow_to_its_end_is_told_to_be_lost_unsupported_or_unknown() {
    for scene in Scene::each().await {
        let theirs = format!("{PLACE}/operations/lost");
        let lost = scene.create("lost").await;
        let mut shown = vec![scene.shown(&lost).await];
        scene.story.far(|far| far.operations.remove(&theirs));
        scene.look().await;
        scene.look().await;
        shown.push(scene.shown(&lost).await);
        assert_eq!(shown[1]["error"]["code"], 5);
        scene.told(&lost, &["created", "lost"], &shown).await;

        let unknown = scene.create("unknown").await;
        let mut shown = vec![scene.shown(&unknown).await];
        scene.story.pass(3600);
        scene.look().await;
        shown.push(scene.shown(&unknown).await);
        scene.told(&unknown, &["created", "unknown"], &shown).await;
    }
}

#[tokio::test]
async fn what_an_upstream_cannot_tell_about_is_told_to_be_unsupported() {
    for scene in Scene::each().await {
        let name = scene.create("a").await;
        let mut shown = vec![scene.shown(&name).await];
        scene.story.far(|far| far.moods.insert("GetOperation".into(), (12, Vec::new())));
        scene.look().await;
        shown.push(scene.shown(&name).await);
        scene.told(&name, &["created", "unsupported"], &shown).await;
    }
}

/// The first of these is kept with its event, the second is not.
#[tokio::test]
async fn what_is_too_large_is_left_out_and_found_behind_the_link() {
    for scene in Scene::each().await {
        for (id, size) in [("large", 30_000), ("larger", 100_000)] {
            let name = scene.create(id).await;
            let mut result = done();
            result["response"]["displayName"] = "x".repeat(size).into();
            scene.story.far(|far| far.end(id, result));
            scene.look().await;
            let told = scene.ear.hears(&name, &["created", "succeeded"]).await;
            let data = &told[1]["data"];
            assert_eq!(data["link"], format!("/v1/{name}"), "{data}");
            let omitted: Vec<_> = data["omitted"].as_array().unwrap().iter().collect();
            assert!(omitted.contains(&&json!("operation.response")), "{data}");
            let mut shown = scene.gateway.get(data["link"].as_str().unwrap()).await.json();
            assert_eq!(shown["response"]["value"]["displayName"].as_str().unwrap().len(), size);
            shown.as_object_mut().unwrap().remove("response");
            let metadata = shown["metadata"]["value"].as_object_mut().unwrap();
            if omitted.contains(&&json!("operation.metadata.value.upstreamMetadata")) {
                metadata.remove("upstreamMetadata");
            }
            assert_eq!(data["operation"], shown, "the rest is told");
        }
        let name = scene.create("wide").await;
        scene.story.far(|far| {
            let it = far.operations.get_mut(&format!("{PLACE}/operations/wide")).unwrap();
            it["metadata"]["verb"] = "x".repeat(30_000).into();
            far.end("wide", json!({"error": {"code": 9, "message": "too wide"}}));
        });
        scene.look().await;
        let data = scene.ear.hears(&name, &["created", "failed"]).await[1]["data"].clone();
        assert_eq!(data["omitted"], json!(["operation.metadata.value.upstreamMetadata"]), "{data}");
        assert_eq!(data["operation"]["error"]["message"], "too wide");
        scene.ear.heard_what_is_kept(&scene.gateway).await;
    }
}

#[tokio::test]
async fn all_systems_are_told_of_by_a_gateway_that_looks_after_them_itself() {
    for company in Company::each().await {
        let (gateway, ear) = (&company.gateway, Ear::at(&company.gateway, "acme-data").await);
        let query = json!({"query": "SELECT 1"});
        // Who wants to know of queries only.
        let (quiet, place) = (Receiver::listen().await, "/v1/projects/acme-data/webhookEndpoints");
        let wish = json!({"url": quiet.url(), "kinds": ["FLYTE_TASK"], "eventTypes": ["operation.*"]});
        assert_eq!(gateway.post(place, &wish.to_string()).await.status, 200);
        let ends = [
            (company.start(&format!("{EMULATED_OBJECT}:startBackfillJob"), &json!({})).await, "succeeded"),
            (
                company.start(DATABASES, &json!({"createStatement": "CREATE DATABASE second"})).await,
                "succeeded",
            ),
            (company.start(TASKS, &query).await, "succeeded"),
            // What is stopped is a failure in the words of the connector.
            (company.start(TASKS, &query).await, "cancelled"),
        ];
        let stopped = gateway.post(&format!("/v1/{}:cancel", ends[3].0), "{}").await;
        assert_eq!(stopped.status, 200, "{}", stopped.text());
        company.clock.advance(Duration::from_secs(3600));
        for (name, end) in &ends {
            let waited = gateway.post(&format!("/v1/{name}:wait"), r#"{"timeout":"30s"}"#).await.json();
            assert_eq!(waited["metadata"]["value"]["state"], end.to_uppercase(), "{waited}");
            let version = |told: &Value| told["data"]["operation"]["metadata"]["value"]["updateTime"].clone();
            let kept = gateway.get("/v1/projects/acme-data/events?pageSize=500").await.json();
            let mut kept = kept["events"].as_array().unwrap().clone();
            kept.retain(|event| event["data"]["operation"]["name"] == **name);
            kept.sort_by_key(|event| event["name"].as_str().unwrap().to_owned());
            let moves: Vec<_> = kept.iter().map(|event| event["type"].as_str().unwrap()).collect();
            // How far it had come when somebody looked depends on when that was.
            let [first, between @ .., last] = moves.as_slice() else { panic!("{moves:?}") };
            assert_eq!((*first, *last), ("operation.created", &*format!("operation.{end}")));
            assert!(between.iter().all(|it| *it == "operation.progressed"), "{moves:?}");
            let moves: Vec<_> = moves.iter().map(|it| &it["operation.".len()..]).collect();
            let told = ear.hears(name, &moves).await;
            assert_eq!(
                told.iter().map(version).collect::<Vec<_>>(),
                kept.iter().map(version).collect::<Vec<_>>()
            );
            assert_eq!(told.last().unwrap()["data"]["operation"], waited);
        }
        ear.heard_what_is_kept(gateway).await;
        for (_, body) in quiet.hears(4).await {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["data"]["operation"]["metadata"]["value"]["kind"], "FLYTE_TASK");
        }
        assert_eq!(quiet.heard().len(), 4, "two queries, with begin and end");
        for upstream in ["bigqueryconnection", "datastream", "flyte", "spanner"] {
            let series = format!(r#"causeway_operations_oldest_due_seconds{{upstream="{upstream}"}}"#);
            assert!(gateway.metric(&series).await.is_some_and(|waiting| waiting >= 0.0), "{series}");
        }
    }
}
