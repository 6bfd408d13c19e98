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

#[cfg(test)]
mod tests {
    use std::{
        io,
        path::{Path, PathBuf},
        time::Duration,
    };

    use tokio_rustls::{
        TlsConnector,
        rustls::{
            ClientConfig, RootCertStore,
            pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        },
    };

    use super::*;

    /// Longer than what was read may be shown.
    const LATER: Duration = Duration::from_secs(31);

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
    }

    /// Somebody who believes the test root only.
    fn caller() -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("it is there")).expect("it is a root");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks both")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    async fn greet(caller: &TlsConnector, listener: &TlsAcceptor) -> io::Result<()> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from("upstream.test").expect("it is a name");
        let (seen, _) = tokio::join!(caller.connect(name, near), listener.accept(far));
        seen.map(drop)
    }

    /// Whoever renews the files restarts nothing: the next caller is shown what is in them.
    #[tokio::test(start_paused = true)]
    async fn the_next_caller_is_shown_the_renewed_certificate() {
        let folder = std::env::temp_dir().join(format!("causeway-listener-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is room");
        let tls = HttpTls { certificate: folder.join("tls.crt"), key: folder.join("tls.key") };
        let put = |name: &str| {
            std::fs::copy(file(&format!("{name}.pem")), &tls.certificate).expect("there is room");
            std::fs::copy(file(&format!("{name}.key")), &tls.key).expect("there is room");
        };
        put("expired");
        let listener = acceptor(&tls).expect("they can be used");
        let refused = greet(&caller(), &listener).await.expect_err("nobody known signed it").to_string();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
        put("server");
        tokio::time::advance(LATER).await;
        greet(&caller(), &listener).await.expect("it was renewed");
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
