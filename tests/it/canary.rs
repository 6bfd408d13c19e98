//! A canary in every secret field of every request: it reaches the upstream, and nothing else ever holds it.

use std::{
    io::Read as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use causeway::{
    app,
    config::{Config, Sources},
    schema::{Body, Catalog, Method},
};
use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage as _, Value as Field};
use serde_json::Value;
use sqlx::Row as _;

use crate::harness::{Answer, Connection, Database, Scripted, causeway, pool};

const CANARY: &str = "kanarienvogel7391";
/// How long a gateway may take until it listens.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// A gateway that logs everything, in a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(database: &Database, upstream: &Scripted) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = causeway(&[
            "serve",
            "--set",
            "identity.mode=none",
            "--set",
            "telemetry.log.filter=trace,h2=info,hyper=info",
        ]);
        command.args(["--set", &format!("http.listen={port}"), "--set", &database.setting()]);
        for key in ["bigqueryconnection", "datastream"] {
            command.args(["--set", &format!("upstreams.{key}.endpoint=http://{}", upstream.address)]);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, address: port }
    }

    /// Ends it, and returns its log.
    fn log(mut self, reader: std::thread::JoinHandle<String>) -> String {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.child.wait().unwrap();
        reader.join().unwrap()
    }
}

fn catalog() -> Catalog {
    let sources = Sources { set: vec!["identity.mode=none".to_owned()], ..Sources::default() };
    let mut config = Config::load(sources).config;
    config.upstreams.clear();
    app::catalog(&config).unwrap()
}

/// Puts the canary where a path of original names leads, through lists and maps.
fn put(message: &mut DynamicMessage, path: &str) {
    let (first, rest) = path.split_once('.').map_or((path, ""), |(first, rest)| (first, rest));
    let field = message.descriptor().get_field_by_name(first).expect(path);
    let inner = |descriptor: &MessageDescriptor| {
        let mut inner = DynamicMessage::new(descriptor.clone());
        if rest.is_empty() {
            fill(&mut inner, 0);
        } else {
            put(&mut inner, rest);
        }
        Field::Message(inner)
    };
    let value = |kind: &Kind| match kind {
        Kind::Message(descriptor) => inner(descriptor),
        Kind::String => Field::String(CANARY.to_owned()),
        Kind::Bytes => Field::Bytes(CANARY.into()),
        other => other.default_value(),
    };
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { panic!("a map has entries") };
        let key = match entry.map_entry_key_field().kind() {
            Kind::String => MapKey::String("k".to_owned()),
            _ => MapKey::I32(1),
        };
        let map = [(key, value(&entry.map_entry_value_field().kind()))];
        message.set_field(&field, Field::Map(map.into_iter().collect()));
    } else if field.is_list() {
        message.set_field(&field, Field::List(vec![value(&field.kind())]));
    } else {
        message.set_field(&field, value(&field.kind()));
    }
}

/// Puts the canary into every text of a message that is secret as a whole.
fn fill(message: &mut DynamicMessage, depth: usize) {
    for field in message.descriptor().fields() {
        if field.is_map() || field.is_list() {
            continue;
        }
        match field.kind() {
            Kind::String => message.set_field(&field, Field::String(CANARY.to_owned())),
            Kind::Bytes => message.set_field(&field, Field::Bytes(CANARY.into())),
            Kind::Message(inner) if depth < 4 && field.containing_oneof().is_none() => {
                let mut value = DynamicMessage::new(inner);
                fill(&mut value, depth + 1);
                message.set_field(&field, Field::Message(value));
            }
            _ => {}
        }
    }
}

/// The requests of a method: one for each secret field, with verb, path and body.
fn requests(catalog: &Catalog, method: &Method) -> Vec<(String, String, Value)> {
    let name = &catalog.pool.message(method.input).full_name;
    let descriptor = pool().get_message_by_name(name).expect("embedded");
    let binding = &method.bindings[0];
    let template = binding.template.to_string();
    // `{a.b=projects/*}` becomes `projects/x`, `{a}` becomes `x`.
    let mut path = String::new();
    for part in template.split('{') {
        match part.split_once('}') {
            Some((variable, rest)) => {
                path.push_str(variable.split_once('=').map_or("*", |(_, pattern)| pattern));
                path.push_str(rest);
            }
            None => path.push_str(part),
        }
    }
    let path = path.replace("**", "x").replace('*', "x");
    let mut all = Vec::new();
    for secret in &method.secret_fields {
        let mut message = DynamicMessage::new(descriptor.clone());
        put(&mut message, secret);
        let json = serde_json::to_value(&message).expect("a message prints as JSON");
        let body = match &binding.body {
            Body::All => json,
            Body::Field(field) => {
                let field = descriptor.get_field_by_name(field).expect("a body field");
                json.get(field.json_name()).cloned().unwrap_or_default()
            }
            Body::None => continue,
        };
        if body.to_string().contains(CANARY) {
            all.push((binding.verb.clone(), path.clone(), body));
        }
    }
    all
}

