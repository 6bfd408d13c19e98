//! Instances: create, change, move, delete.

use std::time::Duration;

use jiff::Timestamp;
use tonic::Status;

use super::{
    capacity::Capacity,
    config, id,
    metadata::Kind,
    operation::{Operation, Work},
    refusal::{already_exists, gone, invalid, pack, precondition},
    resource::{ListRequest, Resource, check_parent, check_room, children, get},
    shapes::Described,
    time::{after, wire},
    world::World,
};
use crate::pb::google::{
    longrunning,
    spanner::admin::{
        database::v1::{Backup, Database},
        instance::v1::{
            CreateInstanceRequest, FreeInstanceMetadata, GetInstanceRequest, Instance, InstancePartition,
            ListInstancesRequest, ListInstancesResponse, MoveInstanceRequest, MoveInstanceResponse,
            UpdateInstanceRequest,
            free_instance_metadata::ExpireBehavior,
            instance::{InstanceType, State},
        },
    },
};

/// Most labels of an instance.
const LABELS_MAX: usize = 64;
/// Fewest and most characters of a name for people.
const DISPLAY_NAME: (usize, usize) = (4, 30);
/// How long a free instance lives.
const FREE_FOR: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Processing units of a free instance.
const FREE_UNITS: i32 = 100;
/// What a filter may be about.
const FIELDS: &[&str] = &["name", "display_name", "displayName", "labels", "state", "config"];
/// What an update may change; what is inside of these too.
const CHANGEABLE: &[&str] = &[
    "display_name",
    "labels",
    "node_count",
    "processing_units",
    "autoscaling_config",
    "edition",
    "default_backup_schedule_type",
    "instance_type",
    "free_instance_metadata.expire_behavior",
];

/// Returns an instance, or those of its fields that the mask names.
pub(super) fn read(world: &World, request: &GetInstanceRequest) -> Result<Instance, Status> {
    let instance = get::<Instance>(world, "name", &request.name)?;
    match request.field_mask.as_ref().filter(|mask| !mask.paths.is_empty()) {
        Some(mask) => world.shapes.masked(&Instance::default(), instance.clone(), ("field_mask", Some(mask))),
        None => Ok(instance.clone()),
    }
}

/// Lists the instances of a project.
pub(super) fn list(world: &World, request: &ListInstancesRequest) -> Result<ListInstancesResponse, Status> {
    check_parent::<Instance>(&request.parent)?;
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: &request.filter,
    };
    let all = children::<Instance>(world, &request.parent).map(|(name, it)| (name.to_owned(), it.clone()));
    let kept = list.keep(world, FIELDS, all)?;
    let (instances, next_page_token) = list.cut(world, Instance::KIND, kept)?;
    Ok(ListInstancesResponse { instances, next_page_token, unreachable: Vec::new() })
}

/// Creates an instance. It is there at once, in state `CREATING`.
pub(super) fn create(
    world: &mut World,
    request: CreateInstanceRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    check_parent::<Instance>(&request.parent)?;
    id::check("instance_id", &request.instance_id, id::INSTANCE)?;
    let mut instance = request.instance.ok_or_else(|| invalid("instance", "is required"))?;
    let target = format!("{}/instances/{}", request.parent, request.instance_id);
    if !instance.name.is_empty() && instance.name != target {
        return Err(invalid("instance.name", format!("must be {target}")));
    }
    check_common("instance", &instance.display_name, instance.labels.len())?;
    config::usable(world, "instance.config", &instance.config, &target)?;
    if world.instances.contains_key(&target) {
        return Err(already_exists(Instance::KIND, &target));
    }
    check_room::<Instance>(world)?;
    if instance.instance_type() == InstanceType::FreeInstance {
        make_free(&mut instance, now)?;
    } else {
        instance.set_instance_type(InstanceType::Provisioned);
        instance.free_instance_metadata = None;
        (instance.node_count, instance.processing_units) = capacity(&instance)?.shown();
    }
    instance.name.clone_from(&target);
    instance.endpoint_uris.clear();
    instance.replica_compute_capacity.clear();
    instance.set_state(State::Creating);
    instance.create_time = Some(wire(now));
    instance.update_time = Some(wire(now));
    let (name, undone) = (target.clone(), target.clone());
    let work = Work::at_the_end(move |world, at| {
        let instance = world.instances.get_mut(&name).ok_or_else(|| gone(Instance::KIND, &name))?;
        instance.set_state(State::Ready);
        instance.update_time = Some(wire(at));
        Ok(instance.to_any())
    });
    let work = work
        .or_else(move |world, _| world.remove_tree(&undone))
        .undone_at_once()
        .refused(world.fate(&target));
    let due = after(now, world.pace.instance_creation);
    let kind = Kind::CreateInstance(instance.clone());
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    world.instances.insert(target, instance);
    Ok(shown)
}

