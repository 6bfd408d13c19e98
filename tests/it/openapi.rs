//! The document that describes everything, and the pages that show it.

use std::{collections::BTreeSet, fs, sync::Arc};

use causeway::{
    clock::{Clock as _, SystemClock},
    emulator::{Emulator, Scenario, Upstream},
};
use serde_json::Value;

use crate::harness::{Gateway, Response, Scripted, causeway};

/// The document as it is kept in the repository.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/causeway.json");

/// What cannot work on sample data: methods that the connector for BigQuery does not have, and what Spanner does not offer
/// for operations on databases. The emulated ones refuse them as the real ones do.
const REFUSED: &[&str] = &[
    "AsyncAgentService.GetTaskMetrics",
    "AsyncAgentService.GetTaskLogs",
    "spanner.Operations.DeleteOperation",
];

/// What is written for upstreams; other examples are made up.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/examples");

/// Headers that say what the gateway did. Whoever reads the document knows of each that can come.
const TELLING: &[&str] = &[
    "Age",
    "Cache-Status",
    "Causeway-Audit",
    "Causeway-Operation",
    "Causeway-Unreachable",
    "ETag",
    "Idempotency-Replayed",
    "RateLimit",
    "RateLimit-Policy",
    "X-Request-Id",
];

const JSON: (&str, &str) = ("content-type", "application/json");

/// One operation of the document.
struct Operation<'d> {
    verb: String,
    path: &'d str,
    told: &'d Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, told) in item.as_object().unwrap() {
            operations.push(Operation { verb: verb.to_uppercase(), path, told });
        }
    }
    operations
}

/// A gateway in front of everything that `causeway dev` emulates.
async fn company() -> (Emulator, Gateway) {
    company_with(&[]).await
}

/// The same with more settings.
async fn company_with(more: &[&str]) -> (Emulator, Gateway) {
    let clock = Arc::new(SystemClock);
    let emulator = Emulator::start_on_loopback(Scenario::sample(clock.now()), clock).await.unwrap();
    let settings: Vec<String> = emulator
        .addresses()
        .map(|(upstream, address)| format!("upstreams.{}.endpoint=http://{address}", upstream.key()))
        .chain(more.iter().map(|setting| (*setting).to_owned()))
        .collect();
    (emulator, Gateway::start(&settings).await)
}

fn kept() -> Value {
    serde_json::from_str(&fs::read_to_string(KEPT).unwrap()).unwrap()
}

/// Follows a reference into the components.
fn resolved<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect(reference),
        None => value,
    }
}

