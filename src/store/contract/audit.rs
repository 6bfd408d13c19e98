//! The chain of the audit log.

super::contract! {
    entries_are_numbered_as_they_end,
    a_page_has_what_was_asked_for,
    old_entries_are_forgotten_and_the_chain_goes_on,
}

mod tell {
    use jiff::SignedDuration;

    use crate::{
        crypto::{Keys, Purpose, Signer},
        model::{Ending, Entry, Outcome},
        store::{
            Projects, Store,
            audit::{Closed, Filter, Sealed, Walk},
            journal::{Effects, Intent, Journal, Opened, Settlement},
        },
    };

    const ALL: Walk = Walk { ascending: true, after: None, rows_max: 1000 };

    fn signer() -> Signer {
        Keys::new(&[3; 32], &[]).signer(Purpose::AuditSeal)
    }

    fn observed(store: &Store, request_id: &str, name: &str, status: u16) -> Closed {
        let entry = Entry {
            request_id: request_id.to_owned(),
            principal: "alice".to_owned(),
            method: "a.B.C".to_owned(),
            resource_names: vec![name.to_owned()],
            ..Entry::default()
        };
        let outcome = Outcome { ending: Ending::Success, status, ..Outcome::default() };
        Closed::observed(store.now().as_microsecond(), entry, &outcome)
    }

    async fn ids(store: &Store, filter: &Filter, walk: Walk) -> Vec<String> {
        let rows: Vec<Sealed> = store.audit_page(filter, walk).await.unwrap();
        rows.into_iter().map(|row| row.columns.request_id).collect()
    }

    pub(super) async fn entries_are_numbered_as_they_end(store: Store) {
        let (journal, work) = Journal::new(store.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(work);
        let entry = Entry { request_id: "slow".to_owned(), ..Entry::default() };
        let Opened::Go(slow) = journal.open(Intent { entry, key: None }).await.unwrap() else {
            panic!("it has no key")
        };
        store.observe(&signer(), vec![observed(&store, "quick", "projects/p/x", 200)], 100).await.unwrap();
        assert_eq!(store.seal(&signer(), 100).await.unwrap(), 0, "what is open is not sealed");
        let seen = store.audit_page(&Filter::default(), ALL).await.unwrap();
        journal.settle(slow, Settlement::default(), Effects::default()).await;
        assert_eq!(store.seal(&signer(), 100).await.unwrap(), 1);
        let walk = Walk { after: seen.last().map(|row| row.seq), ..ALL };
        assert_eq!(
            ids(&store, &Filter::default(), walk).await,
            ["slow"],
            "begun earlier, and still not skipped"
        );
        let seals = store.audit_seals(0, 10).await.unwrap();
        assert_eq!(
            seals.iter().map(|seal| (seal.first_seq, seal.last_seq)).collect::<Vec<_>>(),
            [(1, 1), (2, 2)]
        );
        assert_eq!(seals[1].previous, seals[0].root);
        drop(journal);
        tasks.join_next().await;
    }

    pub(super) async fn a_page_has_what_was_asked_for(store: Store) {
        let rows = [
            ("a", "projects/p/streams/1", 200),
            ("b", "projects/p/streams/2", 404),
            ("c", "projects/pq/streams/1", 200),
            ("d\0", "shelves/s", 500),
        ];
        let rows = rows.map(|(id, name, status)| observed(&store, id, name, status));
        store.observe(&signer(), rows.to_vec(), 100).await.unwrap();
        let text = |text: &str| Some(text.to_owned());
        let all = ids(&store, &Filter::default(), ALL).await;
        assert_eq!(all.len(), 4);
        let mut newest_first = ids(&store, &Filter::default(), Walk { ascending: false, ..ALL }).await;
        newest_first.reverse();
        assert_eq!(newest_first, all);
        let sorted = async |filter: Filter| {
            let mut found = ids(&store, &filter, ALL).await;
            found.sort();
            found
        };
        assert_eq!(
            sorted(Filter { projects: Projects::One("p".into()), ..Filter::default() }).await,
            ["a", "b"]
        );
        let like = |glob: &str| Projects::Like(vec!["none".into(), glob.into()]);
        assert_eq!(sorted(Filter { projects: like("p"), ..Filter::default() }).await, ["a", "b"]);
        assert_eq!(sorted(Filter { projects: like("*"), ..Filter::default() }).await, ["a", "b", "c"]);
        assert_eq!(
            sorted(Filter { resource_prefix: text("projects/p"), ..Filter::default() }).await,
            ["a", "b", "c"]
        );
        assert_eq!(
            sorted(Filter { status: Some((400, 599)), ..Filter::default() }).await,
            ["b", "d\u{fffd}"]
        );
        assert_eq!(
            sorted(Filter { principal: text("alice"), method: text("a.B.C"), ..Filter::default() })
                .await
                .len(),
            4
        );
        assert_eq!(sorted(Filter { request_id: text("c"), ..Filter::default() }).await, ["c"]);
        let now = store.now().as_microsecond();
        assert!(sorted(Filter { from: Some(now + 1), ..Filter::default() }).await.is_empty());
        assert_eq!(sorted(Filter { before: Some(now + 1), ..Filter::default() }).await.len(), 4);
    }

    pub(super) async fn old_entries_are_forgotten_and_the_chain_goes_on(store: Store) {
        let seal = async |id: &str| {
            store.observe(&signer(), vec![observed(&store, id, "x", 200)], 100).await.unwrap();
        };
        seal("old").await;
        store.shift_clock(SignedDuration::from_hours(24 * 70));
        seal("new").await;
        store
            .forget_audit((store.now() - SignedDuration::from_hours(24 * 35)).as_microsecond())
            .await
            .unwrap();
        assert_eq!(ids(&store, &Filter::default(), ALL).await, ["new"]);
        seal("newer").await;
        let seals = store.audit_seals(0, 10).await.unwrap();
        assert_eq!(seals.last().map(|seal| seal.last_seq), Some(3));
    }
}
