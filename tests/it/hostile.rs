//! Bytes and texts that are legal, or nearly, and made to hurt: what they cost is bounded, and what they say is read right.

use causeway::{
    error::Reason,
    schema::{EMBEDDED, Pool},
    transcode::{JsonOptions, Plan, Transcoder, UnknownFields},
};
use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, Scripted, library_file};

const BOOK: &str = "/v1/shelves/s/books/b";

fn plan(name: &str) -> Plan {
    let library = std::fs::read(library_file()).unwrap();
    let pool = Pool::load(&[EMBEDDED, ("library", &library)]).unwrap();
    Transcoder::new(&pool).message(name).unwrap()
}

/// A length-delimited field.
fn field(number: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

fn print(plan: &Plan, wire: &[u8], options: &JsonOptions<'_>) -> causeway::error::Result<Vec<u8>> {
    let mut out = Vec::new();
    plan.to_json(wire, options, &mut out).map(|_| out)
}

/// An upstream that returns the book it is given, and the gateway in front of it.
async fn library() -> (Scripted, Gateway) {
    let upstream =
        Scripted::start(|call| Answer::Message(call.request.get("book").cloned().unwrap_or(json!({})))).await;
    let gateway = Gateway::library(&upstream).await;
    (upstream, gateway)
}

#[test]
fn what_is_given_twice_on_every_level_is_read_twice_not_once_for_each_level() {
    const LEVELS: usize = 90;
    let mut wire = Vec::new();
    field(2, &vec![b'x'; 1 << 20], &mut wire);
    for _ in 0..LEVELS {
        let mut outer = Vec::new();
        field(2, b"first", &mut outer);
        field(9, &wire, &mut outer);
        field(2, b"last", &mut outer);
        wire = outer;
    }
    let json = print(&plan("acme.v1.Book"), &wire, &JsonOptions::default()).unwrap();
    let text = String::from_utf8(json).unwrap();
    assert_eq!(text.matches(r#""title":"last""#).count(), LEVELS);
    assert!(!text.contains("first"));
}

#[test]
fn pieces_of_pieces_are_refused_before_they_cost_much() {
    let mut wire = vec![0x12, 0];
    field(2, &vec![b'x'; 4 << 20], &mut wire);
    for _ in 0..90 {
        let mut outer = Vec::new();
        field(9, &wire, &mut outer);
        field(9, &[], &mut outer);
        wire = outer;
    }
    let error = print(&plan("acme.v1.Book"), &wire, &JsonOptions::default()).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::LimitExceeded), "{error}");
}

/// Either was refused, or shown by its bytes, for what its first piece alone would have been.
#[test]
fn a_message_in_pieces_is_judged_as_a_whole() {
    // A number of nanoseconds that no time has, and one that replaces it.
    let (mut times, mut metadata) = (Vec::new(), Vec::new());
    field(1, &[0x08, 0x01, 0x10, 0x80, 0xa8, 0xd6, 0xb9, 0x07], &mut times);
    field(1, &[0x10, 0x05], &mut times);
    field(2, &times, &mut metadata);
    let mut wire = Vec::new();
    field(2, &metadata, &mut wire);
    metadata.clear();
    field(1, b"type.googleapis.com/google.cloud.datastream.v1.OperationMetadata", &mut metadata);
    field(2, &metadata, &mut wire);
    let json = print(&plan("google.longrunning.Operation"), &wire, &JsonOptions::default()).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&json).unwrap(),
        json!({"metadata": {
            "@type": "type.googleapis.com/google.cloud.datastream.v1.OperationMetadata",
            "createTime": "1970-01-01T00:00:01.000000005Z",
        }})
    );
    // All of it is wrong, however it is looked at: the rest is shown all the same.
    let mut wire = vec![0x0a, 1, b'n'];
    field(2, &[0x0a, 5], &mut metadata);
    field(2, &metadata, &mut wire);
    let json = print(&plan("google.longrunning.Operation"), &wire, &JsonOptions::default()).unwrap();
    let shown: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&shown["name"], &shown["metadata"]["createTime"]), (&json!("n"), &Value::Null));
}

