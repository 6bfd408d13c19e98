//! Stories about a far side that means ill, on real sockets.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use super::{Answer, Egress, Fault, Message, Policy, Resolve, Resolved, Roots, Rule, Target};

/// Names with addresses that a story sets.
#[derive(Default)]
struct Names(Mutex<Vec<IpAddr>>);

impl Names {
    fn set(&self, addresses: &[&str]) {
        *self.0.lock().unwrap() = addresses.iter().map(|address| address.parse().unwrap()).collect();
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
        let addresses = self.0.lock().unwrap().clone();
        let answer = if addresses.is_empty() { Err(io::Error::other("no such name")) } else { Ok(addresses) };
        Box::pin(async move { answer })
    }
}

/// A far side that does the same with every connection.
struct Far {
    address: SocketAddr,
    connections: Arc<Mutex<usize>>,
    _task: JoinSet<()>,
}

impl Far {
    async fn play<F>(script: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(0));
        let (count, mut task) = (connections.clone(), JoinSet::new());
        task.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                *count.lock().unwrap() += 1;
                let play = script(stream);
                peers.spawn(async move { drop(play.await) });
            }
        });
        Self { address, connections, _task: task }
    }

    /// Answers every request on a connection with these bytes.
    async fn says(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<Vec<u8>> = Arc::new(answer.into());
        Self::play(move |mut stream| {
            let answer = answer.clone();
            async move {
                while read_request(&mut stream).await?.is_some() {
                    stream.write_all(&answer).await?;
                }
                Ok(())
            }
        })
        .await
    }
}

/// Reads a request with a body of two bytes.
async fn read_request(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> io::Result<Option<String>> {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n{}") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(None);
        }
        read.push(byte[0]);
    }
    Ok(Some(String::from_utf8(read).unwrap()))
}

fn loopback() -> Policy {
    Policy { allow: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true }
}

fn egress(policy: Policy, names: &Arc<Names>, roots: &Roots) -> Egress {
    Egress::new(policy, names.clone(), roots, Duration::from_millis(1500)).unwrap()
}

fn message() -> Message {
    Message { method: Method::POST, headers: HeaderMap::new(), body: Bytes::from_static(b"{}") }
}

