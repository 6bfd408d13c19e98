//! Stories about replicas that share pages in Redis, and about a Redis that is not what it should be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use causeway::kv;
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{BOOKS, LIST, copies, counting, keeping};
use crate::harness::{Answer, Call, Connection, Database, Gateway, Redis, Scripted};

/// What a request may take beyond the budget for Redis: the rest of its way, on a machine that has other things to do.
pub(super) const SLACK: Duration = Duration::from_millis(400);
/// How long a page may take from its answer to Redis.
pub(super) const KEPT_TIME_MAX: Duration = Duration::from_secs(20);
const KEY: &str = "secrets.key=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Callers at once, and what each of them does.
const CALLERS: usize = 12;
const STEPS: usize = 250;

/// Two gateways with one Redis and one secret.
struct Replicas {
    both: [Gateway; 2],
    redis: Redis,
    _databases: [Database; 2],
}

impl Replicas {
    async fn of(upstream: &Scripted) -> Option<Self> {
        let redis = Redis::start().await?;
        let (both, databases) = pair(upstream, &[&redis.setting()]).await;
        Some(Self { both, redis, _databases: databases })
    }
}

/// Two gateways with one secret, each with a database of its own.
pub(super) async fn pair(upstream: &Scripted, more: &[&str]) -> ([Gateway; 2], [Database; 2]) {
    let databases = [Database::sqlite(), Database::sqlite()];
    let gateway = async |database: &Database| {
        let own = database.setting();
        let settings: Vec<&str> = [KEY, &own].into_iter().chain(more.iter().copied()).collect();
        keeping(upstream, &settings).await
    };
    let both = [gateway(&databases[0]).await, gateway(&databases[1]).await];
    (both, databases)
}

/// Reads a page, whatever Redis does meanwhile, and checks that it took no longer than it may.
pub(super) async fn in_time(gateway: &Gateway) -> (i64, String) {
    let started = Instant::now();
    let response = gateway.get(BOOKS).await;
    let took = started.elapsed();
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(took < kv::BUDGET + SLACK, "{took:?}");
    let copies = response.json()["books"][0]["copies"].as_i64().unwrap();
    (copies, response.header("cache-status").to_owned())
}