/// Its name was among those of types that nobody knows, and so were names from what was given up.
#[test]
fn damage_makes_no_known_type_unknown() {
    let any = |name: &str, value: &[u8]| {
        let mut any = Vec::new();
        field(1, format!("type.googleapis.com/{name}").as_bytes(), &mut any);
        field(2, value, &mut any);
        any
    };
    // A book with an extra of a type that nobody knows and, behind it, a title that is no text.
    let (mut damaged, mut sequel) = (Vec::new(), Vec::new());
    field(8, &any("no.Such", b""), &mut damaged);
    field(2, b"\xff", &mut sequel);
    field(9, &sequel, &mut damaged);
    let mut wire = Vec::new();
    field(8, &any("acme.v1.Book", &damaged), &mut wire);
    let mut out = Vec::new();
    let book = plan("acme.v1.Book");
    let printed = book.to_json(&wire, &JsonOptions::default(), &mut out).unwrap();
    assert!(printed.unknown_types.is_empty(), "{:?}", printed.unknown_types);
    let shown: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(shown["extra"]["@type"], "type.googleapis.com/acme.v1.Book");
    assert!(shown["extra"]["value"].is_string(), "{shown}");
    // What is shown beside it is told all the same.
    let mut sequel = Vec::new();
    field(8, &any("no.Other", b""), &mut sequel);
    field(9, &sequel, &mut wire);
    out.clear();
    let printed = book.to_json(&wire, &JsonOptions::default(), &mut out).unwrap();
    assert_eq!(printed.unknown_types, ["no.Other"]);
}

/// Each took a dozen times its bytes and more to look at as a whole.
#[test]
fn small_parts_out_of_order_are_refused_before_they_take_much_memory() {
    // A name given twice, or an empty key, and then what is smallest: entries of maps, and messages of a list.
    let twice = [0x2a, 1, b'a', 0x2a, 1, b'b'];
    for (name, first, part, count) in [
        ("google.cloud.datastream.v1.Stream", &[][..], [0x22, 0], 6 << 20),
        ("google.protobuf.Struct", &[], [0x0a, 0], 9 << 20),
        ("google.cloud.datastream.v1.Stream", &twice, [0x4a, 0], 17 << 20),
    ] {
        let wire = [first, &part.repeat(count)].concat();
        let error = print(&plan(name), &wire, &JsonOptions::default()).unwrap_err();
        assert_eq!(error.reason(), Some(Reason::LimitExceeded), "{name}: {error}");
        assert!(error.message().contains("small parts"), "{name}: {error}");
    }
}

#[test]
fn a_page_of_some_megabytes_is_shown_however_its_parts_are_mixed() {
    const PARTS: usize = 40_000;
    let entry = |key: &str, value: &str| {
        let mut entry = Vec::new();
        field(1, key.as_bytes(), &mut entry);
        field(2, value.as_bytes(), &mut entry);
        entry
    };
    let mut wire = Vec::new();
    for i in 0..PARTS {
        // A label of which half are given twice, and an error with details of its own between every two.
        field(4, &entry(&format!("label-{}", i % (PARTS / 2)), &format!("{i}")), &mut wire);
        let mut error = Vec::new();
        for detail in ["first", "second", "first"] {
            field(5, &entry(detail, &format!("{i}")), &mut error);
            field(1, b"reason", &mut error);
        }
        field(9, &error, &mut wire);
    }
    assert!(wire.len() > 3 << 20, "{}", wire.len());
    let stream = plan("google.cloud.datastream.v1.Stream");
    let shown: Value =
        serde_json::from_slice(&print(&stream, &wire, &JsonOptions::default()).unwrap()).unwrap();
    assert_eq!(shown["labels"].as_object().unwrap().len(), PARTS / 2);
    assert_eq!(shown["labels"]["label-7"], (PARTS / 2 + 7).to_string());
    assert_eq!(shown["errors"].as_array().unwrap().len(), PARTS);
    assert_eq!(shown["errors"][7]["details"], json!({"second": "7", "first": "7"}));
    // The smallest parts there are.
    let json = print(&stream, &[0x22, 0].repeat(1 << 20), &JsonOptions::default()).unwrap();
    assert_eq!(json, br#"{"labels":{"":""}}"#);
}

#[test]
fn few_bytes_do_not_become_endless_json() {
    // An empty book takes two bytes, and its defaults some sixty times as many.
    let wire = [0x0a, 0].repeat(1 << 20);
    let plan = plan("acme.v1.ListBooksResponse");
    let defaults = JsonOptions { defaults: true, ..JsonOptions::default() };
    let error = print(&plan, &wire, &defaults).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::LimitExceeded), "{error}");
    assert!(print(&plan, &wire, &JsonOptions::default()).is_ok());
}

