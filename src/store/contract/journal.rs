//! Intents, outcomes and Idempotency-Keys.

super::contract! {
    an_intent_is_closed_by_its_outcome,
    an_outcome_counts_once,
    an_outcome_that_comes_late_tells_nothing_twice,
    an_outcome_that_comes_late_puts_right_what_others_made_of_it,
    an_outcome_is_written_with_what_it_tells,
    one_of_a_hundred_with_one_key_goes_ahead,
    a_key_replays_refuses_and_is_forgotten,
    what_a_dead_gateway_began,
    whoever_could_not_say_that_it_lives_is_not_dead,
    many_orphans_are_closed_at_once,
    a_key_expires,
    what_is_dropped_half_way_is_closed_as_unknown,
}

mod tell {
    use std::time::Duration;

    use jiff::SignedDuration;
    use tokio::task::JoinSet;

    use crate::{
        crypto::{self, Keys, Purpose},
        model::{Ending, Entry, Outcome, WebhookEvent},
        store::{
            Store,
            audit::{Filter, Walk},
            contract::{alter, is_told},
            journal::{Effects, Intent, Journal, KeyFate, KeyUse, Opened, Settled, Settlement, Ticket},
        },
    };

    const LEASE: Duration = Duration::from_secs(60);

    struct Running {
        journal: Journal,
        tasks: JoinSet<()>,
    }

    impl Running {
        async fn alive(store: &Store) -> Self {
            store.stay_alive(store.now() + LEASE).await.unwrap();
            Self::silent(store)
        }

        /// A gateway that never says that it is alive: as if it had died at once.
        fn silent(store: &Store) -> Self {
            let (journal, work) = Journal::new(store.clone());
            let mut tasks = JoinSet::new();
            tasks.spawn(work);
            Self { journal, tasks }
        }

        async fn open(&self, key: Option<KeyUse>) -> Opened {
            self.journal.open(Intent { entry: Entry::default(), key }).await.unwrap()
        }

        async fn settle(&self, ticket: Ticket, key: KeyFate) {
            let outcome = Outcome { ending: Ending::Success, status: 200, ..Outcome::default() };
            let settled = self.journal.settle(ticket, Settlement { outcome, key }, Effects::default()).await;
            assert_eq!(settled, Settled::Durable);
        }

        async fn end(mut self) {
            drop(self.journal);
            self.tasks.join_next().await.unwrap().unwrap();
        }
    }

    fn key(scope: u8, fingerprint: u8, reissuable: bool) -> Option<KeyUse> {
        Some(KeyUse { scope: [scope; 32], fingerprint: [fingerprint; 32], reissuable })
    }

    fn go(opened: Opened) -> Ticket {
        match opened {
            Opened::Go(ticket) => ticket,
            other => panic!("not to go ahead: {other:?}"),
        }
    }

    pub(super) async fn an_intent_is_closed_by_its_outcome(store: Store) {
        let gateway = Running::silent(&store);
        let ticket = go(gateway.open(None).await);
        let orphans = store.orphans(10).await.unwrap();
        assert_eq!(orphans.iter().map(|orphan| orphan.id).collect::<Vec<_>>(), [ticket.id()]);
        assert_eq!(store.under_way(10).await.unwrap(), Some(Vec::new()), "its gateway is silent");
        let nobody = store.living().await.unwrap();
        store.stay_alive(store.now() + LEASE).await.unwrap();
        assert_ne!(store.living().await.unwrap(), nobody);
        assert_eq!(store.orphans(10).await.unwrap(), [], "its gateway lives");
        assert_eq!(store.under_way(1).await.unwrap(), Some(vec![orphans[0].entry.clone()]));
        assert_eq!(store.under_way(0).await.unwrap(), None, "there is more");
        alter(&store, "DELETE FROM instances").await;
        assert_eq!(store.living().await.unwrap(), nobody);
        gateway.settle(ticket, KeyFate::Release).await;
        assert_eq!(store.orphans(10).await.unwrap(), [], "it is closed");
        store.stay_alive(store.now() + LEASE).await.unwrap();
        assert_eq!(store.under_way(10).await.unwrap(), Some(Vec::new()));
        gateway.end().await;
    }

    /// What nobody heard of being written is written once more.
    pub(super) async fn an_outcome_counts_once(store: Store) {
        let signer = Keys::new(&[3; 32], &[]).signer(Purpose::AuditSeal);
        let gateway = Running::alive(&store).await;
        let ticket = go(gateway.open(None).await);
        let id = ticket.id();
        gateway.settle(ticket, KeyFate::Release).await;
        let again = async || {
            let outcome = Outcome { ending: Ending::Error, status: 500, ..Outcome::default() };
            let settlement = Settlement { outcome, ..Settlement::default() };
            store.close_orphans(vec![(id, settlement, Effects::default())]).await.unwrap();
        };
        again().await;
        assert_eq!(store.seal(&signer, 10).await.unwrap(), 1);
        again().await;
        assert_eq!(store.seal(&signer, 10).await.unwrap(), 0, "it was in the log already");
        let walk = Walk { ascending: true, after: None, rows_max: 10 };
        let entries = store.audit_page(&Filter::default(), walk).await.unwrap();
        assert_eq!(entries.iter().map(|entry| entry.columns.status).collect::<Vec<_>>(), [200]);
        gateway.end().await;
    }

