//! Who proves what to whom.

use std::path::PathBuf;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{
    self,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::*;
use crate::config::ClientCertificate;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// A server for `upstream.test`, and its URL.
pub(super) fn server(tls: ServerTlsConfig) -> (Server, String) {
    showing_as("server", tls)
}

/// The same, with another certificate.
fn showing_as(name: &str, tls: ServerTlsConfig) -> (Server, String) {
    let tls = tls.identity(Identity::from_pem(read(&format!("{name}.pem")), read(&format!("{name}.key"))));
    let server = Server::start_at("127.0.0.1:0".parse().unwrap(), Some(tls), |_, _| async { ok(b"safe") });
    let url = format!("https://{}", server.address);
    (server, url)
}

pub(super) fn with(url: &str, tls: UpstreamTls) -> config::Upstream {
    config::Upstream { tls, ..section(&[url]) }
}

fn refused(section: config::Upstream) -> Error {
    Upstreams::build(&BTreeMap::from([("library".to_owned(), section)]), |_| Vec::new()).unwrap_err()
}

/// What it takes to believe the server.
pub(super) fn trusting() -> UpstreamTls {
    UpstreamTls { ca_file: Some(file("ca.pem")), domain: Some("upstream.test".to_owned()), client: None }
}

fn showing(certificate: &str, key: &str) -> UpstreamTls {
    let client = ClientCertificate { certificate: file(certificate), key: file(key) };
    UpstreamTls { client: Some(client), ..trusting() }
}

#[tokio::test]
async fn tls_is_spoken_to_those_who_prove_their_name() {
    let (_server, url) = server(ServerTlsConfig::new());
    assert_eq!(build(with(&url, trusting())).unary(call()).await.unwrap().message, "safe");

    let other_name = UpstreamTls { domain: None, ..trusting() };
    let wrong_name = build(with(&url, other_name)).unary(call()).await.unwrap_err();
    assert_eq!(facts(&wrong_name), UNAVAILABLE);
    assert!(wrong_name.told().contains("certificate"), "{}", wrong_name.told());
    assert!(!wrong_name.message().contains("certificate"));

    for name in ["nowhere.pem", "README.md"] {
        let error = refused(with(&url, UpstreamTls { ca_file: Some(file(name)), ..trusting() }));
        assert_eq!(error.violations()[0].field, "upstreams.library.tls.ca_file");
        assert!(error.message().contains(name), "{error}");
    }
}

/// A web server, say: its name is right, and it speaks no HTTP/2.
#[tokio::test]
async fn a_server_without_http_2_is_told_from_one_that_cannot_be_believed() {
    let chain = CertificateDer::pem_file_iter(file("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut web = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    for offered in [&[][..], &[b"http/1.1".to_vec()]] {
        web.alpn_protocols = offered.to_vec();
        let acceptor = TlsAcceptor::from(Arc::new(web.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _hung_up = acceptor.accept(socket).await;
            }
        });
        let error = build(with(&url, trusting())).unary(call()).await.unwrap_err();
        assert_eq!(facts(&error), UNAVAILABLE);
        let why = error.told();
        if offered.is_empty() {
            assert!(why.contains("does not offer HTTP/2, so no gRPC"), "{why}");
        } else {
            // A server that insists on what it speaks says so itself.
            assert!(why.contains("NoApplicationProtocol"), "{why}");
        }
    }
}

/// It was called `Other(OtherError(CaUsedAsEndEntity))`.
#[tokio::test]
async fn a_server_that_shows_an_authoritys_certificate_is_told_so_in_words() {
    let (_server, url) = showing_as("own-root", ServerTlsConfig::new());
    let tls = UpstreamTls { ca_file: Some(file("own-root.pem")), ..trusting() };
    let error = build(with(&url, tls)).unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    let why = error.told();
    assert!(why.contains("marked as an authority's (CA:TRUE)") && why.contains("CA:FALSE"), "{why}");
    assert!(!why.contains("CaUsedAsEndEntity"), "{why}");
}

/// It said that the protocol error was "not a result of an error".
#[tokio::test]
async fn a_server_that_speaks_tls_and_not_clear_text_is_told_so() {
    let (_server, url) = server(ServerTlsConfig::new());
    let error = upstream(&url.replace("https://", "http://")).unary(call()).await.unwrap_err();
    assert_eq!(facts(&error), UNAVAILABLE);
    let why = error.told();
    assert!(why.contains("if the server speaks TLS, the endpoint begins with https://"), "{why}");
    assert!(!why.contains("not a result of an error"), "{why}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_those_who_ask() {
    let (server, url) =
        server(ServerTlsConfig::new().client_ca_root(Certificate::from_pem(read("client.pem"))));
    let upstream = build(with(&url, showing("client.pem", "client.key")));
    assert_eq!(upstream.unary(call()).await.unwrap().message, "safe");

    let nothing_to_show = build(with(&url, trusting())).unary(call()).await.unwrap_err();
    assert_eq!(facts(&nothing_to_show), UNAVAILABLE);
    let somebody_else =
        build(with(&url, showing("server.pem", "server.key"))).unary(call()).await.unwrap_err();
    assert_eq!(facts(&somebody_else), UNAVAILABLE);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_client_certificate_that_cannot_be_used_is_named_at_start_and_its_key_never_shown() {
    let url = "https://127.0.0.1:1";
    for (certificate, key, field) in [
        ("nowhere.pem", "client.key", "tls.certificate"),
        ("README.md", "client.key", "tls.certificate"),
        ("client.key", "client.key", "tls.certificate"),
        ("client.pem", "nowhere.key", "tls.key"),
        ("client.pem", "client.pem", "tls.key"),
        // Both can be read, and do not belong together.
        ("client.pem", "server.key", "tls"),
    ] {
        let error = refused(with(url, showing(certificate, key)));
        assert_eq!(error.violations()[0].field, format!("upstreams.library.{field}"), "{error}");
        let key = String::from_utf8(read("client.key")).unwrap();
        let secret = key.lines().nth(1).unwrap();
        assert!(!format!("{error:?} {}", error.told()).contains(&secret[..20]));
    }
    // A key whose lines were joined on the way: the parser quotes all of it, as bytes.
    let joined = std::env::temp_dir().join(format!("causeway-joined-{}.key", std::process::id()));
    std::fs::write(&joined, String::from_utf8(read("client.key")).unwrap().replace('\n', "")).unwrap();
    let client = ClientCertificate { certificate: file("client.pem"), key: joined.clone() };
    let error = refused(with(url, UpstreamTls { client: Some(client), ..trusting() }));
    std::fs::remove_file(joined).unwrap();
    assert_eq!(error.violations()[0].field, "upstreams.library.tls.key", "{error}");
    assert!(error.message().len() < 300, "{error}");

    let upstream = build(with(url, showing("client.pem", "client.key")));
    assert!(!format!("{upstream:?}").contains("PRIVATE"), "{upstream:?}");
}
