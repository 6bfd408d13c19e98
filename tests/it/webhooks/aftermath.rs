//! What is told of changes to connections when the gateway was killed between the upstream's answer and the commit of the
//! outcome: what happened is told once, and nothing else is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use causeway::{
    app,
    clock::{Clock as _, ManualClock, SystemClock},
    config::{Config, Sources},
    gateway::Aftermath,
    store::{EventQuery, Store, journal::Orphan},
    transcode::Transcoder,
    upstream::Upstreams,
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use super::{PATIENCE, REACH, Receiver, believed, name, until};
use crate::harness::{Answer, Call, Database, Gateway, Scripted};

const PARENT: &str = "projects/acme/locations/eu";
const NAME: &str = "projects/acme/locations/eu/connections/pond";
const CREATE: (&str, &str) = ("POST", "/v1/projects/acme/locations/eu/connections?connectionId=pond");
const UPDATE: (&str, &str) =
    ("PATCH", "/v1/projects/acme/locations/eu/connections/pond?updateMask=friendlyName");
const DELETE: (&str, &str) = ("DELETE", "/v1/projects/acme/locations/eu/connections/pond");
const BODY: &str = r#"{"friendlyName":"Pond","cloudResource":{}}"#;

/// What the upstream does with a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    /// It does it, and says so.
    #[default]
    Plain,
    /// It does it, or refuses it, and nobody hears of it: whoever called is killed.
    Silent,
    /// It never hears of it.
    Deaf,
}

/// The upstream's connections: when they were made and changed, in milliseconds since 1970.
#[derive(Default)]
struct Far {
    there: BTreeMap<String, (i64, i64)>,
    mood: Mood,
    /// What a look is refused with.
    blind: Option<i32>,
    changes: usize,
    looks: Vec<String>,
}

impl Far {
    fn shown(&self, name: &str) -> Answer {
        let Some((made, changed)) = self.there.get(name) else { return missing() };
        Answer::Message(json!({"name": name, "friendlyName": "Pond", "creationTime": made.to_string(),
                               "lastModifiedTime": changed.to_string()}))
    }

    fn answer(&mut self, call: &Call) -> Answer {
        let text = |field: &str| call.request[field].as_str().unwrap_or_default().to_owned();
        let (method, mut name) = (call.method.rsplit('.').next().unwrap(), text("name"));
        if method == "GetConnection" {
            let credential = call.headers.get("authorization").map(|it| it.to_str().unwrap().to_owned());
            self.looks.push(credential.unwrap_or_default());
            return self.blind.map_or_else(|| self.shown(&name), refuse);
        }
        self.changes += 1;
        if self.mood == Mood::Deaf {
            return Answer::Never;
        }
        let now = SystemClock.now().as_millisecond();
        let done = match method {
            "CreateConnection" => {
                let id = Some(text("connectionId")).filter(|id| !id.is_empty());
                name = format!("{}/connections/{}", text("parent"), id.unwrap_or_else(|| "of-theirs".into()));
                if self.there.contains_key(&name) {
                    refuse(6)
                } else {
                    self.there.insert(name.clone(), (now, now));
                    self.shown(&name)
                }
            }
            "UpdateConnection" => {
                let Some(it) = self.there.get_mut(&name) else { return missing() };
                // Nobody changes a thing in the millisecond in which it is made.
                it.1 = now.max(it.1 + 1);
                self.shown(&name)
            }
            "DeleteConnection" => match self.there.remove(&name) {
                Some(_) => Answer::Message(json!({})),
                None => missing(),
            },
            other => panic!("the story knows no {other}"),
        };
        if self.mood == Mood::Silent { Answer::Never } else { done }
    }
}

/// What goes with a change.
fn body(verb: &str) -> &'static str {
    if verb == "DELETE" { "" } else { BODY }
}

fn missing() -> Answer {
    refuse(5)
}

fn refuse(code: i32) -> Answer {
    Answer::Refuse(code, "no", Vec::new())
}

struct Story {
    far: Arc<Mutex<Far>>,
    upstream: Scripted,
    database: Database,
    receiver: Receiver,
    clock: Arc<ManualClock>,
}

/// Who looks after what the dead left, by hand.
struct Hand {
    store: Store,
    aftermath: Aftermath,
}

