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

use crate::{
    config::HttpTls,
    error::{Error, Result},
};

/// Reads certificate and key and offers HTTP/2, then HTTP/1.1.
///
/// # Errors
/// A file that cannot be read, or holds nothing usable; the cause names it.
pub(super) fn acceptor(tls: &HttpTls) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, pem::Error>>)
        .map_err(|source| unusable(&tls.certificate, "certificate", source))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| match error {
        pem::Error::Io(source) => unusable(&tls.key, "private key", source),
        // The parser quotes what it could not read, which may be the key.
        _ => unusable(&tls.key, "private key", "no PEM that is one"),
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| unusable(&tls.certificate, "certificate for that key", source))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unusable(path: &Path, what: &str, source: impl std::fmt::Display) -> Error {
    Error::internal(format!("http.tls: {} is no usable {what}: {source}", path.display()))
}
