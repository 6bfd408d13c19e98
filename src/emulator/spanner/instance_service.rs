//! The 21 methods of `InstanceAdmin`: each one line to the verb that does the work.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    Spanner, config,
    iam::{self, Kinds},
    instance, partition,
    resource::{ListRequest, get},
};
use crate::pb::google::{
    iam::v1::{
        GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest,
        TestIamPermissionsResponse,
    },
    longrunning::Operation,
    spanner::admin::instance::v1::{self as v1, instance_admin_server::InstanceAdmin},
};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl InstanceAdmin for Arc<Spanner> {
    async fn list_instance_configs(
        &self,
        request: Request<v1::ListInstanceConfigsRequest>,
    ) -> Answer<v1::ListInstanceConfigsResponse> {
        config::list(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn get_instance_config(
        &self,
        request: Request<v1::GetInstanceConfigRequest>,
    ) -> Answer<v1::InstanceConfig> {
        config::get(&self.world().0, "name", &request.get_ref().name).map(Response::new)
    }

    async fn create_instance_config(
        &self,
        request: Request<v1::CreateInstanceConfigRequest>,
    ) -> Answer<Operation> {
        let (mut world, now) = self.world();
        config::create(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn update_instance_config(
        &self,
        request: Request<v1::UpdateInstanceConfigRequest>,
    ) -> Answer<Operation> {
        let (mut world, now) = self.world();
        config::update(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn delete_instance_config(&self, request: Request<v1::DeleteInstanceConfigRequest>) -> Answer<()> {
        config::delete(&mut self.world().0, request.get_ref()).map(Response::new)
    }

    async fn list_instance_config_operations(
        &self,
        request: Request<v1::ListInstanceConfigOperationsRequest>,
    ) -> Answer<v1::ListInstanceConfigOperationsResponse> {
        let ((world, now), request) = (self.world(), request.get_ref());
        let list = ListRequest {
            parent: &request.parent,
            size: request.page_size,
            token: &request.page_token,
            filter: &request.filter,
        };
        let (operations, next_page_token) = config::list_operations(&world, &list, now)?;
        Ok(Response::new(v1::ListInstanceConfigOperationsResponse { operations, next_page_token }))
    }

    async fn list_instances(
        &self,
        request: Request<v1::ListInstancesRequest>,
    ) -> Answer<v1::ListInstancesResponse> {
        instance::list(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn list_instance_partitions(
        &self,
        request: Request<v1::ListInstancePartitionsRequest>,
    ) -> Answer<v1::ListInstancePartitionsResponse> {
        partition::list(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn get_instance(&self, request: Request<v1::GetInstanceRequest>) -> Answer<v1::Instance> {
        instance::read(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn create_instance(&self, request: Request<v1::CreateInstanceRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        instance::create(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn update_instance(&self, request: Request<v1::UpdateInstanceRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        instance::update(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn delete_instance(&self, request: Request<v1::DeleteInstanceRequest>) -> Answer<()> {
        instance::delete(&mut self.world().0, &request.get_ref().name).map(Response::new)
    }

    async fn set_iam_policy(&self, request: Request<SetIamPolicyRequest>) -> Answer<Policy> {
        iam::change(&mut self.world().0, request.into_inner(), Kinds::Instances).map(Response::new)
    }

    async fn get_iam_policy(&self, request: Request<GetIamPolicyRequest>) -> Answer<Policy> {
        iam::read(&self.world().0, request.get_ref(), Kinds::Instances).map(Response::new)
    }

    async fn test_iam_permissions(
        &self,
        request: Request<TestIamPermissionsRequest>,
    ) -> Answer<TestIamPermissionsResponse> {
        iam::test(&self.world().0, request.into_inner(), Kinds::Instances).map(Response::new)
    }

    async fn get_instance_partition(
        &self,
        request: Request<v1::GetInstancePartitionRequest>,
    ) -> Answer<v1::InstancePartition> {
        let (world, _) = self.world();
        get::<v1::InstancePartition>(&world, "name", &request.get_ref().name).cloned().map(Response::new)
    }

    async fn create_instance_partition(
        &self,
        request: Request<v1::CreateInstancePartitionRequest>,
    ) -> Answer<Operation> {
        let (mut world, now) = self.world();
        partition::create(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn delete_instance_partition(
        &self,
        request: Request<v1::DeleteInstancePartitionRequest>,
    ) -> Answer<()> {
        partition::delete(&mut self.world().0, request.get_ref()).map(Response::new)
    }

    async fn update_instance_partition(
        &self,
        request: Request<v1::UpdateInstancePartitionRequest>,
    ) -> Answer<Operation> {
        let (mut world, now) = self.world();
        partition::update(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn list_instance_partition_operations(
        &self,
        request: Request<v1::ListInstancePartitionOperationsRequest>,
    ) -> Answer<v1::ListInstancePartitionOperationsResponse> {
        let ((world, now), request) = (self.world(), request.get_ref());
        let list = ListRequest {
            parent: &request.parent,
            size: request.page_size,
            token: &request.page_token,
            filter: &request.filter,
        };
        let (operations, next_page_token) = partition::list_operations(&world, &list, now)?;
        Ok(Response::new(v1::ListInstancePartitionOperationsResponse {
            operations,
            next_page_token,
            unreachable_instance_partitions: Vec::new(),
        }))
    }

    async fn move_instance(&self, request: Request<v1::MoveInstanceRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        instance::move_to(&mut world, request.into_inner(), now).map(Response::new)
    }
}
