//! Tokens of an issuer: who they let in, and what becomes of them when the issuer changes, or is away.

use causeway::{
    clock::{Clock as _, SystemClock},
    model::Role,
};
use serde_json::{Value, json};

use crate::harness::{
    Answer, Database, Gateway, Issuer, Keyring, Publishes, Response, Scripted, Signer, bearer,
};

const BOOK: &str = "/v1/shelves/s/books/b";
const GRANTS: &str =
    r#"identity.grants=[{ principal = "corp:alice", role = "viewer", resources = ["shelves/*"] }]"#;

pub(crate) fn now() -> i64 {
    SystemClock.now().as_second()
}

pub(crate) fn claims() -> Value {
    json!({"iss": "https://corp.example", "sub": "alice", "aud": "causeway", "exp": now() + 300})
}

/// A gateway that believes one issuer, an upstream, and what keeps its database.
pub(crate) struct House {
    pub(crate) upstream: Scripted,
    pub(crate) gateway: Gateway,
    pub(crate) issuer: Issuer,
    _database: Database,
}

impl House {
    pub(crate) async fn of(issuer: Issuer, more: &[&str]) -> Self {
        let upstream = Scripted::start(|_| Answer::Message(json!({"title": "Emma"}))).await;
        let database = Database::sqlite();
        let mut settings =
            vec!["identity.mode=jwt".to_owned(), issuer.setting(), GRANTS.to_owned(), database.setting()];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let gateway = Gateway::library_with(&upstream, &settings).await;
        Self { upstream, gateway, issuer, _database: database }
    }

    pub(crate) async fn show(&self, token: &str) -> Response {
        self.gateway.send("GET", BOOK, &[("authorization", &bearer(token))], "").await
    }
}

#[tokio::test]
async fn tokens_of_every_kind_let_their_subject_in() {
    let signers = [("k1", Signer::ed()), ("k2", Signer::es()), ("k3", Signer::rs())];
    let keys = signers.iter().map(|(kid, signer)| signer.jwk(kid)).collect();
    let house = House::of(Issuer::start(Publishes::Keys(keys)).await, &[]).await;
    for (kid, signer) in &signers {
        let header = json!({"alg": signer.algorithm(), "kid": kid, "typ": "JWT"});
        let response = house.show(&signer.token(&header, &claims())).await;
        assert_eq!(response.status, 200, "{}: {}", signer.algorithm(), response.text());
        // Only one key is of this kind, so it need not be named.
        let header = json!({"alg": signer.algorithm()});
        assert_eq!(house.show(&signer.token(&header, &claims())).await.status, 200);
        let mut others = claims();
        others["aud"] = json!(["somebody", "other"]);
        others["iat"] = json!(now() as f64 + 0.5);
        assert_eq!(house.show(&signer.token(&header, &others)).await.status, 200);
        assert!(house.upstream.last().headers.get("authorization").is_none());
        // Known, and not granted anything.
        let mut bob = claims();
        bob["sub"] = json!("bob");
        house.show(&signer.token(&header, &bob)).await.refused(403, "PERMISSION_DENIED");
    }
    assert_eq!(house.issuer.asked(), 1);
}

