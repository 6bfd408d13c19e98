//! Google's credentials, with a metadata server of our own on loopback.

use std::sync::{Mutex, MutexGuard};

use google_cloud_auth::credentials::mds;
use http::HeaderMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::super::adc::Adc;
use super::super::credentials::Credentials;
use super::*;

/// What the metadata server says next.
#[derive(Clone)]
enum Word {
    Token(&'static str),
    Status(u16, &'static str),
    Nothing,
}

/// A metadata server that says what the test wants.
struct Metadata {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    word: Word,
    asked: Vec<String>,
}

impl Metadata {
    async fn start(word: Word) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { word, asked: Vec::new() }));
        let seen = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&seen)));
            }
        });
        Self { url, state }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn says(&self, word: Word) {
        self.lock().word = word;
    }

    fn asked(&self) -> usize {
        self.lock().asked.len()
    }

    /// Makes an upstream that shows what this server says.
    fn upstream(&self, section: &config::Upstream) -> Arc<Upstream> {
        let url = self.url.clone();
        let make =
            move || mds::Builder::default().with_endpoint(&url).with_scopes(["https://x/scope"]).build();
        let mut upstream = Upstream::build("library", section, Vec::new()).unwrap();
        upstream.credentials = Credentials::Adc(Adc::with(Box::new(make)).unwrap());
        Arc::new(upstream)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    let word = {
        let mut state = state.lock().unwrap();
        state.asked.push(String::from_utf8(request).unwrap());
        state.word.clone()
    };
    let (status, body) = match word {
        Word::Token(token) => {
            (200, format!(r#"{{"access_token":"{token}","expires_in":3600,"token_type":"Bearer"}}"#))
        }
        Word::Status(status, body) => (status, body.to_owned()),
        Word::Nothing => std::future::pending().await,
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
}

/// A server that answers every call, and hands on with what headers it came.
fn noting() -> (Server, mpsc::UnboundedReceiver<HeaderMap>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let server = Server::start(move |_, request| {
        seen.send(request.headers().clone()).unwrap();
        async { ok(b"") }
    });
    (server, requests)
}

/// Lets time pass for whoever waits for it, with sockets as fast as ever.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_call_shows_a_token_which_is_kept_until_it_ends() {
    let metadata = Metadata::start(Word::Token("first")).await;
    let (server, mut requests) = noting();
    let upstream = metadata.upstream(&section(&[&server.url()]));
    for _ in 0..3 {
        upstream.unary(call()).await.unwrap();
        let headers = requests.recv().await.unwrap();
        assert_eq!(headers["authorization"], "Bearer first");
        assert!(!headers.contains_key("x-goog-user-project"));
    }
    assert_eq!(metadata.asked(), 1);
    let asked = metadata.lock().asked[0].to_ascii_lowercase();
    assert!(
        asked.contains("/token?scopes=https%3a%2f%2fx%2fscope ") && asked.contains("metadata-flavor: google"),
        "{asked}"
    );

    metadata.says(Word::Token("second"));
    pass(Duration::from_secs(3601)).await;
    upstream.unary(call()).await.unwrap();
    assert_eq!(requests.recv().await.unwrap()["authorization"], "Bearer second");
    assert_eq!(metadata.asked(), 2);
    assert!(!format!("{upstream:?}").contains("second"));
}

#[tokio::test]
async fn a_crowd_without_a_token_asks_for_one_once() {
    const CROWD: usize = 100;
    let metadata = Metadata::start(Word::Token("first")).await;
    let (server, mut requests) = noting();
    let upstream = metadata.upstream(&section(&[&server.url()]));
    for (token, asked) in [("first", 1), ("second", 2)] {
        metadata.says(Word::Token(token));
        let mut crowd = JoinSet::new();
        for _ in 0..CROWD {
            let upstream = Arc::clone(&upstream);
            crowd.spawn(async move { upstream.unary(call()).await });
        }
        while let Some(answer) = crowd.join_next().await {
            answer.unwrap().unwrap();
            assert_eq!(requests.recv().await.unwrap()["authorization"], format!("Bearer {token}"));
        }
        assert_eq!(metadata.asked(), asked);
        pass(Duration::from_secs(3601)).await;
    }
}

#[tokio::test]
async fn calls_are_billed_to_the_configured_project_and_to_no_callers() {
    let metadata = Metadata::start(Word::Token("t")).await;
    let (server, mut requests) = noting();
    let configured = config::Upstream { quota_project: Some("ours".to_owned()), ..section(&[&server.url()]) };
    for (section, expected) in [(configured, Some("ours")), (section(&[&server.url()]), None)] {
        let of_the_caller =
            server::metadata(&[("x-goog-user-project", "theirs"), ("authorization", "Bearer theirs")]);
        let call = Call {
            metadata: of_the_caller,
            authorization: Some(HeaderValue::from_static("Bearer theirs")),
            ..call()
        };
        metadata.upstream(&section).unary(call).await.unwrap();
        let headers = requests.recv().await.unwrap();
        assert_eq!(headers.get("x-goog-user-project").map(|value| value.to_str().unwrap()), expected);
        assert_eq!(headers["authorization"], "Bearer t");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_only_the_log_hears_why() {
    let metadata = Metadata::start(Word::Status(404, "no account, ya29.leaked here")).await;
    let (server, mut requests) = noting();
    let upstream = metadata.upstream(&config::Upstream {
        breaker: config::Breaker { failures: 1, open_for: NEVER },
        ..section(&[&server.url()])
    });
    for _ in 0..3 {
        let error = upstream.unary(Call { retryable: true, ..call() }).await.unwrap_err();
        assert_eq!(facts(&error), UNAVAILABLE);
        assert_eq!(
            error.message(),
            "Upstream `library` was not called: the gateway has no access token for it \
             (upstreams.library.credentials = \"adc\"). Nothing was sent. Its operator finds the reason in the log, or \
             with `causeway check --live`."
        );
        assert_eq!(error.metadata(), [("upstream", "library".to_owned()), ("credentials", "adc".to_owned())]);
        assert!(error.told().contains("no account"), "{}", error.told());
        assert!(!format!("{error:?} {}", error.told()).contains("leaked"), "{error:?}");
    }
    assert_eq!(
        (server.calls(), metadata.asked()),
        (0, 1),
        "what failed for good is not asked for at each call"
    );
    let health = upstream.health();
    assert_eq!((health.status, health.breaker), (HealthStatus::NoToken, BreakerState::Closed));

    // Somebody mends it, and nobody restarts anything.
    metadata.says(Word::Token("mended"));
    pass(Duration::from_secs(10)).await;
    upstream.unary(call()).await.unwrap();
    assert_eq!(requests.recv().await.unwrap()["authorization"], "Bearer mended");
    assert_eq!(upstream.health().status, HealthStatus::Ready);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_asked_about_again_in_the_background() {
    let metadata = Metadata::start(Word::Status(503, "busy")).await;
    let (server, _requests) = noting();
    let upstream = metadata.upstream(&section(&[&server.url()]));
    assert_eq!(facts(&upstream.unary(call()).await.unwrap_err()), UNAVAILABLE);
    metadata.says(Word::Token("t"));
    pass(Duration::from_secs(11)).await;
    let soon = async {
        while upstream.unary(call()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), soon).await.expect("the token comes without a new credential");
    assert_eq!(metadata.asked(), 2);
}

#[tokio::test]
async fn a_silent_server_of_tokens_holds_up_nobody_else_and_no_call_for_long() {
    let metadata = Metadata::start(Word::Nothing).await;
    let (server, mut requests) = noting();
    let waiting = metadata.upstream(&section(&[&server.url()]));
    let other = upstream(&server.url());
    let call_that_waits = {
        let waiting = Arc::clone(&waiting);
        tokio::spawn(async move { waiting.unary(call()).await })
    };
    while metadata.asked() == 0 {
        tokio::task::yield_now().await;
    }
    other.unary(call()).await.unwrap();
    assert!(!requests.recv().await.unwrap().contains_key("authorization"));

    let hasty = Call { timeout: Some(named(Duration::from_millis(50))), ..call() };
    let error = waiting.unary(hasty).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.message().contains("credentials = \"adc\""), "{error}");

    pass(Duration::from_secs(10)).await;
    let error = call_that_waits.await.unwrap().unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    assert!(error.told().ends_with("no access token within 10s"), "{}", error.told());

    // After a while of silence somebody else is asked, on a new connection.
    metadata.says(Word::Token("late"));
    pass(Duration::from_secs(20)).await;
    waiting.unary(call()).await.unwrap();
    assert_eq!(requests.recv().await.unwrap()["authorization"], "Bearer late");
    assert_eq!(metadata.asked(), 2);
}

#[tokio::test]
async fn a_token_that_the_upstream_refuses_is_replaced_after_a_minute() {
    let metadata = Metadata::start(Word::Token("revoked")).await;
    let server = Server::start(|_, request| {
        let fine = request.headers()["authorization"] == "Bearer fresh";
        async move {
            if fine { ok(b"") } else { status(&[("grpc-status", "16"), ("grpc-message", "wrong audience")]) }
        }
    });
    let upstream = metadata.upstream(&section(&[&server.url()]));
    for _ in 0..2 {
        let error = upstream.unary(call()).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::Unauthenticated, None));
        assert_eq!(
            error.message(),
            "Upstream `library` refused the gateway's own credential (upstreams.library.credentials = \"adc\"), not the \
             caller's: wrong audience"
        );
        assert!(!format!("{error:?} {}", error.told()).contains("revoked"));
    }
    metadata.says(Word::Token("fresh"));
    assert_eq!(upstream.unary(call()).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(metadata.asked(), 1);
    pass(Duration::from_secs(60)).await;
    upstream.unary(call()).await.unwrap();
    assert_eq!(metadata.asked(), 2);
}
