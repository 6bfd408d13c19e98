//! The emulator over loopback, with a plain gRPC client.

use std::time::Duration;

use http::uri::PathAndQuery;
use jiff::Timestamp;
use prost::Message;
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};
use tonic_prost::ProstCodec;

use super::*;
use crate::{
    clock::ManualClock,
    error,
    pb::google::cloud::bigquery::connection::v1::{
        Connection, DeleteConnectionRequest, GetConnectionRequest, ListConnectionsRequest,
        ListConnectionsResponse,
    },
};

const SERVICE: &str = "google.cloud.bigquery.connection.v1.ConnectionService";
const ORDERS: &str = "projects/acme-data/locations/eu/connections/shop-orders";

async fn emulator() -> Emulator {
    let now: Timestamp = "2030-01-02T03:04:05Z".parse().expect("a timestamp");
    let clock = Arc::new(ManualClock::new(now));
    Emulator::start_on_loopback(Scenario::sample(now), clock).await.expect("loopback has free ports")
}

async fn channel(emulator: &Emulator) -> Channel {
    let endpoint = emulator.endpoint(Upstream::BigQueryConnection).expect("it was started");
    Channel::from_shared(endpoint).expect("an address").connect_lazy()
}

async fn call<Q, A>(channel: &Channel, method: &str, request: Request<Q>) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::try_from(format!("/{SERVICE}/{method}")).expect("a path");
    let codec = ProstCodec::<Q, A>::default();
    Ok(grpc.unary(request, path, codec).await?.into_inner())
}

fn get(name: &str) -> Request<GetConnectionRequest> {
    Request::new(GetConnectionRequest { name: name.to_owned() })
}

#[tokio::test]
async fn calls_are_served_counted_and_kept_with_metadata_and_bytes() {
    let emulator = emulator().await;
    let channel = channel(&emulator).await;
    let mut request = get(ORDERS);
    request.metadata_mut().insert("x-goog-request-params", "name=x".parse().expect("ascii"));
    let connection: Connection = call(&channel, "GetConnection", request).await.expect("it exists");
    assert_eq!(connection.friendly_name, "Shop orders");
    let missing: Result<Connection, _> = call(&channel, "GetConnection", get(&format!("{ORDERS}-2"))).await;
    assert_eq!(missing.expect_err("it does not exist").code(), Code::NotFound);

    assert_eq!(emulator.calls().count(&format!("{SERVICE}/GetConnection")), 2);
    let [first, second] = &emulator.calls().recent("*")[..] else { panic!("two calls") };
    assert_eq!(first.header("x-goog-request-params"), Some("name=x"));
    assert_eq!(GetConnectionRequest::decode(&first.request[..]).expect("as sent").name, ORDERS);
    assert_eq!((first.code, second.code), (Some(0), Some(5)));
    emulator.stop().await;
}

#[tokio::test]
async fn the_sample_looks_like_a_company() {
    let emulator = emulator().await;
    let channel = channel(&emulator).await;
    let request = ListConnectionsRequest {
        parent: "projects/acme-data/locations/eu".into(),
        page_size: 4,
        page_token: String::new(),
    };
    let page: ListConnectionsResponse =
        call(&channel, "ListConnections", Request::new(request)).await.expect("a page");
    assert_eq!(page.connections.len(), 4);
    assert!(!page.next_page_token.is_empty());
    assert!(page.connections.iter().all(|c| c.creation_time > 0 && c.last_modified_time > c.creation_time));
    emulator.stop().await;
}

