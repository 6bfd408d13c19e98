//! Who may import whom, and which folder a third-party crate lives in. Read from the text of `src/`, so that a wrong
//! edge is a failing test with a reason and not a matter of taste.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Nothing internal.
const NOTHING: &[&str] = &[];
/// Levels 0 and 1.
const LEVELS_0_1: &[&str] =
    &["model", "error", "clock", "crypto", "pb", "workers", "config", "schema", "transcode"];
/// Levels 0 to 3.
const LEVELS_0_3: &[&str] = &[
    "model",
    "error",
    "clock",
    "crypto",
    "pb",
    "workers",
    "config",
    "schema",
    "transcode",
    "store",
    "upstream",
    "egress",
    "kv",
    "cache",
    "operations",
    "webhooks",
    "audit",
    "identity",
];
/// Levels 0 to 4.
const LEVELS_0_4: &[&str] = &[
    "model",
    "error",
    "clock",
    "crypto",
    "pb",
    "workers",
    "config",
    "schema",
    "transcode",
    "store",
    "upstream",
    "egress",
    "kv",
    "cache",
    "operations",
    "webhooks",
    "audit",
    "identity",
    "gateway",
];

/// What a module may import, and why not more. A module that is not listed here is a mistake of its own.
const MODULES: &[(&str, &[&str], &str)] = &[
    ("model", NOTHING, "plain domain data knows nobody"),
    ("error", NOTHING, "everybody returns errors, so errors know nobody"),
    ("clock", NOTHING, "time is a parameter of everything else"),
    ("crypto", NOTHING, "keys and signatures know nobody"),
    ("pb", NOTHING, "generated code is included and nothing more"),
    ("workers", NOTHING, "threads know nothing of what runs on them"),
    ("config", &["model", "error"], "configuration is data; whoever needs a section is handed it"),
    ("schema", &["error", "pb"], "what is known about services is pure"),
    ("transcode", &["schema", "error"], "transcoding has no idea that it runs in a gateway"),
    (
        "store",
        &["model", "error", "clock", "crypto", "config", "workers"],
        "the store knows the domain, not its users",
    ),
    (
        "upstream",
        &["model", "error", "clock", "crypto", "config", "schema", "pb", "workers"],
        "an upstream is called; it does not know for whom",
    ),
    (
        "egress",
        &["model", "error", "clock", "crypto", "config"],
        "outbound HTTP does not know what it carries",
    ),
    (
        "kv",
        &["model", "error", "clock", "crypto", "config", "workers"],
        "the link to Redis does not know what it carries",
    ),
    (
        "cache",
        &["model", "error", "clock", "crypto", "config", "kv"],
        "a page cache does not know how pages are made",
    ),
    (
        "operations",
        &[
            "model",
            "store",
            "error",
            "clock",
            "config",
            "crypto",
            "upstream",
            "schema",
            "transcode",
            "pb",
            "kv",
            "cache",
        ],
        "the durable parts never import one another; they meet in the database",
    ),
    (
        "webhooks",
        &["model", "store", "error", "clock", "config", "crypto", "egress"],
        "the durable parts never import one another; they meet in the database",
    ),
    (
        "audit",
        &["model", "store", "error", "clock", "config", "crypto"],
        "the durable parts never import one another; they meet in the database",
    ),
    (
        "identity",
        &["model", "store", "error", "clock", "config", "crypto", "egress", "kv"],
        "the durable parts never import one another; they meet in the database",
    ),
    ("gateway", LEVELS_0_3, "use cases do not know how they are reached"),
    ("http", LEVELS_0_4, "the edge is handed what it serves"),
    ("emulator", LEVELS_0_1, "an emulated upstream is the far side of the network"),
    ("lifecycle", LEVELS_0_1, "how the process ends does not depend on what it does"),
    ("telemetry", LEVELS_0_1, "what the process says does not depend on what it does"),
];

/// Modules at the top: they wire everything, and nothing below may import them.
const TOP: &[&str] = &["app", "cli", "main", "lib"];

