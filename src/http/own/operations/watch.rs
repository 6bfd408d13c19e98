//! Operations as they change, as server-sent events: the state now, then every change.
//!
//! Of one operation, the id of an event is the version of the record; whoever comes back is told the state then. Of a
//! collection, it is a time, and whoever comes back with it (`Last-Event-ID`) is told what has changed since: also what ended
//! meanwhile, which is not among what is open. There is an id as soon as all that was open has been told, and a new one with
//! every sign of life. So whoever comes back misses nothing.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::shape::{OperationPath, ProjectPath, WatchQuery};
use super::{
    TAG, WATCH, named, note, parent_of,
    wanted::{parameters, wanted},
};
use crate::{
    error::{Error, Result},
    http::{
        Server,
        body::Body,
        edge::{seats::Seat, timeout as callers},
        error::{Style, envelope},
        feed::Feed,
        own::{Asked, shown::Shown},
    },
    identity::Identity,
    model::{Operation, OperationId},
    operations::{Desk, View},
    store::{
        Store,
        operations::{Comparison, Condition, Page, TimeColumn},
    },
};

/// Events that wait for a reader who is slow.
const WAITING_MAX: usize = 8;
/// The first time that an id can be, in microseconds: 2020-01-01. What is before is no id of ours.
const TIME_MIN: i64 = 1_577_836_800_000_000;
/// Shows that a silent stream lives.
const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");
/// How often.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// How often a collection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Operations of one page of a look at a collection, and that are kept in mind until the next look cannot show them.
const ROWS_MAX: u32 = 200;
const KNOWN_MAX: usize = 10_000;
/// What whoever comes back has heard last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Commits may become visible in another order than that of their times, by so much.
const OVERLAP: i64 = 15_000_000;

/// Tells the changes of an operation.
///
/// As server-sent events: the state now, then every change, until its end. The id of an event is the version of the record:
/// whoever comes back with that of the end in `Last-Event-ID` is answered 204, so that an `EventSource` stops. It ends with an
/// event `error` when your credential is revoked or expires, or the gateway stops; and without one after `X-Server-Timeout`,
/// if that is given.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations/{operation}:watch",
    tag = TAG,
    operation_id = "operations.Watch",
    params(OperationPath),
    responses(
        (status = 200, description = "The operation, once in each event.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "It has ended, and that was told."),
        (status = 404, description = "There is none of this name."),
        (status = 503, description = "The store cannot be used, or as much is watched as can be.")
    )
)]
pub(in crate::http::own) async fn watch(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let name = named(&asked, WATCH)?;
    asked.no_parameters()?;
    note(asked.notes, &name);
    let lines = Lines::of(server, &asked)?;
    let (desk, view) = (server.operations.clone(), super::view(server));
    let first = desk.get(&name).await?;
    if first.state.is_final() && last_heard(&asked) == Some(first.version) {
        let mut over = Response::new(Body::empty());
        *over.status_mut() = StatusCode::NO_CONTENT;
        return Ok(over);
    }
    let soft = server.soft.clone();
    Ok(lines.events(|lines| async move {
        let mut it = first;
        loop {
            if lines.tell(&view, &it, Some(it.version)).await.is_err() || it.state.is_final() {
                return;
            }
            it = loop {
                let next = soft.run_until_cancelled(timeout(ALIVE_EVERY, desk.after(&name, it.version)));
                match next.await {
                    None => return lines.fail(&super::stopping()).await,
                    Some(Ok(Ok(changed))) => break changed,
                    Some(Ok(Err(_gone))) => return,
                    Some(Err(_silence)) => {
                        if lines.send(ALIVE).await.is_err() {
                            return;
                        }
                    }
                }
            };
        }
    }))
}

