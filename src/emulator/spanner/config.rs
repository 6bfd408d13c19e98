//! Instance configurations: those of Google, which every project has, and those that projects make.

use jiff::Timestamp;
use tonic::Status;

use super::{
    id,
    metadata::Kind,
    name::{ancestor, check, last_segment},
    operation::{Operation, Work},
    operations,
    refusal::{already_exists, etag_mismatch, gone, invalid, not_found, precondition},
    resource::{ListRequest, Resource, check_parent, check_room, children},
    shapes::Described as _,
    time::after,
    world::World,
};
use crate::pb::google::{
    longrunning,
    spanner::admin::instance::v1::{
        CreateInstanceConfigRequest, DeleteInstanceConfigRequest, InstanceConfig, ListInstanceConfigsRequest,
        ListInstanceConfigsResponse, ReplicaInfo, UpdateInstanceConfigRequest,
        instance_config::{FreeInstanceAvailability, QuorumType, State, Type},
        replica_info::ReplicaType,
    },
};

/// What the ids of configurations that projects make begin with.
const CUSTOM: &str = "custom-";
/// Bytes that an instance may store for each processing unit.
const STORAGE_PER_UNIT: i64 = 10_995_116_277;
/// What an update may change.
const CHANGEABLE: &[&str] = &["display_name", "labels", "etag"];

/// A configuration of Google: id, name for people, and where its replicas are.
struct Offer {
    id: &'static str,
    display_name: &'static str,
    quorum: QuorumType,
    /// Voting replicas; the leaders are at the first.
    voting: &'static [&'static str],
    witness: Option<&'static str>,
    /// Read-only replicas that may be added.
    optional: &'static [&'static str],
}

const OFFERS: &[Offer] = &[
    Offer {
        id: "dual-region-germany1",
        display_name: "Germany (Frankfurt/Berlin)",
        quorum: QuorumType::DualRegion,
        voting: &["europe-west3", "europe-west10"],
        witness: None,
        optional: &[],
    },
    Offer {
        id: "eur3",
        display_name: "Europe (Belgium/Netherlands)",
        quorum: QuorumType::MultiRegion,
        voting: &["europe-west1", "europe-west4"],
        witness: Some("europe-north1"),
        optional: &["us-central1", "us-east1"],
    },
    Offer {
        id: "nam3",
        display_name: "United States (Northern Virginia/South Carolina)",
        quorum: QuorumType::MultiRegion,
        voting: &["us-east4", "us-east1"],
        witness: Some("us-central1"),
        optional: &["us-west2", "asia-southeast1"],
    },
    regional("regional-asia-northeast1", "Tokyo", &["asia-northeast1"]),
    regional("regional-europe-west1", "Belgium", &["europe-west1"]),
    regional("regional-europe-west3", "Frankfurt", &["europe-west3"]),
    regional("regional-us-central1", "Iowa", &["us-central1"]),
    regional("regional-us-east1", "South Carolina", &["us-east1"]),
];

const fn regional(id: &'static str, display_name: &'static str, voting: &'static [&'static str]) -> Offer {
    Offer { id, display_name, quorum: QuorumType::Region, voting, witness: None, optional: &[] }
}

impl Offer {
    fn in_project(&self, project: &str) -> InstanceConfig {
        let replica = |location: &str, kind: ReplicaType, leads| ReplicaInfo {
            location: location.to_owned(),
            r#type: kind.into(),
            default_leader_location: leads,
        };
        let voting = self.voting.iter().enumerate().flat_map(|(place, location)| {
            // Three replicas in one region, two in each of several.
            let count = if self.voting.len() == 1 { 3 } else { 2 };
            (0..count).map(move |_| replica(location, ReplicaType::ReadWrite, place == 0))
        });
        let witness = self.witness.iter().map(|location| replica(location, ReplicaType::Witness, false));
        let optional = self.optional.iter().map(|location| replica(location, ReplicaType::ReadOnly, false));
        let free = if self.voting.len() == 1 {
            FreeInstanceAvailability::Available
        } else {
            FreeInstanceAvailability::Unsupported
        };
        InstanceConfig {
            name: format!("{project}/instanceConfigs/{}", self.id),
            display_name: self.display_name.to_owned(),
            config_type: Type::GoogleManaged.into(),
            replicas: voting.chain(witness).collect(),
            optional_replicas: optional.collect(),
            leader_options: self.voting.iter().map(|location| (*location).to_owned()).collect(),
            state: State::Ready.into(),
            free_instance_availability: free.into(),
            quorum_type: self.quorum.into(),
            storage_limit_per_processing_unit: STORAGE_PER_UNIT,
            ..Default::default()
        }
    }
}