#[tokio::test]
async fn faults_are_set_and_lifted_while_it_runs() {
    let emulator = emulator().await;
    let channel = channel(&emulator).await;
    let refuse = Fault::fail("*/GetConnection", error::Code::Unavailable, "maintenance").times(1);
    emulator.faults().add(refuse).expect("few faults");
    let refused: Result<Connection, _> = call(&channel, "GetConnection", get(ORDERS)).await;
    let refused = refused.expect_err("under maintenance");
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "maintenance"));
    let noted = emulator.calls().last("*").expect("it was called").request;
    assert_eq!(GetConnectionRequest::decode(noted).expect("as sent").name, ORDERS);
    call::<_, Connection>(&channel, "GetConnection", get(ORDERS)).await.expect("once only");

    // Deleted, and nobody was told.
    let lost = Fault::fail("*/DeleteConnection", error::Code::Unavailable, "lost").after_effect();
    emulator.faults().set(vec![lost]).expect("few faults");
    let delete = Request::new(DeleteConnectionRequest { name: ORDERS.to_owned() });
    call::<_, ()>(&channel, "DeleteConnection", delete).await.expect_err("the answer is lost");
    let gone: Result<Connection, _> = call(&channel, "GetConnection", get(ORDERS)).await;
    assert_eq!(gone.expect_err("it is deleted").code(), Code::NotFound);
    emulator.stop().await;
}

#[tokio::test]
async fn a_silent_call_ends_with_the_callers_deadline_and_does_not_hold_up_the_end() {
    let emulator = emulator().await;
    let channel = channel(&emulator).await;
    emulator.faults().set(vec![Fault::silence("*")]).expect("few faults");
    let mut request = get(ORDERS);
    request.set_timeout(Duration::from_millis(50));
    let silent: Result<Connection, _> = call(&channel, "GetConnection", request).await;
    let code = silent.expect_err("nobody answers").code();
    assert!(matches!(code, Code::Cancelled | Code::DeadlineExceeded), "{code:?}");
    emulator.stop().await;
}

#[tokio::test]
async fn an_outage_cuts_what_is_under_way_and_keeps_the_state() {
    let mut emulator = emulator().await;
    let channel = channel(&emulator).await;
    emulator.faults().set(vec![Fault::silence("*/GetConnection")]).expect("few faults");
    #[expect(clippy::disallowed_methods, reason = "it is awaited below")]
    let waiting = tokio::spawn({
        let channel = channel.clone();
        async move { call::<_, Connection>(&channel, "GetConnection", get(ORDERS)).await }
    });
    while emulator.calls().count(&format!("{SERVICE}/GetConnection")) == 0 {
        tokio::task::yield_now().await;
    }
    emulator.take_down(Upstream::BigQueryConnection).await;
    waiting.await.expect("no panic").expect_err("the connection was cut");
    call::<_, Connection>(&channel, "GetConnection", get(ORDERS)).await.expect_err("nobody listens");

    emulator.faults().clear();
    emulator.bring_up(Upstream::BigQueryConnection).await.expect("the port is still free");
    call::<_, Connection>(&channel, "GetConnection", get(ORDERS)).await.expect("it is back");
    emulator.stop().await;
}

#[tokio::test]
async fn it_says_that_it_is_healthy_and_what_it_serves() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let emulator = emulator().await;
    let channel = channel(&emulator).await;
    for service in ["", SERVICE] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let health = HealthClient::new(channel.clone()).check(request).await.expect("it is known");
        assert_eq!(health.into_inner().status, 1, "{service:?} serves");
    }
    let request = MessageRequest::FileContainingSymbol(SERVICE.to_owned());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut client = ServerReflectionClient::new(channel);
    let asked = tonic::codegen::tokio_stream::once(request);
    let mut answers = client.server_reflection_info(asked).await.expect("it is offered").into_inner();
    let answer = answers.message().await.expect("no error").expect("one answer").message_response;
    assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{answer:?}");
    assert!(emulator.calls().recent("*").is_empty(), "questions about the server are not calls");
    emulator.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_names_it() {
    let emulator = emulator().await;
    let addresses: Vec<_> = emulator.addresses().collect();
    let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
    let second = Emulator::start(Scenario::empty(), clock, &addresses).await;
    let error = second.expect_err("the port is taken");
    assert!(error.message().contains(&addresses[0].1.to_string()), "{error}");
    emulator.stop().await;
}
