//! What is said of services that an operator adds, held against what the gateway takes and gives.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::{Value, json};

use super::document;
use crate::{
    error::Result,
    schema::{Binding, Catalog, EMBEDDED, FieldPath, Method, Pool, UpstreamSpec, fixture},
    transcode::{Transcoder, UnknownFields},
};

const IMPORTS: &str = r#"
    import "google/api/annotations.proto"; import "google/api/field_behavior.proto"; import "google/api/httpbody.proto";
    import "google/protobuf/any.proto"; import "google/protobuf/empty.proto"; import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto"; import "google/rpc/status.proto";
"#;

/// Serves `Service` of one proto3 file.
fn served(package: &str, body: &str) -> Catalog {
    served_with(package, "", body, &[])
}

/// The same with more imports, and the files that they name.
fn served_with(package: &str, imports: &str, body: &str, others: &[(&str, &str)]) -> Catalog {
    let text = format!("syntax = \"proto3\"; package {package}; {IMPORTS} {imports} {body}");
    let files: Vec<(&str, &str)> = others.iter().copied().chain([("own.proto", &*text)]).collect();
    let set = fixture::compile(&files);
    let pool = Pool::load(&[EMBEDDED, ("own.binpb", &set)]).unwrap_or_else(|error| panic!("{error}"));
    let spec = UpstreamSpec {
        key: "own",
        services: vec![format!("{package}.Service")],
        service_config: None,
        primary: false,
        configured: true,
    };
    Catalog::build(pool, &[spec]).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn told(catalog: &Catalog) -> Value {
    serde_json::to_value(document(catalog)).unwrap()
}

/// Returns one operation.
fn operation<'d>(document: &'d Value, verb: &str, path: &str) -> &'d Value {
    let operation = &document["paths"][path][verb];
    assert!(operation.is_object(), "{verb} {path} is not among {:?}", document["paths"]);
    operation
}

/// Lists the parameters that an operation has in a place, without those that all have.
fn parameters<'o>(operation: &'o Value, place: &str) -> Vec<&'o Value> {
    let all = operation["parameters"].as_array().unwrap();
    all.iter().filter(|parameter| parameter["in"] == place).collect()
}

fn names<'o>(operation: &'o Value, place: &str) -> Vec<&'o str> {
    parameters(operation, place).iter().map(|parameter| parameter["name"].as_str().unwrap()).collect()
}

fn properties(schema: &Value) -> Vec<&str> {
    let properties: BTreeSet<&str> =
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    properties.into_iter().collect()
}

/// Follows a reference into the schemas.
fn schema<'d>(document: &'d Value, reference: &'d Value) -> &'d Value {
    match reference["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect(name),
        None => reference,
    }
}

/// Binds a request as the gateway does.
fn bound(
    catalog: &Catalog,
    method: &Method,
    binding: &Binding,
    captures: &[&str],
    query: &str,
) -> Result<Vec<u8>> {
    let variables: Vec<&str> = binding.template.variables().iter().map(FieldPath::as_str).collect();
    let plan = Transcoder::new(&catalog.pool).request(method.input, &variables, &binding.body)?;
    let captures: Vec<Cow<'_, str>> = captures.iter().map(|text| Cow::Borrowed(*text)).collect();
    let query = plan.query(query)?;
    plan.to_wire(&captures, &query, b"", UnknownFields::Reject).map(|parsed| parsed.bytes)
}