/// Tells the changes of all operations.
///
/// Of those that you may see. As server-sent events: what is open now, then every change. Whoever comes back with the id of an
/// event in `Last-Event-ID` is told what has changed since, some of it once more. It ends with an event `error` when your
/// credential is revoked or expires, or the gateway stops; and without one after `X-Server-Timeout`, if that is given.
#[utoipa::path(
    get,
    path = "/v1/operations:watch",
    tag = TAG,
    operation_id = "operations.WatchAll",
    params(WatchQuery),
    responses(
        (status = 200, description = "Operations, one in each event.", body = String, content_type = "text/event-stream"),
        (status = 503, description = "The store cannot be used, or as much is watched as can be.")
    )
)]
pub(in crate::http::own) async fn watch_all(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let parent = parent_of(asked.captures);
    note(asked.notes, &parent);
    let wanted = wanted(asked.exchange.principal()?, parent, parameters(asked.query, false)?)?;
    let page = Page { rows_max: ROWS_MAX, ascending: true, ..wanted.page };
    let now = server.store.now().as_microsecond();
    let since = last_heard(&asked).filter(|heard| *heard >= TIME_MIN).map(|heard| heard.min(now));
    let (desk, view, soft) = (server.operations.clone(), super::view(server), server.soft.clone());
    let following = Following { desk, view, soft, store: server.store.clone(), page, since };
    let lines = Lines::of(server, &asked)?;
    let look = following.look();
    let first = following.desk.list(&look).await?;
    Ok(lines.events(move |lines| follow(following, now, (look, first), lines)))
}

/// Returns the id of the event that whoever comes back has heard last.
fn last_heard(asked: &Asked<'_>) -> Option<i64> {
    let id: i64 = asked.head.headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()?;
    (id >= 0).then_some(id)
}

/// Tells the changes of a project's operations.
///
/// As server-sent events: what is open now, then every change. Whoever comes back with the id of an event in `Last-Event-ID` is
/// told what has changed since, some of it once more. It ends with an event `error` when your credential is revoked or
/// expires, or the gateway stops; and without one after `X-Server-Timeout`, if that is given.
#[utoipa::path(
    get,
    path = "/v1/projects/{project}/operations:watch",
    tag = TAG,
    operation_id = "operations.WatchProject",
    params(ProjectPath, WatchQuery),
    responses(
        (status = 200, description = "Operations, one in each event.", body = String, content_type = "text/event-stream"),
        (status = 503, description = "The store cannot be used, or as much is watched as can be.")
    )
)]
pub(in crate::http::own) async fn watch_project(server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    watch_all(server, asked).await
}

/// What it takes to follow a collection.
struct Following {
    desk: Arc<Desk>,
    view: View,
    soft: CancellationToken,
    store: Store,
    page: Page,
    /// All that changed before has been told: `None` until all that was open has been.
    since: Option<i64>,
}

impl Following {
    /// Returns the first page of a look at what has changed; at first, at what is open.
    fn look(&self) -> Page {
        let mut page = self.page.clone();
        page.conditions.push(match self.since {
            None => Condition::Done(false),
            Some(since) => Condition::Time {
                column: TimeColumn::Update,
                comparison: Comparison::GreaterOrEqual,
                value: since.saturating_sub(OVERLAP),
            },
        });
        page
    }
}

/// The way to whoever watches, for as long as it may.
struct Lines {
    sender: mpsc::Sender<Bytes>,
    identity: Arc<Identity>,
    /// What it showed: its key may be revoked or expire meanwhile, and its token end.
    headers: HeaderMap,
    client: IpAddr,
    request_id: String,
    shown: Shown,
}

/// The stream is over: nobody takes what is told, or may have it.
struct Over;

