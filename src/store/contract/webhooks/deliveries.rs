//! What is on its way: claimed by one, at the pace of its endpoint, and sent again.

super::super::contract! {
    a_delivery_is_leased_to_one_at_a_time,
    a_zombies_result_is_dropped,
    one_endpoint_does_not_take_the_places_of_another,
    limits_of_an_endpoint_hold_over_all_claims,
    a_replay_goes_on_where_it_was_left,
    only_so_many_replays_of_an_endpoint_are_begun,
}

mod tell {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::super::{LEASE, claim, dispatch, endpoint, event, state, verdict, wanted};
    use crate::{
        model::{DeliveryState, Replay},
        store::{Store, Wanted},
    };

    fn replay(store: &Store, start: Timestamp, end: Timestamp) -> Replay {
        Replay {
            id: store.new_id("rp_"),
            project: "p".into(),
            endpoint: "we_a".into(),
            start,
            end,
            skip_succeeded: false,
            cursor: (start, String::new()),
            queued: 0,
            done: false,
            fence: 0,
            created_at: end,
        }
    }

    pub(super) async fn a_delivery_is_leased_to_one_at_a_time(store: Store) {
        endpoint(&store, "we_a").await;
        for _ in 0..20 {
            let event = event(&store).await;
            dispatch(&store, &event, &["we_a"]).await;
        }
        let (now, all) = (store.now(), [wanted("we_a", 20)]);
        let (a, b) = tokio::join!(claim(&store, &all, now), claim(&store, &all, now));
        let mut ids: Vec<_> = a.iter().chain(&b).map(|leased| leased.event.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((a.len() + b.len(), ids.len()), (20, 20), "none twice, none left");
        assert!(claim(&store, &all, now + LEASE - SignedDuration::from_secs(1)).await.is_empty());
        let again = claim(&store, &all, now + LEASE).await;
        assert_eq!(again.len(), 20, "the leases of the dead end");
        assert!(again.iter().all(|leased| leased.fence == 2));
    }

    pub(super) async fn a_zombies_result_is_dropped(store: Store) {
        endpoint(&store, "we_a").await;
        let event = event(&store).await;
        dispatch(&store, &event, &["we_a"]).await;
        let (now, all) = (store.now(), [wanted("we_a", 1)]);
        let zombie = claim(&store, &all, now).await.remove(0);
        let heir = claim(&store, &all, now + LEASE).await.remove(0);
        let late = verdict(&zombie, DeliveryState::Exhausted, now);
        assert_eq!(store.settle_deliveries(&[late], now).await.unwrap().written, 0);
        assert_eq!(state(&store, "we_a", &event).await, DeliveryState::Pending);
        let good = verdict(&heir, DeliveryState::Succeeded, now);
        assert_eq!(store.settle_deliveries(std::slice::from_ref(&good), now).await.unwrap().written, 1);
        assert_eq!(store.settle_deliveries(&[good], now).await.unwrap().written, 0, "nor the same one twice");
        let attempts = store.attempts("we_a", &event.id, 10).await.unwrap();
        assert_eq!(attempts.len(), 1);
        assert_eq!(
            (attempts[0].number, attempts[0].status, &attempts[0].answer[..]),
            (1, Some(200), &b"answer"[..])
        );
        store.resend_delivery("we_a", &event.id, &event.kind).await.unwrap();
        let again = claim(&store, &all, store.now()).await.remove(0);
        assert_eq!((again.event.id.as_str(), again.step, again.fence), (event.id.as_str(), 0, 4));
    }

    pub(super) async fn one_endpoint_does_not_take_the_places_of_another(store: Store) {
        for id in ["we_a", "we_b", "we_c"] {
            endpoint(&store, id).await;
        }
        for round in 0..30 {
            let event = event(&store).await;
            dispatch(&store, &event, if round < 28 { &["we_a"] } else { &["we_a", "we_c"] }).await;
        }
        let now = store.now();
        assert_eq!(store.ready_webhook_endpoints(now, "", 10).await.unwrap(), ["we_a", "we_c"]);
        assert_eq!(store.ready_webhook_endpoints(now, "we_a", 10).await.unwrap(), ["we_c"]);
        let leased = claim(&store, &[wanted("we_a", 5), wanted("we_b", 5), wanted("we_c", 5)], now).await;
        let of = |id: &str| leased.iter().filter(|leased| leased.endpoint == id).count();
        assert_eq!((of("we_a"), of("we_b"), of("we_c")), (5, 0, 2));
        assert_eq!(store.ready_webhook_endpoints(now, "", 10).await.unwrap(), ["we_a"]);
    }

    pub(super) async fn limits_of_an_endpoint_hold_over_all_claims(store: Store) {
        for id in ["we_a", "we_b"] {
            endpoint(&store, id).await;
        }
        for _ in 0..20 {
            let event = event(&store).await;
            dispatch(&store, &event, &["we_a", "we_b"]).await;
        }
        let slow = [Wanted { rate: Some(5), ..wanted("we_a", 20) }];
        let narrow = [Wanted { concurrency: Some(3), ..wanted("we_b", 20) }];
        let now = store.now();
        let mut begun = 0;
        for step in 0..=20 {
            let now = now + SignedDuration::from_millis(50 * step);
            let (a, b) = tokio::join!(claim(&store, &slow, now), claim(&store, &slow, now));
            begun += a.len() + b.len();
        }
        assert!((5..=6).contains(&begun), "five in a second, and the one that begins it: {begun}");
        let (a, b) = tokio::join!(claim(&store, &narrow, now), claim(&store, &narrow, now));
        let first: Vec<_> = a.into_iter().chain(b).collect();
        assert_eq!(first.len(), 3);
        assert!(claim(&store, &narrow, now).await.is_empty());
        store.settle_deliveries(&[verdict(&first[0], DeliveryState::Succeeded, now)], now).await.unwrap();
        assert_eq!(claim(&store, &narrow, now).await.len(), 1);
    }

    pub(super) async fn a_replay_goes_on_where_it_was_left(store: Store) {
        endpoint(&store, "we_a").await;
        let mut events = Vec::new();
        for _ in 0..3 {
            let event = event(&store).await;
            dispatch(&store, &event, &["we_a"]).await;
            events.push(event);
        }
        let (start, now) = (events[0].time, store.now());
        for leased in claim(&store, &[wanted("we_a", 2)], now).await {
            store.settle_deliveries(&[verdict(&leased, DeliveryState::Succeeded, now)], now).await.unwrap();
        }
        let replay = replay(&store, start, now);
        assert!(store.insert_replay(&replay, 1).await.unwrap());
        assert!(!store.insert_replay(&Replay { id: "rp_2".into(), ..replay.clone() }, 1).await.unwrap());
        let zombie = store.claim_replay(Duration::ZERO).await.unwrap().unwrap();
        let mut mine = store.claim_replay(Duration::from_secs(60)).await.unwrap().unwrap();
        assert!(store.claim_replay(Duration::from_secs(60)).await.unwrap().is_none());
        let page = store.events_between("p", &mine.cursor, mine.end, 2).await.unwrap();
        assert_eq!(page, events[..2]);
        let queue: Vec<_> = page.iter().map(|event| (event.id.clone(), event.kind.clone())).collect();
        assert!(!store.advance_replay(&zombie, &queue).await.unwrap());
        mine.cursor = (page[1].time, page[1].id.clone());
        assert!(store.advance_replay(&mine, &queue).await.unwrap());
        let mut heir = store.claim_replay(Duration::from_secs(60)).await.unwrap().unwrap();
        assert_eq!((heir.queued, &heir.cursor), (2, &mine.cursor));
        let rest = store.events_between("p", &heir.cursor, heir.end, 2).await.unwrap();
        assert_eq!(rest, events[2..]);
        heir.done = true;
        let queue = [(rest[0].id.clone(), rest[0].kind.clone())];
        assert!(store.advance_replay(&heir, &queue).await.unwrap());
        let done = store.replay("we_a", &replay.id).await.unwrap().unwrap();
        assert!(done.done);
        assert_eq!(done.queued, 2, "what was pending anyway was not queued again");
        assert!(store.claim_replay(Duration::ZERO).await.unwrap().is_none());
    }

    /// Those that began at once saw nothing of each other.
    pub(super) async fn only_so_many_replays_of_an_endpoint_are_begun(store: Store) {
        endpoint(&store, "we_a").await;
        let now = store.now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, replay) = (store.clone(), replay(&store, now, now));
            tasks.spawn(async move { store.insert_replay(&replay, 3).await.unwrap() });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|begun| *begun).count(), 3);
    }
}
