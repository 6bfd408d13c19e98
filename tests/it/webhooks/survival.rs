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

/// An upstream that makes every connection but those called `refused-…`.
async fn upstream() -> Scripted {
    Scripted::start(|call: &Call| match call.request["connectionId"].as_str() {
        Some(id) if id.starts_with("refused") => Answer::Refuse(9, "no more of these", Vec::new()),
        id => Answer::Message(json!({"name": format!("{PARENT}/connections/{}", id.unwrap_or_default())})),
    })
    .await
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

/// Makes connections; every fifth is refused. Returns the names of those that are there as far as the caller knows.
async fn client(address: Arc<Mutex<SocketAddr>>, count: Arc<AtomicU64>, known: Arc<Mutex<BTreeSet<String>>>) {
    loop {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let id = if number % 5 == 4 { format!("refused-{number}") } else { format!("c-{number}") };
        let now = *address.lock().unwrap();
        if connect(now, &id).await {
            known.lock().unwrap().insert(format!("{PARENT}/connections/{id}"));
        } else {
            sleep(Duration::from_millis(10)).await;
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
    upstream: &Scripted,
    receiver: &Receiver,
    known: &BTreeSet<String>,
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
            if done == kept.len() && told == kept {
                return heard;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let heard = timeout(ARRIVAL_TIME_MAX, calm)
        .await
        .expect("each event that is kept is heard, and said to be, in time");
    let called: BTreeSet<String> = upstream
        .calls()
        .iter()
        .map(|call| format!("{PARENT}/connections/{}", call.request["connectionId"].as_str().unwrap()))
        .collect();
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in heard {
        let body = believed(secret, &message);
        assert_eq!(body["type"], "connection.created");
        let name = body["data"]["resourceName"].as_str().unwrap().to_owned();
        ids.entry(name).or_default().insert(id(&message));
    }
    for (name, ids) in &ids {
        assert_eq!(ids.len(), 1, "{name} has one id: {ids:?}");
        assert!(called.contains(name) && !name.contains("refused"), "{name} did not happen");
    }
    let lost: Vec<_> = known.iter().filter(|name| !ids.contains_key(*name)).collect();
    assert!(lost.is_empty(), "made, answered, and never told: {lost:?}");
}

/// Kills a gateway while everything is under way; twice while the receiver takes messages and does not answer.
#[expect(clippy::print_stderr, reason = "where the kills struck is what this story is about")]
async fn killed(database: Database) {
    let (upstream, receiver) = (upstream().await, Receiver::listen().await);
    let settings = settings(&database, &upstream);
    let mut process = Process::start(&settings);
    let endpoint = endpoint(process.address, &receiver).await;
    let address = Arc::new(Mutex::new(process.address));
    let (count, known) = (Arc::new(AtomicU64::new(0)), Arc::<Mutex<BTreeSet<String>>>::default());
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
        drop(process);
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
    compare(process.address, &endpoint, &upstream, &receiver, &known).await;
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
    let (upstream, receiver) = (upstream().await, Receiver::listen().await);
    let gateway = Gateway::start(&settings(&server.database(), &upstream)).await;
    let endpoint = endpoint(gateway.address, &receiver).await;
    let mut known = BTreeSet::new();
    let make = async |known: &mut BTreeSet<String>, id: &str| {
        if connect(gateway.address, id).await {
            known.insert(format!("{PARENT}/connections/{id}"));
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
    compare(gateway.address, &endpoint, &upstream, &receiver, &known).await;
    let heard = receiver.heard();
    let ids: BTreeSet<&[u8]> = heard.iter().map(|(headers, _)| headers["webhook-id"].as_bytes()).collect();
    assert_eq!(heard.len(), ids.len(), "what was under way was written down when the database was back");
}
