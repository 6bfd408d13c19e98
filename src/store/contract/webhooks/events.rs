//! What is told: written once, dispatched once, found and forgotten.

super::super::contract! {
    an_event_is_dispatched_once,
    what_is_told_of_a_resource_is_found_by_its_name,
    what_is_found_out_twice_is_written_once,
    what_is_old_goes,
    who_writes_an_event_wakes_couriers,
}

mod tell {
    use jiff::{SignedDuration, Timestamp};

    use super::super::{LEASE, delivery, dispatch, endpoint, event};
    use crate::store::{EventQuery, Store, contract::is_told};

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
}
