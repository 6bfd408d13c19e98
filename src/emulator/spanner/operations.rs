//! The operations: reading, cancelling and forgetting what runs here, in all six collections.

use std::sync::Arc;

use jiff::Timestamp;
use tonic::{Request, Response, Status};

use super::{
    Spanner, name,
    refusal::{invalid, not_found},
    resource::ListRequest,
    world::World,
};
use crate::pb::google::longrunning::{
    self, CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, WaitOperationRequest, operations_server::Operations,
};

/// What operations work on.
const TARGETS: &[&[&str]] = &[
    &["projects", "instances", "databases"],
    &["projects", "instances"],
    &["projects", "instances", "backups"],
    &["projects", "instances", "instancePartitions"],
    &["projects", "instanceConfigs"],
    &["projects", "instanceConfigs", "ssdCaches"],
];
/// How the collections end.
const SUFFIX: &str = "/operations";
/// What a filter may be about.
const FIELDS: &[&str] = &["name", "done", "metadata", "error", "response"];

#[tonic::async_trait]
impl Operations for Arc<Spanner> {
    /// The name is the collection: without `/operations` behind it, it is refused as at the real service.
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let request = request.into_inner();
        let target = request.name.strip_suffix(SUFFIX).filter(|target| is_target(target));
        let target = target.ok_or_else(|| {
            invalid("name", format!("{:?} must be what operations work on, and /operations", request.name))
        })?;
        if request.return_partial_success {
            return Err(Status::unimplemented("return_partial_success is not supported"));
        }
        let (world, now) = self.world();
        let below = format!("{target}{SUFFIX}/");
        let list = ListRequest {
            parent: &request.name,
            size: request.page_size,
            token: &request.page_token,
            filter: &request.filter,
        };
        let found = world.operations.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
        let shown = found.filter(|(_, it)| !it.forgotten).map(|(name, it)| (name.clone(), it.render(now)));
        let kept = list.keep(&world, FIELDS, shown)?;
        let (operations, next_page_token) = list.cut(&world, "operations", kept)?;
        Ok(Response::new(ListOperationsResponse { operations, next_page_token, unreachable: Vec::new() }))
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        let name = request.into_inner().name;
        check(&name)?;
        let (world, now) = self.world();
        let operation = world.operation(&name).ok_or_else(|| not_found("Operation", &name))?;
        Ok(Response::new(operation.render(now)))
    }

    /// Forgets the operation. One that runs goes on, and nobody can see it. Those on databases cannot be deleted.
    async fn delete_operation(
        &self,
        request: Request<DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let name = request.into_inner().name;
        if check(&name)? == "databases" {
            return Err(Status::unimplemented("operations on databases cannot be deleted"));
        }
        let (mut world, _) = self.world();
        if !world.forget(&name) {
            return Err(not_found("Operation", &name));
        }
        Ok(Response::new(()))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let name = request.into_inner().name;
        check(&name)?;
        let (mut world, now) = self.world();
        if !world.cancel(&name, now) {
            return Err(not_found("Operation", &name));
        }
        Ok(Response::new(()))
    }

    async fn wait_operation(
        &self,
        _: Request<WaitOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        Err(Status::unimplemented("WaitOperation is not supported"))
    }
}

/// Returns one page of the operations on everything in a collection, the most recently started first.
pub(super) fn list_below(
    world: &World,
    list: &ListRequest<'_>,
    collection: &str,
    now: Timestamp,
) -> Result<(Vec<longrunning::Operation>, String), Status> {
    let below = format!("{}/{collection}/", list.parent);
    let found = world.operations.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
    let shown = found.filter(|(_, it)| !it.forgotten).map(|(name, it)| {
        // Sorts the other way round.
        let age = i64::MAX - it.begins.as_microsecond();
        (format!("{age:020} {name}"), it.render(now))
    });
    let mut kept = list.keep(world, FIELDS, shown)?;
    kept.sort_by(|(one, _), (other, _)| one.cmp(other));
    list.cut(world, collection, kept)
}

fn is_target(name: &str) -> bool {
    TARGETS.iter().any(|target| name::check("name", name, target).is_ok())
}

/// Checks the name of an operation and returns the collection of what it works on.
fn check(name: &str) -> Result<&str, Status> {
    let target = name.rsplit_once(SUFFIX).filter(|(target, id)| {
        is_target(target) && id.strip_prefix('/').is_some_and(|id| !id.is_empty() && !id.contains('/'))
    });
    let target = target.ok_or_else(|| invalid("name", format!("{name:?} is no name of an operation")))?.0;
    Ok(target.rsplit('/').nth(1).unwrap_or_default())
}
