//! Who proves what to whom.

use std::path::PathBuf;

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
    let tls = tls.identity(Identity::from_pem(read("server.pem"), read("server.key")));
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
    assert!(wrong_name.chain().contains("certificate"), "{}", wrong_name.chain());
    assert!(!wrong_name.message().contains("certificate"));

    for name in ["nowhere.pem", "README.md"] {
        let error = refused(with(&url, UpstreamTls { ca_file: Some(file(name)), ..trusting() }));
        assert_eq!(error.violations()[0].field, "upstreams.library.tls.ca_file");
        assert!(error.message().contains(name), "{error}");
    }
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
        assert!(!format!("{error:?} {}", error.chain()).contains(&secret[..20]));
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
