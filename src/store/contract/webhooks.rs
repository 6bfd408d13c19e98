//! Events, endpoints, deliveries, attempts.

super::contract! {
    an_event_is_dispatched_once,
    what_is_told_of_a_resource_is_found_by_its_name,
    what_is_found_out_twice_is_written_once,
    a_delivery_is_leased_to_one_at_a_time,
    a_zombies_result_is_dropped,
    one_endpoint_does_not_take_the_places_of_another,
    limits_of_an_endpoint_hold_over_all_claims,
    disabling_and_deleting_stop_a_queue_at_once,
    settling_and_disabling_at_once_are_in_nobodys_way,
    a_change_of_its_owner_leaves_how_an_endpoint_has_been,
    a_project_has_so_many_endpoints_and_no_more,
    failures_are_counted_from_the_first_to_the_next_success,
    a_replay_goes_on_where_it_was_left,
    only_so_many_replays_of_an_endpoint_are_begun,
    what_is_old_goes,
    what_is_left_alone_is_due_when_that_is_over,
    who_writes_an_event_wakes_couriers,
    who_was_disabled_meanwhile_is_not_back,
}

mod tell {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use crate::{
        model::{Attempt, DeliveryState, Endpoint, EndpointSettings, EndpointState, Replay, WebhookEvent},
        store::{DeliveryQuery, EventQuery, Leased, NewDelivery, Store, Verdict, Wanted, contract::is_told},
    };

    const LEASE: SignedDuration = SignedDuration::from_secs(30);

    async fn endpoint(store: &Store, id: &str) -> Endpoint {
        let now = store.now();
        let endpoint = Endpoint {
            project: "p".into(),
            id: id.into(),
            version: 1,
            settings: EndpointSettings { url: "https://x.test/".into(), ..EndpointSettings::default() },
            state: EndpointState::Enabled,
            disabled_reason: String::new(),
            headers: Vec::new(),
            secrets: vec![1],
            failing_since: None,
            paused_until: None,
            created_at: now,
            updated_at: now,
        };
        assert!(store.insert_webhook_endpoint(&endpoint, 100).await.unwrap());
        store.webhook_endpoint("p", id).await.unwrap().unwrap()
    }

