//! The audit log: closed entries, chained and signed in one order.
//!
//! A row of the journal that has ended is moved into the log by [`Store::seal`]: it gets the next number and the digest of
//! itself and everything before it. What needed no intent was never in the journal, and goes into the log at once with
//! [`Store::observe`]. A batch ends with a signed seal. One replica writes at a time, and a batch becomes visible as a
//! whole, so whoever has read up to a number never misses an entry with a smaller one. Within a batch, entries stand in
//! the order in which their requests arrived.

use std::sync::Arc;

use sqlx::{Encode, QueryBuilder, Type};

use super::{
    Projects, Store, both,
    instance::{time_ordered, times_of},
    plain,
    projects::Globs,
};
use crate::{
    crypto::{self, Signer},
    error::Result,
    model::{Entry, Outcome},
};

/// The root of an empty log.
pub const GENESIS: [u8; 32] = [0; 32];

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its number, from 1 and without gaps.
    pub seq: i64,
    /// When it was sealed, in microseconds since 1970.
    pub sealed_at: i64,
    /// Id of the intent. It says when that was opened, to the millisecond.
    pub id: Vec<u8>,
    /// When the request arrived, in microseconds since 1970.
    pub opened_at: i64,
    /// When it ended, in microseconds since 1970.
    pub closed_at: i64,
    /// The [`Entry`] as JSON.
    pub entry: Arc<str>,
    /// The [`Outcome`] as JSON.
    pub outcome: Arc<str>,
    /// Digest of this entry and of everything before it.
    pub digest: Vec<u8>,
    /// The columns that are searched, as they are kept; they repeat what entry and outcome say.
    pub columns: Columns,
}

/// What is searched. Texts are of the kind that SQLite's thread is handed as it is: any other is given a wrapping first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Of the entry.
    pub request_id: Arc<str>,
    /// Of the entry.
    pub principal: Arc<str>,
    /// Of its first resource name that has one.
    pub project: Arc<str>,
    /// Of the entry.
    pub method: Arc<str>,
    /// What came of it where that is known, which is below the first resource name; else that.
    pub resource: Arc<str>,
    /// HTTP status of the outcome.
    pub status: i32,
}

/// The end of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Number of the first entry.
    pub first_seq: i64,
    /// Number of the last one.
    pub last_seq: i64,
    /// When it was made, in microseconds since 1970.
    pub sealed_at: i64,
    /// Digest of the last entry before the batch.
    pub previous: Vec<u8>,
    /// Digest of the last entry.
    pub root: Vec<u8>,
    /// With what the signature is verified.
    pub public_key: Vec<u8>,
    /// Signature over all of the above.
    pub signature: Vec<u8>,
}

/// What most entries, and most outcomes, fit into.
const ENTRY_BYTES: usize = 640;
const OUTCOME_BYTES: usize = 96;

fn printed(what: &impl serde::Serialize, bytes: usize) -> Arc<str> {
    let mut text = Vec::with_capacity(bytes);
    serde_json::to_writer(&mut text, what).expect("plain data prints as JSON");
    String::from_utf8(text).expect("JSON is UTF-8").into()
}

/// What has ended and has no number yet, as it will be kept.
#[derive(Clone, Debug)]
pub struct Closed {
    pub(super) id: Vec<u8>,
    pub(super) opened_at: i64,
    pub(super) entry: Arc<str>,
    pub(super) closed_at: i64,
    pub(super) outcome: Arc<str>,
    pub(super) columns: Columns,
}

impl Closed {
    /// Prepares a request that needed no intent. It arrived at `opened_at`, in microseconds since 1970.
    pub fn observed(opened_at: i64, entry: &Entry, outcome: &Outcome) -> Self {
        Self {
            id: time_ordered(opened_at).to_vec(),
            opened_at,
            entry: printed(entry, ENTRY_BYTES),
            closed_at: opened_at.saturating_add_unsigned(outcome.latency_us),
            outcome: printed(outcome, OUTCOME_BYTES),
            columns: Columns::of(entry, outcome),
        }
    }

    /// Returns what is searched of it.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// Returns its outcome.
    pub fn outcome(&self) -> Outcome {
        serde_json::from_str(&self.outcome).unwrap_or_default()
    }
}

