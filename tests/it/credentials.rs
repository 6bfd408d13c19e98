//! What opens our door opens no other: no credential that proved who a caller is reaches an upstream, whatever it does
//! there, and in every mode. The emulator's own record of what it was sent shows it.

use std::{sync::Arc, time::Duration};

use causeway::{
    clock::{Clock as _, ManualClock, SystemClock},
    emulator::{Emulator, Scenario},
    model::Role,
};
use serde_json::json;

use crate::{
    harness::{Gateway, Issuer, Keyring, Publishes, Signer, bearer},
    issuer::claims,
};

const JSON: (&str, &str) = ("content-type", "application/json");
const STREAMS: &str = "/v1/projects/acme-data/locations/europe-west1/streams";
const CONNECTIONS: &str = "/v1/projects/acme-data/locations/eu/connections";
/// The `resource_meta` of a job: `{"job_id": "x", "project": "acme-data", "location": "EU"}`.
const JOB: &str = "eyJqb2JfaWQiOiAieCIsICJwcm9qZWN0IjogImFjbWUtZGF0YSIsICJsb2NhdGlvbiI6ICJFVSJ9";

/// What is shown at our door, and by which headers; nothing opens it in mode `none`.
struct Shown {
    secret: String,
    headers: Vec<(&'static str, String)>,
}

/// A gateway in front of everything that is emulated.
struct House {
    emulator: Emulator,
    gateway: Gateway,
    clock: Arc<ManualClock>,
    key: String,
    token: String,
    _issuer: Issuer,
    _ring: Keyring,
}

impl House {
    async fn of(mode: &str, credentials: &str) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let emulator =
            Emulator::start_on_loopback(Scenario::sample(clock.now()), clock.clone()).await.unwrap();
        let signer = Signer::ed();
        let issuer = Issuer::start(Publishes::Keys(vec![signer.jwk("k1")])).await;
        let token = signer.token(&json!({"alg": signer.algorithm(), "kid": "k1"}), &claims());
        let ring = Keyring::new().await;
        let (_, key) = ring.make("alice", Role::Admin, &["*"]).await;
        let mut settings: Vec<String> = ring.settings().into();
        settings.push(format!("identity.mode={mode}"));
        if mode == "jwt" || mode == "both" {
            settings.push(issuer.setting());
            settings.push(
                r#"identity.grants=[{ principal = "corp:alice", role = "admin", resources = ["*"] }]"#
                    .to_owned(),
            );
        }
        for (upstream, address) in emulator.addresses() {
            settings.push(format!("upstreams.{}.endpoint=http://{address}", upstream.key()));
            settings.push(format!("upstreams.{}.credentials={credentials}", upstream.key()));
        }
        let gateway = Gateway::start(&settings).await;
        Self { emulator, gateway, clock, key, token, _issuer: issuer, _ring: ring }
    }

    /// Everything by which a caller can be known here.
    fn doors(&self, mode: &str) -> Vec<Shown> {
        let key = |headers| Shown { secret: self.key.clone(), headers };
        let keys = [
            key(vec![("authorization", bearer(&self.key))]),
            key(vec![("x-goog-api-key", self.key.clone())]),
            key(vec![
                ("x-goog-api-key", self.key.clone()),
                ("authorization", "Bearer ya29.theirs".to_owned()),
            ]),
            key(vec![
                ("authorization", bearer(&self.key)),
                ("x-causeway-upstream-authorization", "Bearer ya29.theirs".to_owned()),
            ]),
        ];
        let tokens = [
            Shown { secret: self.token.clone(), headers: vec![("authorization", bearer(&self.token))] },
            Shown {
                secret: self.token.clone(),
                headers: vec![
                    ("authorization", bearer(&self.token)),
                    ("x-causeway-upstream-authorization", "Bearer ya29.theirs".to_owned()),
                ],
            },
        ];
        match mode {
            "keys" => keys.into(),
            "jwt" => tokens.into(),
            _ => keys.into_iter().chain(tokens).collect(),
        }
    }

