//! Routes of private connections.

use jiff::Timestamp;
use tonic::Status;

use super::{
    change::{Change, Steps},
    id::check_id,
    operation::nothing,
    refusal::{already_exists, invalid, precondition},
    resource::{Resource, check_room, get},
    shapes::Described as _,
    world::World,
};
use crate::pb::google::{
    cloud::datastream::v1::{
        CreateRouteRequest, DeleteRouteRequest, PrivateConnection, Route, private_connection::State,
    },
    longrunning::Operation,
};

/// Creates a route in a private connection that is usable.
pub(super) fn create(
    world: &mut World,
    request: CreateRouteRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let parent: PrivateConnection = get(world, "parent", &request.parent)?;
    check_id("route_id", &request.route_id)?;
    let mut route = request.route.ok_or_else(|| invalid("route", "is required"))?;
    route.check_common("route")?;
    if route.destination_address.is_empty() {
        return Err(invalid("route.destination_address", "is required"));
    }
    if u16::try_from(route.destination_port).is_err() {
        return Err(invalid("route.destination_port", "must be a TCP port"));
    }
    let target = format!("{}/routes/{}", request.parent, request.route_id);
    if world.routes.contains_key(&target) {
        return Err(already_exists(Route::KIND, &target));
    }
    check_room::<Route>(world)?;
    if parent.state() != State::Created {
        return Err(precondition("PRIVATE_CONNECTION_NOT_READY", &parent.name, "is not in state CREATED"));
    }
    let change = Change::plain(target.clone(), "create", world.pace.operation);
    let steps = Steps::at_the_end(move |world, at| {
        route.stamp(&target, None, at);
        let response = route.to_any();
        world.routes.insert(target, route);
        response
    });
    change.begin(world, steps, now)
}

/// Deletes a route.
pub(super) fn delete(
    world: &mut World,
    request: DeleteRouteRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let target = request.name;
    get::<Route>(world, "name", &target)?;
    let change = Change::plain(target.clone(), "delete", world.pace.operation);
    let steps = Steps::at_the_end(move |world, _| {
        world.routes.remove(&target);
        nothing()
    });
    change.begin(world, steps, now)
}
