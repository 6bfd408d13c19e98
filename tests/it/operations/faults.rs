//! Processes that die, sleep or have the wrong time, and upstreams that are slow or half broken.

use super::*;

/// What keeps an upstream's answer back; without an answer it is silent.
type Held = tokio::sync::mpsc::Sender<Result<Value, (i32, &'static str)>>;

impl Story {
    /// Lets the next call of a method wait for the story.
    fn hold(&self, method: &str) -> Held {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        self.far(|far| far.held.insert(method.to_owned(), receiver));
        sender
    }

    pub(super) async fn until_called(&self, method: &str, times: usize) {
        while self.calls(method) < times {
            tokio::task::yield_now().await;
        }
    }
}

fn done() -> Value {
    json!({"response": {"@type": "type.googleapis.com/google.protobuf.Empty", "value": {}}})
}

#[tokio::test]
async fn wherever_a_replica_dies_another_tells_the_end_once() {
    for story in Story::each().await {
        let survivor = story.hand().await;
        // From the moment that the upstream is asked, over its answer, to long behind the write.
        for steps in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 100_000] {
            let victim = story.hand().await;
            let id = format!("after-{steps}");
            let it = victim.track(&story, &id).await;
            story.far(|far| far.end(&id, done()));
            story.pass(10);
            let asked = story.calls("GetOperation") + 1;
            let mut process = JoinSet::new();
            process.spawn(async move { victim.tick().await });
            story.until_called("GetOperation", asked).await;
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
            process.shutdown().await;
            // A lease later; what the dead one was writing may still be held by the database for a moment.
            story.pass(31);
            for _ in 0..100 {
                survivor.tick().await;
                if survivor.state(&it).await.is_final() {
                    break;
                }
                story.pass(1);
            }
            assert_eq!(survivor.state(&it).await, State::Succeeded, "{steps}");
            assert_eq!(survivor.told(&it).await, [EventKind::Created, EventKind::Succeeded], "{steps}");
        }
    }
}

#[tokio::test]
async fn a_zombies_write_is_refused_and_counted() {
    for story in Story::each().await {
        let (sleeper, other) = (story.hand().await, story.hand().await);
        let it = sleeper.track(&story, "a").await;
        let before = story.far(|far| far.operations[&it.upstream_name].clone());
        let answer = story.hold("GetOperation");
        story.pass(10);
        let asked = story.calls("GetOperation") + 1;
        let mut process = JoinSet::new();
        process.spawn(async move { sleeper.tick().await });
        story.until_called("GetOperation", asked).await;
        story.pass(31);
        story.far(|far| far.end("a", done()));
        assert_eq!(other.tick().await.changed, 1);
        // Now it hears what was so before.
        answer.send(Ok(before)).await.unwrap();
        drop(answer);
        let tick = process.join_next().await.unwrap().unwrap();
        assert_eq!((tick.claimed, tick.fenced), (1, 1));
        assert_eq!(other.state(&it).await, State::Succeeded);
        assert_eq!(other.told(&it).await, [EventKind::Created, EventKind::Succeeded]);
    }
}

