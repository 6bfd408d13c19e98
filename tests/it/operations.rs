//! What takes long: recorded when it starts, followed whoever lives on, and told once when it ends.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use causeway::{
    app,
    cache::PageCache,
    clock::{Clock as _, ManualClock, SystemClock},
    config::{Config, RedisTls, RedisUrl, Sources as Settings},
    crypto::{Keys, Purpose},
    identity::keys::Keys as ApiKeys,
    kv::Kv,
    model::{Entry, EventKind, Operation, Role, State},
    operations::{Desk, Observation, Poller, Recovery, Sighting, Sources, Tick, Tracker, Waiters},
    store::{
        Store,
        journal::Orphan,
        operations::{Page, Room},
        time_ordered,
    },
    transcode::Transcoder,
    upstream::Upstreams,
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Answer, Cluster, Database, Gateway, Redis, Scripted, make_key},
    webhooks::REACH,
};

mod faces;
mod faults;
mod rpc;
mod told;

const PLACE: &str = "projects/p/locations/us";
const OBJECT: &str = "projects/p/locations/us/streams/s/objects/o";

/// What an upstream says that was made to wait: a message, or a code with words.
type Told = Result<Value, (i32, &'static str)>;

/// What the upstream has: operations and objects by name, and how it feels today.
#[derive(Default)]
struct Far {
    operations: BTreeMap<String, Value>,
    objects: HashMap<String, Value>,
    /// By the last part of a method's name: what it is refused with.
    moods: HashMap<String, (i32, Vec<u8>)>,
    calls: HashMap<String, usize>,
    /// By the last part of a method's name: what its next answer waits for.
    held: HashMap<String, tokio::sync::mpsc::Receiver<Told>>,
}

impl Far {
    fn begin(&mut self, id: &str) -> Value {
        let name = format!("{PLACE}/operations/{id}");
        let it = json!({"name": name, "metadata": {
            "@type": "type.googleapis.com/google.cloud.datastream.v1.OperationMetadata",
            "createTime": SystemClock.now().to_string(), "target": format!("{PLACE}/streams/{id}"), "verb": "create",
        }});
        self.operations.insert(name, it.clone());
        it
    }

    fn end(&mut self, id: &str, result: Value) {
        let it = self.operations.get_mut(&format!("{PLACE}/operations/{id}")).unwrap();
        it["done"] = true.into();
        if let (Some(it), Value::Object(result)) = (it.as_object_mut(), result) {
            it.extend(result);
        }
    }

    fn answer(&mut self, method: &str, request: &Value) -> Answer {
        let method = method.rsplit('.').next().unwrap();
        *self.calls.entry(method.to_owned()).or_default() += 1;
        if let Some((code, details)) = self.moods.get(method) {
            return Answer::Refuse(*code, "not in the mood", details.clone());
        }
        if let Some(held) = self.held.remove(method) {
            if method == "CreateStream" {
                self.begin(request["streamId"].as_str().unwrap());
            }
            return Answer::Stream(held);
        }
        let name = request["name"].as_str().or(request["object"].as_str()).unwrap_or_default();
        let missing = || Answer::Refuse(5, "there is no such thing", Vec::new());
        let object = |far: &Self| far.objects.get(name).cloned();
        match method {
            "CreateStream" => Answer::Message(self.begin(request["streamId"].as_str().unwrap())),
            "GetOperation" => self.operations.get(name).cloned().map_or_else(missing, Answer::Message),
            "ListOperations" => {
                // Some services call the list itself by its name.
                let prefix = format!("{}/operations/", name.trim_end_matches("/operations"));
                let open = request["filter"] == "done:false";
                let all = self.operations.values().filter(|it| {
                    it["name"].as_str().unwrap().starts_with(&prefix) && !(open && it["done"] == true)
                });
                Answer::Message(json!({"operations": all.collect::<Vec<_>>()}))
            }
            "CancelOperation" => {
                let id = name.rsplit('/').next().unwrap().to_owned();
                self.end(&id, json!({"error": {"code": 1, "message": "cancelled"}}));
                Answer::Message(json!({}))
            }
            "DeleteOperation" => {
                self.operations.remove(name);
                Answer::Message(json!({}))
            }
            "GetStreamObject" => object(self).map_or_else(missing, Answer::Message),
            "StartBackfillJob" | "StopBackfillJob" => {
                object(self).map_or_else(missing, |object| Answer::Message(json!({"object": object})))
            }
            "ListStreamObjects" => {
                Answer::Message(json!({"streamObjects": self.objects.values().collect::<Vec<_>>()}))
            }
            other => panic!("the story knows no {other}"),
        }
    }
}

/// One upstream, one database, one clock.
struct Story {
    far: Arc<Mutex<Far>>,
    upstream: Scripted,
    database: Database,
    clock: Arc<ManualClock>,
}

/// A replica whose ticks are in the story's hands.
struct Hand {
    store: Store,
    poller: Poller,
    desk: Desk,
    recovery: Recovery,
}

impl Story {
    async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for database in Database::each().await {
            let far = Arc::new(Mutex::new(Far::default()));
            let seen = far.clone();
            let upstream =
                Scripted::start(move |call| seen.lock().unwrap().answer(&call.method, &call.request)).await;
            all.push(Self { far, upstream, database, clock: Arc::new(ManualClock::new(SystemClock.now())) });
        }
        all
    }

    fn settings(&self) -> Vec<String> {
        vec![
            self.database.setting(),
            format!("secrets.key={}", "A".repeat(43) + "="),
            format!("upstreams.datastream.endpoint=http://{}", self.upstream.address),
            "upstreams.datastream.retry.attempts=1".to_owned(),
            "operations.poll=false".to_owned(),
        ]
        .into_iter()
        .chain(REACH.map(str::to_owned))
        .collect()
    }

    async fn hand(&self) -> Hand {
        self.hand_with(&[]).await
    }

    async fn hand_with(&self, more: &[&str]) -> Hand {
        let mut set = self.settings();
        set.push("identity.mode=none".to_owned());
        set.extend(more.iter().map(|setting| (*setting).to_owned()));
        let config = Config::load(Settings { set, ..Settings::default() })
            .into_config()
            .unwrap_or_else(|problems| panic!("{problems}"));
        let catalog = app::catalog(&config).unwrap();
        let store = Store::open(&config.database, self.clock.clone()).await.unwrap();
        let transcoder = Transcoder::new(&catalog.pool);
        let upstreams = Upstreams::build(&config.upstreams, |_| Vec::new()).unwrap();
        let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::ResourceMeta);
        let tags = Keys::new(&[7; 32], &[]).mac(Purpose::CachedPage);
        let (pages, _) =
            PageCache::new(&config.cache, None, tags, self.clock.clone(), CancellationToken::new());
        let sources = Arc::new(Sources::new(transcoder.clone(), sealer));
        let tracker =
            Tracker::new(store.clone(), sources, Waiters::new(store.clone(), None), &catalog, pages);
        Hand {
            poller: Poller::new(tracker.clone(), &upstreams, &config.upstreams, &config.operations),
            desk: Desk::new(tracker.clone(), upstreams.clone()),
            recovery: Recovery::new(tracker, upstreams, transcoder, &catalog),
            store,
        }
    }

    async fn gateway(&self) -> Gateway {
        Gateway::start(&self.settings()).await
    }

    fn far<T>(&self, f: impl FnOnce(&mut Far) -> T) -> T {
        f(&mut self.far.lock().unwrap())
    }

    fn calls(&self, method: &str) -> usize {
        self.far(|far| far.calls.get(method).copied().unwrap_or_default())
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Hand {
    async fn track(&self, story: &Story, id: &str) -> Operation {
        story.far(|far| far.begin(id));
        self.desk.track("datastream", &format!("{PLACE}/operations/{id}"), "alice", None).await.unwrap()
    }

    async fn tick(&self) -> Tick {
        self.poller.tick().await.unwrap()
    }

    async fn state(&self, it: &Operation) -> State {
        self.desk.get(&it.name()).await.unwrap().state
    }

    async fn told(&self, it: &Operation) -> Vec<EventKind> {
        self.store.events_of(it.id).await.unwrap().into_iter().map(|event| event.kind).collect()
    }
}

#[tokio::test]
async fn what_is_started_is_recorded_followed_and_remembered() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let started = gateway.post(&format!("/v1/{PLACE}/streams?streamId=a"), "{}").await;
        assert_eq!(started.status, 200, "{}", started.text());
        let theirs = format!("/v1/{PLACE}/operations/a");
        assert_eq!(started.json()["name"], theirs[4..], "the body is the upstream's");
        let name = started.header("causeway-operation").to_owned();
        assert!(name.starts_with("projects/p/operations/"), "{name:?}");
        let ours = format!("/v1/{name}");

        let shown = gateway.get(&ours).await.json();
        assert_eq!((&shown["name"], &shown["done"]), (&json!(name), &Value::Null), "{shown}");
        let metadata = &shown["metadata"]["value"];
        assert_eq!(shown["metadata"]["@type"], "type.googleapis.com/google.protobuf.Struct");
        assert_eq!(metadata["upstreamName"], theirs[4..]);
        assert_eq!(
            (&metadata["state"], &metadata["kind"], &metadata["target"]),
            (&json!("RUNNING"), &json!("GOOGLE_LRO"), &json!(format!("{PLACE}/streams/a")))
        );
        let open =
            gateway.get("/v1/operations?filter=done%3Dfalse%20AND%20target%3A%22streams/a%22").await.json();
        assert_eq!(open["operations"], json!([shown]));
        let about = format!("resourceNames%3D%22{PLACE}/streams/a%22");
        let log = gateway.get(&format!("/v1/auditEntries?filter={about}")).await.json();
        let made = "google.cloud.datastream.v1.Datastream.CreateStream";
        assert_eq!(log["auditEntries"][0]["method"], made, "by the name of what its operation makes: {log}");

        story.far(|far| {
            let stream =
                json!({"@type": "type.googleapis.com/google.cloud.datastream.v1.Stream", "displayName": "A"});
            far.end("a", json!({"response": stream}));
        });
        story.pass(10);
        assert_eq!(hand.tick().await.changed, 1);
        let shown = gateway.get(&ours).await.json();
        assert_eq!(shown["done"], true);
        assert_eq!(shown["response"]["@type"], "type.googleapis.com/google.protobuf.Struct");
        assert_eq!(
            shown["response"]["value"],
            json!({"@type": "type.googleapis.com/google.cloud.datastream.v1.Stream", "displayName": "A"})
        );
        let it = hand.desk.get(&name).await.unwrap();
        assert_eq!(hand.told(&it).await, [EventKind::Created, EventKind::Succeeded]);

        let seen = gateway.get(&theirs).await.json();
        story.far(|far| far.operations.clear());
        assert_eq!(gateway.get(&theirs).await.json(), seen, "what the upstream forgot is remembered here");
        assert_eq!(gateway.send("DELETE", &ours, &[], "").await.text(), "{}");
        assert_eq!(gateway.get(&ours).await.status, 404);
        assert_eq!(gateway.get(&theirs).await.status, 404, "unless it was deleted here");
    }
}

