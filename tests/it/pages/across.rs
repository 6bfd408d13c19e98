//! Stories about lists whose path has a `-`.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use causeway::{
    clock::{Clock as _, ManualClock, SystemClock},
    model::Role,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Answer, Call, Gateway, Keyring, Scripted};

const STREAMS: &str = "/v1/projects/p/locations/-/streams";
const LOCATIONS: usize = 20;

/// What a location does with a list of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Fails,
    Hangs,
    IsGone,
}

/// A Datastream with so many locations, `locations/l00` and on, each with seven streams.
async fn datastream(mood: impl Fn(usize) -> Mood + Send + Sync + 'static) -> (Scripted, Arc<AtomicUsize>) {
    let lists = Arc::new(AtomicUsize::new(0));
    let count = lists.clone();
    let upstream = Scripted::start(move |call: &Call| {
        let rpc = call.method.rsplit('.').next().unwrap();
        let page = |all: Vec<Value>, items: &str| {
            let from: usize = call.request["pageToken"].as_str().map_or(0, |token| token.parse().unwrap());
            let size = call.request["pageSize"].as_u64().map_or(all.len(), |size| usize::try_from(size).unwrap());
            let to = (from + size).min(all.len());
            let next = if to < all.len() { to.to_string() } else { String::new() };
            Answer::Message(json!({items: all[from..to], "nextPageToken": next}))
        };
        match rpc {
            "ListLocations" => {
                let name = call.request["name"].as_str().unwrap();
                let one = |n| json!({"name": format!("{name}/locations/l{n:02}"), "locationId": format!("l{n:02}")});
                page((0..LOCATIONS).rev().map(one).collect(), "locations")
            }
            "ListStreams" => {
                count.fetch_add(1, SeqCst);
                let parent = call.request["parent"].as_str().unwrap();
                let location = parent[parent.len() - 2..].parse().unwrap();
                match mood(location) {
                    Mood::Fails => return Answer::Refuse(14, "the zone is dark", Vec::new()),
                    Mood::Hangs => return Answer::Never,
                    Mood::IsGone => return Answer::Refuse(5, "there is no such place", Vec::new()),
                    Mood::Well => {}
                }
                page((0..7).map(|n| json!({"name": format!("{parent}/streams/s{n}")})).collect(), "streams")
            }
            "ListStreamObjects" => {
                let parent = call.request["parent"].as_str().unwrap();
                page(vec![json!({"name": format!("{parent}/objects/o")})], "streamObjects")
            }
            other => panic!("{other}"),
        }
    })
    .await;
    (upstream, lists)
}

async fn before(upstream: &Scripted) -> Gateway {
    Gateway::start(&[format!("upstreams.datastream.endpoint=http://{}", upstream.address)]).await
}

fn names(page: &Value, items: &str) -> Vec<String> {
    let items = page[items].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn paging_across_sees_every_item_once_and_in_order() {
    let (upstream, _) = datastream(|_| Mood::Well).await;
    let gateway = before(&upstream).await;
    for size in [1, 5, 7, 10, 50, 1000] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let response = gateway.get(&format!("{STREAMS}?pageSize={size}&pageToken={token}")).await;
            assert_eq!(response.status, 200, "{}", response.text());
            let page = response.json();
            let here = names(&page, "streams");
            assert!(here.len() <= size, "{} of {size}", here.len());
            seen.extend(here);
            token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen.len(), LOCATIONS * 7, "{size}");
        assert!(seen.is_sorted(), "{size}: by part, as each part has it");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
    }
    let whole = gateway.get(STREAMS).await;
    assert_eq!(names(&whole.json(), "streams").len(), 98, "a hundred, in whole parts");
    assert_eq!(
        gateway.get(&format!("{STREAMS}?pageSize=1000")).await.header("cache-status"),
        "causeway; hit; detail=parts"
    );
}

