//! Takes note of what passes through the gateway: what starts an operation, and what tells about one.

use std::{pin::Pin, sync::Arc, time::Duration};

use prost::Message as _;
use tokio::time::timeout;

use super::{
    Role, Sighting, View, Waiters, event, known::Known, open::Open, sources::Sources, transition::Observation,
};
use crate::{
    cache::{PageCache, Scope},
    error::{Error, Result},
    model::{Kind, Operation, OperationId, State},
    pb::google::{
        cloud::datastream::v1::{
            ListStreamObjectsResponse, StartBackfillJobResponse, StopBackfillJobResponse, StreamObject,
        },
        longrunning,
    },
    schema::Catalog,
    store::{Store, operations::Change},
};

/// The longest that an answer waits while what it tells is noted.
const NOTE_TIME_MAX: Duration = Duration::from_millis(250);

/// A call that was answered well.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Key of the upstream.
    pub upstream: &'a str,
    /// Full name of the method.
    pub method: &'a str,
    /// Who called.
    pub principal: &'a str,
    /// Names of the resources it was about.
    pub names: &'a [String],
    /// The answer in wire format.
    pub reply: &'a [u8],
}

/// Takes notes. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    store: Store,
    sources: Arc<Sources>,
    view: View,
    waiters: Waiters,
    known: Arc<Known>,
    open: Arc<Open>,
    pages: PageCache,
}

impl Tracker {
    /// Joins the parts.
    pub fn new(
        store: Store,
        sources: Arc<Sources>,
        waiters: Waiters,
        catalog: &Catalog,
        pages: PageCache,
    ) -> Self {
        let view = View::new(sources.transcoder().clone());
        Self {
            store,
            sources,
            view,
            waiters,
            known: Arc::new(Known::of(catalog)),
            open: Arc::default(),
            pages,
        }
    }

    /// Returns the sources.
    pub fn sources(&self) -> &Arc<Sources> {
        &self.sources
    }

    /// Returns who waits.
    pub(super) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns what the catalog says.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// Returns how operations are shown.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Returns what is known of upstreams with open operations.
    pub(super) fn open(&self) -> &Open {
        &self.open
    }

    /// Applies what was seen, and says what there is to tell about it.
    pub(super) fn applied(&self, seen: &Sighting, before: &Operation, now: i64) -> Change {
        let mut change = seen.apply(before, now);
        event::tell(&mut change.events, &change.operation, &self.view);
        change
    }

    /// Takes in what an answer tells about operations that are on record. Failures are logged: whoever asked the upstream
    /// gets its answer whatever becomes of our notes, and does not wait long for them.
    pub async fn saw(&self, role: Role, from: &Answered<'_>) {
        // Whoever deletes means what has ended, too.
        if role == Role::DeletesLro || !self.open.is_known_to_be_none(from.upstream) {
            self.note(role, from).await;
        }
    }