/// Sections of the configuration that a module below the gateway may see: its own.
const OWN_CONFIG: &[(&str, &[&str])] = &[
    (
        "upstream",
        &[
            "Upstream",
            "Endpoint",
            "Credentials",
            "Token",
            "Secret",
            "Retry",
            "Breaker",
            "UpstreamTls",
            "ClientCertificate",
            "UnknownFields",
            "KnownUpstream",
            "KNOWN_UPSTREAMS",
        ],
    ),
    ("store", &["Database", "SecretUrl"]),
    ("kv", &["Redis", "RedisUrl", "RedisTls", "SecretUrl"]),
    ("cache", &["Cache"]),
    ("egress", &["Webhooks", "Cidr"]),
    ("webhooks", &["Webhooks", "Cidr"]),
    ("identity", &["Identity", "Mode", "Grant", "Role", "Issuer", "Algorithm", "Limits", "Rate"]),
    ("operations", &["Operations", "Upstream", "Credentials"]),
    ("audit", &["Audit"]),
];

/// Words that begin a path, where they may stand, and why nowhere else. An entry is a folder or a file below `src/`.
const HOMES: &[(&str, &[&str], &str)] = &[
    ("sqlx", &["store"], "SQL lives in one place"),
    ("axum", &["http"], "only the edge knows its server"),
    (
        "tonic",
        &["upstream", "emulator", "http/grpc", "pb.rs"],
        "gRPC is spoken at the far side, and nowhere between",
    ),
    ("tonic_prost", &["emulator", "pb.rs"], "gRPC is spoken at the far side, and nowhere between"),
    ("tonic_health", &["upstream", "emulator"], "gRPC is spoken at the far side, and nowhere between"),
    ("tonic_reflection", &["emulator"], "gRPC is spoken at the far side, and nowhere between"),
    (
        "hyper",
        &["http", "egress", "cli/healthcheck.rs"],
        "only the edge knows its server, and one module its client",
    ),
    (
        "hyper_util",
        &["http", "egress", "cli/healthcheck.rs"],
        "only the edge knows its server, and one module its client",
    ),
    ("h2", &["upstream/connection.rs"], "one module calls upstreams"),
    ("redis", &["kv"], "one link to Redis, with one budget"),
    ("jsonwebtoken", &["identity/jwt"], "tokens are believed in one place"),
    ("utoipa", &["http"], "only the edge describes itself"),
    ("utoipa_swagger_ui", &["http/own"], "only the edge describes itself"),
    ("reqwest", &["egress"], "addresses that callers name are vetted in one place"),
    (
        "google_cloud_auth",
        &["upstream/adc.rs"],
        "Google's credentials are one way to authenticate to an upstream",
    ),
    ("prost_reflect", NOTHING, "it is the oracle of tests, and five times slower than the rest of a request"),
    ("clap", &["cli", "main.rs"], "the command line is one way to start, not part of the gateway"),
    ("mimalloc", &["main.rs"], "how memory is shared out is for the executable to say, not for a library"),
    ("toml", &["config", "cli/check.rs"], "configuration is read in one place"),
    ("tracing_subscriber", &["telemetry.rs", "config/telemetry.rs"], "the log is set up once"),
    ("metrics_exporter_prometheus", &["telemetry.rs"], "metrics are set up once"),
    ("std::env", &["config/source.rs"], "the environment is read once and handed on"),
    ("tokio::signal", &["lifecycle.rs"], "a library is handed a token; it installs no signal handler"),
    ("std::time::SystemTime", &["clock.rs"], "time is a parameter"),
    ("Timestamp::now", &["clock.rs"], "time is a parameter"),
];

/// What a pure module must not touch.
const PURE: &[(&str, &[&str])] = &[
    ("schema", &["tokio", "h2", "hyper", "axum", "tonic", "sqlx"]),
    ("transcode", &["tokio", "h2", "hyper", "axum", "tonic", "sqlx"]),
];

/// A rule broken, in one sentence.
#[derive(Debug, PartialEq)]
struct Violation {
    file: PathBuf,
    edge: String,
    reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.file.display(), self.edge, self.reason)
    }
}

#[test]
fn every_import_points_down_and_every_crate_is_at_home() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 10, "found only {} files below {}", files.len(), root.display());
    let violations: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(file).expect("a source file is readable");
            check(file.strip_prefix(&root).expect("collected below the root"), &text)
        })
        .map(|violation| format!("src/{violation}"))
        .collect();
    assert!(
        violations.is_empty(),
        "the architecture has {} cracks:\n{}",
        violations.len(),
        violations.join("\n")
    );
}

