//! Stories about being called: what owners do with endpoints, what is refused, what happens through the gateway, and what
//! breaks in between.

mod aftermath;
mod connections;
mod owner;
mod seeing;
mod survival;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};

use crate::harness::{Gateway, Response};

const ENDPOINTS: &str = "/v1/projects/acme/webhookEndpoints";
const PATIENCE: Duration = Duration::from_secs(20);

/// What came: headers and body.
pub(crate) type Message = (HeaderMap, Bytes);
type Heard = Arc<(Mutex<Vec<Message>>, Notify)>;

/// Somebody who listens.
pub(crate) struct Receiver {
    address: SocketAddr,
    heard: Heard,
    /// Whether it answers.
    answers: watch::Sender<bool>,
    _task: JoinSet<()>,
}

async fn hear(
    State((heard, mut answers)): State<(Heard, watch::Receiver<bool>)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    heard.0.lock().unwrap().push((headers, body));
    heard.1.notify_waiters();
    answers.wait_for(|answers| *answers).await.expect("the story goes on");
    StatusCode::NO_CONTENT
}

impl Receiver {
    pub(crate) async fn listen() -> Self {
        let heard = Heard::default();
        let (answers, gate) = watch::channel(true);
        let routes = Router::new().route("/hook", post(hear)).with_state((heard.clone(), gate));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, heard, answers, _task: task }
    }

    /// What it has heard so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.heard.0.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Waits until it has heard so many.
    pub(crate) async fn hears(&self, count: usize) -> Vec<Message> {
        timeout(PATIENCE, async {
            loop {
                let next = self.heard.1.notified();
                let heard = self.heard();
                if heard.len() >= count {
                    return heard;
                }
                next.await;
            }
        })
        .await
        .expect("it is told in time")
    }
}

/// What a gateway needs to reach a receiver of these stories.
pub(crate) const REACH: [&str; 2] = ["webhooks.allow_http=true", "webhooks.allow_cidrs=[\"127.0.0.1/32\"]"];

async fn gateway(more: &[String]) -> Gateway {
    let settings: Vec<String> = REACH.iter().map(|it| (*it).to_owned()).chain(more.iter().cloned()).collect();
    Gateway::start(&settings).await
}

async fn create(gateway: &Gateway, body: &Value) -> Response {
    gateway.post(ENDPOINTS, &body.to_string()).await
}

fn name(endpoint: &Value) -> String {
    format!("/v1/{}", endpoint["name"].as_str().expect("an endpoint has a name"))
}

/// Waits until a resource shows what is wanted.
async fn until(gateway: &Gateway, path: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    timeout(PATIENCE, async {
        loop {
            let shown = gateway.get(path).await.json();
            if is_it(&shown) {
                return shown;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it comes to that in time")
}

/// Reads what came, once the public library has found it to be ours.
pub(crate) fn believed(secret: &str, (headers, body): &Message) -> Value {
    Webhook::new(secret).unwrap().verify(body, headers).expect("the public library accepts it");
    serde_json::from_slice(body).unwrap()
}
