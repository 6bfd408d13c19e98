//! One page for all systems, read over REST and over gRPC.

use std::{collections::BTreeSet, sync::Arc};

use causeway::{
    clock::{Clock as _, ManualClock, SystemClock},
    emulator::{Emulator, Scenario},
    pb::google::{longrunning, rpc},
};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status, client::Grpc, transport::Channel};

use crate::{
    harness::{Database, Gateway},
    webhooks::REACH,
};

pub(super) const STREAMS: &str = "/v1/projects/acme-data/locations/europe-west1/streams";
pub(super) const OBJECT: &str =
    "/v1/projects/acme-data/locations/europe-west1/streams/shop-to-bigquery/objects/public-orders";
pub(super) const DATABASES: &str = "/v1/projects/acme-data/instances/features/databases";
pub(super) const TASKS: &str = "/v1/projects/acme-data/locations/EU/tasks";

/// All systems, emulated, and a gateway in front of them.
pub(super) struct Company {
    pub(super) clock: Arc<ManualClock>,
    pub(super) gateway: Gateway,
    _emulator: Emulator,
    _database: Database,
}

impl Company {
    pub(super) async fn each() -> Vec<Self> {
        let mut all = Vec::new();
        for database in Database::each().await {
            let clock = Arc::new(ManualClock::new(SystemClock.now()));
            let scenario = Scenario::sample(clock.now());
            let emulator = Emulator::start_on_loopback(scenario, clock.clone()).await.unwrap();
            let endpoints = emulator.addresses();
            let mut settings: Vec<String> = endpoints
                .map(|(upstream, address)| format!("upstreams.{}.endpoint=http://{address}", upstream.key()))
                .collect();
            settings.push(database.setting());
            settings.push(format!("secrets.key={}", "A".repeat(43) + "="));
            settings.extend(REACH.map(str::to_owned));
            let gateway = Gateway::start(&settings).await;
            all.push(Self { clock, gateway, _emulator: emulator, _database: database });
        }
        all
    }

    /// Starts something, and returns the name of its operation.
    pub(super) async fn start(&self, target: &str, body: &serde_json::Value) -> String {
        let started = self.gateway.post(target, &body.to_string()).await;
        assert_eq!(started.status, 200, "{target}: {}", started.text());
        started.header("causeway-operation").to_owned()
    }

    async fn rpc(&self) -> Rpc {
        Rpc::at(&self.gateway).await
    }
}

/// A gRPC client of operations.
pub(super) struct Rpc(Grpc<Channel>);

impl Rpc {
    pub(super) async fn at(gateway: &Gateway) -> Self {
        let channel = Channel::from_shared(format!("http://{}", gateway.address)).unwrap();
        Self(Grpc::new(channel.connect().await.unwrap()))
    }

    pub(super) async fn call<Q, A>(&mut self, method: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.call_at(&format!("/google.longrunning.Operations/{method}"), request).await
    }

    async fn call_at<Q, A>(&mut self, path: &str, request: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.send(path, tonic::Request::new(request)).await
    }

    /// Calls with metadata, or a deadline, of its own.
    pub(super) async fn send<Q, A>(&mut self, path: &str, request: tonic::Request<Q>) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        self.0.ready().await.unwrap();
        let path = path.parse().unwrap();
        let codec = tonic_prost::ProstCodec::default();
        Ok(self.0.unary(request, path, codec).await?.into_inner())
    }

    async fn get(&mut self, name: &str) -> Result<longrunning::Operation, Status> {
        self.call("GetOperation", longrunning::GetOperationRequest { name: name.to_owned() }).await
    }

    async fn list(&mut self, name: &str, size: i32, token: &str) -> longrunning::ListOperationsResponse {
        let request = longrunning::ListOperationsRequest {
            name: name.to_owned(),
            page_size: size,
            page_token: token.to_owned(),
            ..longrunning::ListOperationsRequest::default()
        };
        self.call("ListOperations", request).await.unwrap()
    }
}

