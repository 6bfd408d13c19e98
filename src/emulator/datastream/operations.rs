//! The Operations mixin: reading, cancelling and forgetting what runs here.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    Datastream,
    filter::{Case, Filter},
    id::LOCATION,
    name::check,
    operation::Operation,
    pace::after,
    refusal::not_found,
    resource::cut,
};
use crate::{
    emulator::paging::Ask,
    pb::google::longrunning::{
        self, CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
        ListOperationsResponse, WaitOperationRequest, operation::Result as Outcome,
        operations_server::Operations,
    },
};

/// Collections of an operation's name.
const OPERATION: &[&str] = &["projects", "locations", "operations"];

#[tonic::async_trait]
impl Operations for Arc<Datastream> {
    /// The name is the location: with `/operations` behind it, it is refused as at the real service.
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let request = request.into_inner();
        check("name", &request.name, LOCATION)?;
        if request.return_partial_success {
            return Err(Status::unimplemented("return_partial_success is not supported"));
        }
        let filter = Filter::parse(
            &request.filter,
            &["name", "done", "metadata", "error", "response"],
            Case::Matters,
        )?;
        let (world, prefix) = (self.world(), format!("{}/operations/", request.name));
        let operations =
            world.operations.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let shown = operations.filter(|(_, it)| !it.forgotten).map(|(name, it)| (name, it, it.render()));
        let kept = shown.filter(|(_, it, shown)| filter.matches(|field| read(it, shown, field)));
        let list = [&request.name, &request.filter].map(String::as_str).join("\n");
        let ask = Ask { size: request.page_size, token: &request.page_token, list: &list };
        let page = cut(&world, &ask, kept.map(|(name, _, shown)| (name.as_str(), shown)))?;
        Ok(Response::new(ListOperationsResponse {
            operations: page.items,
            next_page_token: page.next,
            unreachable: Vec::new(),
        }))
    }

    async fn get_operation(
        &self,
        request: Request<GetOperationRequest>,
    ) -> Result<Response<longrunning::Operation>, Status> {
        let name = request.into_inner().name;
        check("name", &name, OPERATION)?;
        let world = self.world();
        let operation = world.operation(&name).ok_or_else(|| not_found("Operation", &name))?;
        Ok(Response::new(operation.render()))
    }

    /// Forgets the operation. One that runs goes on, and nobody can see it.
    async fn delete_operation(
        &self,
        request: Request<DeleteOperationRequest>,
    ) -> Result<Response<()>, Status> {
        let name = request.into_inner().name;
        check("name", &name, OPERATION)?;
        let mut world = self.world();
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
        check("name", &name, OPERATION)?;
        let mut world = self.world();
        let at = after(self.now(), world.pace.cancellation);
        if !world.cancel(&name, at) {
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

/// Reads a field of an operation for a filter, in either spelling.
fn read(operation: &Operation, shown: &longrunning::Operation, field: &str) -> Option<String> {
    let type_url = |any: &prost_types::Any| any.type_url.clone();
    match (field, &shown.result) {
        ("name", _) => Some(shown.name.clone()),
        ("done", _) => Some(shown.done.to_string()),
        ("metadata.target", _) => Some(operation.target.clone()),
        ("metadata.verb", _) => Some(operation.verb.to_owned()),
        ("metadata.createTime" | "metadata.create_time", _) => Some(operation.created.to_string()),
        ("metadata.requestedCancellation" | "metadata.requested_cancellation", _) => {
            Some(operation.requested_cancellation.to_string())
        }
        ("metadata" | "metadata.@type", _) => shown.metadata.as_ref().map(type_url),
        ("error.code", Some(Outcome::Error(error))) => Some(error.code.to_string()),
        ("error" | "error.message", Some(Outcome::Error(error))) => Some(error.message.clone()),
        ("response" | "response.@type", Some(Outcome::Response(response))) => Some(type_url(response)),
        _ => None,
    }
}
