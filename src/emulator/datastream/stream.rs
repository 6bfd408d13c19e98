//! Streams: create, update (which is also start and pause), run, delete.

use jiff::Timestamp;
use tonic::Status;

use super::{
    change::{Change, Steps},
    id::check_id,
    object,
    operation::nothing,
    refusal::{already_exists, invalid, precondition, quota},
    resource::{Resource, check_parent, check_room, children, get},
    shapes::Described as _,
    source::Kind,
    validation::Checks,
    world::World,
};
use crate::pb::google::{
    cloud::datastream::v1::{
        ConnectionProfile, CreateStreamRequest, DeleteStreamRequest, RunStreamRequest, Stream,
        UpdateStreamRequest, connection_profile::Profile, destination_config::DestinationStreamConfig,
        source_config::SourceStreamConfig, stream::State,
    },
    longrunning::Operation,
};

/// Streams that a project may hold in one region.
const PER_LOCATION_MAX: usize = 50;

/// Creates a stream, stopped unless its state says `RUNNING`.
pub(super) fn create(
    world: &mut World,
    request: CreateStreamRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    check_parent::<Stream>(&request.parent)?;
    check_id("stream_id", &request.stream_id)?;
    let mut stream = request.stream.ok_or_else(|| invalid("stream", "is required"))?;
    let target = format!("{}/streams/{}", request.parent, request.stream_id);
    if world.streams.contains_key(&target) {
        return Err(already_exists(Stream::KIND, &target));
    }
    if children::<Stream>(world, &request.parent).count() >= PER_LOCATION_MAX {
        return Err(quota(&request.parent, &format!("{PER_LOCATION_MAX} streams per project and region")));
    }
    check_room::<Stream>(world)?;
    let checks = check(world, &stream)?;
    let state = match stream.state() {
        State::Unspecified | State::NotStarted => State::NotStarted,
        State::Running => State::Running,
        _ => return Err(invalid("stream.state", "of a new stream is NOT_STARTED or RUNNING")),
    };
    stream.set_state(state);
    stream.errors.clear();
    stream.stamp(&target, None, now);
    let change = Change {
        checks,
        validate_only: request.validate_only,
        force: request.force,
        preview: stream.to_any(),
        ..Change::plain(target, "create", world.pace.operation)
    };
    change.begin(world, Steps::at_the_end(move |world, at| settle(world, stream, None, at)), now)
}

/// Changes a stream. `state` may go to `RUNNING` and `PAUSED`.
pub(super) fn update(
    world: &mut World,
    request: UpdateStreamRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let body = request.stream.ok_or_else(|| invalid("stream", "is required"))?;
    let target = body.name.clone();
    let old: Stream = get(world, "stream.name", &target)?;
    world.check_idle(&target)?;
    let mut stream = world.shapes.masked(&old, body, ("update_mask", request.update_mask.as_ref()))?;
    check_immutable(&old, &stream)?;
    let checks = check(world, &stream)?;
    let state = transition(&old, stream.state())?;
    stream.set_state(state);
    stream.errors.clone_from(&old.errors);
    stream.stamp(&target, old.create_time, now);
    let change = Change {
        checks,
        validate_only: request.validate_only,
        force: request.force,
        preview: stream.to_any(),
        ..Change::plain(target, "update", world.pace.operation)
    };
    move_to(world, change, &old, stream, now)
}

/// Starts or resumes a stream.
pub(super) fn run(world: &mut World, request: RunStreamRequest, now: Timestamp) -> Result<Operation, Status> {
    let old: Stream = get(world, "name", &request.name)?;
    world.check_idle(&request.name)?;
    if old.state() == State::Running {
        return Err(precondition("STREAM_RUNNING", &old.name, "is running already"));
    }
    let mut stream = old.clone();
    stream.set_state(transition(&old, State::Running)?);
    let checks = check(world, &stream)?;
    let takes = world.pace.operation;
    let change = Change { checks, force: request.force, ..Change::plain(request.name, "run", takes) };
    move_to(world, change, &old, stream, now)
}

/// Deletes a stream with its objects.
pub(super) fn delete(
    world: &mut World,
    request: DeleteStreamRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let target = request.name;
    get::<Stream>(world, "name", &target)?;
    let change = Change::plain(target.clone(), "delete", world.pace.operation);
    let steps = Steps::at_the_end(move |world, _| {
        let prefix = format!("{target}/");
        world.objects.retain(|name, _| !name.starts_with(&prefix));
        world.streams.remove(&target);
        nothing()
    });
    change.begin(world, steps, now)
}

/// Returns the profiles that a stream uses.
pub(super) fn profiles(stream: &Stream) -> [&str; 2] {
    let source = stream.source_config.as_ref().map(|it| it.source_connection_profile.as_str());
    let destination = stream.destination_config.as_ref().map(|it| it.destination_connection_profile.as_str());
    [source.unwrap_or_default(), destination.unwrap_or_default()]
}

/// Returns the settings of a stream's source.
pub(super) fn config(stream: &Stream) -> Option<&SourceStreamConfig> {
    stream.source_config.as_ref()?.source_stream_config.as_ref()
}