/// Tells what there is to be told. `began` is when the first look did, of which the first page is there already.
async fn follow(
    mut it: Following,
    mut began: i64,
    (mut look, mut page): (Page, Vec<Operation>),
    lines: Lines,
) {
    // The version that was told, and since when it is.
    let mut known: HashMap<OperationId, (i64, i64)> = HashMap::new();
    let mut silent = Duration::ZERO;
    loop {
        let is_last = page.len() < ROWS_MAX as usize;
        look.after = page.last().map(|operation| operation.id);
        page.sort_by_key(|operation| operation.updated_at);
        for operation in &page {
            let told = (operation.version, operation.updated_at);
            if known.insert(operation.id, told) == Some(told) {
                continue;
            }
            silent = Duration::ZERO;
            if lines.tell(&it.view, operation, it.since).await.is_err() {
                return;
            }
        }
        if known.len() > KNOWN_MAX {
            known.clear();
        }
        if is_last {
            if it.since.replace(began).is_none() && lines.send(mark(began)).await.is_err() {
                return;
            }
            known.retain(|_, (_, updated_at)| *updated_at >= began.saturating_sub(OVERLAP));
            if it.soft.run_until_cancelled(sleep(LOOK_EVERY)).await.is_none() {
                return lines.fail(&super::stopping()).await;
            }
            silent += LOOK_EVERY;
            (began, look) = (it.store.now().as_microsecond(), it.look());
        } else if it.soft.is_cancelled() {
            return lines.fail(&super::stopping()).await;
        }
        page = loop {
            if silent >= ALIVE_EVERY {
                silent = Duration::ZERO;
                let alive = it.since.map_or(ALIVE, mark);
                if lines.send(alive).await.is_err() {
                    return;
                }
            }
            if lines.sender.is_closed() {
                return;
            }
            if let Ok(page) = it.desk.list(&look).await {
                break page;
            }
            // While the database is away there is nothing to tell.
            if it.soft.run_until_cancelled(sleep(LOOK_EVERY)).await.is_none() {
                return lines.fail(&super::stopping()).await;
            }
            silent += LOOK_EVERY;
        };
    }
}

impl Lines {
    /// Prepares the way to whoever asked, and what is to be told on it.
    fn of(server: &Server, asked: &Asked<'_>) -> Result<Prepared> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let lines = Self {
            sender,
            identity: server.identity.clone(),
            headers: asked.head.headers.clone(),
            client: asked.exchange.client,
            request_id: asked.exchange.id().to_owned(),
            shown: Shown::read(asked.query, &asked.head.headers)?,
        };
        let principal = asked.exchange.principal()?;
        let seat = server.seats.take(server.identity.is_on().then_some(&*principal.id))?;
        Ok(Prepared { lines, receiver, seat, time: callers::of(&asked.head.headers)? })
    }

    /// Tells of an operation, as it is wanted.
    async fn tell(&self, view: &View, it: &Operation, id: Option<i64>) -> std::result::Result<(), Over> {
        let mut value = view.json(it);
        self.shown.keep(&mut value);
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.send(format!("{id}data: {value}\n\n").into()).await
    }

    /// Tells something, unless who is told would not be let in any more: it then hears why, and nothing else.
    async fn send(&self, line: Bytes) -> std::result::Result<(), Over> {
        if let Err(error) = self.identity.authenticate(&self.headers, self.client).await {
            self.fail(&error).await;
            return Err(Over);
        }
        self.sender.send(line).await.map_err(|_gone| Over)
    }

    /// Says why nothing more will come.
    async fn fail(&self, error: &Error) {
        let envelope = envelope(error, &self.request_id, Style::default(), |_| Value::Null);
        let _gone = self.sender.send([b"event: error\ndata: ", &envelope[..], b"\n\n"].concat().into()).await;
    }
}

/// A stream that has not begun.
struct Prepared {
    lines: Lines,
    receiver: mpsc::Receiver<Bytes>,
    seat: Seat,
    /// How long the caller wants to watch, if it says.
    time: Option<Duration>,
}

impl Prepared {
    fn events<F>(self, tell: impl FnOnce(Lines) -> F) -> Response<Body>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (told, seat, time) = (tell(self.lines), self.seat, self.time);
        let told = async move {
            let _seat = seat;
            match time {
                Some(time) => drop(timeout(time, told).await),
                None => told.await,
            }
        };
        let mut response = Response::new(Body::feed(Feed::new(self.receiver, told)));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// An id to come back with, of no event.
fn mark(since: i64) -> Bytes {
    format!(": alive\nid: {since}\n\n").into()
}