#[test]
fn a_number_is_no_mask_and_no_timestamp() {
    for (name, texts) in [
        ("google.protobuf.FieldMask", ["5", "true", "{}", "[]"]),
        ("google.protobuf.Timestamp", ["5", "true", "{}", "[]"]),
        ("google.protobuf.Duration", ["5", "true", "{}", "[]"]),
    ] {
        for text in texts {
            let error = plan(name).to_wire(text.as_bytes(), UnknownFields::Reject).unwrap_err();
            assert!(matches!(error.reason(), Some(Reason::InvalidField)), "{name} {text}: {error}");
        }
    }
}

#[tokio::test]
async fn a_list_of_the_query_gives_way_to_the_same_list_in_the_body_and_to_nothing_else() {
    let (upstream, gateway) = library().await;
    for (body, authors) in [
        (r#"{"title":"Emma"}"#, json!(["query"])),
        (r#"{"authors":["body"]}"#, json!(["body"])),
        (r#"{"sequel":{"authors":["body"]}}"#, json!(["query"])),
    ] {
        let target = format!("{BOOK}?updateMask=title&book.authors=query");
        let response = gateway.send("PATCH", &target, &[], body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(upstream.last().request["book"]["authors"], authors, "{body}");
    }
    let nested = format!("{BOOK}?updateMask=title&book.sequel.authors=query");
    gateway.send("PATCH", &nested, &[], r#"{"sequel":{"authors":["body"]}}"#).await;
    assert_eq!(upstream.last().request["book"]["sequel"]["authors"], json!(["body"]));
}

#[tokio::test]
async fn an_error_repeats_little_of_what_it_was_sent() {
    let (upstream, gateway) = library().await;
    let long = "x".repeat(12 * 1024);
    let huge = "y".repeat(1 << 20);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let query = [("x-http-method-override", "GET"), form];
    for (verb, target, headers, body) in [
        ("POST", "/v1/shelves/s/books", &[("content-type", long.as_str())][..], "{}".to_owned()),
        ("POST", "/v1/shelves/s/books", &[], format!(r#"{{"{huge}":1}}"#)),
        ("POST", "/v1/shelves/s/books", &[], format!(r#"{{"genre":"{huge}"}}"#)),
        ("POST", "/v1/shelves/s/books", &[], format!(r#"{{"pages":"{huge}"}}"#)),
        ("POST", "/v1/shelves/s/books", &[], format!(r#"{{"pages":{}}}"#, "9".repeat(1 << 20))),
        ("POST", "/v1/shelves/s/books", &[], format!(r#"{{"extra":{{"@type":"{huge}"}}}}"#)),
        ("POST", BOOK, &query, format!("{huge}=1")),
        ("POST", BOOK, &query, format!("$alt={huge}")),
        ("POST", BOOK, &query, format!("$fields={huge}")),
        ("GET", &format!("{BOOK}?{long}=1"), &[], String::new()),
        ("GET", &format!("/v1/{long}"), &[], String::new()),
        ("POST", &format!("{BOOK}:{long}"), &[], String::new()),
    ] {
        let response = gateway.send(verb, target, headers, body).await;
        assert!(response.status.is_client_error(), "{}", response.status);
        let bytes =
            response.body.len() + response.headers.values().map(http::HeaderValue::len).sum::<usize>();
        let target = &target[..target.len().min(40)];
        assert!(bytes < 3072, "{verb} {target}: {bytes} bytes: {:.300}", response.text());
        let _: Value = response.json();
    }
    assert!(upstream.calls().is_empty());
}