#[tokio::test]
async fn a_token_never_goes_up_and_keys_are_not_taken() {
    let signer = Signer::ed();
    let issuer = Issuer::start(Publishes::Keys(vec![signer.jwk("k")])).await;
    let house = House::of(issuer, &["upstreams.library.credentials=caller"]).await;
    let token = signer.token(&json!({"alg": "EdDSA"}), &claims());
    let ours = bearer(&token);
    assert_eq!(house.show(&token).await.status, 200);
    assert!(house.upstream.last().headers.get("authorization").is_none());
    let meant = [("authorization", &*ours), ("x-causeway-upstream-authorization", "Bearer ya29.a")];
    assert_eq!(house.gateway.send("GET", BOOK, &meant, "").await.status, 200);
    assert_eq!(house.upstream.last().headers["authorization"], "Bearer ya29.a");
    let another = bearer(&signer.token(&json!({"alg": "EdDSA"}), &json!({"iss": "https://corp.example"})));
    for wrong in [&*ours, &*another] {
        let both = [("authorization", &*ours), ("x-causeway-upstream-authorization", wrong)];
        house.gateway.send("GET", BOOK, &both, "").await.refused(401, "UNAUTHENTICATED");
    }
    let ring = Keyring::new().await;
    let (_, key) = ring.make("alice", Role::Viewer, &["*"]).await;
    house.show(&key).await.refused(401, "UNAUTHENTICATED");
    house.gateway.get(BOOK).await.refused(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_new_key_is_found_and_made_up_ones_cost_one_look() {
    let (old, new) = (Signer::ed(), Signer::ed());
    let issuer = Issuer::start(Publishes::Keys(vec![old.jwk("old")])).await;
    let house = House::of(issuer, &[]).await;
    let token = |signer: &Signer, kid: &str| signer.token(&json!({"alg": "EdDSA", "kid": kid}), &claims());
    assert_eq!(house.show(&token(&old, "old")).await.status, 200);
    for n in 0..20 {
        house.show(&token(&old, &format!("made-up-{n}"))).await.refused(401, "UNAUTHENTICATED");
    }
    assert_eq!(house.issuer.asked(), 1, "it was asked less than a minute ago");
    let fresh = House::of(Issuer::start(Publishes::Keys(vec![new.jwk("new")])).await, &[]).await;
    assert_eq!(fresh.show(&token(&new, "new")).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_fails_costs_its_tokens_only() {
    for publishes in [
        Publishes::Status(500),
        Publishes::Status(302),
        Publishes::Bytes(10 << 20),
        Publishes::Bytes(10),
        Publishes::Keys(vec![json!({"kty": "oct", "k": "c2VjcmV0"})]),
    ] {
        let signer = Signer::ed();
        let house = House::of(Issuer::start(publishes).await, &[]).await;
        let token = signer.token(&json!({"alg": "EdDSA"}), &claims());
        let refused = house.show(&token).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(refused.header("retry-after"), "5");
        assert_eq!(house.gateway.get("/readyz").await.status, 200);
        // Nobody asks again at once.
        house.issuer.publish(Publishes::Keys(vec![signer.jwk("k")]));
        assert_eq!(house.show(&token).await.status, 503);
        assert_eq!(house.issuer.asked(), 1);
    }
}

#[tokio::test]
async fn a_silent_issuer_is_not_waited_for_long() {
    let signer = Signer::ed();
    let house = House::of(Issuer::start(Publishes::Silence).await, &[]).await;
    let started = tokio::time::Instant::now();
    let refused = house.show(&signer.token(&json!({"alg": "EdDSA"}), &claims())).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(started.elapsed() < std::time::Duration::from_secs(8));
}

/// Each waited for a fetch of its own, one after the other, and kept a place all the while.
#[tokio::test]
async fn whoever_waits_for_a_silent_issuer_waits_for_one_answer_together() {
    let signer = Signer::ed();
    let house = House::of(Issuer::start(Publishes::Silence).await, &[]).await;
    let token = signer.token(&json!({"alg": "EdDSA"}), &claims());
    let started = tokio::time::Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut connection, token) = (house.gateway.connect().await, bearer(&token));
        callers.spawn(
            async move { connection.send("GET", BOOK, &[("authorization", &token)], "").await.status },
        );
    }
    assert!(callers.join_all().await.iter().all(|status| *status == 503));
    assert!(started.elapsed() < std::time::Duration::from_secs(9));
    assert_eq!(house.issuer.asked(), 1);
}

/// Keys that stand for people were made by whoever was admin of anything.
#[tokio::test]
async fn who_tokens_are_about_is_given_keys_by_who_is_admin_of_everything() {
    let ring = Keyring::new().await;
    let signer = Signer::ed();
    let issuer = Issuer::start(Publishes::Keys(vec![signer.jwk("k")])).await;
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let bob =
        r#"identity.grants=[{ principal = "corp:bob", role = "admin", resources = ["projects/acme-*"] }]"#;
    let settings = ["identity.mode=both", &ring.database.setting(), &issuer.setting(), bob];
    let gateway = Gateway::library_with(&upstream, &settings).await;
    let (_, lead) = ring.make("lead", Role::Admin, &["projects/acme-*"]).await;
    let (_, root) = ring.make("root", Role::Admin, &["*"]).await;
    let new =
        json!({"principal": "corp:bob", "role": "viewer", "resources": ["projects/acme-1"]}).to_string();
    let make = async |header: &str, who: &str| {
        let headers = [(header, who), ("content-type", "application/json")];
        gateway.send("POST", "/v1/apiKeys", &headers, new.clone()).await
    };
    make("x-goog-api-key", &lead).await.refused(403, "PERMISSION_DENIED");
    // Not by oneself either: a key outlives what the issuer says of somebody.
    let mut bob = claims();
    bob["sub"] = json!("bob");
    let token = signer.token(&json!({"alg": "EdDSA"}), &bob);
    make("authorization", &bearer(&token)).await.refused(403, "PERMISSION_DENIED");
    assert_eq!(make("x-goog-api-key", &root).await.status, 200);
}

/// Everybody behind one address was told to slow down for what was the issuer's fault.
#[tokio::test]
async fn an_issuer_that_is_away_is_no_fault_of_the_address() {
    let house = House::of(Issuer::start(Publishes::Status(500)).await, &[]).await;
    let token = Signer::ed().token(&json!({"alg": "EdDSA"}), &claims());
    // More than an address may fail at once.
    for _ in 0..300 {
        assert_eq!(house.show(&token).await.status, 503);
    }
}

#[tokio::test]
async fn both_is_either() {
    let signer = Signer::ed();
    let issuer = Issuer::start(Publishes::Keys(vec![signer.jwk("k")])).await;
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let (_, key) = ring.make("bob", Role::Viewer, &["shelves/*"]).await;
    let settings = ["identity.mode=both", &ring.database.setting(), &issuer.setting(), GRANTS];
    let gateway = Gateway::library_with(&upstream, &settings).await;
    let token = bearer(&signer.token(&json!({"alg": "EdDSA"}), &claims()));
    for headers in [&[("authorization", &*token)][..], &[("x-goog-api-key", &*key)]] {
        assert_eq!(gateway.send("GET", BOOK, headers, "").await.status, 200);
    }
    let two = [("authorization", &*token), ("x-goog-api-key", &*key)];
    gateway.send("GET", BOOK, &two, "").await.refused(401, "UNAUTHENTICATED");
}
