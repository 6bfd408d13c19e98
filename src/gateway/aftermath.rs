//! Tells of what was done to connections by gateways that died before they could: killed between the upstream's answer and
//! the commit of the outcome. The upstream is asked, with credentials of ours, what became of the connection.
//!
//! | asked for | told if, by the upstream's clock |
//! |---|---|
//! | create | it is there, and was made when the call was under way |
//! | update | it was changed when the call was under way, and not only made |
//! | delete | it is not there, and the last that was told of it is that it was created or updated |
//!
//! What holds: what is told has happened, and no event told of it before, whoever did it: what a living gateway is about
//! to tell is waited for, and an event that is found out gets an id that follows from what it tells, so two who find it out
//! write it once. A gateway that was only cut off tells nothing that was told of its call meanwhile, and the other way round.
//!
//! Nothing is told where it cannot be known: where only callers have credentials for the upstream, or ours may not look;
//! of a connection whose id the upstream chose, for nobody knows which one it is; of an update that was followed by another;
//! of the deletion of a connection that the gateway never told of, for nobody knows that it was there.
//!
//! It deliberately leaves the outcome UNKNOWN. An upstream says what has happened, and not whose call it was: a
//! connection may have been made by somebody else at that moment and our call refused. An event says no more than the
//! upstream does; the audit log, which says who did what, does not guess.

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use jiff::Timestamp;
use prost::Message as _;
use serde_json::Value;

use super::{announcement::Announcement, naming::Naming, routing_header};
use crate::{
    error::{Code, Error, Result},
    model::{Entry, Outcome, WebhookEvent},
    pb::google::cloud::bigquery::connection::v1::{Connection, GetConnectionRequest},
    schema::{Catalog, FieldPath},
    store::{
        Store,
        journal::{Effects, Orphan, Settlement},
    },
    transcode::Transcoder,
    upstream::{Call, Timeout, Upstream, Upstreams},
};

/// The service that this knows.
const SERVICE: &str = "google.cloud.bigquery.connection.v1.ConnectionService.";
/// How the upstream is asked.
const GET: &str = "/google.cloud.bigquery.connection.v1.ConnectionService/GetConnection";
/// The longest wait for it.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// What all events of connections begin with.
const FAMILY: &str = "connection.";
/// Events of one connection that are looked at, the latest first.
const EVENTS_MAX: i64 = 50;
/// Changes of living gateways that are looked at; with more of them, it is found out later.
const UNDER_WAY_MAX: u32 = 4096;
/// How far the upstream's clock may be behind ours, in milliseconds: ours is measured against the database's, over a network.
const SKEW_MS: i64 = 1_000;
/// From an intent on, how long its call can have been under way, in milliseconds.
const CALL_MS_MAX: i64 = 120_000;
/// For so long the upstream may still be at work on a call whose caller died, in microseconds.
const GRACE: i64 = 30_000_000;
/// `google.rpc.Code` of an outcome that nobody knows.
const UNKNOWN: i32 = 2;

/// Finds out and tells.
pub struct Aftermath {
    store: Store,
    upstreams: Upstreams,
    /// By upstream and full name of the method.
    rules: HashMap<(String, String), Rule>,
}

/// What a method does, and what it tells.
struct Rule {
    change: Change,
    announcement: Arc<Announcement>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Create,
    Update,
    Delete,
}

impl Aftermath {
    /// Joins the parts.
    ///
    /// # Errors
    /// The catalog tells of what is no type of event.
    pub fn new(
        catalog: &Catalog,
        transcoder: &Transcoder,
        upstreams: Upstreams,
        store: Store,
    ) -> Result<Self> {
        let mut rules = HashMap::new();
        for method in &catalog.methods {
            let change = method.full_name.strip_prefix(SERVICE).and_then(Change::of);
            let naming = Arc::new(Naming::of(transcoder, method));
            let announcement = Announcement::of(transcoder, method, &naming)?;
            if let (Some(change), Some(announcement)) = (change, announcement) {
                let key = (method.upstream.to_string(), method.full_name.clone());
                rules.insert(key, Rule { change, announcement });
            }
        }
        Ok(Self { store, upstreams, rules })
    }

