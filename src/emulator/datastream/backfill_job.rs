//! Starting and stopping the backfill of an object.

use jiff::Timestamp;
use tonic::Status;

use super::{
    backfill::Run,
    object::{get_object, stream_of},
    pace::{after, wire},
    refusal::{invalid, precondition},
    source::Kind,
    stream,
    world::World,
};
use crate::pb::google::cloud::datastream::v1::{
    BackfillJob, EventFilter, StartBackfillJobRequest, StreamObject,
    backfill_job::{State, Trigger},
    event_filter::Filter,
    stream::State as StreamState,
};

/// Longest condition of a partial backfill, in bytes.
const CONDITION_BYTES_MAX: usize = 4096;

/// Starts a backfill and returns the object.
///
/// # Errors
/// `FAILED_PRECONDITION` when one is in progress, when the object cannot be backfilled, or when its stream is not running.
pub(super) fn start(
    world: &mut World,
    request: StartBackfillJobRequest,
    now: Timestamp,
) -> Result<StreamObject, Status> {
    let name = request.object;
    let shown = get_object(world, "object", &name, now)?;
    let stream = world.streams.get(stream_of(&name));
    let kind = stream.and_then(stream::kind);
    let event_filter = request.event_filter.filter(|it| it.filter.is_some());
    check_condition(event_filter.as_ref(), kind)?;
    let state = shown.backfill_job.as_ref().map(BackfillJob::state).unwrap_or_default();
    if state == State::Unsupported {
        return Err(precondition(
            "BACKFILL_UNSUPPORTED",
            &name,
            "the structure of this object cannot be backfilled",
        ));
    }
    if matches!(state, State::Pending | State::Active) {
        return Err(precondition("BACKFILL_IN_PROGRESS", &name, "a backfill of this object is in progress"));
    }
    if stream.is_some_and(|stream| stream.state() != StreamState::Running) {
        return Err(precondition("STREAM_NOT_RUNNING", stream_of(&name), "the stream is not running"));
    }
    let pace = world.pace;
    let Some(object) = world.objects.get_mut(&name) else { return Ok(shown) };
    let previous = object.run.as_ref().map(|run| run.times(now)).unwrap_or_default();
    let run = Run::start(Trigger::Manual, &object.fixed.display_name, &pace, now);
    object.run = Some(Run { previous, event_filter, ..run });
    object.fixed.update_time = Some(wire(now));
    Ok(object.render(now))
}

/// Asks a backfill to stop and returns the object, which may still be `ACTIVE`.
///
/// # Errors
/// `FAILED_PRECONDITION` when none is in progress.
pub(super) fn stop(world: &mut World, name: &str, now: Timestamp) -> Result<StreamObject, Status> {
    let shown = get_object(world, "object", name, now)?;
    let at = after(now, world.pace.backfill_stopping);
    let Some(object) = world.objects.get_mut(name) else { return Ok(shown) };
    let Some(run) = object.run.as_mut().filter(|run| run.is_in_progress(now)) else {
        return Err(precondition(
            "BACKFILL_NOT_IN_PROGRESS",
            name,
            "no backfill of this object is in progress",
        ));
    };
    run.stops.get_or_insert(at);
    object.fixed.update_time = Some(wire(now));
    Ok(object.render(now))
}

fn check_condition(filter: Option<&EventFilter>, kind: Option<Kind>) -> Result<(), Status> {
    let Some(Filter::SqlWhereClause(condition)) = filter.and_then(|it| it.filter.as_ref()) else {
        return Ok(());
    };
    let field = "event_filter.sql_where_clause";
    if kind.is_some_and(|kind| !kind.speaks_sql()) {
        return Err(invalid(field, "is for SQL sources only"));
    }
    if condition.len() > CONDITION_BYTES_MAX {
        return Err(invalid(field, format!("is longer than {CONDITION_BYTES_MAX} bytes")));
    }
    let first = condition.split_whitespace().next().unwrap_or_default();
    if first.eq_ignore_ascii_case("where") {
        return Err(invalid(field, "is the condition alone, without the word WHERE"));
    }
    Ok(())
}