/// Returns the kind of a stream's source.
pub(super) fn kind(stream: &Stream) -> Option<Kind> {
    config(stream).map(Kind::of_config)
}

/// Begins a change of a stream; while its state changes, the stream shows that it is on its way.
fn move_to(
    world: &mut World,
    change: Change,
    old: &Stream,
    stream: Stream,
    now: Timestamp,
) -> Result<Operation, Status> {
    let passing = match (old.state() == stream.state(), stream.state()) {
        (false, State::Running) => State::Starting,
        (false, State::Paused) => State::Draining,
        _ => old.state(),
    };
    let (name, before, created) = (old.name.clone(), old.state(), old.create_time);
    let steps = Steps::at_the_end(move |world, at| settle(world, stream, created, at));
    let undone = name.clone();
    let steps = steps.with_interlude(
        move |world, _| show_state(world, &name, passing),
        move |world, _| show_state(world, &undone, before),
    );
    change.begin(world, steps, now)
}

fn show_state(world: &mut World, name: &str, state: State) {
    if let Some(stream) = world.streams.get_mut(name) {
        stream.set_state(state);
    }
}

/// Stores a stream as it shall be, and gives it its objects once it runs.
fn settle(
    world: &mut World,
    mut stream: Stream,
    created: Option<prost_types::Timestamp>,
    at: Timestamp,
) -> prost_types::Any {
    let name = stream.name.clone();
    stream.stamp(&name, created, at);
    if stream.state() == State::Running {
        stream.errors.clear();
        object::discover(world, &stream, at);
    }
    let response = stream.to_any();
    world.streams.insert(name, stream);
    response
}

/// Returns the state that a stream ends in when `wanted` is asked for.
fn transition(old: &Stream, wanted: State) -> Result<State, Status> {
    let from = old.state();
    match (from, wanted) {
        (_, State::Unspecified) => Ok(from),
        (_, _) if from == wanted => Ok(from),
        (State::NotStarted | State::Paused | State::Failed, State::Running) => Ok(State::Running),
        (State::Running | State::Failed, State::Paused) => Ok(State::Paused),
        (_, State::Running | State::Paused) => {
            let why = format!("cannot go from {} to {}", from.as_str_name(), wanted.as_str_name());
            Err(precondition("INVALID_STATE_TRANSITION", &old.name, &why))
        }
        _ => Err(invalid("stream.state", "can be set to RUNNING and PAUSED only")),
    }
}

fn check(world: &World, stream: &Stream) -> Result<Checks, Status> {
    stream.check_common("stream")?;
    let [source, destination] = profiles(stream);
    let profile: ConnectionProfile = get(world, "stream.source_config.source_connection_profile", source)?;
    let field = "stream.source_config";
    match (kind(stream), Kind::of_profile(&profile)) {
        (None, _) => return Err(invalid(field, "the settings of the source are required")),
        (_, None) => return Err(invalid(field, "the connection profile is of a destination")),
        (Some(config), Some(kind)) if config != kind => {
            return Err(invalid(field, "the settings do not fit the kind of the connection profile"));
        }
        _ => {}
    }
    if let Some(SourceStreamConfig::PostgresqlSourceConfig(config)) = config(stream) {
        if config.replication_slot.is_empty() {
            return Err(invalid(
                "stream.source_config.postgresql_source_config.replication_slot",
                "is required",
            ));
        }
        if config.publication.is_empty() {
            return Err(invalid("stream.source_config.postgresql_source_config.publication", "is required"));
        }
    }
    let field = "stream.destination_config.destination_connection_profile";
    check_destination(stream, &get(world, field, destination)?)?;
    let mut checks = Checks::default();
    checks.note("SOURCE_PRIVILEGES", "The source's user may read the change log", None);
    checks.note("DESTINATION_PERMISSIONS", "The service may write to the destination", None);
    Ok(checks)
}

fn check_destination(stream: &Stream, profile: &ConnectionProfile) -> Result<(), Status> {
    let config = stream.destination_config.as_ref().and_then(|it| it.destination_stream_config.as_ref());
    match (config, &profile.profile) {
        (Some(DestinationStreamConfig::GcsDestinationConfig(_)), Some(Profile::GcsProfile(_)))
        | (Some(DestinationStreamConfig::BigqueryDestinationConfig(_)), Some(Profile::BigqueryProfile(_))) => {
            Ok(())
        }
        (None, _) => {
            Err(invalid("stream.destination_config", "the settings of the destination are required"))
        }
        _ => Err(invalid(
            "stream.destination_config",
            "the settings do not fit the kind of the connection profile",
        )),
    }
}

fn check_immutable(old: &Stream, new: &Stream) -> Result<(), Status> {
    if old.customer_managed_encryption_key != new.customer_managed_encryption_key {
        return Err(invalid("stream.customer_managed_encryption_key", "cannot be changed"));
    }
    let slot = |stream: &Stream| match config(stream) {
        Some(SourceStreamConfig::PostgresqlSourceConfig(config)) => Some(config.replication_slot.clone()),
        _ => None,
    };
    if slot(old).is_some() && slot(old) != slot(new) {
        return Err(invalid(
            "stream.source_config.postgresql_source_config.replication_slot",
            "cannot be changed",
        ));
    }
    Ok(())
}