#[tokio::test]
async fn a_page_of_all_systems_needs_one_type_over_rest_and_grpc() {
    for company in Company::each().await {
        let stream = json!({
            "displayName": "S",
            "sourceConfig": {"sourceConnectionProfile": "projects/acme-data/locations/europe-west1/connectionProfiles/shop-postgres",
                             "postgresqlSourceConfig": {"publication": "p", "replicationSlot": "s"}},
            "destinationConfig": {"destinationConnectionProfile": "projects/acme-data/locations/europe-west1/connectionProfiles/warehouse",
                                  "bigqueryDestinationConfig": {"singleTargetDataset": {"datasetId": "acme-data:d"}}},
            "backfillNone": {},
        });
        let started = BTreeSet::from([
            company.start(&format!("{STREAMS}?streamId=second"), &stream).await,
            company.start(&format!("{OBJECT}:startBackfillJob"), &json!({})).await,
            company.start(DATABASES, &json!({"createStatement": "CREATE DATABASE second"})).await,
            company.start(TASKS, &json!({"query": "SELECT 1"})).await,
        ]);
        assert_eq!(started.len(), 4);
        let check = |shown: &longrunning::Operation| {
            let metadata = shown.metadata.as_ref().unwrap();
            assert_eq!(metadata.type_url, "type.googleapis.com/google.protobuf.Struct");
            let facts = prost_types::Struct::decode(&metadata.value[..]).unwrap();
            assert!(facts.fields.contains_key("kind") && facts.fields.contains_key("state"), "{facts:?}");
            if let Some(longrunning::operation::Result::Response(response)) = &shown.result {
                let known =
                    ["Struct", "Empty"].map(|name| format!("type.googleapis.com/google.protobuf.{name}"));
                assert!(known.contains(&response.type_url), "{}", response.type_url);
            }
        };
        let mut rpc = company.rpc().await;
        for end in [false, true] {
            if end {
                company.clock.advance(std::time::Duration::from_secs(3600));
                for name in &started {
                    let timeout = Some(prost_types::Duration { seconds: 30, nanos: 0 });
                    let request = longrunning::WaitOperationRequest { name: name.clone(), timeout };
                    let ended: longrunning::Operation = rpc.call("WaitOperation", request).await.unwrap();
                    assert!(ended.done, "{ended:?}");
                    check(&ended);
                }
            }
            let page = company.gateway.get("/v1/projects/acme-data/operations").await.json();
            let page = page["operations"].as_array().unwrap();
            let names: BTreeSet<String> =
                page.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(names, started);
            let kinds: BTreeSet<&str> =
                page.iter().map(|it| it["metadata"]["value"]["kind"].as_str().unwrap()).collect();
            assert_eq!(kinds, BTreeSet::from(["DATASTREAM_BACKFILL", "FLYTE_TASK", "GOOGLE_LRO"]));
            let (mut seen, mut token) = (BTreeSet::new(), String::new());
            loop {
                let page = rpc.list("projects/acme-data", 3, &token).await;
                for shown in &page.operations {
                    check(shown);
                    assert_eq!(shown, &rpc.get(&shown.name).await.unwrap());
                    seen.insert(shown.name.clone());
                }
                token = page.next_page_token;
                if token.is_empty() {
                    break;
                }
            }
            assert_eq!(seen, started);
        }
    }
}

#[tokio::test]
async fn over_grpc_a_name_reaches_whoever_it_belongs_to() {
    let company = Company::each().await.remove(0);
    let ours = company.start(DATABASES, &json!({"createStatement": "CREATE DATABASE second"})).await;
    let shown = company.gateway.get(&format!("/v1/{ours}")).await.json();
    let theirs = shown["metadata"]["value"]["upstreamName"].as_str().unwrap().to_owned();
    let mut rpc = company.rpc().await;
    assert_eq!(rpc.get(&theirs).await.unwrap().name, theirs);
    // As Spanner has it, and as clients that know only the parent have it.
    let collection = theirs.rsplit_once('/').unwrap().0;
    for place in [collection, collection.strip_suffix("/operations").unwrap()] {
        let page = rpc.list(place, 0, "").await;
        assert!(page.operations.iter().any(|it| it.name == theirs), "{place}");
    }
    let request = longrunning::CancelOperationRequest { name: ours.clone() };
    rpc.call::<_, ()>("CancelOperation", request.clone()).await.unwrap();
    let missing = rpc.get("projects/acme-data/operations/none").await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    let details = rpc::Status::decode(missing.details()).unwrap().details;
    let info = rpc::ErrorInfo::decode(&details[0].value[..]).unwrap();
    assert_eq!((&*info.reason, &*info.domain), ("RESOURCE_NOT_FOUND", "causeway"));
    assert_eq!(rpc.get("shelves/s/operations/none").await.unwrap_err().code(), Code::NotFound);
    let unknown = rpc.call::<_, ()>("ResumeOperation", request.clone()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented, "{unknown:?}");
    // Another service is not served over gRPC, which its clients understand, and what to do they are told.
    let elsewhere = rpc.call_at::<_, ()>("/google.spanner.v1.Spanner/GetSession", request).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::Unimplemented, "{elsewhere:?}");
    assert!(elsewhere.message().contains("transport=\"rest\""), "{elsewhere:?}");
    // What no path could have is no name here either.
    let long = format!("projects/acme-data/operations/{}", "o".repeat(3000));
    for name in ["projects/a\nb/operations/o", "projects/acme-data/../x/operations/o", &long] {
        assert_eq!(rpc.get(name).await.unwrap_err().code(), Code::InvalidArgument, "{name:?}");
    }
    // The log says of a refusal what it would be over REST.
    let log = company.gateway.get("/v1/auditEntries?filter=httpStatus%3E%3D400&pageSize=1000").await.json();
    let log = log["auditEntries"].as_array().unwrap();
    let refused = |status: u16| log.iter().filter(|entry| entry["httpStatus"] == status).count();
    assert!(refused(400) >= 3 && refused(404) >= 2, "{log:?}");
    rpc.call::<_, ()>("DeleteOperation", longrunning::DeleteOperationRequest { name: ours.clone() })
        .await
        .unwrap();
    assert_eq!(rpc.get(&ours).await.unwrap_err().code(), Code::NotFound);
}
