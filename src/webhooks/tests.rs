//! Stories about delivering, on both stores: a clock that is moved by hand, rounds that are driven by hand, receivers on
//! real sockets that verify with the public library.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderMap;
use jiff::SignedDuration;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Courier, Draft, Endpoints, Keeper, Secret};
use crate::{
    clock::{Clock as _, ManualClock, SystemClock},
    crypto::{Keys, Purpose},
    egress::{Egress, Policy, Resolve, Resolved, Roots},
    model::{Delivery, DeliveryState, Endpoint, EndpointState, WebhookEvent},
    store::{EventQuery, Store, contract},
};

/// The one name of these stories.
struct Name(Mutex<IpAddr>);

impl Resolve for Name {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
        let address = *self.0.lock().unwrap();
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// What a receiver got.
#[derive(Clone, Debug)]
struct Got {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    /// Whether the public library signs it like one of its signatures: unlike a receiver's, the story's clock may be days
    /// ahead.
    fn is_signed_with(&self, secret: &Secret) -> bool {
        let text = |name: &str| self.headers[name].to_str().unwrap();
        let timestamp = text("webhook-timestamp").parse().unwrap();
        let signed = Webhook::new(&secret.show()).unwrap().sign(self.id(), timestamp, &self.body).unwrap();
        text("webhook-signature").split(' ').any(|entry| entry == signed)
    }
}

/// Somebody who listens, and answers as told.
struct Ear {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Got>>>,
    answer: Arc<Mutex<String>>,
    _task: JoinSet<()>,
}

impl Ear {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, answer) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::new(Mutex::new(String::new())));
        let (ears, says) = (heard.clone(), answer.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (ears, says) = (ears.clone(), says.clone());
                peers.spawn(async move { drop(converse(stream, &ears, &says).await) });
            }
        });
        let ear = Self { address, heard, answer, _task: task };
        ear.says(200, "");
        ear
    }

    fn says(&self, status: u16, header: &str) {
        let line = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        *self.answer.lock().unwrap() = format!("HTTP/1.1 {status} X\r\n{line}content-length: 2\r\n\r\nhi");
    }

    fn heard(&self) -> Vec<Got> {
        self.heard.lock().unwrap().clone()
    }
}

async fn converse(mut stream: TcpStream, heard: &Mutex<Vec<Got>>, answer: &Mutex<String>) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let headers: HeaderMap = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        heard.lock().unwrap().push(Got { headers, body });
        let answer = answer.lock().unwrap().clone();
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// Everything that a story needs, on one store.
struct Stage {
    store: Store,
    clock: Arc<ManualClock>,
    name: Arc<Name>,
    endpoints: Endpoints,
    courier: Courier,
    keeper: Keeper,
    egress: Egress,
    ear: Ear,
}

