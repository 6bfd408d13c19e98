//! Nothing is lost and nothing is made up, whenever the gateway is killed: three sets are compared in the end, the answers
//! that clients received, the calls that the upstream saw, and the entries of the audit log.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

use crate::harness::{Answer, Call, Database, Process, Scripted, attempt, library_file};

/// Clients that send without a break.
const CLIENTS: usize = 12;
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a killed gateway's requests may stay open: its lease and a round of those who look after them.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(40);

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Mutations that were answered, whatever the status.
    pub(crate) answered: usize,
    /// Calls that the upstream saw.
    pub(crate) called: usize,
    /// Entries of mutations.
    pub(crate) entries: usize,
    /// Of these, recorded as unknown.
    pub(crate) unknown: usize,
    /// Answered by the upstream, and without exactly one entry of this status.
    pub(crate) answers_without_entry: Vec<String>,
    /// Seen by the upstream, and without an entry.
    pub(crate) calls_without_entry: Vec<String>,
    /// Recorded as done, and never seen by the upstream.
    pub(crate) entries_without_call: Vec<String>,
    /// Keys that the upstream saw more than once.
    pub(crate) sent_twice: Vec<String>,
}

fn start(database: &Database, upstream: &Scripted) -> Process {
    Process::start(&[
        database.setting(),
        format!("schema.descriptor_sets=[\"{}\"]", library_file()),
        "upstreams.library.services=[\"acme.v1.Library\"]".to_owned(),
        format!("upstreams.library.endpoint=http://{}", upstream.address),
    ])
}

/// Sends mutations while the gateway is killed `kills` times; `harm` does more damage after each.
pub(crate) async fn run(
    database: &Database,
    kills: usize,
    between: Duration,
    harm: impl Fn(usize) + Send,
) -> Counts {
    let upstream = Scripted::start(|call| match call.request["reason"].as_str() {
        Some(reason) if reason.starts_with("refuse") => Answer::Refuse(9, "on loan", Vec::new()),
        _ => Answer::Message(json!({"name": "shelves/s/books/b"})),
    })
    .await;
    let mut process = start(database, &upstream);
    let address = Arc::new(Mutex::new(process.address));
    let answers: Arc<Mutex<HashMap<String, u16>>> = Arc::default();
    let count = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (address, answers, count) = (address.clone(), answers.clone(), count.clone());
        clients.spawn(send(client, address, answers, count));
    }
    for kill in 0..kills {
        tokio::time::sleep(between).await;
        drop(process);
        harm(kill);
        process = start(database, &upstream);
        *address.lock().unwrap() = process.address;
    }
    tokio::time::sleep(between).await;
    clients.shutdown().await;
    let answers = answers.lock().unwrap().clone();
    let counts = settle(&process, &upstream, &answers).await;
    drop(process);
    counts
}