/// Sends each query parameter of the first method by itself, as it is told.
fn send_each(catalog: &Catalog, operation: &Value, text: impl Fn(&Value) -> String) {
    let method = &catalog.methods[0];
    for parameter in parameters(operation, "query") {
        let name = parameter["name"].as_str().unwrap();
        let query = format!("{}={}", encoded(name), encoded(&text(parameter)));
        let bytes = bound(catalog, method, &method.bindings[0], &[], &query)
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        assert!(!bytes.is_empty(), "{query} says something to the upstream");
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn query_parameters_have_the_names_that_the_gateway_takes() {
    let catalog = served(
        "shop.v1",
        r#"
        message Find {
          string text_query = 1 [json_name = "q"]; Inner inner_part = 2 [json_name = "in"]; int32 page_size = 3;
          string dotted = 4 [json_name = "a.b"]; string fields = 5; string dear_key = 6 [json_name = "$key"];
        }
        message Inner { string some_text = 1 [json_name = "t"]; }
        service Service { rpc Search(Find) returns (Inner) { option (google.api.http) = { get: "/v1/search" }; } }"#,
    );
    let document = told(&catalog);
    let search = operation(&document, "get", "/v1/search");
    assert_eq!(names(search, "query"), ["q", "in.t", "pageSize", "dotted", "fields", "dear_key"]);
    send_each(&catalog, search, |_| "1".to_owned());
}

#[test]
fn what_no_query_can_carry_is_no_parameter() {
    let old = r#"syntax = "proto2"; package old; message Old { optional string plain = 1; extensions 100 to 200; }
        extend Old { optional string more = 100; }"#;
    let catalog = served_with(
        "shop.v1",
        r#"import "old.proto";"#,
        r#"
        message Find {
          google.protobuf.Any hint = 1; repeated google.protobuf.Any hints = 2; google.api.HttpBody file = 3;
          google.protobuf.Empty nothing = 4; old.Old old = 5; google.protobuf.Struct tags = 6;
          google.protobuf.Value value = 7; google.protobuf.ListValue list = 8; google.protobuf.NullValue none = 9;
          repeated google.protobuf.Struct many = 10; google.protobuf.Timestamp after = 11;
          google.protobuf.Struct must = 12 [(google.api.field_behavior) = REQUIRED];
          google.protobuf.BoolValue wrapped = 13; repeated google.protobuf.NullValue nones = 14;
        }
        service Service { rpc Search(Find) returns (Find) { option (google.api.http) = { get: "/v1/search" }; } }"#,
        &[("old.proto", old)],
    );
    let document = told(&catalog);
    let search = operation(&document, "get", "/v1/search");
    let expected =
        ["old.plain", "tags", "value", "list", "none", "many", "after", "must", "wrapped", "nones"];
    assert_eq!(names(search, "query"), expected);
    // As a client sends what the schema has: a string as it is, the one value of an enum, a time.
    send_each(&catalog, search, |parameter| {
        let item = &parameter["schema"]["items"];
        let schema = if item.is_object() { item } else { &parameter["schema"] };
        let text = match (schema["contentMediaType"].as_str(), schema["format"].as_str()) {
            (Some("application/json"), _) if parameter["name"] == "list" => "[1, \"b\"]",
            (Some("application/json"), _) => "{\"a\": [1, null]}",
            (_, Some("date-time")) => "2026-05-04T08:30:00Z",
            _ => schema["enum"][0].as_str().unwrap_or("true"),
        };
        assert_eq!(
            schema["type"],
            if text == "true" && parameter["name"] == "wrapped" { "boolean" } else { "string" }
        );
        text.to_owned()
    });
    let must = parameters(search, "query").into_iter().find(|parameter| parameter["name"] == "must").unwrap();
    assert_eq!(must["example"], json!("{\"key\":\"value\"}"), "{must}");
    let told = must["description"].as_str().unwrap_or_default();
    assert!(told.contains("JSON"), "{must}");
}

#[test]
fn a_generated_name_is_never_that_of_a_message() {
    let catalog = served(
        "shop.v1",
        r#"
        message Item { string name = 1; string title = 2 [(google.api.field_behavior) = REQUIRED]; }
        message ItemBody { bool third = 1; }
        message ItemInput { int64 other = 1; }
        message Put { Item item = 1; }
        service Service {
          rpc Make(Item) returns (ItemBody) { option (google.api.http) = { post: "/v1/{name=items/*}" body: "*" }; }
          rpc Put_(Put) returns (ItemInput) { option (google.api.http) = { post: "/v1/put" body: "item" }; }
        }"#,
    );
    let document = told(&catalog);
    let content = |place: &'static str| format!("{place}/content/application~1json/schema");
    let (sent, answered) = (content("/requestBody"), content("/responses/200"));
    let make = operation(&document, "post", "/v1/items/{item}");
    let put = operation(&document, "post", "/v1/put");
    for (told, place, expected) in [
        (make, &sent, &["title"][..]),
        (make, &answered, &["third"]),
        (put, &sent, &["name", "title"]),
        (put, &answered, &["other"]),
    ] {
        assert_eq!(properties(schema(&document, told.pointer(place).unwrap())), expected);
    }
    assert_eq!(make.pointer(&answered).unwrap()["$ref"], "#/components/schemas/shop.v1.ItemBody");
}

#[test]
fn one_message_sent_in_two_ways_is_told_in_both() {
    let catalog = served(
        "shop.v1",
        r#"
        message Item { string name = 1; string title = 2 [(google.api.field_behavior) = REQUIRED]; }
        service Service {
          rpc Make(Item) returns (Item) { option (google.api.http) = { post: "/v1/{name=items/*}" body: "*" }; }
          rpc Change(Item) returns (Item) { option (google.api.http) = { patch: "/v1/{name=items/*}" body: "*" }; }
        }"#,
    );
    let document = told(&catalog);
    for (verb, required) in [("post", json!(["title"])), ("patch", Value::Null)] {
        let told = operation(&document, verb, "/v1/items/{item}");
        let sent = told.pointer("/requestBody/content/application~1json/schema").unwrap();
        assert_eq!(schema(&document, sent)["required"], required, "{verb}");
    }
}

#[test]
fn a_message_that_is_called_like_one_of_ours_has_a_name_of_its_own() {
    let before = told(&served(
        "shop.v1",
        "message A {} service Service { rpc Do(A) returns (A) { option (google.api.http) = { get: \"/v1/a\" }; } }",
    ));
    for (package, name) in [
        ("audit", "Entry"),
        ("keys", "ApiKey"),
        ("operations", "Operation"),
        ("protobuf", "Any"),
        ("rpc", "Status"),
    ] {
        let catalog = served(
            package,
            &format!(
                r#"
                message {name} {{ string mine = 1; google.rpc.Status status = 2; }}
                service Service {{ rpc Do({name}) returns ({name}) {{ option (google.api.http) = {{ get: "/v1/do" }}; }} }}"#
            ),
        );
        let document = told(&catalog);
        let answered =
            operation(&document, "get", "/v1/do").pointer("/responses/200/content/application~1json/schema");
        let own = schema(&document, answered.unwrap());
        assert_eq!(properties(own), ["mine", "status"], "{package}");
        let status = schema(&document, &own["properties"]["status"]);
        assert_eq!(properties(status), ["code", "details", "message"], "{package}");
        let short = format!("{package}.{name}");
        assert_ne!(answered.unwrap()["$ref"], json!(format!("#/components/schemas/{short}")));
        let ours = &before["components"]["schemas"][&short];
        // One that a document needs only here is there only here.
        if !ours.is_null() {
            assert_eq!(&document["components"]["schemas"][&short], ours, "{package}");
        }
    }
}

#[test]
fn a_recursive_message_hides_none_of_the_fields_behind_it() {
    let fields: String = (3..40).map(|number| format!("string s{number} = {number};")).collect();
    let catalog = served(
        "shop.v1",
        &format!(
            r#"
            message Deep {{ Deep l = 1; Deep r = 2; {fields} }}
            message Few {{ Few few = 1; string text = 2; }}
            message Plain {{ Pair pair = 1; string text = 2; }} message Pair {{ string one = 1; string two = 2; }}
            message Find {{ Deep deep = 1; int32 last = 2; Pair pair = 3; }}
            service Service {{
              rpc Search(Find) returns (Find) {{ option (google.api.http) = {{ get: "/v1/search" }}; }}
              rpc Peel(Few) returns (Find) {{ option (google.api.http) = {{ get: "/v1/peel" }}; }}
              rpc Look(Plain) returns (Find) {{ option (google.api.http) = {{ get: "/v1/look" }}; }}
            }}"#
        ),
    );
    let document = told(&catalog);
    let search = operation(&document, "get", "/v1/search");
    let names_of_search = names(search, "query");
    assert_eq!(names_of_search.len(), super::parameters::QUERY_PARAMETERS_MAX);
    for name in ["last", "pair.two", "deep.s39", "deep.l.s39", "deep.r.s3"] {
        assert!(names_of_search.contains(&name), "{name} is not among {names_of_search:?}");
    }
    // In the order of the fields.
    assert_eq!(names_of_search[0], "deep.l.s3");
    assert_eq!(names_of_search[97..], ["last", "pair.one", "pair.two"]);
    let description = |operation: &Value| operation["description"].as_str().unwrap().to_owned();
    assert!(description(search).contains("more fields of `shop.v1.Find`"), "{}", description(search));
    let peel = operation(&document, "get", "/v1/peel");
    assert_eq!(names(peel, "query"), ["few.few.text", "few.text", "text"]);
    assert!(description(peel).contains("more fields of `shop.v1.Few`"), "{}", description(peel));
    let look = operation(&document, "get", "/v1/look");
    assert_eq!(names(look, "query"), ["pair.one", "pair.two", "text"]);
    assert!(!description(look).contains("more fields"), "{}", description(look));
}

#[test]
fn a_map_as_a_body_is_an_object() {
    let catalog = served(
        "shop.v1",
        r#"
        message Item { string title = 1; }
        message Stock { map<string, Item> items = 1; repeated Item list = 2; }
        service Service {
          rpc Fill(Stock) returns (Item) {
            option (google.api.http) = { post: "/v1/items" body: "items" additional_bindings { post: "/v1/list" body: "list" } };
          }
        }"#,
    );
    let document = told(&catalog);
    let sent =
        |path: &str| operation(&document, "post", path)["requestBody"]["content"]["application/json"].clone();
    let (map, list) = (sent("/v1/items"), sent("/v1/list"));
    let item = json!({"$ref": "#/components/schemas/shop.v1.Item"});
    assert_eq!(map["schema"], json!({"type": "object", "additionalProperties": item}));
    assert!(map["example"].is_object(), "{map}");
    assert_eq!(list["schema"], json!({"type": "array", "items": item}));
}

#[test]
fn a_stream_of_bytes_is_told_as_bytes() {
    let catalog = served(
        "shop.v1",
        r#"
        message Item { string title = 1; google.api.HttpBody file = 2; repeated google.api.HttpBody files = 3; }
        service Service {
          rpc Feed(Item) returns (stream google.api.HttpBody) { option (google.api.http) = { get: "/v1/feed" }; }
          rpc Files(Item) returns (stream Item) {
            option (google.api.http) = { get: "/v1/files" response_body: "file" additional_bindings { get: "/v1/items" } };
          }
        }"#,
    );
    let document = told(&catalog);
    for (path, raw) in [("/v1/feed", true), ("/v1/files", true), ("/v1/items", false)] {
        let told = operation(&document, "get", path);
        let text = told["description"].as_str().unwrap();
        assert_eq!((text.contains("JSON array"), text.contains("bytes")), (!raw, raw), "{path}: {text}");
        let kinds: Vec<&str> =
            told["responses"]["200"]["content"].as_object().unwrap().keys().map(String::as_str).collect();
        let printed = ["application/json", "application/x-ndjson", "text/event-stream"];
        assert_eq!(kinds, if raw { &["*/*"][..] } else { &printed }, "{path}");
    }
}

#[test]
fn an_example_in_a_path_is_of_the_type_that_the_path_takes() {
    let catalog = served(
        "shop.v1",
        r#"
        enum Color { COLOR_UNSPECIFIED = 0; RED = 1; }
        message Types {
          int32 i32 = 1; uint64 u64 = 2; Color color = 3; bool on = 4; bytes blob = 5; double ratio = 6; string text = 7;
          google.protobuf.Int64Value wrapped = 8; google.protobuf.NullValue none = 9; google.protobuf.BytesValue raw = 10;
          float f = 11; google.protobuf.BoolValue maybe = 12;
        }
        service Service {
          rpc Get(Types) returns (Types) {
            option (google.api.http) = {
              get: "/v1/i32/{i32}" additional_bindings { get: "/v1/u64/{u64}" } additional_bindings { get: "/v1/color/{color}" }
              additional_bindings { get: "/v1/on/{on}" } additional_bindings { get: "/v1/blob/{blob}" }
              additional_bindings { get: "/v1/ratio/{ratio}" } additional_bindings { get: "/v1/text/{text}" }
              additional_bindings { get: "/v1/wrapped/{wrapped}" } additional_bindings { get: "/v1/none/{none}" }
              additional_bindings { get: "/v1/raw/{raw}" } additional_bindings { get: "/v1/f/{f=**}" }
              additional_bindings { get: "/v1/maybe/{maybe}" }
            };
          }
        }"#,
    );
    let document = told(&catalog);
    let method = &catalog.methods[0];
    for binding in &method.bindings {
        let path = binding.template.to_string().replace("=**", "");
        let parameter = parameters(operation(&document, "get", &path), "path")[0];
        let example = match &parameter["example"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        bound(&catalog, method, binding, &[&example], "").unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_ne!(parameter["schema"]["type"], "null", "{path}");
    }
    let text = parameters(operation(&document, "get", "/v1/text/{text}"), "path")[0];
    assert_eq!(text["example"], "my-text");
}

#[test]
fn only_what_is_not_returned_is_said_not_to_be() {
    let catalog = served(
        "shop.v1",
        r#"
        message Item {
          string name = 1; string pin = 2 [(google.api.field_behavior) = INPUT_ONLY]; Item parent_item = 3; string api_key = 4 [json_name = "key"];
        }
        service Service { rpc Put(Item) returns (Item) { option (google.api.http) = { post: "/v1/items" body: "*" }; } }"#,
    );
    let document = told(&catalog);
    let text = operation(&document, "post", "/v1/items")["description"].as_str().unwrap();
    let lines: Vec<&str> = text.split("\n\n").filter(|line| line.starts_with("Never")).collect();
    assert_eq!(lines, ["Never returned or logged: `pin`.", "Never logged: `parentItem` and `key`."]);
}
