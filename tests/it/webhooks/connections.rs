//! What is told of connections that are made, changed and deleted through the gateway.

use std::{collections::BTreeSet, sync::Arc};

use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Scenario, Upstream},
};
use serde_json::{Value, json};

use super::{Message, Receiver, believed, gateway, name, until};
use crate::harness::Database;

const ENDPOINTS: &str = "/v1/projects/acme-data/webhookEndpoints";
const CONNECTIONS: &str = "/v1/projects/acme-data/locations/eu/connections";
const NAME: &str = "projects/acme-data/locations/eu/connections/pond";
const POND: &str = r#"{"friendlyName":"Pond","cloudSql":{"instanceId":"p:us:i","database":"d","type":"POSTGRES",
                       "credential":{"username":"u","password":"kanarienvogel"}}}"#;
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn what_is_done_to_a_connection_is_told_once_and_what_failed_is_not() {
    for database in Database::each().await {
        let clock = Arc::new(SystemClock);
        let emulator = Emulator::start_on_loopback(Scenario::sample(clock.now()), clock).await.unwrap();
        let endpoint = emulator.endpoint(Upstream::BigQueryConnection).unwrap();
        let upstream = format!("upstreams.bigqueryconnection.endpoint={endpoint}");
        let (gateway, receiver) = (gateway(&[database.setting(), upstream]).await, Receiver::listen().await);
        let wish = json!({"url": receiver.url(), "eventTypes": ["connection.*"], "upstreams": ["bigqueryconnection"]});
        let made = gateway.post(ENDPOINTS, &wish.to_string()).await.json();
        let secret = made["secret"].as_str().unwrap();

        let create = format!("{CONNECTIONS}?connectionId=pond");
        for replayed in ["", "true"] {
            let answer = gateway.send("POST", &create, &[JSON, ("idempotency-key", "k")], POND).await;
            assert_eq!((answer.status.as_u16(), answer.header("idempotency-replayed")), (200, replayed));
        }
        assert_eq!(gateway.post(&create, POND).await.status, 409);
        let pond = format!("{CONNECTIONS}/pond");
        let patch = async |field: &str| {
            let target = format!("{pond}?updateMask={field}");
            gateway.send("PATCH", &target, &[], r#"{"friendlyName":"Lake"}"#).await.status
        };
        assert_eq!(patch("nothing").await, 400);
        assert_eq!(patch("friendlyName").await, 200);
        assert_eq!(gateway.send("DELETE", &pond, &[], "").await.status, 200);
        assert_eq!(gateway.send("DELETE", &pond, &[], "").await.status, 404);

        let heard = receiver.hears(3).await;
        let mut told: Vec<Value> = heard.iter().map(|heard| believed(secret, heard)).collect();
        told.sort_by_key(|body| body["timestamp"].as_str().unwrap().to_owned());
        let kinds: Vec<_> = told.iter().map(|body| body["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["connection.created", "connection.updated", "connection.deleted"]);
        for body in &told {
            assert_eq!(body["data"]["resourceName"], NAME);
            assert_eq!(body["data"]["upstream"], "bigqueryconnection");
            assert!(!body.to_string().contains("kanarienvogel"));
        }
        let resource = |at: usize| &told[at]["data"]["resource"];
        assert_eq!(resource(0)["friendlyName"], "Pond");
        assert_eq!(
            (&resource(1)["friendlyName"], &resource(1)["hasCredential"]),
            (&json!("Lake"), &json!(true))
        );
        assert!(resource(2).is_null());
        let kept = gateway.get("/v1/projects/acme-data/events?filter=type%3Dconnection.*").await.json();
        assert_eq!(kept["events"].as_array().unwrap().len(), 3, "and nothing else happened");
        let deliveries = gateway.get(&format!("{}/deliveries", name(&made))).await.json();
        assert_eq!(deliveries["deliveries"].as_array().unwrap().len(), 3);

        // All of it once more, on request.
        let at = |body: &Value| body["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let end = at(&told[2]) + jiff::SignedDuration::from_micros(1);
        let window = json!({"startTime": told[0]["timestamp"], "endTime": end.to_string()});
        let replay = gateway.post(&format!("{}:replay", name(&made)), &window.to_string()).await;
        assert_eq!(replay.status, 200, "{}", replay.text());
        let done = until(&gateway, &name(&replay.json()), |replay| replay["state"] == "DONE").await;
        assert_eq!(done["queuedCount"], "3");
        let all = receiver.hears(6).await;
        let ids = |heard: &[Message]| -> BTreeSet<_> {
            heard.iter().map(|heard| heard.0["webhook-id"].clone().as_bytes().to_vec()).collect()
        };
        assert_eq!(ids(&all[..3]), ids(&all[3..]), "with the ids that they had");
    }
}