#[test]
fn a_wrong_edge_is_found_and_explained() {
    for (file, text, edge) in [
        ("transcode/x.rs", "use crate::upstream::Upstream;", "transcode → upstream"),
        ("schema/a/b.rs", "use crate::{error::Error, gateway::{self, Gateway}};", "schema → gateway"),
        ("webhooks/mod.rs", "fn f() { crate::operations::run() }", "webhooks → operations"),
        ("gateway/forward.rs", "use super::super::http::Edge;", "gateway → http"),
        ("gateway/mod.rs", "use super::http::Edge;", "gateway → http"),
        ("http/mod.rs", "use crate::app::App;", "http → app"),
        ("clock.rs", "use crate::error::Error;", "clock → error"),
        ("upstream/call.rs", "use crate::config::{Upstream, Http};", "upstream → config::Http"),
        ("upstream/call.rs", "use crate::config; fn f(_: &config::Http) {}", "upstream → config::Http"),
        ("gateway/mod.rs", "use tonic::Status;", "tonic"),
        ("http/mod.rs", "fn f() -> ::tonic::Status {}", "tonic"),
        ("cli/mod.rs", "let x = std::env::var(NAME);", "std::env"),
        ("cli/mod.rs", "use std::{env, fs};", "std::env"),
        ("schema/mod.rs", "use tokio::sync::Mutex;", "tokio"),
        ("newcomer/mod.rs", "", "newcomer"),
    ] {
        let found = check(Path::new(file), text);
        assert_eq!(found.len(), 1, "{file}: {text}: {found:?}");
        assert!(found[0].edge.contains(edge) && !found[0].reason.is_empty(), "{:?}", found[0]);
    }
}

#[test]
fn what_is_allowed_or_only_written_about_is_not_found() {
    for (file, text) in [
        ("transcode/x.rs", "use crate::schema::Pool; use crate::transcode::Plan; use crate::error::Error;"),
        (
            "transcode/x.rs",
            "//! See [`crate::gateway`].\n/* use tonic::Status; */ const X: &str = \"crate::http::x\";",
        ),
        (
            "transcode/x.rs",
            "const X: &str = r#\"use tonic::Status; \"#; const Q: char = '\"'; fn f<'a>(x: &'a str) {}",
        ),
        (
            "transcode/x.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests { use crate::emulator::Emulator; use tonic::Status; }",
        ),
        ("gateway/tests.rs", "use crate::emulator::Emulator;"),
        ("upstream/call.rs", "use crate::config::{Upstream, Retry}; use tonic::Status;"),
        ("upstream/call.rs", "use crate::config; fn f(_: &config::Upstream) {}"),
        ("config/mod.rs", "mod redis; pub use self::redis::Redis;"),
        ("app.rs", "use crate::{http, cli, emulator};"),
        ("config/source.rs", "use std::{collections::BTreeMap, env};"),
        ("http/mod.rs", "use super::gateway::Gateway; use http::Request; use hyper::Uri;"),
        ("cli/healthcheck.rs", "use hyper::client; use clap::Args;"),
    ] {
        assert_eq!(check(Path::new(file), text), [], "{file}: {text}");
    }
}

/// Finds all source files below a folder.
pub(crate) fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source folder is readable") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Checks one file, given by its path below `src/`.
fn check(file: &Path, text: &str) -> Vec<Violation> {
    let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
    let name = parts.last().copied().unwrap_or_default();
    // What every store must do is told in `contract`, to tests only.
    if name == "tests.rs" || parts.contains(&"tests") || parts.contains(&"contract") {
        return Vec::new();
    }
    let module = parts[0].trim_end_matches(".rs");
    let depth = parts.len() - usize::from(name == "mod.rs");
    let code = production(&without_comments(text));
    let mut paths: Vec<String> = paths(&code);
    paths.retain(|path| path.contains("::"));
    paths.sort_unstable();
    paths.dedup();
    let mut found = Vec::new();
    let mut violation = |edge: String, reason: &str| {
        found.push(Violation { file: file.to_owned(), edge, reason: reason.to_owned() });
    };
    let rule = MODULES.iter().find(|(name, ..)| *name == module);
    if rule.is_none() && !TOP.contains(&module) {
        violation(format!("the module {module} has no place"), "give it a level in tests/it/architecture.rs");
    }
    for edge in paths.iter().filter_map(|path| internal(path, depth)) {
        let target = edge.split("::").next().unwrap_or_default();
        let Some((_, allowed, reason)) = rule else { continue };
        if target != module && !allowed.contains(&target) && is_module(target) {
            violation(format!("{module} → {target}"), reason);
        }
    }
    if let Some((_, own)) = OWN_CONFIG.iter().find(|(name, _)| *name == module) {
        let from_config =
            |path: &str| path.trim_start_matches("crate::").strip_prefix("config::").map(str::to_owned);
        for item in paths.iter().filter_map(|path| from_config(path)) {
            let item = item.split("::").next().unwrap_or_default();
            if !own.contains(&item) {
                violation(
                    format!("{module} → config::{item}"),
                    "a part sees its own section of the configuration only",
                );
            }
        }
    }
    for (word, homes, reason) in HOMES {
        let at_home = homes.iter().any(|home| file.starts_with(home));
        if !at_home && paths.iter().any(|path| begins(path, word)) {
            violation(format!("uses {word}"), reason);
        }
    }
    for (_, words) in PURE.iter().filter(|(name, _)| *name == module) {
        for word in words.iter().filter(|word| paths.iter().any(|path| begins(path, word))) {
            if !HOMES.iter().any(|(home, ..)| home == word) {
                violation(format!("uses {word}"), "this module is pure: no input, no output, no waiting");
            }
        }
    }
    found.dedup();
    found
}

