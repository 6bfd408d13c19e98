//! Private connections: created and deleted in view of everybody, slowly.

use jiff::Timestamp;
use tonic::Status;

use super::{
    change::{Change, Steps},
    id::check_id,
    name::ancestor,
    operation::nothing,
    refusal::{already_exists, invalid, precondition, quota},
    resource::{Resource, check_parent, check_room, children, get},
    shapes::Described as _,
    world::World,
};
use crate::pb::google::{
    cloud::datastream::v1::{
        CreatePrivateConnectionRequest, DeletePrivateConnectionRequest, PrivateConnection, Route,
        connection_profile::Connectivity, private_connection::State,
    },
    longrunning::Operation,
};

/// Private connections that a project may hold.
const PER_PROJECT_MAX: usize = 5;

/// Creates a private connection. It is there at once, in state `CREATING`.
pub(super) fn create(
    world: &mut World,
    request: CreatePrivateConnectionRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    check_parent::<PrivateConnection>(&request.parent)?;
    check_id("private_connection_id", &request.private_connection_id)?;
    let mut wanted =
        request.private_connection.ok_or_else(|| invalid("private_connection", "is required"))?;
    wanted.check_common("private_connection")?;
    check_path(&wanted)?;
    let target = format!("{}/privateConnections/{}", request.parent, request.private_connection_id);
    if world.private_connections.contains_key(&target) {
        return Err(already_exists(PrivateConnection::KIND, &target));
    }
    let project = ancestor(&target, 1);
    if children::<PrivateConnection>(world, project).count() >= PER_PROJECT_MAX {
        return Err(quota(project, &format!("{PER_PROJECT_MAX} private connections per project")));
    }
    check_room::<PrivateConnection>(world)?;
    wanted.error = None;
    wanted.set_state(State::Creating);
    wanted.stamp(&target, None, now);
    let change = Change {
        validate_only: request.validate_only,
        force: request.force,
        preview: wanted.to_any(),
        ..Change::plain(target.clone(), "create", world.pace.private_connection)
    };
    let (interim, undone) = (wanted.clone(), target.clone());
    let steps = Steps::at_the_end(move |world, at| {
        wanted.set_state(State::Created);
        wanted.stamp(&target, wanted.create_time, at);
        let response = wanted.to_any();
        world.private_connections.insert(target, wanted);
        response
    });
    let steps = steps.with_interlude(
        |world, _| {
            world.private_connections.insert(interim.name.clone(), interim);
        },
        move |world, _| {
            world.private_connections.remove(&undone);
        },
    );
    change.begin(world, steps, now)
}

/// Deletes a private connection, with its routes if forced. It is there until the end, in state `DELETING`.
pub(super) fn delete(
    world: &mut World,
    request: DeletePrivateConnectionRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let target = request.name;
    let old: PrivateConnection = get(world, "name", &target)?;
    if !request.force && children::<Route>(world, &target).next().is_some() {
        return Err(precondition("HAS_ROUTES", &target, "has routes; delete them first or use force"));
    }
    let uses = |it: &Connectivity| matches!(it, Connectivity::PrivateConnectivity(path) if path.private_connection == target);
    if let Some(user) = world.profiles.values().find(|it| it.connectivity.as_ref().is_some_and(uses)) {
        return Err(precondition("RESOURCE_IN_USE", &target, &format!("is used by {}", user.name)));
    }
    let change = Change::plain(target.clone(), "delete", world.pace.private_connection);
    let (interim, prefix) = (target.clone(), format!("{target}/"));
    let steps = Steps::at_the_end(move |world, _| {
        world.private_connections.remove(&target);
        world.routes.retain(|name, _| !name.starts_with(&prefix));
        nothing()
    });
    let steps = steps.with_interlude(
        move |world, _| {
            if let Some(it) = world.private_connections.get_mut(&interim) {
                it.set_state(State::Deleting);
            }
        },
        |world, _| {
            world.private_connections.insert(old.name.clone(), old);
        },
    );
    change.begin(world, steps, now)
}

fn check_path(wanted: &PrivateConnection) -> Result<(), Status> {
    let wrong = match (&wanted.vpc_peering_config, &wanted.psc_interface_config) {
        (Some(vpc), None) if vpc.vpc.is_empty() => Some(("vpc_peering_config.vpc", "is required")),
        (Some(vpc), None) if !vpc.subnet.ends_with("/29") => {
            Some(("vpc_peering_config.subnet", "must be a /29 range such as 10.1.0.0/29"))
        }
        (None, Some(psc)) if psc.network_attachment.is_empty() => {
            Some(("psc_interface_config.network_attachment", "is required"))
        }
        (Some(_), None) | (None, Some(_)) => None,
        _ => Some(("vpc_peering_config", "or psc_interface_config must be set, and not both")),
    };
    wrong.map_or(Ok(()), |(field, why)| Err(invalid(&format!("private_connection.{field}"), why)))
}
