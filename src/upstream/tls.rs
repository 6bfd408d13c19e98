//! TLS towards upstreams: whom we believe, and what we show of ourselves.
//!
//! Files are read once, at start: who changes a certificate restarts the gateway, as with the listener's own.

use std::path::Path;

use tokio_rustls::rustls::crypto::ring;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::config::{ClientCertificate, UpstreamTls};

/// Makes ring the cryptography of the process, for crates that ask the process and bring none. What was installed before
/// stays.
pub(super) fn install_ring() {
    // The error is the provider that is there already.
    let _ = ring::default_provider().install_default();
}

/// Reads what the configuration names. The error names the key that is wrong, and shows nothing of a private key.
pub(super) fn client(config: &UpstreamTls) -> Result<ClientTlsConfig, (&'static str, String)> {
    let mut tls = match &config.ca_file {
        Some(file) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(
            "tls.ca_file",
            file,
            CERTIFICATE,
        )?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some(domain) = &config.domain {
        tls = tls.domain_name(domain);
    }
    if let Some(client) = &config.client {
        tls = tls.identity(identity(client)?);
    }
    Ok(tls)
}

/// What a PEM file must hold, by the end of its first line, and how that is called.
type Content = (&'static [u8], &'static str);
const CERTIFICATE: Content = (b"-----BEGIN CERTIFICATE-----", "certificate");
/// `PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY`. A key behind a password is `ENCRYPTED PRIVATE KEY`, which cannot be
/// read, and is told when the connection is prepared.
const PRIVATE_KEY: Content = (b"PRIVATE KEY-----", "private key");

fn identity(client: &ClientCertificate) -> Result<Identity, (&'static str, String)> {
    let certificate = read("tls.certificate", &client.certificate, CERTIFICATE)?;
    Ok(Identity::from_pem(certificate, read("tls.key", &client.key, PRIVATE_KEY)?))
}

fn read(key: &'static str, file: &Path, content: Content) -> Result<Vec<u8>, (&'static str, String)> {
    let wrong = |why: String| (key, format!("{}: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let (mark, name) = content;
    if memchr::memmem::find(&pem, mark).is_none() {
        return Err(wrong(format!("holds no PEM {name}")));
    }
    Ok(pem)
}