/// Says whether a name is a module of the crate and not a type or macro at its root.
fn is_module(name: &str) -> bool {
    MODULES.iter().any(|(module, ..)| *module == name) || TOP.contains(&name)
}

/// Returns what follows the crate's root in a path, if the path begins there.
fn internal(path: &str, depth: usize) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("crate::") {
        return Some(rest);
    }
    let (mut rest, mut supers) = (path, 0);
    while let Some(inner) = rest.strip_prefix("super::") {
        (rest, supers) = (inner, supers + 1);
    }
    (supers > 0 && supers >= depth).then_some(rest)
}

fn begins(path: &str, word: &str) -> bool {
    path.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Cuts off the unit tests, which stand last in a file and may use what they like.
fn production(code: &str) -> String {
    code.find("#[cfg(test)]\nmod ").map_or(code, |at| &code[..at]).to_owned()
}

/// Blanks out comments, strings and characters, so that what is left is code.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            raw_string(rest)
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && (rest[1..].starts_with('\\') || rest[1..].chars().nth(1) == Some('\'')) {
            quoted(rest, '\'')
        } else {
            0
        };
        if skip == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            out.push(' ');
            rest = &rest[skip..];
        }
    }
    out
}

/// Measures a raw string at the start of `text`; 0 if it is a raw identifier.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 2 + hashes;
    text[start..].find(&end).map_or(text.len(), |at| start + at + end.len())
}

/// Measures a quoted literal at the start of `text`.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Lists every path in the code, groups in braces spelled out: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let starts = c.is_alphabetic() || c == '_' || rest.starts_with("::");
        if starts && !before.is_alphanumeric() && before != '_' && before != ':' && before != '.' {
            let mut cursor = rest.strip_prefix("::").unwrap_or(rest);
            path(&mut cursor, "", &mut found);
            let used = (rest.len() - cursor.len()).max(c.len_utf8());
            before = rest[..used].chars().last().unwrap_or(' ');
            rest = &rest[used..];
        } else {
            before = c;
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// Reads one path, and the groups in it, from the cursor.
fn path(cursor: &mut &str, prefix: &str, found: &mut Vec<String>) {
    let end = cursor.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(cursor.len());
    let (name, rest) = cursor.split_at(end);
    *cursor = rest;
    let here = match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "" | "self") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}::{name}"),
    };
    let Some(rest) = cursor.trim_start().strip_prefix("::") else {
        found.push(here);
        return;
    };
    *cursor = rest.trim_start();
    let Some(rest) = cursor.strip_prefix('{') else {
        if cursor.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            path(cursor, &here, found);
        } else {
            found.push(here);
        }
        return;
    };
    *cursor = rest.trim_start();
    while !cursor.is_empty() && !cursor.starts_with('}') {
        if cursor.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            path(cursor, &here, found);
        }
        let next = cursor.find([',', '}']).unwrap_or(cursor.len());
        *cursor = cursor[next..].trim_start_matches(',').trim_start();
    }
    *cursor = cursor.strip_prefix('}').unwrap_or(cursor);
}