/// Whoever looks after operations has no headers of callers: what an upstream shows by these was called lost.
#[tokio::test]
async fn what_may_be_hidden_from_the_gateway_is_not_called_lost() {
    for story in Story::each().await {
        let hand = story.hand_with(&["upstreams.datastream.forward_headers=[\"x-tenant\"]"]).await;
        let it = hand.track(&story, "a").await;
        story.far(|far| far.operations.clear());
        story.pass(600);
        hand.tick().await;
        assert_eq!(hand.state(&it).await, State::Running);
        let shown = hand.desk.get(&it.name()).await.unwrap();
        assert_eq!(shown.problem, "The gateway may not look at it.");
    }
}

/// What one tenant had seen was shown to another from the record, and deleted there for both.
#[tokio::test]
async fn what_may_be_hidden_from_a_caller_is_not_shown_from_the_record() {
    for story in Story::each().await {
        let tenants = "upstreams.datastream.forward_headers=[\"x-tenant\"]";
        let gateway = Gateway::start(&[story.settings(), vec![tenants.to_owned()]].concat()).await;
        let hand = story.hand_with(&[tenants]).await;
        let it = hand.track(&story, "a").await;
        story.far(|far| far.end("a", json!({"error": {"code": 10, "message": "taken"}})));
        story.pass(10);
        hand.tick().await;
        assert_eq!(hand.state(&it).await, State::Failed);
        story.far(|far| {
            far.operations.clear();
            far.moods.insert("DeleteOperation".to_owned(), (5, Vec::new()));
        });
        let theirs = format!("/v1/{PLACE}/operations/a");
        for verb in ["GET", "DELETE"] {
            assert_eq!(gateway.send(verb, &theirs, &[], "").await.status, 404, "{verb}");
        }
        assert_eq!(hand.state(&it).await, State::Failed, "it is on record still");
    }
}