    /// Returns what is to be written about an orphan, if anything has happened that nobody told of.
    ///
    /// # Errors
    /// The upstream or the database does not answer, or it may be known later.
    pub async fn recover(&self, orphan: &Orphan) -> Result<Option<(Settlement, Effects)>> {
        let entry = &orphan.entry;
        let Some(rule) = self.rules.get(&(entry.upstream.clone(), entry.method.clone())) else {
            return Ok(None);
        };
        let (Some(name), Some(upstream)) =
            (rule.change.subject(entry), self.upstreams.in_background(&entry.upstream))
        else {
            return Ok(None);
        };
        let shown = match look(upstream, &name).await {
            Ok(message) => Some(message),
            Err(error) if error.reason().is_some() => return Err(error),
            Err(error) => match error.code() {
                Code::NotFound => None,
                Code::PermissionDenied | Code::Unauthenticated => return Ok(None),
                _ => return Err(error),
            },
        };
        let connection = shown.as_deref().map(Connection::decode).transpose().map_err(Error::internal)?;
        let now = self.store.now();
        let Some(done_at) = rule.change.done_at(orphan.opened_at, connection.as_ref(), now) else {
            let young = now.as_microsecond().saturating_sub(orphan.opened_at) < GRACE;
            return if young { Err(later("the upstream may still be at work on it")) } else { Ok(None) };
        };
        // In this order: what ends in between has told before we look at what was told.
        if self.is_under_way(rule, entry, &name).await? {
            return Err(later("a gateway that lives may be about to tell of it"));
        }
        let Some(event) = self.untold(rule, orphan, &name, shown.as_deref(), done_at).await? else {
            return Ok(None);
        };
        tracing::info!(event = event.kind, resource = name, "what a gateway that died had done is told");
        let outcome = Outcome { code: UNKNOWN, ..Outcome::default() };
        let settlement = Settlement { outcome, ..Settlement::default() };
        Ok(Some((settlement, Effects { events: vec![event], ..Effects::default() })))
    }

    /// Whether a living gateway is about to do the same to the same connection.
    async fn is_under_way(&self, rule: &Rule, entry: &Entry, name: &str) -> Result<bool> {
        let Some(all) = self.store.under_way(UNDER_WAY_MAX).await? else { return Ok(true) };
        Ok(all.iter().any(|other| {
            let same = other.upstream == entry.upstream && other.method == entry.method;
            // One whose subject was not kept may be about anything there.
            let about = || rule.change.subject(other).is_none_or(|subject| subject == name);
            same && name.starts_with(other.resource()) && about()
        }))
    }

    /// Makes the event of what was done, unless one was told before.
    async fn untold(
        &self,
        rule: &Rule,
        orphan: &Orphan,
        name: &str,
        shown: Option<&[u8]>,
        done_at: Timestamp,
    ) -> Result<Option<WebhookEvent>> {
        let entry = &orphan.entry;
        let event = rule.announcement.event(&self.store, entry, shown.unwrap_or_default());
        let Some(event) = event else { return Ok(None) };
        let mut told = self.store.events_about(&event.project, FAMILY, name, EVENTS_MAX).await?;
        told.retain(|told| told.upstream == event.upstream);
        let now = self.store.now();
        let opened = Timestamp::from_microsecond(orphan.opened_at).unwrap_or_default().min(now);
        // The time of an event is by our clock. What follows from what the upstream shows is the same for everybody.
        let (time, moment, mark) = match rule.change {
            Change::Create | Change::Update => {
                let mark = done_at.as_millisecond().to_string();
                let tells = |told: &WebhookEvent| match rule.change.told_at(told) {
                    Some(at) => at == mark,
                    None => told.time >= opened,
                };
                if told.iter().any(|told| told.kind == event.kind && tells(told)) {
                    return Ok(None);
                }
                (done_at.clamp(opened, now), done_at, mark)
            }
            Change::Delete => {
                // It is gone: somebody was told that it is there, and nobody that it went.
                let Some(last) = told.first().filter(|last| last.kind != event.kind) else {
                    return Ok(None);
                };
                let behind = last.time.saturating_add(Duration::from_millis(1)).unwrap_or(last.time);
                (now.max(behind), behind, last.id.clone())
            }
        };
        let about = [event.kind.clone(), event.upstream.clone(), name.to_owned(), mark];
        Ok(Some(event.found_out(time, moment, &about.each_ref().map(String::as_bytes))))
    }
}

impl Change {
    fn of(method: &str) -> Option<Self> {
        match method {
            "CreateConnection" => Some(Self::Create),
            "UpdateConnection" => Some(Self::Update),
            "DeleteConnection" => Some(Self::Delete),
            _ => None,
        }
    }

    /// Names the connection that a request is about; `None` where that is not known.
    fn subject(self, entry: &Entry) -> Option<String> {
        if self != Self::Create {
            return Some(entry.resource().to_owned()).filter(|name| !name.is_empty());
        }
        let request: Value = serde_json::from_str(&entry.request).ok()?;
        let id = request["connectionId"].as_str().filter(|id| !id.is_empty() && !id.contains('/'))?;
        Some(format!("{}/connections/{id}", entry.resource()))
    }

