//! What arrives, how often, and signed by what.

use jiff::SignedDuration;
use serde_json::Value;
use standardwebhooks::Webhook;

use super::{MINUTE, Stage};
use crate::{
    crypto::{Keys, Purpose},
    model::{DeliveryState, EndpointState},
    webhooks::{Courier, Draft, Keeper},
};

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
        let (endpoint, secret) = stage.endpoint(&["operation.failed", "ping"]).await;
        stage.happens("operation.failed").await;
        stage.courier.round().await.unwrap();
        let pause = Draft { state: Some(EndpointState::Disabled), ..Draft::default() };
        stage.endpoints.patch("p", &endpoint.id, pause).await.unwrap();
        stage.happens("operation.failed").await;
        stage.happens("operation.succeeded").await;
        assert_eq!(stage.courier.round().await.unwrap().attempts, 0);
        stage.endpoints.enable("p", &endpoint.id).await.unwrap();
        // A ping is for whom it was asked for, and not for all who take pings.
        let (other, _) = stage.endpoint(&["operation.cancelled"]).await;
        stage.endpoints.ping("p", &other.id).await.unwrap();
        stage.courier.round().await.unwrap();
        assert_eq!(stage.ear.heard().len(), 2);
        stage.later(MINUTE);
        let end = stage.store.now();
        let asked = |window, skip| stage.endpoints.replay("p", &endpoint.id, window, skip);
        assert!(asked((start, end + MINUTE), true).await.is_err(), "the future");
        assert!(asked((end, start), true).await.is_err());
        assert!(asked((end - SignedDuration::from_hours(31 * 24), end), true).await.is_err());
        let replay = asked((start, end), true).await.unwrap();
        assert_eq!(stage.keeper.replay().await.unwrap(), 4);
        stage.courier.round().await.unwrap();
        let heard = stage.ear.heard();
        assert_eq!(heard.len(), 3, "what had succeeded was skipped");
        assert_eq!(heard.iter().filter(|got| got.is_signed_with(&secret)).count(), 2);
        let replay = stage.store.replay(&endpoint.id, &replay.id).await.unwrap().unwrap();
        assert!(replay.done && replay.queued == 1);
        for _ in 0..5 {
            asked((start, end), true).await.unwrap();
        }
        assert!(asked((start, end), true).await.unwrap_err().message().contains("5 replays"));
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

/// An old key was needed for as long as there were endpoints from before.
#[tokio::test]
async fn what_an_old_key_has_sealed_is_sealed_anew() {
    for stage in Stage::each().await {
        let (endpoint, secret) = stage.endpoint(&[]).await;
        let headers = Draft { headers: Some([("x-token".into(), "t".into())].into()), ..Draft::default() };
        stage.endpoints.patch("p", &endpoint.id, headers).await.unwrap();
        let sealer = |current, old: &[_]| Keys::new(&current, old).sealer(Purpose::WebhookSecret);
        let keeper = |sealer| Keeper::new(stage.store.clone(), &stage.egress, sealer);
        let stranger = sealer([9; 32], &[]);
        assert_eq!(keeper(stranger).reseal().await.unwrap(), (0, 1), "what it cannot open it leaves alone");
        let rotated = sealer([8; 32], &[[7; 32]]);
        assert_eq!(keeper(rotated.clone()).reseal().await.unwrap(), (1, 0));
        let sealed = stage.store.webhook_endpoint("p", &endpoint.id).await.unwrap().unwrap();
        assert_eq!(keeper(rotated).reseal().await.unwrap(), (0, 0));
        let again = stage.store.webhook_endpoint("p", &endpoint.id).await.unwrap().unwrap();
        assert_eq!(again, sealed, "and what is sealed with the key in use");
        assert_eq!(again.version, 2, "it is no change of the endpoint");

        stage.happens("operation.succeeded").await;
        let courier = Courier::new(stage.store.clone(), stage.egress.clone(), sealer([8; 32], &[]));
        courier.round().await.unwrap();
        let got = stage.ear.heard();
        assert_eq!(got.len(), 1);
        assert!(got[0].is_signed_with(&secret));
        assert_eq!(got[0].headers["x-token"], "t");
    }
}