/// Where no process polled, none was ever forgotten.
#[tokio::test]
async fn what_ended_long_ago_is_forgotten_also_where_nothing_is_polled() {
    for story in Story::each().await {
        let hand = story.hand().await;
        let it = hand.track(&story, "a").await;
        story.far(|far| far.end("a", json!({"error": {"code": 10, "message": "taken"}})));
        story.pass(10);
        assert_eq!(hand.tick().await.changed, 1);
        story.database.execute("UPDATE operations SET ended_at = 1").await;
        let gateway = story.gateway().await;
        tokio::time::timeout(Duration::from_secs(20), async {
            while gateway.get(&format!("/v1/{}", it.name())).await.status == 200 {}
        })
        .await
        .expect("it goes");
    }
}

/// The second answer named an operation that there never was.
#[tokio::test]
async fn a_repetition_names_the_operation_that_is_on_record() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let create = format!("/v1/{PLACE}/streams?streamId=a&requestId=7a4e1b52-8d5f-4a52-9a0e-0c3a1d9f6b11");
        let first = gateway.post(&create, "{}").await.header("causeway-operation").to_owned();
        let again = gateway.post(&create, "{}").await;
        assert_eq!((again.status.as_u16(), again.header("causeway-operation")), (200, &*first));
        assert_eq!(gateway.get(&format!("/v1/{first}")).await.status, 200);
        let it = hand.desk.get(&first).await.unwrap();
        assert_eq!(hand.told(&it).await, [EventKind::Created], "and that is told once");
        let entries = gateway.get("/v1/auditEntries?filter=httpStatus%20%3D%20200").await.json();
        let named = |entry: &&Value| entry["operation"] == *first;
        assert_eq!(entries["auditEntries"].as_array().unwrap().iter().filter(named).count(), 2, "{entries}");
        assert_eq!(gateway.send("DELETE", &format!("/v1/{first}"), &[], "").await.status, 200);
        let deleted = gateway.post(&create, "{}").await;
        assert_eq!(
            (deleted.status.as_u16(), deleted.header("causeway-operation")),
            (200, ""),
            "forgotten here"
        );
    }
}

