//! The 27 methods of `DatabaseAdmin`: each one line to the verb that does the work.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    Spanner, backup, copy, database,
    iam::{self, Kinds},
    operations,
    resource::{ListRequest, get},
    restore, schedule, schema_change, split_points,
};
use crate::pb::google::{
    iam::v1::{
        GetIamPolicyRequest, Policy, SetIamPolicyRequest, TestIamPermissionsRequest,
        TestIamPermissionsResponse,
    },
    longrunning::Operation,
    spanner::admin::database::v1::{self as v1, database_admin_server::DatabaseAdmin},
};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl DatabaseAdmin for Arc<Spanner> {
    async fn list_databases(
        &self,
        request: Request<v1::ListDatabasesRequest>,
    ) -> Answer<v1::ListDatabasesResponse> {
        let (world, now) = self.world();
        database::list(&world, request.get_ref(), now).map(Response::new)
    }

    async fn create_database(&self, request: Request<v1::CreateDatabaseRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        database::create(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn get_database(&self, request: Request<v1::GetDatabaseRequest>) -> Answer<v1::Database> {
        let (world, now) = self.world();
        database::show(&world, "name", &request.get_ref().name, now).map(Response::new)
    }

    async fn update_database(&self, request: Request<v1::UpdateDatabaseRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        database::update(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn update_database_ddl(&self, request: Request<v1::UpdateDatabaseDdlRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        schema_change::begin(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn drop_database(&self, request: Request<v1::DropDatabaseRequest>) -> Answer<()> {
        database::drop(&mut self.world().0, &request.get_ref().database).map(Response::new)
    }

    async fn get_database_ddl(
        &self,
        request: Request<v1::GetDatabaseDdlRequest>,
    ) -> Answer<v1::GetDatabaseDdlResponse> {
        database::statements(&self.world().0, &request.get_ref().database).map(Response::new)
    }

    async fn set_iam_policy(&self, request: Request<SetIamPolicyRequest>) -> Answer<Policy> {
        iam::change(&mut self.world().0, request.into_inner(), Kinds::Databases).map(Response::new)
    }

    async fn get_iam_policy(&self, request: Request<GetIamPolicyRequest>) -> Answer<Policy> {
        iam::read(&self.world().0, request.get_ref(), Kinds::Databases).map(Response::new)
    }

    async fn test_iam_permissions(
        &self,
        request: Request<TestIamPermissionsRequest>,
    ) -> Answer<TestIamPermissionsResponse> {
        iam::test(&self.world().0, request.into_inner(), Kinds::DatabasesAndRoles).map(Response::new)
    }

    async fn create_backup(&self, request: Request<v1::CreateBackupRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        backup::create(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn copy_backup(&self, request: Request<v1::CopyBackupRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        copy::begin(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn get_backup(&self, request: Request<v1::GetBackupRequest>) -> Answer<v1::Backup> {
        let (world, _) = self.world();
        get::<v1::Backup>(&world, "name", &request.get_ref().name).cloned().map(Response::new)
    }

    async fn update_backup(&self, request: Request<v1::UpdateBackupRequest>) -> Answer<v1::Backup> {
        let (mut world, now) = self.world();
        backup::update(&mut world, request.get_ref(), now).map(Response::new)
    }

    async fn delete_backup(&self, request: Request<v1::DeleteBackupRequest>) -> Answer<()> {
        backup::delete(&mut self.world().0, request.get_ref()).map(Response::new)
    }

    async fn list_backups(
        &self,
        request: Request<v1::ListBackupsRequest>,
    ) -> Answer<v1::ListBackupsResponse> {
        backup::list(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn restore_database(&self, request: Request<v1::RestoreDatabaseRequest>) -> Answer<Operation> {
        let (mut world, now) = self.world();
        restore::begin(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn list_database_operations(
        &self,
        request: Request<v1::ListDatabaseOperationsRequest>,
    ) -> Answer<v1::ListDatabaseOperationsResponse> {
        let ((world, now), request) = (self.world(), request.get_ref());
        database::instance_exists(&world, &request.parent)?;
        let list = ListRequest {
            parent: &request.parent,
            size: request.page_size,
            token: &request.page_token,
            filter: &request.filter,
        };
        let (operations, next_page_token) = operations::list_below(&world, &list, "databases", now)?;
        Ok(Response::new(v1::ListDatabaseOperationsResponse { operations, next_page_token }))
    }

    async fn list_backup_operations(
        &self,
        request: Request<v1::ListBackupOperationsRequest>,
    ) -> Answer<v1::ListBackupOperationsResponse> {
        let ((world, now), request) = (self.world(), request.get_ref());
        database::instance_exists(&world, &request.parent)?;
        let list = ListRequest {
            parent: &request.parent,
            size: request.page_size,
            token: &request.page_token,
            filter: &request.filter,
        };
        let (operations, next_page_token) = operations::list_below(&world, &list, "backups", now)?;
        Ok(Response::new(v1::ListBackupOperationsResponse { operations, next_page_token }))
    }

    async fn list_database_roles(
        &self,
        request: Request<v1::ListDatabaseRolesRequest>,
    ) -> Answer<v1::ListDatabaseRolesResponse> {
        database::roles(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn add_split_points(
        &self,
        request: Request<v1::AddSplitPointsRequest>,
    ) -> Answer<v1::AddSplitPointsResponse> {
        let (world, now) = self.world();
        split_points::add(&world, request.get_ref(), now)?;
        Ok(Response::new(v1::AddSplitPointsResponse {}))
    }

    async fn create_backup_schedule(
        &self,
        request: Request<v1::CreateBackupScheduleRequest>,
    ) -> Answer<v1::BackupSchedule> {
        let (mut world, now) = self.world();
        schedule::create(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn get_backup_schedule(
        &self,
        request: Request<v1::GetBackupScheduleRequest>,
    ) -> Answer<v1::BackupSchedule> {
        let (world, _) = self.world();
        get::<v1::BackupSchedule>(&world, "name", &request.get_ref().name).cloned().map(Response::new)
    }

    async fn update_backup_schedule(
        &self,
        request: Request<v1::UpdateBackupScheduleRequest>,
    ) -> Answer<v1::BackupSchedule> {
        let (mut world, now) = self.world();
        schedule::update(&mut world, request.into_inner(), now).map(Response::new)
    }

    async fn delete_backup_schedule(&self, request: Request<v1::DeleteBackupScheduleRequest>) -> Answer<()> {
        schedule::delete(&mut self.world().0, &request.get_ref().name).map(Response::new)
    }

    async fn list_backup_schedules(
        &self,
        request: Request<v1::ListBackupSchedulesRequest>,
    ) -> Answer<v1::ListBackupSchedulesResponse> {
        schedule::list(&self.world().0, request.get_ref()).map(Response::new)
    }

    async fn internal_update_graph_operation(
        &self,
        _: Request<v1::InternalUpdateGraphOperationRequest>,
    ) -> Answer<v1::InternalUpdateGraphOperationResponse> {
        Err(Status::permission_denied("this method is for Google's own machines"))
    }
}
