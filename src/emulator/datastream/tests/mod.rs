//! Stories about Datastream. Time is moved by hand; calls go through the generated service traits.

mod backfills;
mod operations;
mod profiles;
mod reading;
mod streams;
mod wire;

use std::time::Duration;

use prost::Message;
use tonic::{Code, Request, Status};

use super::*;
use crate::{
    clock::ManualClock,
    pb::google::{
        cloud::datastream::v1::{
            self as v1, OperationMetadata, Stream, StreamObject, backfill_job::State as JobState,
            datastream_server::Datastream as _, stream::State,
        },
        longrunning::{
            CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
            Operation, operation::Result as Outcome, operations_server::Operations as _,
        },
        rpc::{self, BadRequest, ErrorInfo},
    },
};

const HOME: &str = "projects/acme-data/locations/europe-west1";

/// Acme's Datastream at a fixed time, and the hands of its clock.
struct Story {
    datastream: Arc<Datastream>,
    clock: Arc<ManualClock>,
}

impl Story {
    fn begin() -> Self {
        let now: Timestamp = "2030-01-02T03:04:05Z".parse().expect("a timestamp");
        let clock = Arc::new(ManualClock::new(now));
        let datastream =
            Datastream::new(&Scenario::sample(now), clock.clone()).expect("the sample is consistent");
        Self { datastream: Arc::new(datastream), clock }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn stream(&self, id: &str) -> Result<Stream, Status> {
        let name = format!("{HOME}/streams/{id}");
        Ok(self.datastream.get_stream(Request::new(v1::GetStreamRequest { name })).await?.into_inner())
    }

    async fn object(&self, stream: &str, id: &str) -> Result<StreamObject, Status> {
        let name = format!("{HOME}/streams/{stream}/objects/{id}");
        Ok(self
            .datastream
            .get_stream_object(Request::new(v1::GetStreamObjectRequest { name }))
            .await?
            .into_inner())
    }

    async fn job(&self, stream: &str, id: &str) -> v1::BackfillJob {
        self.object(stream, id).await.expect("the object").backfill_job.expect("every object shows a job")
    }

    async fn operation(&self, name: &str) -> Result<Operation, Status> {
        let request = GetOperationRequest { name: name.to_owned() };
        Ok(self.datastream.get_operation(Request::new(request)).await?.into_inner())
    }
}

fn metadata(operation: &Operation) -> OperationMetadata {
    let any = operation.metadata.as_ref().expect("metadata");
    assert_eq!(any.type_url, "type.googleapis.com/google.cloud.datastream.v1.OperationMetadata");
    OperationMetadata::decode(any.value.as_slice()).expect("operation metadata")
}

fn response<T: Message + Default>(operation: &Operation, type_name: &str) -> T {
    let Some(Outcome::Response(any)) = &operation.result else { panic!("no response: {operation:?}") };
    assert_eq!(any.type_url, format!("type.googleapis.com/{type_name}"));
    T::decode(any.value.as_slice()).expect("the response's own type")
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