#[tokio::test]
async fn a_replica_that_dies_or_sleeps_changes_nothing() {
    for story in Story::each().await {
        let (a, b) = (story.hand().await, story.hand().await);
        let it = a.track(&story, "a").await;
        story.pass(10);
        // The first one claims and dies.
        let claimed = a.store.claim_operations("datastream", Room { questions: 8, rows: 10 }).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!(b.tick().await, Tick::default(), "it is somebody else's");
        story.pass(31);
        story.far(|far| {
            far.end(
                "a",
                json!({"response": {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}}),
            );
        });
        assert_eq!(b.tick().await.changed, 1, "within one lease it is found again");
        // The first one wakes up, with an answer from before.
        let now = a.store.now().as_microsecond();
        let late = Sighting::of(Observation::Failed).with_error(2, "late").apply(&claimed[0], now);
        assert_eq!(a.store.write_claimed(&[late]).await.unwrap(), 1, "a zombie writes nothing");
        assert_eq!(a.state(&it).await, State::Succeeded);
        assert_eq!(a.told(&it).await, [EventKind::Created, EventKind::Succeeded]);
        story.far(|far| far.begin("a"));
        story.pass(3600);
        assert_eq!((a.tick().await.claimed, a.state(&it).await), (0, State::Succeeded), "done stays done");
    }
}

/// It stayed as it was, and nothing was said of it.
#[tokio::test]
async fn why_nothing_is_known_of_an_operation_is_said_until_something_is() {
    for story in Story::each().await {
        let hand = story.hand().await;
        let it = hand.track(&story, "a").await;
        let problem = async || hand.desk.get(&it.name()).await.unwrap().problem;
        story.far(|far| far.moods.insert("GetOperation".into(), (13, Vec::new())));
        for _ in 0..4 {
            story.pass(100);
            hand.tick().await;
            assert_eq!(problem().await, "", "it may be better in a moment");
        }
        story.pass(100);
        assert_eq!(hand.tick().await.changed, 1);
        assert_eq!(problem().await, "The upstream answers INTERNAL when it is asked about it.");
        story.pass(100);
        assert_eq!(hand.tick().await.changed, 0, "it is the same as before");
        assert_eq!(hand.state(&it).await, State::Running, "nobody knows, so nothing is claimed");
        story.far(|far| far.moods.clear());
        story.pass(100);
        hand.tick().await;
        assert_eq!((problem().await, hand.state(&it).await), (String::new(), State::Running));
    }
}

#[tokio::test]
async fn two_pollers_tell_an_end_once() {
    for story in Story::each().await {
        let (a, b) = (story.hand().await, story.hand().await);
        let mut all = Vec::new();
        for n in 0..20 {
            all.push(a.track(&story, &n.to_string()).await);
        }
        story.far(|far| (0..20).for_each(|n| far.end(&n.to_string(), json!({}))));
        for _ in 0..12 {
            story.pass(10);
            let (x, y) = tokio::join!(a.tick(), b.tick());
            assert_eq!(x.fenced + y.fenced, 0);
        }
        for it in &all {
            assert_eq!(
                a.told(it).await,
                [EventKind::Created, EventKind::Succeeded],
                "done without a result is done"
            );
        }
    }
}

#[tokio::test]
async fn what_is_due_together_is_listed_and_what_is_absent_is_asked_for() {
    for story in Story::each().await {
        let hand = story.hand().await;
        let mut all = Vec::new();
        for n in 0..10 {
            all.push(hand.track(&story, &n.to_string()).await);
        }
        let before = story.calls("GetOperation");
        story.pass(20);
        let tick = hand.tick().await;
        assert_eq!((tick.claimed, tick.calls), (10, 1));
        story.far(|far| far.end("3", json!({"error": {"code": 9, "message": "no"}})));
        story.pass(60);
        let tick = hand.tick().await;
        assert_eq!((tick.claimed, tick.calls, tick.changed), (10, 2, 1));
        assert_eq!((story.calls("ListOperations"), story.calls("GetOperation") - before), (2, 1));
        assert_eq!(hand.state(&all[3]).await, State::Failed);
        // Lists stop working: the upstream says it has none.
        story.far(|far| far.moods.insert("ListOperations".into(), (12, Vec::new())));
        story.pass(60);
        assert_eq!(hand.tick().await.calls, 10, "one list in vain, then each by itself");
        story.pass(60);
        assert_eq!(hand.tick().await.calls, 9, "and no list any more");
    }
}

#[tokio::test]
async fn an_upstream_in_trouble_ends_nothing() {
    for story in Story::each().await {
        let hand = story.hand().await;
        let it = hand.track(&story, "a").await;
        let mood = |code, details| story.far(|far| far.moods.insert("GetOperation".into(), (code, details)));
        for code in [14, 13, 4, 2] {
            mood(code, Vec::new());
            story.pass(120);
            assert_eq!(hand.tick().await.calls, 1, "{code}");
            assert_eq!(hand.state(&it).await, State::Running, "{code}");
        }
        mood(7, Vec::new());
        story.pass(120);
        hand.tick().await;
        story.pass(120);
        assert_eq!(hand.tick().await.calls, 0, "who may not look looks seldom");
        story.pass(300);
        assert_eq!(hand.tick().await.calls, 1);
        assert_eq!(hand.desk.get(&it.name()).await.unwrap().problem, "The gateway may not look at it.");
        // Too much: wait as long as it says.
        use prost::Message as _;
        let delay = prost_types::Duration { seconds: 500, nanos: 0 };
        let info = causeway::pb::google::rpc::RetryInfo { retry_delay: Some(delay) };
        let any = prost_types::Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        };
        let status =
            causeway::pb::google::rpc::Status { code: 8, message: "slowly".into(), details: vec![any] };
        mood(8, status.encode_to_vec());
        story.pass(400);
        assert_eq!(hand.tick().await.calls, 1);
        story.far(|far| far.moods.clear());
        story.pass(300);
        assert_eq!(hand.tick().await.calls, 0);
        story.pass(400);
        assert_eq!(hand.tick().await.calls, 1);
        assert_eq!((hand.state(&it).await, hand.told(&it).await.len()), (State::Running, 1));
    }
}

