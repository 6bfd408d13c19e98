//! What a failing database means to a caller.

use std::time::Duration;

use crate::error::{Code, Error, Reason};

/// When to try again while the database is away.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Turns a failure of the driver into ours: away, or a fault.
pub(super) fn of(error: sqlx::Error) -> Error {
    if is_away(&error) {
        Error::new(
            Code::Unavailable,
            Reason::StoreUnavailable,
            "The gateway's database cannot be reached. Try again later.",
        )
        .with_retry_after(RETRY_AFTER)
        .with_source(error)
    } else {
        Error::internal(error)
    }
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