/// Replaces the canary by something of another type that holds it.
fn wrong(body: &Value) -> Value {
    match body {
        Value::String(text) if text == CANARY => serde_json::json!([{ CANARY: CANARY }]),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), wrong(value))).collect(),
        Value::Array(items) => items.iter().map(wrong).collect(),
        other => other.clone(),
    }
}

async fn everything_kept(database: &Database) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(path) = database.url.strip_prefix("sqlite://") {
        for end in ["", "-wal"] {
            if let Ok(mut file) = std::fs::File::open(format!("{path}{end}")) {
                file.read_to_end(&mut kept).unwrap();
            }
        }
        return kept;
    }
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    for table in
        ["journal", "audit_entries", "audit_seals", "idempotency_keys", "generated_secrets", "instances"]
    {
        let rows =
            sqlx::query(sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"))).fetch_all(&pool).await;
        for row in rows.unwrap() {
            kept.extend_from_slice(row.get::<String, _>(0).as_bytes());
        }
    }
    kept
}

fn holds(haystack: &[u8]) -> bool {
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = base64_simd::STANDARD.encode_to_string(CANARY);
    [CANARY.as_bytes(), hex.as_bytes(), &base64.as_bytes()[..16]]
        .iter()
        .any(|needle| haystack.windows(needle.len()).any(|window| window == *needle))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_kept_or_told() {
    let catalog = catalog();
    let methods: Vec<&Method> = catalog.methods.iter().filter(|m| !m.server_streaming).collect();
    let requests: Vec<_> = methods
        .iter()
        .filter(|method| ["bigqueryconnection", "datastream"].contains(&&*method.upstream))
        .flat_map(|method| requests(&catalog, method))
        .collect();
    assert!(requests.len() > 60, "only {} secret fields found", requests.len());
    for database in Database::each().await {
        // It refuses, so that the refusal is kept for the key.
        let upstream = Scripted::start(|_| Answer::Refuse(9, "not now", Vec::new())).await;
        let mut process = Process::start(&database, &upstream);
        let mut stderr = process.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut log = Vec::new();
            stderr.read_to_end(&mut log).unwrap();
            String::from_utf8_lossy(&log).into_owned()
        });
        let listens = async {
            while tokio::net::TcpStream::connect(process.address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(START_TIME_MAX, listens).await.expect("the gateway listens in time");
        let mut connection = Connection::http1(process.address).await;
        for (n, (verb, path, body)) in requests.iter().enumerate() {
            let key = format!("k{n}");
            let headers = [("content-type", "application/json"), ("idempotency-key", &*key)];
            for body in [
                body.to_string(),
                wrong(body).to_string(),
                body.to_string().replacen('{', r#"{"nope":1,"#, 1),
            ] {
                let answer = connection.send(verb, path, &headers, body.clone()).await;
                assert!(!holds(&answer.body), "{verb} {path} {body}: {}", answer.text());
            }
        }
        let seen = upstream.calls().iter().filter(|call| call.request.to_string().contains(CANARY)).count();
        assert!(seen > requests.len() / 2, "the upstream saw {seen} of {}", requests.len());
        let entries = connection.send("GET", "/v1/auditEntries?pageSize=1000", &[], "").await;
        assert!(entries.text().contains("\"request\""), "requests are kept, without what is secret");
        assert!(!holds(&entries.body), "the audit log tells it");
        assert!(!holds(&connection.send("GET", "/metrics", &[], "").await.body), "the metrics tell it");
        let log = process.log(reader);
        assert!(log.len() > 1000, "it logs");
        assert!(!holds(log.as_bytes()), "the log tells it");
        assert!(!holds(&everything_kept(&database).await), "{} keeps it", database.url);
    }
}