    pub(super) async fn an_outcome_is_written_with_what_it_tells(store: Store) {
        let gateway = Running::alive(&store).await;
        let ticket = go(gateway.open(None).await);
        let event = store.new_event("p", "connection.created", r#"{"resourceName":"c"}"#.to_owned());
        assert_eq!(store.event("p", &event.id).await.unwrap(), None);
        let effects = Effects { events: vec![event.clone()], ..Effects::default() };
        assert!(!is_told(&store).await, "nothing has happened yet");
        gateway.journal.settle(ticket, Settlement::default(), effects).await;
        assert!(is_told(&store).await);
        assert_eq!(store.event("p", &event.id).await.unwrap().as_ref(), Some(&event));
        assert_eq!(store.undispatched_events(10).await.unwrap(), [event]);
        gateway.end().await;
    }

    /// What a gateway had under way that was cut off for a while stood as UNKNOWN in the log for ever.
    pub(super) async fn an_outcome_that_comes_late_puts_right_what_others_made_of_it(store: Store) {
        let signer = Keys::new(&[3; 32], &[]).signer(Purpose::AuditSeal);
        let gateway = Running::alive(&store).await;
        let [early, late] = [go(gateway.open(None).await), go(gateway.open(None).await)];
        let log = async || {
            store.seal(&signer, 10).await.unwrap();
            let walk = Walk { ascending: true, after: None, rows_max: 10 };
            let entries = store.audit_page(&Filter::default(), walk).await.unwrap();
            let outcomes =
                entries.iter().map(|entry| serde_json::from_str::<Outcome>(&entry.outcome).unwrap());
            outcomes.map(|outcome| (outcome.status, outcome.corrects)).collect::<Vec<_>>()
        };
        let unknown = |ticket: &Ticket| (ticket.id(), Settlement::default(), Effects::default());
        store.close_orphans(vec![unknown(&early), unknown(&late)]).await.unwrap();
        let id = crypto::uuid_text(&late.id());
        // By the end of a gateway everything is put right.
        let settle = async |gateway: Running, ticket| {
            let outcome = Outcome { ending: Ending::Success, status: 200, ..Outcome::default() };
            let settlement = Settlement { outcome, ..Settlement::default() };
            let settled = gateway.journal.settle(ticket, settlement, Effects::default()).await;
            assert_eq!(settled, Settled::Deferred);
            gateway.end().await;
        };
        let plain = |status| (status, String::new());
        settle(gateway, early).await;
        let mut all = log().await;
        all.sort_unstable();
        assert_eq!(all, [plain(0), plain(200)], "it was not sealed yet");
        settle(Running::alive(&store).await, late).await;
        let mut all = log().await;
        all.sort_unstable();
        assert_eq!(all, [plain(0), plain(200), (200, id)]);
    }

    /// A gateway that was cut off for a while told of what another had found out and told meanwhile, under an id of its own.
    pub(super) async fn an_outcome_that_comes_late_tells_nothing_twice(store: Store) {
        let event = |kind: &str| store.new_event("p", kind, r#"{"resourceName":"c"}"#.to_owned());
        let effects = |event: &WebhookEvent| Effects { events: vec![event.clone()], ..Effects::default() };
        let gateway = Running::alive(&store).await;
        let [found, unseen] = [go(gateway.open(None).await), go(gateway.open(None).await)];
        let told = event("connection.created");
        let closed = [(found.id(), effects(&told)), (unseen.id(), Effects::default())];
        let closed = closed.map(|(id, effects)| (id, Settlement::default(), effects));
        store.close_orphans(closed.to_vec()).await.unwrap();
        let late = event("connection.deleted");
        for (ticket, event) in [(found, event("connection.created")), (unseen, late.clone())] {
            let outcome = Outcome { ending: Ending::Success, status: 200, ..Outcome::default() };
            let settlement = Settlement { outcome, ..Settlement::default() };
            let settled = gateway.journal.settle(ticket, settlement, effects(&event)).await;
            assert_eq!(settled, Settled::Deferred);
        }
        gateway.end().await;
        assert_eq!(store.undispatched_events(10).await.unwrap(), [told, late]);
    }

    pub(super) async fn one_of_a_hundred_with_one_key_goes_ahead(store: Store) {
        let gateway = Running::alive(&store).await;
        let mut calls = JoinSet::new();
        for _ in 0..100 {
            let journal = gateway.journal.clone();
            calls.spawn(async move {
                journal.open(Intent { entry: Entry::default(), key: key(1, 1, false) }).await.unwrap()
            });
        }
        let all = calls.join_all().await;
        let gone = all.iter().filter(|opened| matches!(opened, Opened::Go(_))).count();
        let waiting = all.iter().filter(|opened| matches!(opened, Opened::InProgress)).count();
        assert_eq!((gone, waiting), (1, 99));
        drop(all);
        gateway.end().await;
    }

    pub(super) async fn a_key_replays_refuses_and_is_forgotten(store: Store) {
        let gateway = Running::alive(&store).await;
        let first = go(gateway.open(key(1, 1, false)).await);
        assert!(matches!(gateway.open(key(1, 1, false)).await, Opened::InProgress));
        assert!(matches!(gateway.open(key(1, 2, false)).await, Opened::Mismatch));
        let other = go(gateway.open(key(2, 1, false)).await);
        gateway.settle(first, KeyFate::Answer(b"answer".to_vec())).await;
        for _ in 0..2 {
            assert!(
                matches!(gateway.open(key(1, 1, false)).await, Opened::Replay(answer) if answer == b"answer")
            );
        }
        assert!(matches!(gateway.open(key(1, 2, false)).await, Opened::Mismatch));
        gateway.settle(other, KeyFate::Release).await;
        let again = go(gateway.open(key(2, 1, false)).await);
        gateway.settle(again, KeyFate::Unknown).await;
        assert!(matches!(gateway.open(key(2, 1, false)).await, Opened::Unknown));
        gateway.end().await;
    }

    pub(super) async fn what_a_dead_gateway_began(store: Store) {
        let dead = Running::silent(&store);
        let _left = go(dead.open(key(1, 1, false)).await);
        let _left = go(dead.open(key(2, 1, true)).await);
        // Whoever is at work on it knows that without having been able to say so.
        assert!(matches!(dead.open(key(1, 1, false)).await, Opened::InProgress));
        assert!(matches!(dead.open(key(2, 1, true)).await, Opened::InProgress));
        // From here on they are another's, who never said that it lives.
        alter(&store, "UPDATE idempotency_keys SET instance = 'dead'").await;
        assert!(matches!(dead.open(key(1, 1, false)).await, Opened::Unknown), "never sent twice");
        let taken = go(dead.open(key(2, 1, true)).await);
        dead.settle(taken, KeyFate::Answer(b"late".to_vec())).await;
        assert!(matches!(dead.open(key(2, 1, true)).await, Opened::Replay(_)));
        let orphans = store.orphans(10).await.unwrap();
        assert_eq!(orphans.len(), 2);
        let found =
            orphans.iter().map(|orphan| (orphan.id, Settlement::default(), Effects::default())).collect();
        store.close_orphans(found).await.unwrap();
        assert_eq!(store.orphans(10).await.unwrap(), []);
        dead.end().await;
    }

    /// Just after the database was away, callers were told to send again, under another key, what was being done.
    pub(super) async fn whoever_could_not_say_that_it_lives_is_not_dead(store: Store) {
        let gateway = Running::alive(&store).await;
        let _left = go(gateway.open(key(1, 1, false)).await);
        alter(&store, "UPDATE idempotency_keys SET instance = 'another'").await;
        alter(&store, "INSERT INTO instances (id, started_at, alive_until) VALUES ('another', 0, 1)").await;
        store.note_away();
        store.note_answered();
        assert!(matches!(gateway.open(key(1, 1, false)).await, Opened::InProgress));
    }

    /// As many as are looked for together.
    pub(super) async fn many_orphans_are_closed_at_once(store: Store) {
        const ORPHANS: usize = 300;
        let dead = Running::silent(&store);
        let opened = futures_util::future::join_all((0..ORPHANS).map(|_| dead.open(None))).await;
        let left: Vec<Ticket> = opened.into_iter().map(go).collect();
        let orphans = store.orphans(500).await.unwrap();
        assert_eq!(orphans.len(), ORPHANS);
        let found =
            orphans.iter().map(|orphan| (orphan.id, Settlement::default(), Effects::default())).collect();
        store.close_orphans(found).await.unwrap();
        assert_eq!(store.orphans(500).await.unwrap(), []);
        drop(left);
        dead.end().await;
    }

    pub(super) async fn a_key_expires(store: Store) {
        let gateway = Running::alive(&store).await;
        let first = go(gateway.open(key(1, 1, false)).await);
        gateway.settle(first, KeyFate::Answer(b"answer".to_vec())).await;
        store.shift_clock(SignedDuration::from_hours(23));
        assert!(matches!(gateway.open(key(1, 1, false)).await, Opened::Replay(_)));
        store.shift_clock(SignedDuration::from_hours(2));
        let _ticket = go(gateway.open(key(1, 9, false)).await);
        gateway.end().await;
    }

    pub(super) async fn what_is_dropped_half_way_is_closed_as_unknown(store: Store) {
        let gateway = Running::silent(&store);
        drop(go(gateway.open(key(1, 1, false)).await));
        gateway.end().await;
        assert_eq!(store.orphans(10).await.unwrap(), [], "it is closed");
        store.stay_alive(store.now() + LEASE).await.unwrap();
        let next = Running::alive(&store).await;
        assert!(matches!(next.open(key(1, 1, false)).await, Opened::Unknown));
        next.end().await;
    }
}
