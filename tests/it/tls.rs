//! TLS in front of the gateway. The keys in `fixtures/` are for `localhost` in these stories and nothing else.

use std::{path::PathBuf, sync::Arc};

use causeway::{
    app::App,
    clock::SystemClock,
    config::{Config, Sources},
};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use crate::harness::{Answer, Connection, Gateway, Scripted, causeway};

pub(crate) fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name);
    path.to_str().unwrap().to_owned()
}

async fn shake_hands(gateway: &Gateway, offered: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("localhost.crt")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_protocols_are_spoken_under_tls_and_the_caller_chooses() {
    let upstream = Scripted::start(|_| Answer::Message(json!({}))).await;
    let certificate = format!("http.tls.certificate={}", fixture("localhost.crt"));
    let key = format!("http.tls.key={}", fixture("localhost.key"));
    let gateway = Gateway::library_with(&upstream, &[&certificate, &key]).await;
    for (offered, chosen) in
        [(&["h2", "http/1.1"][..], Some(&b"h2"[..])), (&["http/1.1"], Some(b"http/1.1")), (&[], None)]
    {
        let stream = shake_hands(&gateway, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
        let mut connection = Connection::over(stream, "localhost", chosen == Some(b"h2")).await;
        assert_eq!(connection.send("GET", "/healthz", &[], "").await.text(), "ok\n");
    }
    // Containers ask it how it does.
    let healthy = |more: &[&str]| {
        let url = format!("https://{}", gateway.address);
        let output = causeway(&[&["healthcheck", "--url", &url], more].concat()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let certificate = fixture("localhost.crt");
    assert_eq!(healthy(&["--ca-file", &certificate, "--domain", "localhost"]), (true, String::new()));
    let (is_healthy, why) = healthy(&["--ca-file", &certificate, "--domain", "elsewhere.example"]);
    assert!(!is_healthy && why.contains("elsewhere.example"), "{why}");
    let (is_healthy, why) = healthy(&[]);
    assert!(!is_healthy && why.contains("--ca-file"), "{why}");
    // A peer that speaks no TLS gets nothing, and takes nothing from the others.
    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
}

/// What is said at start about these two files.
async fn refused(certificate: &str, key: &str) -> String {
    let set = vec![
        "http.listen=127.0.0.1:0".to_owned(),
        "identity.mode=none".to_owned(),
        format!("http.tls.certificate={certificate}"),
        format!("http.tls.key={key}"),
    ];
    let config = Config::load(Sources { set, ..Sources::default() }).into_config().unwrap();
    Box::pin(App::build(config, Arc::new(SystemClock))).await.err().unwrap().to_string()
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_at_start() {
    let error = refused("/no/such.crt", "/no/such.key").await;
    assert!(error.contains("http.tls") && error.contains("/no/such.crt"), "{error}");
}

/// The parser of PEM quoted a key whose lines were joined on the way, as numbers.
#[tokio::test]
async fn a_key_that_cannot_be_read_is_not_shown() {
    let key = std::fs::read_to_string(fixture("localhost.key")).unwrap();
    let joined = std::env::temp_dir().join(format!("causeway-joined-{}.pem", std::process::id()));
    std::fs::write(&joined, key.replace('\n', "")).unwrap();
    let joined_name = joined.to_str().unwrap();
    for (certificate, key) in
        [(&*fixture("localhost.crt"), joined_name), (joined_name, &*fixture("localhost.key"))]
    {
        let error = refused(certificate, key).await;
        assert!(error.contains(joined_name) && error.len() < joined_name.len() + 200, "{error}");
    }
    std::fs::remove_file(joined).unwrap();
}
