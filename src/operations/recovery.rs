//! Finds out what became of calls whose gateway died before their end was written.
//!
//! Nothing is ever sent again. An operation is looked for among those that its upstream lists, by the time of the call and
//! the resource it was about; the run of a backfill shows in its object. What cannot be told for sure is not told.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
};

use prost::Message as _;

use super::{
    Role, Tracker, desk,
    judge::is_about_the_list,
    sources::{self, Run},
    tracker::Answered,
};
use crate::{
    error::{Error, Result},
    model::{Ending, Kind, OperationId, Outcome},
    pb::google::{cloud::datastream::v1::StreamObject, longrunning},
    schema::Catalog,
    store::{
        journal::{Effects, Orphan, Settlement},
        operations::Birth,
    },
    transcode::Transcoder,
    upstream::Upstreams,
};

/// How far the clocks of gateway and upstream may be apart, in microseconds.
const SKEW: i64 = 5_000_000;
/// The longest time from our intent to the upstream's beginning.
const BEGIN_TIME_MAX: i64 = 120_000_000;
/// Pages of one list.
const PAGES_MAX: usize = 16;

/// Returns when an upstream may have begun with what an orphan asked for, in microseconds since 1970.
fn begins(orphan: &Orphan) -> RangeInclusive<i64> {
    orphan.opened_at - SKEW..=orphan.opened_at + BEGIN_TIME_MAX
}

/// Ids of what a request makes that are looked for.
const IDS_MAX: usize = 4;

/// Reads out of a request as it is kept how what it makes is to be called, as in `instanceId`.
fn ids(request: &str) -> Vec<String> {
    let request: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(request).unwrap_or_default();
    let named = request.iter().filter(|(field, _)| field.ends_with("Id") && *field != "requestId");
    let mut ids: Vec<String> = named.filter_map(|(_, id)| id.as_str().map(str::to_owned)).collect();
    ids.retain(|id| !id.is_empty() && !id.contains('/'));
    ids.truncate(IDS_MAX);
    ids
}

/// Looks for what came of orphans.
pub struct Recovery {
    tracker: Tracker,
    upstreams: Upstreams,
    transcoder: Transcoder,
    roles: HashMap<(String, String), Role>,
}

impl Recovery {
    /// Joins the parts.
    pub fn new(tracker: Tracker, upstreams: Upstreams, transcoder: Transcoder, catalog: &Catalog) -> Self {
        let roles = catalog.methods.iter().filter_map(|method| {
            Some(((method.upstream.to_string(), method.full_name.clone()), Role::of(method)?))
        });
        Self { tracker, upstreams, transcoder, roles: roles.collect() }
    }

    /// Returns what is to be written about an orphan, if anything can be found out.
    ///
    /// # Errors
    /// The upstream or the database does not answer.
    pub async fn recover(&self, orphan: &Orphan) -> Result<Option<(Settlement, Effects)>> {
        let Some(birth) = self.find(orphan).await? else { return Ok(None) };
        let outcome =
            Outcome { ending: Ending::Success, operation: birth.operation.name(), ..Outcome::default() };
        let settlement = Settlement { outcome, ..Settlement::default() };
        Ok(Some((settlement, Effects { operations: vec![birth], ..Effects::default() })))
    }

    async fn find(&self, orphan: &Orphan) -> Result<Option<Birth>> {
        let entry = &orphan.entry;
        let Some(role) = self.roles.get(&(entry.upstream.clone(), entry.method.clone())) else {
            return Ok(None);
        };
        let Some(name) = entry.resource_names.first() else { return Ok(None) };
        let from = Answered {
            upstream: &entry.upstream,
            method: &entry.method,
            principal: &entry.principal,
            names: &entry.resource_names,
            reply: &[],
        };
        match role {
            Role::StartsBackfill => self.find_run(orphan, &from, name).await,
            Role::StartsLro => self.find_operation(orphan, &from, name).await,
            _ => Ok(None),
        }
    }

