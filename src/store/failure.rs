//! What a failing database means to a caller.

use std::time::Duration;

use crate::error::{Code, Error, Reason};

/// When to try again while the database is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Turns a failure of the driver into ours: away, in use by others, or a fault.
pub(super) fn of(error: sqlx::Error) -> Error {
    let text = if is_away(&error) {
        "The gateway's database cannot be reached. Try again later."
    } else if is_locked(&error) {
        "Others are changing the same in the gateway's database. Try again."
    } else {
        return Error::internal(error);
    };
    Error::new(Code::Unavailable, Reason::StoreUnavailable, text)
        .with_retry_after(RETRY_AFTER)
        .with_source(error)
}

/// Whether Postgres had all of it undone because others held what it needed: it may be tried again at once.
pub(super) fn is_locked(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    // Not to be serialized, a deadlock, a lock that was not to be had in time.
    error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03"))
}

/// Whether the database, and not what was asked of it, is what failed.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Postgres: connection, resources, operator's intervention, system. SQLite: busy, full, input or output.
            ["08", "53", "57", "58", "25006"].iter().any(|class| code.len() == 5 && code.starts_with(class))
                || code
                    .parse()
                    .is_ok_and(|code: u16| code < 10_000 && matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Backend,
        contract::{self, Reading},
    };

    /// Whoever came off worst among those who changed the same was told that the gateway has a fault.
    #[tokio::test]
    async fn what_others_hold_is_to_be_tried_again() {
        let Some(store) = contract::on_postgres().await else { return };
        let Backend::Postgres(pool) = &store.0.backend else { unreachable!("it is on Postgres") };
        let other = Reading::begin(&store, "LOCK TABLE events").await;
        let wait = "SET lock_timeout = '1ms'; LOCK TABLE events";
        let error = sqlx::raw_sql(wait).execute(pool).await.expect_err("another has it");
        assert!(is_locked(&error) && !is_away(&error), "{error}");
        let error = of(error);
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, Some(Reason::StoreUnavailable)));
        other.end().await;
    }
}
