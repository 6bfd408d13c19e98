//! Every binding × every role × (own project, another's): made from the catalog, so that a binding that is added is
//! tested, and one whose answer nobody thought about fails.

use std::collections::BTreeMap;

use causeway::{
    app,
    config::{Config, Sources},
    model::Role,
    schema::{Binding, Effect, Method, Segment},
};
use serde_json::json;

use crate::harness::{Answer, Gateway, Keyring, Scripted};

/// What each verb of a permission takes, beyond what follows from whether the method changes anything. This list is the
/// review: a permission with a new verb that changes something is not in it, and fails until somebody has decided.
const CHANGING: &[(&str, Role)] = &[
    ("cancel", Role::Operator),
    ("stop", Role::Operator),
    ("run", Role::Operator),
    ("startBackfillJob", Role::Operator),
    ("stopBackfillJob", Role::Operator),
    ("create", Role::Editor),
    ("update", Role::Editor),
    ("delete", Role::Editor),
    ("setIamPolicy", Role::Admin),
    ("raw", Role::Admin),
];

/// Further verbs of upstreams that change something: all for editors.
const FURTHER: &[&str] = &["copy", "restore", "addSplitPoints", "move", "updateDdl"];

fn expected(method: &Method) -> Role {
    let verb = method.permission.rsplit('.').next().unwrap();
    let known = CHANGING.iter().find(|(known, _)| *known == verb);
    match (known, method.effect) {
        (Some((_, Role::Admin)), _) => Role::Admin,
        (_, Effect::ReadOnly) => Role::Viewer,
        (Some((_, role)), Effect::Mutation) => *role,
        (None, Effect::Mutation) => Role::Editor,
    }
}

/// Writes a path that the binding takes, on this project.
fn path(method: &Method, binding: &Binding, project: &str) -> String {
    let mut path = format!("/{}", method.upstream);
    let mut before = String::new();
    for segment in binding.template.segments() {
        let text = match segment {
            Segment::Literal(text) => text.to_string(),
            Segment::Any if before == "projects" => project.to_owned(),
            Segment::Any => "x".to_owned(),
            Segment::AnyDepth if before == "v1" || before == "v1beta1" => format!("projects/{project}/x/y"),
            Segment::AnyDepth => "x".to_owned(),
        };
        path.push('/');
        path.push_str(&text);
        before = text;
    }
    if let Some(verb) = binding.template.custom_verb() {
        path.push_str(&format!(":{verb}"));
    }
    path
}

#[tokio::test]
async fn every_binding_is_open_to_the_right_roles_and_on_their_own_projects_only() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let mut settings = ring.settings().to_vec();
    let first = Config::load(Sources { set: settings.clone(), ..Sources::default() });
    let catalog = app::catalog(&first.into_config().unwrap()).unwrap();
    let mut keys: Vec<String> = catalog.methods.iter().map(|method| method.upstream.to_string()).collect();
    keys.dedup();
    settings.extend(keys.iter().map(|key| format!("upstreams.{key}.endpoint=http://{}", upstream.address)));
    let gateway = Gateway::start(&settings).await;
    let mut callers = BTreeMap::new();
    for role in Role::ALL {
        let (_, on_own) = ring.make(role.name(), role, &["projects/own-*"]).await;
        let (_, on_all) = ring.make(&format!("all-{}", role.name()), role, &["*"]).await;
        callers.insert(role, (on_own, on_all));
    }
    let mut connection = gateway.connect().await;
    let (mut rows, mut bindings) = (0, 0);
    let undecided: Vec<&str> = catalog
        .methods
        .iter()
        .filter(|method| method.effect == Effect::Mutation)
        .map(|method| method.permission.as_str())
        .filter(|permission| {
            let verb = permission.rsplit('.').next().unwrap();
            !CHANGING.iter().any(|(known, _)| *known == verb) && !FURTHER.contains(&verb)
        })
        .collect();
    assert_eq!(undecided, Vec::<&str>::new(), "decide who may, and say so above");
    for method in &catalog.methods {
        let needed = expected(method);
        for binding in &method.bindings {
            bindings += 1;
            let verb = if binding.verb == "*" { "GET" } else { &binding.verb };
            let in_project = path(method, binding, "own-1").contains("projects/own-1");
            for (role, (on_own, on_all)) in &callers {
                for (key, project, granted) in [
                    (on_own, "own-1", in_project),
                    (on_own, "others", false),
                    (on_own, "-", false),
                    (on_all, "others", true),
                ] {
                    let allowed = granted && *role >= needed;
                    let target = path(method, binding, project);
                    let headers = [("x-goog-api-key", key.as_str())];
                    let response = connection.send(verb, &target, &headers, "").await;
                    let row = format!("{} {verb} {target} as {}", method.permission, role.name());
                    match allowed {
                        true => assert!(
                            !matches!(response.status.as_u16(), 401 | 403 | 404 | 405),
                            "{row}: {}",
                            response.text()
                        ),
                        false => drop(response.refused(403, "PERMISSION_DENIED")),
                    }
                    rows += 1;
                }
            }
            let target = path(method, binding, "own-1");
            connection.send(verb, &target, &[], "").await.refused(401, "UNAUTHENTICATED");
        }
    }
    println!("{bindings} bindings, {rows} rows");
    assert!(bindings >= 40, "{bindings}");
}

