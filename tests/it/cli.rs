//! The commands as people and containers run them: what they print, and what they exit with.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use serde_json::Value;

use crate::{
    harness::{self, Database, attempt},
    tls::fixture,
};

/// How long a line may take to be printed.
const PRINT_TIME_MAX: Duration = Duration::from_secs(20);

const CONNECTION: &str = "google.cloud.bigquery.connection.v1.Connection";

/// Prepares the binary, which is talked to.
fn causeway(arguments: &[&str]) -> Command {
    let mut command = harness::causeway(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    causeway(arguments).output().expect("the binary starts")
}

fn run_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = causeway(arguments).spawn().expect("the binary starts");
    child.stdin.take().expect("it is piped").write_all(input).expect("it reads all of its input");
    child.wait_with_output().expect("it ends")
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where a database that is a file would be.
fn file_of(database: &Database) -> PathBuf {
    database.url.strip_prefix("sqlite://").expect("it is a file").into()
}

/// A `causeway dev` that is killed at the latest when the test ends.
struct Dev {
    child: Child,
    address: SocketAddr,
    /// What it prints after its first line.
    lines: mpsc::Receiver<String>,
}

impl Dev {
    fn start(settings: &[&str]) -> Self {
        let arguments = [&["dev", "--listen", "127.0.0.1:0"], settings].concat();
        let mut child = causeway(&arguments).spawn().expect("the binary starts");
        let mut printed = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let banner = printed.next().expect("it says where it is").expect("its words are text");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let address = banner
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(',').next())
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no address in {banner:?}"));
        Self { child, address, lines }
    }

    /// Waits until it prints a line with these words.
    fn prints(&self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PRINT_TIME_MAX);
            let line = line.unwrap_or_else(|_| panic!("{words:?} is not printed"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Sends SIGTERM and waits for the end.
    fn stop(&mut self) -> Option<i32> {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has ended already unless the test failed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn check_prints_a_line_for_each_path() {
    let output = run(&["check", "--set", "identity.mode=none", "--set", "upstreams.datastream.primary=true"]);
    let text = out(&output);
    assert!(output.status.success(), "{}", err(&output));
    let line = |method: &str| {
        let line = text.lines().find(|line| line.split_whitespace().any(|cell| cell == method));
        line.unwrap_or_else(|| panic!("{method} is not in\n{text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("ConnectionService.GetConnection"),
        "bigqueryconnection GET /v1/{name=projects/*/locations/*/connections/*} ConnectionService.GetConnection read - bigqueryconnection.connections.get"
    );
    assert!(line("ConnectionService.ListConnections").contains(" list - "));
    assert!(line("Datastream.CreateStream").contains(" mutation yes datastream.streams.create"));
    assert!(
        line("Operations.CancelOperation")
            .contains("POST /v1/{name=projects/*/locations/*/operations/*}:cancel")
    );
    assert!(text.contains("\ndatastream          https://datastream.googleapis.com "), "{text}");
    assert!(text.contains("no section: its paths answer 501"), "{text}");
}

#[test]
fn check_shows_what_it_can_and_fails_on_every_problem() {
    let output = run(&[
        "check",
        "--set",
        "http.lisen=1",
        "--set",
        "upstreams.datastream.credentials=token",
        "--set",
        "upstreams.datastream.token_file=/nowhere/token",
        "--set",
        "upstreams.spanner.tls.ca_file=/nowhere/ca.pem",
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out(&output).contains("ConnectionService.GetConnection"));
    for problem in
        ["identity.mode: missing", "did you mean http.listen?", "/nowhere/token", "/nowhere/ca.pem"]
    {
        assert!(err(&output).contains(problem), "{problem} is not in\n{}", err(&output));
    }
    assert!(err(&output).contains("4 problems found"), "{}", err(&output));
}

#[test]
fn check_refuses_what_serve_refuses_for_want_of_a_database() {
    for settings in [
        &["--set", "identity.mode=keys"][..],
        &["--set", "identity.mode=none", "--set", "redis.url=redis://127.0.0.1:1"],
    ] {
        for command in ["check", "serve"] {
            let output = run(&[&[command, "--set", "http.listen=127.0.0.1:0"][..], settings].concat());
            assert_eq!(output.status.code(), Some(1), "{command} {settings:?}");
            assert!(err(&output).contains("database.url: missing; keys"), "{command}: {}", err(&output));
        }
    }
    let output = run(&["check", "--set", "identity.mode=keys", "--set", "database.url=causeway.db"]);
    assert_eq!(err(&output).matches("database.url:").count(), 1, "{}", err(&output));
    let found = run(&["check", "--set", "identity.mode=keys", "--set", "database.url=sqlite://causeway.db"]);
    assert!(found.status.success(), "{}", err(&found));
}

#[test]
fn check_and_openapi_refuse_paths_and_events_that_serve_refuses() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let rules = folder.join("trespassing.yaml");
    let text = "http:
  rules:
  - selector: google.longrunning.Operations.GetOperation
    get: /v1/{name=projects/*/operations/*}
    additional_bindings:
    - get: /metrics
    - custom: { kind: HEAD, path: /healthz }
    - get: /own/{name=**}
  - selector: google.longrunning.Operations.DeleteOperation
    delete: /own/{name=**}
causeway:
  rules:
  - selector: google.longrunning.Operations.DeleteOperation
    tells: thing.deleted
";
    std::fs::write(&rules, text).unwrap();
    let rules = rules.display();
    let database = folder.join(format!("trespassing-{}.db", std::process::id()));
    let settings = [
        "identity.mode=none".to_owned(),
        "http.listen=127.0.0.1:0".to_owned(),
        format!("database.url=sqlite://{}", database.display()),
        r#"upstreams.own={ endpoint = "http://127.0.0.1:1", services = ["google.longrunning.Operations"] }"#
            .to_owned(),
        format!("upstreams.own.service_config={rules}"),
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let get = "upstreams.own: google.longrunning.Operations.GetOperation";
    for command in ["check", "openapi", "serve"] {
        let output = run(&[&[command][..], &settings].concat());
        assert_eq!(output.status.code(), Some(1), "{command}");
        for path in ["GET /v1/{name=projects/*/operations/*}", "GET /metrics", "HEAD /healthz"] {
            let told = format!(
                "{get}: {path} is a path of the gateway itself; give it another by an http rule in {rules}"
            );
            assert!(err(&output).contains(&told), "{command}: {told} is not in\n{}", err(&output));
        }
        let told = format!(
            "{rules}: line 13: google.longrunning.Operations.DeleteOperation: tells: \"thing.deleted\" is no type of event"
        );
        for told in [&*told, "name one of connection.created, connection.updated, connection.deleted"] {
            assert!(err(&output).contains(told), "{command}: {told} is not in\n{}", err(&output));
        }
        assert!(!err(&output).contains("/own/"), "{command}: {}", err(&output));
    }
    assert!(!database.exists(), "serve has made a database for what it does not serve");
}

#[test]
fn check_notes_what_serve_warns_of() {
    let endpoint = "upstreams.spanner.endpoint=http://127.0.0.1:1";
    let tls = "upstreams.spanner.tls.domain=spanner.example.com";
    let output = run(&["check", "--set", "identity.mode=none", "--set", endpoint, "--set", tls]);
    assert!(output.status.success(), "{}", err(&output));
    let told = "\nnote: upstreams.spanner.tls: has no effect: no endpoint is https://\n";
    assert!(out(&output).contains(told), "{}", out(&output));
}

#[test]
fn check_reads_the_certificate_that_serve_would_show() {
    let with = |command: &str, certificate: &str, key: &str| {
        let [certificate, key] = [("certificate", certificate), ("key", key)]
            .map(|(setting, file)| format!("http.tls.{setting}={file}"));
        let common = ["--set", "identity.mode=none", "--set", "http.listen=127.0.0.1:0"];
        run(&[&[command][..], &common, &["--set", &certificate, "--set", &key]].concat())
    };
    let junk = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for command in ["check", "serve"] {
        let refused = with(command, junk, junk);
        assert_eq!(refused.status.code(), Some(1), "{command}");
        let why = format!("http.tls.certificate: {junk}: holds no PEM certificate");
        assert!(err(&refused).contains(&why), "{command}: {}", err(&refused));
        assert!(!err(&refused).contains("request id"), "{command}: {}", err(&refused));
    }
    let right = with("check", &fixture("localhost.crt"), &fixture("localhost.key"));
    assert!(right.status.success(), "{}", err(&right));
}

#[test]
fn check_names_the_upstreams_to_who_asks_for_another() {
    let output = run(&["check", "--set", "identity.mode=none", "--upstream", "datastraem"]);
    assert_eq!((output.status.code(), out(&output)), (Some(1), String::new()));
    for told in ["--upstream datastraem", "bigqueryconnection, datastream,", "Did you mean datastream?"] {
        assert!(err(&output).contains(told), "{told} is not in\n{}", err(&output));
    }
    for known in ["datastream", "library"] {
        let library = r#"upstreams.library={ endpoint = "http://127.0.0.1:1", services = ["google.longrunning.Operations"] }"#;
        let output = run(&["check", "--set", "identity.mode=none", "--set", library, "--upstream", known]);
        assert!(!err(&output).contains("--upstream"), "{}", err(&output));
    }
}

#[test]
fn check_tells_a_mistake_once() {
    let output = run(&[
        "check",
        "--set",
        "identity.mode=none",
        "--set",
        "upstreams.library.endpoint=http://127.0.0.1:1",
    ]);
    assert!(err(&output).contains("1 problem found"), "{}", err(&output));
    assert_eq!(err(&output).matches("upstreams.library.services").count(), 1, "{}", err(&output));

    let output = run(&["check", "--config", "/nowhere/causeway.toml", "--upstream", "library"]);
    assert!(err(&output).contains("/nowhere/causeway.toml"), "{}", err(&output));
    assert!(err(&output).contains("1 problem found"), "{}", err(&output));
}

#[test]
fn check_print_hides_secrets() {
    let output = run(&[
        "check",
        "--print",
        "--set",
        "identity.mode=none",
        "--set",
        "upstreams.datastream.credentials=token",
        "--set",
        "upstreams.datastream.token=hunter2",
    ]);
    assert!(output.status.success(), "{}", err(&output));
    assert!(out(&output).contains("token = \"<hidden>\""), "{}", out(&output));
    assert!(!out(&output).contains("hunter2"));
}

#[test]
fn serve_refuses_to_serve_others_without_authentication() {
    let output = run(&["serve", "--set", "identity.mode=none", "--set", "http.listen=0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("http.listen: 0.0.0.0:0 is not loopback"), "{}", err(&output));
    let output = run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("identity.mode"), "{}", err(&output));
}

#[test]
fn a_development_gateway_is_healthy_until_it_is_told_to_stop() {
    let mut dev = Dev::start(&[]);
    let url = format!("http://{}", dev.address);
    let healthy = run(&["healthcheck", "--url", &url]);
    assert!(healthy.status.success(), "{}", err(&healthy));
    assert_eq!(dev.stop(), Some(0));
    let gone = run(&["healthcheck", "--url", &url]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(err(&gone).contains("/healthz"), "{}", err(&gone));
}

/// What was to be tried of an upstream's sample data was printed also where the upstream was somebody's own.
#[test]
fn a_development_gateway_advises_what_can_be_had() {
    let tries = |settings: &[&str]| {
        let dev = Dev::start(settings);
        dev.prints("Try:");
        let advice = std::iter::from_fn(|| Some(dev.prints("")).filter(|line| !line.is_empty()));
        advice.collect::<Vec<_>>().join("\n")
    };
    let all = tries(&[]);
    for sample in ["/streams?", ":overview", "/databaseOperations?", "/connections?"] {
        assert!(all.contains(sample), "{sample} is not in\n{all}");
    }
    let fewer = tries(&["--set", "upstreams.spanner.endpoint=http://127.0.0.1:1"]);
    assert!(fewer.contains("/streams?") && !fewer.contains("/databaseOperations"), "{fewer}");
}

#[tokio::test]
async fn a_development_gateway_has_a_receiver_that_verifies_and_prints() {
    let dev = Dev::start(&[]);
    let advice = dev.prints(r#""secret": "#);
    let wish = advice.split('\'').nth(1).expect("the body is quoted").to_owned();
    let post = async |target: &str, body: String| {
        let sent = attempt(dev.address, "POST", target, &[("content-type", "application/json")], body).await;
        sent.expect("it answers").json()
    };
    let made: Value = post("/v1/projects/acme-data/webhookEndpoints", wish).await;
    let endpoint = made["name"].as_str().expect("it is made").to_owned();
    let ping = post(&format!("/v1/{endpoint}:ping"), String::new()).await;
    let id = ping["event"].as_str().and_then(|event| event.rsplit('/').next()).expect("it has an event");
    dev.prints(&format!("webhook {id}: signature is right"));
    let body: Value = serde_json::from_str(dev.prints("{").trim()).expect("what came is printed");
    assert_eq!((&body["type"], &body["data"]["webhookEndpoint"]), (&"ping".into(), &made["name"]));
}

#[test]
fn a_development_gateway_says_when_its_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let output = run(&["dev", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("is taken by another process"), "{}", err(&output));
    assert!(err(&output).contains("--listen 127.0.0.1:0"), "{}", err(&output));
}

#[test]
fn a_health_check_gives_up_on_a_gateway_that_does_not_answer() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let output = run(&["healthcheck", "--url", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("does not answer within 3 s"), "{}", err(&output));
}

#[test]
fn transcode_goes_both_ways_and_names_what_is_wrong() {
    let json = br#"{"friendlyName": "sales", "cloudSql": {"type": "POSTGRES"}}"#;
    let binary = run_with_input(&["transcode", "--message", CONNECTION, "--to", "binary"], json);
    assert!(binary.status.success(), "{}", err(&binary));
    let back = run_with_input(&["transcode", "--message", CONNECTION, "--to", "json"], &binary.stdout);
    assert_eq!(out(&back), "{\"friendlyName\":\"sales\",\"cloudSql\":{\"type\":\"POSTGRES\"}}\n");

    let unknown =
        run_with_input(&["transcode", "--message", CONNECTION, "--to", "binary"], br#"{"freindlyName": 1}"#);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("friendlyName"), "{}", err(&unknown));
    let typo = run(&["transcode", "--message", &CONNECTION.replace("nn", "n"), "--to", "json"]);
    assert_eq!(typo.status.code(), Some(1));
    assert!(err(&typo).contains(&format!("did you mean {CONNECTION}?")), "{}", err(&typo));
}

#[test]
fn migrate_brings_an_empty_database_up_to_date() {
    let database = Database::sqlite();
    File::create(file_of(&database)).expect("its folder is there");
    let with = |more: &[&str]| {
        let setting = database.setting();
        let mut arguments = vec!["migrate", "--set", &setting];
        arguments.extend(more);
        run(&arguments)
    };
    let lacking = with(&["--status"]);
    assert!(!lacking.status.success() && out(&lacking).contains("0001_journal "), "{}", out(&lacking));
    let done = with(&[]);
    assert!(
        done.status.success() && out(&done).starts_with("applied 0001_journal"),
        "{}{}",
        out(&done),
        err(&done)
    );
    assert_eq!(out(&with(&[])), "up to date\n");
    assert!(with(&["--status"]).status.success());
    assert!(err(&run(&["migrate"])).contains("database.url is not set"));
}

#[test]
fn whoever_only_reads_makes_no_database_of_a_path_with_a_slip_in_it() {
    let database = Database::sqlite();
    let (file, setting) = (file_of(&database), database.setting());
    for command in [
        &["migrate", "--status"][..],
        &["audit", "verify"],
        &["audit", "export"],
        &["keys", "list"],
        &["keys", "revoke", "4f0c9s8d7a6b"],
    ] {
        let output = run(&[command, &["--set", &setting]].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let why = format!("there is no file {}", file.display());
        let told = err(&output);
        assert!(told.contains("database.url: ") && told.contains(&why), "{command:?}: {told}");
        assert!(!file.exists(), "{command:?}");
    }
    assert!(run(&["migrate", "--set", &setting]).status.success() && file.exists());
}

/// SQLite said no more than that it cannot open the file.
#[test]
fn whoever_makes_a_database_hears_that_its_folder_is_not_there() {
    let setting = "database.url=sqlite:///nowhere/at/all/causeway.db";
    let told = err(&run(&["migrate", "--set", setting]));
    assert!(told.contains("database.url: ") && told.contains("there is no folder /nowhere/at/all"), "{told}");
}

#[test]
fn whoever_verifies_a_log_without_its_key_or_schema_hears_what_to_do_and_makes_none() {
    let database = Database::sqlite();
    File::create(file_of(&database)).expect("its folder is there");
    let verify = || err(&run(&["audit", "verify", "--set", &database.setting()]));
    assert!(verify().contains("the schema lacks 0001_journal"), "{}", verify());
    assert!(verify().contains("run `causeway migrate`"), "{}", verify());
    assert!(run(&["migrate", "--set", &database.setting()]).status.success());
    // Twice: the first one made a key, and the second was content with it.
    for _ in 0..2 {
        assert!(verify().contains("secrets.key is not set"), "{}", verify());
    }
}

/// It was told of a table, which is nothing that it could do something about.
#[tokio::test]
async fn whoever_exports_a_log_that_was_never_made_hears_what_to_do_and_that_of_another_version_is_read() {
    let database = Database::sqlite();
    File::create(file_of(&database)).expect("its folder is there");
    let export = || run(&["audit", "export", "--set", &database.setting()]);
    let refused = export();
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("run `causeway migrate`"), "{}", err(&refused));
    assert!(run(&["migrate", "--set", &database.setting()]).status.success());
    for change in [
        "DELETE FROM schema_migrations WHERE number > 1",
        "UPDATE schema_migrations SET number = 99, name = '0099_future'",
    ] {
        database.execute(change).await;
        let read = export();
        assert!(read.status.success() && read.stdout.is_empty(), "{change}: {}", err(&read));
    }
}

#[tokio::test]
async fn a_fault_is_told_by_its_cause_alone_and_once() {
    let database = Database::sqlite();
    assert!(run(&["migrate", "--set", &database.setting()]).status.success());
    database.execute("DROP TABLE generated_secrets").await;
    let output = run(&["audit", "verify", "--set", &database.setting()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(err(&output).matches("no such table").count(), 1, "{}", err(&output));
    assert!(!err(&output).contains("request id"), "{}", err(&output));
}

#[test]
fn a_database_server_that_is_not_there_is_said_to_refuse() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("it is bound");
    let setting = format!("database.url=postgres://causeway@{nobody}/causeway");
    let output = run(&["migrate", "--status", "--set", &setting]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("Connection refused"), "{}", err(&output));
}

#[test]
fn a_database_that_lacks_migrations_is_not_served_from() {
    let database = Database::sqlite();
    let output = run(&[
        "serve",
        "--set",
        "identity.mode=none",
        "--set",
        &database.setting(),
        "--set",
        "database.migrate=false",
    ]);
    assert!(!output.status.success());
    assert!(err(&output).contains("run `causeway migrate`"), "{}", err(&output));
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let database = Database::sqlite();
    let setting = database.setting();
    let keys = |arguments: &[&str]| {
        let all: Vec<&str> =
            ["keys"].into_iter().chain(arguments.iter().copied()).chain(["--set", &setting]).collect();
        run(&all)
    };
    let create = ["create", "--principal", "alice", "--role", "editor", "--resources", "projects/acme-*"];
    let made = keys(&[&create[..], &["--expires", "90d", "--note", "for the story"]].concat());
    assert!(made.status.success(), "{}", err(&made));
    let text = out(&made);
    let key = text.lines().last().expect("the key comes last");
    assert!(key.starts_with("cw_") && key.len() == 54, "{text}");
    let id = key.split('_').nth(1).expect("an id");

    let listed = out(&keys(&["list"]));
    assert!(listed.contains(id) && listed.contains("alice") && listed.contains("active"), "{listed}");
    assert!(!listed.contains(&key[16..]), "{listed}");
    assert!(!out(&keys(&["list", "--principal", "bob"])).contains(id));

    let whole = keys(&["revoke", key]);
    assert!(!whole.status.success() && !err(&whole).contains(&key[16..]), "{}", err(&whole));
    assert!(keys(&["revoke", &format!("apiKeys/{id}")]).status.success());
    assert!(out(&keys(&["list"])).contains("revoked"));
    assert!(!keys(&["revoke", "nobody"]).status.success());
    for wrong in [
        &["--role", "root"][..],
        &["--resources", "/projects/"],
        &["--principal", "anonymous"],
        &["--expires", "tomorrow"],
        &["--expires", "2001-01-01T00:00:00Z"],
    ] {
        let mut arguments = create.to_vec();
        for pair in wrong.chunks(2) {
            match arguments.iter().position(|argument| *argument == pair[0]) {
                Some(at) => arguments[at + 1] = pair[1],
                None => arguments.extend(pair),
            }
        }
        let refused = keys(&arguments);
        assert!(!refused.status.success() && out(&refused).is_empty(), "{wrong:?}: {}", out(&refused));
    }
    let nowhere = run(&["keys", "list"]);
    assert!(!nowhere.status.success() && err(&nowhere).contains("database.url"), "{}", err(&nowhere));
}

#[test]
fn a_gateway_that_asks_for_keys_needs_somewhere_to_keep_them() {
    let output = run(&["serve", "--set", "identity.mode=keys", "--set", "http.listen=127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("database.url: missing"), "{}", err(&output));
}

/// What a gateway says until it listens, with records in this file.
fn said_at_start(file: &Path, more: &[&str]) -> String {
    let url = format!("database.url=sqlite://{}", file.display());
    let common = ["serve", "--set", "identity.mode=none", "--set", "http.listen=127.0.0.1:0", "--set", &url];
    let mut child = causeway(&[&common, more].concat()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok) {
        said.push_str(&line);
        said.push('\n');
        if line.contains("listening") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said
}

/// Whoever set a key, as the gateway asks for, heard nothing of the one before, and what that had encrypted was lost.
#[test]
fn who_sets_a_key_hears_of_the_one_that_was_made_before() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("causeway.db");
    let key = format!("secrets.key={}=", "A".repeat(43));
    let warned = |said: &str| said.contains("keeps a generated key that is not in secrets.old_keys");
    let fresh = folder.join("fresh.db");
    assert!(!warned(&said_at_start(&fresh, &["--set", &key])), "there was none before");
    let before = said_at_start(&file, &[]);
    assert!(before.contains("secrets.key is not set") && !warned(&before), "{before}");
    let after = said_at_start(&file, &["--set", &key]);
    assert!(warned(&after), "{after}");
    std::fs::remove_dir_all(folder).unwrap();
}
