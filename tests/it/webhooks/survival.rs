//! Nothing is lost and nothing is made up, whenever the gateway is killed and when its database crashes. In the end three
//! sets are compared: what callers were told, what the upstream did, and what the receiver heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use causeway::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Message, PATIENCE, REACH, Receiver, believed};
use crate::harness::{Answer, Call, Database, Gateway, Postgres, Process, Response, Scripted, attempt};

const PARENT: &str = "projects/acme/locations/eu";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
/// Who makes connections without a break.
const CLIENTS: u64 = 6;
/// How long they do so between two kills.
const BETWEEN: Duration = Duration::from_millis(400);
/// How long everything that is left may take to arrive.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(60);

/// What was done, and to which connection.
type Done = BTreeSet<(&'static str, String)>;

/// The upstream's connections, and all that it has done.
#[derive(Default)]
struct Far {
    /// When they were made and changed, in milliseconds since 1970.
    there: BTreeMap<String, (i64, i64)>,
    done: Done,
    /// Whether it does what it is asked for and does not say so, and how often it has.
    mute: bool,
    muted: usize,
}

impl Far {
    fn answer(&mut self, call: &Call) -> Answer {
        let refuse = |code| Answer::Refuse(code, "no", Vec::new());
        let text = |field: &str| call.request[field].as_str().unwrap_or_default().to_owned();
        let (now, id) = (SystemClock.now().as_millisecond(), text("connectionId"));
        if id.starts_with("refused") {
            return refuse(9);
        }
        let name = if id.is_empty() { text("name") } else { format!("{}/connections/{id}", text("parent")) };
        let kind = match call.method.rsplit('.').next().unwrap() {
            "CreateConnection" => "connection.created",
            "UpdateConnection" => "connection.updated",
            "DeleteConnection" => "connection.deleted",
            _ => "",
        };
        let deleted = kind == "connection.deleted" && self.there.remove(&name).is_some();
        match kind {
            "connection.created" => drop(self.there.insert(name.clone(), (now, now))),
            "connection.updated" => drop(self.there.get_mut(&name).map(|it| it.1 = now.max(it.1 + 1))),
            _ => {}
        }
        let shown = self.there.get(&name).map(|(made, changed)| {
            json!({"name": name, "creationTime": made.to_string(), "lastModifiedTime": changed.to_string()})
        });
        let Some(shown) = shown.or(deleted.then(|| json!({}))) else { return refuse(5) };
        if !kind.is_empty() {
            self.done.insert((kind, name));
            if self.mute {
                self.muted += 1;
                return Answer::Never;
            }
        }
        Answer::Message(shown)
    }
}

/// An upstream that makes every connection but those called `refused-…`.
async fn upstream() -> (Arc<Mutex<Far>>, Scripted) {
    let far = Arc::new(Mutex::new(Far::default()));
    let seen = far.clone();
    let upstream = Scripted::start(move |call: &Call| seen.lock().unwrap().answer(call)).await;
    (far, upstream)
}

fn settings(database: &Database, upstream: &Scripted) -> Vec<String> {
    let endpoint = format!("upstreams.bigqueryconnection.endpoint=http://{}", upstream.address);
    REACH.iter().map(|it| (*it).to_owned()).chain([database.setting(), endpoint]).collect()
}

async fn post(address: SocketAddr, target: &str, body: &Value) -> Option<Response> {
    timeout(PATIENCE, attempt(address, "POST", target, JSON, body.to_string())).await.ok().flatten()
}

/// Makes an endpoint; returns its path and its secret.
async fn endpoint(address: SocketAddr, receiver: &Receiver) -> (String, String) {
    let made = post(address, "/v1/projects/acme/webhookEndpoints", &json!({"url": receiver.url()})).await;
    let made = made.expect("it answers").json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (format!("/v1/{}", text("name")), text("secret"))
}

/// Makes a connection; tells whether the caller knows that it is there.
async fn connect(address: SocketAddr, id: &str) -> bool {
    let target = format!("/v1/{PARENT}/connections?connectionId={id}");
    post(address, &target, &json!({"cloudResource": {}})).await.is_some_and(|answer| answer.status == 200)
}

/// Makes connections, and changes or deletes some of them; every fifth is refused. Returns what was done as far as the
/// caller knows.
async fn client(address: Arc<Mutex<SocketAddr>>, count: Arc<AtomicU64>, known: Arc<Mutex<Done>>) {
    loop {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let id = if number % 5 == 4 { format!("refused-{number}") } else { format!("c-{number}") };
        let now = *address.lock().unwrap();
        if !connect(now, &id).await {
            sleep(Duration::from_millis(10)).await;
            continue;
        }
        let name = format!("{PARENT}/connections/{id}");
        known.lock().unwrap().insert(("connection.created", name.clone()));
        let (verb, target, headers, body, kind) = match number % 3 {
            0 => continue,
            1 => ("PATCH", "?updateMask=friendlyName", JSON, "{}", "connection.updated"),
            _ => ("DELETE", "", &[][..], "", "connection.deleted"),
        };
        let target = format!("/v1/{name}{target}");
        let sent = attempt(now, verb, &target, headers, body.to_owned());
        let answer = timeout(PATIENCE, sent).await.ok().flatten();
        if answer.is_some_and(|answer| answer.status == 200) {
            known.lock().unwrap().insert((kind, name));
        }
    }
}

/// Reads a list to its end.
async fn all(address: SocketAddr, path: &str, collection: &str, filter: &str) -> Vec<Value> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let target = format!("{path}/{collection}?pageSize=500&pageToken={token}&filter={filter}");
        let page = attempt(address, "GET", &target, &[], String::new()).await.expect("it answers").json();
        found.extend(page[collection].as_array().expect("a list").iter().cloned());
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return found;
        }
    }
}

