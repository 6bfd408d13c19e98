//! The 26 methods of the service: each one line to the verb that does the work.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    Datastream, backfill_job, discover, location, object, private_connection, profile,
    resource::{self, ListRequest},
    route, stream,
};
use crate::pb::google::{
    cloud::datastream::v1::{self as v1, datastream_server},
    longrunning::Operation,
};

type Answer<T> = Result<Response<T>, Status>;

/// Reads what every list request says.
macro_rules! list_request {
    ($request:expr) => {{
        let request = $request.into_inner();
        ListRequest {
            parent: request.parent,
            page_size: request.page_size,
            page_token: request.page_token,
            filter: request.filter,
            order_by: request.order_by,
        }
    }};
}

/// Carries a mutation out, once per request id.
macro_rules! once {
    ($self:ident, $rpc:literal, $request:expr, $act:path) => {{
        let (request, now) = ($request.into_inner(), $self.now());
        let mut world = $self.world();
        let operation = world.once($rpc, &request.request_id, &request.clone(), now, |world| {
            $act(world, request.clone(), now)
        });
        operation.map(Response::new)
    }};
}

#[tonic::async_trait]
impl datastream_server::Datastream for Arc<Datastream> {
    async fn list_connection_profiles(
        &self,
        request: Request<v1::ListConnectionProfilesRequest>,
    ) -> Answer<v1::ListConnectionProfilesResponse> {
        let (connection_profiles, next_page_token) = resource::list(&self.world(), &list_request!(request))?;
        let unreachable = Vec::new();
        Ok(Response::new(v1::ListConnectionProfilesResponse {
            connection_profiles,
            next_page_token,
            unreachable,
        }))
    }

    async fn get_connection_profile(
        &self,
        request: Request<v1::GetConnectionProfileRequest>,
    ) -> Answer<v1::ConnectionProfile> {
        resource::get(&self.world(), "name", &request.get_ref().name).map(Response::new)
    }

    async fn create_connection_profile(
        &self,
        request: Request<v1::CreateConnectionProfileRequest>,
    ) -> Answer<Operation> {
        once!(self, "CreateConnectionProfile", request, profile::create)
    }

    async fn update_connection_profile(
        &self,
        request: Request<v1::UpdateConnectionProfileRequest>,
    ) -> Answer<Operation> {
        once!(self, "UpdateConnectionProfile", request, profile::update)
    }

    async fn delete_connection_profile(
        &self,
        request: Request<v1::DeleteConnectionProfileRequest>,
    ) -> Answer<Operation> {
        once!(self, "DeleteConnectionProfile", request, profile::delete)
    }

    async fn discover_connection_profile(
        &self,
        request: Request<v1::DiscoverConnectionProfileRequest>,
    ) -> Answer<v1::DiscoverConnectionProfileResponse> {
        discover::discover(&self.world(), request.get_ref()).map(Response::new)
    }

    async fn list_streams(
        &self,
        request: Request<v1::ListStreamsRequest>,
    ) -> Answer<v1::ListStreamsResponse> {
        let (streams, next_page_token) = resource::list(&self.world(), &list_request!(request))?;
        Ok(Response::new(v1::ListStreamsResponse { streams, next_page_token, unreachable: Vec::new() }))
    }

    async fn get_stream(&self, request: Request<v1::GetStreamRequest>) -> Answer<v1::Stream> {
        resource::get(&self.world(), "name", &request.get_ref().name).map(Response::new)
    }

    async fn create_stream(&self, request: Request<v1::CreateStreamRequest>) -> Answer<Operation> {
        once!(self, "CreateStream", request, stream::create)
    }

    async fn update_stream(&self, request: Request<v1::UpdateStreamRequest>) -> Answer<Operation> {
        once!(self, "UpdateStream", request, stream::update)
    }

    async fn delete_stream(&self, request: Request<v1::DeleteStreamRequest>) -> Answer<Operation> {
        once!(self, "DeleteStream", request, stream::delete)
    }

