//! Sections that count the items of a list.

use super::{
    super::{
        across::{self, Asked, Start},
        forward::{self, Input, Payload},
    },
    Counts, Look,
};
use crate::{
    error::{Code, Error, Reason, Result},
    transcode::{Plan, Query},
};

/// Items of one section that are counted.
const ITEMS_MAX: u64 = 20_000;
/// Items on a page.
const PAGE_SIZE: usize = 1000;
/// Pages of one section: an upstream may go on answering empty ones, of which kept ones cost no time to wait for.
const ROUNDS_MAX: u32 = 200;
/// Places that are named where none of them answered.
const NAMED_MAX: usize = 8;

/// A list whose items are counted.
pub(super) struct Counted {
    upstream: &'static str,
    method: &'static str,
    /// What follows the project in the path.
    below: &'static str,
    kind: Kind,
}

/// What items are counted by.
enum Kind {
    /// Which of these fields there is, each with its name in the answer.
    Which(&'static [(&'static str, &'static str)]),
    /// The value of an enum.
    Enum(&'static str),
}

/// Connections, by what they lead to.
pub(super) const CONNECTIONS: Counted = Counted {
    upstream: "bigqueryconnection",
    method: "google.cloud.bigquery.connection.v1.ConnectionService.ListConnections",
    below: "locations/-",
    kind: Kind::Which(&[
        ("cloud_sql", "cloudSql"),
        ("aws", "aws"),
        ("azure", "azure"),
        ("cloud_spanner", "cloudSpanner"),
        ("cloud_resource", "cloudResource"),
        ("spark", "spark"),
        ("salesforce_data_cloud", "salesforceDataCloud"),
        ("configuration", "configuration"),
    ]),
};

/// Streams, by state.
pub(super) const STREAMS: Counted = Counted {
    upstream: "datastream",
    method: "google.cloud.datastream.v1.Datastream.ListStreams",
    below: "locations/-",
    kind: Kind::Enum("state"),
};

/// Stream objects, by the state of their backfill.
pub(super) const STREAM_OBJECTS: Counted = Counted {
    upstream: "datastream",
    method: "google.cloud.datastream.v1.Datastream.ListStreamObjects",
    below: "locations/-/streams/-",
    kind: Kind::Enum("backfill_job.state"),
};

/// What an item is counted as that has none of the fields.
const OTHER: &str = "other";

/// Counts the items of a list, across all that the caller may see of it.
///
/// # Errors
/// As the list has it; `UPSTREAM_UNAVAILABLE` where no part of it answered: nothing was counted then, not even to zero.
pub(super) async fn count(look: &Look<'_>, counted: &Counted) -> Result<Counts> {
    let route = look.gateway.list_route(counted.upstream, counted.method);
    let route = route.ok_or_else(|| Error::internal(format!("{} is not served", counted.method)))?;
    forward::upstream(route)?;
    let listing = route.listing.as_ref().ok_or_else(|| Error::internal("only lists are counted"))?;
    let item = listing.item.as_ref().ok_or_else(|| Error::internal("the items are no messages"))?;
    let (parent, query) = (format!("projects/{}/{}", look.project, counted.below), Query::default());
    let input =
        Input { captures: &[parent.into()], query: &query, payload: Payload::Json(b""), caller: look.caller };
    let parts = across::parts(look.gateway, route, &input, look.wish).await?;
    let asked = Asked { query: &query, caller: look.caller, size: PAGE_SIZE, partial: true, wish: look.wish };
    let (mut counts, mut start, mut answered) = (Counts::default(), Start::default(), false);
    let mut rounds_left = ROUNDS_MAX;
    loop {
        rounds_left -= 1;
        let merged = across::merge(look.gateway, route, &parts, start, &asked).await?;
        answered |= !merged.pages.is_empty();
        for page in &merged.pages {
            for bytes in listing.paged.read(&page.body)?.items {
                let kind = counted.kind.of(item, bytes)?;
                match counts.each.get_mut(&kind) {
                    Some(count) => *count += 1,
                    None => drop(counts.each.insert(kind, 1)),
                }
                counts.total += 1;
            }
        }
        counts.age = counts.age.max(merged.freshness.age);
        counts.unreachable.extend(merged.unreachable);
        match merged.next {
            Some(next) if counts.total < ITEMS_MAX && rounds_left > 0 => start = next,
            _ if !answered && !counts.unreachable.is_empty() => return Err(silent(&counts.unreachable)),
            next => {
                counts.truncated = next.is_some();
                return Ok(counts);
            }
        }
    }
}

/// Says that nothing could be counted.
fn silent(places: &[String]) -> Error {
    let more = if places.len() > NAMED_MAX { ", ..." } else { "" };
    let named = places[..places.len().min(NAMED_MAX)].join(", ");
    Error::new(Code::Unavailable, Reason::UpstreamUnavailable, format!("None of it answered: {named}{more}."))
}

impl Kind {
    fn of(&self, plan: &Plan, item: &[u8]) -> Result<String> {
        match self {
            Self::Which(fields) => {
                for (field, name) in *fields {
                    if plan.has(field) && plan.peek(item, field)?.is_some() {
                        return Ok((*name).to_owned());
                    }
                }
                Ok(OTHER.to_owned())
            }
            Self::Enum(path) => plan.peek_enum(item, path),
        }
    }
}
