//! Stories about Spanner. Time is moved by hand; calls go through the generated service traits.

mod backups;
mod databases;
mod instances;
mod operations;
mod policies;

use std::time::Duration;

use prost::Message;
use tonic::{Code, Request, Status};

use super::*;
use crate::{
    clock::ManualClock,
    pb::google::{
        longrunning::{
            CancelOperationRequest, GetOperationRequest, Operation, operation::Result as Outcome,
            operations_server::Operations as _,
        },
        rpc::{self, BadRequest, ErrorInfo},
        spanner::admin::{
            database::v1::{self as database, Database, database_admin_server::DatabaseAdmin as _},
            instance::v1::{self as instance, Instance, instance_admin_server::InstanceAdmin as _},
        },
    },
};

const SHOP: &str = "projects/acme-shop";
const LEDGER: &str = "projects/acme-shop/instances/ledger";

/// Acme's Spanner at a fixed time, and the hands of its clock.
struct Story {
    spanner: Arc<Spanner>,
    clock: Arc<ManualClock>,
}

impl Story {
    fn begin() -> Self {
        Self::of(&Scenario::sample(start()))
    }

    fn of(scenario: &Scenario) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        let spanner = Spanner::new(scenario, clock.clone()).expect("the scenario is consistent");
        Self { spanner: Arc::new(spanner), clock }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn operation(&self, name: &str) -> Result<Operation, Status> {
        let request = GetOperationRequest { name: name.to_owned() };
        Ok(self.spanner.get_operation(Request::new(request)).await?.into_inner())
    }

    async fn cancel(&self, name: &str) {
        let request = CancelOperationRequest { name: name.to_owned() };
        self.spanner.cancel_operation(Request::new(request)).await.expect("accepted");
    }

    async fn instance(&self, name: &str) -> Result<Instance, Status> {
        let request = instance::GetInstanceRequest { name: name.to_owned(), field_mask: None };
        Ok(self.spanner.get_instance(Request::new(request)).await?.into_inner())
    }

    async fn create_instance(&self, id: &str, nodes: i32) -> Result<Operation, Status> {
        let request = instance::CreateInstanceRequest {
            parent: SHOP.to_owned(),
            instance_id: id.to_owned(),
            instance: Some(Instance {
                config: format!("{SHOP}/instanceConfigs/regional-europe-west1"),
                display_name: "Stock levels".to_owned(),
                node_count: nodes,
                ..Default::default()
            }),
        };
        Ok(self.spanner.create_instance(Request::new(request)).await?.into_inner())
    }

    async fn database(&self, name: &str) -> Result<Database, Status> {
        let request = database::GetDatabaseRequest { name: name.to_owned() };
        Ok(self.spanner.get_database(Request::new(request)).await?.into_inner())
    }

    async fn create_database(&self, statement: &str, extra: &[&str]) -> Result<Operation, Status> {
        let request = database::CreateDatabaseRequest {
            parent: LEDGER.to_owned(),
            create_statement: statement.to_owned(),
            extra_statements: extra.iter().map(|text| (*text).to_owned()).collect(),
            ..Default::default()
        };
        Ok(self.spanner.create_database(Request::new(request)).await?.into_inner())
    }
}

fn start() -> Timestamp {
    "2030-01-02T03:04:05Z".parse().expect("a timestamp")
}

fn in_hours(hours: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: start().as_second() + hours * 3600, nanos: 0 })
}

fn metadata<T: Message + Default>(operation: &Operation, type_name: &str) -> T {
    unpack(operation.metadata.as_ref().expect("metadata"), type_name)
}

fn response<T: Message + Default>(operation: &Operation, type_name: &str) -> T {
    let Some(Outcome::Response(any)) = &operation.result else { panic!("no response: {operation:?}") };
    unpack(any, type_name)
}

fn unpack<T: Message + Default>(any: &prost_types::Any, type_name: &str) -> T {
    assert_eq!(any.type_url, format!("type.googleapis.com/google.spanner.admin.{type_name}"));
    T::decode(any.value.as_slice()).expect("the type that it says")
}

fn error(operation: &Operation) -> &rpc::Status {
    let Some(Outcome::Error(error)) = &operation.result else { panic!("no error: {operation:?}") };
    error
}

/// Finds a detail of a refused call.
fn detail<T: Message + Default>(status: &Status, type_name: &str) -> T {
    let status = rpc::Status::decode(status.details()).expect("a google.rpc.Status");
    let url = format!("type.googleapis.com/{type_name}");
    let any = status.details.iter().find(|any| any.type_url == url).expect("the detail");
    T::decode(any.value.as_slice()).expect("the detail's own type")
}

fn wrong_field(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details: BadRequest = detail(status, "google.rpc.BadRequest");
    details.field_violations[0].field.clone()
}

fn reason(status: &Status) -> String {
    detail::<ErrorInfo>(status, "google.rpc.ErrorInfo").reason
}
