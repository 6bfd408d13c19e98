//! The chain of the audit log.

super::contract! {
    entries_are_numbered_as_they_end,
    a_page_has_what_was_asked_for,
    a_name_finds_what_is_below_it_and_no_other_that_begins_so,
    terms_that_contradict_each_other_find_nothing,
    what_came_of_a_request_is_found_by_its_name,
    an_entry_is_found_by_its_id,
    a_large_batch_is_kept_in_order,
    of_many_that_end_together_each_has_its_own_outcome,
    of_many_with_repetitions_each_has_its_own_outcome,
    old_entries_are_forgotten_and_the_chain_goes_on,
    a_backup_is_in_nobodys_way,
}

mod tell {
    use std::time::Duration;

    use jiff::SignedDuration;

    use crate::{
        crypto::{Keys, Purpose, Signer},
        model::{Ending, Entry, Outcome},
        store::{
            Projects, Store,
            audit::{Closed, Filter, GENESIS, ResourceFilter, Sealed, Walk, digest},
            contract::Reading,
            journal::{Effects, Intent, Journal, KeyUse, Opened, Settled, Settlement},
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
        Closed::observed(store.now().as_microsecond(), &entry, &outcome)
    }

    async fn ids(store: &Store, filter: &Filter, walk: Walk) -> Vec<String> {
        let rows: Vec<Sealed> = store.audit_page(filter, walk).await.unwrap();
        rows.iter().map(|row| row.columns.request_id.to_string()).collect()
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
        let text = |text: &str| vec![text.to_owned()];
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
            sorted(Filter {
                resource: vec![ResourceFilter::Beginning("projects/p".into())],
                ..Filter::default()
            })
            .await,
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

    /// `web` found `web-logs`, too.
    pub(super) async fn a_name_finds_what_is_below_it_and_no_other_that_begins_so(store: Store) {
        let names = [
            ("whole", "projects/p/things/web"),
            ("below", "projects/p/things/web/parts/1"),
            ("dash", "projects/p/things/web-logs"),
            ("dot", "projects/p/things/web.logs/parts/1"),
            ("digit", "projects/p/things/web0"),
            ("project", "projects/p"),
            ("other", "projects/p-2/things/web"),
            ("shelf", "shelves/s"),
            ("none", ""),
        ];
        let rows = names.map(|(id, name)| observed(&store, id, name, 200));
        store.observe(&signer(), rows.to_vec(), 100).await.unwrap();
        let found = async |named: &[ResourceFilter]| {
            let mut ids = ids(&store, &Filter { resource: named.to_vec(), ..Filter::default() }, ALL).await;
            ids.sort();
            ids
        };
        let within = |name: &str| ResourceFilter::Within(name.to_owned());
        let beginning = |text: &str| ResourceFilter::Beginning(text.to_owned());
        assert_eq!(found(&[within("projects/p/things/web")]).await, ["below", "whole"]);
        assert_eq!(found(&[beginning("projects/p/things/web/")]).await, ["below"]);
        let of_project = ["below", "dash", "digit", "dot", "project", "whole"];
        assert_eq!(found(&[within("projects/p")]).await, of_project);
        assert_eq!(found(&[beginning("projects/p/")]).await, ["below", "dash", "digit", "dot", "whole"]);
        assert_eq!(found(&[beginning("projects/p")]).await.len(), 7);
        assert_eq!(found(&[within("projects")]).await.len(), 7);
        assert_eq!(found(&[within("shelves")]).await, ["shelf"]);
        assert_eq!(found(&[beginning("")]).await.len(), 8, "all that have a name");
        let both = [within("projects/p/things"), beginning("projects/p/things/web.")];
        assert_eq!(found(&both).await, ["dot"]);
    }

    /// The last took the place of the others.
    pub(super) async fn terms_that_contradict_each_other_find_nothing(store: Store) {
        let row = observed(&store, "a", "projects/p/things/web", 200);
        store.observe(&signer(), vec![row], 100).await.unwrap();
        let two = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let count = async |filter: Filter| ids(&store, &filter, ALL).await.len();
        for (filter, wanted) in [
            (Filter { principal: two("alice", "alice"), ..Filter::default() }, 1),
            (Filter { principal: two("bob", "alice"), ..Filter::default() }, 0),
            (Filter { method: two("a.B.D", "a.B.C"), ..Filter::default() }, 0),
            (Filter { request_id: two("b", "a"), ..Filter::default() }, 0),
        ] {
            assert_eq!(count(filter.clone()).await, wanted, "{filter:?}");
        }
        let resource =
            ["projects/q", "projects/p"].map(|name| ResourceFilter::Within(name.to_owned())).to_vec();
        assert_eq!(count(Filter { resource, ..Filter::default() }).await, 0);
    }

    /// What created something was found by its parent only.
    pub(super) async fn what_came_of_a_request_is_found_by_its_name(store: Store) {
        let made = "projects/p/things/web";
        let entry = Entry { resource_names: vec!["projects/p".to_owned()], ..Entry::default() };
        let outcome = Outcome { created: made.to_owned(), ..Outcome::default() };
        let closed = Closed::observed(store.now().as_microsecond(), &entry, &outcome);
        store.observe(&signer(), vec![closed], 100).await.unwrap();
        for name in ["projects/p", "projects/p/things", made] {
            let resource = vec![ResourceFilter::Within(name.to_owned())];
            let filter = Filter { resource, ..Filter::default() };
            let found = store.audit_page(&filter, ALL).await.unwrap();
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].columns.are_of(&entry, &outcome));
            let mut other = found[0].columns.clone();
            other.resource = "projects/p".into();
            assert!(other.are_of(&entry, &outcome), "as a version before this one kept it");
            other.resource = "projects/p/things".into();
            assert!(!other.are_of(&entry, &outcome));
        }
    }

