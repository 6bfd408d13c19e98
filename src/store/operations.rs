//! Operations: found, claimed by whoever looks after them, written back by whoever still holds the claim, and listed.
//!
//! A claim is a lease with a token that grows with every claim. Writing back needs the token, so a poller that slept
//! through its lease writes nothing. State and event are one transaction, here and in the journal's commit.

use jiff::{SignedDuration, Timestamp};
use sqlx::{Encode, QueryBuilder, Type};

use super::{Projects, Store, both, failure, plain, projects::Globs, time_of};
use crate::{
    error::Result,
    model::{Event, Kind, Operation, OperationId, State},
};

/// How long a claim lasts. A call to the upstream takes at most a third of it.
pub const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// Operations that are due within this come along with a due one of the same parent, if they have waited for most of
/// their time.
pub(super) const COMPANY: i64 = 10_000_000;

/// The columns, in the order that rows are read in.
pub(super) const COLUMNS: &str = "id, project, kind, upstream, upstream_name, run, parent, target, method, principal, \
     state, version, progress, created_at, started_at, updated_at, ended_at, metadata, response, error, source, problem, \
     poll_at, spacing, failures, lease_token";

/// Reads an operation from a row with [`COLUMNS`].
macro_rules! operation {
    ($row:expr) => {{
        let row = $row;
        let id: Vec<u8> = row.try_get(0)?;
        let (kind, state): (String, String) = (row.try_get(2)?, row.try_get(10)?);
        $crate::model::Operation {
            id: $crate::store::operations::id_of(id)?,
            project: row.try_get(1)?,
            kind: $crate::store::operations::kind_of(&kind)?,
            upstream: row.try_get(3)?,
            upstream_name: row.try_get(4)?,
            run: row.try_get(5)?,
            parent: row.try_get(6)?,
            target: row.try_get(7)?,
            method: row.try_get(8)?,
            principal: row.try_get(9)?,
            state: $crate::store::operations::state_of(&state)?,
            version: row.try_get(11)?,
            progress: row.try_get(12)?,
            created_at: row.try_get(13)?,
            started_at: row.try_get(14)?,
            updated_at: row.try_get(15)?,
            ended_at: row.try_get(16)?,
            metadata: row.try_get(17)?,
            response: row.try_get(18)?,
            error: row.try_get(19)?,
            source: row.try_get(20)?,
            problem: row.try_get(21)?,
            poll_at: row.try_get(22)?,
            spacing: row.try_get(23)?,
            failures: row.try_get(24)?,
            lease_token: row.try_get(25)?,
        }
    }};
}
pub(super) use operation;

/// A row of ours that makes no sense: written by a newer version, or by hand.
fn inconsistent(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("operations: {what} is none that this version knows").into())
}

pub(super) fn id_of(bytes: Vec<u8>) -> sqlx::Result<OperationId> {
    Ok(OperationId(bytes.try_into().map_err(|_| inconsistent("id"))?))
}

pub(super) fn kind_of(name: &str) -> sqlx::Result<Kind> {
    Kind::from_name(name).ok_or_else(|| inconsistent("kind"))
}

pub(super) fn state_of(name: &str) -> sqlx::Result<State> {
    State::from_name(name).ok_or_else(|| inconsistent("state"))
}

/// How much may be claimed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Questions that may be asked: parents, and operations that have none.
    pub questions: u32,
    /// Operations.
    pub rows: u32,
}

/// What became of an operation that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The operation as it is now.
    pub operation: Operation,
    /// Whether callers can see that anything changed; else only when to look again is written.
    pub visible: bool,
    /// What there is to tell.
    pub events: Vec<Event>,
}

/// An operation and its first events.
#[derive(Clone, Debug, PartialEq)]
pub struct Birth {
    /// The operation.
    pub operation: Operation,
    /// What there is to tell.
    pub events: Vec<Event>,
}

