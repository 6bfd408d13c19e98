//! Receivers that fail: for a while, for good, on purpose, or by not answering.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Ear, Got, MINUTE, Stage};
use crate::{
    crypto::{Keys, Purpose},
    model::{DeliveryState, EndpointState},
    store::contract,
    webhooks::{Courier, Draft, Keeper},
};

#[tokio::test]
async fn a_receiver_that_is_down_for_an_hour_misses_nothing() {
    for stage in Stage::each().await {
        let (endpoint, _) = stage.endpoint(&[]).await;
        stage.ear.says(503, "");
        let mut events = Vec::new();
        for minute in 0..60 {
            if minute == 30 {
                stage.ear.hangs_up();
            }
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
        let heard = stage.ear.heard();
        let ids: BTreeSet<&str> = heard.iter().map(Got::id).collect();
        assert_eq!(ids.len(), events.len() + 1, "one id over all attempts, and the recovery");
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

/// Enabling it made it forget that it was disabled.
#[tokio::test]
async fn whoever_was_told_that_an_endpoint_is_disabled_is_told_that_it_is_back() {
    for stage in Stage::each().await {
        let (endpoint, _) = stage.endpoint(&["operation.*"]).await;
        let told = async || {
            let mut told = stage.events().await;
            told.retain(|kind| kind.starts_with("webhook_endpoint."));
            told
        };
        let ping = async |status: u16| {
            stage.ear.says(status, "");
            stage.endpoints.ping("p", &endpoint.id).await.unwrap();
            stage.courier.round().await.unwrap();
        };
        ping(410).await;
        stage.endpoints.enable("p", &endpoint.id).await.unwrap();
        ping(500).await;
        assert_eq!(told().await, ["webhook_endpoint.disabled"]);
        for _ in 0..2 {
            stage.later(SignedDuration::from_secs(1));
            ping(200).await;
        }
        assert_eq!(told().await, ["webhook_endpoint.disabled", "webhook_endpoint.recovered"], "once");
        // Nobody was told that this one began.
        stage.later(SignedDuration::from_secs(20));
        ping(500).await;
        stage.later(SignedDuration::from_secs(59));
        ping(200).await;
        assert_eq!(told().await.len(), 2, "it was over soon");
        ping(500).await;
        stage.later(SignedDuration::from_secs(61));
        ping(200).await;
        assert_eq!(told().await.len(), 3);
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

/// Events that a replica without the key came to first were nobody's: never sent, and not even listed.
#[tokio::test]
async fn what_a_process_without_the_key_finds_waits_for_one_that_has_it() {
    for stage in Stage::each().await {
        let stranger = Keys::new(&[8; 32], &[]).sealer(Purpose::WebhookSecret);
        let courier = Courier::new(stage.store.clone(), stage.egress.clone(), stranger.clone());
        let keeper = Keeper::new(stage.store.clone(), &stage.egress, stranger);
        let start = stage.store.now();
        let missed = stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        let (endpoint, secret) = stage.endpoint(&[]).await;
        let event = stage.happens("operation.failed").await;
        assert_eq!(courier.round().await.unwrap().attempts, 0);
        assert_eq!(stage.delivery(&endpoint, &event).await.state, DeliveryState::Pending);
        stage.later(MINUTE);
        stage.endpoints.replay("p", &endpoint.id, (start, stage.store.now()), false).await.unwrap();
        assert_eq!(keeper.replay().await.unwrap(), 2);
        assert_eq!(courier.round().await.unwrap().attempts, 0);
        stage.courier.round().await.unwrap();
        for event in [&missed, &event] {
            assert_eq!(stage.delivery(&endpoint, event).await.state, DeliveryState::Succeeded);
        }
        assert!(stage.ear.heard().iter().all(|got| got.is_signed_with(&secret)));
    }
}

#[tokio::test]
async fn who_is_at_an_old_address_cannot_disable_the_new_one() {
    for stage in Stage::each().await {
        let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = |port: u16| Some(format!("http://hook.test:{port}/"));
        let draft = Draft { url: at(old.local_addr().unwrap().port()), ..Draft::default() };
        let (endpoint, _) = stage.endpoints.create("p", draft, None).await.unwrap();
        stage.happens("operation.failed").await;
        let moved = async {
            let (mut stream, _) = old.accept().await.unwrap();
            let draft = Draft { url: at(stage.ear.address.port()), ..Draft::default() };
            stage.endpoints.patch("p", &endpoint.id, draft).await.unwrap();
            stream.write_all(b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let (round, _stream) = tokio::join!(stage.courier.round(), moved);
        assert_eq!(round.unwrap().written, 1);
        let endpoint = stage.endpoints.get("p", &endpoint.id).await.unwrap();
        assert_eq!(endpoint.state, EndpointState::Enabled);
        stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        assert_eq!(stage.ear.heard().len(), 1);
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

/// A place stayed taken for each delivery that became ours just before the database went away, and was never attempted. Once
/// an endpoint fails it has one place, so it was left alone until a restart.
#[tokio::test]
async fn places_are_free_again_when_the_database_goes_away_half_way() {
    for stage in Stage::each().await {
        stage.is_late_for_one_and_has_news_for_another().await;
        contract::alter(&stage.store, CLAIMS_FAIL).await;
        stage.courier.round().await.unwrap_err();
        assert_eq!(stage.courier.in_flight(), 0);
        contract::alter(&stage.store, CLAIMS_WORK).await;
        assert_eq!(stage.courier.round().await.unwrap().attempts, 1, "what is late");
        stage.later(MINUTE);
        assert_eq!(stage.courier.round().await.unwrap().attempts, 1, "what was new, after its lease");
    }
}

#[tokio::test]
async fn what_became_ours_is_attempted_although_the_database_went_away_then() {
    for stage in Stage::each().await {
        stage.is_late_for_one_and_has_news_for_another().await;
        contract::alter(&stage.store, CLAIMS_FAIL).await;
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(stage.courier.clone().run(stop.clone()));
        stage.ear.hears(2).await;
        stop.cancel();
        running.join_all().await;
        assert_eq!(stage.courier.in_flight(), 0);
    }
}

/// What is new can be dispatched, what is late cannot be claimed: claims read when the next delivery is due.
const CLAIMS_FAIL: &str = "ALTER TABLE webhook_endpoints RENAME COLUMN rate_due_at TO away";
const CLAIMS_WORK: &str = "ALTER TABLE webhook_endpoints RENAME COLUMN away TO rate_due_at";

impl Stage {
    /// One attempt has failed and is due again, to an endpoint whose rate is limited; an event has happened for another.
    async fn is_late_for_one_and_has_news_for_another(&self) {
        self.endpoint(&["operation.succeeded"]).await;
        let (late, _) = self.endpoint(&["operation.failed"]).await;
        let limited = Draft { rate: Some(Some(10)), ..Draft::default() };
        self.endpoints.patch("p", &late.id, limited).await.unwrap();
        self.ear.says(503, "");
        self.happens("operation.failed").await;
        assert_eq!(self.courier.round().await.unwrap().attempts, 1);
        self.later(SignedDuration::from_hours(1));
        self.happens("operation.succeeded").await;
    }
}