/// Changes an instance; until the end it shows what it was.
pub(super) fn update(
    world: &mut World,
    request: UpdateInstanceRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let body = request.instance.ok_or_else(|| invalid("instance", "is required"))?;
    let target = body.name.clone();
    let old = ready(world, "instance.name", &target)?;
    let paths = request.field_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    check_paths("field_mask", paths, CHANGEABLE)?;
    world.check_idle(&target)?;
    let mut wanted = world.shapes.masked(&old, body, ("field_mask", request.field_mask.as_ref()))?;
    // Of the two words for capacity the one that the mask names counts.
    let named = |field: &str| paths.iter().any(|path| path == field);
    match (named("node_count"), named("processing_units")) {
        (true, false) => wanted.processing_units = 0,
        (false, true) => wanted.node_count = 0,
        (false, false) if named("autoscaling_config") && wanted.autoscaling_config.is_some() => {
            (wanted.node_count, wanted.processing_units) = (0, 0);
        }
        _ => {}
    }
    if old.instance_type() != InstanceType::FreeInstance {
        let touched = ["node_count", "processing_units", "autoscaling_config"];
        if touched.iter().any(|field| paths.iter().any(|path| path.starts_with(field))) {
            (wanted.node_count, wanted.processing_units) = capacity(&wanted)?.shown();
        }
    } else if wanted.instance_type() == InstanceType::Provisioned {
        wanted.free_instance_metadata.get_or_insert_default().upgrade_time = Some(wire(now));
        (wanted.node_count, wanted.processing_units) = capacity(&wanted)?.shown();
    }
    check_common("instance", &wanted.display_name, wanted.labels.len())?;
    let kind = Kind::UpdateInstance(wanted.clone());
    let name = target.clone();
    let work = Work::at_the_end(move |world, at| {
        let kept = world.instances.get_mut(&name).ok_or_else(|| gone(Instance::KIND, &name))?;
        *kept = wanted;
        kept.update_time = Some(wire(at));
        Ok(kept.to_any())
    });
    let work = work.refused(world.fate(&target));
    let due = after(now, world.pace.instance_change);
    world.begin(Operation::new(&target, kind, (now, due), work), None, now)
}

/// Moves an instance to another configuration.
pub(super) fn move_to(
    world: &mut World,
    request: MoveInstanceRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let target = request.name;
    let instance = ready(world, "name", &target)?;
    config::usable(world, "target_config", &request.target_config, &target)?;
    if instance.config == request.target_config {
        return Err(precondition("SAME_CONFIG", &target, "has this configuration already"));
    }
    if let Some(operation) = world.running(&target).next() {
        let why = format!("is being changed by {}", operation.name);
        return Err(precondition("OPERATION_IN_PROGRESS", &target, &why));
    }
    let obstacle = if instance.instance_type() == InstanceType::FreeInstance {
        Some("is a free instance")
    } else if children::<Backup>(world, &target).next().is_some() {
        Some("has backups")
    } else if children::<InstancePartition>(world, &target).next().is_some() {
        Some("has partitions")
    } else if children::<Database>(world, &target).any(|(_, it)| it.encryption_config.is_some()) {
        Some("has a database that is encrypted with keys of its own")
    } else {
        None
    };
    if let Some(why) = obstacle {
        return Err(precondition("INSTANCE_NOT_MOVABLE", &target, why));
    }
    let (name, target_config) = (target.clone(), request.target_config.clone());
    let work = Work::at_the_end(move |world, at| {
        let instance = world.instances.get_mut(&name).ok_or_else(|| gone(Instance::KIND, &name))?;
        instance.config = target_config;
        instance.update_time = Some(wire(at));
        Ok(pack("google.spanner.admin.instance.v1.MoveInstanceResponse", &MoveInstanceResponse {}))
    });
    let work = work.refused(world.fate(&target));
    let due = after(now, world.pace.move_instance);
    let kind = Kind::MoveInstance { target_config: request.target_config };
    world.begin(Operation::new(&target, kind, (now, due), work), None, now)
}

