//! Google's credentials as an operator has them: in files and in the environment of the process. Google's part is played
//! on loopback.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::harness::{self, Answer, Connection, Scripted};

/// What must never be printed.
const SECRETS: [&str; 5] =
    ["ya29.access", "1//refresh", "GOCSPX-client", "callers-own-token", "-----BEGIN PRIVATE"];

/// Gives out tokens: a metadata server, or an endpoint that takes refresh tokens.
struct Tokens {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Tokens {
    fn start(status: u16, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&asked), body.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let start = request.len();
                    let read = stream.read_line(&mut request).unwrap_or(0);
                    let line = request[start..].to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if read == 0 || line == "\r\n" {
                        break;
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                request.push_str(&String::from_utf8(body).unwrap());
                seen.lock().unwrap().push(request);
                let length = answer.len();
                // Whoever asked may be gone.
                let _ = write!(
                    stream.get_mut(),
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
                );
            }
        });
        Self { address, asked }
    }

    fn token() -> Self {
        Self::start(200, r#"{"access_token":"ya29.access","expires_in":3600,"token_type":"Bearer"}"#)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What the process finds in its environment.
    fn metadata_host(&self) -> (&'static str, String) {
        ("GCE_METADATA_HOST", self.address.to_string())
    }

    /// The login of a person whose tokens come from here.
    fn login(&self, name: &str) -> (&'static str, String) {
        let login = json!({
            "type": "authorized_user",
            "client_id": "gcloud",
            "client_secret": "GOCSPX-client",
            "refresh_token": "1//refresh",
            "quota_project_id": "their-project",
            "token_uri": format!("http://{}/token", self.address),
        });
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("causeway-{name}-{}.json", std::process::id()));
        std::fs::write(&path, login.to_string()).unwrap();
        ("GOOGLE_APPLICATION_CREDENTIALS", path.display().to_string())
    }
}

