//! What the YAML may say, and how it is told that it may not.

use std::time::Duration;

use super::*;

fn parse(text: &str) -> ServiceConfig {
    ServiceConfig::parse("x.yaml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    ServiceConfig::parse("x.yaml", text).expect_err(text).to_string()
}

const WHOLE: &str = r#"
type: google.api.Service
config_version: 3
name: x.googleapis.com
title: skipped
apis:
- name: pkg.Service
  methods: [{ name: skipped }]
- name: google.longrunning.Operations
authentication:
  rules: [{ selector: '*', oauth: { canonical_scopes: skipped } }]
http:
  rules:
  - selector: pkg.Service.Get
    get: '/v1/{name=old/*}'
  - selector: pkg.Service.Get
    get: '/v1/{name=new/*}'
    response_body: thing
    additional_bindings:
    - post: '/v1/{name=new/*}:get'
      body: '*'
    - custom: { kind: PURGE, path: /v1/x }
publishing:
  github_label: skipped
  method_settings:
  - selector: pkg.Service.Get
    auto_populated_fields: [skipped]
  - selector: pkg.Service.Run
    long_running: { initial_poll_delay: 2s, poll_delay_multiplier: 1.5, max_poll_delay: 0.5m, total_poll_timeout: 1h }
causeway:
  rules:
  - selector: pkg.Service.*
    permission: x.raw
    cache: { ttl: 30s, stale: 5m }
    secret: options.key
  - selector: pkg.Service.Get
    permission: x.things.get
    read_only: true
    list: items
    collection: things
    cache: { enabled: false }
    parts: { location: config, stream: pkg.Service.List }
    secret: [token, a.b]
    derive_mask: true
    tells: thing.created
"#;

#[test]
fn reads_its_parts_and_skips_the_rest() {
    let config = parse(WHOLE);
    assert_eq!(config.name, "x.googleapis.com");
    assert_eq!(config.services, ["pkg.Service", "google.longrunning.Operations"]);
    let hints = config.poll_hints("pkg.Service.Run");
    assert_eq!(hints.initial_poll_delay, Some(Duration::from_secs(2)));
    assert_eq!(hints.poll_delay_multiplier, Some(1.5));
    assert_eq!(hints.max_poll_delay, Some(Duration::from_secs(30)));
    assert_eq!(hints.total_poll_timeout, Some(Duration::from_secs(3600)));
    assert_eq!(config.poll_hints("pkg.Service.Get"), PollHints::default());
}

#[test]
fn the_last_http_rule_of_a_selector_wins() {
    let config = parse(WHOLE);
    let rule = config.http_rule("pkg.Service.Get").unwrap();
    assert_eq!(rule.pattern, Some(Pattern::Get("/v1/{name=new/*}".to_owned())));
    assert_eq!(rule.response_body, "thing");
    assert_eq!(rule.additional_bindings[0].body, "*");
    let purge = CustomPattern { kind: "PURGE".to_owned(), path: "/v1/x".to_owned() };
    assert_eq!(rule.additional_bindings[1].pattern, Some(Pattern::Custom(purge)));
    assert_eq!(config.http_rule("pkg.Service.GetOther"), None);
    assert!(config.binds("pkg.Service") && !config.binds("pkg"));
}

#[test]
fn facts_are_merged_key_by_key() {
    let config = parse(WHOLE);
    let all = config.facts("pkg.Service.Other");
    assert_eq!(all.permission.as_deref(), Some("x.raw"));
    let one = config.facts("pkg.Service.Get");
    assert_eq!(one.permission.as_deref(), Some("x.things.get"));
    assert_eq!(one.read_only, Some(true));
    assert_eq!(one.derive_mask, Some(Derive { on: true, where_possible: false }));
    let told = one.tells.as_ref().unwrap();
    assert_eq!((&*told.event, &*told.place), ("thing.created", "x.yaml: line 36: pkg.Service.Get"));
    assert_eq!(one.list, Some(ListRule::Items("items".to_owned())));
    assert_eq!(one.collection.as_deref(), Some("things"));
    assert_eq!(one.cache.enabled, Some(false));
    assert_eq!(one.cache.ttl, Some(Duration::from_secs(30)));
    assert_eq!(one.parts["location"], Part::Config);
    assert_eq!(one.parts["stream"], Part::Method("pkg.Service.List".to_owned()));
    let secrets: Vec<&str> = one.secret.iter().map(|secret| secret.path.as_str()).collect();
    assert_eq!(secrets, ["options.key", "token", "a.b"]);
    assert_eq!(config.facts("other.Service.Get"), Facts::default());
}

#[test]
fn yes_and_no_are_lists_too() {
    let rule = |list: &str| {
        parse(&format!("causeway: {{ rules: [{{ selector: a.B.C, list: {list} }}] }}")).facts("a.B.C").list
    };
    assert_eq!(rule("true"), Some(ListRule::Is));
    assert_eq!(rule("false"), Some(ListRule::Not));
}

#[test]
fn empty_parts_are_fine() {
    assert_eq!(parse("name: x\nhttp:\ncauseway:\n  rules:\n").services.len(), 0);
}

#[test]
fn says_where_and_what_is_wrong() {
    let table = [
        (
            "causeway:\n  rules:\n  - selector: a.B.C\n    permision: x.raw\n",
            &["line 4", "permision", "permission"][..],
        ),
        ("causeway:\n  rule: []\n", &["line 2", "rule"]),
        ("causeway:\n  rules:\n  - selector: a.B.C\n    cache: { tll: 3s }\n", &["line 4", "tll"]),
        ("causeway:\n  rules:\n  - read_only: true\n", &["line 3", "selector"]),
        (
            "causeway:\n  rules:\n  - selector: a.B.C\n    cache: { ttl: 3 }\n",
            &["line 3", "cache.ttl", "30s"],
        ),
        ("causeway:\n  rules:\n  - selector: a.B.C\n    read_only: 7\n", &["line 4"]),
        ("causeway:\n  rules:\n  - selector: a.*.C\n", &["line 3", "a.*.C"]),
        ("causeway:\n  rules:\n  - selector: a.B.C\n    permission: 'x y'\n", &["line 3", "permission"]),
        (
            "causeway:\n  rules:\n  - selector: a.B.C\n    parts: { location: nowhere }\n",
            &["line 3", "parts.location"],
        ),
        ("causeway:\n  rules:\n  - selector: a.B.C\n    secret: a..b\n", &["line 3", "secret"]),
        ("http:\n  rules:\n  - selector: a.B.C\n    gte: /v1\n", &["line 4", "gte"]),
        ("http:\n  rules:\n  - selector: a.B.C\n    body: '*'\n", &["line 3", "without a path"]),
        ("http:\n  rules:\n  - selector: a.B.C\n    get: /a\n    put: /a\n", &["line 3", "two paths"]),
        ("http:\n  rules:\n  - selector: a.B.*\n    get: /a\n", &["line 3", "in full"]),
        ("http:\n  rules:\n  - get: /a\n", &["no selector"]),
        (
            "publishing:\n  method_settings:\n  - selector: a.B.C\n    long_running: { max_poll_delay: soon }\n",
            &["line 3", "max_poll_delay", "soon"],
        ),
        ("type: google.api.Thing\n", &["line 1", "google.api.Thing"]),
        ("name: x\nname: y\n", &["line 2", "name"]),
        ("a: [", &["x.yaml"]),
    ];
    for (text, words) in table {
        let error = refused(text);
        assert!(error.starts_with("x.yaml"), "{error}");
        for word in words {
            assert!(error.contains(word), "{word:?} is not in {error:?}");
        }
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_bomb_does_not_go_off() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (level, before) in ('b'..='k').zip('a'..='j') {
        text.push_str(&format!("{level}: &{level} [*{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}, *{before}]\n"));
    }
    text.push_str("apis: *k\n");
    refused(&text);
    assert!(refused(&"x".repeat(SERVICE_CONFIG_BYTES_MAX + 1)).contains("larger than"));
}