/// One client: every third request has a key and is repeated with it until its fate is known.
async fn send(
    client: usize,
    address: Arc<Mutex<SocketAddr>>,
    answers: Arc<Mutex<HashMap<String, u16>>>,
    count: Arc<AtomicU64>,
) {
    loop {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let reason = match number % 3 {
            0 => format!("key-{number}"),
            1 => format!("refuse-{number}"),
            _ => format!("plain-{number}"),
        };
        for repetition in 0..50 {
            let id = format!("c{client}-{number}-{repetition}");
            let now = *address.lock().unwrap();
            let mut headers = vec![("content-type", "application/json"), ("x-request-id", id.as_str())];
            if reason.starts_with("key") {
                headers.push(("idempotency-key", reason.as_str()));
            }
            let body = json!({"reason": reason}).to_string();
            let sent = attempt(now, "POST", "/v1/shelves/s/books/b:archive", &headers, body);
            let Some(answer) = timeout(PATIENCE, sent).await.ok().flatten() else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if reason.starts_with("key") {
                    continue;
                }
                break;
            };
            let status = answer.status.as_u16();
            let replayed = answer.headers.contains_key("idempotency-replayed");
            if !replayed {
                answers.lock().unwrap().insert(id, status);
            }
            if !matches!(status, 409 | 503) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Waits until what the killed ones left is closed, and compares.
async fn settle(process: &Process, upstream: &Scripted, answers: &HashMap<String, u16>) -> Counts {
    let (mut calls, mut entries) = (Vec::new(), Vec::new());
    let waited = async {
        loop {
            calls = upstream.calls();
            entries = export(process.address).await;
            let recorded: HashSet<&str> =
                entries.iter().filter_map(|entry: &Value| entry["requestId"].as_str()).collect();
            // What was under way when the clients left has ended too.
            let calm = upstream.calls().len() == calls.len();
            if calm && calls.iter().all(|call| recorded.contains(request_id(call))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let _compared_anyway = timeout(SETTLE_TIME_MAX, waited).await;
    let seen: Vec<String> = calls.iter().map(|call| request_id(call).to_owned()).collect();

    let mut by_id: HashMap<&str, Vec<&Value>> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry["method"] == "acme.v1.Library.ArchiveBook") {
        by_id.entry(entry["requestId"].as_str().unwrap_or_default()).or_default().push(entry);
    }
    let called: HashSet<&str> = seen.iter().map(String::as_str).collect();
    let mut counts = Counts {
        answered: answers.len(),
        called: seen.len(),
        entries: by_id.values().map(Vec::len).sum(),
        unknown: by_id.values().flatten().filter(|entry| entry["result"] == "UNKNOWN").count(),
        ..Counts::default()
    };
    for (id, status) in answers.iter().filter(|(id, _)| called.contains(id.as_str())) {
        let rows = by_id.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        if rows.len() != 1 || rows[0]["httpStatus"] != *status {
            counts.answers_without_entry.push(format!("{id} {status} {rows:?}"));
        }
    }
    counts.calls_without_entry = seen.iter().filter(|id| !by_id.contains_key(id.as_str())).cloned().collect();
    for (id, rows) in &by_id {
        let done = rows.iter().any(|row| row["result"] == "SUCCESS" && row["replayed"].is_null());
        if done && !called.contains(id) {
            counts.entries_without_call.push((*id).to_owned());
        }
    }
    let mut keys: HashMap<&str, usize> = HashMap::new();
    for call in &calls {
        *keys.entry(call.request["reason"].as_str().unwrap_or_default()).or_default() += 1;
    }
    counts.sent_twice = keys
        .into_iter()
        .filter(|(reason, times)| reason.starts_with("key") && *times > 1)
        .map(|(reason, _)| reason.to_owned())
        .collect();
    counts
}

fn request_id(call: &Call) -> &str {
    call.headers["x-request-id"].to_str().unwrap_or_default()
}

async fn export(address: SocketAddr) -> Vec<Value> {
    let (mut entries, mut token) = (Vec::new(), String::new());
    loop {
        let target = format!("/v1/auditEntries:export?pageToken={token}");
        let Some(answer) = attempt(address, "GET", &target, &[], String::new()).await else { return entries };
        token = answer.header("causeway-next-page-token").to_owned();
        entries.extend(answer.text().lines().filter_map(|line| serde_json::from_str(line).ok()));
        if token.is_empty() {
            return entries;
        }
    }
}

/// Says what does not hold.
#[expect(clippy::print_stderr, reason = "the counts are what this story is about")]
pub(crate) fn check(name: &str, counts: &Counts) {
    eprintln!(
        "{name}: answered {}, called {}, entries {} of which unknown {}; answers without entry {}, calls without entry \
         {}, entries without call {}, keys sent twice {}",
        counts.answered,
        counts.called,
        counts.entries,
        counts.unknown,
        counts.answers_without_entry.len(),
        counts.calls_without_entry.len(),
        counts.entries_without_call.len(),
        counts.sent_twice.len(),
    );
    assert!(counts.called > 0 && counts.answered > 0, "{counts:?}");
    let broken = [
        &counts.answers_without_entry,
        &counts.calls_without_entry,
        &counts.entries_without_call,
        &counts.sent_twice,
    ];
    assert!(broken.iter().all(|set| set.is_empty()), "{broken:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_kills_lose_nothing() {
    let mut all = JoinSet::new();
    for database in Database::each().await {
        all.spawn(async move {
            let counts = run(&database, 3, Duration::from_millis(700), |_| ()).await;
            check(&database.url, &counts);
        });
    }
    all.join_all().await;
}