    /// Boxed and nameless: a request that is answered by a call is not to hold all of this in its own future.
    fn note<'a>(
        &'a self,
        role: Role,
        from: &'a Answered<'a>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let noted = async move {
            if role == Role::DeletesLro || self.open.anything(&self.store, from.upstream).await? {
                self.try_saw(role, from).await?;
            }
            Ok::<_, Error>(())
        };
        Box::pin(async move {
            match timeout(NOTE_TIME_MAX, noted).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(error = error.told(), "what was seen of an operation is not recorded");
                }
                Err(_elapsed) => tracing::debug!("what was seen of an operation is not recorded in time"),
            }
        })
    }

    async fn try_saw(&self, role: Role, from: &Answered<'_>) -> Result<()> {
        let told: Vec<(String, Vec<u8>)> = match role {
            Role::GetsLro => named(longrunning::Operation::decode(from.reply).ok(), |it| it.name.clone()),
            Role::ListsLros => self.sources.of(Kind::GoogleLro).read_page(from.reply)?.items,
            Role::GetsObject => named(StreamObject::decode(from.reply).ok(), |it| it.name.clone()),
            Role::ListsObjects => {
                let page = ListStreamObjectsResponse::decode(from.reply).unwrap_or_default();
                page.stream_objects.into_iter().map(|it| (it.name.clone(), it.encode_to_vec())).collect()
            }
            Role::StopsBackfill => {
                let object = StopBackfillJobResponse::decode(from.reply).ok().and_then(|it| it.object);
                self.cancelling(from.upstream, object.as_ref().map(|it| it.name.as_str())).await?;
                named(object, |it| it.name.clone())
            }
            Role::StartsBackfill => {
                let object = StartBackfillJobResponse::decode(from.reply).ok().and_then(|it| it.object);
                named(object, |it| it.name.clone())
            }
            Role::CancelsLro => {
                return self.cancelling(from.upstream, from.names.first().map(String::as_str)).await;
            }
            Role::DeletesLro => {
                let Some(name) = from.names.first() else { return Ok(()) };
                if let Some((it, false)) = self.store.operation_named(from.upstream, name).await? {
                    self.store.delete_operation(it.id).await?;
                }
                return Ok(());
            }
            Role::StartsLro => return Ok(()),
        };
        let names: Vec<String> = told.iter().map(|(name, _)| name.clone()).collect();
        for operation in self.store.open_operations_named(from.upstream, &names).await? {
            let message = told.iter().find(|(name, _)| *name == operation.upstream_name);
            if let Some((_, message)) = message {
                let seen = self.sources.of(operation.kind).read(&operation, message)?;
                self.take_in(&operation, &seen).await?;
            }
        }
        Ok(())
    }

    /// Notes that somebody asked for a stop.
    async fn cancelling(&self, upstream: &str, name: Option<&str>) -> Result<()> {
        let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
        for operation in self.store.open_operations_named(upstream, &names).await? {
            self.take_in(&operation, &Sighting::of(Observation::CancelRequested)).await?;
        }
        Ok(())
    }

    /// Writes what was seen of an operation, unless somebody else has written since it was read: they saw more.
    /// Returns whether nobody had.
    ///
    /// # Errors
    /// The database is away.
    pub(super) async fn take_in(&self, operation: &Operation, seen: &Sighting) -> Result<bool> {
        let change = self.applied(seen, operation, self.store.now().as_microsecond());
        if !change.visible {
            return Ok(true);
        }
        self.ended(std::slice::from_ref(&change)).await;
        let written = self.store.write_seen(&change, operation.version).await?;
        if written {
            self.written(&[change]).await;
        }
        Ok(written)
    }

    /// Writes what the poller saw, each if its claim still holds. Returns how many did not.
    ///
    /// # Errors
    /// The database is away.
    pub(super) async fn take_in_claimed(&self, changes: &[Change]) -> Result<usize> {
        self.ended(changes).await;
        let fenced = self.store.write_claimed(changes).await?;
        self.written(changes).await;
        Ok(fenced)
    }

    /// Says what has changed, to whoever waits for it.
    async fn written(&self, changes: &[Change]) {
        let visible = changes.iter().filter(|change| change.visible);
        let ids: Vec<OperationId> = visible.map(|change| change.operation.id).collect();
        self.waiters.changed(&ids).await;
    }

    /// Makes worthless the pages that operations which end have changed: before anybody is told that they ended.
    async fn ended(&self, changes: &[Change]) {
        let ended = changes.iter().map(|change| &change.operation).filter(|it| it.state.is_final());
        let scopes: Vec<Scope> = ended.flat_map(touched).collect();
        if !scopes.is_empty() {
            self.pages.bump(&scopes).await;
        }
    }

    /// Returns what is known of an operation that its upstream has forgotten, as the upstream showed it last; `None` if it
    /// never ended before our eyes, or was deleted through us.
    pub async fn remembered(&self, upstream: &str, name: &str) -> Option<Vec<u8>> {
        let (it, deleted) = self.store.operation_named(upstream, name).await.ok()??;
        let ended = matches!(it.state, State::Succeeded | State::Failed | State::Cancelled);
        if deleted || !ended || it.kind != Kind::GoogleLro {
            return None;
        }
        let any = |bytes: &[u8]| prost_types::Any::decode(bytes).ok().filter(|_| !bytes.is_empty());
        let result = match it.error.is_empty() {
            true => any(&it.response).map(longrunning::operation::Result::Response),
            false => {
                let status = crate::pb::google::rpc::Status::decode(&it.error[..]).ok()?;
                Some(longrunning::operation::Result::Error(status))
            }
        };
        let shown = longrunning::Operation {
            name: it.upstream_name,
            metadata: any(&it.metadata),
            done: true,
            result,
        };
        Some(shown.encode_to_vec())
    }
}

fn named<M: prost::Message>(message: Option<M>, name: impl Fn(&M) -> String) -> Vec<(String, Vec<u8>)> {
    message.map(|it| (name(&it), it.encode_to_vec())).into_iter().collect()
}

/// Returns what the end of an operation makes worthless: the collection of what it worked on; where nobody knows that, all
/// pages of its project.
fn touched(it: &Operation) -> Vec<Scope> {
    match it.target.rsplit_once('/') {
        _ if it.kind == Kind::FlyteTask => Vec::new(),
        Some((collection, _)) => Scope::touched(&it.upstream, collection).to_vec(),
        None => vec![Scope::project(&it.project)],
    }
}