    async fn run_stream(&self, request: Request<v1::RunStreamRequest>) -> Answer<Operation> {
        stream::run(&mut self.world(), request.into_inner(), self.now()).map(Response::new)
    }

    async fn get_stream_object(
        &self,
        request: Request<v1::GetStreamObjectRequest>,
    ) -> Answer<v1::StreamObject> {
        object::get_object(&self.world(), "name", &request.get_ref().name, self.now()).map(Response::new)
    }

    async fn lookup_stream_object(
        &self,
        request: Request<v1::LookupStreamObjectRequest>,
    ) -> Answer<v1::StreamObject> {
        object::lookup(&self.world(), request.get_ref(), self.now()).map(Response::new)
    }

    async fn list_stream_objects(
        &self,
        request: Request<v1::ListStreamObjectsRequest>,
    ) -> Answer<v1::ListStreamObjectsResponse> {
        object::list(&self.world(), request.get_ref(), self.now()).map(Response::new)
    }

    async fn start_backfill_job(
        &self,
        request: Request<v1::StartBackfillJobRequest>,
    ) -> Answer<v1::StartBackfillJobResponse> {
        let object = backfill_job::start(&mut self.world(), request.into_inner(), self.now())?;
        Ok(Response::new(v1::StartBackfillJobResponse { object: Some(object) }))
    }

    async fn stop_backfill_job(
        &self,
        request: Request<v1::StopBackfillJobRequest>,
    ) -> Answer<v1::StopBackfillJobResponse> {
        let object = backfill_job::stop(&mut self.world(), &request.get_ref().object, self.now())?;
        Ok(Response::new(v1::StopBackfillJobResponse { object: Some(object) }))
    }

    async fn fetch_static_ips(
        &self,
        request: Request<v1::FetchStaticIpsRequest>,
    ) -> Answer<v1::FetchStaticIpsResponse> {
        location::static_ips(self, request.get_ref()).map(Response::new)
    }

    async fn create_private_connection(
        &self,
        request: Request<v1::CreatePrivateConnectionRequest>,
    ) -> Answer<Operation> {
        once!(self, "CreatePrivateConnection", request, private_connection::create)
    }

    async fn get_private_connection(
        &self,
        request: Request<v1::GetPrivateConnectionRequest>,
    ) -> Answer<v1::PrivateConnection> {
        resource::get(&self.world(), "name", &request.get_ref().name).map(Response::new)
    }

    async fn list_private_connections(
        &self,
        request: Request<v1::ListPrivateConnectionsRequest>,
    ) -> Answer<v1::ListPrivateConnectionsResponse> {
        let (private_connections, next_page_token) = resource::list(&self.world(), &list_request!(request))?;
        let unreachable = Vec::new();
        Ok(Response::new(v1::ListPrivateConnectionsResponse {
            private_connections,
            next_page_token,
            unreachable,
        }))
    }

    async fn delete_private_connection(
        &self,
        request: Request<v1::DeletePrivateConnectionRequest>,
    ) -> Answer<Operation> {
        once!(self, "DeletePrivateConnection", request, private_connection::delete)
    }

    async fn create_route(&self, request: Request<v1::CreateRouteRequest>) -> Answer<Operation> {
        once!(self, "CreateRoute", request, route::create)
    }

    async fn get_route(&self, request: Request<v1::GetRouteRequest>) -> Answer<v1::Route> {
        resource::get(&self.world(), "name", &request.get_ref().name).map(Response::new)
    }

    async fn list_routes(&self, request: Request<v1::ListRoutesRequest>) -> Answer<v1::ListRoutesResponse> {
        let (routes, next_page_token) = resource::list(&self.world(), &list_request!(request))?;
        Ok(Response::new(v1::ListRoutesResponse { routes, next_page_token, unreachable: Vec::new() }))
    }

    async fn delete_route(&self, request: Request<v1::DeleteRouteRequest>) -> Answer<Operation> {
        once!(self, "DeleteRoute", request, route::delete)
    }
}