#[tokio::test]
async fn what_is_refused_is_refused_before_anything_is_looked_at() {
    let upstream = Scripted::start(|_| Answer::Refuse(5, "not found", Vec::new())).await;
    let ring = Keyring::new().await;
    let settings = ring.settings();
    let gateway = Gateway::library_with(&upstream, &[&settings[0], &settings[1]]).await;
    let (_, key) = ring.make("alice", Role::Editor, &["shelves/mine"]).await;
    let send = async |verb: &str, target: &str, body: &str| {
        gateway.send(verb, target, &[("x-goog-api-key", &key)], body.to_owned()).await
    };
    // Neither the body, nor the query, nor the upstream is asked.
    for target in [
        "/v1/shelves/other/books",
        "/v1/shelves/-/books",
        "/v1/shelves/mine%2Fx/books",
        "/v1/shelves/MINE/books",
    ] {
        send("POST", target, "{ not json").await.refused(403, "PERMISSION_DENIED");
        send("GET", &format!("{target}?no=such"), "").await.refused(403, "PERMISSION_DENIED");
    }
    assert!(upstream.calls().is_empty());
    assert_eq!(send("GET", "/v1/shelves/mine/books/b", "").await.status, 404);
    // What is sent is the name that was checked.
    assert_eq!(send("GET", "/v1/shelves/%6Dine/books/b", "").await.status, 404);
    assert_eq!(upstream.last().request["name"], "shelves/mine/books/b");
    // A verb or a body cannot change what is checked.
    let patch = r#"{"name": "shelves/other/books/b", "title": "x"}"#;
    assert_eq!(send("PATCH", "/v1/shelves/mine/books/b?updateMask=title", patch).await.status, 404);
    assert_eq!(upstream.last().request["book"]["name"], "shelves/mine/books/b");
    let moved = gateway
        .send("POST", "/v1/shelves/other/books/b?$httpMethod=DELETE", &[("x-goog-api-key", &key)], "")
        .await;
    moved.refused(403, "PERMISSION_DENIED");
}

#[tokio::test]
async fn the_configuration_grants_too() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let settings = ring.settings();
    let grants = r#"identity.grants=[{ principal = "ali*", role = "editor", resources = ["shelves/more"] }]"#;
    let gateway = Gateway::library_with(&upstream, &[&settings[0], &settings[1], grants]).await;
    let (_, key) = ring.make("alice", Role::Viewer, &["shelves/mine"]).await;
    let status = async |verb: &str, target: &str| {
        gateway.send(verb, target, &[("x-goog-api-key", &key)], "").await.status.as_u16()
    };
    assert_eq!(status("DELETE", "/v1/shelves/mine/books/b").await, 403);
    assert_eq!(status("DELETE", "/v1/shelves/more/books/b").await, 200);
}

