//! Stories about being called: what owners do with endpoints, what is refused, what happens through the gateway, and what
//! breaks in between.

mod connections;
mod owner;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::timeout};

use crate::harness::{Gateway, Response};

const ENDPOINTS: &str = "/v1/projects/acme/webhookEndpoints";
const PATIENCE: Duration = Duration::from_secs(20);

type Heard = Arc<(Mutex<Vec<(HeaderMap, Bytes)>>, Notify)>;

/// Somebody who listens.
struct Receiver {
    address: SocketAddr,
    heard: Heard,
    _task: JoinSet<()>,
}

async fn hear(State(heard): State<Heard>, headers: HeaderMap, body: Bytes) -> StatusCode {
    heard.0.lock().unwrap().push((headers, body));
    heard.1.notify_waiters();
    StatusCode::NO_CONTENT
}

impl Receiver {
    async fn listen() -> Self {
        let heard = Heard::default();
        let routes = Router::new().route("/hook", post(hear)).with_state(heard.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, heard, _task: task }
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Waits until it has heard so many.
    async fn hears(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        timeout(PATIENCE, async {
            loop {
                let next = self.heard.1.notified();
                let heard = self.heard.0.lock().unwrap().clone();
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

async fn gateway(more: &[String]) -> Gateway {
    let mut settings =
        vec!["webhooks.allow_http=true".to_owned(), "webhooks.allow_cidrs=[\"127.0.0.1/32\"]".to_owned()];
    settings.extend_from_slice(more);
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
fn believed(secret: &str, (headers, body): &(HeaderMap, Bytes)) -> Value {
    Webhook::new(secret).unwrap().verify(body, headers).expect("the public library accepts it");
    serde_json::from_slice(body).unwrap()
}
