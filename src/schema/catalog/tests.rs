//! What is known about the embedded upstreams, and what is said about wrong configurations.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

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

#[test]
fn the_known_upstreams_have_the_published_bindings() {
    let catalog = builtins();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut table = String::new();
    for method in &catalog.methods {
        for binding in &method.bindings {
            *count.entry(&method.upstream).or_default() += 1;
            writeln!(table, "{}", line(method, binding)).unwrap();
        }
    }
    // Eight of the connection service; 26 of Datastream, four of its operations, two of its locations; five of Flyte's
    // tasks, two of its connectors; 21 of Spanner's instances, 33 of its databases, four for each of six collections.
    assert_eq!(
        count,
        BTreeMap::from([("bigqueryconnection", 8), ("datastream", 32), ("flyte", 7), ("spanner", 78)]),
        "{table}"
    );
    for published in [
        "google.cloud.bigquery.connection.v1.ConnectionService.CreateConnection\tPOST\t/v1/{parent=projects/*/locations/*}/connections\tconnection\t-",
        "google.cloud.bigquery.connection.v1.ConnectionService.SetIamPolicy\tPOST\t/v1/{resource=projects/*/locations/*/connections/*}:setIamPolicy\t*\t-",
        "google.cloud.bigquery.connection.v1.ConnectionService.UpdateConnection\tPATCH\t/v1/{name=projects/*/locations/*/connections/*}\tconnection\t-",
        "google.cloud.datastream.v1.Datastream.UpdateConnectionProfile\tPATCH\t/v1/{connection_profile.name=projects/*/locations/*/connectionProfiles/*}\tconnection_profile\t-",
        "google.cloud.datastream.v1.Datastream.FetchStaticIps\tGET\t/v1/{name=projects/*/locations/*}:fetchStaticIps\t-\t-",
        "google.cloud.datastream.v1.Datastream.StartBackfillJob\tPOST\t/v1/{object=projects/*/locations/*/streams/*/objects/*}:startBackfillJob\t*\t-",
        "google.longrunning.Operations.CancelOperation\tPOST\t/v1/{name=projects/*/locations/*/operations/*}:cancel\t*\t-",
        "google.longrunning.Operations.ListOperations\tGET\t/v1/{name=projects/*/locations/*}/operations\t-\t-",
        "google.cloud.location.Locations.ListLocations\tGET\t/v1/{name=projects/*}/locations\t-\t-",
        "google.spanner.admin.instance.v1.InstanceAdmin.UpdateInstance\tPATCH\t/v1/{instance.name=projects/*/instances/*}\t*\t-",
        "google.spanner.admin.database.v1.DatabaseAdmin.UpdateDatabaseDdl\tPATCH\t/v1/{database=projects/*/instances/*/databases/*}/ddl\t*\t-",
        "google.longrunning.Operations.CancelOperation\tPOST\t/v1/{name=projects/*/instances/*/operations/*}:cancel\t-\t-",
        "google.longrunning.Operations.ListOperations\tGET\t/v1/{name=projects/*/instanceConfigs/*/ssdCaches/*/operations}\t-\t-",
        "flyteidl.service.AsyncAgentService.CreateTask\tPOST\t/api/v1/agent/task\t*\t-",
        "flyteidl.service.AsyncAgentService.DeleteTask\tDELETE\t/api/v1/agent/task_executions/{task_category.name}/{task_category.version}/{resource_meta}\t-\t-",
        "flyteidl.service.AgentMetadataService.GetAgent\tGET\t/api/v1/agent/{name}\t-\t-",
    ] {
        assert!(table.lines().any(|line| line == published), "{published} is not in\n{table}");
    }
    // The annotated paths of the mixins belong to nobody.
    assert!(!table.contains("{name=operations") && !table.contains("{name=locations"), "{table}");
}

