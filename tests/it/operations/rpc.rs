//! The upstreams' operations over gRPC: waited for, asked about in compressed messages, and refused by name.

use std::io::Write as _;

use causeway::pb::google::longrunning::{self, CancelOperationRequest, WaitOperationRequest};
use flate2::{Compression, write::GzEncoder};
use prost::Message;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status};

use super::{faces::Rpc, *};
use crate::harness::{Keyring, Response, bearer};

const WAIT: &str = "/google.longrunning.Operations/WaitOperation";
const GET: &str = "/google.longrunning.Operations/GetOperation";

fn wait(name: &str, longest: Duration) -> WaitOperationRequest {
    let timeout = Some(prost_types::Duration::try_from(longest).unwrap());
    WaitOperationRequest { name: name.to_owned(), timeout }
}

/// Its first answer came at once whatever had been asked for, and so a loop of waits asked the upstream as fast as it could.
#[tokio::test]
async fn over_grpc_a_wait_on_an_upstreams_name_lasts_until_its_end() {
    let looks = Mutex::new(HashMap::<String, usize>::new());
    let upstream = Scripted::start(move |call| {
        let name = call.request["name"].as_str().unwrap().to_owned();
        let mut looks = looks.lock().unwrap();
        let look = looks.entry(name.clone()).or_default();
        *look += 1;
        match (name.rsplit('/').next().unwrap(), *look) {
            ("ends", 3..) => Answer::Message(json!({"name": name, "done": true})),
            ("goes", 2..) => Answer::Refuse(5, "there is no such thing", Vec::new()),
            _ => Answer::Message(json!({"name": name})),
        }
    })
    .await;
    let gateway = Gateway::builtin(&upstream).await;
    let mut rpc = Rpc::at(&gateway).await;
    let name = |id: &str| format!("{PLACE}/operations/{id}");
    let looks = |id: &str| upstream.calls().iter().filter(|call| call.request["name"] == name(id)).count();

    let ended: longrunning::Operation =
        rpc.call("WaitOperation", wait(&name("ends"), Duration::from_secs(30))).await.unwrap();
    assert_eq!((&*ended.name, ended.done, looks("ends")), (&*name("ends"), true, 3));

    let began = Instant::now();
    let open: longrunning::Operation =
        rpc.call("WaitOperation", wait(&name("lasts"), Duration::from_millis(400))).await.unwrap();
    assert!(!open.done && began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    assert!((2..=3).contains(&looks("lasts")), "{}", looks("lasts"));

    // Whoever asks for longer than it waits itself is told in time how far it is.
    let mut request = Request::new(wait(&name("lasts"), Duration::from_secs(30)));
    request.set_timeout(Duration::from_secs(2));
    let open: longrunning::Operation = rpc.send(WAIT, request).await.unwrap();
    assert!(!open.done);

    let gone: Result<longrunning::Operation, Status> =
        rpc.call("WaitOperation", wait(&name("goes"), Duration::from_secs(30))).await;
    assert_eq!((gone.unwrap_err().code(), looks("goes")), (Code::NotFound, 2));
    let negative = WaitOperationRequest {
        name: name("lasts"),
        timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
    };
    let refused: Result<longrunning::Operation, Status> = rpc.call("WaitOperation", negative).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    let before = looks("lasts");
    let stop = async {
        while looks("lasts") == before {
            tokio::task::yield_now().await;
        }
        gateway.signal().await;
    };
    let request = wait(&name("lasts"), Duration::from_secs(30));
    let (ended, ()) = tokio::join!(rpc.call::<_, longrunning::Operation>("WaitOperation", request), stop);
    assert_eq!(ended.unwrap_err().code(), Code::Unavailable, "a gateway that stops lets nobody wait");
}

/// Whoever waits for what is followed anyhow need not ask for it, too.
#[tokio::test]
async fn a_wait_on_an_upstreams_name_hears_what_others_see_of_it() {
    for story in Story::each().await {
        let (gateway, hand) = (story.gateway().await, story.hand().await);
        let started = gateway.post(&format!("/v1/{PLACE}/streams?streamId=a"), "{}").await;
        assert_eq!(started.status, 200, "{}", started.text());
        let theirs = format!("{PLACE}/operations/a");
        let mut rpc = Rpc::at(&gateway).await;
        let began = Instant::now();
        let waiting = async {
            rpc.call::<_, longrunning::Operation>("WaitOperation", wait(&theirs, Duration::from_secs(30)))
                .await
                .unwrap()
        };
        let meanwhile = async {
            story.until_called("GetOperation", 1).await;
            let again = timeout(Duration::from_secs(1), story.until_called("GetOperation", 2)).await;
            assert!(again.is_err(), "it is asked about by nobody who need not");
            story.far(|far| far.end("a", json!({"error": {"code": 10, "message": "taken"}})));
            story.pass(10);
            assert_eq!(hand.tick().await.changed, 1);
        };
        let (ended, ()) = tokio::join!(waiting, meanwhile);
        assert_eq!((&*ended.name, ended.done), (&*theirs, true));
        assert_eq!(story.calls("GetOperation"), 3, "at first, by whoever follows it, and for its end");
        // Sooner than it would have looked by itself.
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    }
}

/// Google's own servers read what a client compresses, and here it was refused, without a word of what is read.
#[tokio::test]
async fn over_grpc_a_compressed_request_is_read() {
    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[flag][..], &length, message].concat()
    }
    fn zipped(message: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(message).unwrap();
        framed(1, &gzip.finish().unwrap())
    }
    let upstream =
        Scripted::start(|call| Answer::Message(json!({"name": call.request["name"], "done": true}))).await;
    let endpoint = format!("upstreams.datastream.endpoint=http://{}", upstream.address);
    let gateway = Gateway::start(&[endpoint, "http.body_size_max=64KiB".to_owned()]).await;
    let send = async |encoding: &str, body: Vec<u8>| -> Response {
        let mut headers = vec![("content-type", "application/grpc"), ("te", "trailers")];
        if !encoding.is_empty() {
            headers.push(("grpc-encoding", encoding));
        }
        gateway.send("POST", GET, &headers, body).await
    };
    let name = format!("{PLACE}/operations/{}", "o".repeat(100));
    let message = longrunning::GetOperationRequest { name: name.clone() }.encode_to_vec();
    // A message that did not shrink goes out as it is, whatever the header says.
    for (encoding, body) in [("gzip", zipped(&message)), ("snappy", framed(0, &message))] {
        let answer = send(encoding, body).await;
        assert_eq!(answer.body[0], 0, "{encoding}: {:?}", answer.headers);
        assert_eq!(longrunning::Operation::decode(&answer.body[5..]).unwrap().name, name, "{encoding}");
        assert_eq!(answer.header("grpc-accept-encoding"), "identity,gzip");
    }
    let called = upstream.calls().len();
    let bomb = zipped(&vec![0; 16 << 20]);
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    for (encoding, body, code) in [
        ("snappy", zipped(&message), Code::Unimplemented),
        ("", zipped(&message), Code::Internal),
        ("identity", zipped(&message), Code::Internal),
        ("gzip", framed(1, b"no gzip"), Code::InvalidArgument),
        ("gzip", bomb, Code::ResourceExhausted),
        ("", framed(0, &[0; 64 << 10]), Code::ResourceExhausted),
    ] {
        let refused = send(encoding, body).await;
        let told = (refused.header("grpc-status"), refused.header("grpc-accept-encoding"));
        assert_eq!(told, (&*(code as i32).to_string(), "identity,gzip"), "{encoding}: {:?}", refused.headers);
    }
    assert_eq!(upstream.calls().len(), called);
}