async fn send(far: &Far) -> Result<Answer, Fault> {
    let egress = egress(loopback(), &Arc::default(), &Roots::Only(Vec::new()));
    let target = Target::parse(&format!("http://{}/hook?a=b", far.address), egress.policy()).unwrap();
    egress.send(&target, message()).await
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_message_arrives_and_the_connection_is_used_again() {
    let far = Far::says(OK).await;
    let egress = egress(loopback(), &Arc::default(), &Roots::Only(Vec::new()));
    let target = Target::parse(&format!("http://{}/hook", far.address), egress.policy()).unwrap();
    for _ in 0..3 {
        let answer = egress.send(&target, message()).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"ok"[..]));
    }
    assert_eq!(*far.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_name_is_judged_again_at_each_attempt() {
    let far = Far::says(OK).await;
    let names = Arc::new(Names::default());
    let policy = Policy { allow: vec!["127.0.0.1/32".parse().unwrap()], allow_http: true };
    let egress = egress(policy, &names, &Roots::Only(Vec::new()));
    let target =
        Target::parse(&format!("http://hook.test:{}/", far.address.port()), egress.policy()).unwrap();
    names.set(&["127.0.0.1"]);
    assert_eq!(egress.send(&target, message()).await.unwrap().status, 200);
    for rebound in [&["10.0.0.1"][..], &["127.0.0.1", "169.254.169.254"], &["127.0.0.2"], &["::1"]] {
        names.set(rebound);
        match egress.send(&target, message()).await {
            Err(Fault::Refused(refusal)) => assert_eq!(refusal.rule, Rule::Address, "{rebound:?}"),
            other => panic!("{rebound:?}: {other:?}"),
        }
    }
    names.set(&["8.8.8.8"]);
    let refused = egress.send(&target, message()).await.unwrap_err();
    assert!(
        matches!(refused, Fault::Refused(refusal) if refusal.rule == Rule::Port),
        "a public host, an odd port"
    );
    names.set(&[]);
    assert!(matches!(egress.send(&target, message()).await, Err(Fault::Dns(_))));
}

#[tokio::test]
async fn the_name_goes_into_the_host_header() {
    let heard = Arc::new(Mutex::new(String::new()));
    let ear = heard.clone();
    let far = Far::play(move |mut stream| {
        let ear = ear.clone();
        async move {
            *ear.lock().unwrap() = read_request(&mut stream).await?.unwrap_or_default();
            stream.write_all(OK.as_bytes()).await
        }
    })
    .await;
    let names = Arc::new(Names::default());
    names.set(&["127.0.0.1"]);
    let egress = egress(loopback(), &names, &Roots::Only(Vec::new()));
    let port = far.address.port();
    let target = Target::parse(&format!("http://Hook.Test:{port}/a?b"), egress.policy()).unwrap();
    egress.send(&target, message()).await.unwrap();
    let heard = heard.lock().unwrap().to_ascii_lowercase();
    assert!(heard.starts_with("post /a?b http/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("host: hook.test:{port}\r\n")), "{heard}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_follows_it() {
    let far =
        Far::says("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n")
            .await;
    assert_eq!(send(&far).await.unwrap().status, 302);
}

#[tokio::test]
async fn an_old_server_is_understood() {
    let far = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nok").await
    })
    .await;
    assert_eq!(&send(&far).await.unwrap().body[..], b"ok");
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_status_counts() {
    let far = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    })
    .await;
    let answer = send(&far).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, super::limits::ANSWER_BYTES_MAX));
}

#[tokio::test]
async fn a_body_that_never_ends_costs_its_share_of_the_time() {
    let far = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 500 Oh\r\ncontent-length: 9\r\n\r\nx").await?;
        std::future::pending().await
    })
    .await;
    let egress =
        Egress::new(loopback(), Arc::new(Names::default()), &Roots::Only(Vec::new()), Duration::from_secs(5))
            .unwrap();
    let target = Target::parse(&format!("http://{}/", far.address), egress.policy()).unwrap();
    let answer = egress.send(&target, message()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (500, &b"x"[..]));
}

#[tokio::test]
async fn an_endless_head_or_a_flood_of_interim_answers_is_no_answer() {
    let flood = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        loop {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
    })
    .await;
    assert_eq!(send(&flood).await.unwrap_err().class(), "TIMEOUT");
    let head = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
        loop {
            stream.write_all(&[b'x'; 4096]).await?;
        }
    })
    .await;
    assert_eq!(send(&head).await.unwrap_err().class(), "PROTOCOL");
    let silent = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        std::future::pending().await
    })
    .await;
    assert_eq!(send(&silent).await.unwrap_err().class(), "TIMEOUT");
    let garbage = Far::says("220 smtp.example ESMTP\r\n").await;
    assert_eq!(send(&garbage).await.unwrap_err().class(), "PROTOCOL");
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up() {
    let far = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
        let mut drops = tokio::time::interval(Duration::from_millis(20));
        loop {
            drops.tick().await;
            stream.write_all(b"x").await?;
        }
    })
    .await;
    assert_eq!(send(&far).await.unwrap_err().class(), "TIMEOUT");
}

/// Knows no answer, and does not say so.
struct Dumb;