impl Stage {
    /// One on each store that there is.
    async fn each() -> Vec<Self> {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let mut all = Vec::new();
        for store in contract::each(clock.clone()).await {
            let name = Arc::new(Name(Mutex::new(Ipv4Addr::LOCALHOST.into())));
            let policy = Policy { allow: vec!["127.0.0.1/32".parse().unwrap()], allow_http: true };
            let roots = Roots::Only(Vec::new());
            let egress = Egress::new(policy, name.clone(), &roots, Duration::from_millis(300)).unwrap();
            let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::WebhookSecret);
            all.push(Self {
                endpoints: Endpoints::new(store.clone(), egress.clone(), sealer.clone()),
                courier: Courier::new(store.clone(), egress.clone(), sealer.clone()),
                keeper: Keeper::new(store.clone(), &egress, sealer),
                ear: Ear::open().await,
                clock: clock.clone(),
                store,
                name,
                egress,
            });
        }
        all
    }

    async fn endpoint(&self, types: &[&str]) -> (Endpoint, Secret) {
        let draft = Draft {
            url: Some(format!("http://hook.test:{}/", self.ear.address.port())),
            event_types: Some(types.iter().map(|kind| (*kind).to_owned()).collect()),
            ..Draft::default()
        };
        self.endpoints.create("p", draft, None).await.unwrap()
    }

    async fn happens(&self, kind: &str) -> WebhookEvent {
        let event = self.store.new_event(
            "p",
            kind,
            json!({"operation": {"name": "projects/p/operations/o"}}).to_string(),
        );
        self.store.insert_events(std::slice::from_ref(&event)).await.unwrap();
        event
    }

    fn later(&self, by: SignedDuration) {
        self.clock.advance(by.unsigned_abs());
    }

    async fn delivery(&self, endpoint: &Endpoint, event: &WebhookEvent) -> Delivery {
        self.store.delivery(&endpoint.id, &event.id).await.unwrap().unwrap()
    }

    /// The types of all events, the oldest first.
    async fn events(&self) -> Vec<String> {
        let query = EventQuery {
            project: "p".into(),
            kind: String::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
            before: String::new(),
            limit: 100,
        };
        self.store.events(&query).await.unwrap().into_iter().rev().map(|event| event.kind).collect()
    }
}

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[tokio::test]
async fn an_event_arrives_signed_and_its_id_stays_over_retries() {
    for stage in Stage::each().await {
        let (endpoint, secret) = stage.endpoint(&[]).await;
        let event = stage.happens("operation.succeeded").await;
        stage.ear.says(500, "");
        let round = stage.courier.round().await.unwrap();
        assert_eq!((round.dispatched, round.attempts, round.written), (1, 1, 1));
        assert_eq!(stage.courier.round().await.unwrap().attempts, 0, "not before its time");
        let waiting = stage.delivery(&endpoint, &event).await;
        assert_eq!(
            (waiting.state, waiting.last_status, waiting.last_error.as_str()),
            (DeliveryState::Pending, Some(500), "STATUS")
        );
        stage.ear.says(204, "");
        stage.later(SignedDuration::from_secs(7));
        assert_eq!(stage.courier.round().await.unwrap().attempts, 1);
        let done = stage.delivery(&endpoint, &event).await;
        assert_eq!((done.state, done.attempts), (DeliveryState::Succeeded, 2));
        let heard = stage.ear.heard();
        assert_eq!(heard.len(), 2);
        for got in &heard {
            assert_eq!(got.id(), event.id);
            assert!(got.is_signed_with(&secret));
            Webhook::new(&secret.show()).unwrap().verify(&got.body, &got.headers).unwrap();
            let body: Value = serde_json::from_slice(&got.body).unwrap();
            assert_eq!(body["type"], "operation.succeeded");
            assert_eq!(body["data"]["operation"]["name"], "projects/p/operations/o");
        }
        assert_ne!(heard[0].headers["webhook-timestamp"], heard[1].headers["webhook-timestamp"]);
        let attempts = stage.store.attempts(&endpoint.id, &event.id, 10).await.unwrap();
        assert_eq!(attempts.iter().map(|attempt| attempt.status).collect::<Vec<_>>(), [Some(204), Some(500)]);
    }
}

