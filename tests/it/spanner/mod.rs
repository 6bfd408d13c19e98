//! Stories about Spanner's administration, through the gateway and in front of the emulated service. Time is moved by
//! hand.

mod collections;
mod life;
mod refusals;

use std::{sync::Arc, time::Duration};

use causeway::{
    clock::ManualClock,
    emulator::{
        Emulator, Scenario, Upstream,
        spanner::{SeedOperation, SeedWork},
    },
};
use serde_json::{Value, json};

use crate::harness::Gateway;

const SHOP: &str = "/v1/projects/acme-shop";
const LEDGER: &str = "/v1/projects/acme-shop/instances/ledger";

/// Acme's Spanner behind a gateway, and the hands of its clock.
struct Company {
    emulator: Emulator,
    gateway: Gateway,
    clock: Arc<ManualClock>,
}

impl Company {
    async fn opens() -> Self {
        Self::opens_with(|_| ()).await
    }

    async fn opens_with(change: impl FnOnce(&mut Scenario)) -> Self {
        let now = "2030-01-02T03:04:05Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(now));
        let mut scenario = Scenario::sample(now);
        change(&mut scenario);
        let emulator = Emulator::start_on_loopback(scenario, clock.clone()).await.unwrap();
        let endpoint = emulator.endpoint(Upstream::Spanner).unwrap();
        let gateway = Gateway::start(&[format!("upstreams.spanner.endpoint={endpoint}")]).await;
        Self { emulator, gateway, clock }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// GETs what must be there.
    async fn get(&self, target: &str) -> Value {
        self.ask("GET", target, "").await
    }

    /// POSTs what must be accepted.
    async fn post(&self, target: &str, body: &Value) -> Value {
        self.ask("POST", target, &body.to_string()).await
    }

    /// PATCHes what must be accepted.
    async fn patch(&self, target: &str, body: &Value) -> Value {
        self.ask("PATCH", target, &body.to_string()).await
    }

    async fn ask(&self, verb: &str, target: &str, body: &str) -> Value {
        let answer = self.gateway.send(verb, target, &[], body.to_owned()).await;
        assert_eq!(answer.status, 200, "{verb} {target}: {}", answer.text());
        answer.json()
    }

    /// GETs an operation by the name that another answer gave.
    async fn operation(&self, begun: &Value) -> Value {
        self.get(&format!("/v1/{}", text(&begun["name"]))).await
    }

    /// Asks for the cancellation of an operation, with nothing in the body.
    async fn cancel(&self, begun: &Value) {
        let answer = self.ask("POST", &format!("/v1/{}:cancel", text(&begun["name"])), "").await;
        assert_eq!(answer, json!({}));
    }

    /// Sends what must be refused; returns the HTTP status and the name of the code.
    async fn refused(&self, verb: &str, target: &str, body: &Value) -> (u16, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.gateway.send(verb, target, &[], body).await;
        let error = &answer.json()["error"];
        assert_eq!(error["code"], answer.status.as_u16(), "{error}");
        (answer.status.as_u16(), text(&error["status"]).to_owned())
    }

    async fn create_instance(&self, id: &str) -> Value {
        let instance = json!({
            "config": "projects/acme-shop/instanceConfigs/regional-europe-west1",
            "displayName": "Stock levels",
            "processingUnits": 500,
        });
        self.post(&format!("{SHOP}/instances"), &json!({"instanceId": id, "instance": instance})).await
    }
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The last parts of the names in a list.
#[track_caller]
fn ids(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().map(|item| text(&item["name"]).rsplit('/').next().unwrap()).collect()
}

/// The type in an `Any`, without where it comes from.
#[track_caller]
fn type_of(any: &Value) -> &str {
    text(&any["@type"]).rsplit('.').next().unwrap()
}
