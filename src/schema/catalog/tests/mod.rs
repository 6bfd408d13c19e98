//! What is known about the embedded upstreams, and what is said about wrong configurations.

mod claims;
mod known;

use std::time::Duration;

use super::{
    super::{Binding, Body, Effect, List, RouteTable, fixture},
    *,
};

fn spec(key: &str) -> UpstreamSpec<'_> {
    UpstreamSpec { key, services: Vec::new(), service_config: None, primary: false, configured: true }
}

/// An upstream of the service `pkg.Service`, with this YAML.
fn custom<'a>(key: &'a str, yaml: &str) -> UpstreamSpec<'a> {
    UpstreamSpec {
        services: vec!["pkg.Service".to_owned()],
        service_config: Some((format!("{key}.yaml"), yaml.to_owned())),
        ..spec(key)
    }
}

fn build(pool: Pool, specs: &[UpstreamSpec<'_>]) -> Catalog {
    Catalog::build(pool, specs).unwrap_or_else(|problems| panic!("{}", print(&problems)))
}

fn refused(pool: Pool, specs: &[UpstreamSpec<'_>]) -> String {
    match Catalog::build(pool, specs) {
        Err(problems) => print(&problems),
        Ok(_) => panic!("the catalog was built"),
    }
}

fn print(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn routes(catalog: &Catalog) -> RouteTable<(usize, usize)> {
    catalog
        .routes(|method, binding| (method, binding))
        .unwrap_or_else(|problems| panic!("{}", print(&problems)))
}

/// Prints a binding the way the table of published rules has it.
fn line(method: &Method, Binding { verb, template, body, response_body }: &Binding) -> String {
    let body = match body {
        Body::None => "-",
        Body::All => "*",
        Body::Field(name) => name,
    };
    format!("{}\t{verb}\t{template}\t{body}\t{}", method.full_name, response_body.as_deref().unwrap_or("-"))
}

fn builtins() -> Catalog {
    build(fixture::embedded(), &UpstreamSpec::with_builtins(Vec::new()))
}

const THINGS: &str = r#"
    message Thing { string name = 1; }
    message Request { string name = 1; int32 page_size = 2; string page_token = 3; google.protobuf.Int32Value number = 4; bytes raw = 5; repeated string many = 6; Thing thing = 7; map<string, string> labels = 8; }
    message Things { repeated Thing things = 1; string next_page_token = 2; repeated string unreachable = 3; }
    service Service {
      option (google.api.oauth_scopes) = "https://x/one,https://x/two";
      rpc ListThings(Request) returns (Things) { option (google.api.http) = { get: "/v1/{name=boxes/*}/things" }; }
      rpc GetThing(Request) returns (Thing) { option (google.api.http) = { get: "/v1/{name=boxes/*/things/*}" additional_bindings { get: "/v1/{thing.name=things/*}" } }; }
      rpc Peek(Request) returns (Thing) { option idempotency_level = NO_SIDE_EFFECTS; option (google.api.http) = { post: "/v1/{name=boxes/*}:peek" body: "thing" response_body: "name" }; }
      rpc Purge(Request) returns (google.longrunning.Operation) { option (google.api.http) = { custom: { kind: "PURGE" path: "/v1/boxes" } }; option (google.longrunning.operation_info) = { response_type: "Thing" metadata_type: "pkg.Things" }; }
      rpc Watch(Request) returns (stream Thing) { option (google.api.http) = { get: "/v1/{name=boxes/*}:watch" }; }
      rpc Push(stream Thing) returns (Thing) { option (google.api.http) = { post: "/v1/push" body: "*" }; }
      rpc Hidden(Request) returns (Thing);
    }"#;

fn things() -> Pool {
    fixture::pool_of(THINGS)
}

#[test]
fn any_service_with_annotations_is_served_as_it_is() {
    let catalog = build(things(), &[UpstreamSpec { service_config: None, ..custom("boxes", "") }]);
    let find = |rpc: &str| catalog.find("boxes", &format!("pkg.Service.{rpc}")).unwrap();
    assert_eq!(find("ListThings").list, Some(List { items: "things".to_owned(), unreachable: true }));
    assert_eq!(
        (&*find("ListThings").permission, find("ListThings").effect),
        ("boxes.things.list", Effect::ReadOnly)
    );
    assert_eq!(find("GetThing").bindings.len(), 2);
    assert_eq!((find("Peek").effect, &*find("Peek").permission), (Effect::ReadOnly, "boxes.boxes.peek"));
    assert_eq!(
        line(find("Peek"), &find("Peek").bindings[0]),
        "pkg.Service.Peek\tPOST\t/v1/{name=boxes/*}:peek\tthing\tname"
    );
    assert_eq!((find("Purge").effect, &*find("Purge").bindings[0].verb), (Effect::Mutation, "PURGE"));
    assert_eq!(find("Purge").long_running.as_ref().unwrap().response_type.as_deref(), Some("pkg.Thing"));
    assert!(find("Watch").server_streaming);
    assert_eq!(find("Watch").oauth_scopes, ["https://x/one", "https://x/two"]);
    assert_eq!(catalog.methods.len(), 5);
    let notes = catalog.notes.join("\n");
    assert!(
        notes.contains("pkg.Service.Push takes a stream") && notes.contains("pkg.Service.Hidden has no path"),
        "{notes}"
    );
}

#[test]
fn a_method_that_starts_operations_of_no_project_is_noted() {
    let noted = |path: &str| {
        let yaml = format!("http: {{ rules: [{{ selector: pkg.Service.Purge, post: '{path}' }}] }}");
        let catalog = build(things(), &[custom("boxes", &yaml)]);
        catalog.notes.iter().any(|note| {
            note.starts_with("upstreams.boxes: pkg.Service.Purge starts operations of no project")
        })
    };
    for path in ["/v1/{name=boxes/*}:purge", "/v1/boxes", "/v1/{name}:purge"] {
        assert!(noted(path), "{path}");
    }
    for path in ["/v1/{name=projects/*}:purge", "/v1/projects/{name}/boxes", "/v1/{name=**}:purge"] {
        assert!(!noted(path), "{path}");
    }
}

#[test]
fn a_head_changes_nothing() {
    let yaml = "http: { rules: [{ selector: pkg.Service.Purge, custom: { kind: PURGE, path: '/v1/{name=boxes/*}' } },
                                { selector: pkg.Service.GetThing, custom: { kind: HEAD, path: '/v1/{name=things/*}' } }] }";
    let catalog = build(things(), &[custom("boxes", yaml)]);
    let effect = |rpc: &str| catalog.find("boxes", &format!("pkg.Service.{rpc}")).unwrap().effect;
    assert_eq!((effect("GetThing"), effect("Purge")), (Effect::ReadOnly, Effect::Mutation));
}

#[test]
fn yaml_rules_replace_annotated_bindings_and_correct_facts() {
    let yaml = r"
apis: [{ name: pkg.Service }]
http:
  rules:
  - { selector: pkg.Service.GetThing, get: '/v2/{name=cupboards/*}' }
  - { selector: google.longrunning.Operations.GetOperation, get: '/v2/{name=operations/*}' }
publishing:
  method_settings: [{ selector: pkg.Service.Purge, long_running: { max_poll_delay: 9s } }]
causeway:
  rules:
  - { selector: pkg.Service.*, secret: thing.name }
  - { selector: pkg.Service.ListThings, list: false, collection: stuff, secret: [name], parts: { box: pkg.Service.ListThings } }
  - { selector: pkg.Service.Peek, read_only: false, permission: boxes.look }
";
    let catalog = build(things(), &[custom("boxes", yaml)]);
    let find = |name: &str| catalog.find("boxes", name).unwrap();
    let get = find("pkg.Service.GetThing");
    assert_eq!(
        get.bindings.iter().map(|binding| binding.template.to_string()).collect::<Vec<_>>(),
        ["/v2/{name=cupboards/*}"]
    );
    assert_eq!((&*get.permission, &*get.secret_fields[0]), ("boxes.cupboards.get", "thing.name"));
    let list = find("pkg.Service.ListThings");
    assert_eq!((&list.list, &*list.collection, &*list.permission), (&None, "stuff", "boxes.stuff.list"));
    assert_eq!(list.secret_fields, ["thing.name", "name"]);
    assert_eq!(list.parts["box"], Part::Method("pkg.Service.ListThings".to_owned()));
    assert_eq!(
        (find("pkg.Service.Peek").effect, &*find("pkg.Service.Peek").permission),
        (Effect::Mutation, "boxes.look")
    );
    let hints = find("pkg.Service.Purge").long_running.as_ref().unwrap().hints;
    assert_eq!(hints.max_poll_delay, Some(Duration::from_secs(9)));
    // The mixin is served because the YAML binds it, with the scopes of the host's own service.
    assert_eq!(find("google.longrunning.Operations.GetOperation").oauth_scopes.len(), 2);
    assert_eq!(catalog.oauth_scopes("boxes"), ["https://x/one", "https://x/two"]);
    assert!(catalog.oauth_scopes("nobody").is_empty());
}

#[test]
fn every_mistake_in_a_yaml_is_reported_with_the_way_out() {
    let yaml = r"
http:
  rules:
  - { selector: pkg.Service.GetThin, get: /v1/a }
  - { selector: pkg.Service.GetThing, get: '/v1/{nope}' }
  - selector: pkg.Service.ListThings
    get: '/v1/{thing}'
    additional_bindings:
    - { get: '/v1/{many}' }
    - { get: '/v1/{labels}' }
    - { get: '/v1/{name.inner}' }
    - { get: '/v1/{thing.name=a' }
    - { post: /v1/b, body: thing.name }
    - { post: /v1/c, body: nope }
    - { get: /v1/d, response_body: nope }
    - { get: '/v1/{number}/{raw}' }
    - { custom: { kind: 'NO VERB', path: /v1/e } }
causeway:
  rules:
  - { selector: pkg.Service.Peek, list: true, secret: nope }
  - { selector: other.*, read_only: true }
  - { selector: pkg.Service.Watch, parts: { box: pkg.Service.ListThing } }
  - { selector: pkg.Service.Peek, tells: thing.seen }
  - { selector: pkg.Service.Purge, tells: things.purged }
  - { selector: 'pkg.Service.*', derive_mask: true }
  - { selector: pkg.Service.Purge, derive_mask: true }
";
    let problems = refused(
        things(),
        &[
            custom("boxes", yaml),
            UpstreamSpec { services: vec!["pkg.Servic".to_owned()], ..spec("other") },
            spec("none"),
        ],
    );
    for words in [
        "boxes.yaml: line 4: the selector pkg.Service.GetThin matches no method of upstreams.boxes; did you mean pkg.Service.GetThing?",
        "pkg.Service.GetThing: GET /v1/{nope}: nope: pkg.Request has no field nope",
        "{thing}: thing: a message cannot be in a path",
        "{many}: many: a list or map cannot be in a path",
        "{labels}: labels: a list or map cannot be in a path",
        "name.inner: name is no single message",
        "at character 18: the variable is not closed",
        "body: thing.name takes a field of the message itself",
        "body: nope does not exist (pkg.Request)",
        "response_body: nope does not exist (pkg.Things)",
        "\"NO VERB\" is no HTTP method",
        "list: pkg.Thing has not one repeated field",
        "secret: nope: pkg.Request has no field nope",
        "tells: the method changes nothing",
        "tells: the method starts an operation, which tells by itself",
        "pkg.Service.Purge: derive_mask: the method is no PATCH with a mask (update_mask or field_mask)",
        "line 21: the selector other.* matches no method",
        "parts.box: there is no method pkg.Service.ListThing; did you mean pkg.Service.ListThings?",
        "upstreams.other.services: pkg.Servic is in none of the loaded descriptor sets; did you mean pkg.Service?",
        "upstreams.none.services: no service is named",
    ] {
        assert!(problems.contains(words), "{words:?} is not in\n{problems}");
    }
    assert!(!problems.contains("{number}"), "{problems}");
}

#[test]
fn a_broken_yaml_is_named_with_its_upstream() {
    let problems = refused(things(), &[custom("boxes", "causeway: { ruels: [] }")]);
    assert!(problems.starts_with("upstreams.boxes.service_config: boxes.yaml: "), "{problems}");
}

#[test]
fn secrets_are_found_at_any_depth_and_in_circles() {
    let pool = fixture::pool_of(
        r#"
        message Leaf { string password = 1; string plain = 2; bool has_secret = 3; string hidden = 4 [(google.api.field_behavior) = INPUT_ONLY]; }
        message Node { Node child = 1; Leaf leaf = 2; repeated Leaf leaves = 3; map<string, Leaf> named = 4; map<string, string> labels = 5; Clean clean = 6; }
        message Clean { Clean again = 1; string page_token = 2; }
        message Request { Node node = 1; string api_key = 2; google.protobuf.Struct anything = 3; }
        service Service { rpc Get(Request) returns (google.protobuf.Empty) { option (google.api.http) = { post: "/v1/x" body: "*" }; } }"#,
    );
    let catalog = build(pool, &[UpstreamSpec { service_config: None, ..custom("x", "") }]);
    assert_eq!(
        catalog.methods[0].secret_fields,
        [
            "node.child",
            "node.leaf.password",
            "node.leaf.hidden",
            "node.leaves.password",
            "node.leaves.hidden",
            "node.named.password",
            "node.named.hidden",
            "api_key",
        ]
    );
}
