//! The configuration as its users meet it: sources, precedence, and every mistake at once.

use std::time::Duration;

use super::*;

/// The least that `serve` accepts, and then some.
fn set(more: &[&str]) -> Sources {
    let mut all = vec!["identity.mode=none".to_owned()];
    all.extend(more.iter().map(|&argument| argument.to_owned()));
    Sources { set: all, ..Sources::default() }
}

fn accepted(sources: Sources) -> Config {
    Config::load(sources).into_config().unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(more: &[&str]) -> String {
    Config::load(set(more)).into_config().expect_err("a mistake").to_string()
}

#[test]
fn says_how_to_start_when_nothing_is_set() {
    let problems = Config::load(Sources::default()).into_config().unwrap_err().to_string();
    assert!(problems.contains("identity.mode: missing"), "{problems}");
    assert!(problems.contains(r#"identity.mode = "none""#), "{problems}");
}

#[test]
fn environment_wins_over_the_command_and_set_over_the_environment() {
    let config = accepted(Sources {
        command: vec![
            ("http.listen".into(), "127.0.0.1:1".into()),
            ("http.drain_timeout".into(), "7s".into()),
        ],
        environment: [
            ("CAUSEWAY__HTTP__LISTEN", "127.0.0.1:2"),
            ("CAUSEWAY__HTTP__CONNECTIONS_MAX", "77"),
            ("CAUSEWAY__UPSTREAMS__DATASTREAM__ENDPOINT", "http://127.0.0.1:9"),
            ("CAUSEWAY_HOME", "not ours"),
            ("PATH", "/bin"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        ..set(&["http.listen=127.0.0.1:3"])
    });
    assert_eq!(config.http.listen.port(), 3);
    assert_eq!(config.http.connections_max, 77);
    assert_eq!(config.http.drain_timeout, Duration::from_secs(7));
    assert_eq!(config.upstreams["datastream"].endpoints[0].as_str(), "http://127.0.0.1:9");
}

#[test]
fn set_takes_toml_and_otherwise_text() {
    let config = accepted(set(&[
        r#"upstreams.library.services=["acme.v1.Library", "acme.v1.Desk"]"#,
        r#"upstreams.library.endpoint=["http://127.0.0.1:1", "http://127.0.0.1:2"]"#,
        "upstreams.library.deadline=1500ms",
        "upstreams.library.credentials=token",
        "upstreams.library.token=0123",
        "upstreams.library.message_size_max=1MiB",
        "upstreams.library.retry={ attempts = 5 }",
        "upstreams.library.primary=true",
    ]));
    let library = &config.upstreams["library"];
    assert_eq!(library.services, ["acme.v1.Library", "acme.v1.Desk"]);
    assert_eq!(library.endpoints.len(), 2);
    assert_eq!(library.deadline, Duration::from_millis(1500));
    assert_eq!(library.credentials, Credentials::Token(Token::Inline(Secret::new("0123"))));
    assert_eq!(library.message_size_max, 1 << 20);
    assert_eq!(library.retry, Retry { attempts: 5, budget: 0.2 });
    assert!(library.primary);
}

#[test]
fn every_mistake_is_reported_at_once_with_key_source_and_expectation() {
    let problems = refused(&[
        "http.listen=nowhere",
        "http.lisen=127.0.0.1:1",
        "http.connections_max=0",
        "http.request_timeout=30",
        "http.body_size_max=4MB",
        "htpt.listen=127.0.0.1:1",
        "upstreams.Library.endpoint=http://127.0.0.1:1",
        "upstreams.library.services=acme.v1.Library",
        "cache.enabled=maybe",
        "cache=true",
        "listen",
    ]);
    for wanted in [
        r#"http.listen: expected an address and port such as "127.0.0.1:8080", found the string "nowhere" (from --set http.listen)"#,
        "http.lisen: unknown key; did you mean http.listen? (from --set http.lisen)",
        "http.connections_max: expected between 1 and 1000000, found 0",
        r#"http.request_timeout: expected a duration such as "500ms", "30s", "5m" or "2h", found the integer 30"#,
        "http.body_size_max: expected a size",
        "htpt: unknown key; did you mean http?",
        "upstreams.Library: an upstream's key is also its path prefix",
        "upstreams.library.endpoint: missing",
        r#"cache.enabled: expected true or false, found the string "maybe""#,
        "cache: expected a key of the form section.key",
        "expected section.key=value",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n--- not in\n{problems}");
    }
}

#[test]
fn without_authentication_only_loopback_is_served() {
    let problems = refused(&["http.listen=0.0.0.0:8080"]);
    assert!(problems.contains("http.listen: 0.0.0.0:8080 is not loopback"), "{problems}");
    for listen in ["[::1]:0", "127.8.9.1:80", "[::ffff:127.0.0.1]:80"] {
        accepted(set(&[&format!("http.listen={listen}")]));
    }
}

#[test]
fn a_name_of_the_gateway_is_a_host_without_a_port() {
    accepted(set(&[r#"http.hosts=["Gateway.example.com", "causeway"]"#]));
    for wrong in ["gateway:8080", "https://gateway", "a b", "", ".", "gateway."] {
        let problems = refused(&[&format!("http.hosts=[{wrong:?}]")]);
        assert!(problems.contains("http.hosts: expected the name of a host without a port"), "{problems}");
    }
    let told = Config::load(set(&["http.hosts=[\"gateway\"]", "identity.mode=keys"]));
    assert!(told.warnings.join("\n").contains("http.hosts: has no effect"), "{:?}", told.warnings);
}

#[test]
fn what_would_do_less_than_it_says_is_refused() {
    for settings in [
        &["upstreams.datastream.token=x"][..],
        &["upstreams.datastream.credentials=adc", "upstreams.datastream.token=x"],
    ] {
        let problems = refused(settings);
        assert!(problems.contains("would not be sent"), "{problems}");
    }
}

#[test]
fn google_for_real_takes_one_line() {
    let config = accepted(set(&[
        "upstreams.datastream.credentials=adc",
        "upstreams.datastream.quota_project=example.com:acme-data",
        "upstreams.bigqueryconnection.quota_project=123456789",
        "upstreams.datastream.tls={ certificate = \"/c.pem\", key = \"/k.pem\" }",
    ]));
    let datastream = &config.upstreams["datastream"];
    assert_eq!(datastream.credentials, Credentials::Adc);
    assert_eq!(datastream.endpoints[0].as_str(), "https://datastream.googleapis.com");
    assert_eq!(datastream.quota_project.as_deref(), Some("example.com:acme-data"));
    assert_eq!(config.upstreams["bigqueryconnection"].quota_project.as_deref(), Some("123456789"));
    let client = ClientCertificate { certificate: "/c.pem".into(), key: "/k.pem".into() };
    assert_eq!(datastream.tls.client, Some(client));
    for (setting, missing) in
        [("certificate", "upstreams.datastream.tls.key"), ("key", "upstreams.datastream.tls.certificate")]
    {
        let problems = refused(&[&format!("upstreams.datastream.tls.{setting}=/x.pem")]);
        assert!(problems.contains(&format!("{missing}: missing")), "{problems}");
    }
    for project in ["my project", "a\\r\\nb", "ü"] {
        let problems = refused(&[&format!("upstreams.datastream.quota_project=\"{project}\"")]);
        assert!(problems.contains("expected the id or the number of a project"), "{problems}");
    }
}

#[test]
fn credentials_travel_encrypted_unless_somebody_says_that_they_need_not() {
    let at = |endpoint: &str| format!("upstreams.datastream.endpoint={endpoint}");
    for (credentials, more, whose) in [
        ("adc", &[][..], "the gateway's own credential"),
        ("token", &["upstreams.datastream.token_file=/t"], "the gateway's own credential"),
        ("caller", &[], "callers' credentials"),
    ] {
        let credentials = format!("upstreams.datastream.credentials={credentials}");
        let with = |endpoint: &str, told: &str| {
            let (at, told) = (at(endpoint), format!("upstreams.datastream.allow_clear_text={told}"));
            let settings: Vec<&str> = more.iter().copied().chain([&*credentials, &*at, &*told]).collect();
            Config::load(set(&settings))
        };
        let open = r#"["https://gateway.internal", "http://datastream.internal:80"]"#;
        let problems = with(open, "false").into_config().expect_err("it is open").to_string();
        let expected = format!(
            "upstreams.datastream.endpoint: {whose} would travel in clear text to http://datastream.internal:80"
        );
        assert!(problems.contains(&expected), "{problems}");

        let told = with(open, "true");
        assert!(told.warnings.join("\n").contains("will travel in clear text"), "{:?}", told.warnings);
        told.into_config().expect("the operator says so");
        for fine in
            ["https://datastream.internal", "http://127.0.0.1:9", "http://[::1]:9", "http://localhost:9"]
        {
            with(fine, "false").into_config().unwrap_or_else(|problems| panic!("{fine}: {problems}"));
        }
        for not_this_machine in ["http://localhost.example.com", "http://127.0.0.1.nip.io", "http://10.0.0.1"]
        {
            with(not_this_machine, "false").into_config().expect_err(not_this_machine);
        }
    }
    accepted(set(&[&at("http://datastream.internal")]));
}

#[test]
fn polling_has_credentials_of_its_own_only_where_callers_bring_theirs() {
    let with = |credentials: &str, poll: &str| {
        let settings = ["credentials", "poll_credentials"].iter().zip([credentials, poll]);
        let settings = settings.map(|(key, value)| format!("upstreams.datastream.{key}={value}"));
        let settings: Vec<String> = settings.chain(["upstreams.datastream.token=t".to_owned()]).collect();
        Config::load(set(&settings.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    let config = with("caller", "token").into_config().expect("callers bring theirs");
    let datastream = &config.upstreams["datastream"];
    assert_eq!(datastream.credentials, Credentials::Caller);
    assert!(matches!(datastream.poll_credentials, Some(Credentials::Token(_))));
    for (credentials, poll) in [("token", "token"), ("caller", "caller"), ("caller", "adc")] {
        with(credentials, poll).into_config().expect_err("it says twice who we are, or nothing");
    }
}

#[test]
fn only_headers_that_are_the_callers_own_to_say_are_forwarded() {
    let library = ["upstreams.library.services=x.Y", "upstreams.library.endpoint=http://127.0.0.1:1"];
    let given =
        |list: &str| set(&[&library[..], &[&format!("upstreams.library.forward_headers={list}")]].concat());
    let config = accepted(given(r#"["X-Tenant", "x-shard", "x-tenant"]"#));
    assert_eq!(config.upstreams["library"].forward_headers, ["x-tenant", "x-shard"]);
    assert!(accepted(set(&library)).upstreams["library"].forward_headers.is_empty());
    for name in [
        "Authorization",
        "cookie",
        "host",
        "te",
        "connection",
        "content-type",
        "user-agent",
        "grpc-timeout",
        "x-goog-api-key",
        "x-goog-user-project",
        "traceparent",
        "x-request-id",
        "causeway-audit",
        "x-causeway-upstream-authorization",
        "idempotency-key",
        "x-forwarded-for",
        "trace-bin",
        "a b",
        "accept-language",
    ] {
        let problems = Config::load(given(&format!("[{name:?}]"))).into_config().expect_err(name).to_string();
        assert!(
            problems.contains("upstreams.library.forward_headers") && problems.contains(name),
            "{problems}"
        );
    }
    for (name, why) in [("x-goog-api-client", "goes up by itself"), ("x-goog-api-key", "never goes up")] {
        let problems = Config::load(given(&format!("[{name:?}]"))).into_config().unwrap_err().to_string();
        assert!(problems.contains(&format!("{name:?} ")) && problems.contains(why), "{problems}");
    }
    let many: Vec<String> = (0..33).map(|n| format!("x-{n}")).collect();
    let problems = Config::load(given(&format!("{many:?}"))).into_config().unwrap_err().to_string();
    assert!(problems.contains("more than 32 names"), "{problems}");
}

#[test]
fn a_known_upstream_has_an_address_and_another_has_not() {
    let config = accepted(set(&["upstreams.datastream.primary=true"]));
    assert_eq!(config.upstreams["datastream"].endpoints[0].as_str(), "https://datastream.googleapis.com");
    assert!(refused(&["upstreams.flyte.primary=true"]).contains("upstreams.flyte.endpoint: missing"));
    assert!(
        refused(&["upstreams.datastream.endpoint=[]"]).contains("upstreams.datastream.endpoint: missing")
    );
    let problems = refused(&["upstreams.library.endpoint=http://127.0.0.1:1"]);
    assert!(problems.contains("upstreams.library.services: missing"), "{problems}");
}

#[test]
fn what_has_a_wrong_value_is_not_missing_too() {
    let library = "upstreams.library.endpoint=http://127.0.0.1:1";
    for (key, problems) in [
        ("upstreams.library.services", refused(&[library, "upstreams.library.services=[5]"])),
        ("identity.issuers", refused(&["identity.mode=jwt", "identity.issuers=[5]"])),
    ] {
        assert!(problems.contains(&format!("{key}: expected")), "{problems}");
        assert_eq!(problems.matches(&format!("{key}:")).count(), 1, "{problems}");
    }
    let problems = refused(&[library, "upstreams.library.services=[]"]);
    assert!(problems.contains("upstreams.library.services: missing"), "{problems}");
}

#[test]
fn no_secret_is_ever_printed() {
    let loaded = Config::load(set(&[
        "database.url=postgres://app:hunter2@db/causeway",
        "redis.url=redis://:hunter2@cache",
        "secrets.key=hunter2",
        "upstreams.datastream.credentials=token",
        "upstreams.datastream.token=hunter2",
        "upstreams.datastream.endpoint=http://me:hunter2@host",
    ]));
    let everything = format!("{} {:?} {}", loaded.problems, loaded, loaded.print());
    assert!(!everything.contains("hunter2"), "{everything}");
    assert!(everything.contains("secrets.key: not base64; expected 32 bytes in base64"), "{everything}");
    assert!(everything.contains("postgres://app:<hidden>@db/causeway"), "{everything}");
}

#[test]
fn what_is_printed_can_be_read_again() {
    let loaded = Config::load(set(&["upstreams.datastream.deadline=90s", "http.body_size_max=5000"]));
    let printed = loaded.print();
    assert!(
        printed.contains(r#"deadline = "90s""#) && printed.contains(r#"body_size_max = "5000B""#),
        "{printed}"
    );
    let tree: toml::Table = printed.parse().unwrap();
    let again = Sources {
        command: tree
            .into_iter()
            .filter(|(_, value)| value.as_table().is_some_and(|table| !table.is_empty()))
            .flat_map(|(section, value)| match value {
                toml::Value::Table(table) => table
                    .into_iter()
                    .map(|(key, value)| (format!("{section}.{key}"), value.to_string()))
                    .collect::<Vec<_>>(),
                _ => Vec::new(),
            })
            .collect(),
        ..Sources::default()
    };
    assert_eq!(Config::load(again).print(), printed);
}

#[test]
fn durations_and_sizes_read_as_written() {
    for (text, millis) in [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000)] {
        let config = accepted(set(&[&format!("upstreams.datastream.deadline={text}")]));
        assert_eq!(config.upstreams["datastream"].deadline, Duration::from_millis(millis), "{text}");
    }
    for text in ["1.5s", "s", "-1s", "99999999999999999999s", "18446744073709551615h", "1 week", "2h"] {
        refused(&[&format!("upstreams.datastream.deadline={text}")]);
    }
    for (text, bytes) in [("4096", 4096), ("64KiB", 65_536), ("1 MiB", 1 << 20)] {
        assert_eq!(
            accepted(set(&[&format!("http.body_size_max={text}")])).http.body_size_max,
            bytes,
            "{text}"
        );
    }
}

#[test]
fn a_value_with_a_line_break_is_one_value() {
    let problems = refused(&["http.worker_threads=1\nx = 2"]);
    assert!(problems.contains("http.worker_threads: expected a whole number"), "{problems}");
}

#[test]
fn tokens_need_an_issuer_and_grants_need_patterns() {
    let issuer = r#"{ name = "corp", issuer = "https://i.example", audiences = ["causeway"], jwks_url = "https://i.example/k" }"#;
    let one = format!("identity.issuers=[{issuer}]");
    let config = accepted(set(&["identity.mode=both", "http.listen=0.0.0.0:1", &one]));
    assert!(config.identity.takes_keys() && config.identity.takes_tokens());
    assert_eq!(config.identity.issuers[0].algorithms.len(), 3);
    let problems = refused(&["identity.mode=jwt"]);
    assert!(problems.contains("identity.issuers: missing"), "{problems}");
    for (wrong, why) in [
        (format!("identity.issuers=[{issuer}, {issuer}]"), "twice"),
        (one.replace("https://i.example/k", "http://i.example/k"), "https://"),
        (one.replace("https://i.example/k", "https://u:hunter2@i.example/k"), "no password"),
        (one.replace("corp", "cor p"), "letters"),
        (one.replace("[\"causeway\"]", "[]"), "not empty"),
        (one.replace("audiences", "audience"), "audiences is missing"),
        (one.replace(" }", ", algorithms = [\"HS256\"] }"), "algorithms are one of"),
        (
            r#"identity.grants=[{ principal = "a", role = "viewer", resources = ["/projects/"] }]"#
                .to_owned(),
            "empty segment",
        ),
    ] {
        let problems = refused(&["identity.mode=jwt", &wrong]);
        assert!(problems.contains(why), "{wrong}\n{problems}");
    }
}
