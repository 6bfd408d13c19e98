//! Operations: claims, fences, lists, deletion.

super::contract! {
    a_claim_is_one_claimers_until_its_lease_ends,
    a_claim_that_was_slept_through_writes_nothing,
    what_is_due_under_one_parent_comes_together,
    what_others_saw_ends_a_claim,
    an_operation_and_its_event_are_born_with_the_outcome,
    a_list_has_what_was_asked_for,
    what_was_deleted_or_is_old_is_gone,
}

pub(in crate::store) mod tell {
    use jiff::SignedDuration;
    use tokio::task::JoinSet;

    use crate::{
        model::{Entry, Event, EventKind, Kind, Operation, OperationId, State},
        store::{
            Projects, Store,
            contract::is_told,
            journal::{Effects, Intent, Journal, Opened, Settlement},
            operations::{Birth, Change, Comparison, Condition, LEASE, Page, Room, TextColumn, TimeColumn},
            time_ordered,
        },
    };

    fn room(rows: u32) -> Room {
        Room { questions: 8, rows }
    }

    pub(in crate::store) fn operation(store: &Store, parent: &str, name: &str) -> Operation {
        let now = store.now().as_microsecond();
        Operation {
            id: OperationId(time_ordered(now)),
            project: "p".into(),
            kind: Kind::GoogleLro,
            upstream: "u".into(),
            upstream_name: format!("{parent}/operations/{name}"),
            run: String::new(),
            parent: parent.into(),
            target: format!("{parent}/streams/{name}"),
            method: "a.B.C".into(),
            principal: "alice".into(),
            state: State::Running,
            version: 1,
            progress: None,
            created_at: now,
            started_at: None,
            updated_at: now,
            ended_at: None,
            metadata: vec![1],
            response: Vec::new(),
            error: Vec::new(),
            source: vec![2],
            problem: String::new(),
            poll_at: now,
            spacing: 1_000_000,
            failures: 0,
            lease_token: 0,
        }
    }

    fn event(it: &Operation, kind: EventKind) -> Event {
        Event {
            id: time_ordered(it.updated_at),
            project: it.project.clone(),
            kind,
            at: it.updated_at,
            operation: it.id,
            version: it.version,
            source: it.kind,
            upstream: it.upstream.clone(),
            payload: "{}".into(),
        }
    }

    async fn insert(store: &Store, parent: &str, name: &str) -> Operation {
        let it = operation(store, parent, name);
        let birth = Birth { events: vec![event(&it, EventKind::Created)], operation: it.clone() };
        assert!(store.insert_operation(&birth).await.unwrap());
        assert!(is_told(store).await);
        assert!(!store.insert_operation(&birth).await.unwrap(), "once is enough");
        let _for_nothing = is_told(store).await;
        it
    }

    fn ended(before: &Operation, at: i64) -> Change {
        let mut it = before.clone();
        (it.state, it.ended_at, it.updated_at, it.version) = (State::Succeeded, Some(at), at, it.version + 1);
        it.response = vec![9];
        Change { events: vec![event(&it, EventKind::Succeeded)], operation: it, visible: true }
    }

    async fn kinds(store: &Store, id: OperationId) -> Vec<EventKind> {
        store.events_of(id).await.unwrap().into_iter().map(|event| event.kind).collect()
    }

    pub(super) async fn a_claim_is_one_claimers_until_its_lease_ends(store: Store) {
        for n in 0..40 {
            insert(&store, &format!("q{}", n % 4), &n.to_string()).await;
        }
        let mut claimers = JoinSet::new();
        for _ in 0..8 {
            let store = store.clone();
            claimers.spawn(async move { store.claim_operations("u", room(7)).await.unwrap() });
        }
        let mut claimed: Vec<OperationId> = Vec::new();
        for some in claimers.join_all().await {
            claimed.extend(some.into_iter().map(|it| it.id));
        }
        loop {
            let some = store.claim_operations("u", room(7)).await.unwrap();
            if some.is_empty() {
                break;
            }
            claimed.extend(some.into_iter().map(|it| it.id));
        }
        assert_eq!(claimed.len(), 40);
        claimed.sort();
        claimed.dedup();
        assert_eq!(claimed.len(), 40, "nobody has what another has");
        assert!(store.claim_operations("v", room(7)).await.unwrap().is_empty());
        store.shift_clock(LEASE + SignedDuration::from_secs(1));
        let again = store.claim_operations("u", room(100)).await.unwrap();
        assert_eq!(again.len(), 40);
        assert!(again.iter().all(|it| it.lease_token == 2));
    }