#[tokio::test]
async fn what_is_gone_unsupported_or_too_old_comes_to_an_end() {
    for story in Story::each().await {
        let hand = story.hand_with(&["operations.max_age=1h"]).await;
        let (young, old) = (hand.track(&story, "a").await, hand.track(&story, "b").await);
        story.far(|far| far.operations.remove(&format!("{PLACE}/operations/a")));
        story.pass(10);
        hand.tick().await;
        assert_eq!(hand.state(&young).await, State::Running, "it may only not be there yet");
        story.pass(61);
        hand.tick().await;
        let lost = hand.desk.get(&young.name()).await.unwrap();
        assert_eq!(
            (lost.state, hand.told(&young).await),
            (State::Lost, vec![EventKind::Created, EventKind::Lost])
        );
        let gateway = story.gateway().await;
        assert_eq!(gateway.get(&format!("/v1/{}", young.name())).await.json()["error"]["code"], 5);
        story.pass(3600);
        hand.tick().await;
        assert_eq!(hand.state(&old).await, State::Unknown);
        let third = hand.track(&story, "c").await;
        story.far(|far| far.moods.insert("GetOperation".into(), (12, Vec::new())));
        story.pass(60);
        hand.tick().await;
        assert_eq!(hand.state(&third).await, State::Unsupported);
    }
}

#[tokio::test]
async fn a_backfill_is_one_run_and_not_another() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let show = |state: &str, began: &str| {
            let object = json!({"name": OBJECT, "backfillJob": {"state": state, "lastStartTime": began}});
            story.far(|far| far.objects.insert(OBJECT.into(), object));
        };
        let start = async || {
            let started = gateway.post(&format!("/v1/{OBJECT}:startBackfillJob"), "").await;
            assert_eq!(started.status, 200, "{}", started.text());
            hand.desk.get(started.header("causeway-operation")).await.unwrap()
        };
        // The run before is over, and the object still shows it.
        show("COMPLETED", "2026-01-01T00:00:00Z");
        let first = start().await;
        assert_eq!((first.state, first.kind.name()), (State::Pending, "DATASTREAM_BACKFILL"));
        let look = async || {
            story.pass(60);
            hand.tick().await;
        };
        look().await;
        assert_eq!(hand.state(&first).await, State::Pending, "the end of the run before is not its end");
        show("ACTIVE", "2026-01-02T00:00:00Z");
        look().await;
        assert_eq!(hand.state(&first).await, State::Running);
        // Somebody starts it again.
        show("ACTIVE", "2026-01-03T00:00:00Z");
        let second = start().await;
        assert_eq!(hand.state(&first).await, State::Superseded);
        assert_eq!(
            hand.told(&first).await,
            [EventKind::Created, EventKind::Progressed, EventKind::Superseded]
        );
        let stopping = gateway.post(&format!("/v1/{}:cancel", second.name()), "{}").await;
        assert_eq!((stopping.status.as_u16(), &*stopping.text()), (200, "{}"));
        assert_eq!((hand.state(&second).await, story.calls("StopBackfillJob")), (State::Cancelling, 1));
        show("STOPPED", "2026-01-03T00:00:00Z");
        // A caller's own look tells as much as ours.
        gateway.get(&format!("/v1/{OBJECT}")).await;
        assert_eq!(hand.state(&second).await, State::Cancelled);
        let shown = gateway.get(&format!("/v1/{}", second.name())).await.json();
        assert_eq!(shown["error"], json!({"code": 1, "message": "The backfill was stopped."}));
    }
}