impl Story {
    async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for database in Database::each().await {
            let far = Arc::new(Mutex::new(Far::default()));
            let seen = far.clone();
            let upstream = Scripted::start(move |call| seen.lock().unwrap().answer(call)).await;
            let (receiver, clock) = (Receiver::listen().await, Arc::new(ManualClock::new(SystemClock.now())));
            all.push(Self { far, upstream, database, receiver, clock });
        }
        all
    }

    fn far<T>(&self, f: impl FnOnce(&mut Far) -> T) -> T {
        f(&mut self.far.lock().unwrap())
    }

    fn settings(&self, more: &[&str]) -> Vec<String> {
        let own = [
            self.database.setting(),
            format!("upstreams.bigqueryconnection.endpoint=http://{}", self.upstream.address),
            "upstreams.bigqueryconnection.retry.attempts=1".to_owned(),
            format!("secrets.key={}", "A".repeat(43) + "="),
        ];
        own.into_iter().chain(REACH.iter().chain(more).map(|it| (*it).to_owned())).collect()
    }

    async fn gateway(&self) -> Gateway {
        Gateway::start(&self.settings(&[])).await
    }

    async fn hand(&self, more: &[&str]) -> Hand {
        let mut set = self.settings(more);
        set.push("identity.mode=none".to_owned());
        let config = Config::load(Sources { set, ..Sources::default() })
            .into_config()
            .unwrap_or_else(|problems| panic!("{problems}"));
        let catalog = app::catalog(&config).unwrap();
        let store = Store::open(&config.database, self.clock.clone()).await.unwrap();
        let upstreams = Upstreams::build(&config.upstreams, |_| Vec::new()).unwrap();
        let aftermath =
            Aftermath::new(&catalog, &Transcoder::new(&catalog.pool), upstreams, store.clone()).unwrap();
        Hand { store, aftermath }
    }

    /// Sends a change to a gateway that hears nothing of it any more, and returns who waits.
    async fn send(&self, gateway: &Gateway, (verb, target): (&'static str, &'static str)) -> JoinSet<()> {
        let (mut connection, mut waiting) = (gateway.connect().await, JoinSet::new());
        let before = self.far(|far| far.changes);
        waiting.spawn(async move {
            connection.send(verb, target, &[("content-type", "application/json")], body(verb)).await;
        });
        let arrives = async {
            while self.far(|far| far.changes) == before {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, arrives).await.unwrap_or_else(|_| panic!("{verb} {target} arrives"));
        waiting
    }

    /// A gateway is killed over a change, once the upstream has had it. Returns what it leaves, to a hand that comes when
    /// everybody else is dead too.
    async fn killed_over(&self, mood: Mood, change: (&'static str, &'static str)) -> Orphan {
        let (gateway, hand) = (self.gateway().await, self.hand(&[]).await);
        let before: Vec<_> = hand.store.orphans(100).await.unwrap().iter().map(|it| it.id).collect();
        self.far(|far| far.mood = mood);
        self.send(&gateway, change).await.shutdown().await;
        drop(gateway);
        self.far(|far| far.mood = Mood::Plain);
        self.database.execute("UPDATE instances SET alive_until = 0").await;
        // Whoever looks does so later.
        self.pass(2);
        let left = hand.store.orphans(100).await.unwrap();
        let mut new = left.into_iter().filter(|it| !before.contains(&it.id));
        let orphan = new.next().expect("its intent is open");
        assert!(new.next().is_none());
        orphan
    }

    /// Does a change as it should be done.
    async fn change(&self, (verb, target): (&'static str, &'static str)) {
        let gateway = self.gateway().await;
        let answer = gateway.send(verb, target, &[("content-type", "application/json")], body(verb)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Hand {
    /// Closes an orphan with what can be found out; whether anything was told.
    async fn close(&self, orphan: &Orphan) -> bool {
        let found = self.aftermath.recover(orphan).await.expect("it is known");
        let (settlement, effects) = found.unwrap_or_default();
        let told = !effects.events.is_empty();
        self.store.close_orphans(vec![(orphan.id, settlement, effects)]).await.unwrap();
        told
    }

    /// Types of all events of the project, the first one first, that are about the connection.
    async fn told(&self) -> Vec<String> {
        let query = EventQuery {
            project: "acme".into(),
            kind: String::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
            before: String::new(),
            limit: 100,
        };
        let mut all = self.store.events(&query).await.unwrap();
        all.sort_by_key(|event| (event.time, event.id.clone()));
        all.iter().for_each(|event| assert!(event.data.contains(NAME), "{}", event.data));
        all.into_iter().map(|event| event.kind).collect()
    }
}

#[tokio::test]
async fn what_was_done_and_not_written_down_is_told_once() {
    for story in Story::each().await {
        let endpoint = json!({"url": story.receiver.url(), "eventTypes": ["connection.*"]}).to_string();
        let made = story.gateway().await.post("/v1/projects/acme/webhookEndpoints", &endpoint).await.json();
        let mut expected = Vec::new();
        for (change, kind) in
            [(CREATE, "connection.created"), (UPDATE, "connection.updated"), (DELETE, "connection.deleted")]
        {
            let orphan = story.killed_over(Mood::Silent, change).await;
            let (one, other) = (story.hand(&[]).await, story.hand(&[]).await);
            // Two replicas find out the same, and one of them is late.
            let late = other.aftermath.recover(&orphan).await.unwrap().expect("it was done");
            assert!(one.close(&orphan).await, "{kind}");
            other.store.close_orphans(vec![(orphan.id, late.0, late.1)]).await.unwrap();
            assert!(other.aftermath.recover(&orphan).await.unwrap().is_none(), "{kind}: it is told already");
            expected.push(kind);
            assert_eq!(one.told().await, expected);
            // It is delivered before the next gateway is killed: what a dead one was delivering waits until its lease ends.
            let succeeded = |log: &Value| {
                let deliveries = log["deliveries"].as_array().unwrap();
                let done = deliveries.iter().filter(|it| it["state"] == "SUCCEEDED").count();
                done == expected.len() && done == deliveries.len()
            };
            until(&story.gateway().await, &format!("{}/deliveries", name(&made)), succeeded).await;
        }
        assert_eq!(story.far(|far| far.changes), 3, "nothing is sent twice");

        let gateway = story.gateway().await;
        let secret = made["secret"].as_str().unwrap();
        let mut told: Vec<Value> =
            story.receiver.heard().iter().map(|heard| believed(secret, heard)).collect();
        told.sort_by_key(|body| body["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
        assert_eq!(told.iter().map(|body| body["type"].as_str().unwrap()).collect::<Vec<_>>(), expected);
        for body in &told {
            assert_eq!(
                (&body["data"]["resourceName"], &body["data"]["upstream"]),
                (&json!(NAME), &json!("bigqueryconnection"))
            );
        }
        assert_eq!(told[1]["data"]["resource"]["friendlyName"], "Pond");
        assert!(told[2]["data"]["resource"].is_null());
        // Whose call did it is not known, and not said.
        let unknown = |log: &Value| {
            let entries = log["auditEntries"].as_array().unwrap();
            let of_ours = |entry: &&Value| entry["method"].as_str().unwrap().ends_with("Connection");
            let results: Vec<_> =
                entries.iter().filter(of_ours).map(|entry| entry["result"].clone()).collect();
            results == ["UNKNOWN"; 3]
        };
        // Not what was asked of deliveries meanwhile, which may be more than a page.
        let about = "resourceNames%3A%22projects/acme/locations/%22";
        until(&gateway, &format!("/v1/auditEntries?filter={about}"), unknown).await;
    }
}

#[tokio::test]
async fn what_was_not_done_is_not_told() {
    for story in Story::each().await {
        // What never arrived may still arrive for a while.
        let mut orphans = Vec::new();
        for change in [CREATE, UPDATE] {
            let orphan = story.killed_over(Mood::Deaf, change).await;
            assert!(story.hand(&[]).await.aftermath.recover(&orphan).await.is_err(), "{change:?}");
            orphans.push(orphan);
        }
        let hand = story.hand(&[]).await;
        story.pass(60);
        for orphan in &orphans {
            assert!(!hand.close(orphan).await);
        }
        // Nobody was told that there is a connection, and there is none.
        let orphan = story.killed_over(Mood::Deaf, DELETE).await;
        assert!(!story.hand(&[]).await.close(&orphan).await);

        story.change(CREATE).await;
        let hand = story.hand(&[]).await;
        for (mood, change) in [(Mood::Silent, CREATE), (Mood::Deaf, UPDATE), (Mood::Deaf, DELETE)] {
            // It is there, as it was made long ago.
            story.far(|far| far.there.insert(NAME.to_owned(), (5_000, 5_000)));
            let orphan = story.killed_over(mood, change).await;
            story.pass(60);
            assert!(!hand.close(&orphan).await, "{change:?}");
        }
        assert_eq!(hand.told().await, ["connection.created"], "what somebody did");
    }
}

#[tokio::test]
async fn what_a_living_gateway_tells_is_not_told_again() {
    for story in Story::each().await {
        for change in [CREATE, UPDATE, DELETE] {
            let orphan = story.killed_over(Mood::Deaf, change).await;
            let (gateway, hand) = (story.gateway().await, story.hand(&[]).await);
            // Somebody does the same, and the outcome is not written yet.
            story.far(|far| far.mood = Mood::Silent);
            let mut waiting = story.send(&gateway, change).await;
            let unsure = hand.aftermath.recover(&orphan).await;
            assert!(unsure.is_err(), "{change:?}: whoever lives may tell of it");
            waiting.shutdown().await;
            story.far(|far| far.mood = Mood::Plain);
            drop(gateway);
            // It dies as well. Now there are two who may have done it, and one thing that was done.
            story.database.execute("UPDATE instances SET alive_until = 0").await;
            let orphans = hand.store.orphans(10).await.unwrap();
            let mut told = 0;
            for orphan in orphans.iter().chain([&orphan]) {
                told += usize::from(hand.close(orphan).await);
            }
            assert_eq!(told, 1, "{change:?}");
        }
        let hand = story.hand(&[]).await;
        let expected = ["connection.created", "connection.updated", "connection.deleted"];
        assert_eq!(hand.told().await, expected);
        // And one that ends well tells by itself.
        for change in [CREATE, UPDATE, DELETE] {
            let orphan = story.killed_over(Mood::Deaf, change).await;
            story.change(change).await;
            story.pass(60);
            assert!(!hand.close(&orphan).await, "{change:?}");
        }
        let mut told = hand.told().await;
        told.sort();
        let twice = ["connection.created", "connection.deleted", "connection.updated"].map(|kind| [kind; 2]);
        assert_eq!(told, twice.concat());
    }
}

#[tokio::test]
async fn who_tries_again_and_is_refused_takes_nothing_from_what_was_done() {
    for story in Story::each().await {
        let orphan = story.killed_over(Mood::Silent, CREATE).await;
        let refused = story.gateway().await.post(CREATE.1, BODY).await;
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(story.hand(&[]).await.close(&orphan).await);
        let orphan = story.killed_over(Mood::Silent, DELETE).await;
        assert_eq!(story.gateway().await.send(DELETE.0, DELETE.1, &[], "").await.status, 404);
        let hand = story.hand(&[]).await;
        assert!(hand.close(&orphan).await);
        assert_eq!(hand.told().await, ["connection.created", "connection.deleted"]);
    }
}

#[tokio::test]
async fn where_it_cannot_be_known_nothing_is_told() {
    for story in Story::each().await {
        let theirs = ("POST", "/v1/projects/acme/locations/eu/connections");
        let orphan = story.killed_over(Mood::Silent, theirs).await;
        assert!(story.far(|far| far.there.contains_key(&format!("{PARENT}/connections/of-theirs"))));
        let hand = story.hand(&[]).await;
        assert!(!hand.close(&orphan).await, "nobody knows which one it is");

        let orphan = story.killed_over(Mood::Silent, CREATE).await;
        let callers = "upstreams.bigqueryconnection.credentials=caller";
        assert!(!story.hand(&[callers]).await.close(&orphan).await, "only callers may look");
        assert!(story.far(|far| far.looks.is_empty()));
        for (code, may_be_known_later) in [(14, true), (4, true), (13, true), (7, false), (16, false)] {
            story.far(|far| far.blind = Some(code));
            let found = hand.aftermath.recover(&orphan).await;
            assert_eq!(found.is_err(), may_be_known_later, "{code}");
            assert!(found.ok().flatten().is_none(), "{code}");
        }
        story.far(|far| far.blind = None);
        assert!(hand.told().await.is_empty());
        story.far(|far| far.looks.clear());
        let own = [
            "upstreams.bigqueryconnection.poll_credentials=token",
            "upstreams.bigqueryconnection.token=ours",
        ];
        assert!(story.hand(&[callers, own[0], own[1]]).await.close(&orphan).await);
        assert_eq!(story.far(|far| far.looks.clone()), ["Bearer ours"]);
    }
}