    /// Says when it was done, if what the upstream shows now says that it was, by or at the time of a call that was opened
    /// at `opened_at`, in microseconds since 1970.
    fn done_at(self, opened_at: i64, shown: Option<&Connection>, now: Timestamp) -> Option<Timestamp> {
        // An upstream tells milliseconds.
        let opened = opened_at.div_euclid(1000).saturating_sub(SKEW_MS);
        let at = match (self, shown) {
            (Self::Create, Some(it)) => it.creation_time,
            (Self::Update, Some(it)) => Some(it.last_modified_time).filter(|at| *at > it.creation_time)?,
            (Self::Delete, None) => return Some(now),
            _ => return None,
        };
        let in_time = (opened..=opened.saturating_add(SKEW_MS + CALL_MS_MAX)).contains(&at);
        Timestamp::from_millisecond(at).ok().filter(|_| in_time)
    }

    /// Returns when an event says that it was done, in milliseconds since 1970, where it shows the connection.
    fn told_at(self, event: &WebhookEvent) -> Option<String> {
        let field = if self == Self::Create { "creationTime" } else { "lastModifiedTime" };
        let data: Value = serde_json::from_str(&event.data).ok()?;
        data["resource"][field].as_str().map(str::to_owned)
    }
}

/// Asks for a connection, with credentials of ours.
async fn look(upstream: &Upstream, name: &str) -> Result<bytes::Bytes> {
    let variable: FieldPath = "name".parse().expect("a name is a path");
    let call = Call {
        path: PathAndQuery::from_static(GET),
        message: GetConnectionRequest { name: name.to_owned() }.encode_to_vec().into(),
        metadata: Vec::new(),
        routing: routing_header::of(&[variable], &[Cow::from(name)]),
        timeout: Some(Timeout::of(CALL_TIME_MAX)),
        retryable: true,
        authorization: None,
    };
    // Boxed: it is larger than all that is around it.
    Ok(Box::pin(upstream.unary(call)).await?.message)
}

/// Says that asking again may help.
fn later(why: &str) -> Error {
    Error::upstream(Code::Unavailable, why, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(made: i64, changed: i64) -> Connection {
        Connection { creation_time: made, last_modified_time: changed, ..Connection::default() }
    }

    #[test]
    fn what_is_shown_says_when_it_was_done_or_that_it_was_not() {
        use Change::{Create, Delete, Update};
        let now = Timestamp::from_second(9_000).unwrap();
        let at = |change: Change, shown: Option<Connection>| {
            change.done_at(1_000_000_900, shown.as_ref(), now).map(Timestamp::as_millisecond)
        };
        for (made, expected) in [
            (998_999, None),
            (999_000, Some(999_000)),
            (1_120_000, Some(1_120_000)),
            (1_120_001, None),
            (0, None),
        ] {
            assert_eq!(at(Create, Some(connection(made, 0))), expected, "{made}");
        }
        for (made, changed, expected) in [
            (5, 1_000_007, Some(1_000_007)),
            (5, 998_999, None),
            (1_000_007, 1_000_007, None),
            (1_000_001, 1_000_007, Some(1_000_007)),
            (5, i64::MAX, None),
        ] {
            assert_eq!(at(Update, Some(connection(made, changed))), expected, "{made} {changed}");
        }
        assert_eq!(at(Delete, None), Some(now.as_millisecond()));
        assert_eq!(
            (at(Create, None), at(Update, None), at(Delete, Some(connection(5, 5)))),
            (None, None, None)
        );
    }

    #[test]
    fn a_request_says_what_it_is_about() {
        let entry = |name: &str, request: &str| Entry {
            resource_names: vec![name.to_owned()],
            request: request.to_owned(),
            ..Entry::default()
        };
        let parent = "projects/p/locations/eu";
        let create = |request| Change::Create.subject(&entry(parent, request));
        assert_eq!(
            create(r#"{"connectionId": "c"}"#).as_deref(),
            Some("projects/p/locations/eu/connections/c")
        );
        for nobody_knows in ["", "{}", r#"{"connectionId": ""}"#, r#"{"connectionId": "a/b"}"#] {
            assert_eq!(create(nobody_knows), None, "{nobody_knows}");
        }
        assert_eq!(Change::Delete.subject(&entry("projects/p", "")).as_deref(), Some("projects/p"));
        assert_eq!(Change::Update.subject(&Entry::default()), None);
    }
}
