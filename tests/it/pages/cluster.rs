//! Stories about pages in a Redis that is a cluster, or that speaks TLS.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use causeway::{
    config::{Config, Sources},
    kv,
};
use tokio::{
    sync::oneshot::error::TryRecvError,
    time::{Instant, sleep, timeout},
};

use super::{
    BOOKS, copies, counting, keeping,
    shared::{KEPT_TIME_MAX, SLACK, in_time, numbered, pair, read_and_change, used},
};
use crate::{
    harness::{Cluster, Database, Gateway, Redis, Tls},
    tls::fixture,
};

const MASTERS: usize = 3;
const NO_TLS: Option<&Tls> = None;

/// Waits until a page is in Redis, which is a moment after the answer.
async fn kept(cluster: &Cluster) {
    let kept = async {
        while cluster.keys("causeway:page:*").is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(KEPT_TIME_MAX, kept).await.expect("the page is kept in Redis in time");
}

/// Reads until a page comes out of Redis.
async fn shared_by(one: &Gateway, other: &Gateway) {
    let started = Instant::now();
    loop {
        // A new page for both: what is in the memory of one would hide Redis.
        one.post(BOOKS, "{}").await;
        in_time(one).await;
        sleep(Duration::from_millis(20)).await;
        let (_, status) = in_time(other).await;
        if status.ends_with("; detail=redis") {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "what one keeps the other has: {status}");
    }
}

#[tokio::test]
async fn what_one_replica_fetched_the_other_has_from_the_cluster() {
    let (upstream, lists) = counting().await;
    let Some(cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    let ([one, other], _databases) = pair(&upstream, &[&cluster.setting()]).await;
    used(&one).await;
    kept(&cluster).await;
    let before = lists.load(SeqCst);
    other.get("/v1/shelves/t/books").await;
    let (number, status) = in_time(&other).await;
    assert!(status.ends_with("; detail=redis"), "{number}: {status}");
    assert_eq!(lists.load(SeqCst), before + 1);
    other.post(BOOKS, "{}").await;
    let after = copies(&one, BOOKS, &[]).await;
    assert!(after > number);
    assert_eq!(copies(&other, BOOKS, &[]).await, after);
    // Keys are wherever their slots are.
    for shelf in 0..20 {
        one.get(&format!("/v1/shelves/{shelf}/books")).await;
    }
    let mut places: Vec<usize> =
        cluster.keys("causeway:generation:*").into_iter().map(|(_, _, place)| place).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), MASTERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_told_of_a_change_sees_it_while_slots_move() {
    let upstream = numbered().await;
    let Some(cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    let (both, _databases) = pair(&upstream, &[&cluster.setting()]).await;
    let (end, mut ended) = tokio::sync::oneshot::channel();
    let moves = async {
        let mut count = 0;
        while ended.try_recv() == Err(TryRecvError::Empty) {
            for (_, slot, from) in cluster.keys("causeway:generation:*") {
                let to = (from + 1) % MASTERS;
                cluster.begin_to_move(&slot, from, to);
                sleep(Duration::from_millis(3)).await;
                cluster.move_keys(&slot, from, to);
                sleep(Duration::from_millis(3)).await;
                cluster.end_to_move(&slot, from, to);
                count += 1;
            }
            sleep(Duration::from_millis(3)).await;
        }
        count
    };
    let stories = async {
        read_and_change(&both).await;
        let _ = end.send(());
    };
    let (count, ()) = tokio::join!(moves, stories);
    assert!(count > 3, "slots moved: {count}");
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let (upstream, lists) = counting().await;
    let Some(cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    let ([one, other], _databases) = pair(&upstream, &[&cluster.setting()]).await;
    used(&one).await;
    kept(&cluster).await;
    let mut number = used(&other).await;
    let before = lists.load(SeqCst);
    let same = async |number: i64| {
        for gateway in [&one, &other] {
            let (seen, status) = in_time(gateway).await;
            assert_eq!(seen, number, "{status}");
        }
    };
    for (_, slot, from) in cluster.keys("causeway:*") {
        let to = (from + 1) % MASTERS;
        cluster.begin_to_move(&slot, from, to);
        same(number).await;
        cluster.move_keys(&slot, from, to);
        same(number).await;
        cluster.end_to_move(&slot, from, to);
        same(number).await;
    }
    assert_eq!(lists.load(SeqCst), before, "pages went along, and so did what vouches for them");
    assert_eq!(one.post(BOOKS, "{}").await.status, 200);
    let after = in_time(&other).await.0;
    assert!(after > number);
    number = after;
    same(number).await;
}

#[tokio::test]
async fn a_node_that_is_killed_fails_nobody() {
    let (upstream, _) = counting().await;
    let Some(mut cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    let (both, _databases) = pair(&upstream, &[&cluster.setting()]).await;
    for gateway in &both {
        used(gateway).await;
    }
    let mut told = 0;
    for gone in 0..MASTERS {
        cluster.nodes[gone].kill();
        let killed = Instant::now();
        // Longer than it takes the others to notice: from then on nobody has anything.
        while killed.elapsed() < Duration::from_secs(3) {
            for gateway in &both {
                let (number, status) = in_time(gateway).await;
                assert!(number >= told, "{number} after {told}: {status}");
            }
            let changed = both[0].post(BOOKS, "{}").await;
            assert_eq!(changed.status, 200);
            told = in_time(&both[0]).await.0;
            sleep(Duration::from_millis(50)).await;
        }
        cluster.nodes[gone].restart().await;
        cluster.is_whole().await;
        let [one, other] = &both;
        assert!(used(one).await >= told);
        shared_by(one, other).await;
        told = in_time(one).await.0;
    }
}

#[tokio::test]
async fn a_frozen_node_delays_nobody_beyond_the_budget() {
    let (upstream, _) = counting().await;
    let Some(cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    let (both, _databases) = pair(&upstream, &[&cluster.setting()]).await;
    let [one, other] = &both;
    for gateway in &both {
        used(gateway).await;
    }
    for node in &cluster.nodes {
        node.freeze();
        let mut last = 0;
        for _ in 0..20 {
            let changed = Instant::now();
            assert_eq!(one.post(BOOKS, "{}").await.status, 200);
            assert!(changed.elapsed() < kv::BUDGET + SLACK, "{:?}", changed.elapsed());
            let (number, status) = in_time(one).await;
            assert!(number > last, "{number} after {last}: {status}");
            last = number;
            in_time(other).await;
        }
        node.thaw();
        cluster.is_whole().await;
        assert!(used(one).await >= last);
    }
    shared_by(one, other).await;
}

#[tokio::test]
async fn what_the_others_have_is_shown_while_a_node_is_gone() {
    let (upstream, _) = counting().await;
    let Some(mut cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    let database = Database::sqlite();
    let gateway = keeping(&upstream, &[&cluster.setting(), &database.setting()]).await;
    let mut hits = [0; MASTERS];
    for (gone, hits) in hits.iter_mut().enumerate() {
        for node in &cluster.nodes {
            // Else nobody has anything once one is missed.
            assert!(node.tell("CONFIG SET cluster-require-full-coverage no").starts_with("+OK"));
        }
        used(&gateway).await;
        for (is_gone, shelf) in
            [false, true, true].into_iter().flat_map(|gone| (0..20).map(move |n| (gone, n)))
        {
            if is_gone && shelf == 0 {
                cluster.nodes[gone].kill();
            }
            let page = gateway.get(&format!("/v1/shelves/{shelf}/books")).await;
            assert_eq!(page.status, 200, "{}", page.text());
            *hits += usize::from(is_gone && page.header("cache-status").contains("hit"));
        }
        cluster.nodes[gone].restart().await;
        cluster.is_whole().await;
    }
    // Who has what vouches for all of them takes all of them along.
    assert!(hits.iter().filter(|hits| **hits > 0).count() >= MASTERS - 1, "{hits:?}");
}

#[tokio::test]
async fn a_gateway_starts_without_its_cluster_and_finds_it_later() {
    let (upstream, _) = counting().await;
    let Some(mut cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    for node in &mut cluster.nodes {
        node.kill();
    }
    let ([one, other], _databases) = pair(&upstream, &[&cluster.setting()]).await;
    for _ in 0..20 {
        assert!(in_time(&one).await.1.contains("bypass"));
    }
    for node in &mut cluster.nodes {
        node.restart().await;
    }
    cluster.is_whole().await;
    used(&one).await;
    shared_by(&one, &other).await;
}

#[tokio::test]
async fn one_node_is_enough_to_find_the_others() {
    let (upstream, _) = counting().await;
    let Some(cluster) = Cluster::start(MASTERS, NO_TLS).await else { return };
    // One that is there behind one that is not.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let last = cluster.nodes[2].url().replace("redis://", "");
    let url = format!("redis.url=redis+cluster://{nobody},{last}");
    let ([one, other], _databases) = pair(&upstream, &[&url]).await;
    used(&one).await;
    shared_by(&one, &other).await;
}

/// A server that believes who shows what it shows itself.
fn tls() -> Tls {
    Tls { certificate: fixture("peer.crt"), key: fixture("peer.key"), roots: fixture("peer.crt") }
}

/// What makes a gateway believe it, and show the same.
fn believing() -> [String; 3] {
    [
        format!("redis.tls.ca_file={}", fixture("peer.crt")),
        format!("redis.tls.certificate={}", fixture("peer.crt")),
        format!("redis.tls.key={}", fixture("peer.key")),
    ]
}

#[tokio::test]
async fn redis_is_believed_by_its_certificate_and_the_gateway_by_its_own() {
    let (upstream, _) = counting().await;
    let Some(redis) = Redis::with_tls(&tls()).await else { return };
    let url = format!("redis.url=rediss://localhost:{}", redis.tls_port());
    let [roots, certificate, key] = believing();
    let ([one, other], _databases) = pair(&upstream, &[&url, &roots, &certificate, &key]).await;
    used(&one).await;
    shared_by(&one, &other).await;
    // Without its own it is not let in, and without the roots it does not come in.
    for settings in [vec![&url, &roots], vec![&url, &certificate, &key]] {
        let database = Database::sqlite();
        let own = database.setting();
        let settings: Vec<&str> = settings.into_iter().map(String::as_str).chain([own.as_str()]).collect();
        let gateway = keeping(&upstream, &settings).await;
        for _ in 0..10 {
            let (_, status) = in_time(&gateway).await;
            assert_eq!(status, "causeway; fwd=bypass; detail=redis-away");
        }
    }
}

#[tokio::test]
async fn a_cluster_speaks_tls_too() {
    let (upstream, _) = counting().await;
    let tls = tls();
    let Some(cluster) = Cluster::start(MASTERS, Some(&tls)).await else { return };
    let url = format!("redis.url=rediss+cluster://localhost:{}", cluster.nodes[0].tls_port());
    let [roots, certificate, key] = believing();
    let ([one, other], _databases) = pair(&upstream, &[&url, &roots, &certificate, &key]).await;
    used(&one).await;
    shared_by(&one, &other).await;
}

#[test]
fn what_is_wrong_with_the_url_is_told_at_start_without_its_password() {
    for (url, why) in [
        ("redis://:hunter2@one:1,two:2", "redis+cluster://"),
        ("redis+cluster://:hunter2@one:1/7", "database 0"),
        ("memcached://:hunter2@one:1", "none of Redis's"),
    ] {
        let set = ["identity.mode=none".to_owned(), format!("redis.url={url}")].to_vec();
        let problems =
            Config::load(Sources { set, ..Sources::default() }).into_config().unwrap_err().to_string();
        assert!(problems.contains("redis.url") && problems.contains(why), "{problems}");
        assert!(!problems.contains("hunter2"), "{problems}");
    }
}
