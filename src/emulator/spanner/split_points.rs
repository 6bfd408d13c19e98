//! Split points, which are checked and then believed.

use std::time::Duration;

use jiff::Timestamp;
use tonic::Status;

use super::{
    database::serving,
    refusal::{invalid, not_found},
    time::{after, read},
    world::World,
};
use crate::pb::google::spanner::admin::database::v1::{AddSplitPointsRequest, SplitPoints};

/// Points of one request.
const POINTS_MAX: usize = 100;
/// Longest name of who asks.
const INITIATOR_CHARS_MAX: usize = 50;
/// How long points may stay.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Checks split points against the schema.
pub(super) fn add(world: &World, request: &AddSplitPointsRequest, now: Timestamp) -> Result<(), Status> {
    serving(world, "database", &request.database)?;
    if request.initiator.chars().count() > INITIATOR_CHARS_MAX {
        return Err(invalid("initiator", format!("has more than {INITIATOR_CHARS_MAX} characters")));
    }
    let count: usize = request.split_points.iter().map(|it| it.keys.len()).sum();
    if count == 0 || count > POINTS_MAX {
        return Err(invalid("split_points", format!("must hold 1 to {POINTS_MAX} points")));
    }
    for (place, points) in request.split_points.iter().enumerate() {
        check(world, &request.database, &format!("split_points[{place}]"), points, now)?;
    }
    Ok(())
}

fn check(
    world: &World,
    database: &str,
    field: &str,
    points: &SplitPoints,
    now: Timestamp,
) -> Result<(), Status> {
    let (entity, name) = match (points.table.as_str(), points.index.as_str()) {
        ("", "") => return Err(invalid(&format!("{field}.table"), "or index is required")),
        ("", index) => ("INDEX", index),
        (table, _) => ("TABLE", table),
    };
    if !world.schemas.get(database).is_some_and(|schema| schema.now.has(entity, name)) {
        let kind = if entity == "TABLE" { "Table" } else { "Index" };
        return Err(not_found(kind, &format!("{database}: {name}")));
    }
    let lacking = |key: &crate::pb::google::spanner::admin::database::v1::split_points::Key| {
        key.key_parts.as_ref().is_none_or(|parts| parts.values.is_empty())
    };
    if points.keys.is_empty() || points.keys.iter().any(lacking) {
        return Err(invalid(&format!("{field}.keys"), "must hold keys with at least one part each"));
    }
    let late = |at: &prost_types::Timestamp| read(at).is_none_or(|at| at > after(now, LIFE_MAX));
    if points.expire_time.as_ref().is_some_and(late) {
        return Err(invalid(&format!("{field}.expire_time"), "must be within 30 days from now"));
    }
    Ok(())
}