#[tokio::test]
async fn cancelling_goes_to_the_upstream_and_waiting_ends_with_the_operation() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let it = hand.track(&story, "a").await;
        let ours = format!("/v1/{}", it.name());
        let nothing = gateway.post(&format!("{ours}:wait"), r#"{"timeout":"0s"}"#).await;
        assert_eq!((nothing.status.as_u16(), &nothing.json()["done"]), (200, &Value::Null));
        let mut waiting = JoinSet::new();
        for _ in 0..3 {
            let (mut connection, ours) = (gateway.connect().await, ours.clone());
            waiting.spawn(async move {
                let body = r#"{"timeout":"600s"}"#;
                connection
                    .send("POST", &format!("{ours}:wait"), &[("content-type", "application/json")], body)
                    .await
            });
        }
        let mut connection = gateway.connect().await;
        let watched = connection.open("GET", &format!("{ours}:watch"), &[], "").await;
        assert_eq!(watched.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(gateway.post(&format!("{ours}:cancel"), "").await.text(), "{}");
        assert_eq!((hand.state(&it).await, story.calls("CancelOperation")), (State::Cancelling, 1));
        story.pass(10);
        hand.tick().await;
        for answer in waiting.join_all().await {
            assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (200, &json!(1)));
        }
        let events = watched.into_body().collect().await.unwrap().to_bytes();
        let events = String::from_utf8(events.to_vec()).unwrap();
        assert!(events.starts_with("id: 1\ndata: {") && events.contains("id: 3\n"), "{events}");
        assert!(events.contains(r#""state":"CANCELLED""#), "{events}");
        assert_eq!(gateway.post(&format!("{ours}:cancel"), "").await.status, 200, "what has ended stays so");
    }
}

/// Whoever had once had a key went on hearing of everything.
#[tokio::test]
async fn a_key_that_is_revoked_ends_what_is_watched_with_it() {
    for story in Story::each().await {
        let mut settings = story.settings();
        settings.push("identity.mode=keys".to_owned());
        let gateway = Gateway::start(&settings).await;
        let keys = ApiKeys::new(story.hand().await.store);
        let (_, admin) = make_key(&keys, "root", Role::Admin, &["*"]).await;
        let (watcher, key) = make_key(&keys, "watcher", Role::Viewer, &["*"]).await;
        let admin = [("x-goog-api-key", &*admin), ("content-type", "application/json")];
        let start = async |id: &str| {
            let target = format!("/v1/{PLACE}/streams?streamId={id}");
            assert_eq!(gateway.send("POST", &target, &admin, "{}").await.status, 200);
        };
        start("before").await;
        let mut connection = gateway.connect().await;
        let watched = connection.open("GET", "/v1/operations:watch", &[("x-goog-api-key", &*key)], "").await;
        let revoked = gateway.send("DELETE", &format!("/v1/apiKeys/{}", watcher.id), &admin, "").await;
        assert_eq!(revoked.status, 200, "{}", revoked.text());
        start("after").await;
        let events = watched.into_body().collect().await.unwrap().to_bytes();
        let events = String::from_utf8(events.to_vec()).unwrap();
        assert!(!events.contains("streams/after"), "{events}");
        let last = events.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with("event: error\n") && last.contains("UNAUTHENTICATED"), "{events}");
        let told = connection.send("GET", "/v1/operations:watch", &[("x-goog-api-key", &*key)], "").await;
        told.refused(401, "UNAUTHENTICATED");
    }
}

/// Of more than one look could take the rest was never told.
#[tokio::test]
async fn whoever_watches_hears_of_all_and_whoever_comes_back_of_what_changed_meanwhile() {
    const COUNT: usize = 250;
    for story in Story::each().await {
        let gateway = story.gateway().await;
        let mut connection = gateway.connect().await;
        for n in 0..COUNT {
            let target = format!("/v1/{PLACE}/streams?streamId=s{n}");
            assert_eq!(connection.send("POST", &target, &[], "{}").await.status, 200);
        }
        let watch = async |headers: &[(&str, &str)]| {
            let watched = gateway.send("GET", "/v1/projects/p/operations:watch", headers, "").await;
            assert_eq!(watched.status, 200);
            let text = watched.text();
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            let names: std::collections::HashSet<_> =
                data.map(|data| serde_json::from_str::<Value>(data).unwrap()["name"].to_string()).collect();
            let ids: Vec<String> =
                text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect();
            (names.len(), ids)
        };
        let time = ("x-server-timeout", "4");
        let (told, ids) = watch(&[time]).await;
        assert_eq!((told, ids.len()), (COUNT, 1), "there is nothing to go on from until all was told");
        let (told, ids) = watch(&[time, ("last-event-id", &ids[0])]).await;
        assert_eq!((told, ids.len()), (COUNT, COUNT), "all of it has changed just now");
        // What is no time of ours is none to go on from.
        assert_eq!(watch(&[time, ("last-event-id", "7")]).await.1.len(), 1);
    }
}

/// A page that watched what had ended asked for it again and again.
#[tokio::test]
async fn whoever_heard_the_end_is_told_to_stay_away_and_whoever_missed_it_hears_it() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let send = async |target: &str, heard: Option<&str>| {
            let mut headers = vec![("x-server-timeout", "1")];
            headers.extend(heard.map(|id| ("last-event-id", id)));
            let watched = gateway.send("GET", target, &headers, "").await;
            (watched.status.as_u16(), watched.text())
        };
        let it = hand.track(&story, "a").await;
        let (one, all) = (format!("/v1/{}:watch", it.name()), "/v1/operations:watch");
        let (_, open) = send(all, None).await;
        let heard = open.trim_end().rsplit("id: ").next().unwrap().to_owned();
        story.far(|far| far.end("a", json!({})));
        story.pass(10);
        hand.tick().await;
        assert_eq!(hand.state(&it).await, State::Succeeded);
        let (status, end) = send(&one, None).await;
        assert_eq!(status, 200);
        let id = end.strip_prefix("id: ").unwrap().lines().next().unwrap();
        assert_eq!(send(&one, Some(id)).await, (204, String::new()));
        assert_eq!(send(&one, Some("1")).await, (200, end.clone()));
        let (_, short) = send(&format!("{one}?$fields=done"), None).await;
        assert_eq!(short, format!("id: {id}\ndata: {{\"done\":true}}\n\n"));
        let name = it.name();
        let (_, back) = send(all, Some(&heard)).await;
        assert!(back.contains(&name) && back.contains(r#""done":true"#), "{back}");
    }
}