/// Bytes of a text that is searched. Postgres keeps no more than some 2700 in an index and refuses the row, and with it
/// everything that is written together.
const SEARCHED_BYTES_MAX: usize = 2000;

/// Prepares a text that is searched: as it is, unless it has a NUL or is too long.
fn searched(text: &str) -> Arc<str> {
    let text = cut(text);
    if text.contains('\0') { plain(text).into() } else { text.into() }
}

/// Cuts a text to what is searched of it.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SEARCHED_BYTES_MAX)]
}

/// What a resource's name is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceFilter {
    /// This, or the name of something below it.
    Within(String),
    /// Any that begins so.
    Beginning(String),
}

/// Which entries are wanted. What is not set does not matter; of what is set, all must be true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of which projects.
    pub projects: Projects,
    /// Who asked.
    pub principal: Vec<String>,
    /// Full name of the method.
    pub method: Vec<String>,
    /// What it is about.
    pub resource: Vec<ResourceFilter>,
    /// Id of the request.
    pub request_id: Vec<String>,
    /// HTTP status, lowest and highest.
    pub status: Option<(i32, i32)>,
    /// Arrived at this time or later, in microseconds since 1970.
    pub from: Option<i64>,
    /// Arrived before this time.
    pub before: Option<i64>,
}

/// Where a page begins and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Oldest first; else newest first.
    pub ascending: bool,
    /// The number of the last entry seen.
    pub after: Option<i64>,
    /// Entries wanted.
    pub rows_max: u32,
}

impl Columns {
    /// Whether these are of an entry and its outcome, as this version or one before it kept them.
    pub fn are_of(&self, entry: &Entry, outcome: &Outcome) -> bool {
        let own = |text: &Arc<str>| searched(text);
        let cut = Self {
            request_id: own(&self.request_id),
            principal: own(&self.principal),
            project: own(&self.project),
            method: own(&self.method),
            resource: own(&self.resource),
            status: self.status,
        };
        // A version that knows nothing of what comes of a request may have sealed what this one closed.
        let before = Outcome { created: String::new(), ..outcome.clone() };
        cut == Self::of(entry, outcome) || cut == Self::of(entry, &before)
    }

    /// Reads what is searched out of an entry and its outcome as they are kept.
    pub fn read(entry: &str, outcome: &str) -> Self {
        let entry: Entry = serde_json::from_str(entry).unwrap_or_default();
        let outcome: Outcome = serde_json::from_str(outcome).unwrap_or_default();
        Self::of(&entry, &outcome)
    }

    /// Returns what is searched of an entry with its outcome.
    pub fn of(entry: &Entry, outcome: &Outcome) -> Self {
        Self {
            request_id: searched(&entry.request_id),
            principal: searched(&entry.principal),
            project: searched(entry.project()),
            method: searched(&entry.method),
            resource: searched(if outcome.created.is_empty() { entry.resource() } else { &outcome.created }),
            status: outcome.status.into(),
        }
    }
}

/// Returns the digest of an entry behind another.
pub fn digest(previous: &[u8], seq: i64, id: &[u8], times: [i64; 2], entry: &str, outcome: &str) -> [u8; 32] {
    let numbers = [seq, times[0], times[1]].map(i64::to_be_bytes);
    let lengths = [id.len(), entry.len(), outcome.len()].map(|length| (length as u64).to_be_bytes());
    crypto::sha256(&[
        b"causeway audit entry 1\0",
        previous,
        numbers.as_flattened(),
        lengths.as_flattened(),
        id,
        entry.as_bytes(),
        outcome.as_bytes(),
    ])
}

/// Returns what a seal signs.
pub fn signed_message(
    first_seq: i64,
    last_seq: i64,
    sealed_at: i64,
    previous: &[u8],
    root: &[u8],
) -> Vec<u8> {
    let numbers = [first_seq, last_seq, sealed_at].map(i64::to_be_bytes);
    [b"causeway audit seal 1\0", numbers.as_flattened(), previous, root].concat()
}