/// Returns a configuration, or says that there is none.
pub(super) fn get(world: &World, field: &str, name: &str) -> Result<InstanceConfig, Status> {
    check(field, name, InstanceConfig::COLLECTIONS)?;
    let offered = || {
        let offer = OFFERS.iter().find(|offer| offer.id == last_segment(name));
        offer.map(|offer| offer.in_project(ancestor(name, 1)))
    };
    let found = world.configs.get(name).cloned().or_else(offered);
    found.ok_or_else(|| not_found(InstanceConfig::KIND, name))
}

/// Returns a configuration that an instance of the same project can use.
pub(super) fn usable(world: &World, field: &str, name: &str, user: &str) -> Result<InstanceConfig, Status> {
    let config = get(world, field, name)?;
    if ancestor(name, 1) != ancestor(user, 1) {
        return Err(invalid(field, "must be a configuration of the same project"));
    }
    if config.state() != State::Ready {
        return Err(precondition("CONFIG_NOT_READY", name, "is still being created"));
    }
    Ok(config)
}

/// Lists the configurations of a project.
pub(super) fn list(
    world: &World,
    request: &ListInstanceConfigsRequest,
) -> Result<ListInstanceConfigsResponse, Status> {
    check_parent::<InstanceConfig>(&request.parent)?;
    let offered = OFFERS.iter().map(|offer| offer.in_project(&request.parent));
    let below = format!("{}/instanceConfigs", request.parent);
    let made = children::<InstanceConfig>(world, &below).map(|(_, it)| it.clone());
    let mut all: Vec<_> = offered.chain(made).map(|it| (it.name.clone(), it)).collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: "",
    };
    let (instance_configs, next_page_token) = list.cut(world, InstanceConfig::KIND, all)?;
    Ok(ListInstanceConfigsResponse { instance_configs, next_page_token })
}

/// Creates a configuration based on one of Google's. It is there at once, in state `CREATING`.
pub(super) fn create(
    world: &mut World,
    request: CreateInstanceConfigRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    check_parent::<InstanceConfig>(&request.parent)?;
    id::check("instance_config_id", &request.instance_config_id, id::CONFIG)?;
    if !request.instance_config_id.starts_with(CUSTOM) {
        return Err(invalid("instance_config_id", format!("must begin with {CUSTOM}")));
    }
    let wanted = request.instance_config.ok_or_else(|| invalid("instance_config", "is required"))?;
    let target = format!("{}/instanceConfigs/{}", request.parent, request.instance_config_id);
    if !wanted.name.is_empty() && wanted.name != target {
        return Err(invalid("instance_config.name", format!("must be {target}")));
    }
    if world.configs.contains_key(&target) {
        return Err(already_exists(InstanceConfig::KIND, &target));
    }
    check_room::<InstanceConfig>(world)?;
    let mut config = fill(world, wanted, &target)?;
    config.etag = etag(world);
    let kind = Kind::CreateConfig(config.clone());
    if request.validate_only {
        return Ok(checked(&target, kind, &config, now));
    }
    let (name, undone) = (target.clone(), target.clone());
    let work = Work::at_the_end(move |world, _| {
        let config = world.configs.get_mut(&name).ok_or_else(|| gone(InstanceConfig::KIND, &name))?;
        config.set_state(State::Ready);
        config.reconciling = false;
        Ok(config.to_any())
    });
    let work = work
        .or_else(move |world, _| {
            world.configs.remove(&undone);
        })
        .undone_at_once()
        .refused(world.fate(&target));
    let due = after(now, world.pace.config);
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    world.configs.insert(target, config);
    Ok(shown)
}

/// Changes the name for people or the labels of a configuration that a project made.
pub(super) fn update(
    world: &mut World,
    request: UpdateInstanceConfigRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let body = request.instance_config.ok_or_else(|| invalid("instance_config", "is required"))?;
    let target = body.name.clone();
    let old = own(world, "instance_config.name", &target)?;
    check_etag(&old, &body.etag)?;
    let paths = request.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        return Err(invalid("update_mask", "is required"));
    }
    if let Some(path) = paths.iter().find(|path| !CHANGEABLE.contains(&path.as_str())) {
        return Err(invalid("update_mask", format!("{path:?} cannot be changed")));
    }
    world.check_idle(&target)?;
    let mut config = world.shapes.masked(&old, body, ("update_mask", request.update_mask.as_ref()))?;
    check_display_name(&config)?;
    config.etag = etag(world);
    let kind = Kind::UpdateConfig(config.clone());
    if request.validate_only {
        return Ok(checked(&target, kind, &config, now));
    }
    let (name, undone) = (target.clone(), target.clone());
    let work = Work::at_the_end(move |world, _| {
        let kept = world.configs.get_mut(&name).ok_or_else(|| gone(InstanceConfig::KIND, &name))?;
        *kept = InstanceConfig { reconciling: false, ..config };
        Ok(kept.to_any())
    });
    let work = work
        .or_else(move |world, _| {
            if let Some(config) = world.configs.get_mut(&undone) {
                config.reconciling = false;
            }
        })
        .refused(world.fate(&target));
    let due = after(now, world.pace.config);
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    if let Some(config) = world.configs.get_mut(&target) {
        config.reconciling = true;
    }
    Ok(shown)
}