/// Writes text as it can stand in a path or a query.
fn encoded(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
            (byte as char).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Spells the path of an operation as its examples have it, but for the parameter that is a `-`, and lists the examples of
/// its query.
fn spelled(document: &Value, operation: &Operation<'_>, dash: Option<&str>) -> (String, Vec<String>) {
    let mut target = operation.path.to_owned();
    let mut query = Vec::new();
    for parameter in operation.told["parameters"].as_array().into_iter().flatten() {
        let parameter = resolved(document, parameter);
        let (name, example) = (parameter["name"].as_str().unwrap(), &parameter["example"]);
        let value = if dash == Some(name) { "-".to_owned() } else { encoded(example) };
        match parameter["in"].as_str() {
            Some("path") => target = target.replace(&format!("{{{name}}}"), &value),
            _ if example.is_null() => {}
            _ => query.push(format!("{name}={value}")),
        }
    }
    (target, query)
}

/// Lists the names of an operation's parameters that are in the path, or in the query.
fn parameters<'d>(document: &'d Value, operation: &Operation<'d>, place: &str) -> Vec<&'d str> {
    let all = operation.told["parameters"].as_array().into_iter().flatten();
    let all = all.map(|parameter| resolved(document, parameter));
    let here = all.filter(|parameter| parameter["in"] == place);
    here.map(|parameter| parameter["name"].as_str().unwrap()).collect()
}

/// Sends an operation as it stands in the document.
async fn send_example(gateway: &Gateway, document: &Value, operation: &Operation<'_>) -> Response {
    let (target, query) = spelled(document, operation, None);
    let target = format!("{target}?{}", query.join("&"));
    let body = operation.told.pointer("/requestBody/content/application~1json/example");
    let body = body.map(Value::to_string).unwrap_or_default();
    gateway.send(&operation.verb, &target, &[JSON], body).await
}

/// Whether the answer of an operation that went well has a header, by the document.
fn tells(operation: &Operation<'_>, header: &str) -> bool {
    operation.told.pointer(&format!("/responses/200/headers/{header}")).is_some()
}

#[test]
fn the_document_in_the_repository_is_the_one_that_is_generated() {
    let checked = causeway(&["openapi", "--check", "--file", KEPT]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_document_that_is_out_of_date_is_told_with_the_first_difference() {
    let stale = fs::read_to_string(KEPT).unwrap().replacen("Causeway", "Causway", 1);
    let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/stale.json");
    fs::write(file, stale).unwrap();
    let checked = causeway(&["openapi", "--check", "--file", file]).output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(
        told.contains("-     \"title\": \"Causway\"") && told.contains("+     \"title\": \"Causeway\""),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_served_is_what_is_kept() {
    let (_emulator, gateway) = company().await;
    let served = gateway.get("/openapi.json").await;
    assert_eq!(served.header("content-type"), "application/json; charset=utf-8");
    assert!(served.json() == kept(), "rewrite it with: causeway openapi --write");
    let etag = served.header("etag").to_owned();
    let again = gateway.send("GET", "/openapi.json", &[("if-none-match", &etag)], "").await;
    assert_eq!((again.status.as_u16(), again.text().as_str()), (304, ""));
    let packed = gateway.send("GET", "/openapi.json", &[("accept-encoding", "gzip")], "").await;
    assert_eq!((packed.header("content-encoding"), packed.header("vary")), ("gzip", "Accept-Encoding"));
}

#[test]
fn every_operation_is_told_whole() {
    let document = kept();
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for operation in operations(&document) {
        let (told, name) = (operation.told, format!("{} {}", operation.verb, operation.path));
        for text in ["summary", "description"] {
            assert!(told[text].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {text}");
        }
        assert!(ids.insert(told["operationId"].as_str().expect(&name)), "{name}: its id is taken");
        assert!(tags.contains(told["tags"][0].as_str().expect(&name)), "{name}: its tag is not described");
        for parameter in told["parameters"].as_array().into_iter().flatten() {
            let parameter = resolved(&document, parameter);
            assert!(parameter["description"].is_string(), "{name}: {} is not described", parameter["name"]);
            let in_path = parameter["in"] == "path";
            assert!(
                !in_path || !parameter["example"].is_null(),
                "{name}: {} has no example",
                parameter["name"]
            );
        }
        let bodies = told["requestBody"]["content"].as_object().into_iter().flatten();
        for (kind, body) in bodies.filter(|(kind, _)| *kind == "application/json") {
            assert!(!body["example"].is_null(), "{name}: no example of {kind}");
        }
        for (status, response) in told["responses"].as_object().unwrap() {
            let content = &resolved(&document, response)["content"]["application/json"];
            // `/readyz` tells of a gateway that is stopping, not of an error.
            if status.starts_with(['4', '5']) && operation.path != "/readyz" {
                assert_eq!(content["schema"]["$ref"], "#/components/schemas/Error", "{name}: {status}");
            }
        }
        // Our own answers have an example at each field instead.
        if !told["tags"][0].as_str().is_some_and(|tag| tag.contains(':')) {
            continue;
        }
        let success = told["responses"]["200"]["content"].as_object().expect(&name);
        for (kind, content) in success.iter().filter(|(kind, _)| *kind == "application/json") {
            assert!(!content["example"].is_null(), "{name}: no example of {kind}");
        }
    }
}

#[test]
fn every_field_and_every_value_is_described() {
    let document = kept();
    let mut silent = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, told) in schema["properties"].as_object().into_iter().flatten() {
            if told["description"].as_str().is_none_or(str::is_empty) {
                silent.push(format!("{name}.{field}"));
            }
        }
        let text = schema["description"].as_str().unwrap_or_default();
        for value in schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let meaning = text.split(&format!("- `{value}`:")).nth(1).unwrap_or_default();
            if meaning.lines().next().unwrap_or_default().trim().is_empty() {
                silent.push(format!("{name} {value}"));
            }
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn every_type_of_event_is_told_as_the_catalogue_has_it() {
    let (_emulator, gateway) = company().await;
    let document = gateway.get("/openapi.json").await.json();
    let told = document["webhooks"].as_object().unwrap();
    let types = gateway.get("/v1/eventTypes").await.json();
    let types = types["eventTypes"].as_array().unwrap();
    assert_eq!(told.len(), types.len());
    for known in types {
        let name = known["type"].as_str().unwrap();
        let message = &told.get(name).expect(name)["post"];
        let headers: Vec<&str> =
            message["parameters"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(headers, ["webhook-id", "webhook-timestamp", "webhook-signature"], "{name}");
        let body = &message["requestBody"]["content"]["application/json"];
        assert_eq!(body["example"], known["example"], "{name}");
        assert_eq!(resolved(&document, &body["schema"]), &known["schema"], "{name}");
        assert!(message["summary"].is_string() && message["description"].is_string(), "{name}");
        assert_eq!(message["security"], Value::Array(Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn every_example_works_on_sample_data() {
    let examples = fs::read_dir(EXAMPLES).unwrap().map(|file| file.unwrap().path());
    let written: Vec<String> =
        examples.map(|file| format!("{}:", file.file_stem().unwrap().to_str().unwrap())).collect();
    let (_emulator, quiet) = company().await;
    let document = quiet.get("/openapi.json").await.json();
    let (mut refused, mut untold) = (Vec::new(), Vec::new());
    for operation in operations(&document) {
        let tag = operation.told["tags"][0].as_str().unwrap();
        if tag.contains(':') && !written.iter().any(|key| tag.starts_with(key)) {
            continue;
        }
        // What is watched goes on until its reader leaves.
        let told = &operation.told["responses"]["200"]["content"];
        if told.as_object().is_some_and(|kinds| kinds.keys().all(|kind| kind == "text/event-stream")) {
            continue;
        }
        // What changes something gets a company of its own, as one finds it after starting `causeway dev`.
        let answer = if operation.verb == "GET" {
            send_example(&quiet, &document, &operation).await
        } else {
            let (_emulator, fresh) = company().await;
            send_example(&fresh, &document, &operation).await
        };
        let id = operation.told["operationId"].as_str().unwrap();
        if answer.status == 200 {
            let sent = TELLING.iter().filter(|header| !answer.header(header).is_empty());
            untold.extend(sent.filter(|header| !tells(&operation, header)).map(|it| format!("{id}: {it}")));
            // The other way round: what is said to be put on record is.
            let recorded = !answer.header("Causeway-Operation").is_empty();
            assert_eq!(recorded, tells(&operation, "Causeway-Operation"), "{id}");
        }
        // What the gateway makes has an id that nobody knows beforehand.
        let unmade = answer.status == 404 && answer.text().contains("\"RESOURCE_NOT_FOUND\"");
        // A backup ends within a year, and a document does not know when it is read.
        let outdated = answer.status == 400 && answer.text().contains("expire_time");
        if answer.status != 200 && !unmade && !outdated && !REFUSED.iter().any(|method| id.ends_with(method))
        {
            refused.push(format!(
                "{} {}: {} {}",
                operation.verb,
                operation.path,
                answer.status,
                answer.text()
            ));
        }
    }
    assert_eq!((refused, untold), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn what_is_put_on_record_says_how_to_follow_it() {
    let document = kept();
    let mut found = Vec::new();
    for operation in operations(&document) {
        let id = operation.told["operationId"].as_str().unwrap();
        let keys = parameters(&document, &operation, "header").contains(&"Idempotency-Key");
        assert_eq!(tells(&operation, "Idempotency-Replayed"), keys, "{id}");
        if !operation.told["tags"][0].as_str().unwrap().contains(':') {
            continue;
        }
        let text = operation.told["description"].as_str().unwrap();
        assert_eq!(text.contains("`Causeway-Operation`"), tells(&operation, "Causeway-Operation"), "{id}");
        if tells(&operation, "Causeway-Operation") {
            assert!(
                keys && ["`:wait`", "`:watch`", "webhooks"].iter().all(|word| text.contains(word)),
                "{id}"
            );
            found.push(id);
        }
    }
    for id in ["datastream.Datastream.StartBackfillJob", "datastream.Datastream.CreateStream"] {
        assert!(found.contains(&id), "{id} is not among {found:?}");
    }
    assert!(!found.contains(&"datastream.Datastream.StopBackfillJob"), "{found:?}");
    for name in ["Conflict", "TooManyRequests", "ServiceUnavailable"] {
        let headers = &document["components"]["responses"][name]["headers"];
        assert!(headers["Retry-After"].is_object(), "{name}: {headers}");
    }
}

#[tokio::test]
async fn a_list_whose_pages_are_kept_says_so_and_no_other_does() {
    let (_emulator, gateway) = company().await;
    let document = kept();
    let mut found = 0;
    for operation in operations(&document) {
        let proxied = operation.told["tags"][0].as_str().unwrap().contains(':');
        if !proxied || operation.verb != "GET" {
            continue;
        }
        let id = operation.told["operationId"].as_str().unwrap();
        let (told, asked) = (tells(&operation, "ETag"), parameters(&document, &operation, "header"));
        assert_eq!(tells(&operation, "Cache-Status") && tells(&operation, "Age"), told, "{id}");
        assert_eq!(operation.told["responses"]["304"].is_object(), told, "{id}");
        for header in ["If-None-Match", "Cache-Control"] {
            assert_eq!(asked.contains(&header), told, "{id}: {header}");
        }
        let first = send_example(&gateway, &document, &operation).await;
        if first.status != 200 {
            continue;
        }
        let etag = first.header("etag").to_owned();
        // What is read across has a tag, whether or not its parts are kept.
        assert_eq!(told, !etag.is_empty() || tells(&operation, "Causeway-Unreachable"), "{id}");
        if etag.is_empty() {
            continue;
        }
        let (target, query) = spelled(&document, &operation, None);
        let target = format!("{target}?{}", query.join("&"));
        let again = gateway.send("GET", &target, &[("if-none-match", &etag)], "").await;
        assert_eq!((again.status.as_u16(), again.text().as_str()), (304, ""), "{id}");
        assert_eq!((again.header("etag"), again.header("age").is_empty()), (&*etag, false), "{id}");
        let fresh = gateway.send("GET", &target, &[("cache-control", "no-cache")], "").await;
        assert!(fresh.header("cache-status").contains("fwd=request"), "{id}: {:?}", fresh.headers);
        found += 1;
    }
    assert!(found >= 13, "{found}");
}

#[tokio::test]
async fn the_filter_of_events_is_told_as_it_is_understood() {
    let (_emulator, gateway) = company().await;
    let document = kept();
    let operations = operations(&document);
    let events = operations.iter().find(|it| it.told["operationId"] == "events.List").unwrap();
    let all = events.told["parameters"].as_array().unwrap();
    let filter = all.iter().find(|parameter| parameter["name"] == "filter").unwrap();
    let (target, _) = spelled(&document, events, None);
    // Every second part stands between backticks.
    let told: Vec<&str> = filter["description"].as_str().unwrap().split('`').skip(1).step_by(2).collect();
    assert!(told.len() > 1, "{told:?}");
    for text in told {
        let answer = gateway.get(&format!("{target}?filter={}", encoded(&text.into()))).await;
        assert_eq!(answer.status, 200, "{text}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_list_that_can_be_read_across_says_so_and_no_other_does() {
    let locations = ["upstreams.bigqueryconnection.locations=[\"eu\"]"];
    let (_emulator, gateway) = company_with(&locations).await;
    let document = kept();
    let mut found = BTreeSet::new();
    for operation in operations(&document) {
        let proxied = operation.told["tags"][0].as_str().unwrap().contains(':');
        let asks = parameters(&document, &operation, "query");
        if !proxied || operation.verb != "GET" || !asks.contains(&"pageToken") {
            continue;
        }
        let id = operation.told["operationId"].as_str().unwrap();
        let text = operation.told["description"].as_str().unwrap();
        let told =
            text.split("\n\n").find(|paragraph| paragraph.starts_with("A `-` for ")).unwrap_or_default();
        let header = operation.told.pointer("/responses/200/headers/Causeway-Unreachable");
        assert_eq!(header.is_some(), !told.is_empty(), "{id}");
        if let Some(header) = header {
            assert!(asks.contains(&"returnPartialSuccess") && asks.contains(&"pageSize"), "{id}: {asks:?}");
            let header = resolved(&document, header);
            assert!(header["description"].as_str().unwrap().contains("returnPartialSuccess"), "{header}");
        }
        for name in parameters(&document, &operation, "path") {
            let (target, _) = spelled(&document, &operation, Some(name));
            let answer = gateway.get(&format!("{target}?returnPartialSuccess=true&pageSize=1000")).await;
            let across = answer.header("cache-status").contains("detail=parts");
            assert_eq!(across, told.contains(&format!("`{{{name}}}`")), "{id} {target}: {}", answer.text());
            if across {
                assert_eq!(answer.status, 200, "{target}: {}", answer.text());
                found.insert(id);
            }
        }
    }
    assert!(found.len() >= 13, "{found:?}");
}

#[tokio::test]
async fn every_list_of_ours_refuses_a_token_that_is_not_its_own() {
    let (_emulator, gateway) = company().await;
    let document = kept();
    // One of ours, but for another list.
    let page = gateway.get("/v1/projects/acme-data/locations/-/streams?pageSize=1").await.json();
    let foreign = page["nextPageToken"].as_str().expect("there is more than one");
    let mut lists = 0;
    for operation in operations(&document) {
        let ours = !operation.told["tags"][0].as_str().unwrap().contains(':');
        if !ours || !parameters(&document, &operation, "query").contains(&"pageToken") {
            continue;
        }
        let (target, _) = spelled(&document, &operation, None);
        for token in [foreign, &foreign[1..], "AAAA", "%FF", "-"] {
            let refused = gateway.get(&format!("{target}?pageToken={token}")).await;
            // What is in a webhook endpoint that nobody made.
            if refused.status == 404 && target.ends_with("/deliveries") {
                continue;
            }
            assert_eq!(refused.status, 400, "{target} {token}: {}", refused.text());
            assert_eq!(refused.fields(), ["pageToken"], "{target} {token}: {}", refused.text());
        }
        lists += 1;
    }
    assert!(lists >= 6, "{lists}");
}

#[tokio::test]
async fn a_service_that_an_operator_adds_is_in_the_document() {
    let upstream = Scripted::start(|_| unreachable!("nothing is called")).await;
    let gateway = Gateway::library(&upstream).await;
    let document = gateway.get("/openapi.json").await.json();
    let item = &document["paths"]["/v1/shelves/{shelf}/books/{book}"];
    assert_eq!(item["get"]["operationId"], "library.Library.GetBook");
    assert_eq!(item["get"]["parameters"][1]["schema"]["pattern"], "^[^/]+$");
    let watch = &document["paths"]["/v1/shelves/{shelf}/books:watch"]["get"]["responses"]["200"]["content"];
    assert_eq!(watch["application/json"]["schema"]["type"], "array");
    assert!(watch["application/x-ndjson"].is_object() && watch["text/event-stream"].is_object());
    let book = &document["components"]["schemas"]["acme.v1.Book"]["properties"];
    assert_eq!((&book["pages"]["type"], &book["pages"]["format"]), (&"string".into(), &"int64".into()));
}

#[tokio::test]
async fn the_page_that_shows_it_loads_nothing_from_elsewhere() {
    let (_emulator, gateway) = company().await;
    let page = gateway.get("/docs").await;
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    let text = page.text();
    assert!(!text.contains("<script>") && !text.contains("://"), "{text}");
    let links = text.split(['"']).filter(|part| part.starts_with("docs/"));
    let mut loaded = 0;
    for link in links {
        let file = gateway.get(&format!("/{link}")).await;
        assert_eq!(file.status, 200, "{link}");
        assert_eq!(file.header("content-security-policy"), policy, "{link}");
        assert_eq!(file.header("x-content-type-options"), "nosniff", "{link}");
        loaded += 1;
    }
    assert!(loaded >= 5, "{text}");
    let start = gateway.get("/docs/swagger-initializer.js").await.text();
    assert!(start.contains("\"openapi.json\""), "{start}");
    gateway.get("/docs/oauth2-redirect.html").await.refused(404, "ROUTE_NOT_FOUND");
}

#[tokio::test]
async fn the_front_door_tells_people_what_is_up() {
    let (mut emulator, gateway) = company().await;
    let connections = "/v1/projects/acme-data/locations/eu/connections";
    assert_eq!(gateway.get(connections).await.status, 200);
    let html = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
    let page = gateway.send("GET", "/", &html, "").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for part in ["href=\"docs\"", "href=\"openapi.json\"", "href=\"readyz\"", "bigqueryconnection", ">up<"] {
        assert!(page.text().contains(part), "{part} is not in {}", page.text());
    }
    emulator.take_down(Upstream::BigQueryConnection).await;
    let fresh = [("cache-control", "no-cache")];
    assert_eq!(gateway.send("GET", connections, &fresh, "").await.status, 503);
    let page = gateway.send("GET", "/", &html, "").await.text();
    assert!(page.contains("class=\"down\""), "{page}");
    let about = gateway.get("/").await;
    assert_eq!((about.header("vary"), &about.json()["name"]), ("Accept", &"causeway".into()));
}
