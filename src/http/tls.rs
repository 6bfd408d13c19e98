//! The certificate that the listener shows.

use std::{path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    },
};

use super::Listener;
use crate::{
    config::HttpTls,
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
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(|error| unreadable(&tls.certificate, "certificate", error))?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unreadable(&tls.key, "private key", error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| unusable(&tls.certificate, "certificate for that key", source))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The parser quotes what it could not read, which may be the key, also where the two files were mixed up.
fn unreadable(path: &Path, what: &str, error: pem::Error) -> Error {
    match error {
        pem::Error::Io(source) => unusable(path, what, source),
        _ => unusable(path, what, "it holds no PEM that is one"),
    }
}

fn unusable(path: &Path, what: &str, source: impl std::fmt::Display) -> Error {
    Error::internal(format!("http.tls: {} is no usable {what}: {source}", path.display()))
}
