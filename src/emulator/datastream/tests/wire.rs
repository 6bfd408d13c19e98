use http::uri::PathAndQuery;
use tonic::{client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use super::*;
use crate::emulator::{Emulator, Upstream};

async fn call<Q, A>(channel: &Channel, path: &'static str, request: Q) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec).await?.into_inner())
}

#[tokio::test]
async fn the_three_services_answer_on_one_port_and_calls_are_counted() {
    let now: Timestamp = "2030-01-02T03:04:05Z".parse().expect("a timestamp");
    let clock = Arc::new(ManualClock::new(now));
    let emulator =
        Emulator::start_on_loopback(Scenario::sample(now), clock).await.expect("loopback has free ports");
    let endpoint = emulator.endpoint(Upstream::Datastream).expect("it was started");
    let channel = Channel::from_shared(endpoint).expect("an address").connect_lazy();

    let list = v1::ListStreamsRequest { parent: HOME.to_owned(), ..Default::default() };
    let path = "/google.cloud.datastream.v1.Datastream/ListStreams";
    let streams: v1::ListStreamsResponse = call(&channel, path, list).await.expect("a page");
    assert_eq!(streams.streams.len(), 4);

    let list = ListOperationsRequest { name: HOME.to_owned(), ..Default::default() };
    let operations: crate::pb::google::longrunning::ListOperationsResponse =
        call(&channel, "/google.longrunning.Operations/ListOperations", list).await.expect("a page");
    assert_eq!(operations.operations.len(), 3);

    let get = crate::pb::google::cloud::location::GetLocationRequest { name: HOME.to_owned() };
    let path = "/google.cloud.location.Locations/GetLocation";
    let place: crate::pb::google::cloud::location::Location =
        call(&channel, path, get).await.expect("a location");
    assert_eq!(place.display_name, "Belgium");

    // Refusals carry their details over the wire too.
    let get = v1::GetStreamRequest { name: format!("{HOME}/streams/nobody") };
    let missing: Result<Stream, _> =
        call(&channel, "/google.cloud.datastream.v1.Datastream/GetStream", get).await;
    assert_eq!(reason(&missing.expect_err("no such stream")), "RESOURCE_NOT_FOUND");
    assert_eq!(emulator.calls().count("google.cloud.datastream.v1.Datastream/GetStream"), 1);
    emulator.stop().await;
}
