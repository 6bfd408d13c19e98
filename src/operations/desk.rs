//! What callers do with operations.

use std::time::Duration;

use http::HeaderValue;
use tokio::time::{Instant, timeout_at};

use super::{
    Sighting, Tracker,
    sources::{Ask, Run},
    tracker::Answered,
    transition::Observation,
};
use crate::{
    error::{Code, Error, Reason, Result},
    model::{Kind, Operation, OperationId},
    pb::google::cloud::datastream::v1::StreamObject,
    schema::check_name,
    store::operations::Page,
    upstream::{Call, Timeout, Upstream, Upstreams},
};

/// The longest that somebody waits with one request.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest call to an upstream that is made for an operation; a third of a lease.
pub(super) const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// Tries to note a wish to stop, when others write the same record at the same time.
const NOTE_TRIES_MAX: usize = 3;

/// Operations, for whoever may use them.
pub struct Desk {
    tracker: Tracker,
    upstreams: Upstreams,
}

impl Desk {
    /// Joins the parts.
    pub fn new(tracker: Tracker, upstreams: Upstreams) -> Self {
        Self { tracker, upstreams }
    }

    /// Returns who takes notes.
    pub fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Finds an operation by its full name.
    ///
    /// # Errors
    /// There is none, or the database is away.
    pub async fn get(&self, name: &str) -> Result<Operation> {
        let missing = || missing(name);
        let (project, id) = name
            .strip_prefix("projects/")
            .and_then(|rest| rest.split_once("/operations/"))
            .ok_or_else(missing)?;
        let id = OperationId::parse(id).ok_or_else(missing)?;
        let found = self.tracker.store().operation(id).await?;
        // One of another project is not there.
        found.filter(|it| it.project == project).ok_or_else(missing)
    }

    /// Returns the name of the record of an upstream's operation, if one is open.
    ///
    /// # Errors
    /// The database is away.
    pub async fn on_record(&self, upstream: &str, name: &str) -> Result<Option<String>> {
        let names = [name.to_owned()];
        let open = self.tracker.store().open_operations_named(upstream, &names).await?;
        Ok(open.first().map(Operation::name))
    }

    /// Returns a page of a list.
    ///
    /// # Errors
    /// The database is away.
    pub async fn list(&self, page: &Page) -> Result<Vec<Operation>> {
        self.tracker.store().operations_page(page).await
    }

