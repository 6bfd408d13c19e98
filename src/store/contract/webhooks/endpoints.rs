//! Where it goes: what its owner says of it, and how it has been.

super::super::contract! {
    disabling_and_deleting_stop_a_queue_at_once,
    settling_and_disabling_at_once_are_in_nobodys_way,
    a_change_of_its_owner_leaves_how_an_endpoint_has_been,
    a_project_has_so_many_endpoints_and_no_more,
    failures_are_counted_from_the_first_to_the_next_success,
    what_is_left_alone_is_due_when_that_is_over,
    who_was_disabled_meanwhile_is_not_back,
}

mod tell {
    use jiff::SignedDuration;

    use super::super::{LEASE, claim, dispatch, endpoint, event, state, verdict, wanted};
    use crate::{
        model::{DeliveryState, Endpoint, EndpointState},
        store::{DeliveryQuery, Store},
    };

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
}