/// REST said that one is to be named; gRPC asked the upstream for the operations of something called `-`.
#[tokio::test]
async fn over_grpc_a_list_names_what_it_is_of() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let gateway = Gateway::builtin(&upstream).await;
    let mut rpc = Rpc::at(&gateway).await;
    for name in [
        "projects/p/locations/-",
        "projects/p/instances/-/operations",
        "projects/p/instances/-/databases/-/operations",
    ] {
        let request = longrunning::ListOperationsRequest { name: name.to_owned(), ..Default::default() };
        let refused: Result<longrunning::ListOperationsResponse, Status> =
            rpc.call("ListOperations", request).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{name}: {refused:?}");
        assert!(refused.message().contains("name one"), "{refused:?}");
    }
    assert_eq!(upstream.calls().len(), 0);
}

/// Whoever looked through the audit log for what was tried on an operation did not find what was tried over gRPC.
#[tokio::test]
async fn whoever_is_refused_over_grpc_is_refused_what_the_message_names() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let mut settings = ring.settings().to_vec();
    settings.push(format!("upstreams.datastream.endpoint=http://{}", upstream.address));
    let gateway = Gateway::start(&settings).await;
    let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
    let (_, vic) = ring.make("vic", Role::Viewer, &["projects/p"]).await;
    let mut rpc = Rpc::at(&gateway).await;
    let (theirs, ours) = (format!("{PLACE}/operations/o"), "projects/p/operations/o".to_owned());
    let elsewhere = "projects/q/operations/o".to_owned();
    let mut expected = Vec::new();
    for (method, name, permission, upstream) in [
        ("CancelOperation", &theirs, "datastream.operations.cancel", "datastream"),
        ("DeleteOperation", &theirs, "datastream.operations.delete", "datastream"),
        ("CancelOperation", &ours, "causeway.operations.cancel", ""),
        ("DeleteOperation", &ours, "causeway.operations.delete", ""),
        ("GetOperation", &elsewhere, "causeway.operations.get", ""),
        ("WaitOperation", &elsewhere, "causeway.operations.wait", ""),
    ] {
        let path = format!("/google.longrunning.Operations/{method}");
        // All of their requests begin with the name.
        let mut request = Request::new(CancelOperationRequest { name: name.clone() });
        request.metadata_mut().insert("authorization", bearer(&vic).parse().unwrap());
        let refused: Result<(), Status> = rpc.send(&path, request).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        assert!(refused.message().contains(&format!("may not {permission} on {name};")), "{refused:?}");
        let method = match upstream {
            "" => format!("POST {path}"),
            _ => format!("google.longrunning.Operations.{method}"),
        };
        expected.push(json!([method, upstream, permission, [name], "DENIED"]));
    }
    assert_eq!(upstream.calls().len(), 0);
    let log = gateway
        .send("GET", "/v1/auditEntries?pageSize=1000", &[("authorization", &bearer(&root))], "")
        .await
        .json();
    let mut found: Vec<Value> = (log["auditEntries"].as_array().unwrap().iter())
        .filter(|entry| entry["principal"] == "vic")
        .map(|entry| {
            json!(["method", "upstream", "permission", "resourceNames", "result"].map(|key| {
                match &entry[key] {
                    Value::Null => json!(""),
                    value => value.clone(),
                }
            }))
        })
        .collect();
    found.sort_by_key(ToString::to_string);
    expected.sort_by_key(ToString::to_string);
    assert_eq!(found, expected, "{log:#}");
}