/// Deletes a configuration that a project made and no instance uses.
pub(super) fn delete(world: &mut World, request: &DeleteInstanceConfigRequest) -> Result<(), Status> {
    let config = own(world, "name", &request.name)?;
    check_etag(&config, &request.etag)?;
    let of_instances = world.instances.values().map(|it| (&it.name, &it.config));
    let of_partitions = world.partitions.values().map(|it| (&it.name, &it.config));
    if let Some((user, _)) = of_instances.chain(of_partitions).find(|(_, config)| **config == request.name) {
        return Err(precondition("RESOURCE_IN_USE", &request.name, &format!("is used by {user}")));
    }
    if !request.validate_only {
        world.configs.remove(&request.name);
    }
    Ok(())
}

/// Lists the operations on a project's configurations.
pub(super) fn list_operations(
    world: &World,
    list: &ListRequest<'_>,
    now: Timestamp,
) -> Result<(Vec<longrunning::Operation>, String), Status> {
    check_parent::<InstanceConfig>(list.parent)?;
    operations::list_below(world, list, "instanceConfigs", now)
}

/// Makes up the etag of something that has changed.
pub(super) fn etag(world: &mut World) -> String {
    format!("{:016x}", world.rng.u64(..))
}

/// An operation that only says that the request is good: done, and without a name.
fn checked(target: &str, kind: Kind, config: &InstanceConfig, now: Timestamp) -> longrunning::Operation {
    Operation::ended_at(target, kind, now, Ok(config.to_any())).render(now)
}

/// Returns a configuration that a project made.
fn own(world: &World, field: &str, name: &str) -> Result<InstanceConfig, Status> {
    let config = get(world, field, name)?;
    if config.config_type() != Type::UserManaged {
        return Err(precondition("GOOGLE_MANAGED", name, "is managed by Google and cannot be changed"));
    }
    Ok(config)
}

fn check_etag(config: &InstanceConfig, etag: &str) -> Result<(), Status> {
    if etag.is_empty() || etag == config.etag {
        return Ok(());
    }
    Err(etag_mismatch(&config.name))
}

fn check_display_name(config: &InstanceConfig) -> Result<(), Status> {
    if config.display_name.is_empty() {
        return Err(invalid("instance_config.display_name", "is required"));
    }
    Ok(())
}

/// Checks a new configuration against its base and fills in what follows from that.
fn fill(world: &World, wanted: InstanceConfig, target: &str) -> Result<InstanceConfig, Status> {
    check_display_name(&wanted)?;
    let field = "instance_config.base_config";
    let base = usable(world, field, &wanted.base_config, target)?;
    if base.config_type() != Type::GoogleManaged {
        return Err(invalid(field, "must be a configuration that Google manages"));
    }
    let mut extra = wanted.replicas.clone();
    for replica in &base.replicas {
        let place =
            extra.iter().position(|it| it.location == replica.location && it.r#type == replica.r#type);
        let Some(place) = place else {
            let lacking = format!("must hold those of the base; one in {} lacks", replica.location);
            return Err(invalid("instance_config.replicas", lacking));
        };
        extra.remove(place);
    }
    let is_offered = |replica: &ReplicaInfo| {
        base.optional_replicas.iter().any(|it| it.location == replica.location && it.r#type == replica.r#type)
    };
    if let Some(stranger) = extra.iter().find(|replica| !is_offered(replica)) {
        let why = format!("the base offers no such replica in {}", stranger.location);
        return Err(invalid("instance_config.replicas", why));
    }
    Ok(InstanceConfig {
        name: target.to_owned(),
        display_name: wanted.display_name,
        config_type: Type::UserManaged.into(),
        replicas: wanted.replicas,
        base_config: wanted.base_config,
        labels: wanted.labels,
        reconciling: true,
        state: State::Creating.into(),
        etag: String::new(),
        ..base
    })
}