#[tokio::test]
async fn only_what_is_wanted_is_sent() {
    for stage in Stage::each().await {
        stage.endpoint(&["connection.*", "operation.failed"]).await;
        for kind in ["operation.succeeded", "operation.failed", "operation.progressed", "connection.created"]
        {
            stage.happens(kind).await;
        }
        let round = stage.courier.round().await.unwrap();
        assert_eq!((round.dispatched, round.attempts), (4, 2));
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_for_an_hour_misses_nothing() {
    for stage in Stage::each().await {
        let (endpoint, _) = stage.endpoint(&[]).await;
        stage.ear.says(503, "");
        let mut events = Vec::new();
        for _ in 0..60 {
            events.push(stage.happens("operation.succeeded").await);
            stage.courier.round().await.unwrap();
            stage.later(MINUTE);
        }
        stage.ear.says(200, "");
        for _ in 0..400 {
            stage.later(MINUTE);
            stage.courier.round().await.unwrap();
        }
        for event in &events {
            assert_eq!(stage.delivery(&endpoint, event).await.state, DeliveryState::Succeeded);
        }
        assert!(stage.events().await.contains(&"webhook_endpoint.recovered".to_owned()));
    }
}

#[tokio::test]
async fn nothing_but_failure_for_five_days_disables_and_tells_why() {
    for stage in Stage::each().await {
        let (dead, _) = stage.endpoint(&["operation.*"]).await;
        let other = Ear::open().await;
        let draft = Draft { url: Some(format!("http://{}/", other.address)), ..Draft::default() };
        stage.endpoints.create("p", draft, None).await.unwrap();
        stage.ear.says(500, "");
        let first = stage.happens("operation.failed").await;
        let mut last = first.clone();
        for hour in 0..(5 * 24 + 30) {
            if hour % 24 == 23 {
                last = stage.happens("operation.failed").await;
            }
            stage.courier.round().await.unwrap();
            stage.later(SignedDuration::from_hours(1));
        }
        let endpoint = stage.endpoints.get("p", &dead.id).await.unwrap();
        assert_eq!(endpoint.state, EndpointState::Disabled);
        assert_eq!(endpoint.disabled_reason, "nothing but failures for 5 days");
        assert_eq!(stage.delivery(&dead, &first).await.state, DeliveryState::Exhausted, "kept, and listable");
        assert_eq!(stage.delivery(&dead, &first).await.attempts, 10);
        let told = other.heard().into_iter().map(|got| serde_json::from_slice::<Value>(&got.body).unwrap());
        let told: Vec<_> = told.filter(|body| body["type"] == "webhook_endpoint.disabled").collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["data"]["reason"], "nothing but failures for 5 days");
        let before = stage.ear.heard().len();
        stage.later(SignedDuration::from_hours(48));
        stage.courier.round().await.unwrap();
        assert_eq!(stage.ear.heard().len(), before, "its queue is stopped");
        assert!(stage.endpoints.ping("p", &dead.id).await.is_err());
        stage.ear.says(200, "");
        stage.endpoints.enable("p", &dead.id).await.unwrap();
        stage.endpoints.resend("p", &dead.id, &last.id).await.ok();
        stage.endpoints.resend("p", &dead.id, &first.id).await.unwrap();
        stage.courier.round().await.unwrap();
        assert_eq!(stage.delivery(&dead, &first).await.state, DeliveryState::Succeeded);
        assert!(stage.ear.heard().iter().skip(before).any(|got| got.id() == first.id));
    }
}

#[tokio::test]
async fn a_receiver_steers_us() {
    for stage in Stage::each().await {
        let (endpoint, _) = stage.endpoint(&[]).await;
        stage.ear.says(429, "retry-after: 600");
        let (first, second) =
            (stage.happens("operation.failed").await, stage.happens("operation.failed").await);
        stage.courier.round().await.unwrap();
        let heard = stage.ear.heard().len();
        let third = stage.happens("operation.failed").await;
        stage.later(SignedDuration::from_secs(590));
        stage.courier.round().await.unwrap();
        assert_eq!(stage.ear.heard().len(), heard, "the whole endpoint is left alone");
        stage.ear.says(200, "webhook-delivery: abort-message");
        stage.later(SignedDuration::from_secs(20));
        for _ in 0..3 {
            stage.courier.round().await.unwrap();
        }
        for event in [&first, &second, &third] {
            assert_eq!(stage.delivery(&endpoint, event).await.state, DeliveryState::Succeeded);
        }
        stage.ear.says(410, "");
        let gone = stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        assert_eq!(stage.delivery(&endpoint, &gone).await.state, DeliveryState::Failed);
        let endpoint = stage.endpoints.get("p", &endpoint.id).await.unwrap();
        assert_eq!(endpoint.state, EndpointState::Disabled);
        assert!(endpoint.disabled_reason.contains("410"), "{}", endpoint.disabled_reason);
        assert!(stage.events().await.contains(&"webhook_endpoint.disabled".to_owned()));
    }
}

#[tokio::test]
async fn a_name_that_moves_inside_is_refused_once_and_for_all() {
    for stage in Stage::each().await {
        let (endpoint, _) = stage.endpoint(&[]).await;
        *stage.name.0.lock().unwrap() = "169.254.169.254".parse().unwrap();
        let event = stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        let refused = stage.delivery(&endpoint, &event).await;
        assert_eq!(
            (refused.state, refused.attempts, refused.last_error.as_str()),
            (DeliveryState::Failed, 1, "REFUSED_TARGET")
        );
        let attempt = stage.store.attempts(&endpoint.id, &event.id, 1).await.unwrap().remove(0);
        assert!(
            attempt.detail.contains("link-local") && attempt.detail.contains("webhooks.allow_cidrs"),
            "{}",
            attempt.detail
        );
        assert!(attempt.answer.is_empty());
        let refused = stage.endpoints.patch(
            "p",
            &endpoint.id,
            Draft { url: Some("http://hook.test/".into()), ..Draft::default() },
        );
        assert_eq!(refused.await.unwrap_err().violations()[0].field, "url");
    }
}

#[tokio::test]
async fn a_silent_receiver_delays_nobody() {
    for stage in Stage::each().await {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let draft =
            Draft { url: Some(format!("http://{}/", silent.local_addr().unwrap())), ..Draft::default() };
        let (dead, _) = stage.endpoints.create("p", draft, None).await.unwrap();
        let (alive, _) = stage.endpoint(&[]).await;
        let mut events = Vec::new();
        for _ in 0..12 {
            events.push(stage.happens("operation.failed").await);
        }
        for _ in 0..10 {
            stage.courier.round().await.unwrap();
        }
        for event in &events {
            assert_eq!(stage.delivery(&alive, event).await.state, DeliveryState::Succeeded);
        }
        let tried: u32 = {
            let mut tried = 0;
            for event in &events {
                tried += stage.delivery(&dead, event).await.attempts;
            }
            tried
        };
        assert!(tried < 12, "after its first failures it gets one place at a time: {tried}");
        assert_eq!(stage.courier.in_flight(), 0);
    }
}

#[tokio::test]
async fn two_couriers_send_everything_once() {
    for stage in Stage::each().await {
        stage.endpoint(&[]).await;
        let sealer = Keys::new(&[7; 32], &[]).sealer(Purpose::WebhookSecret);
        let twin = Courier::new(stage.store.clone(), stage.egress.clone(), sealer);
        for _ in 0..30 {
            stage.happens("operation.failed").await;
        }
        for _ in 0..20 {
            let (a, b) = tokio::join!(stage.courier.round(), twin.round());
            a.unwrap();
            b.unwrap();
        }
        let mut ids: Vec<_> = stage.ear.heard().iter().map(|got| got.id().to_owned()).collect();
        assert_eq!(ids.len(), 30);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 30);
    }
}