#[tokio::test]
async fn two_dashes_are_two_levels() {
    let (upstream, _) = datastream(|_| Mood::Well).await;
    let gateway = before(&upstream).await;
    let all = gateway.get("/v1/projects/p/locations/-/streams/-/objects?pageSize=1000").await;
    assert_eq!(all.status, 200, "{}", all.text());
    assert_eq!(names(&all.json(), "streamObjects").len(), LOCATIONS * 7);
    let some = gateway.get("/v1/projects/p/locations/l03/streams/-/objects").await.json();
    let expected: Vec<_> =
        (0..7).map(|n| format!("projects/p/locations/l03/streams/s{n}/objects/o")).collect();
    assert_eq!(names(&some, "streamObjects"), expected);
    let fields = gateway.get(&format!("{STREAMS}?fields=nextPageToken&pageSize=3")).await.json();
    assert_eq!(fields.as_object().unwrap().keys().collect::<Vec<_>>(), ["nextPageToken"]);
}

#[tokio::test]
async fn three_that_fail_and_one_that_hangs_cost_what_they_have() {
    let mood = |location| match location {
        2 | 9 | 17 => Mood::Fails,
        4 => Mood::Hangs,
        _ => Mood::Well,
    };
    let (upstream, _) = datastream(mood).await;
    let gateway = before(&upstream).await;
    let patience = [("x-server-timeout", "1.5")];
    let started = Instant::now();
    let whole = gateway.send("GET", &format!("{STREAMS}?pageSize=1000"), &patience, "").await;
    assert_eq!(whole.status, 503, "{}", whole.text());
    assert!(whole.text().contains("projects/p/locations/l02: "), "{}", whole.text());
    let partial = format!("{STREAMS}?pageSize=1000&returnPartialSuccess=true");
    let some = gateway.send("GET", &partial, &patience, "").await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(some.status, 200, "{}", some.text());
    let page = some.json();
    assert_eq!(names(&page, "streams").len(), (LOCATIONS - 4) * 7);
    let missing: Vec<_> = ["l02", "l04", "l09", "l17"].map(|l| format!("projects/p/locations/{l}")).into();
    assert_eq!(page["unreachable"], json!(missing));
    assert_eq!(some.header("causeway-unreachable"), missing.join(", "));
    assert_eq!(some.header("cache-status"), "causeway; fwd=partial; detail=parts");
}