    pub(super) async fn a_claim_that_was_slept_through_writes_nothing(store: Store) {
        assert_eq!(store.operation_due_at("u").await.unwrap(), None);
        let it = insert(&store, "q", "a").await;
        assert!(store.operation_due_at("u").await.unwrap().unwrap() <= store.now());
        let slept = store.claim_operations("u", room(10)).await.unwrap().remove(0);
        assert!(store.operation_due_at("u").await.unwrap().unwrap() > store.now(), "it waits for nobody");
        store.shift_clock(LEASE + SignedDuration::from_secs(1));
        let awake = store.claim_operations("u", room(10)).await.unwrap().remove(0);
        let now = store.now().as_microsecond();
        assert_eq!(store.write_claimed(&[ended(&awake, now)]).await.unwrap(), 0);
        assert!(is_told(&store).await);
        assert_eq!(store.write_claimed(&[ended(&slept, now + 1)]).await.unwrap(), 1, "fenced");
        let quiet = Change { operation: slept, visible: false, events: Vec::new() };
        assert_eq!(store.write_claimed(&[quiet]).await.unwrap(), 1, "fenced");
        let found = store.operation(it.id).await.unwrap().unwrap();
        assert_eq!((found.state, found.ended_at, found.version), (State::Succeeded, Some(now), 2));
        assert_eq!((found.response, found.metadata, found.source), (vec![9], vec![1], vec![2]));
        assert_eq!(kinds(&store, it.id).await, [EventKind::Created, EventKind::Succeeded]);
        store.shift_clock(SignedDuration::from_hours(1));
        assert!(store.claim_operations("u", room(10)).await.unwrap().is_empty(), "what has ended is not due");
        assert_eq!(store.operation_due_at("u").await.unwrap(), None);
    }

    pub(super) async fn what_is_due_under_one_parent_comes_together(store: Store) {
        for n in 0..5 {
            insert(&store, "q", &n.to_string()).await;
        }
        insert(&store, "r", "a").await;
        let claimed = store.claim_operations("u", room(100)).await.unwrap();
        let now = store.now().as_microsecond();
        let later: Vec<Change> = claimed
            .into_iter()
            .zip(0..)
            .map(|(mut it, n)| {
                it.poll_at = now + 10_000_000 + n * 100_000;
                it.spacing = 10_000_000;
                Change { operation: it, visible: false, events: Vec::new() }
            })
            .collect();
        assert_eq!(store.write_claimed(&later).await.unwrap(), 0);
        assert!(store.claim_operations("u", room(100)).await.unwrap().is_empty());
        store.shift_clock(SignedDuration::from_secs(10) + SignedDuration::from_millis(50));
        let due = store.claim_operations("u", room(100)).await.unwrap();
        let parent = due[0].parent.clone();
        assert!(due.iter().all(|it| it.parent == parent), "of a parent with nothing due comes nothing");
        assert_eq!(due.len(), if parent == "q" { 5 } else { 1 }, "those that are nearly due come along");
    }

    pub(super) async fn what_others_saw_ends_a_claim(store: Store) {
        let it = insert(&store, "q", "a").await;
        let claimed = store.claim_operations("u", room(10)).await.unwrap().remove(0);
        let now = store.now().as_microsecond();
        assert!(store.write_seen(&ended(&it, now), 1).await.unwrap());
        assert!(is_told(&store).await);
        assert!(!store.write_seen(&ended(&it, now), 1).await.unwrap(), "it is at another version now");
        assert_eq!(store.write_claimed(&[ended(&claimed, now)]).await.unwrap(), 1);
        assert_eq!(kinds(&store, it.id).await, [EventKind::Created, EventKind::Succeeded]);
        let versions = store.operation_versions(&[it.id, OperationId::default()]).await.unwrap();
        assert_eq!(versions, [(it.id, 2)]);
    }