/// Who may use the gateway's own endpoints; `None` is everybody. One that is described and not here fails.
const OWN: &[(&str, &str, Option<Role>)] = &[
    ("get", "/", None),
    ("get", "/docs", None),
    ("get", "/docs/{file}", None),
    ("get", "/healthz", None),
    ("get", "/metrics", Some(Role::Viewer)),
    ("get", "/openapi.json", None),
    ("get", "/readyz", None),
    ("get", "/v1/apiKeys", Some(Role::Admin)),
    ("post", "/v1/apiKeys", Some(Role::Admin)),
    ("get", "/v1/apiKeys/{key}", Some(Role::Admin)),
    ("delete", "/v1/apiKeys/{key}", Some(Role::Admin)),
    ("get", "/v1/auditEntries", Some(Role::Admin)),
    ("get", "/v1/auditEntries/{auditEntry}", Some(Role::Admin)),
    ("get", "/v1/auditEntries:export", Some(Role::Admin)),
    ("get", "/v1/projects/{project}/auditEntries", Some(Role::Admin)),
    ("get", "/v1/projects/{project}/auditEntries/{auditEntry}", Some(Role::Admin)),
    ("get", "/v1/projects/{project}/auditEntries:export", Some(Role::Admin)),
    ("get", "/v1/operations", Some(Role::Viewer)),
    ("get", "/v1/operations:watch", Some(Role::Viewer)),
    ("post", "/v1/operations:track", Some(Role::Editor)),
    ("get", "/v1/projects/{project}/operations", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/operations:watch", Some(Role::Viewer)),
    ("post", "/v1/projects/{project}/operations:track", Some(Role::Editor)),
    ("get", "/v1/projects/{project}/operations/{operation}", Some(Role::Viewer)),
    ("delete", "/v1/projects/{project}/operations/{operation}", Some(Role::Editor)),
    ("post", "/v1/projects/{project}/operations/{operation}:cancel", Some(Role::Operator)),
    ("post", "/v1/projects/{project}/operations/{operation}:wait", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/operations/{operation}:watch", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/locations/{location}/tasks", Some(Role::Viewer)),
    ("post", "/v1/projects/{project}/locations/{location}/tasks", Some(Role::Editor)),
    ("get", "/v1/projects/{project}/locations/{location}/tasks/{task}", Some(Role::Viewer)),
    ("delete", "/v1/projects/{project}/locations/{location}/tasks/{task}", Some(Role::Operator)),
    ("get", "/v1/projects/{project}/locations/{location}/tasks/{task}:metrics", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/locations/{location}/tasks/{task}:logs", Some(Role::Viewer)),
    ("get", "/v1/eventTypes", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/events", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/events/{event}", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/webhookEndpoints", Some(Role::Viewer)),
    ("post", "/v1/projects/{project}/webhookEndpoints", Some(Role::Editor)),
    ("get", "/v1/projects/{project}/webhookEndpoints/{endpoint}", Some(Role::Viewer)),
    ("patch", "/v1/projects/{project}/webhookEndpoints/{endpoint}", Some(Role::Editor)),
    ("delete", "/v1/projects/{project}/webhookEndpoints/{endpoint}", Some(Role::Editor)),
    ("post", "/v1/projects/{project}/webhookEndpoints/{endpoint}:ping", Some(Role::Operator)),
    ("post", "/v1/projects/{project}/webhookEndpoints/{endpoint}:enable", Some(Role::Editor)),
    ("post", "/v1/projects/{project}/webhookEndpoints/{endpoint}:replay", Some(Role::Editor)),
    ("post", "/v1/projects/{project}/webhookEndpoints/{endpoint}:rotateSecret", Some(Role::Editor)),
    ("get", "/v1/projects/{project}/webhookEndpoints/{endpoint}/replays/{replay}", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries", Some(Role::Viewer)),
    ("get", "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}", Some(Role::Viewer)),
    (
        "get",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}/attempts",
        Some(Role::Viewer),
    ),
    (
        "post",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}:resend",
        Some(Role::Operator),
    ),
    ("get", "/v1/projects/{project}:overview", Some(Role::Viewer)),
    ("delete", "/v1/projects/{project}/cache", Some(Role::Operator)),
];

#[tokio::test]
async fn every_endpoint_of_our_own_is_open_to_the_right_roles() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let ring = Keyring::new().await;
    let settings = ring.settings();
    let gateway = Gateway::library_with(&upstream, &[&settings[0], &settings[1]]).await;
    let document = gateway.get("/openapi.json").await.json();
    let mut described: Vec<(&str, &str)> = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let verbs = operations.as_object().unwrap().keys().map(String::as_str);
        let verbs = verbs.filter(|verb| ["get", "post", "put", "patch", "delete"].contains(verb));
        described
            .extend(verbs.filter(|_| !path.starts_with("/v1/shelves")).map(|verb| (verb, path.as_str())));
    }
    described.sort_unstable();
    let mut known: Vec<(&str, &str)> = OWN.iter().map(|(verb, path, _)| (*verb, *path)).collect();
    known.sort_unstable();
    assert_eq!(described, known, "decide who may use it, and say so above");

    let mut connection = gateway.connect().await;
    for (verb, path, needed) in OWN {
        let named =
            [("{project}", "own"), ("{key}", "nobody"), ("{file}", "index.css"), ("{endpoint}", "we_1")];
        let numbered = [("{event}", "evt_1"), ("{delivery}", "evt_1"), ("{replay}", "rp_1")];
        let slow = [
            ("{auditEntry}", "nobody"),
            ("{location}", "eu"),
            ("{operation}", "nobody"),
            ("{task}", "nobody"),
        ];
        let target = named
            .iter()
            .chain(&numbered)
            .chain(&slow)
            .fold((*path).to_owned(), |path, (variable, id)| path.replace(variable, id));
        let verb = verb.to_uppercase();
        let without = connection.send(&verb, &target, &[], "").await;
        let Some(needed) = needed else {
            assert!(!matches!(without.status.as_u16(), 401 | 403), "{verb} {path}: {}", without.text());
            continue;
        };
        without.refused(401, "UNAUTHENTICATED");
        for role in Role::ALL {
            let (kept, key) = ring.make("somebody", role, &["*"]).await;
            let key: [(&str, &str); 1] = [("x-goog-api-key", &key)];
            if path.ends_with(":watch") && role >= *needed {
                // It goes on until its reader leaves.
                let watched = gateway.connect().await.open(&verb, &target, &key, "").await;
                assert!(matches!(watched.status().as_u16(), 200 | 404), "{verb} {path} as {}", role.name());
                ring.keys.revoke(&kept.id).await.unwrap();
                continue;
            }
            let response = connection.send(&verb, &target, &key, "").await;
            match role >= *needed {
                true => assert!(
                    !matches!(response.status.as_u16(), 401 | 403 | 405),
                    "{verb} {path} as {}: {}",
                    role.name(),
                    response.text()
                ),
                false => drop(response.refused(403, "PERMISSION_DENIED")),
            }
            ring.keys.revoke(&kept.id).await.unwrap();
        }
    }
    // An admin of one project reads its entries, and nobody else's: what is asked across projects is narrowed.
    let (_, own) = ring.make("own-admin", Role::Admin, &["projects/own"]).await;
    for (target, status) in [
        ("/v1/projects/own/auditEntries", 200),
        ("/v1/projects/others/auditEntries", 403),
        ("/v1/projects/-/auditEntries", 200),
        ("/v1/auditEntries", 200),
        ("/v1/auditEntries:export", 200),
    ] {
        let response = connection.send("GET", target, &[("x-goog-api-key", &own)], "").await;
        assert_eq!(response.status.as_u16(), status, "{target}: {}", response.text());
    }
}
