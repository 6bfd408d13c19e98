//! Partitions of instances: create, change, delete.

use jiff::Timestamp;
use tonic::Status;

use super::{
    capacity::Capacity,
    config::{self, etag},
    id, instance,
    metadata::Kind,
    name::check,
    operation::{Operation, Work},
    operations,
    refusal::{already_exists, etag_mismatch, gone, invalid, precondition},
    resource::{ListRequest, Resource, check_parent, check_room, children, get},
    shapes::Described as _,
    time::{after, wire},
    world::World,
};
use crate::pb::google::{
    longrunning,
    spanner::admin::instance::v1::{
        CreateInstancePartitionRequest, DeleteInstancePartitionRequest, Instance, InstancePartition,
        ListInstancePartitionsRequest, ListInstancePartitionsResponse, UpdateInstancePartitionRequest,
        instance_partition::{ComputeCapacity, State},
    },
};

/// Id of the partition that every instance has and no list shows.
const DEFAULT: &str = "default";
/// What an update may change; what is inside of these too.
const CHANGEABLE: &[&str] = &["display_name", "node_count", "processing_units", "autoscaling_config", "etag"];

/// Lists the partitions of an instance, or of all instances of a project.
pub(super) fn list(
    world: &World,
    request: &ListInstancePartitionsRequest,
) -> Result<ListInstancePartitionsResponse, Status> {
    let parent = match request.parent.strip_suffix("/instances/-") {
        Some(project) => {
            check("parent", project, &["projects"])?;
            project
        }
        None => {
            get::<Instance>(world, "parent", &request.parent)?;
            &request.parent
        }
    };
    let list = ListRequest {
        parent: &request.parent,
        size: request.page_size,
        token: &request.page_token,
        filter: "",
    };
    let all = children::<InstancePartition>(world, parent).map(|(name, it)| (name.to_owned(), it.clone()));
    let (instance_partitions, next_page_token) = list.cut(world, InstancePartition::KIND, all)?;
    Ok(ListInstancePartitionsResponse { instance_partitions, next_page_token, unreachable: Vec::new() })
}

/// Creates a partition. It is there at once, in state `CREATING`.
pub(super) fn create(
    world: &mut World,
    request: CreateInstancePartitionRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    check_parent::<InstancePartition>(&request.parent)?;
    id::check("instance_partition_id", &request.instance_partition_id, id::INSTANCE)?;
    let mut partition =
        request.instance_partition.ok_or_else(|| invalid("instance_partition", "is required"))?;
    let target = format!("{}/instancePartitions/{}", request.parent, request.instance_partition_id);
    if !partition.name.is_empty() && partition.name != target {
        return Err(invalid("instance_partition.name", format!("must be {target}")));
    }
    instance::ready(world, "parent", &request.parent)?;
    instance::check_common("instance_partition", &partition.display_name, 0)?;
    config::usable(world, "instance_partition.config", &partition.config, &target)?;
    if request.instance_partition_id == DEFAULT || world.partitions.contains_key(&target) {
        return Err(already_exists(InstancePartition::KIND, &target));
    }
    check_room::<InstancePartition>(world)?;
    partition.compute_capacity = Some(capacity(&partition)?);
    partition.name.clone_from(&target);
    partition.set_state(State::Creating);
    partition.create_time = Some(wire(now));
    partition.update_time = Some(wire(now));
    partition.referencing_databases.clear();
    partition.etag = etag(world);
    let (name, undone) = (target.clone(), target.clone());
    let work = Work::at_the_end(move |world, at| {
        let kept = world.partitions.get_mut(&name).ok_or_else(|| gone(InstancePartition::KIND, &name))?;
        kept.set_state(State::Ready);
        kept.update_time = Some(wire(at));
        Ok(kept.to_any())
    });
    let work = work
        .or_else(move |world, _| world.remove_tree(&undone))
        .undone_at_once()
        .refused(world.fate(&target));
    let due = after(now, world.pace.instance_creation);
    let kind = Kind::CreatePartition(partition.clone());
    let shown = world.begin(Operation::new(&target, kind, (now, due), work), None, now)?;
    world.partitions.insert(target, partition);
    Ok(shown)
}