#[tokio::test]
async fn who_says_how_long_it_watches_is_told_for_that_long() {
    for story in Story::each().await {
        let (gateway, mut headers) = (story.gateway().await, vec![("x-server-timeout", "0.05")]);
        let watched = gateway.send("GET", "/v1/operations:watch", &headers, "").await;
        assert_eq!(watched.status, 200);
        assert!(!watched.text().contains("data:"), "{}", watched.text());
        headers[0].1 = "soon";
        let refused = gateway.send("GET", "/v1/operations:watch", &headers, "").await;
        refused.refused(400, "INVALID_FIELD");
    }
}

#[tokio::test]
async fn what_a_dead_gateway_started_is_found_and_not_sent_again() {
    for story in Story::each().await {
        let hand = story.hand().await;
        let entry = |id: &str| Entry {
            method: "google.cloud.datastream.v1.Datastream.CreateStream".into(),
            upstream: "datastream".into(),
            principal: "alice".into(),
            resource_names: vec![PLACE.into()],
            request: json!({"parent": PLACE, "streamId": id}).to_string(),
            ..Entry::default()
        };
        let mut orphans = Vec::new();
        for id in ["a", "b"] {
            let opened_at = hand.store.now().as_microsecond();
            orphans.push(Orphan { id: time_ordered(opened_at), opened_at, entry: entry(id) });
        }
        story.far(|far| far.begin("a"));
        let (_, effects) = hand.recovery.recover(&orphans[0]).await.unwrap().expect("it is listed");
        let found = &effects.operations[0].operation;
        assert_eq!(found.upstream_name, format!("{PLACE}/operations/a"));
        assert_eq!((found.id.0, found.principal.as_str()), (orphans[0].id, "alice"));
        assert!(hand.recovery.recover(&orphans[1]).await.unwrap().is_none(), "nobody guesses");
        assert_eq!(story.calls("CreateStream"), 0);
        story.far(|far| far.moods.insert("ListOperations".into(), (14, Vec::new())));
        assert!(hand.recovery.recover(&orphans[0]).await.is_err(), "it may be found later");
    }
}

/// It was looked for below its parent, where no list has it.
#[tokio::test]
async fn what_stands_below_what_was_made_is_found_there() {
    for story in Story::each().await {
        let endpoint = format!("upstreams.spanner.endpoint=http://{}", story.upstream.address);
        let hand = story.hand_with(&[&endpoint]).await;
        let opened_at = hand.store.now().as_microsecond();
        let orphan = |id: &str| Orphan {
            id: time_ordered(opened_at),
            opened_at,
            entry: Entry {
                method: "google.spanner.admin.instance.v1.InstanceAdmin.CreateInstance".into(),
                upstream: "spanner".into(),
                resource_names: vec!["projects/p".into()],
                request: json!({"parent": "projects/p", "instanceId": id}).to_string(),
                ..Entry::default()
            },
        };
        let name = "projects/p/instances/made/operations/o";
        let begun = json!({"name": name, "metadata": {
            "@type": "type.googleapis.com/google.spanner.admin.instance.v1.CreateInstanceMetadata",
            "instance": {"name": "projects/p/instances/made"}, "startTime": SystemClock.now().to_string(),
        }});
        story.far(|far| far.operations.insert(name.to_owned(), begun));
        let (_, effects) = hand.recovery.recover(&orphan("made")).await.unwrap().expect("it is listed");
        assert_eq!(effects.operations[0].operation.upstream_name, name);
        assert!(hand.recovery.recover(&orphan("other")).await.unwrap().is_none(), "nobody guesses");
    }
}