#[tokio::test]
async fn a_replay_sends_what_was_missed() {
    for stage in Stage::each().await {
        let start = stage.store.now();
        let (endpoint, secret) = stage.endpoint(&["operation.failed"]).await;
        stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        let pause = Draft { state: Some(EndpointState::Disabled), ..Draft::default() };
        stage.endpoints.patch("p", &endpoint.id, pause).await.unwrap();
        stage.happens("operation.failed").await;
        stage.happens("operation.succeeded").await;
        assert_eq!(stage.courier.round().await.unwrap().attempts, 0);
        stage.endpoints.enable("p", &endpoint.id).await.unwrap();
        stage.later(MINUTE);
        let end = stage.store.now();
        let asked = |window, skip| stage.endpoints.replay("p", &endpoint.id, window, skip);
        assert!(asked((start, end + MINUTE), true).await.is_err(), "the future");
        assert!(asked((end, start), true).await.is_err());
        assert!(asked((end - SignedDuration::from_hours(31 * 24), end), true).await.is_err());
        let replay = asked((start, end), true).await.unwrap();
        assert_eq!(stage.keeper.replay().await.unwrap(), 3);
        stage.courier.round().await.unwrap();
        let heard = stage.ear.heard();
        assert_eq!(heard.len(), 2, "what had succeeded was skipped");
        assert!(heard.iter().all(|got| got.is_signed_with(&secret)));
        let replay = stage.store.replay(&endpoint.id, &replay.id).await.unwrap().unwrap();
        assert!(replay.done && replay.queued == 1);
    }
}

#[tokio::test]
async fn during_a_rotation_both_secrets_verify() {
    for stage in Stage::each().await {
        let (endpoint, old) = stage.endpoint(&[]).await;
        let hour = SignedDuration::from_hours(1);
        let (_, new) = stage.endpoints.rotate("p", &endpoint.id, None, hour).await.unwrap();
        stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        stage.later(hour + MINUTE);
        stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        let heard = stage.ear.heard();
        assert!(heard[0].is_signed_with(&old) && heard[0].is_signed_with(&new));
        assert!(!heard[1].is_signed_with(&old) && heard[1].is_signed_with(&new));
        let eight_days = SignedDuration::from_hours(8 * 24);
        assert!(stage.endpoints.rotate("p", &endpoint.id, None, eight_days).await.is_err());
    }
}
