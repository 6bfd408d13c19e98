//! Nobody is ever shown what another may see: random callers, grants, credentials and words for what they want.

use causeway::model::Role;
use serde_json::json;

use super::rules;
use crate::harness::{Answer, Call, Gateway, Keyring, Scripted};

/// Requests with each kind of credentials, at least and at most: how many of them hit depends on who may see what, which is
/// drawn too.
const REQUESTS: usize = 1500;
const REQUESTS_MAX: usize = 15_000;
/// Pages out of the cache, and refusals, without which nothing was tried.
const ENOUGH: usize = 75;
const SHELVES: [&str; 5] = ["a1", "a2", "b1", "b2", "c"];
const PATTERNS: [&str; 7] =
    ["*", "shelves/*", "shelves/a*", "shelves/b1", "shelves/*2", "shelves/c", "projects/x"];

/// A library that answers with all it was told.
async fn echoing() -> Scripted {
    Scripted::start(|call: &Call| {
        let told = |name: &str| call.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let said = ["authorization", "accept-language", "x-goog-user-project"].map(told).join("|");
        Answer::Message(json!({"books": [{"name": call.request.to_string(), "title": said}]}))
    })
    .await
}

async fn nobody_sees_another_s(credentials: &str) {
    let (upstream, ring) = (echoing().await, Keyring::new().await);
    let rules = rules("1h", "1h");
    let credentials = format!("upstreams.library.credentials={credentials}");
    let settings = ring.settings();
    let settings = [&settings[0], &settings[1], &rules, &credentials, "limits.principal_rate=100000"];
    let gateway = Gateway::library_with(&upstream, &settings).await;
    let mut random = fastrand::Rng::new();
    let seed = random.u64(..);
    random.seed(seed);
    let mut callers = Vec::new();
    for n in 0..12 {
        let mut patterns = PATTERNS;
        random.shuffle(&mut patterns);
        // Whatever is drawn for the others, one may see everything and one next to nothing.
        let patterns: &[&str] = match n {
            0 => &["*"],
            1 => &["shelves/c"],
            _ => &patterns[..random.usize(1..3)],
        };
        let (_, key) = ring.make(&format!("p{n}"), Role::Viewer, patterns).await;
        callers.push(key);
    }
    let mut connection = gateway.connect().await;
    let (mut hits, mut refused) = (0, 0);
    for done in 0..REQUESTS_MAX {
        if done >= REQUESTS && hits >= ENOUGH && refused >= ENOUGH {
            break;
        }
        let mut query: Vec<&str> = ["pageSize=3", "filter=x", "fields=books.title", "$alt=proto"]
            .into_iter()
            .filter(|_| random.u8(..) < 60)
            .collect();
        random.shuffle(&mut query);
        let shelf = SHELVES[random.usize(..SHELVES.len())];
        let target = format!("/v1/shelves/{shelf}/books?{}", query.join("&"));
        let key = &callers[random.usize(..callers.len())];
        let mut headers = vec![("x-goog-api-key", key.as_str())];
        let handed = ["Bearer one", "Bearer two"][random.usize(..2)];
        let name = ["authorization", "x-causeway-upstream-authorization"][random.usize(..2)];
        for (name, value) in
            [(name, handed), ("accept-language", "de"), ("x-goog-user-project", "payer"), ("x-other", "z")]
        {
            if random.bool() {
                headers.push((name, value));
            }
        }
        let kept = connection.send("GET", &target, &headers, "").await;
        headers.push(("cache-control", "no-store"));
        let fetched = connection.send("GET", &target, &headers, "").await;
        assert_eq!(
            (kept.status, &kept.body),
            (fetched.status, &fetched.body),
            "seed {seed}: {target} {headers:?} {:?}",
            kept.headers
        );
        hits += usize::from(kept.header("cache-status").contains("hit"));
        refused += usize::from(kept.status == 403);
    }
    assert!(hits >= ENOUGH, "seed {seed}: {hits} hits");
    assert!(refused >= ENOUGH, "seed {seed}: {refused} refused");
}

#[tokio::test]
async fn nobody_sees_another_s_page_with_the_gateway_s_credential() {
    nobody_sees_another_s("none").await;
}

#[tokio::test]
async fn nobody_sees_another_s_page_with_credentials_of_their_own() {
    nobody_sees_another_s("caller").await;
}

/// A page that an upstream made for one tenant is no answer to another's question.
#[tokio::test]
async fn who_says_something_else_in_a_forwarded_header_is_shown_another_page() {
    let upstream = Scripted::start(|call: &Call| {
        let tenants: Vec<_> =
            call.headers.get_all("x-tenant").iter().map(|value| value.to_str().unwrap()).collect();
        Answer::Message(json!({"books": [{"title": tenants.join("|")}]}))
    })
    .await;
    let forward = "upstreams.library.forward_headers=[\"x-tenant\", \"x-shard\"]";
    let gateway = Gateway::library_with(&upstream, &[&rules("1h", "1h"), forward]).await;
    let read = async |headers: &[(&str, &str)]| {
        let page = gateway.send("GET", "/v1/shelves/s/books", headers, "").await;
        let vary: Vec<_> = page.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(vary.contains(&"x-tenant") && vary.contains(&"x-shard"), "{vary:?}");
        (
            page.json()["books"][0]["title"].as_str().unwrap_or_default().to_owned(),
            page.header("cache-status").contains("hit"),
        )
    };
    for hit in [false, true] {
        assert_eq!(read(&[("x-tenant", "a")]).await, ("a".to_owned(), hit));
        assert_eq!(read(&[("x-tenant", "b")]).await, ("b".to_owned(), hit));
        assert_eq!(read(&[("x-tenant", "a"), ("x-tenant", "b")]).await, ("a|b".to_owned(), hit));
        assert_eq!(
            read(&[("x-tenant", "a"), ("x-shard", "1"), ("x-other", "z")]).await,
            ("a".to_owned(), hit)
        );
        assert_eq!(read(&[]).await, (String::new(), hit));
    }
    assert_eq!(upstream.calls().len(), 5);
}
