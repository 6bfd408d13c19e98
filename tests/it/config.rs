//! The configuration as a file: the example that we hand out, and files that are wrong.

use std::{collections::BTreeSet, fs, path::PathBuf};

use causeway::config::{Config, Credentials, Loaded, Sources, Token};

fn from_file(path: PathBuf) -> Loaded {
    Config::load(Sources { file: Some(path), ..Sources::default() })
}

fn file(name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the folder for tests is writable");
    path
}

fn example() -> String {
    fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("causeway.example.toml"))
        .expect("the example is there")
}

#[test]
fn the_example_is_a_valid_configuration() {
    let loaded = from_file(file("example.toml", example()));
    let config = loaded.into_config().unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.upstreams.len(), 3);
    assert_eq!(config.upstreams["bigqueryconnection"].credentials, Credentials::Caller);
    assert_eq!(
        config.upstreams["datastream"].credentials,
        Credentials::Token(Token::File("datastream.token".into()))
    );
    assert_eq!(config.upstreams["library"].services, ["acme.v1.Library"]);
}

/// Turns every optional key of the example on.
fn complete_example() -> String {
    let commented = [
        "url = \"postgres",
        "url = \"redis",
        "tls.ca_file",
        "tls.certificate",
        "tls.key",
        "[http.tls]",
        "certificate = ",
        "key = \"tls",
        "worker_threads",
        "service_config",
        "grants",
        "issuers",
    ];
    let mut text =
        example().replace("# key = \"…\"", "key = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"");
    for key in commented {
        assert!(text.contains(&format!("# {key}")), "{key} is no longer in the example");
        text = text.replace(&format!("# {key}"), key);
    }
    text
}

#[test]
fn the_example_names_every_key_that_exists() {
    let example = complete_example();
    let written = keys(&example);
    let in_force = keys(&from_file(file("all_keys.toml", &example)).print());
    let missing: Vec<_> = in_force.difference(&written).collect();
    assert!(missing.is_empty(), "keys that exist and that the example does not show: {missing:?}");
}

/// Lists the keys of a TOML text as `section.key`, upstreams under one name.
fn keys(text: &str) -> BTreeSet<String> {
    fn walk(prefix: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
        for (key, value) in table {
            let key = if prefix == "upstreams." { "*" } else { key };
            match value {
                toml::Value::Table(inner) => walk(&format!("{prefix}{key}."), inner, found),
                _ => drop(found.insert(format!("{prefix}{key}"))),
            }
        }
    }
    let mut found = BTreeSet::new();
    walk("", &text.parse().expect("it is TOML"), &mut found);
    found
}

#[test]
fn a_file_that_is_not_toml_is_told_by_line_and_column_without_its_text() {
    let path = file("broken.toml", "[secrets]\nkey = hunter2\n");
    let problems = from_file(path).problems.to_string();
    assert!(problems.contains("not TOML at line 2, column 7"), "{problems}");
    assert!(!problems.contains("hunter2"), "{problems}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let problems = from_file("/nowhere/causeway.toml".into()).problems.to_string();
    assert!(problems.contains("cannot be read") && problems.contains("/nowhere/causeway.toml"), "{problems}");
    let problems = from_file(file("latin1.toml", b"x = \"\xe9\"")).problems.to_string();
    assert!(problems.contains("latin1.toml"), "{problems}");
}

#[test]
fn what_may_be_in_a_file_that_cannot_be_read_is_not_called_missing() {
    for path in [PathBuf::from("/nowhere/causeway.toml"), file("torn.toml", "[identity")] {
        let loaded = Config::load(Sources {
            file: Some(path),
            set: vec![
                "upstreams.library.endpoint=http://127.0.0.1:1".to_owned(),
                "http.connections_max=0".to_owned(),
            ],
            ..Sources::default()
        });
        let problems = loaded.problems.to_string();
        assert!(!problems.contains("identity.mode") && !problems.contains("services"), "{problems}");
        assert!(problems.contains("http.connections_max: expected between"), "{problems}");
        assert_eq!(loaded.problems.0.len(), 2, "{problems}");
    }
}

#[test]
fn a_mistake_in_a_file_names_the_file_and_the_environment_wins_over_it() {
    let path =
        file("mistake.toml", "[identity]\nmode = \"none\"\n[http]\nlisten = \"127.0.0.1:1\"\nlitsen = 3\n");
    let loaded = Config::load(Sources {
        file: Some(path),
        environment: vec![("CAUSEWAY__HTTP__LISTEN".into(), "127.0.0.1:2".into())],
        ..Sources::default()
    });
    let problems = loaded.problems.to_string();
    assert!(problems.contains("http.litsen: unknown key; did you mean http.listen? (in "), "{problems}");
    assert!(problems.contains("mistake.toml)"), "{problems}");
    assert_eq!(loaded.config.http.listen.port(), 2);
}

#[test]
fn the_readme_lists_every_key() {
    let readme = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let table = readme
        .lines()
        .skip_while(|line| *line != "| key | default | |")
        .skip(2)
        .take_while(|line| !line.is_empty());
    let listed: BTreeSet<String> = table
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split(','))
        .map(|key| key.trim().trim_matches('`').to_owned())
        .collect();
    let mut existing = keys(&from_file(file("readme_keys.toml", complete_example())).print());
    // The example has its other half, token_file: they exclude each other.
    existing.insert("upstreams.*.token".to_owned());
    // It goes with credentials = "caller" only.
    existing.insert("upstreams.*.poll_credentials".to_owned());
    assert_eq!(listed, existing);
}
