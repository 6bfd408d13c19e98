//! Migrations, the clock, generated secrets.

super::contract! {
    migrating_twice_changes_nothing,
    the_clock_is_that_of_the_database,
    a_generated_secret_stays,
}

mod tell {
    use jiff::SignedDuration;

    use crate::store::{Health, Store};

    pub(super) async fn migrating_twice_changes_nothing(store: Store) {
        assert_eq!(store.migrate().await.unwrap(), Vec::<&str>::new());
        let status = store.migration_status().await.unwrap();
        assert_eq!(status[0].name, "0001_journal");
        assert!(status.iter().all(|migration| migration.applied.is_some()), "{status:?}");
    }

    pub(super) async fn the_clock_is_that_of_the_database(store: Store) {
        assert_eq!(store.health(), Health::Ready);
        let off = store.now().duration_since(store.0.clock.now()).abs();
        assert!(off < SignedDuration::from_secs(1), "one machine, one clock: {off}");
        store.close().await;
        store.measure_clock().await;
        assert_eq!(store.health(), Health::Away);
    }

    pub(super) async fn a_generated_secret_stays(store: Store) {
        assert_eq!(store.find_generated_secret("x").await.unwrap(), None, "to look makes none");
        let (a, b) = tokio::join!(store.generated_secret("x"), store.generated_secret("x"));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a, Some(a)), (b, store.find_generated_secret("x").await.unwrap()));
        assert_ne!(store.generated_secret("x").await.unwrap(), store.generated_secret("y").await.unwrap());
    }
}