/// Chains closed rows behind a root, and signs the result.
pub(super) fn chain(
    mut rows: Vec<Closed>,
    after: i64,
    previous: &[u8],
    sealed_at: i64,
    signer: &Signer,
) -> (Vec<Sealed>, Option<Seal>) {
    rows.sort_by(|a, b| (a.opened_at, &a.id).cmp(&(b.opened_at, &b.id)));
    let mut root = previous.to_vec();
    let mut sealed = Vec::with_capacity(rows.len());
    for (seq, row) in (after + 1..).zip(rows) {
        let digest =
            digest(&root, seq, &row.id, [row.opened_at, row.closed_at], &row.entry, &row.outcome).to_vec();
        root.clone_from(&digest);
        sealed.push(Sealed {
            seq,
            sealed_at,
            columns: row.columns,
            id: row.id,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            entry: row.entry,
            outcome: row.outcome,
            digest,
        });
    }
    let seal = sealed.first().zip(sealed.last()).map(|(first, last)| Seal {
        first_seq: first.seq,
        last_seq: last.seq,
        sealed_at,
        previous: previous.to_vec(),
        signature: signer.sign(&signed_message(first.seq, last.seq, sealed_at, previous, &root)),
        root,
        public_key: signer.public_key(),
    });
    (sealed, seal)
}

/// How a statement begins that reads entries; a condition follows.
const SELECT: &str = "SELECT seq, sealed_at, id, opened_at, closed_at, entry, outcome, digest, \
                      request_id, principal, project, method, resource, status FROM audit_entries WHERE ";

/// Writes the statement that finds the entry with an id, if it is of these projects. Its id says when it was made, so the
/// index of times finds it: neither store may take that of projects instead, and read all of one.
pub(super) fn entry_query<DB>(id: &[u8; 16], projects: &Projects) -> QueryBuilder<DB>
where
    DB: Globs,
    String: Type<DB> + for<'q> Encode<'q, DB>,
    Vec<u8>: Type<DB> + for<'q> Encode<'q, DB>,
    i64: Type<DB> + for<'q> Encode<'q, DB>,
{
    let [from, before] = times_of(id);
    let mut query = QueryBuilder::new(SELECT);
    query.push("opened_at >= ").push_bind(from).push(" AND opened_at < ").push_bind(before);
    query.push(" AND id = ").push_bind(id.to_vec()).push(" AND CASE WHEN TRUE");
    projects.narrow(&mut query, "project", "projects/");
    query.push(" THEN TRUE ELSE FALSE END");
    query
}

/// Leaves those whose resource is named so.
fn narrow<DB>(query: &mut QueryBuilder<DB>, named: &ResourceFilter)
where
    DB: Globs,
    String: Type<DB> + for<'q> Encode<'q, DB>,
{
    let (text, whole) = match named {
        ResourceFilter::Within(name) => (cut(name), true),
        ResourceFilter::Beginning(text) => (cut(text), false),
    };
    let mut parts = text.splitn(3, '/');
    let (first, project, rest) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
    // What only begins so may be of several projects, until the id of one is over.
    let is_of_one = first == Some("projects") && !project.is_empty() && (whole || rest.is_some());
    if is_of_one {
        // The same said by a column whose index has the order of the pages.
        query.push(" AND project = ").push_bind(plain(format!("projects/{project}")));
    }
    // Of a whole project nearly every row is wanted: no index of resources may be taken for that, whose rows would all have
    // to be sorted. The same holds for all that have a name, and for all that are of any project.
    let is_most = text == "projects"
        || !whole && "projects/".starts_with(text)
        || is_of_one && rest.is_none_or(str::is_empty);
    query.push(if is_most { " AND CASE WHEN " } else { " AND " });
    let text = plain(text);
    if text.is_empty() {
        query.push("resource > ").push_bind(text);
    } else if whole {
        // Up to the last name below it, in the order of bytes: '0' follows '/'. In between are others that begin so.
        query.push("resource >= ").push_bind(text.clone());
        query.push(" AND resource < ").push_bind(format!("{text}0"));
        query.push(" AND (resource = ").push_bind(text.clone());
        query.push(" OR resource >= ").push_bind(format!("{text}/")).push(")");
    } else {
        // Up to the last text that begins so, in the order of bytes.
        query.push("resource >= ").push_bind(text.clone());
        query.push(" AND resource < ").push_bind(text + "\u{10ffff}");
    }
    query.push(if is_most { " THEN TRUE ELSE FALSE END" } else { "" });
}

