//! BigQuery Connection as it behaves: `google.cloud.bigquery.connection.v1.ConnectionService`.
//!
//! | noun | file | |
//! |---|---|---|
//! | [`Connections`] | `store.rs` | what exists, and the five standard methods on it |
//! | policies | `iam.rs` | who may use a connection |
//! | `check` | `check.rs` | what a connection and its names must look like |
//! | `apply` | `mask.rs` | what an update changes |
//! | `fill` | `fill.rs` | what the service adds: accounts and identities |
//! | samples | `sample.rs` | a company's connections, and any number of equal ones |
//!
//! Invariants: a credential that came in never goes out again, and `has_credential` tells whether one is held; an update
//! that names any property of the connection's type drops the credential that was held.
//!
//! It deliberately does not know which projects and locations exist, and lets every caller do everything.

mod check;
mod fill;
mod iam;
mod mask;
pub(super) mod sample;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes};

pub use self::store::Connections;
use super::limits::EMULATOR_MESSAGE_BYTES_MAX;
use crate::pb::google::{
    cloud::bigquery::connection::v1::{
        Connection, CreateConnectionRequest, DeleteConnectionRequest, GetConnectionRequest,
        ListConnectionsRequest, ListConnectionsResponse, UpdateConnectionRequest,
        connection_service_server::{ConnectionService, ConnectionServiceServer},
    },
    iam::v1::{
        GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest,
        TestIamPermissionsResponse,
    },
};

/// Who speaks in `ErrorInfo`.
const DOMAIN: &str = "bigqueryconnection.googleapis.com";
/// The kind of resource in error messages.
const KIND: &str = "Connection";

/// Returns the service and its name.
pub(super) fn routes(connections: Arc<Connections>) -> (Routes, &'static [&'static str]) {
    let service = ConnectionServiceServer::new(Service(connections))
        .max_decoding_message_size(EMULATOR_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(EMULATOR_MESSAGE_BYTES_MAX);
    (Routes::new(service), &["google.cloud.bigquery.connection.v1.ConnectionService"])
}

/// The rpcs, one line each: everything happens in the store.
struct Service(Arc<Connections>);

#[tonic::async_trait]
impl ConnectionService for Service {
    async fn create_connection(
        &self,
        request: Request<CreateConnectionRequest>,
    ) -> Result<Response<Connection>, Status> {
        self.0.create(request.into_inner()).map(Response::new)
    }

    async fn get_connection(
        &self,
        request: Request<GetConnectionRequest>,
    ) -> Result<Response<Connection>, Status> {
        self.0.get(&request.into_inner().name).map(Response::new)
    }

    async fn list_connections(
        &self,
        request: Request<ListConnectionsRequest>,
    ) -> Result<Response<ListConnectionsResponse>, Status> {
        self.0.list(&request.into_inner()).map(Response::new)
    }

    async fn update_connection(
        &self,
        request: Request<UpdateConnectionRequest>,
    ) -> Result<Response<Connection>, Status> {
        self.0.update(&request.into_inner()).map(Response::new)
    }

    async fn delete_connection(
        &self,
        request: Request<DeleteConnectionRequest>,
    ) -> Result<Response<()>, Status> {
        self.0.delete(&request.into_inner().name).map(Response::new)
    }

    async fn get_iam_policy(
        &self,
        request: Request<GetIamPolicyRequest>,
    ) -> Result<Response<Policy>, Status> {
        self.0.get_policy(&request.into_inner()).map(Response::new)
    }

    async fn set_iam_policy(
        &self,
        request: Request<SetIamPolicyRequest>,
    ) -> Result<Response<Policy>, Status> {
        self.0.set_policy(request.into_inner()).map(Response::new)
    }

    async fn test_iam_permissions(
        &self,
        request: Request<TestIamPermissionsRequest>,
    ) -> Result<Response<TestIamPermissionsResponse>, Status> {
        self.0.test_permissions(request.into_inner()).map(Response::new)
    }
}
