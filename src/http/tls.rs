//! The certificate that the listener shows.

use std::sync::Arc;

use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring},
};

use super::Listener;
use crate::{
    config::HttpTls,
    crypto::{Certificate, Part},
    error::{Error, Result},
};

impl Listener {
    /// Reads the certificate and the key as [`Self::new`] does, for whoever only wants to know whether it could.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn try_tls(tls: &HttpTls) -> Result<()> {
        acceptor(tls).map(drop)
    }
}

/// Reads certificate and key and offers HTTP/2, then HTTP/1.1.
///
/// # Errors
/// A file that cannot be read, or holds nothing usable; the cause names it.
pub(super) fn acceptor(tls: &HttpTls) -> Result<TlsAcceptor> {
    let certificate = Certificate::open(&tls.certificate, &tls.key).map_err(|(part, why)| {
        let key = match part {
            Part::Certificate => "http.tls.certificate",
            Part::Key => "http.tls.key",
            Part::Both => "http.tls",
        };
        Error::internal(format!("{key}: {why}"))
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