/// Writes the statement of a page.
pub(super) fn page_query<DB>(filter: &Filter, walk: Walk) -> QueryBuilder<DB>
where
    DB: Globs,
    String: Type<DB> + for<'q> Encode<'q, DB>,
    i64: Type<DB> + for<'q> Encode<'q, DB>,
{
    let mut query = QueryBuilder::new(SELECT);
    query.push("TRUE");
    filter.projects.narrow(&mut query, "project", "projects/");
    let texts = [
        (" AND principal = ", &filter.principal),
        (" AND method = ", &filter.method),
        (" AND request_id = ", &filter.request_id),
    ];
    for (condition, values) in texts {
        for value in values {
            query.push(condition).push_bind(plain(cut(value)));
        }
    }
    for named in &filter.resource {
        narrow(&mut query, named);
    }
    if let Some((low, high)) = filter.status {
        // Numbers as they are, so that the index of what was refused is known to serve.
        query.push(" AND status >= ").push(low).push(" AND status <= ").push(high);
    }
    if let Some(from) = filter.from {
        query.push(" AND opened_at >= ").push_bind(from);
    }
    if let Some(before) = filter.before {
        query.push(" AND opened_at < ").push_bind(before);
    }
    if let Some(after) = walk.after {
        query.push(if walk.ascending { " AND seq > " } else { " AND seq < " }).push_bind(after);
    }
    query.push(if walk.ascending { " ORDER BY seq LIMIT " } else { " ORDER BY seq DESC LIMIT " });
    query.push_bind(i64::from(walk.rows_max));
    query
}

impl Store {
    /// Writes requests that needed no intent into the log, together with up to `rows_max` closed rows. Returns how many of
    /// these there were.
    ///
    /// # Errors
    /// The database is away, and nothing was kept.
    pub async fn observe(&self, signer: &Signer, rows: Vec<Closed>, rows_max: u32) -> Result<usize> {
        both!(self, audit::seal(signer, self.now().as_microsecond(), rows, rows_max))
    }

    /// Moves up to `rows_max` closed rows into the log, and returns how many there were.
    ///
    /// # Errors
    /// The database is away.
    pub async fn seal(&self, signer: &Signer, rows_max: u32) -> Result<usize> {
        self.observe(signer, Vec::new(), rows_max).await
    }

    /// Returns a page of the log.
    ///
    /// # Errors
    /// The database is away.
    pub async fn audit_page(&self, filter: &Filter, walk: Walk) -> Result<Vec<Sealed>> {
        both!(self, audit_log::page(filter, walk))
    }

    /// Finds the entry with an id, if it is of these projects.
    ///
    /// # Errors
    /// The database is away.
    pub async fn audit_entry(&self, id: &[u8; 16], projects: &Projects) -> Result<Option<Sealed>> {
        both!(self, audit_log::entry(id, projects))
    }

    /// Returns seals behind a number, in order.
    ///
    /// # Errors
    /// The database is away.
    pub async fn audit_seals(&self, after: i64, rows_max: u32) -> Result<Vec<Seal>> {
        both!(self, audit_log::seals(after, rows_max))
    }

    /// Forgets what was sealed before `floor`, in microseconds since 1970: on Postgres by the whole month, and only once
    /// all of it is older; in SQLite, where others wait meanwhile, about `rows_max` of the oldest entries. Tells whether
    /// there may be more.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_audit(&self, floor: i64, rows_max: u32) -> Result<bool> {
        both!(self, audit::forget(floor, rows_max))
    }

    /// Forgets seals that were made before `floor`, in microseconds since 1970, and whose entries have gone. The last one
    /// stays: it says what the next continues.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_seals(&self, floor: i64) -> Result<()> {
        both!(self, audit_log::forget_seals(floor))
    }

    /// Forgets up to `rows_max` Idempotency-Keys that have expired, and gateways that are long gone. Tells whether there may
    /// be more.
    ///
    /// # Errors
    /// The database is away.
    pub async fn forget_keys(&self, rows_max: u32) -> Result<bool> {
        both!(self, audit_log::forget_keys(self.now().as_microsecond(), rows_max))
    }
}