#[tokio::test]
async fn a_gateway_that_dies_behind_the_upstreams_answer_leaves_nothing_behind() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let _answer = story.hold("CreateStream");
        let mut client = JoinSet::new();
        let mut connection = gateway.connect().await;
        client.spawn(async move {
            let headers = [("content-type", "application/json")];
            connection.open("POST", &format!("/v1/{PLACE}/streams?streamId=a"), &headers, "{}").await
        });
        story.until_called("CreateStream", 1).await;
        client.shutdown().await;
        drop(gateway);
        story.pass(600);
        let mut orphans = hand.store.orphans(10).await.unwrap();
        assert_eq!(orphans.len(), 1, "its intent is open");
        let orphan = orphans.remove(0);
        let id = orphan.id;
        let (settlement, effects) = hand.recovery.recover(&orphan).await.unwrap().expect("it is listed");
        hand.store.close_orphans(vec![(id, settlement, effects)]).await.unwrap();
        let all = hand.store.operations_page(&Page { rows_max: 10, ..Page::default() }).await.unwrap();
        assert_eq!((all.len(), &*all[0].upstream_name), (1, &*format!("{PLACE}/operations/a")));
        assert_eq!(hand.told(&all[0]).await, [EventKind::Created]);
        assert_eq!(story.calls("CreateStream"), 1, "nothing is sent twice");
        assert!(hand.store.orphans(10).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_slow_upstream_delays_nobody_elses_operations_and_one_name_at_two_is_two() {
    for story in Story::each().await {
        let spanner = format!("upstreams.spanner.endpoint=http://{}", story.upstream.address);
        // A store takes the database's time when it opens, so both open before any time passes.
        let (hand, ticking) = (story.hand_with(&[&spanner]).await, story.hand_with(&[&spanner]).await);
        let slow = hand.track(&story, "a").await;
        let quick = hand.desk.track("spanner", &slow.upstream_name, "alice", None).await.unwrap();
        assert_ne!(slow.id, quick.id);
        story.far(|far| far.end("a", done()));
        story.pass(10);
        let _silence = [story.hold("GetOperation")];
        let asked = story.calls("GetOperation") + 2;
        let mut process = JoinSet::new();
        process.spawn(async move { ticking.tick().await });
        story.until_called("GetOperation", asked).await;
        // One of the two is answered, the other one is not, and both are looked after at once.
        let states = async || [hand.state(&slow).await, hand.state(&quick).await];
        while !states().await.contains(&State::Succeeded) {
            tokio::task::yield_now().await;
        }
        assert!(states().await.contains(&State::Running), "its record is its own");
        process.shutdown().await;
        story.pass(31);
        hand.tick().await;
        assert_eq!(states().await, [State::Succeeded; 2]);
        for it in [&slow, &quick] {
            assert_eq!(hand.told(it).await, [EventKind::Created, EventKind::Succeeded]);
        }
    }
}

#[tokio::test]
async fn an_upstream_that_fails_every_other_call_loses_nothing() {
    for mut story in Story::each().await {
        let (far, count) = (story.far.clone(), std::sync::atomic::AtomicUsize::new(0));
        story.upstream = Scripted::start(move |call| {
            let odd = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2 == 1;
            let looks = call.method.ends_with("GetOperation") || call.method.ends_with("ListOperations");
            if odd && looks {
                return Answer::Refuse(13, "every other call fails", Vec::new());
            }
            far.lock().unwrap().answer(&call.method, &call.request)
        })
        .await;
        let hand = story.hand().await;
        let mut all = Vec::new();
        for n in 0..12 {
            story.far(|far| far.begin(&n.to_string()));
            let name = format!("{PLACE}/operations/{n}");
            // A caller tries again, as callers do.
            let it = loop {
                if let Ok(it) = hand.desk.track("datastream", &name, "alice", None).await {
                    break it;
                }
            };
            all.push(it);
        }
        story.far(|far| (0..12).for_each(|n| far.end(&n.to_string(), done())));
        for _ in 0..12 {
            story.pass(120);
            hand.tick().await;
        }
        for it in &all {
            assert_eq!(hand.told(it).await, [EventKind::Created, EventKind::Succeeded]);
        }
    }
}

#[tokio::test]
async fn a_host_clock_that_is_an_hour_off_changes_nothing() {
    // A file has no clock but that of its one process.
    let all = Story::each().await;
    let postgres = |story: &Story| story.database.url.starts_with("postgres");
    let Some(mut story) = all.into_iter().find(postgres) else { return };
    let right = story.hand().await;
    let ahead = Arc::new(ManualClock::new(SystemClock.now()));
    ahead.advance(Duration::from_secs(3600));
    let here = std::mem::replace(&mut story.clock, ahead.clone());
    let wrong = story.hand().await;
    let pass = |seconds| [&here, &ahead].map(|clock| clock.advance(Duration::from_secs(seconds)));
    let apart = wrong.store.now().duration_since(right.store.now());
    assert!(apart.abs().as_secs() < 5, "{apart}");
    let it = wrong.track(&story, "a").await;
    assert_eq!(wrong.tick().await.claimed + right.tick().await.claimed, 0, "nothing is due early");
    pass(20);
    let claimed = right.store.claim_operations("datastream", Room { questions: 8, rows: 8 }).await.unwrap();
    assert_eq!((claimed.len(), wrong.tick().await.claimed), (1, 0), "a lease is a lease");
    story.far(|far| far.end("a", done()));
    pass(31);
    assert_eq!(wrong.tick().await.changed, 1);
    assert_eq!(right.told(&it).await, [EventKind::Created, EventKind::Succeeded]);
}

#[tokio::test]
async fn ten_thousand_open_operations_are_found_after_a_restart() {
    const REST: u32 = 9_999;
    for story in Story::each().await {
        let before = story.hand().await;
        before.track(&story, "0").await;
        drop(before);
        let copied = "project, kind, upstream, run, parent, target, method, principal, state, version, created_at, \
                      updated_at, metadata, response, error, source, problem, poll_at, spacing, failures";
        let statement = |id: &str| {
            sqlx::AssertSqlSafe(format!(
                "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {REST})
                 INSERT INTO operations (id, upstream_name, {copied})
                 SELECT {id}, '{PLACE}/operations/' || n, {copied} FROM operations, s"
            ))
        };
        if story.database.url.starts_with("postgres") {
            let pool = sqlx::PgPool::connect(&story.database.url).await.unwrap();
            sqlx::query(statement("decode(md5(n::text), 'hex')")).execute(&pool).await.unwrap();
        } else {
            let pool = sqlx::SqlitePool::connect(&story.database.url).await.unwrap();
            sqlx::query(statement("randomblob(16)")).execute(&pool).await.unwrap();
        }
        story.far(|far| {
            for n in 1..=REST {
                far.begin(&n.to_string());
            }
            far.end("77", done());
        });
        let after = story.hand().await;
        story.pass(60);
        let mut total = Tick::default();
        loop {
            let tick = after.tick().await;
            if tick.claimed == 0 {
                break;
            }
            total += tick;
        }
        assert_eq!((total.claimed, total.fenced), (10_000, 0));
        assert!(total.calls <= 4, "{} calls", total.calls);
        let theirs = format!("{PLACE}/operations/77");
        let (ended, _) = after.store.operation_named("datastream", &theirs).await.unwrap().unwrap();
        assert_eq!(ended.state, State::Succeeded);
    }
}
