//! Stories about pages without Redis. Time stands still unless told to move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, advance},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    clock::SystemClock,
    crypto::{Keys, Purpose},
    error::{Code, Error, Reason},
};

const RULE: Rule = Rule { ttl: Duration::from_secs(10), stale: Duration::from_secs(20) };

/// An upstream that counts, and answers with its count when it is let.
#[derive(Clone)]
struct Upstream {
    calls: Arc<AtomicUsize>,
    leave: Arc<Semaphore>,
    fails: Arc<AtomicUsize>,
}

impl Upstream {
    fn new() -> Self {
        Self { calls: Arc::default(), leave: Arc::new(Semaphore::new(1_000_000)), fails: Arc::default() }
    }

    async fn call(self) -> crate::error::Result<Page> {
        let count = self.calls.fetch_add(1, SeqCst);
        self.leave.acquire().await.unwrap().forget();
        match count < self.fails.load(SeqCst) {
            true => Err(Error::new(Code::Unavailable, Reason::UpstreamUnavailable, "down")),
            false => Ok(page(count)),
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

fn page(count: usize) -> Page {
    Page::new(Bytes::from(count.to_string()), 0, Vec::new())
}

fn cache() -> PageCache {
    let set = vec!["cache.memory_size_max=1MiB".to_owned(), "identity.mode=none".to_owned()];
    let sources = config::Sources { set, ..config::Sources::default() };
    let config = config::Config::load(sources).into_config().unwrap().cache;
    let tags = Keys::new(&[1; 32], &[]).mac(Purpose::CachedPage);
    PageCache::new(&config, None, tags, Arc::new(SystemClock), CancellationToken::new()).0
}

fn key(text: &str) -> Key {
    Key::of([text.as_bytes()])
}

fn scopes() -> Arc<[Scope]> {
    [Scope::collection("u", "projects/p/locations"), Scope::collection("u", "projects/p/locations/l/streams")]
        .into()
}

/// Asks as a request does.
async fn ask(cache: &PageCache, wish: Wish, upstream: &Upstream) -> crate::error::Result<Served> {
    let end = Instant::now() + Duration::from_secs(30);
    match cache.look_up(key("k"), RULE, wish, scopes).await {
        Lookup::Hit(served) => Ok(served),
        Lookup::Stale(served, ticket) => {
            cache.refresh(ticket, || upstream.clone().call());
            Ok(served)
        }
        Lookup::Miss(ticket) => cache.fetch(ticket, end, || upstream.clone().call()).await,
        Lookup::Bypass(why) => Ok(cache.around(upstream.clone().call().await?, why)),
    }
}

fn body(served: &Served) -> &str {
    std::str::from_utf8(&served.page.body).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_page_is_fresh_then_stale_then_gone() {
    let (cache, upstream) = (cache(), Upstream::new());
    let first = ask(&cache, Wish::Any, &upstream).await.unwrap();
    assert_eq!(first.how, How::Fetched { wanted: false, stored: true, collapsed: false });
    advance(RULE.ttl - Duration::from_secs(1)).await;
    let second = ask(&cache, Wish::Any, &upstream).await.unwrap();
    assert_eq!((body(&second), second.how), ("0", How::Hit(Duration::from_secs(1), Tier::Memory)));
    advance(Duration::from_secs(2)).await;
    let stale = ask(&cache, Wish::Any, &upstream).await.unwrap();
    assert_eq!((body(&stale), stale.how), ("0", How::Stale(Duration::from_secs(1), Tier::Memory)));
    while upstream.calls() < 2 || body(&ask(&cache, Wish::Any, &upstream).await.unwrap()) == "0" {
        tokio::task::yield_now().await;
    }
    assert_eq!(upstream.calls(), 2, "one page was fetched for all who saw the stale one");
    advance(RULE.ttl + RULE.stale).await;
    assert_eq!(body(&ask(&cache, Wish::Any, &upstream).await.unwrap()), "2");
}

#[tokio::test(start_paused = true)]
async fn a_stale_page_is_not_shown_past_its_bound_though_no_new_one_comes() {
    let (cache, upstream) = (cache(), Upstream::new());
    ask(&cache, Wish::Any, &upstream).await.unwrap();
    upstream.fails.store(usize::MAX, SeqCst);
    advance(RULE.ttl + RULE.stale - Duration::from_millis(1)).await;
    assert_eq!(body(&ask(&cache, Wish::Any, &upstream).await.unwrap()), "0");
    advance(Duration::from_millis(1)).await;
    assert_eq!(ask(&cache, Wish::Any, &upstream).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn the_caller_s_word_counts() {
    let (cache, upstream) = (cache(), Upstream::new());
    ask(&cache, Wish::Any, &upstream).await.unwrap();
    let apart = ask(&cache, Wish::Apart, &upstream).await.unwrap();
    assert_eq!((body(&apart), apart.how), ("1", How::Bypassed("no-store")));
    assert_eq!(body(&ask(&cache, Wish::Any, &upstream).await.unwrap()), "0", "nothing was kept of it");
    let fresh = ask(&cache, Wish::Fresh, &upstream).await.unwrap();
    assert_eq!(
        (body(&fresh), fresh.how),
        ("2", How::Fetched { wanted: true, stored: true, collapsed: false })
    );
    assert_eq!(body(&ask(&cache, Wish::Any, &upstream).await.unwrap()), "2");
    advance(Duration::from_secs(5)).await;
    let young = |seconds| Wish::NotOlderThan(Duration::from_secs(seconds));
    assert_eq!(body(&ask(&cache, young(6), &upstream).await.unwrap()), "2");
    assert_eq!(body(&ask(&cache, young(4), &upstream).await.unwrap()), "3");
}

#[tokio::test(start_paused = true)]
async fn nothing_from_before_a_change_is_shown_after_it() {
    let (cache, upstream) = (cache(), Upstream::new());
    ask(&cache, Wish::Any, &upstream).await.unwrap();
    cache.bump(&scopes()[..1]).await;
    assert_eq!(body(&ask(&cache, Wish::Any, &upstream).await.unwrap()), "1");

    // One that is under way when the change happens is stored under what was before, and found by nobody.
    let slow = Upstream { leave: Arc::new(Semaphore::new(0)), ..Upstream::new() };
    cache.bump(&scopes()).await;
    let mut tasks = JoinSet::new();
    let (reader, reads) = (cache.clone(), slow.clone());
    tasks.spawn(async move { ask(&reader, Wish::Any, &reads).await });
    while slow.calls() < 1 {
        tokio::task::yield_now().await;
    }
    cache.bump(&scopes()[1..]).await;
    let (reader, reads) = (cache.clone(), slow.clone());
    tasks.spawn(async move { ask(&reader, Wish::Any, &reads).await });
    while slow.calls() < 2 {
        tokio::task::yield_now().await;
    }
    slow.leave.add_permits(2);
    while tasks.join_next().await.is_some() {}
    assert_eq!(body(&ask(&cache, Wish::Any, &slow).await.unwrap()), "1");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_who_miss_at_once_make_one_call() {
    let (cache, upstream) = (cache(), Upstream { leave: Arc::new(Semaphore::new(0)), ..Upstream::new() });
    let mut tasks = JoinSet::new();
    for _ in 0..1000 {
        let (cache, upstream) = (cache.clone(), upstream.clone());
        tasks.spawn(async move { ask(&cache, Wish::Any, &upstream).await });
    }
    tokio::task::yield_now().await;
    upstream.leave.add_permits(1000);
    let mut collapsed = 0;
    while let Some(served) = tasks.join_next().await {
        let served = served.unwrap().unwrap();
        assert_eq!(body(&served), "0");
        collapsed += usize::from(matches!(served.how, How::Fetched { collapsed: true, .. }));
    }
    assert_eq!((upstream.calls(), collapsed), (1, 999));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_fails_or_leaves_takes_nobody_along() {
    let (cache, upstream) = (cache(), Upstream { leave: Arc::new(Semaphore::new(0)), ..Upstream::new() });
    upstream.fails.store(1, SeqCst);
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let (cache, upstream) = (cache.clone(), upstream.clone());
        tasks.spawn(async move { ask(&cache, Wish::Any, &upstream).await });
    }
    tokio::task::yield_now().await;
    upstream.leave.add_permits(1000);
    let mut failed = 0;
    while let Some(served) = tasks.join_next().await {
        failed += usize::from(served.unwrap().is_err());
    }
    assert_eq!((upstream.calls(), failed), (2, 1));

    let upstream = Upstream { leave: Arc::new(Semaphore::new(0)), ..Upstream::new() };
    cache.bump(&scopes()).await;
    let (reader, reads) = (cache.clone(), upstream.clone());
    tasks.spawn(async move { ask(&reader, Wish::Any, &reads).await });
    while upstream.calls() < 1 {
        tokio::task::yield_now().await;
    }
    let (reader, reads) = (cache.clone(), upstream.clone());
    let mut follower = std::pin::pin!(ask(&reader, Wish::Any, &reads));
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(follower.as_mut().poll(cx).is_pending())).await);
    tasks.abort_all();
    upstream.leave.add_permits(1);
    assert_eq!(body(&follower.await.unwrap()), "0");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_the_request_is_everybody_s_answer() {
    let cache = cache();
    let calls = Arc::new(AtomicUsize::new(0));
    let leave = Arc::new(Semaphore::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (cache, calls, leave) = (cache.clone(), calls.clone(), leave.clone());
        tasks.spawn(async move {
            let Lookup::Miss(ticket) = cache.look_up(key("k"), RULE, Wish::Any, scopes).await else {
                panic!("nothing is kept")
            };
            let fetch = || async move {
                calls.fetch_add(1, SeqCst);
                leave.acquire().await.unwrap().forget();
                Err(Error::upstream(Code::NotFound, "no such project", Vec::new()))
            };
            cache.fetch(ticket, Instant::now() + Duration::from_secs(1), fetch).await.unwrap_err().code()
        });
    }
    tokio::task::yield_now().await;
    leave.add_permits(50);
    assert!(tasks.join_all().await.iter().all(|code| *code == Code::NotFound));
    assert_eq!(calls.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_is_told_so_and_the_page_comes_all_the_same() {
    let (cache, upstream) = (cache(), Upstream { leave: Arc::new(Semaphore::new(0)), ..Upstream::new() });
    let Lookup::Miss(ticket) = cache.look_up(key("k"), RULE, Wish::Any, scopes).await else {
        panic!("nothing is kept")
    };
    let end = Instant::now() + Duration::from_millis(10);
    let error = cache.fetch(ticket, end, || upstream.clone().call()).await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::UpstreamTimeout));
    upstream.leave.add_permits(1);
    assert_eq!(body(&ask(&cache, Wish::Any, &upstream).await.unwrap()), "0");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_kept_is_not() {
    let cache = cache();
    for (page, stored) in [
        (Page { keep: false, ..page(0) }, false),
        (Page::new(Bytes::from(vec![0; 2 << 20]), 0, Vec::new()), false),
        (page(0), true),
    ] {
        let Lookup::Miss(ticket) = cache.look_up(key("k"), RULE, Wish::Any, scopes).await else {
            panic!("nothing is kept")
        };
        let served = cache.fetch(ticket, Instant::now() + RULE.ttl, || async { Ok(page) }).await.unwrap();
        assert_eq!(served.how, How::Fetched { wanted: false, stored, collapsed: false });
    }
}