    pub(super) async fn an_entry_is_found_by_its_id(store: Store) {
        let (journal, work) = Journal::new(store.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(work);
        let resource_names = vec!["projects/p/x".to_owned()];
        let entry = Entry { request_id: "changed".to_owned(), resource_names, ..Entry::default() };
        let Opened::Go(ticket) = journal.open(Intent { entry, key: None }).await.unwrap() else {
            panic!("it has no key")
        };
        journal.settle(ticket, Settlement::default(), Effects::default()).await;
        let rows = [("read", "projects/p/x"), ("elsewhere", "projects/q/x"), ("nowhere", "x")];
        let rows = rows.map(|(id, name)| observed(&store, id, name, 200)).to_vec();
        assert_eq!(store.observe(&signer(), rows, 100).await.unwrap(), 1);
        let all = store.audit_page(&Filter::default(), ALL).await.unwrap();
        assert_eq!(all.len(), 4);
        let like = |glob: &str| Projects::Like(vec!["none".into(), glob.into()]);
        for row in all {
            let id: [u8; 16] = row.id.as_slice().try_into().unwrap();
            let found = async |projects: &Projects| store.audit_entry(&id, projects).await.unwrap();
            let name = &*row.columns.request_id;
            assert_eq!(found(&Projects::All).await.as_ref(), Some(&row));
            assert_eq!(
                found(&Projects::One("p".into())).await.is_some(),
                ["changed", "read"].contains(&name)
            );
            assert_eq!(found(&like("p")).await.is_some(), ["changed", "read"].contains(&name));
            assert_eq!(found(&like("*")).await.is_some(), name != "nowhere");
            let mut other = id;
            other[15] ^= 1;
            assert_eq!(store.audit_entry(&other, &Projects::All).await.unwrap(), None);
        }
        drop(journal);
        tasks.join_next().await;
    }

    /// Five hundred are what is written together under load.
    pub(super) async fn a_large_batch_is_kept_in_order(store: Store) {
        let mut root = GENESIS.to_vec();
        let mut last = 0;
        for rows in [811, 500, 1, 500] {
            let now = store.now().as_microsecond();
            let wanted: Vec<String> = (0..rows).map(|number| format!("r{number}")).collect();
            let mut rows: Vec<Closed> =
                wanted.iter().map(|id| observed(&store, id, "projects/p/x", 200)).collect();
            for (later, row) in (0..).zip(&mut rows) {
                row.opened_at = now + later;
            }
            store.observe(&signer(), rows, 100).await.unwrap();
            let walk = Walk { after: Some(last), ..ALL };
            let found = store.audit_page(&Filter::default(), walk).await.unwrap();
            assert_eq!(found.len(), wanted.len());
            for (row, id) in found.iter().zip(wanted) {
                last += 1;
                assert_eq!((row.seq, &*row.columns.request_id), (last, id.as_str()));
                let columns = (&*row.columns.principal, &*row.columns.method, row.columns.status);
                assert_eq!(columns, ("alice", "a.B.C", 200));
                let times = [row.opened_at, row.closed_at];
                root = digest(&root, row.seq, &row.id, times, &row.entry, &row.outcome).to_vec();
                assert_eq!(row.digest, root);
            }
            let seals = store.audit_seals(0, 10).await.unwrap();
            let seal = seals.last().expect("each batch has one");
            assert_eq!((seal.last_seq, &seal.root), (last, &root));
        }
    }

    pub(super) async fn old_entries_are_forgotten_and_the_chain_goes_on(store: Store) {
        let seal = async |id: &str| {
            store.observe(&signer(), vec![observed(&store, id, "x", 200)], 100).await.unwrap();
        };
        for _ in 0..3 {
            seal("old").await;
        }
        store.shift_clock(SignedDuration::from_hours(24 * 70));
        seal("new").await;
        let floor = (store.now() - SignedDuration::from_hours(24 * 35)).as_microsecond();
        store.forget_audit(floor, 10).await.unwrap();
        store.forget_seals(floor).await.unwrap();
        assert_eq!(ids(&store, &Filter::default(), ALL).await, ["new"]);
        seal("newer").await;
        let seals = store.audit_seals(0, 10).await.unwrap();
        let first_of_each: Vec<i64> = seals.iter().map(|seal| seal.first_seq).collect();
        assert_eq!(first_of_each, [3, 4, 5], "the last of the old ones says what the next continues");
    }

    /// One that began before midnight kept the first of a month from the log, and whoever read it, until it was over; and each
    /// month that was to go kept everybody waiting for ten seconds, every ten minutes.
    pub(super) async fn a_backup_is_in_nobodys_way(store: Store) {
        let seal = async |id: &str| {
            store.observe(&signer(), vec![observed(&store, id, "x", 200)], 100).await.unwrap();
        };
        seal("old").await;
        let backup = Reading::begin(&store, "SELECT * FROM audit_entries").await;
        store.shift_clock(SignedDuration::from_hours(24 * 70));
        seal("new").await;
        let floor = (store.now() - SignedDuration::from_hours(24 * 35)).as_microsecond();
        store.forget_audit(floor, 10).await.unwrap();
        seal("newer").await;
        let found = ids(&store, &Filter::default(), ALL).await;
        assert_eq!(found[found.len() - 2..], ["new", "newer"]);
        backup.end().await;
        store.forget_audit(floor, 10).await.unwrap();
        assert_eq!(ids(&store, &Filter::default(), ALL).await, ["new", "newer"]);
    }

    /// Intents and outcomes that come together are written together, some hundreds at once.
    pub(super) async fn of_many_that_end_together_each_has_its_own_outcome(store: Store) {
        let went = many(&store, |_| false).await;
        assert!(went.iter().all(|went| *went));
    }

    /// The same where each seventh is one and the same request, and mostly does not go ahead.
    pub(super) async fn of_many_with_repetitions_each_has_its_own_outcome(store: Store) {
        let is_repeated = |number: u64| number.is_multiple_of(7);
        let went = many(&store, is_repeated).await;
        assert!((0..).zip(&went).all(|(number, went)| *went || is_repeated(number)));
        assert!(went.iter().step_by(7).any(|went| *went) && went.iter().step_by(7).any(|went| !went));
    }

    /// Opens three hundred intents at once, each of which ends as soon as it is open. Tells which went ahead.
    async fn many(store: &Store, is_repeated: impl Fn(u64) -> bool) -> Vec<bool> {
        const INTENTS: u64 = 300;
        store.stay_alive(store.now() + Duration::from_secs(60)).await.unwrap();
        let (journal, work) = Journal::new(store.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(work);
        let intents = (0..INTENTS).map(|number| {
            let journal = &journal;
            let key = is_repeated(number).then_some(KeyUse {
                scope: [1; 32],
                fingerprint: [1; 32],
                reissuable: false,
            });
            async move {
                let entry = Entry { request_id: format!("r{number}"), ..Entry::default() };
                match journal.open(Intent { entry, key }).await.unwrap() {
                    Opened::Go(ticket) => {
                        let outcome = Outcome { latency_us: number, ..Outcome::default() };
                        let settlement = Settlement { outcome, ..Settlement::default() };
                        let settled = journal.settle(ticket, settlement, Effects::default()).await;
                        assert_eq!(settled, Settled::Durable);
                        true
                    }
                    Opened::InProgress => false,
                    other => panic!("{other:?}"),
                }
            }
        });
        let went = futures_util::future::join_all(intents).await;
        let count = went.iter().filter(|went| **went).count();
        assert_eq!(store.seal(&signer(), 1000).await.unwrap(), count);
        let rows = store.audit_page(&Filter::default(), ALL).await.unwrap();
        assert_eq!(rows.len(), count);
        for row in rows {
            let outcome: Outcome = serde_json::from_str(&row.outcome).unwrap();
            assert_eq!(*row.columns.request_id, format!("r{}", outcome.latency_us));
            assert!(went[usize::try_from(outcome.latency_us).unwrap()]);
        }
        drop(journal);
        tasks.join_next().await.unwrap().unwrap();
        went
    }
}