/// Waits until pages are kept: the first look-ups may be over before there is a connection to Redis.
pub(super) async fn used(gateway: &Gateway) -> i64 {
    let started = Instant::now();
    loop {
        let (number, status) = in_time(gateway).await;
        if status.contains("hit") {
            return number;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it is used: {status}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a page is in Redis, which is a moment after the answer.
async fn kept(redis: &Redis) {
    let kept = async {
        while !redis.tell("KEYS causeway:page:*").contains("causeway:page") {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(KEPT_TIME_MAX, kept).await.expect("the page is kept in Redis in time");
}

#[tokio::test]
async fn what_one_replica_fetched_the_other_has() {
    let (upstream, lists) = counting().await;
    let Some(replicas) = Replicas::of(&upstream).await else { return };
    let [one, other] = &replicas.both;
    used(one).await;
    kept(&replicas.redis).await;
    // The other connects when it first needs Redis, and that may take longer than a request may wait: it asks for a page after
    // the other until one comes from there.
    for size in 1..200 {
        let path = format!("/v1/shelves/t/books?pageSize={size}");
        one.get(&path).await;
        if other.get(&path).await.header("cache-status").ends_with("; detail=redis") {
            break;
        }
    }
    let before = lists.load(SeqCst);
    let (number, status) = in_time(other).await;
    assert!(status.ends_with("; detail=redis"), "{number}: {status}");
    assert!(in_time(other).await.1.ends_with("; detail=memory"));
    assert_eq!(lists.load(SeqCst), before);
    other.post(BOOKS, "{}").await;
    let after = copies(one, BOOKS, &[]).await;
    assert!(after > number);
    assert_eq!(copies(other, BOOKS, &[]).await, after);
}

/// A library with one number per shelf, which every change raises. Both reading and changing happen at once, and are told
/// a moment later.
pub(super) async fn numbered() -> Scripted {
    let numbers: Arc<[AtomicI64; 3]> = Arc::default();
    Scripted::start(move |call: &Call| {
        let name = call.request["parent"].as_str().unwrap_or_default();
        let shelf: usize = name.strip_prefix("shelves/").and_then(|id| id.parse().ok()).unwrap();
        let answer = match call.method == LIST {
            true => json!({"books": [{"copies": numbers[shelf].load(SeqCst)}]}),
            false => json!({"copies": numbers[shelf].fetch_add(1, SeqCst) + 1}),
        };
        let (sender, receiver) = mpsc::channel(1);
        let pause = Duration::from_micros(fastrand::u64(..3000));
        #[expect(clippy::disallowed_methods, reason = "it ends with the story")]
        tokio::spawn(async move {
            sleep(pause).await;
            let _ = sender.send(Ok(answer)).await;
        });
        Answer::Stream(receiver)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_told_of_a_change_sees_it_through_either_replica() {
    let upstream = numbered().await;
    let Some(replicas) = Replicas::of(&upstream).await else { return };
    read_and_change(&replicas.both).await;
}

/// Lets many callers read and change at random, through either, and checks that whoever was told of a change sees it.
pub(super) async fn read_and_change(both: &[Gateway; 2]) {
    // Of each shelf, the number that somebody was told.
    let told: Arc<[AtomicI64; 3]> = Arc::default();
    let (hits, lists) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (told, hits, lists) = (told.clone(), hits.clone(), lists.clone());
        let mut connections =
            [Connection::http1(both[0].address).await, Connection::http1(both[1].address).await];
        callers.spawn(async move {
            for _ in 0..STEPS {
                let (shelf, connection) = (fastrand::usize(..3), &mut connections[fastrand::usize(..2)]);
                let target = format!("/v1/shelves/{shelf}/books");
                if fastrand::u8(..) < 40 {
                    let json = [("content-type", "application/json")];
                    let changed = connection.send("POST", &target, &json, "{}").await;
                    assert_eq!(changed.status, 200, "{}", changed.text());
                    let number = changed.json()["copies"].as_i64().unwrap();
                    told[shelf].fetch_max(number, SeqCst);
                } else {
                    let known = told[shelf].load(SeqCst);
                    let page = connection.send("GET", &target, &[], "").await;
                    assert_eq!(page.status, 200, "{}", page.text());
                    let seen = page.json()["books"][0]["copies"].as_i64().unwrap_or_default();
                    assert!(seen >= known, "shelf {shelf}: {seen} after {known}: {:?}", page.headers);
                    lists.fetch_add(1, SeqCst);
                    hits.fetch_add(usize::from(page.header("cache-status").contains("hit")), SeqCst);
                }
            }
        });
    }
    callers.join_all().await;
    let (hits, lists) = (hits.load(SeqCst), lists.load(SeqCst));
    assert!(hits * 10 > lists, "{hits} of {lists} pages were kept ones");
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_fails_nobody() {
    let (upstream, _) = counting().await;
    let Some(mut replicas) = Replicas::of(&upstream).await else { return };
    for gateway in &replicas.both {
        used(gateway).await;
    }
    replicas.redis.kill();
    let mut last = 0;
    for _ in 0..30 {
        for gateway in &replicas.both {
            let (number, status) = in_time(gateway).await;
            assert!(number > last, "nothing is shown that nobody can vouch for: {status}");
            assert_eq!(status, "causeway; fwd=bypass; detail=redis-away");
            last = number;
        }
    }
    // A change that Redis never heard of.
    assert_eq!(replicas.both[0].post(BOOKS, "{}").await.status, 200);
    replicas.redis.restart().await;
    assert!(used(&replicas.both[0]).await > last);
}

#[tokio::test]
async fn a_frozen_redis_delays_nobody_beyond_the_budget_and_hides_no_change() {
    let (upstream, _) = counting().await;
    let Some(replicas) = Replicas::of(&upstream).await else { return };
    let [one, other] = &replicas.both;
    for gateway in [one, other] {
        used(gateway).await;
    }
    replicas.redis.freeze();
    for _ in 0..20 {
        in_time(one).await;
        in_time(other).await;
    }
    let started = Instant::now();
    let changed = one.post(BOOKS, "{}").await;
    assert_eq!(changed.status, 200);
    assert!(started.elapsed() < kv::BUDGET + SLACK, "{:?}", started.elapsed());
    let before = in_time(one).await.0;
    replicas.redis.thaw();
    // What is kept from before the change is in Redis, and in the memory of both. The one that knows of the change shows
    // none of it, and the other only until the first has told Redis.
    let mut seen = before;
    let started = Instant::now();
    loop {
        let (number, status) = in_time(one).await;
        assert!(number >= seen, "{number} after {seen}: {status}");
        seen = number;
        if status.contains("hit") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it is used again: {status}");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(in_time(other).await.0 >= before, "the first has told Redis by now");
}

#[tokio::test]
async fn a_full_redis_fails_nobody() {
    let (upstream, _) = counting().await;
    let Some(replicas) = Replicas::of(&upstream).await else { return };
    let [one, other] = &replicas.both;
    used(one).await;
    used(other).await;
    replicas.redis.tell("CONFIG SET maxmemory-policy noeviction");
    replicas.redis.tell("CONFIG SET maxmemory 1");
    let before = in_time(one).await.0;
    assert_eq!(one.post(BOOKS, "{}").await.status, 200);
    for _ in 0..20 {
        let (number, status) = in_time(one).await;
        assert!(number > before, "the change could not be told, and is not forgotten: {status}");
    }
    in_time(other).await;
    replicas.redis.tell("CONFIG SET maxmemory 0");
    assert!(used(one).await > before && used(other).await > before);
}

#[tokio::test]
async fn what_redis_makes_up_is_not_believed() {
    let (upstream, lists) = counting().await;
    let Some(replicas) = Replicas::of(&upstream).await else { return };
    let [one, other] = &replicas.both;
    used(one).await;
    kept(&replicas.redis).await;
    let of = |pattern: &str| {
        let answer = replicas.redis.tell(&format!("KEYS {pattern}"));
        answer.lines().filter(|line| line.starts_with("causeway:")).map(str::to_owned).collect::<Vec<_>>()
    };
    // Pages of another's making: too short, of no form, of another type.
    for value in ["x", "CWPG\\x01garbage", "CWPG"] {
        for page in of("causeway:page:*") {
            replicas.redis.tell(&format!("SET {page} \"{value}\""));
        }
        let before = lists.load(SeqCst);
        let number = in_time(other).await.0;
        assert_eq!(usize::try_from(number).unwrap(), before + 1, "{value}");
        other.send("GET", BOOKS, &[("cache-control", "no-cache")], "").await;
        assert_eq!(other.post("/v1/shelves/s/books", "{}").await.status, 200);
    }
    // Generations that are gone, or none.
    for what in ["DEL", "SET-garbage", "RPUSH"] {
        let before = in_time(one).await.0;
        for generation in of("causeway:generation:*") {
            match what {
                "DEL" => replicas.redis.tell(&format!("DEL {generation}")),
                "RPUSH" => {
                    replicas.redis.tell(&format!("DEL {generation}"));
                    replicas.redis.tell(&format!("RPUSH {generation} a"))
                }
                _ => replicas.redis.tell(&format!("SET {generation} garbage-that-is-long")),
            };
        }
        let (number, status) = in_time(one).await;
        assert!(number > before, "{what}: a page whose generation is gone is gone too: {status}");
        used(one).await;
    }
}

#[tokio::test]
async fn a_redis_that_speaks_nonsense_fails_nobody() {
    let (upstream, lists) = counting().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis.url=redis://{}", listener.local_addr().unwrap());
    let mut nonsense = JoinSet::new();
    nonsense.spawn(async move {
        let mut all = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            all.spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                let mut buffer = [0; 4096];
                while let Ok(1..) = stream.read(&mut buffer).await {
                    let said = [&b"*1000000000\r\n"[..], b"$-7\r\n", b"HTTP/1.1 200 OK\r\n", b"+OK\r\n"];
                    let _ = stream.write_all(said[fastrand::usize(..4)]).await;
                }
            });
        }
    });
    let database = Database::sqlite();
    let gateway = keeping(&upstream, &[&url, &database.setting()]).await;
    for number in 1..40 {
        let (seen, status) = in_time(&gateway).await;
        assert_eq!(seen, number, "{status}");
    }
    assert_eq!(gateway.post(BOOKS, "{}").await.status, 200);
    assert_eq!(lists.load(SeqCst), 39);
}
