//! TLS towards upstreams: whom we believe, and what we show of ourselves.
//!
//! Whom we believe is read once, at start; what we show is read again when it was renewed, and new connections show it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore};

use crate::config::{ClientCertificate, UpstreamTls};
use crate::crypto::{self, Certificate, Part, Pem};

/// What is spoken inside, in the words of ALPN.
const HTTP_2: &[u8] = b"h2";

/// What the verifier calls an authority's certificate that a server shows as its own.
const CA_USED_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

/// Why a section cannot be used: its key, and what is wrong with it.
type Wrong = (&'static str, String);

/// Makes ring the cryptography of the process, for crates that ask the process and bring none. What was installed before
/// stays.
pub(super) fn install_ring() {
    // The error is the provider that is there already.
    let _ = ring::default_provider().install_default();
}

/// What one endpoint has to prove, and is shown.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Prepares to meet the endpoint on `host`.
    pub(super) fn new(client: &Arc<ClientConfig>, config: &UpstreamTls, host: &str) -> Result<Self, Wrong> {
        let (key, name) = match &config.domain {
            Some(domain) => ("tls.domain", domain.as_str()),
            None => ("endpoint", host),
        };
        let name =
            ServerName::try_from(name.to_owned()).map_err(|error| (key, format!("{name}: {error}")))?;
        Ok(Self { connector: TlsConnector::from(Arc::clone(client)), name })
    }

    /// Proves the other side, and agrees on HTTP/2.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
    ) -> io::Result<TlsStream<S>> {
        let stream = self.connector.connect(self.name.clone(), socket).await.map_err(explained)?;
        match stream.get_ref().1.alpn_protocol() {
            Some(HTTP_2) => Ok(stream),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the server does not offer HTTP/2, so no gRPC",
            )),
        }
    }
}

/// Says it in words where the verifier has none: a certificate of an authority proves nobody's name.
fn explained(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) = cause else { return error };
    if other.to_string() != CA_USED_AS_END_ENTITY {
        return error;
    }
    let text = "the server shows a certificate that is marked as an authority's (CA:TRUE), as `openssl req -x509` makes \
                them: give it one of its own, e.g. made with -addext basicConstraints=critical,CA:FALSE, and name that \
                in tls.ca_file";
    io::Error::new(error.kind(), text)
}

/// Reads what the configuration names. The error names the key that is wrong, and shows nothing of a private key.
pub(super) fn client(config: &UpstreamTls) -> Result<Arc<ClientConfig>, Wrong> {
    let mut roots = RootCertStore::empty();
    match &config.ca_file {
        Some(file) => {
            // Bundles hold certificates that nobody can use beside those that are meant; the others are enough.
            roots.add_parsable_certificates(authorities(file)?);
            if roots.is_empty() {
                return Err(unusable(file));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let why =
                    "this machine knows no certificate authorities: install ca-certificates, or name a file";
                return Err(("tls.ca_file", why.to_owned()));
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ("tls", error.to_string()))?
        .with_root_certificates(roots);
    let mut client = match &config.client {
        Some(shown) => builder.with_client_cert_resolver(Arc::new(showing(shown)?)),
        None => builder.with_no_client_auth(),
    };
    client.alpn_protocols = vec![HTTP_2.to_vec()];
    Ok(Arc::new(client))
}

fn showing(client: &ClientCertificate) -> Result<Certificate, Wrong> {
    Certificate::open(&client.certificate, &client.key).map_err(|(part, why)| {
        let key = match part {
            Part::Certificate => "tls.certificate",
            Part::Key => "tls.key",
            Part::Both => "tls",
        };
        (key, why)
    })
}

fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let pem = crypto::read_pem(file, Pem::Certificate).map_err(|why| ("tls.ca_file", why))?;
    CertificateDer::pem_slice_iter(&pem).collect::<Result<_, pem::Error>>().map_err(|_| unusable(file))
}

/// The parser's own words are not passed on: it quotes what it could not read, which may be a key.
fn unusable(file: &Path) -> Wrong {
    ("tls.ca_file", format!("{}: holds no usable PEM certificate", file.display()))
}