/// Changes a partition; until the end it shows what it was.
pub(super) fn update(
    world: &mut World,
    request: UpdateInstancePartitionRequest,
    now: Timestamp,
) -> Result<longrunning::Operation, Status> {
    let body = request.instance_partition.ok_or_else(|| invalid("instance_partition", "is required"))?;
    let target = body.name.clone();
    let old = get::<InstancePartition>(world, "instance_partition.name", &target)?.clone();
    check_etag(&old, &body.etag)?;
    let paths = request.field_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    instance::check_paths("field_mask", paths, CHANGEABLE)?;
    world.check_idle(&target)?;
    let mut wanted = world.shapes.masked(&old, body, ("field_mask", request.field_mask.as_ref()))?;
    let named = |field: &str| paths.iter().any(|path| path.starts_with(field));
    if named("autoscaling_config") && !named("node_count") && !named("processing_units") {
        wanted.compute_capacity = wanted.compute_capacity.filter(|_| wanted.autoscaling_config.is_none());
    }
    if named("autoscaling_config") || named("node_count") || named("processing_units") {
        wanted.compute_capacity = Some(capacity(&wanted)?);
    }
    instance::check_common("instance_partition", &wanted.display_name, 0)?;
    wanted.etag = etag(world);
    let kind = Kind::UpdatePartition(wanted.clone());
    let name = target.clone();
    let work = Work::at_the_end(move |world, at| {
        let kept = world.partitions.get_mut(&name).ok_or_else(|| gone(InstancePartition::KIND, &name))?;
        *kept = wanted;
        kept.update_time = Some(wire(at));
        Ok(kept.to_any())
    });
    let work = work.refused(world.fate(&target));
    let due = after(now, world.pace.instance_change);
    world.begin(Operation::new(&target, kind, (now, due), work), None, now)
}

/// Deletes a partition that no database refers to.
pub(super) fn delete(world: &mut World, request: &DeleteInstancePartitionRequest) -> Result<(), Status> {
    if request.name.ends_with("/instancePartitions/default") {
        return Err(precondition("DEFAULT_PARTITION", &request.name, "cannot be deleted"));
    }
    let partition = get::<InstancePartition>(world, "name", &request.name)?;
    check_etag(partition, &request.etag)?;
    if let Some(user) = partition.referencing_databases.first() {
        return Err(precondition("RESOURCE_IN_USE", &request.name, &format!("is used by {user}")));
    }
    world.remove_tree(&request.name);
    Ok(())
}

/// Lists the operations on the partitions of an instance.
pub(super) fn list_operations(
    world: &World,
    list: &ListRequest<'_>,
    now: Timestamp,
) -> Result<(Vec<longrunning::Operation>, String), Status> {
    get::<Instance>(world, "parent", list.parent)?;
    operations::list_below(world, list, "instancePartitions", now)
}

fn check_etag(partition: &InstancePartition, etag: &str) -> Result<(), Status> {
    if etag.is_empty() || etag == partition.etag {
        return Ok(());
    }
    Err(etag_mismatch(&partition.name))
}

/// Returns the capacity in the unit it was given in; with autoscaling, in nodes.
fn capacity(partition: &InstancePartition) -> Result<ComputeCapacity, Status> {
    let resource = "instance_partition";
    match (&partition.autoscaling_config, partition.compute_capacity) {
        (Some(_), Some(_)) => Err(invalid(
            "instance_partition.autoscaling_config",
            "leaves capacity to the service; give neither node_count nor processing_units",
        )),
        (Some(config), None) => Ok(ComputeCapacity::NodeCount(Capacity::least(resource, config)?.shown().0)),
        (None, Some(given @ ComputeCapacity::NodeCount(nodes))) => {
            Capacity::read(resource, nodes, 0).map(|_| given)
        }
        (None, Some(given @ ComputeCapacity::ProcessingUnits(units))) => {
            Capacity::read(resource, 0, units).map(|_| given)
        }
        (None, None) => Err(invalid("instance_partition.node_count", "or processing_units is required")),
    }
}
