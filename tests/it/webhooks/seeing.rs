//! How owners and operators see what became of deliveries.

use base64_simd::STANDARD;
use serde_json::{Value, json};

use super::{Receiver, believed, create, gateway, name, until};
use crate::harness::Database;

#[tokio::test]
async fn what_failed_and_what_did_not_is_seen_in_deliveries_and_metrics() {
    for database in Database::each().await {
        let (gateway, receiver) = (gateway(&[database.setting()]).await, Receiver::listen().await);
        let nowhere = format!("{}-that-nobody-has", receiver.url());
        let made = create(&gateway, &json!({"url": nowhere, "eventTypes": ["ping"]})).await.json();
        let ping = gateway.post(&format!("{}:ping", name(&made)), "").await.json();
        let path = format!("/v1/{}", ping["name"].as_str().unwrap());
        let failed = until(&gateway, &path, |shown| shown["attemptCount"] == 1).await;
        assert_eq!(
            (&failed["state"], &failed["lastStatus"], &failed["lastError"]),
            (&json!("PENDING"), &json!(404), &json!("STATUS"))
        );
        let time = |field: &str| failed[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let wait = time("nextAttemptTime").duration_since(time("createTime")).as_secs();
        assert!((4..=30).contains(&wait), "the first wait is 5 s, give or take a fifth: {wait}");
        let attempts = gateway.get(&format!("{path}/attempts")).await.json();
        let attempt = &attempts["attempts"][0];
        assert_eq!(
            (&attempt["status"], &attempt["error"]["class"]),
            (&json!(404), &json!("STATUS")),
            "{attempt}"
        );
        assert!(attempt["startTime"].is_string() && attempt["duration"].is_string(), "{attempt}");
        let pending = gateway.get(&format!("{}/deliveries?filter=state%3DPENDING", name(&made))).await.json();
        assert_eq!(pending["deliveries"].as_array().unwrap().len(), 1);

        let heard = create(&gateway, &json!({"url": receiver.url()})).await.json();
        gateway.post(&format!("{}:ping", name(&heard)), "").await;
        receiver.hears(1).await;
        // All gateways of this process count together.
        for series in [
            r#"causeway_webhook_attempts_total{outcome="OK"}"#,
            r#"causeway_webhook_attempts_total{outcome="STATUS"}"#,
            "causeway_webhook_attempt_duration_seconds_count",
            "causeway_webhook_latency_seconds_count",
            "causeway_webhook_pending",
            "causeway_webhook_oldest_due_seconds",
        ] {
            while gateway.metric(series).await.is_none() {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn an_owner_may_bring_a_secret_of_24_to_64_bytes() {
    for database in Database::each().await {
        let (gateway, receiver) = (gateway(&[database.setting()]).await, Receiver::listen().await);
        for (length, status) in [(23, 400), (24, 200), (64, 200), (65, 400)] {
            let secret = format!("whsec_{}", STANDARD.encode_to_string(vec![length; length.into()]));
            let made = create(&gateway, &json!({"url": receiver.url(), "secret": secret})).await;
            assert_eq!(made.status, status, "{length}: {}", made.text());
            if status != 200 {
                assert_eq!(made.fields(), ["secret"]);
                continue;
            }
            let before = receiver.heard().len();
            gateway.post(&format!("{}:ping", name(&made.json())), "").await;
            let told: Value = believed(&secret, receiver.hears(before + 1).await.last().unwrap());
            assert_eq!(told["type"], "ping");
        }
    }
}