/// A condition on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whether it has ended.
    Done(bool),
    /// A column of text is, or is not, this.
    Text {
        /// The column.
        column: TextColumn,
        /// What it is.
        value: String,
        /// Whether it must be another.
        not: bool,
    },
    /// A column of text contains this.
    Has {
        /// The column.
        column: TextColumn,
        /// What it contains.
        part: String,
    },
    /// A time, in microseconds since 1970, compared.
    Time {
        /// The column.
        column: TimeColumn,
        /// How.
        comparison: Comparison,
        /// With what.
        value: i64,
    },
}

macro_rules! columns {
    ($(#[$doc:meta])* $kind:ident { $($(#[$each:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $kind { $($(#[$each])* $name,)* }
        impl $kind {
            fn sql(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

columns! {
    /// A column of text that lists are filtered by.
    TextColumn {
        /// State.
        State = "state",
        /// Kind.
        Kind = "kind",
        /// Upstream.
        Upstream = "upstream",
        /// Name there.
        UpstreamName = "upstream_name",
        /// Method.
        Method = "method",
        /// Target.
        Target = "target",
    }
}

columns! {
    /// A time that lists are filtered by.
    TimeColumn {
        /// When it was put on record.
        Create = "created_at",
        /// When the last change was seen.
        Update = "updated_at",
        /// When it ended.
        End = "ended_at",
    }
}

columns! {
    /// How a time is compared.
    Comparison {
        /// Before.
        Less = "<",
        /// Not after.
        LessOrEqual = "<=",
        /// At.
        Equal = "=",
        /// Another.
        NotEqual = "<>",
        /// Not before.
        GreaterOrEqual = ">=",
        /// After.
        Greater = ">",
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Of which projects.
    pub projects: Projects,
    /// What must hold; all of it.
    pub conditions: Vec<Condition>,
    /// Oldest first; else newest first.
    pub ascending: bool,
    /// The last operation seen.
    pub after: Option<OperationId>,
    /// Operations wanted.
    pub rows_max: u32,
}

pub(super) fn page_query<DB>(page: &Page) -> QueryBuilder<DB>
where
    DB: Globs,
    String: Type<DB> + for<'q> Encode<'q, DB>,
    Vec<u8>: Type<DB> + for<'q> Encode<'q, DB>,
    i64: Type<DB> + for<'q> Encode<'q, DB>,
{
    let mut query = QueryBuilder::new("SELECT ");
    query.push(COLUMNS).push(" FROM operations WHERE deleted_at IS NULL");
    page.projects.narrow(&mut query, "project", "");
    for condition in &page.conditions {
        match condition {
            Condition::Done(true) => query.push(" AND ended_at IS NOT NULL"),
            Condition::Done(false) => query.push(" AND ended_at IS NULL"),
            Condition::Text { column, value, not } => {
                query.push(" AND ").push(column.sql()).push(if *not { " <> " } else { " = " });
                query.push_bind(plain(value))
            }
            Condition::Has { column, part } => {
                query.push(" AND ").push(DB::POSITION).push("(").push(column.sql()).push(", ");
                query.push_bind(plain(part)).push(") > 0")
            }
            Condition::Time { column, comparison, value } => {
                query.push(" AND ").push(column.sql()).push(" ").push(comparison.sql()).push(" ");
                query.push_bind(*value)
            }
        };
    }
    if let Some(after) = page.after {
        query.push(if page.ascending { " AND id > " } else { " AND id < " }).push_bind(after.0.to_vec());
    }
    query.push(if page.ascending { " ORDER BY id LIMIT " } else { " ORDER BY id DESC LIMIT " });
    query.push_bind(i64::from(page.rows_max));
    query
}

impl Store {
    /// Puts an operation on record by itself; false if it is there already.
    ///
    /// # Errors
    /// The database is away.
    pub async fn insert_operation(&self, birth: &Birth) -> Result<bool> {
        both!(self, operation_records::insert(birth)).inspect(|_| self.tell())
    }

    /// Finds an operation that was not deleted.
    ///
    /// # Errors
    /// The database is away.
    pub async fn operation(&self, id: OperationId) -> Result<Option<Operation>> {
        both!(self, operation_records::get(id))
    }

    /// Finds the operation with this name at its upstream: its newest run, and whether a caller deleted it.
    ///
    /// # Errors
    /// The database is away.
    pub async fn operation_named(&self, upstream: &str, name: &str) -> Result<Option<(Operation, bool)>> {
        both!(self, operation_records::named(&plain(upstream), &plain(name)))
    }

    /// Finds open operations by their names at an upstream.
    ///
    /// # Errors
    /// The database is away.
    pub async fn open_operations_named(&self, upstream: &str, names: &[String]) -> Result<Vec<Operation>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = names.iter().map(plain).collect();
        both!(self, operations::open_named(&plain(upstream), &names))
    }

    /// Whether an upstream has operations that have not ended.
    ///
    /// # Errors
    /// The database is away.
    pub async fn any_open_operation(&self, upstream: &str) -> Result<bool> {
        both!(self, operation_records::any_open(upstream))
    }

    /// Claims operations of an upstream that are due, those of one parent together. Each is held for a [`LEASE`].
    ///
    /// # Errors
    /// The database is away.
    pub async fn claim_operations(&self, upstream: &str, room: Room) -> Result<Vec<Operation>> {
        let now = self.now();
        let until = now.saturating_add(LEASE).unwrap_or(Timestamp::MAX);
        both!(self, operations::claim(now.as_microsecond(), until.as_microsecond(), room, upstream))
    }

    /// Writes back operations that were claimed, each if the claim still holds. Returns how many did not.
    ///
    /// # Errors
    /// The database is away.
    pub async fn write_claimed(&self, changes: &[Change]) -> Result<usize> {
        both!(self, operations::write_claimed(changes)).inspect(|_| self.tell())
    }

    /// Writes what somebody else than the poller saw: if the operation is still at the version before. Returns whether
    /// it was.
    ///
    /// # Errors
    /// The database is away.
    pub async fn write_seen(&self, change: &Change, version_before: i64) -> Result<bool> {
        both!(self, operations::write_seen(change, version_before)).inspect(|_| self.tell())
    }

    /// Lets open operations be looked at now, unless somebody is at it or looked within the last `pause`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn hurry_operations(&self, ids: &[OperationId], pause: SignedDuration) -> Result<()> {
        let now = self.now();
        let pause = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
        both!(self, operations::hurry(ids, now.as_microsecond(), pause))
    }

    /// Returns the versions of operations, of those that there are.
    ///
    /// # Errors
    /// The database is away.
    pub async fn operation_versions(&self, ids: &[OperationId]) -> Result<Vec<(OperationId, i64)>> {
        let rows = both!(self, operations::versions(ids))?;
        rows.into_iter().map(|(id, version)| Ok((id_of(id).map_err(failure::of)?, version))).collect()
    }

    /// Returns a page of a list.
    ///
    /// # Errors
    /// The database is away.
    pub async fn operations_page(&self, page: &Page) -> Result<Vec<Operation>> {
        both!(self, operation_records::page(page))
    }

    /// Counts the newest operations of a project, `rows_max` at most, by state.
    ///
    /// # Errors
    /// The database is away.
    pub async fn operation_counts(&self, project: &str, rows_max: u32) -> Result<Vec<(String, i64)>> {
        both!(self, operation_counts::by_state(&plain(project), rows_max))
    }

    /// Returns when the next operation of an upstream is, or was, to be looked at; `None` if none is open.
    ///
    /// # Errors
    /// The database is away.
    pub async fn operation_due_at(&self, upstream: &str) -> Result<Option<Timestamp>> {
        Ok(both!(self, operation_counts::due_at(upstream))?.map(time_of))
    }

    /// Deletes an operation: it is not shown any more, nor polled. Returns whether it was there.
    ///
    /// # Errors
    /// The database is away.
    pub async fn delete_operation(&self, id: OperationId) -> Result<bool> {
        both!(self, operation_records::delete(id, self.now().as_microsecond()))
    }

    /// Forgets up to `rows_max` operations that ended before `floor`, in microseconds since 1970. Returns how many.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_operations(&self, floor: i64, rows_max: u32) -> Result<u64> {
        both!(self, operations::forget(floor, rows_max))
    }
}