    /// A run that began after the call is the one that it started.
    async fn find_run(&self, orphan: &Orphan, from: &Answered<'_>, name: &str) -> Result<Option<Birth>> {
        let (Some(upstream), Some(mut it)) = (
            self.upstreams.in_background(from.upstream),
            self.tracker.begin(Kind::DatastreamBackfill, from, name, OperationId(orphan.id)),
        ) else {
            return Ok(None);
        };
        let source = self.tracker.sources().of(Kind::DatastreamBackfill);
        let message = desk::call(upstream, source.look(&it)?, None).await?;
        let object = StreamObject::decode(&message[..]).map_err(Error::internal)?;
        let run = Run::adopt(&object);
        // One that began later is somebody else's.
        let time = begins(orphan);
        let may_wait = *time.end() >= self.tracker.store().now().as_microsecond();
        if !run.began_in(&time, may_wait) {
            return Ok(None);
        }
        it.source = run.bytes();
        let seen = source.read(&it, &message)?;
        Ok(Some(self.tracker.born(&it, &seen)))
    }

    async fn find_operation(
        &self,
        orphan: &Orphan,
        from: &Answered<'_>,
        name: &str,
    ) -> Result<Option<Birth>> {
        let Some(upstream) = self.upstreams.in_background(from.upstream) else { return Ok(None) };
        let known = self.tracker.known();
        let mut places: Vec<(String, bool)> = Vec::new();
        // What is made has a list of its own with some, and its parent has none.
        if let Some(collection) = known.collection(from.upstream, from.method) {
            for id in ids(&orphan.entry.request) {
                let below = known.places_of(from.upstream, &format!("{name}/{collection}/{id}"));
                places.extend(below.into_iter().map(|place| (place, true)));
            }
        }
        let above = known.places_of(from.upstream, name);
        places.retain(|(place, _)| !above.contains(place));
        places.extend(above.into_iter().map(|place| (place, false)));
        let mut candidates = Vec::new();
        for (parent, may_be_none) in places {
            let mut token = String::new();
            for _ in 0..PAGES_MAX {
                let request = longrunning::ListOperationsRequest {
                    name: parent.clone(),
                    page_size: 1000,
                    page_token: token,
                    ..longrunning::ListOperationsRequest::default()
                };
                let ask = sources::Ask {
                    path: http::uri::PathAndQuery::from_static(
                        "/google.longrunning.Operations/ListOperations",
                    ),
                    message: request.encode_to_vec().into(),
                    routing: Some(("name", parent.clone())),
                };
                let page = match desk::call(upstream, ask, None).await {
                    Ok(page) => page,
                    // Nothing was made, or it has no list that we may see.
                    Err(error) if may_be_none && is_about_the_list(&error) => break,
                    Err(error) => return Err(error),
                };
                let page = longrunning::ListOperationsResponse::decode(&page[..]).map_err(Error::internal)?;
                candidates.extend(page.operations.into_iter().filter(|it| self.fits(orphan, name, it)));
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
        }
        let mut seen = BTreeSet::new();
        candidates.retain(|candidate| seen.insert(candidate.name.clone()));
        let mut unknown = Vec::new();
        for candidate in candidates {
            if self.tracker.store().operation_named(from.upstream, &candidate.name).await?.is_none() {
                unknown.push(candidate);
            }
        }
        // Two that fit are one too many.
        let [found] = unknown.as_slice() else { return Ok(None) };
        let begun = self.tracker.begin(Kind::GoogleLro, from, &found.name, OperationId(orphan.id));
        let Some(it) = begun else { return Ok(None) };
        let seen = self.tracker.sources().of(Kind::GoogleLro).read(&it, &found.encode_to_vec())?;
        Ok(Some(self.tracker.born(&it, &seen)))
    }

    /// Whether an operation is about the same resource, or one within it that the request named, and began with the call.
    fn fits(&self, orphan: &Orphan, name: &str, it: &longrunning::Operation) -> bool {
        let packed = it.metadata.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default();
        let (Some(target), Some(began)) = sources::target_and_start(&self.transcoder, &packed) else {
            return false;
        };
        let in_time = begins(orphan).contains(&began);
        let within = target.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| {
            let id = rest.rsplit('/').next().unwrap_or_default();
            let quoted = serde_json::Value::from(id).to_string();
            orphan.entry.request.is_empty() || orphan.entry.request.contains(&quoted)
        });
        in_time && (target == name || within)
    }
}