/// Deletes an instance with its databases.
pub(super) fn delete(world: &mut World, name: &str) -> Result<(), Status> {
    get::<Instance>(world, "name", name)?;
    if let Some((backup, _)) = children::<Backup>(world, name).next() {
        return Err(precondition("RESOURCE_IN_USE", name, &format!("has the backup {backup}")));
    }
    if let Some((database, _)) = children::<Database>(world, name).find(|(_, it)| it.enable_drop_protection) {
        let why = format!("has the database {database}, which is protected against being dropped");
        return Err(precondition("DROP_PROTECTION", name, &why));
    }
    world.remove_tree(name);
    Ok(())
}

/// Returns an instance that is ready.
pub(super) fn ready(world: &World, field: &str, name: &str) -> Result<Instance, Status> {
    let instance = get::<Instance>(world, field, name)?;
    if instance.state() != State::Ready {
        return Err(precondition("INSTANCE_NOT_READY", name, "is still being created"));
    }
    Ok(instance.clone())
}

/// Checks what instances and partitions have in common.
pub(super) fn check_common(resource: &str, display_name: &str, labels: usize) -> Result<(), Status> {
    let (least, most) = DISPLAY_NAME;
    if !(least..=most).contains(&display_name.chars().count()) {
        let range = format!("must have {least} to {most} characters");
        return Err(invalid(&format!("{resource}.display_name"), range));
    }
    if labels > LABELS_MAX {
        return Err(invalid(&format!("{resource}.labels"), format!("holds more than {LABELS_MAX} labels")));
    }
    Ok(())
}

/// Checks that a mask is given and names only what may be changed.
pub(super) fn check_paths(field: &str, paths: &[String], changeable: &[&str]) -> Result<(), Status> {
    if paths.is_empty() {
        return Err(invalid(field, "is required"));
    }
    let may = |path: &str| {
        changeable.iter().any(|known| {
            path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    match paths.iter().find(|path| !may(path)) {
        Some(path) => {
            let shown = &path[..path.floor_char_boundary(80)];
            Err(invalid(field, format!("{shown:?} is unknown or cannot be changed")))
        }
        None => Ok(()),
    }
}

fn capacity(instance: &Instance) -> Result<Capacity, Status> {
    match &instance.autoscaling_config {
        Some(_) if instance.node_count != 0 || instance.processing_units != 0 => Err(invalid(
            "instance.autoscaling_config",
            "leaves capacity to the service; give neither node_count nor processing_units",
        )),
        Some(config) => Capacity::least("instance", config),
        None => Capacity::read("instance", instance.node_count, instance.processing_units),
    }
}

fn make_free(instance: &mut Instance, now: Timestamp) -> Result<(), Status> {
    let sized = instance.node_count != 0 || instance.processing_units != 0;
    if sized || instance.autoscaling_config.is_some() {
        return Err(invalid("instance.instance_type", "FREE_INSTANCE has a capacity that cannot be chosen"));
    }
    instance.processing_units = FREE_UNITS;
    let wished = instance.free_instance_metadata.as_ref().map(FreeInstanceMetadata::expire_behavior);
    instance.free_instance_metadata = Some(FreeInstanceMetadata {
        expire_time: Some(wire(after(now, FREE_FOR))),
        upgrade_time: None,
        expire_behavior: wished.unwrap_or(ExpireBehavior::RemoveAfterGracePeriod).into(),
    });
    Ok(())
}
