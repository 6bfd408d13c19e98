//! The upstreams' operations over gRPC: waited for until they end.

use causeway::pb::google::longrunning::{self, WaitOperationRequest};
use tokio::time::{Instant, timeout};
use tonic::{Code, Request, Status};

use super::{faces::Rpc, *};

const WAIT: &str = "/google.longrunning.Operations/WaitOperation";

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