    /// Deletes an operation: it is forgotten here, and goes on where it runs.
    ///
    /// # Errors
    /// There is none, or the database is away.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let it = self.get(name).await?;
        if self.tracker.store().delete_operation(it.id).await? { Ok(()) } else { Err(missing(name)) }
    }

    /// Asks an operation to stop. One that has ended stays as it is. `authorization` is what the caller hands over for the
    /// upstream.
    ///
    /// # Errors
    /// There is none, or its upstream refuses.
    pub async fn cancel(&self, name: &str, authorization: Option<HeaderValue>) -> Result<()> {
        let it = self.get(name).await?;
        if it.state.is_final() {
            return Ok(());
        }
        let ask = self.tracker.sources().of(it.kind).cancel(&it)?;
        call(self.upstream(&it.upstream)?, ask, authorization).await?;
        // Whoever looked in between has seen more; the request is noted all the same.
        for _ in 0..NOTE_TRIES_MAX {
            let now = self.get(name).await?;
            if self.tracker.take_in(&now, &Sighting::of(Observation::CancelRequested)).await? {
                break;
            }
        }
        Ok(())
    }

    /// Waits until an operation has ended, or for so long.
    ///
    /// # Errors
    /// There is none, too many wait, or the database is away.
    pub async fn wait(&self, name: &str, longest: Duration) -> Result<Operation> {
        let until = Instant::now() + longest.min(WAIT_MAX);
        let mut it = self.get(name).await?;
        if it.state.is_final() || longest.is_zero() {
            return Ok(it);
        }
        let mut waiter = self.tracker.waiters().wait_for(it.id, it.version)?;
        // It may have moved before anybody waited.
        it = self.get(name).await?;
        while !it.state.is_final() {
            if timeout_at(until, waiter.changed(it.version)).await.is_err() {
                return Ok(it);
            }
            it = self.get(name).await?;
        }
        Ok(it)
    }

    /// Returns the operation once it is at another version than `version`.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub async fn after(&self, name: &str, version: i64) -> Result<Operation> {
        let mut it = self.get(name).await?;
        if it.version != version {
            return Ok(it);
        }
        let mut waiter = self.tracker.waiters().wait_for(it.id, it.version)?;
        loop {
            it = self.get(name).await?;
            if it.version != version {
                return Ok(it);
            }
            waiter.changed(version).await;
        }
    }

    /// Puts something on record that was started elsewhere, by its name at its upstream. What is on record already is
    /// returned as it is.
    ///
    /// # Errors
    /// The name is of nothing that can be followed, or the upstream does not know it.
    pub async fn track(
        &self,
        upstream: &str,
        name: &str,
        principal: &str,
        authorization: Option<HeaderValue>,
    ) -> Result<Operation> {
        let far = self.upstream(upstream)?;
        let collections: Vec<&str> = name.split('/').step_by(2).collect();
        let kind = match collections.as_slice() {
            [.., "objects"] if self.tracker.known().runs_backfills(upstream) => Kind::DatastreamBackfill,
            [.., "operations"] if upstream != "flyte" => Kind::GoogleLro,
            _ => {
                let why = "expected the name of an operation, or of a stream object with a backfill";
                return Err(Error::invalid_field("name", why));
            }
        };
        check_name(name)?;
        match self.tracker.store().operation_named(upstream, name).await? {
            Some((it, false)) if kind == Kind::GoogleLro || !it.state.is_final() => return Ok(it),
            Some((_, true)) if kind == Kind::GoogleLro => {
                let text = "This operation was deleted here, and is not put on record again.";
                return Err(Error::new(Code::FailedPrecondition, Reason::InvalidField, text));
            }
            _ => {}
        }
        let from = Answered { upstream, method: "", principal, names: &[], reply: &[] };
        let id = OperationId(crate::store::time_ordered(self.tracker.store().now().as_microsecond()));
        let begun = self.tracker.begin(kind, &from, name, id);
        let mut it = begun.ok_or_else(|| Error::invalid_field("name", "expected a name within a project"))?;
        let source = self.tracker.sources().of(kind);
        let message = call(far, source.look(&it)?, authorization).await?;
        if kind == Kind::DatastreamBackfill {
            let object: StreamObject = prost::Message::decode(&message[..]).map_err(Error::internal)?;
            it.source = Run::adopt(&object).bytes();
        }
        let seen = source.read(&it, &message)?;
        let birth = self.tracker.born(&it, &seen);
        if self.tracker.store().insert_operation(&birth).await? {
            return Ok(birth.operation);
        }
        // Somebody was faster.
        let found = self.tracker.store().operation_named(upstream, name).await?;
        found.map(|(it, _)| it).ok_or_else(|| missing(name))
    }

    fn upstream(&self, key: &str) -> Result<&Upstream> {
        let found = self.upstreams.get(key).map(AsRef::as_ref);
        found.ok_or_else(|| {
            let key: String = key.chars().take(64).collect();
            Error::invalid_field(
                "upstream",
                format!("{key:?} is no upstream of this gateway's configuration"),
            )
        })
    }
}

/// Makes a call that an operation needs, with what the caller hands over for the upstream, if there is one.
pub(super) async fn call(
    upstream: &Upstream,
    ask: Ask,
    authorization: Option<HeaderValue>,
) -> Result<bytes::Bytes> {
    let call = Call {
        path: ask.path,
        message: ask.message,
        metadata: Vec::new(),
        routing: ask.routing.map(|(field, value)| format!("{field}={}", encode(&value))),
        timeout: Some(Timeout::of(CALL_TIME_MAX)),
        retryable: false,
        authorization,
    };
    // Boxed: it is larger than all that is around it.
    Ok(Box::pin(upstream.unary(call)).await?.message)
}

/// Percent-encodes what a routing header cannot hold as it is.
fn encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _fits = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn missing(name: &str) -> Error {
    let name: String = name.chars().take(200).collect();
    Error::new(Code::NotFound, Reason::ResourceNotFound, format!("There is no operation {name}."))
}