/// Waits until nothing is pending, and compares. Calls whose callers hung up may still go on in the gateway and tell
/// events, so what was heard is read before what is kept: whatever was heard must be kept by then.
async fn compare(
    address: SocketAddr,
    (path, secret): &(String, String),
    far: &Mutex<Far>,
    receiver: &Receiver,
    known: &Done,
) {
    let id = |message: &Message| message.0["webhook-id"].to_str().unwrap().to_owned();
    let calm = async {
        loop {
            let heard = receiver.heard();
            let told: BTreeSet<String> = heard.iter().map(id).collect();
            let events = all(address, "/v1/projects/acme", "events", "").await;
            let kept = events
                .iter()
                .map(|event| event["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
            let kept: BTreeSet<String> = kept.collect();
            let invented: Vec<_> = told.difference(&kept).collect();
            assert!(invented.is_empty(), "heard, and not kept: {invented:?}");
            let deliveries = all(address, path, "deliveries", "").await;
            let done = deliveries.iter().filter(|delivery| delivery["state"] == "SUCCEEDED").count();
            // What was done and not written down is found out, in time.
            let all_are_told = kept.len() >= far.lock().unwrap().done.len();
            if done == kept.len() && told == kept && all_are_told {
                return heard;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let heard = timeout(ARRIVAL_TIME_MAX, calm)
        .await
        .expect("each event that is kept is heard, and said to be, in time");
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for message in heard {
        let body = believed(secret, &message);
        let text = |text: &Value| text.as_str().unwrap().to_owned();
        let about = (text(&body["type"]), text(&body["data"]["resourceName"]));
        ids.entry(about).or_default().insert(id(&message));
    }
    let done = far.lock().unwrap().done.clone();
    for ((kind, name), ids) in &ids {
        assert_eq!(ids.len(), 1, "{kind} {name} has one id: {ids:?}");
        let happened = done.iter().any(|it| it.0 == kind && it.1 == *name);
        assert!(happened && !name.contains("refused"), "{kind} {name} did not happen");
    }
    let told = |it: &&(&str, String)| ids.contains_key(&(it.0.to_owned(), it.1.clone()));
    let lost: Vec<_> = done.iter().filter(|it| !told(it)).collect();
    assert!(lost.is_empty(), "done, and never told: {lost:?}");
    let lost: Vec<_> = known.iter().filter(|it| !told(it)).collect();
    assert!(lost.is_empty(), "done, answered, and never told: {lost:?}");
}

/// Kills a gateway while everything is under way, each time when the upstream has done some things and not said so; twice
/// while the receiver takes messages and does not answer.
#[expect(clippy::print_stderr, reason = "where the kills struck is what this story is about")]
async fn killed(database: Database) {
    let ((far, upstream), receiver) = (upstream().await, Receiver::listen().await);
    let settings = settings(&database, &upstream);
    let mut process = Process::start(&settings);
    let endpoint = endpoint(process.address, &receiver).await;
    let address = Arc::new(Mutex::new(process.address));
    let (count, known) = (Arc::new(AtomicU64::new(0)), Arc::<Mutex<Done>>::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(address.clone(), count.clone(), known.clone()));
    }
    let mut unanswered = 0;
    for silent in [false, true, false, true] {
        sleep(BETWEEN).await;
        let heard = receiver.heard().len();
        receiver.answers.send_replace(!silent);
        if silent {
            receiver.hears(heard + 1).await;
        }
        let muted = far.lock().unwrap().muted;
        far.lock().unwrap().mute = true;
        let swallows = async {
            while far.lock().unwrap().muted < muted + CLIENTS as usize / 2 {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, swallows).await.expect("things are under way");
        drop(process);
        far.lock().unwrap().mute = false;
        let at = async |query| database.count(query).await;
        let undispatched = at("SELECT count(*) FROM events WHERE dispatched_at IS NULL").await;
        let queued = at("SELECT count(*) FROM webhook_deliveries WHERE state = 0 AND NOT leased").await;
        let leased = at("SELECT count(*) FROM webhook_deliveries WHERE state = 0 AND leased").await;
        eprintln!(
            "killed with {undispatched} events not dispatched, {queued} deliveries queued, {leased} under way ({})",
            if silent { "heard and not answered" } else { "answers came" }
        );
        unanswered += if silent { leased } else { 0 };
        receiver.answers.send_replace(true);
        // The time of the dead one's leases passes.
        database.execute("UPDATE webhook_deliveries SET due_at = 0 WHERE state = 0 AND leased").await;
        process = Process::start(&settings);
        *address.lock().unwrap() = process.address;
    }
    sleep(BETWEEN).await;
    clients.shutdown().await;
    assert!(unanswered > 0, "a kill struck between an attempt and its result");
    let known = known.lock().unwrap().clone();
    assert!(known.len() > 20, "too little happened: {}", known.len());
    compare(process.address, &endpoint, &far, &receiver, &known).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_kills_lose_no_event_and_make_none_up() {
    let mut all = JoinSet::new();
    for database in Database::each().await {
        all.spawn(killed(database));
    }
    all.join_all().await;
}

#[tokio::test]
async fn a_crash_of_the_database_in_mid_delivery_loses_no_event() {
    let Some(server) = Postgres::start() else { return };
    let ((far, upstream), receiver) = (upstream().await, Receiver::listen().await);
    let gateway = Gateway::start(&settings(&server.database(), &upstream)).await;
    let endpoint = endpoint(gateway.address, &receiver).await;
    let mut known = BTreeSet::new();
    let make = async |known: &mut Done, id: &str| {
        if connect(gateway.address, id).await {
            known.insert(("connection.created", format!("{PARENT}/connections/{id}")));
        }
    };
    receiver.answers.send_replace(false);
    for number in 0..8 {
        make(&mut known, &format!("before-{number}")).await;
    }
    assert_eq!(known.len(), 8);
    receiver.hears(2).await;
    server.crash().await;
    receiver.answers.send_replace(true);
    let made = async {
        for number in 0.. {
            make(&mut known, &format!("after-{number}")).await;
            if known.len() == 12 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(ARRIVAL_TIME_MAX, made).await.expect("the gateway goes on");
    compare(gateway.address, &endpoint, &far, &receiver, &known).await;
    let heard = receiver.heard();
    let ids: BTreeSet<&[u8]> = heard.iter().map(|(headers, _)| headers["webhook-id"].as_bytes()).collect();
    assert_eq!(heard.len(), ids.len(), "what was under way was written down when the database was back");
}