    /// Calls every upstream in every way there is, each with an id of its own.
    async fn call_everything(&self, headers: &[(&str, &str)], id: usize) {
        let task = format!("/api/v1/agent/task/logs/bigquery_query_job_task/0/{JOB}");
        let calls = [
            ("GET", CONNECTIONS.to_owned(), ""),
            ("POST", format!("{CONNECTIONS}?connectionId=door-{id}"), r#"{"cloudResource": {}}"#),
            ("GET", format!("{CONNECTIONS}/door-{id}"), ""),
            ("GET", STREAMS.to_owned(), ""),
            ("POST", format!("{STREAMS}/shop-to-bigquery/objects/public-orders:startBackfillJob"), "{}"),
            (
                "POST",
                format!("{STREAMS}/shop-archive:run"),
                r#"{"cdcStrategy": {"nextAvailableStartPosition": {}}}"#,
            ),
            ("GET", "/v1/projects/acme-shop/instances/ledger/operations".to_owned(), ""),
            ("GET", task, ""),
            ("POST", "/v1/projects/acme-data/locations/EU/tasks".to_owned(), r#"{"query": "SELECT 1"}"#),
            (
                "POST",
                "/v1/operations:track".to_owned(),
                r#"{"upstream": "spanner", "name": "projects/acme-shop/instances/ledger/operations/_auto_ledger_grown"}"#,
            ),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([JSON]).collect();
        for (verb, target, body) in &calls {
            let answer = self.gateway.send(verb, target, &headers, *body).await;
            let known = !matches!(answer.status.as_u16(), 401 | 403);
            assert!(known, "{verb} {target}: {}", answer.text());
        }
        let operations = self.gateway.send("GET", "/v1/operations", &headers, "").await.json();
        for operation in operations["operations"].as_array().into_iter().flatten() {
            let target = format!("/v1/{}:cancel", operation["name"].as_str().unwrap());
            self.gateway.send("POST", &target, &headers, "").await;
        }
    }

    /// Waits until somebody has asked the upstreams in the background.
    async fn polled(&self) {
        for _ in 0..100 {
            if self.emulator.calls().counts("*GetStreamObject*").values().sum::<u64>() > 0 {
                return;
            }
            self.clock.advance(Duration::from_secs(5));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody asked in the background");
    }

    fn assert_never_sent(&self, secret: &str, what: &str) {
        let calls = self.emulator.calls().recent("*");
        assert!(calls.len() > 5, "{what}: {} calls", calls.len());
        // A key has an id that may be known, and a secret; a token is told by its signature.
        let parts = secret.rsplit(['_', '.']).next().unwrap();
        let base64 = base64_of(secret);
        for call in &calls {
            let sent = format!("{:?} {}", call.metadata, String::from_utf8_lossy(&call.request));
            for trace in [secret, parts, &base64] {
                assert!(!sent.contains(trace), "{what}: {} was sent {trace}", call.rpc);
            }
            for name in
                ["x-goog-api-key", "cookie", "proxy-authorization", "x-causeway-upstream-authorization"]
            {
                assert_eq!(call.header(name), None, "{what}: {}", call.rpc);
            }
        }
    }
}

fn base64_of(text: &str) -> String {
    base64_simd::STANDARD_NO_PAD.encode_to_string(text)
}

#[tokio::test]
async fn what_opens_our_door_is_never_shown_at_another() {
    for mode in ["keys", "jwt", "both"] {
        for credentials in ["none", "caller"] {
            let house = House::of(mode, credentials).await;
            for (id, door) in house.doors(mode).into_iter().enumerate() {
                let what = format!("{mode}, {credentials}, {:?}", door.headers);
                house.emulator.calls().clear();
                let headers: Vec<(&str, &str)> =
                    door.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                house.call_everything(&headers, id).await;
                house.assert_never_sent(&door.secret, &what);
                let theirs = door.headers.iter().any(|(_, value)| value.contains("ya29"));
                let list = house.emulator.calls().last("*ListStreams").expect(&what);
                let expected = (theirs && credentials == "caller").then_some("Bearer ya29.theirs");
                assert_eq!(list.header("authorization"), expected, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_is_shown_to_an_upstream_in_the_background() {
    let house = House::of("both", "none").await;
    for (id, secret) in [&house.key, &house.token].into_iter().enumerate() {
        let shown = bearer(secret);
        house.call_everything(&[("authorization", &shown)], id).await;
    }
    house.emulator.calls().clear();
    house.polled().await;
    for call in house.emulator.calls().recent("*") {
        assert_eq!(call.header("authorization"), None, "{}", call.rpc);
        let sent = format!("{:?} {}", call.metadata, String::from_utf8_lossy(&call.request));
        assert!(!sent.contains(&house.key[16..]) && !sent.contains(&house.token), "{}", call.rpc);
    }
}

#[tokio::test]
async fn where_nobody_is_asked_only_what_is_meant_for_an_upstream_goes_there() {
    for (credentials, expected) in [("none", None), ("caller", Some("Bearer ya29.theirs"))] {
        let house = House::of("none", credentials).await;
        let headers =
            [("authorization", "Bearer ya29.theirs"), ("x-goog-api-key", "AIzaTheirs"), ("cookie", "a=b")];
        house.call_everything(&headers, 0).await;
        house.assert_never_sent("AIzaTheirs", credentials);
        let list = house.emulator.calls().last("*ListStreams").expect("it was called");
        assert_eq!(list.header("authorization"), expected, "{credentials}");
    }
}