    pub(super) async fn an_operation_and_its_event_are_born_with_the_outcome(store: Store) {
        let (journal, work) = Journal::new(store.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(work);
        let it = operation(&store, "q", "a");
        let birth = Birth { events: vec![event(&it, EventKind::Created)], operation: it.clone() };
        for _ in 0..2 {
            let intent = Intent { entry: Entry::default(), key: None };
            let Opened::Go(ticket) = journal.open(intent).await.unwrap() else { panic!("it has no key") };
            let effects = Effects { operations: vec![birth.clone()], ..Effects::default() };
            journal.settle(ticket, Settlement::default(), effects).await;
        }
        assert_eq!(store.operation(it.id).await.unwrap().unwrap(), it);
        assert_eq!(kinds(&store, it.id).await, [EventKind::Created]);
        let (found, deleted) = store.operation_named("u", &it.upstream_name).await.unwrap().unwrap();
        assert_eq!((found.id, deleted), (it.id, false));
        assert!(store.operation_named("v", &it.upstream_name).await.unwrap().is_none());
        drop(journal);
        tasks.join_next().await;
    }

    pub(super) async fn a_list_has_what_was_asked_for(store: Store) {
        let mut all = Vec::new();
        for n in 0..7 {
            let it = insert(&store, if n < 3 { "a_b" } else { "axb" }, &n.to_string()).await;
            all.push(it.id);
            store.shift_clock(SignedDuration::from_millis(10));
        }
        let claimed = store.claim_operations("u", room(100)).await.unwrap();
        let first = claimed.iter().find(|it| it.id == all[0]).unwrap();
        store.write_claimed(&[ended(first, store.now().as_microsecond())]).await.unwrap();
        let ids = async |page: Page| -> Vec<OperationId> {
            store.operations_page(&page).await.unwrap().into_iter().map(|it| it.id).collect()
        };
        let page = Page { rows_max: 100, ascending: true, ..Page::default() };
        assert_eq!(ids(page.clone()).await, all);
        let rest = ids(Page { after: Some(all[2]), rows_max: 2, ..page.clone() }).await;
        assert_eq!(rest, all[3..5]);
        let back = ids(Page { after: Some(all[2]), ascending: false, ..page.clone() }).await;
        assert_eq!(back, [all[1], all[0]]);
        let of = |project: &str| Page { projects: Projects::One(project.into()), ..page.clone() };
        assert_eq!((ids(of("p")).await.len(), ids(of("q\0")).await.len()), (7, 0));
        let like = |globs: &[&str]| {
            let globs = globs.iter().map(|glob| (*glob).to_owned()).collect();
            Page { projects: Projects::Like(globs), ..page.clone() }
        };
        for (globs, found) in [
            (&["p"][..], 7),
            (&["*"], 7),
            (&["q", "*p*"], 7),
            (&["P"], 0),
            (&["_"], 0),
            (&["?"], 0),
            (&["[p]"], 0),
            (&["%", "\\p", "p\0"], 0),
            (&[], 0),
        ] {
            assert_eq!(ids(like(globs)).await.len(), found, "{globs:?}");
        }
        let with = |condition: Condition| Page { conditions: vec![condition], ..page.clone() };
        assert_eq!(ids(with(Condition::Done(true))).await, all[..1]);
        assert_eq!(ids(with(Condition::Done(false))).await, all[1..]);
        let has = |column, part: &str| Condition::Has { column, part: part.to_owned() };
        assert_eq!(ids(with(has(TextColumn::Target, "a_b/str"))).await, all[..3], "_ is no wildcard");
        let state = |not| Condition::Text { column: TextColumn::State, value: "SUCCEEDED".into(), not };
        assert_eq!((ids(with(state(false))).await.len(), ids(with(state(true))).await.len()), (1, 6));
        let created = store.operation(all[3]).await.unwrap().unwrap().created_at;
        let time = |comparison| Condition::Time { column: TimeColumn::Create, comparison, value: created };
        assert_eq!(ids(with(time(Comparison::GreaterOrEqual))).await, all[3..]);
        assert_eq!(ids(with(time(Comparison::Less))).await, all[..3]);
    }

    pub(super) async fn what_was_deleted_or_is_old_is_gone(store: Store) {
        let (old, deleted) = (insert(&store, "q", "a").await, insert(&store, "q", "b").await);
        assert!(store.delete_operation(deleted.id).await.unwrap());
        assert!(!store.delete_operation(deleted.id).await.unwrap());
        assert!(store.operation(deleted.id).await.unwrap().is_none());
        let (_, gone) = store.operation_named("u", &deleted.upstream_name).await.unwrap().unwrap();
        assert!(gone, "the name is remembered as deleted");
        let claimed = store.claim_operations("u", room(10)).await.unwrap();
        assert_eq!(claimed.iter().map(|it| it.id).collect::<Vec<_>>(), [old.id]);
        let now = store.now().as_microsecond();
        store.write_claimed(&[ended(&claimed[0], now)]).await.unwrap();
        assert_eq!(store.forget_operations(now, 10).await.unwrap(), 1, "the deleted one ended before");
        assert_eq!(store.forget_operations(now + 1, 10).await.unwrap(), 1);
        assert!(store.operation(old.id).await.unwrap().is_none());
    }
}