fn causeway(arguments: &[&str], environment: &[(&str, String)]) -> Command {
    let mut command = harness::causeway(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(["--set", "identity.mode=none"]);
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    command
}

fn upstream(key: &str, address: SocketAddr, credentials: &str) -> [String; 4] {
    [
        "--set".to_owned(),
        format!("upstreams.{key}.endpoint=http://{address}"),
        "--set".to_owned(),
        format!("upstreams.{key}.credentials={credentials}"),
    ]
}

/// Runs `check --live` and returns what it printed, all of it.
fn live(more: &[String], environment: &[(&str, String)]) -> (Output, String) {
    let mut arguments = vec!["check", "--live", "--project", "acme-data"];
    arguments.extend(more.iter().map(String::as_str));
    let output = causeway(&arguments, environment).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    no_secret_in(&text);
    (output, text)
}

fn no_secret_in(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}

async fn answering() -> Scripted {
    Scripted::start(|_| Answer::Message(json!({}))).await
}

/// The words of a line, so that the width of columns does not matter.
fn line(text: &str, start: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_machine_of_googles_the_account_of_the_machine_is_used() {
    let (tokens, google) = (Tokens::token(), answering().await);
    let mut settings = upstream("datastream", google.address, "adc").to_vec();
    settings.extend(upstream("bigqueryconnection", google.address, "adc"));
    settings.extend(["--set".to_owned(), "upstreams.bigqueryconnection.quota_project=payer".to_owned()]);
    let (output, text) = live(&settings, &[tokens.metadata_host()]);
    assert!(output.status.success(), "{text}");
    assert!(
        line(&text, "datastream ").starts_with("datastream adc GET /v1/projects/acme-data/locations OK"),
        "{text}"
    );
    assert!(
        line(&text, "bigqueryconnection ")
            .contains("adc GET /v1/projects/acme-data/locations/us-central1/connections OK")
    );

    let calls = google.calls();
    assert_eq!(calls.len(), 2);
    for call in &calls {
        assert_eq!(call.headers["authorization"], "Bearer ya29.access");
        let project = call.headers.get("x-goog-user-project").map(|project| project.to_str().unwrap());
        match call.method.as_str() {
            "google.cloud.location.Locations.ListLocations" => {
                assert_eq!(
                    (&call.request, project),
                    (&json!({"name": "projects/acme-data", "pageSize": 1}), None)
                );
                assert_eq!(call.headers["x-goog-request-params"], "name=projects/acme-data");
            }
            _ => {
                let parent = "projects/acme-data/locations/us-central1";
                assert_eq!(call.request, json!({"parent": parent, "pageSize": 1}));
                assert_eq!(project, Some("payer"));
            }
        }
    }
    for asked in tokens.asked() {
        let asked = asked.to_ascii_lowercase();
        assert!(asked.contains("scopes=https%3a%2f%2fwww.googleapis.com%2fauth%2fcloud-platform"), "{asked}");
        assert!(asked.contains("metadata-flavor: google"), "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_login_is_used_and_pays() {
    let (tokens, google) = (Tokens::token(), answering().await);
    let settings = upstream("datastream", google.address, "adc");
    let (output, text) = live(&settings, &[tokens.login("login")]);
    assert!(output.status.success(), "{text}");
    let up = google.last().headers;
    assert_eq!(up["authorization"], "Bearer ya29.access");
    assert_eq!(up["x-goog-user-project"], "their-project");
    let asked = tokens.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("1//refresh"), "{}", asked[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_has_ended_is_said_with_the_way_out_and_without_its_secrets() {
    let refused = r#"{"error":"invalid_grant","error_description":"Token 1//refresh has been revoked."}"#;
    let (tokens, google) = (Tokens::start(400, refused), answering().await);
    let settings = upstream("datastream", google.address, "adc");
    let (output, text) = live(&settings, &[tokens.login("ended")]);
    assert_eq!(output.status.code(), Some(1));
    for part in
        ["upstreams.datastream: GET /v1/projects", "invalid_grant", "gcloud auth application-default login"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(google.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_accounts_key_signs_for_every_google_service() {
    let google = answering().await;
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/google/service-account.json");
    let settings = upstream("datastream", google.address, "adc");
    let environment = [("GOOGLE_APPLICATION_CREDENTIALS", file.display().to_string())];
    let (output, text) = live(&settings, &environment);
    assert!(output.status.success(), "{text}");
    let authorization = google.last().headers["authorization"].to_str().unwrap().to_owned();
    let claims = authorization.strip_prefix("Bearer ").unwrap().split('.').nth(1).unwrap();
    let claims = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "causeway@acme-data.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
    assert!(!text.contains(&authorization[7..40]), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_upstream_is_told_with_what_to_do() {
    let refusing = Scripted::start(|call| match call.headers.get("authorization") {
        None => Answer::Refuse(16, "Who are you?", Vec::new()),
        Some(_) => Answer::Refuse(7, "API has not been used in project acme-data", Vec::new()),
    })
    .await;
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let token =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("causeway-callers-{}", std::process::id()));
    std::fs::write(&token, "callers-own-token\n").unwrap();

    let (output, text) = live(&upstream("datastream", refusing.address, "none"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("UNAUTHENTICATED: Who are you?") && text.contains(r#"set credentials to "adc""#),
        "{text}"
    );

    let callers = upstream("datastream", refusing.address, "caller");
    let (output, text) = live(&callers, &[]);
    assert!(output.status.success(), "it waits for what callers bring: {text}");
    let mut with_token = callers.to_vec();
    with_token.extend(["--token-file".to_owned(), token.display().to_string()]);
    let (output, text) = live(&with_token, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("PERMISSION_DENIED") && text.contains("Enable the API"), "{text}");
    assert_eq!(refusing.last().headers["authorization"], "Bearer callers-own-token");

    // The token is for those who take callers' credentials, and for nobody else.
    let mut not_theirs = upstream("datastream", refusing.address, "none").to_vec();
    not_theirs.extend(["--token-file".to_owned(), token.display().to_string()]);
    live(&not_theirs, &[]);
    assert!(!refusing.last().headers.contains_key("authorization"));

    let (output, text) = live(&upstream("datastream", nowhere, "none"), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("cannot be reached") && text.contains("upstreams.*.endpoint"), "{text}");

    let missing = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json".to_owned())];
    let (output, text) = live(&upstream("datastream", refusing.address, "adc"), &missing);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("upstreams.datastream.credentials") && text.contains("/nowhere/key.json"),
        "{text}"
    );

    let homeless = upstream("datastream", refusing.address, "none");
    let mut arguments = vec!["check", "--live"];
    arguments.extend(homeless.iter().map(String::as_str));
    let output = causeway(&arguments, &[]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("say --project PROJECT"));
}

/// A `causeway serve` that logs all it can. Killed when dropped.
struct Serve {
    child: Child,
    address: SocketAddr,
    /// Ends with the process, and returns what it logged.
    log: Option<thread::JoinHandle<String>>,
}

impl Serve {
    fn start(settings: &[String], environment: &[(&str, String)]) -> Self {
        let mut arguments =
            vec!["serve", "--set", "http.listen=127.0.0.1:0", "--set", "telemetry.log.filter=trace"];
        arguments.extend(settings.iter().map(String::as_str));
        let mut child = causeway(&arguments, environment).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        let log = thread::spawn(move || {
            let mut log = String::new();
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listen=")
                    && let Some(address) = rest.split_whitespace().next().and_then(|word| word.parse().ok())
                {
                    let _ = found.send(address);
                }
                log.push_str(&line);
                log.push('\n');
            }
            log
        });
        let address = address.recv_timeout(Duration::from_secs(30)).expect("it says where it listens");
        Self { child, address, log: Some(log) }
    }

    /// Ends it and returns its log.
    fn end(mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It has ended already unless the test failed before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_log_has_no_credential() {
    let (tokens, google) = (Tokens::token(), answering().await);
    let mut settings = upstream("datastream", google.address, "adc").to_vec();
    settings.extend(upstream("bigqueryconnection", google.address, "caller"));
    let serve = Serve::start(&settings, &[tokens.login("talkative")]);
    let theirs = [
        ("authorization", "Bearer callers-own-token"),
        ("x-causeway-upstream-authorization", "Bearer callers-own-token-too"),
    ];
    let mut connection = Connection::http1(serve.address).await;
    let own = connection.send("GET", "/v1/projects/p/locations/l/streams", &theirs, "").await;
    assert_eq!(own.status, 200);
    assert_eq!(google.last().headers["authorization"], "Bearer ya29.access");
    let handed_over =
        connection.send("GET", "/v1/projects/p/locations/l/connections?pageSize=1", &theirs, "").await;
    assert_eq!(handed_over.status, 200);
    assert_eq!(google.last().headers["authorization"], "Bearer callers-own-token-too");
    let log = serve.end();
    assert!(log.contains("TRACE"), "it logs what it can");
    no_secret_in(&log);
}

/// The key was spent for a day, on a call that was never made.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_which_there_is_no_token_may_be_repeated_with_its_key() {
    let revoked = r#"{"error":"invalid_grant","error_description":"expired"}"#;
    let (tokens, google) = (Tokens::start(400, revoked), answering().await);
    let settings = upstream("bigqueryconnection", google.address, "adc");
    let serve = Serve::start(&settings, &[tokens.login("repeated")]);
    let mut connection = Connection::http1(serve.address).await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    for _ in 0..2 {
        let target = "/v1/projects/p/locations/l/connections?connectionId=c";
        let refused = connection.send("POST", target, &headers, r#"{"friendlyName": "c"}"#).await;
        refused.refused(503, "UPSTREAM_UNAVAILABLE");
    }
    assert!(google.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_hear_that_there_is_no_token_and_operators_hear_why() {
    let revoked = r#"{"error":"invalid_grant","error_description":"1//refresh has expired"}"#;
    let (tokens, google) = (Tokens::start(400, revoked), answering().await);
    let settings = upstream("datastream", google.address, "adc");
    let serve = Serve::start(&settings, &[tokens.login("revoked")]);
    let mut connection = Connection::http1(serve.address).await;
    let response = connection.send("GET", "/v1/projects/p/locations/l/streams", &[], "").await;
    let message = response.refused(503, "UPSTREAM_UNAVAILABLE");
    for part in ["`datastream`", "no access token", "Nothing was sent", "check --live"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert!(!message.contains("invalid_grant"), "{message}");
    assert_eq!(response.header("retry-after"), "10");
    let ready = connection.send("GET", "/readyz", &[], "").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("datastream"), "{}", ready.text());
    no_secret_in(&response.text());
    assert!(google.calls().is_empty());
    let log = serve.end();
    assert!(log.contains("invalid_grant"), "{log}");
    no_secret_in(&log);
}