#[tokio::test]
async fn a_restart_finds_everything_that_is_open() {
    for story in Story::each().await {
        let before = story.hand().await;
        for n in 0..300 {
            before.track(&story, &format!("{n:04}")).await;
        }
        drop(before);
        let after = story.hand().await;
        story.pass(30);
        let mut total = Tick::default();
        for _ in 0..3 {
            total += after.tick().await;
        }
        assert_eq!((total.claimed, total.calls), (300, 1));
        let all = Page { rows_max: 1000, ..Page::default() };
        assert_eq!(after.store.operations_page(&all).await.unwrap().len(), 300);
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_place() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let a = hand.track(&story, "a").await;
        story.pass(1);
        hand.track(&story, "b").await;
        let id = a.name().rsplit('/').next().unwrap().to_owned();
        for target in [
            format!("/v1/projects/q/operations/{id}"),
            "/v1/projects/p/operations/00000000-0000-7000-8000-000000000000".to_owned(),
            "/v1/projects/p/operations/nonsense".to_owned(),
        ] {
            gateway.get(&target).await.refused(404, "RESOURCE_NOT_FOUND");
        }
        let wrong = gateway.get("/v1/operations?filter=done%3Dtrue%20AND%20color%3Dred").await;
        assert!(wrong.refused(400, "INVALID_FIELD").contains("at character 15"), "{}", wrong.text());
        let page = gateway.get("/v1/projects/p/operations?pageSize=1").await.json();
        assert_eq!(page["operations"].as_array().unwrap().len(), 1);
        let token = page["nextPageToken"].as_str().unwrap();
        let next =
            gateway.get(&format!("/v1/projects/p/operations?pageSize=1&pageToken={token}")).await.json();
        assert_eq!(next["operations"][0]["name"], a.name());
        assert_eq!(next["nextPageToken"], Value::Null);
        for other in ["/v1/operations?", "/v1/projects/p/operations?filter=done%3Dfalse&"] {
            gateway.get(&format!("{other}pageToken={token}")).await.refused(400, "INVALID_FIELD");
        }
        let wait = async |timeout: &str| {
            gateway.post(&format!("/v1/{}:wait", a.name()), &format!(r#"{{"timeout":"{timeout}"}}"#)).await
        };
        wait("-1s").await.refused(400, "INVALID_FIELD");
        wait("soon").await.refused(400, "INVALID_FIELD");
        for (body, field) in [
            (r#"{"upstream":"nowhere","name":"projects/p/locations/us/operations/a"}"#, "upstream"),
            (r#"{"upstream":"datastream","name":"projects/p/locations/us"}"#, "name"),
            (r#"{"upstream":"datastream"}"#, "name"),
            (r#"{"upstream":"datastream","name":3}"#, "name"),
        ] {
            let refused = gateway.post("/v1/operations:track", body).await;
            refused.refused(400, "INVALID_FIELD");
            assert_eq!(refused.fields(), [field], "{body}");
        }
        let unknown = r#"{"upstream":"datastream","name":"projects/p/locations/us/operations/zzz"}"#;
        assert_eq!(gateway.post("/v1/operations:track", unknown).await.status, 404);
        let known = r#"{"upstream":"datastream","name":"projects/p/locations/us/operations/a"}"#;
        let tracked = gateway.post("/v1/projects/p/operations:track", known).await;
        assert_eq!(tracked.json()["name"], a.name(), "what is on record is not put there twice");
    }
}

#[tokio::test]
async fn where_callers_bring_their_own_credentials_they_go_along_and_polling_has_its_own() {
    for mut story in Story::each().await {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (far, shown) = (story.far.clone(), seen.clone());
        story.upstream = Scripted::start(move |call| {
            let credential =
                call.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let method = call.method.rsplit('.').next().unwrap().to_owned();
            shown.lock().unwrap().push((method, credential.unwrap_or_default()));
            far.lock().unwrap().answer(&call.method, &call.request)
        })
        .await;
        let credentials = ["credentials=caller", "poll_credentials=token", "token=ours"]
            .map(|setting| format!("upstreams.datastream.{setting}"));
        let mut settings = story.settings();
        settings.extend(credentials.iter().cloned());
        let gateway = Gateway::start(&settings).await;
        let hand = story.hand_with(&credentials.each_ref().map(String::as_str)).await;
        let theirs =
            [("x-causeway-upstream-authorization", "Bearer theirs"), ("content-type", "application/json")];
        story.far(|far| far.begin("a"));
        let track = json!({"upstream": "datastream", "name": format!("{PLACE}/operations/a")}).to_string();
        let tracked = gateway.send("POST", "/v1/operations:track", &theirs, track).await;
        assert_eq!(tracked.status, 200, "{}", tracked.text());
        story.pass(10);
        assert_eq!(hand.tick().await.calls, 1);
        let cancel = format!("/v1/{}:cancel", tracked.json()["name"].as_str().unwrap());
        assert_eq!(gateway.send("POST", &cancel, &theirs, "{}").await.status, 200);
        let expected = [
            ("GetOperation", "Bearer theirs"),
            ("GetOperation", "Bearer ours"),
            ("CancelOperation", "Bearer theirs"),
        ];
        let expected = expected.map(|(method, credential)| (method.to_owned(), credential.to_owned()));
        assert_eq!(*seen.lock().unwrap(), expected);
        // Without credentials of its own the gateway looks after nothing there.
        let blind = story.hand_with(&["upstreams.datastream.credentials=caller"]).await;
        story.pass(3600);
        assert_eq!(blind.tick().await, Tick::default());
    }
}

#[tokio::test]
async fn replicas_tell_each_other_over_redis() {
    let Some(redis) = Redis::start().await else { return };
    let Some(mut cluster) = Cluster::start(3, None).await else { return };
    for url in [redis.url(), cluster.url()] {
        let link = || Arc::new(Kv::new(&RedisUrl::parse(&url).unwrap(), &RedisTls::default()).unwrap());
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let mut listening = JoinSet::new();
        listening.spawn({
            let (link, stop) = (link(), stop.clone());
            async move { link.listen("story", &stop, |message| drop(heard.send(message.to_vec()))).await }
        });
        let teller = link();
        let mut told = async |word: &[u8]| {
            let told = tokio::time::timeout(Duration::from_secs(20), async {
                loop {
                    // What is told before the other listens is lost, and so is what is told to nobody.
                    let _ = teller.publish("story", word).await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    while let Ok(message) = hears.try_recv() {
                        if message == word {
                            return;
                        }
                    }
                }
            });
            told.await.expect("it is heard");
        };
        told(b"changed").await;
        if url == cluster.url() {
            // One after the other is gone for a while, also the one that is listened to.
            for gone in 0..3 {
                cluster.nodes[gone].kill();
                told(&[u8::try_from(gone).unwrap()]).await;
                cluster.nodes[gone].restart().await;
                cluster.is_whole().await;
            }
        }
        stop.cancel();
        listening.join_all().await;
    }
}