impl Resolve for Dumb {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolved<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_name_that_nobody_resolves_is_given_up() {
    let time_max = Duration::from_millis(50);
    let egress = Egress::new(loopback(), Arc::new(Dumb), &Roots::Only(Vec::new()), time_max).unwrap();
    let target = Target::parse("http://hook.test/", egress.policy()).unwrap();
    assert_eq!(egress.send(&target, message()).await.unwrap_err().class(), "TIMEOUT");
}

#[tokio::test]
async fn this_machine_is_refused_under_every_name() {
    let egress = Egress::new(
        Policy::default(),
        Arc::new(super::SystemResolver),
        &Roots::Only(Vec::new()),
        Duration::from_secs(1),
    )
    .unwrap();
    for name in ["localhost", "localhost.", "LOCALHOST", "a.localhost", "a.localhost."] {
        let target = Target::parse(&format!("https://{name}/"), egress.policy()).unwrap();
        let refused = egress.send(&target, message()).await.unwrap_err();
        assert!(matches!(&refused, Fault::Refused(it) if it.rule == Rule::Address), "{name}: {refused}");
    }
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let egress = egress(loopback(), &Arc::default(), &Roots::Only(Vec::new()));
    let target = Target::parse(&format!("http://{address}/"), egress.policy()).unwrap();
    assert_eq!(egress.send(&target, message()).await.unwrap_err().class(), "CONNECT");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_attempt() {
    let far = Far::play(async |mut stream: TcpStream| {
        read_request(&mut stream).await?;
        stream.write_all(OK.as_bytes()).await?;
        // Reads the next request and hangs up on it.
        read_request(&mut stream).await.map(drop)
    })
    .await;
    let egress = egress(loopback(), &Arc::default(), &Roots::Only(Vec::new()));
    let target = Target::parse(&format!("http://{}/", far.address), egress.policy()).unwrap();
    for _ in 0..2 {
        assert_eq!(egress.send(&target, message()).await.unwrap().status, 200);
    }
    assert_eq!(*far.connections.lock().unwrap(), 2);
}

fn pem(file: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/tls/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A far side that proves who it is with this certificate.
async fn encrypted(certificate: &str) -> Far {
    let key = PrivateKeyDer::from_pem_slice(&pem(&format!("{certificate}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate_of(&format!("{certificate}.pem"))], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Far::play(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            read_request(&mut stream).await?;
            stream.write_all(OK.as_bytes()).await?;
            stream.flush().await
        }
    })
    .await
}

fn certificate_of(file: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&pem(file)).unwrap()
}

#[tokio::test]
async fn a_certificate_must_be_for_the_host_from_somebody_known_and_of_this_time() {
    let (fresh, expired) = (encrypted("server").await, encrypted("expired").await);
    let roots = |file: &str| Roots::Only(vec![certificate_of(file).to_vec()]);
    let known = roots("ca.pem");
    let names = Arc::new(Names::default());
    names.set(&["127.0.0.1"]);
    for (far, roots, host, fault) in [
        (&fresh, &known, "upstream.test", None),
        (&fresh, &known, "other.test", Some("TLS")),
        (&fresh, &known, "127.0.0.1", Some("TLS")),
        (&fresh, &Roots::Only(Vec::new()), "upstream.test", Some("TLS")),
        (&fresh, &Roots::Native, "upstream.test", Some("TLS")),
        (&expired, &roots("expired-ca.pem"), "upstream.test", Some("TLS_EXPIRED")),
    ] {
        let egress = egress(loopback(), &names, roots);
        let target =
            Target::parse(&format!("https://{host}:{}/", far.address.port()), egress.policy()).unwrap();
        let sent = egress.send(&target, message()).await;
        assert_eq!(sent.as_ref().err().map(Fault::class), fault, "{host}: {sent:?}");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_told_as_such() {
    let far = Far::play(async |mut stream: TcpStream| stream.write_all(OK.as_bytes()).await).await;
    let egress = egress(loopback(), &Arc::default(), &Roots::Only(Vec::new()));
    let target = Target::parse(&format!("https://{}/", far.address), egress.policy()).unwrap();
    assert_eq!(egress.send(&target, message()).await.unwrap_err().class(), "TLS");
}
