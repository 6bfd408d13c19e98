//! API keys.

super::contract! {
    a_key_is_found_as_it_was_kept,
    a_principal_has_so_many_live_keys_and_no_more,
    keys_are_listed_newest_first,
    a_key_is_revoked_once,
    a_mark_of_use_never_goes_back,
}

mod tell {
    use jiff::{SignedDuration, Timestamp};

    use crate::{
        model::{ApiKey, Role},
        store::{Kept, Room, Store},
    };

    const ROOM: Room = Room { live_max: 3, alike_max: 2 };

    fn key(id: &str, principal: &str, now: Timestamp) -> ApiKey {
        ApiKey {
            id: id.to_owned(),
            hash: [7; 32],
            principal: principal.to_owned(),
            role: Role::Operator,
            resources: ["projects/acme-*", "projects/other"].map(|text| text.parse().unwrap()).to_vec(),
            note: "for the nightly \"job\"".to_owned(),
            created_by: "cli".to_owned(),
            created: now,
            expires: Some(now + SignedDuration::from_hours(1)),
            revoked: None,
            last_used: None,
        }
    }

    pub(super) async fn a_key_is_found_as_it_was_kept(store: Store) {
        let key = key("a", "alice", store.now());
        assert_eq!(store.insert_key(&key, ROOM, store.now()).await.unwrap(), Kept::Yes);
        assert_eq!(store.find_key("a").await.unwrap(), Some(key));
        assert_eq!(store.find_key("b").await.unwrap(), None);
        assert_eq!(store.find_key("' OR 1=1 --").await.unwrap(), None);
    }

    pub(super) async fn a_principal_has_so_many_live_keys_and_no_more(store: Store) {
        let now = store.now();
        let insert = async |key: ApiKey, now| store.insert_key(&key, ROOM, now).await.unwrap();
        let of = |id: &str, principal: &str, role| ApiKey { role, ..key(id, principal, now) };
        for (id, principal, role, kept) in [
            ("a", "alice", Role::Operator, Kept::Yes),
            ("b", "alice", Role::Operator, Kept::Yes),
            ("c", "alice", Role::Operator, Kept::TooManyAlike),
            ("d", "alice", Role::Viewer, Kept::Yes),
            ("e", "alice", Role::Admin, Kept::TooMany),
            ("f", "bob", Role::Operator, Kept::Yes),
        ] {
            assert_eq!(insert(of(id, principal, role), now).await, kept, "{id}");
        }
        store.revoke_key("a", now).await.unwrap();
        let elsewhere =
            ApiKey { resources: vec!["projects/else".parse().unwrap()], ..key("g", "alice", now) };
        assert_eq!(insert(elsewhere, now).await, Kept::Yes, "it opens something else");
        store.revoke_key("d", now).await.unwrap();
        assert_eq!(insert(key("c", "alice", now), now).await, Kept::Yes);
        let later = now + SignedDuration::from_hours(2);
        assert_eq!(insert(key("h", "alice", later), later).await, Kept::Yes, "all have expired");
    }

    pub(super) async fn keys_are_listed_newest_first(store: Store) {
        let now = store.now();
        for (id, seconds) in [("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
            let key = key(id, id, now + SignedDuration::from_secs(seconds));
            assert_eq!(store.insert_key(&key, ROOM, now).await.unwrap(), Kept::Yes);
        }
        let (mut listed, mut after) = (Vec::new(), None::<ApiKey>);
        loop {
            let position = after.as_ref().map(|key| (key.created, key.id.as_str()));
            let page = store.list_keys(position, 3).await.unwrap();
            listed.extend(page.iter().map(|key| key.id.clone()));
            after = page.last().cloned();
            if page.len() < 3 {
                break;
            }
        }
        assert_eq!(listed, ["d", "c", "b", "a"]);
    }

    pub(super) async fn a_key_is_revoked_once(store: Store) {
        let now = store.now();
        store.insert_key(&key("a", "alice", now), ROOM, now).await.unwrap();
        assert!(store.find_key("a").await.unwrap().unwrap().is_live(now));
        let revoked = store.revoke_key("a", now).await.unwrap().unwrap();
        assert_eq!(revoked.revoked, Some(now));
        let again = store.revoke_key("a", now + SignedDuration::from_secs(9)).await.unwrap().unwrap();
        assert_eq!(again.revoked, Some(now));
        assert!(!again.is_live(now));
        assert_eq!(store.revoke_key("b", now).await.unwrap(), None);
    }

    pub(super) async fn a_mark_of_use_never_goes_back(store: Store) {
        let now = store.now();
        store.insert_key(&key("a", "alice", now), ROOM, now).await.unwrap();
        let later = now + SignedDuration::from_secs(9);
        store.touch_keys(&[("a".to_owned(), later), ("gone".to_owned(), later)]).await.unwrap();
        store.touch_keys(&[("a".to_owned(), now)]).await.unwrap();
        store.touch_keys(&[]).await.unwrap();
        assert_eq!(store.find_key("a").await.unwrap().unwrap().last_used, Some(later));
    }
}