    async fn event(store: &Store) -> WebhookEvent {
        let event = store.new_event("p", "operation.succeeded", r#"{"operation":{"name":"o"}}"#.into());
        store.insert_events(std::slice::from_ref(&event)).await.unwrap();
        event
    }

    fn delivery(endpoint: &str, event: &WebhookEvent, leased: bool) -> NewDelivery {
        NewDelivery { endpoint: endpoint.into(), event: event.id.clone(), kind: event.kind.clone(), leased }
    }

    async fn dispatch(store: &Store, event: &WebhookEvent, endpoints: &[&str]) {
        let new: Vec<_> = endpoints.iter().map(|endpoint| delivery(endpoint, event, false)).collect();
        let now = store.now();
        let made = store.dispatch(std::slice::from_ref(&event.id), &new, now, now + LEASE).await.unwrap();
        assert_eq!(made.len(), endpoints.len());
    }

    fn wanted(endpoint: &str, slots: u32) -> Wanted {
        Wanted { endpoint: endpoint.into(), slots, rate: None, concurrency: None }
    }

    async fn claim(store: &Store, wanted: &[Wanted], now: Timestamp) -> Vec<Leased> {
        store.claim_deliveries(wanted, now, now + LEASE).await.unwrap()
    }

    fn verdict(leased: &Leased, state: DeliveryState, due_at: Timestamp) -> Verdict {
        let failed = state != DeliveryState::Succeeded;
        Verdict {
            endpoint: leased.endpoint.clone(),
            event: leased.event.id.clone(),
            fence: leased.fence,
            state,
            due_at,
            step: leased.step + 1,
            attempt: Attempt {
                number: 0,
                started_at: leased.event.time,
                took: Duration::from_millis(12),
                status: Some(if failed { 500 } else { 200 }),
                error: if failed { "STATUS".into() } else { String::new() },
                detail: String::new(),
                answer: b"answer".to_vec(),
            },
        }
    }

    async fn state(store: &Store, endpoint: &str, event: &WebhookEvent) -> DeliveryState {
        store.delivery(endpoint, &event.id).await.unwrap().unwrap().state
    }

    pub(super) async fn an_event_is_dispatched_once(store: Store) {
        endpoint(&store, "we_a").await;
        let event = event(&store).await;
        assert_eq!(store.undispatched_events(10).await.unwrap(), std::slice::from_ref(&event));
        let new = [delivery("we_a", &event, true), delivery("we_b", &event, false)];
        let (now, id) = (store.now(), std::slice::from_ref(&event.id));
        let (first, second) = tokio::join!(
            store.dispatch(id, &new, now, now + LEASE),
            store.dispatch(id, &new, now, now + LEASE),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.len() + second.len(), 2, "one of two replicas makes both");
        assert!(store.undispatched_events(10).await.unwrap().is_empty());
        let leased = store.delivery("we_a", &event.id).await.unwrap().unwrap();
        assert_eq!((leased.leased, leased.due_at), (true, now + LEASE));
        let query = EventQuery {
            project: "p".into(),
            kind: "operation.*".into(),
            since: Timestamp::UNIX_EPOCH,
            before: String::new(),
            limit: 10,
        };
        assert_eq!(store.events(&query).await.unwrap(), std::slice::from_ref(&event));
        let others = EventQuery { kind: "connection.*".into(), ..query.clone() };
        assert!(store.events(&others).await.unwrap().is_empty());
        let older = EventQuery { before: event.id.clone(), ..query };
        assert!(store.events(&older).await.unwrap().is_empty());
        assert_eq!(store.event("p", &event.id).await.unwrap().as_ref(), Some(&event));
        assert_eq!(store.event("q", &event.id).await.unwrap(), None, "an event is its project's");
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

    pub(super) async fn disabling_and_deleting_stop_a_queue_at_once(store: Store) {
        let before = store.webhook_generation().await.unwrap();
        let mut a = endpoint(&store, "we_a").await;
        endpoint(&store, "we_b").await;
        let event = event(&store).await;
        dispatch(&store, &event, &["we_a", "we_b"]).await;
        let now = store.now();
        let under_way = claim(&store, &[wanted("we_a", 1)], now).await.remove(0);
        a.state = EndpointState::Disabled;
        a.disabled_reason = "enough".into();
        assert!(store.update_webhook_endpoint(&a, false).await.unwrap());
        assert!(!store.update_webhook_endpoint(&a, false).await.unwrap(), "it is another version by now");
        assert_eq!(state(&store, "we_a", &event).await, DeliveryState::Cancelled);
        let late = verdict(&under_way, DeliveryState::Pending, now);
        assert_eq!(store.settle_deliveries(&[late], now).await.unwrap().written, 0);
        assert!(store.delete_webhook_endpoint("p", "we_b").await.unwrap());
        assert!(!store.delete_webhook_endpoint("p", "we_b").await.unwrap());
        assert_eq!(store.webhook_endpoint("p", "we_b").await.unwrap(), None);
        let both = [wanted("we_a", 1), wanted("we_b", 1)];
        assert!(claim(&store, &both, now + LEASE + LEASE).await.is_empty());
        assert!(store.webhook_generation().await.unwrap() > before);
        while store.sweep_webhook_endpoints(1).await.unwrap() {}
        assert_eq!(store.delivery("we_b", &event.id).await.unwrap(), None);
        let query = DeliveryQuery { endpoint: "we_a".into(), state: None, before: String::new(), limit: 10 };
        assert_eq!(store.deliveries(&query).await.unwrap().len(), 1, "the other's are left");
        let none = DeliveryQuery { state: Some(DeliveryState::Pending), ..query };
        assert!(store.deliveries(&none).await.unwrap().is_empty());
        let told = store.new_event("p", "webhook_endpoint.disabled", "{}".into());
        assert!(!store.disable_webhook_endpoint("we_a", "again", &told).await.unwrap());
        assert_eq!(store.event("p", &told.id).await.unwrap(), None, "no event for what did not happen");
    }

    /// One had deliveries and wanted their endpoint, the other had that and wanted these.
    pub(super) async fn settling_and_disabling_at_once_are_in_nobodys_way(store: Store) {
        const ROUNDS: usize = 40;
        let mut a = endpoint(&store, "we_a").await;
        let event = event(&store).await;
        dispatch(&store, &event, &["we_a"]).await;
        for _ in 0..ROUNDS {
            store.resend_delivery("we_a", &event.id, &event.kind).await.unwrap();
            let now = store.now();
            let failed = claim(&store, &[wanted("we_a", 1)], now).await;
            let failed = failed.iter().map(|it| verdict(it, DeliveryState::Pending, now)).collect::<Vec<_>>();
            a.state = EndpointState::Disabled;
            let (settled, disabled) =
                tokio::join!(store.settle_deliveries(&failed, now), store.update_webhook_endpoint(&a, false));
            assert!(settled.is_ok() && disabled.unwrap(), "{settled:?}");
            a = store.webhook_endpoint("p", "we_a").await.unwrap().unwrap();
            a.state = EndpointState::Enabled;
            assert!(store.update_webhook_endpoint(&a, true).await.unwrap());
            a = store.webhook_endpoint("p", "we_a").await.unwrap().unwrap();
        }
    }

    /// What its deliverers had written since it was read was written over.
    pub(super) async fn a_change_of_its_owner_leaves_how_an_endpoint_has_been(store: Store) {
        let read = endpoint(&store, "we_a").await;
        let event = event(&store).await;
        dispatch(&store, &event, &["we_a"]).await;
        let now = store.now();
        let leased = claim(&store, &[wanted("we_a", 1)], now).await.remove(0);
        store.settle_deliveries(&[verdict(&leased, DeliveryState::Pending, now)], now).await.unwrap();
        let until = now + SignedDuration::from_hours(1);
        store.pause_webhook_endpoint("we_a", until).await.unwrap();
        assert!(store.update_webhook_endpoint(&read, false).await.unwrap());
        let changed = store.webhook_endpoint("p", "we_a").await.unwrap().unwrap();
        assert_eq!((changed.failing_since, changed.paused_until), (Some(now), Some(until)));
        assert!(store.update_webhook_endpoint(&changed, true).await.unwrap());
        let anew = store.webhook_endpoint("p", "we_a").await.unwrap().unwrap();
        assert_eq!((anew.failing_since, anew.paused_until), (None, None));
    }

    pub(super) async fn a_project_has_so_many_endpoints_and_no_more(store: Store) {
        let first = endpoint(&store, "we_1").await;
        let mut others: Vec<Endpoint> =
            (2..12).map(|n| Endpoint { id: format!("we_{n}"), ..first.clone() }).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for other in others.drain(..) {
            let store = store.clone();
            tasks.spawn(async move { store.insert_webhook_endpoint(&other, 5).await.unwrap() });
        }
        let inserted = tasks.join_all().await.into_iter().filter(|inserted| *inserted).count();
        assert_eq!(inserted, 4);
        let listed = store.webhook_endpoints("p", "", 100).await.unwrap();
        assert_eq!(listed.len(), 5);
        assert_eq!(store.webhook_endpoints("p", &listed[3].id, 100).await.unwrap(), listed[4..]);
        let elsewhere = Endpoint { id: "we_q".into(), project: "q".into(), ..first };
        assert!(store.insert_webhook_endpoint(&elsewhere, 5).await.unwrap());
    }

    pub(super) async fn failures_are_counted_from_the_first_to_the_next_success(store: Store) {
        endpoint(&store, "we_a").await;
        let (event, all) = (event(&store).await, [wanted("we_a", 1)]);
        dispatch(&store, &event, &["we_a"]).await;
        let start = store.now();
        let hour = SignedDuration::from_hours(1);
        let mut now = start;
        for _ in 0..3 {
            now += hour;
            let leased = claim(&store, &all, now).await.remove(0);
            let settled =
                store.settle_deliveries(&[verdict(&leased, DeliveryState::Pending, now)], now).await.unwrap();
            assert_eq!(settled.health[0].failing_since, Some(start + hour));
            assert!(!settled.health[0].succeeded);
        }
        // Nobody tried for two days: nobody knows how it was meanwhile.
        now += SignedDuration::from_hours(48);
        let leased = claim(&store, &all, now).await.remove(0);
        let settled =
            store.settle_deliveries(&[verdict(&leased, DeliveryState::Pending, now)], now).await.unwrap();
        assert_eq!(settled.health[0].failing_since, Some(now));
        let leased = claim(&store, &all, now).await.remove(0);
        let settled =
            store.settle_deliveries(&[verdict(&leased, DeliveryState::Succeeded, now)], now).await.unwrap();
        assert!(settled.health[0].succeeded && settled.health[0].failing_since == Some(now));
        let told = store.new_event("p", "webhook_endpoint.recovered", "{}".into());
        for _ in 0..2 {
            store.recover_webhook_endpoint("we_a", Some(&told)).await.unwrap();
        }
        assert_eq!(store.webhook_endpoint("p", "we_a").await.unwrap().unwrap().failing_since, None);
        assert!(store.event("p", &told.id).await.unwrap().is_some());
        let later = now + hour;
        store.pause_webhook_endpoint("we_a", later).await.unwrap();
        store.resend_delivery("we_a", &event.id, &event.kind).await.unwrap();
        assert!(claim(&store, &all, now).await.is_empty(), "left alone");
        assert_eq!(claim(&store, &all, later).await.len(), 1);
    }

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

    pub(super) async fn what_is_told_of_a_resource_is_found_by_its_name(store: Store) {
        let about = |name: &str| format!(r#"{{"upstream":"u","resourceName":"{name}"}}"#);
        let mut told = Vec::new();
        for (kind, name) in [
            ("connection.created", "projects/p/a_b%"),
            ("connection.created", "projects/p/aXb%"),
            ("connection.created", "projects/p/A_B%"),
            ("operation.created", "projects/p/a_b%"),
            ("connection.deleted", "projects/p/a_b%"),
        ] {
            let mut event = store.new_event("p", kind, about(name));
            event.time += SignedDuration::from_secs(told.len() as i64);
            told.push(event);
        }
        store.insert_events(&told).await.unwrap();
        let found =
            async |limit| store.events_about("p", "connection.", "projects/p/a_b%", limit).await.unwrap();
        assert_eq!(found(10).await, [told[4].clone(), told[0].clone()], "the latest first, and no other's");
        assert_eq!(found(1).await, [told[4].clone()]);
        assert_eq!(store.events_about("q", "connection.", "projects/p/a_b%", 10).await.unwrap(), []);
    }

    pub(super) async fn what_is_found_out_twice_is_written_once(store: Store) {
        let moment = store.now();
        let found_out = |later: i64| {
            let event = store.new_event("p", "connection.created", r#"{"resourceName":"c"}"#.into());
            event.found_out(moment + SignedDuration::from_secs(later), moment, &[b"c", b"7"])
        };
        store.insert_events(&[found_out(0), found_out(5)]).await.unwrap();
        assert_eq!(store.undispatched_events(10).await.unwrap(), [found_out(0)]);
    }

    pub(super) async fn who_writes_an_event_wakes_couriers(store: Store) {
        endpoint(&store, "we_a").await;
        assert!(!is_told(&store).await);
        let event = event(&store).await;
        assert!(is_told(&store).await);
        dispatch(&store, &event, &["we_a"]).await;
        assert!(!is_told(&store).await, "it is no event");
        let about = |kind| store.new_event("p", kind, "{}".into());
        let recovered = about("webhook_endpoint.recovered");
        store.recover_webhook_endpoint("we_a", Some(&recovered)).await.unwrap();
        assert!(is_told(&store).await);
        let disabled = about("webhook_endpoint.disabled");
        assert!(store.disable_webhook_endpoint("we_a", "enough", &disabled).await.unwrap());
        assert!(is_told(&store).await);
    }

    /// What had accepted just before it was disabled counted as back.
    pub(super) async fn who_was_disabled_meanwhile_is_not_back(store: Store) {
        endpoint(&store, "we_a").await;
        let about = |kind| store.new_event("p", kind, "{}".into());
        let disabled = about("webhook_endpoint.disabled");
        assert!(store.disable_webhook_endpoint("we_a", "gone", &disabled).await.unwrap());
        let recovered = about("webhook_endpoint.recovered");
        store.recover_webhook_endpoint("we_a", Some(&recovered)).await.unwrap();
        assert_eq!(store.event("p", &recovered.id).await.unwrap(), None);
        let mut enabled = store.webhook_endpoint("p", "we_a").await.unwrap().unwrap();
        enabled.state = EndpointState::Enabled;
        assert!(store.update_webhook_endpoint(&enabled, true).await.unwrap());
        store.recover_webhook_endpoint("we_a", Some(&recovered)).await.unwrap();
        assert!(store.event("p", &recovered.id).await.unwrap().is_some(), "now it is");
    }

    pub(super) async fn what_is_old_goes(store: Store) {
        endpoint(&store, "we_a").await;
        let old = event(&store).await;
        dispatch(&store, &old, &["we_a"]).await;
        let waiting = event(&store).await;
        let backlog = store.delivery_backlog(10).await.unwrap();
        assert_eq!(backlog.depth, 1);
        assert!(backlog.oldest_due_at.is_some());
        let now = store.now() + SignedDuration::from_secs(1);
        assert_eq!(store.expire_events(now, 10).await.unwrap(), 1);
        assert_eq!(store.delivery("we_a", &old.id).await.unwrap(), None);
        assert_eq!(
            store.undispatched_events(10).await.unwrap(),
            [waiting],
            "nothing goes before it was told"
        );
    }

    /// It was counted as late all the while, and said to be due before.
    pub(super) async fn what_is_left_alone_is_due_when_that_is_over(store: Store) {
        endpoint(&store, "we_a").await;
        endpoint(&store, "we_b").await;
        let event = event(&store).await;
        dispatch(&store, &event, &["we_a"]).await;
        let hour = SignedDuration::from_hours(1);
        let until = store.now() + hour;
        store.pause_webhook_endpoint("we_a", until).await.unwrap();
        let due = async |id: &str| store.delivery(id, &event.id).await.unwrap().unwrap().due_at;
        let backlog = async || store.delivery_backlog(10).await.unwrap();
        assert_eq!(due("we_a").await, until);
        assert_eq!((backlog().await.depth, backlog().await.oldest_due_at), (1, None));
        store.send_event_to("we_b", &event).await.unwrap();
        assert_eq!(backlog().await.oldest_due_at, Some(due("we_b").await), "nobody leaves this one alone");
        let leased = claim(&store, &[wanted("we_b", 1)], store.now()).await.remove(0);
        let done = verdict(&leased, DeliveryState::Succeeded, store.now());
        store.settle_deliveries(&[done], store.now()).await.unwrap();
        store.shift_clock(hour + hour);
        assert_eq!(backlog().await.oldest_due_at, Some(until));
        let leased = claim(&store, &[wanted("we_a", 1)], store.now()).await.remove(0);
        let later = until + hour + hour;
        let again = verdict(&leased, DeliveryState::Pending, later);
        store.settle_deliveries(&[again], store.now()).await.unwrap();
        assert_eq!(due("we_a").await, later, "what is behind that is as it is");
    }
}