/// A place that went after the places were listed failed every list across them, until that was forgotten.
#[tokio::test]
async fn what_is_not_there_is_nothing_unless_it_is_nowhere() {
    let (upstream, _) = datastream(|n| if n.is_multiple_of(2) { Mood::IsGone } else { Mood::Well }).await;
    let gateway = before(&upstream).await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = gateway.get(&format!("{STREAMS}?pageSize=10&pageToken={token}")).await;
        assert_eq!((page.status.as_u16(), page.header("causeway-unreachable")), (200, ""), "{}", page.text());
        seen.extend(names(&page.json(), "streams"));
        token = page.json()["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 7 * LOCATIONS / 2);
    // Neither what is below it.
    let objects = gateway.get("/v1/projects/p/locations/-/streams/-/objects?pageSize=1000").await;
    assert_eq!(names(&objects.json(), "streamObjects").len(), 7 * LOCATIONS / 2, "{}", objects.text());
    let (upstream, _) = datastream(|_| Mood::IsGone).await;
    for query in ["", "?returnPartialSuccess=true"] {
        let nowhere = before(&upstream).await.get(&format!("{STREAMS}{query}")).await;
        assert_eq!(nowhere.status, 404, "{}", nowhere.text());
    }
}

/// One path of the document stands for both forms, and only one of them took its parameter.
#[tokio::test]
async fn what_only_reading_across_understands_is_no_mistake_elsewhere() {
    let (upstream, _) = datastream(|_| Mood::Well).await;
    let gateway = before(&upstream).await;
    let one = STREAMS.replace("locations/-", "locations/l01");
    for (target, status) in [
        (format!("{one}?returnPartialSuccess=false"), 200),
        (format!("{one}?return_partial_success=true&pageSize=2"), 200),
        (format!("{one}?returnPartialSuccess=maybe"), 400),
        (format!("{STREAMS}?pageSize=1&pageSize=3"), 400),
        (format!("{STREAMS}?pageSize=1&page_size=3"), 400),
        (format!("{STREAMS}?returnPartialSuccess&returnPartialSuccess"), 400),
    ] {
        let answer = gateway.get(&target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
    }
}

#[tokio::test]
async fn whoever_may_see_a_part_sees_that_part_and_the_others_are_not_asked() {
    let (upstream, lists) = datastream(|_| Mood::Well).await;
    let ring = Keyring::new().await;
    let mut settings = ring.settings().to_vec();
    settings.push(format!("upstreams.datastream.endpoint=http://{}", upstream.address));
    let gateway = Gateway::start(&settings).await;
    let mut told = BTreeSet::new();
    for (patterns, locations) in [
        (&["projects/p"][..], LOCATIONS),
        (&["projects/p/locations/l03"], 1),
        (&["projects/p/locations/l0*", "projects/q"], 10),
        (&["projects/*/locations/l1?"], 0),
        (&["projects/*/locations/*1"], 2),
    ] {
        let (_, key) = ring.make("somebody", Role::Viewer, patterns).await;
        let before = lists.load(SeqCst);
        let target = format!("{STREAMS}?pageSize=1000&filter={}", told.len());
        let response = gateway.send("GET", &target, &[("x-goog-api-key", &key)], "").await;
        told.insert(patterns);
        if locations == 0 {
            response.refused(403, "PERMISSION_DENIED");
        } else {
            assert_eq!(names(&response.json(), "streams").len(), locations * 7, "{patterns:?}");
        }
        assert_eq!(lists.load(SeqCst) - before, locations, "{patterns:?}");
    }
    let calls = upstream.calls().len();
    let (_, stranger) = ring.make("stranger", Role::Admin, &["projects/q", "projects/p/instances/i"]).await;
    let refused = gateway.send("GET", STREAMS, &[("x-goog-api-key", &stranger)], "").await;
    refused.refused(403, "PERMISSION_DENIED");
    assert_eq!(upstream.calls().len(), calls, "nobody was asked what there is");
}

#[tokio::test]
async fn a_token_is_good_for_the_list_it_came_from_and_nothing_else() {
    let (upstream, _) = datastream(|_| Mood::Well).await;
    let gateway = before(&upstream).await;
    let page = gateway.get(&format!("{STREAMS}?pageSize=5")).await.json();
    let token = page["nextPageToken"].as_str().unwrap();
    assert_eq!(gateway.get(&format!("{STREAMS}?pageSize=2&pageToken={token}")).await.status, 200);
    let cut = &token[..token.len() - 3];
    let (head, tail) = token.split_at(30);
    let flipped = if head.ends_with('A') { "B" } else { "A" };
    let tampered = format!("{}{flipped}{tail}", &head[..29]);
    for (target, field) in [
        (format!("{STREAMS}?pageToken={cut}"), "pageToken"),
        (format!("{STREAMS}?pageToken={tampered}"), "pageToken"),
        (format!("{STREAMS}?pageToken=7"), "pageToken"),
        (format!("{STREAMS}?pageToken=%FF%00"), "pageToken"),
        (format!("{STREAMS}?pageToken={}", "A".repeat(9000)), "pageToken"),
        (format!("{STREAMS}?pageToken={token}&filter=x"), "pageToken"),
        (format!("/v1/projects/q/locations/-/streams?pageToken={token}"), "pageToken"),
        (format!("/v1/projects/p/locations/-/connectionProfiles?pageToken={token}"), "pageToken"),
        (format!("/v1/projects/p/locations/-/streams/-/objects?pageToken={token}"), "pageToken"),
        (format!("/v1/auditEntries?pageToken={token}"), "pageToken"),
        (format!("{STREAMS}?pageSize=-1"), "pageSize"),
        (format!("{STREAMS}?pageSize=many"), "pageSize"),
        (format!("{STREAMS}?returnPartialSuccess=perhaps"), "returnPartialSuccess"),
        (format!("{STREAMS}?noSuch=1"), "noSuch"),
    ] {
        let response = gateway.get(&target).await;
        assert_eq!(response.status, 400, "{target}: {}", response.text());
        assert_eq!(response.fields(), [field], "{target}: {}", response.text());
    }
}

#[tokio::test]
async fn a_token_is_good_for_three_days() {
    let (upstream, _) = datastream(|_| Mood::Well).await;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let endpoint = format!("upstreams.datastream.endpoint=http://{}", upstream.address);
    let gateway = Gateway::start_at(&[endpoint], clock.clone()).await;
    let page = gateway.get(&format!("{STREAMS}?pageSize=5")).await.json();
    let next = format!("{STREAMS}?pageSize=5&pageToken={}", page["nextPageToken"].as_str().unwrap());
    clock.advance(Duration::from_secs(3 * 24 * 3600));
    assert_eq!(gateway.get(&next).await.status, 200);
    clock.advance(Duration::from_secs(1));
    let late = gateway.get(&next).await;
    assert!(late.refused(400, "INVALID_FIELD").contains("too old"), "{}", late.text());
    assert_eq!(late.fields(), ["pageToken"]);
}

#[tokio::test]
async fn what_cannot_be_read_across_says_so() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let settings = ["bigqueryconnection", "datastream", "spanner"]
        .map(|key| format!("upstreams.{key}.endpoint=http://{}", upstream.address));
    let gateway = Gateway::start(&settings).await;
    for target in [
        "/v1/projects/-/locations/l/streams",
        "/v1/projects/-/locations/-/streams",
        "/v1/projects/-/locations",
        "/v1/projects/-/locations/l/connections",
        "/datastream/v1/projects/p/locations/-/operations",
        "/v1/projects/-/instances",
    ] {
        let response = gateway.get(target).await;
        let message = response.refused(400, "INVALID_FIELD");
        assert!(message.contains("cannot be read across"), "{target}: {message}");
    }
    let unknown = gateway.get("/v1/projects/p/locations/-/connections").await;
    assert!(unknown.refused(400, "INVALID_FIELD").contains("upstreams.bigqueryconnection.locations"));
    assert_eq!(upstream.calls().len(), 0);
    // Spanner reads across instances by itself.
    assert_eq!(gateway.get("/v1/projects/p/instances/-/instancePartitions").await.status, 200);
    assert_eq!(upstream.last().request["parent"], "projects/p/instances/-");
}

#[tokio::test]
async fn connections_are_read_across_the_locations_of_the_configuration() {
    let upstream = Scripted::start(|call: &Call| {
        let name = format!("{}/connections/c", call.request["parent"].as_str().unwrap());
        Answer::Message(match call.method.ends_with("ListConnections") {
            true => json!({"connections": [{"name": name}]}),
            false => json!({"name": name}),
        })
    })
    .await;
    let endpoint = format!("upstreams.bigqueryconnection.endpoint=http://{}", upstream.address);
    let locations = "upstreams.bigqueryconnection.locations=[\"us\", \"eu\"]".to_owned();
    let gateway = Gateway::start(&[endpoint, locations]).await;
    let page = gateway.get("/v1/projects/p/locations/-/connections").await.json();
    let expected = ["eu", "us"].map(|location| format!("projects/p/locations/{location}/connections/c"));
    assert_eq!(names(&page, "connections"), expected);
    assert_eq!(gateway.post("/v1/projects/p/locations/eu/connections", "{}").await.status, 200);
    let again = gateway.get("/v1/projects/p/locations/-/connections").await;
    assert_eq!(again.header("cache-status"), "causeway; fwd=partial; detail=parts", "one part was changed");
}
