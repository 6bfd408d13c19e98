//! TLS towards upstreams: whom we believe, and what we show of ourselves.
//!
//! Files are read once, at start: who changes a certificate restarts the gateway, as with the listener's own.

use std::path::Path;

use tokio_rustls::rustls::crypto::ring;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::{
    config::{ClientCertificate, UpstreamTls},
    crypto::{self, Pem},
};

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
            Pem::Certificate,
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

fn identity(client: &ClientCertificate) -> Result<Identity, (&'static str, String)> {
    let certificate = read("tls.certificate", &client.certificate, Pem::Certificate)?;
    Ok(Identity::from_pem(certificate, read("tls.key", &client.key, Pem::PrivateKey)?))
}

fn read(key: &'static str, file: &Path, holds: Pem) -> Result<Vec<u8>, (&'static str, String)> {
    crypto::read_pem(file, holds).map_err(|why| (key, why))
}
