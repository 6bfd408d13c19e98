//! Connection profiles: create, update, delete, and the check whether the other end answers.

use jiff::Timestamp;
use tonic::Status;

use super::{
    change::{Change, Steps},
    id::check_id,
    operation::nothing,
    refusal::{already_exists, invalid, precondition},
    resource::{Resource, check_parent, check_room, get},
    shapes::Described as _,
    stream,
    validation::Checks,
    world::World,
};
use crate::pb::google::{
    cloud::datastream::v1::{
        ConnectionProfile, CreateConnectionProfileRequest, DeleteConnectionProfileRequest, PrivateConnection,
        UpdateConnectionProfileRequest,
        connection_profile::{Connectivity, Profile},
    },
    longrunning::Operation,
};

/// Hosts with this in their name never answer.
const UNREACHABLE: &str = "unreachable";

/// Creates a profile.
pub(super) fn create(
    world: &mut World,
    request: CreateConnectionProfileRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    check_parent::<ConnectionProfile>(&request.parent)?;
    check_id("connection_profile_id", &request.connection_profile_id)?;
    let profile = request.connection_profile.ok_or_else(|| invalid("connection_profile", "is required"))?;
    let target = format!("{}/connectionProfiles/{}", request.parent, request.connection_profile_id);
    if world.profiles.contains_key(&target) {
        return Err(already_exists(ConnectionProfile::KIND, &target));
    }
    check_room::<ConnectionProfile>(world)?;
    check(world, &profile)?;
    let flags = (request.validate_only, request.force);
    store(world, "create", (target, None), profile, flags, now)
}

/// Changes a profile.
pub(super) fn update(
    world: &mut World,
    request: UpdateConnectionProfileRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let body = request.connection_profile.ok_or_else(|| invalid("connection_profile", "is required"))?;
    let target = body.name.clone();
    let old: ConnectionProfile = get(world, "connection_profile.name", &target)?;
    let profile = world.shapes.masked(&old, body, ("update_mask", request.update_mask.as_ref()))?;
    check(world, &profile)?;
    let flags = (request.validate_only, request.force);
    store(world, "update", (target, old.create_time), profile, flags, now)
}

/// Deletes a profile that no stream uses.
pub(super) fn delete(
    world: &mut World,
    request: DeleteConnectionProfileRequest,
    now: Timestamp,
) -> Result<Operation, Status> {
    let target = request.name;
    get::<ConnectionProfile>(world, "name", &target)?;
    if let Some(user) = world.streams.values().find(|it| stream::profiles(it).contains(&target.as_str())) {
        return Err(precondition("RESOURCE_IN_USE", &target, &format!("is used by {}", user.name)));
    }
    let change = Change::plain(target.clone(), "delete", world.pace.operation);
    let steps = Steps::at_the_end(move |world, _| {
        world.profiles.remove(&target);
        nothing()
    });
    change.begin(world, steps, now)
}

fn store(
    world: &mut World,
    verb: &'static str,
    (target, created): (String, Option<prost_types::Timestamp>),
    mut profile: ConnectionProfile,
    (validate_only, force): (bool, bool),
    now: Timestamp,
) -> Result<Operation, Status> {
    let checks = connectivity(&profile);
    profile = world.shapes.without_secrets(&profile)?;
    profile.stamp(&target, created, now);
    let change = Change {
        checks,
        validate_only,
        force,
        preview: profile.to_any(),
        ..Change::plain(target.clone(), verb, world.pace.operation)
    };
    let steps = Steps::at_the_end(move |world, at| {
        profile.stamp(&target, created, at);
        let response = profile.to_any();
        world.profiles.insert(target, profile);
        response
    });
    change.begin(world, steps, now)
}

fn check(world: &World, profile: &ConnectionProfile) -> Result<(), Status> {
    profile.check_common("connection_profile")?;
    let Some(kind) = &profile.profile else {
        return Err(invalid("connection_profile.profile", "exactly one kind of profile must be set"));
    };
    for (field, value) in required(kind) {
        if value.is_empty() {
            return Err(invalid(&format!("connection_profile.{field}"), "is required"));
        }
    }
    if let Some(Connectivity::PrivateConnectivity(path)) = &profile.connectivity {
        get::<PrivateConnection>(
            world,
            "connection_profile.private_connectivity.private_connection",
            &path.private_connection,
        )?;
    }
    Ok(())
}

fn required(profile: &Profile) -> Vec<(&'static str, &str)> {
    match profile {
        Profile::OracleProfile(it) => vec![
            ("oracle_profile.hostname", &it.hostname),
            ("oracle_profile.username", &it.username),
            ("oracle_profile.database_service", &it.database_service),
        ],
        Profile::MysqlProfile(it) => {
            vec![("mysql_profile.hostname", &it.hostname), ("mysql_profile.username", &it.username)]
        }
        Profile::PostgresqlProfile(it) => vec![
            ("postgresql_profile.hostname", &it.hostname),
            ("postgresql_profile.username", &it.username),
            ("postgresql_profile.database", &it.database),
        ],
        Profile::SqlServerProfile(it) => vec![
            ("sql_server_profile.hostname", &it.hostname),
            ("sql_server_profile.username", &it.username),
            ("sql_server_profile.database", &it.database),
        ],
        Profile::GcsProfile(it) => vec![("gcs_profile.bucket", &it.bucket)],
        Profile::SalesforceProfile(it) => vec![("salesforce_profile.domain", &it.domain)],
        Profile::MongodbProfile(it) => vec![("mongodb_profile.username", &it.username)],
        Profile::SpannerProfile(it) => vec![("spanner_profile.database", &it.database)],
        Profile::DataverseProfile(it) => vec![
            ("dataverse_profile.tenant_id", &it.tenant_id),
            ("dataverse_profile.environment_url", &it.environment_url),
        ],
        Profile::SalesforceMarketingCloudProfile(it) => {
            vec![("salesforce_marketing_cloud_profile.subdomain", &it.subdomain)]
        }
        Profile::ServiceNowProfile(it) => vec![("service_now_profile.instance", &it.instance)],
        Profile::WorkdayProfile(it) => {
            vec![("workday_profile.host", &it.host), ("workday_profile.tenant", &it.tenant)]
        }
        Profile::BigqueryProfile(_) => Vec::new(),
    }
}

/// Tries to reach the other end.
fn connectivity(profile: &ConnectionProfile) -> Checks {
    let mut checks = Checks::default();
    let host = profile.profile.as_ref().and_then(|it| {
        required(it)
            .into_iter()
            .find_map(|(field, value)| field.ends_with("hostname").then(|| value.to_owned()))
    });
    if let Some(host) = host {
        let finding =
            host.contains(UNREACHABLE).then(|| format!("{host} does not answer: connection timed out"));
        checks.note("CONNECTIVITY", "The server can be reached and accepts the credentials", finding);
    }
    checks
}
