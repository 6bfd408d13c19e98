//! Whole stories in front of the emulated services, as `causeway dev` has them.

use std::{sync::Arc, time::Duration};

use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Fault, Scenario, Upstream},
    error::Code,
};
use serde_json::{Value, json};

use crate::harness::Gateway;

const CONNECTIONS: &str = "/v1/projects/acme-data/locations/eu/connections";

async fn company() -> (Emulator, Gateway) {
    let clock = Arc::new(SystemClock);
    let scenario = Scenario::sample(clock.now());
    let emulator = Emulator::start_on_loopback(scenario, clock).await.unwrap();
    let settings: Vec<String> = emulator
        .addresses()
        .map(|(upstream, address)| format!("upstreams.{}.endpoint=http://{address}", upstream.key()))
        .collect();
    (emulator, Gateway::start(&settings).await)
}

#[tokio::test]
async fn a_connection_is_made_read_changed_and_gone() {
    let (_emulator, gateway) = company().await;
    let body = r#"{"friendlyName":"Lake","cloudSql":{"instanceId":"p:us:i","database":"d","type":"POSTGRES",
                   "credential":{"username":"u","password":"secret"}}}"#;
    let made = gateway.post(&format!("{CONNECTIONS}?connectionId=pond"), body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    assert!(!made.text().contains("secret"));
    assert_eq!(made.json()["hasCredential"], true);

    let again = gateway.post(&format!("{CONNECTIONS}?connectionId=pond"), body).await;
    assert_eq!((again.status.as_u16(), &again.json()["error"]["status"]), (409, &json!("ALREADY_EXISTS")));

    let pond = format!("{CONNECTIONS}/pond");
    let patch = r#"{"friendlyName":"Lake of data"}"#;
    let changed = gateway.send("PATCH", &format!("{pond}?updateMask=friendlyName"), &[], patch).await;
    assert_eq!(changed.json()["friendlyName"], "Lake of data", "{}", changed.text());
    let without_mask = gateway.send("PATCH", &pond, &[], patch).await;
    assert_eq!(without_mask.status, 400, "{}", without_mask.text());

    assert_eq!(gateway.send("DELETE", &pond, &[], "").await.text(), "{}");
    let gone = gateway.get(&pond).await;
    assert_eq!((gone.status.as_u16(), &gone.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn pages_lead_to_all_there_is() {
    let (_emulator, gateway) = company().await;
    let (mut token, mut names) = (String::new(), Vec::new());
    loop {
        let page = gateway.get(&format!("{CONNECTIONS}?pageSize=2&pageToken={token}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        names.extend(page["connections"].as_array().into_iter().flatten().map(|c| c["name"].to_string()));
        match &page["nextPageToken"] {
            Value::String(next) => token = next.replace('+', "%2B").replace('=', "%3D"),
            _ => break,
        }
    }
    let whole = gateway.get(CONNECTIONS).await.json();
    let all: Vec<_> =
        whole["connections"].as_array().unwrap().iter().map(|c| c["name"].to_string()).collect();
    assert!(names.len() > 2, "the sample has more than a page: {names:?}");
    assert_eq!(names, all);
}

#[tokio::test]
async fn what_changes_nothing_is_tried_again_and_what_does_is_not() {
    let (emulator, gateway) = company().await;
    let down = |rpc: &str| Fault::fail(format!("*{rpc}"), Code::Unavailable, "try again").times(1);
    emulator.faults().add(down("ListConnections")).unwrap();
    assert_eq!(gateway.get(CONNECTIONS).await.status, 200);

    emulator.faults().add(down("CreateConnection")).unwrap();
    let refused = gateway.post(&format!("{CONNECTIONS}?connectionId=x"), r#"{"cloudResource":{}}"#).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["message"]), (503, &json!("try again")));
}

#[tokio::test]
async fn a_slow_upstream_costs_no_more_than_the_caller_has() {
    let (emulator, gateway) = company().await;
    emulator.faults().add(Fault::delay("*ListConnections", Duration::from_secs(30))).unwrap();
    let late = gateway.send("GET", CONNECTIONS, &[("x-server-timeout", "0.1")], "").await;
    assert!(late.refused(504, "UPSTREAM_TIMEOUT").contains("bigqueryconnection"));
}

#[tokio::test]
async fn one_upstream_that_is_down_costs_the_others_nothing() {
    let (mut emulator, gateway) = company().await;
    emulator.take_down(Upstream::BigQueryConnection).await;
    let refused = gateway.get(CONNECTIONS).await;
    assert!(refused.refused(503, "UPSTREAM_UNAVAILABLE").contains("bigqueryconnection"));
    let streams = gateway.get("/v1/projects/acme-data/locations/us-central1/streams").await;
    assert_eq!(streams.status, 200, "{}", streams.text());
    assert_eq!(gateway.get("/readyz").await.status, 200);
}