#[test]
fn methods_of_the_known_upstreams_know_what_they_are() {
    let catalog = builtins();
    // upstream, service and rpc; effect, collection and permission, items of the list.
    let connections = "google.cloud.bigquery.connection.v1.ConnectionService";
    let datastream = "google.cloud.datastream.v1.Datastream";
    let operations = "google.longrunning.Operations";
    let (tasks, connectors) = ("flyteidl.service.AsyncAgentService", "flyteidl.service.AgentMetadataService");
    let (reads, changes) = (Effect::ReadOnly, Effect::Mutation);
    let table = [
        (
            connections,
            "ListConnections",
            reads,
            "connections",
            "bigqueryconnection.connections.list",
            Some("connections"),
        ),
        (
            connections,
            "UpdateConnection",
            changes,
            "connections",
            "bigqueryconnection.connections.update",
            None,
        ),
        (
            connections,
            "GetIamPolicy",
            reads,
            "connections",
            "bigqueryconnection.connections.getIamPolicy",
            None,
        ),
        (
            connections,
            "SetIamPolicy",
            changes,
            "connections",
            "bigqueryconnection.connections.setIamPolicy",
            None,
        ),
        (
            connections,
            "TestIamPermissions",
            reads,
            "connections",
            "bigqueryconnection.connections.testIamPermissions",
            None,
        ),
        (datastream, "LookupStreamObject", reads, "objects", "datastream.objects.lookup", None),
        (datastream, "StartBackfillJob", changes, "objects", "datastream.objects.startBackfillJob", None),
        (datastream, "RunStream", changes, "streams", "datastream.streams.run", None),
        (datastream, "CreateRoute", changes, "routes", "datastream.routes.create", None),
        (
            datastream,
            "FetchStaticIps",
            reads,
            "staticIps",
            "datastream.staticIps.fetchStaticIps",
            Some("static_ips"),
        ),
        (operations, "ListOperations", reads, "operations", "datastream.operations.list", Some("operations")),
        (operations, "CancelOperation", changes, "operations", "datastream.operations.cancel", None),
        (operations, "DeleteOperation", changes, "operations", "datastream.operations.delete", None),
        (tasks, "CreateTask", changes, "tasks", "flyte.raw", None),
        (tasks, "GetTask", reads, "tasks", "flyte.raw", None),
        (tasks, "DeleteTask", changes, "tasks", "flyte.raw", None),
        (tasks, "GetTaskLogs", reads, "tasks", "flyte.raw", None),
        (connectors, "ListAgents", reads, "agents", "flyte.agents.list", Some("agents")),
    ];
    for (service, rpc, effect, collection, permission, items) in table {
        let upstream = permission.split('.').next().unwrap();
        let name = format!("{service}.{rpc}");
        let method = catalog.find(upstream, &name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(method.effect, effect, "{name}");
        assert_eq!((&*method.collection, &*method.permission), (collection, permission), "{name}");
        assert_eq!(method.list.as_ref().map(|list| &*list.items), items, "{name}");
        assert_eq!((method.name(), &*method.grpc_path), (rpc, &*format!("/{service}/{rpc}")));
    }
}

#[test]
fn operations_secrets_masks_and_scopes_are_known() {
    let catalog = builtins();
    let find = |upstream: &str, name: &str| catalog.find(upstream, name).unwrap_or_else(|| panic!("{name}"));
    let create = find("datastream", "google.cloud.datastream.v1.Datastream.CreateConnectionProfile");
    let running = create.long_running.as_ref().unwrap();
    assert_eq!(running.response_type.as_deref(), Some("google.cloud.datastream.v1.ConnectionProfile"));
    assert_eq!(running.metadata_type.as_deref(), Some("google.cloud.datastream.v1.OperationMetadata"));
    assert_eq!(running.hints.initial_poll_delay, Some(Duration::from_secs(2)));
    assert!(create.request_id);
    let delete = find("datastream", "google.cloud.datastream.v1.Datastream.DeleteStream");
    assert_eq!(delete.long_running.as_ref().unwrap().response_type.as_deref(), Some("google.protobuf.Empty"));
    for path in [
        "connection_profile.oracle_profile.password",
        "connection_profile.postgresql_profile.secret_manager_stored_password",
        "connection_profile.mysql_profile.ssl_config.client_key",
        "connection_profile.forward_ssh_connectivity.private_key",
    ] {
        assert!(
            create.secret_fields.iter().any(|secret| secret == path),
            "{path}: {:?}",
            create.secret_fields
        );
    }
    let update =
        find("bigqueryconnection", "google.cloud.bigquery.connection.v1.ConnectionService.UpdateConnection");
    assert!(
        update.secret_fields.iter().any(|path| path == "connection.cloud_sql.credential"),
        "{:?}",
        update.secret_fields
    );
    assert!(!update.secret_fields.iter().any(|path| path.contains("has_credential")));
    let mask = update.update_mask.as_ref().unwrap();
    assert_eq!((&*mask.field, mask.required, mask.derive), ("update_mask", true, false));
    // Long-running methods: eleven of Datastream, thirteen of Spanner, none of them in the mixin.
    assert_eq!(catalog.methods.iter().filter(|method| method.long_running.is_some()).count(), 24);
    let get = find("datastream", "google.longrunning.Operations.GetOperation");
    assert_eq!(get.oauth_scopes, ["https://www.googleapis.com/auth/cloud-platform"]);
    assert_eq!(get.secret_fields, [""; 0]);
    let list = find("datastream", "google.longrunning.Operations.ListOperations");
    assert_eq!(list.list, Some(List { items: "operations".to_owned(), unreachable: true }));
    assert_eq!(list.cache.enabled, Some(false));
}

#[test]
fn every_binding_is_found_on_its_own_path_and_under_its_prefix() {
    let catalog = builtins();
    let table = routes(&catalog);
    for (at, method) in catalog.methods.iter().enumerate() {
        for (index, binding) in method.bindings.iter().enumerate() {
            let path = binding.template.shape().replace("**", "a/b").replace('*', "x");
            for path in [path.clone(), format!("/{}{path}", method.upstream)] {
                let found =
                    table.find(&binding.verb, &path).unwrap_or_else(|error| panic!("{path}: {error}"));
                assert_eq!(*found.target, (at, index), "{path}");
            }
        }
    }
    let error = table.find("PUT", "/v1/projects/p/locations/l/connections/c").unwrap_err();
    assert_eq!(error.allow(), Some("DELETE, GET, PATCH"));
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
fn two_upstreams_with_one_path_need_a_primary() {
    let build = |one: bool, two: bool| {
        let specs = [
            UpstreamSpec { primary: one, ..custom("one", "") },
            UpstreamSpec { primary: two, ..custom("two", "") },
        ];
        build(things(), &specs)
    };
    for (one, two) in [(false, false), (true, true)] {
        let problems = print(&build(one, two).routes(|method, _| method).unwrap_err());
        assert_eq!(problems.lines().count(), 1, "{problems}");
        for words in ["upstreams.one and upstreams.two", "GET /v1/boxes/*/things", "primary = true", "/one/…"]
        {
            assert!(problems.contains(words), "{words:?} is not in\n{problems}");
        }
    }
    let catalog = build(false, true);
    let table = catalog.routes(|method, _| &*catalog.methods[method].upstream).unwrap();
    let target = |path: &str| *table.find("GET", path).unwrap().target;
    assert_eq!(target("/v1/boxes/b/things"), "two");
    assert_eq!(target("/one/v1/boxes/b/things"), "one");
    assert_eq!(target("/two/v1/boxes/b/things"), "two");
}

#[test]
fn an_upstream_without_a_section_gives_way() {
    let specs = [UpstreamSpec { configured: false, primary: true, ..custom("zero", "") }, custom("one", "")];
    let catalog = build(things(), &specs);
    let table = catalog.routes(|method, _| &*catalog.methods[method].upstream).unwrap();
    let target = |path: &str| *table.find("GET", path).unwrap().target;
    assert_eq!(target("/v1/boxes/b/things"), "one");
    assert_eq!(target("/zero/v1/boxes/b/things"), "zero");
    let idle = build(things(), &specs[..1]);
    assert!(routes(&idle).find("GET", "/v1/boxes/b/things").is_ok());
}

#[test]
fn two_methods_of_one_upstream_cannot_share_a_path() {
    let yaml =
        "http: { rules: [{ selector: pkg.Service.GetThing, get: '/v1/{thing.name=boxes/*}/things' }] }";
    let problems = print(&build(things(), &[custom("boxes", yaml)]).routes(|_, _| ()).unwrap_err());
    assert_eq!(problems.lines().count(), 1, "{problems}");
    for words in ["pkg.Service.ListThings and pkg.Service.GetThing", "GET /v1/boxes/*/things"] {
        assert!(problems.contains(words), "{words:?} is not in\n{problems}");
    }
}

#[test]
fn own_endpoints_meet_the_proxied_ones_in_the_table() {
    let catalog = builtins();
    let mut table = routes(&catalog);
    let own = |template: &str| template.parse().unwrap();
    assert!(table.insert("GET", &own("/v1/{name=projects/*}:overview"), (0, 0)).is_ok());
    assert!(table.insert("GET", &own("/v1/projects/{project}/locations"), (0, 0)).is_err());
}

#[test]
fn a_key_that_cannot_be_in_a_path_is_refused() {
    let problems = print(&build(things(), &[custom("a/b", "")]).routes(|_, _| ()).unwrap_err());
    assert!(problems.contains("cannot be served under /a/b"), "{problems}");
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
