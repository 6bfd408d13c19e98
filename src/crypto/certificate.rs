//! A certificate and its private key, in files, as this process shows them to others.
//!
//! The files are read again every [`REREAD`], when the next one asks to see them: whoever renews them need not restart
//! anything. While they cannot be used, or do not belong together because one of them is not yet written, the last ones
//! stay.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_rustls::rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Pem, read_pem, sha256_of_each};

/// How old what was read may become.
const REREAD: Duration = Duration::from_secs(30);

/// Which file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate, with those that lead from it to an authority.
    Certificate,
    /// The private key.
    Key,
    /// Each can be read, and they do not belong together.
    Both,
}

/// Which file cannot be used, and why. Shows nothing of a private key.
type Wrong = (Part, String);

/// A certificate and its private key. `Debug` shows the files.
pub struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    held: Mutex<Held>,
}

struct Held {
    shown: Arc<CertifiedKey>,
    /// Of both files.
    digest: [u8; 32],
    read_at: Instant,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads both files for the first time.
    ///
    /// # Errors
    /// They cannot be used: which of them, and why.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, (Part, String)> {
        let pems = Pems::read(certificate, key)?;
        let held =
            Held { shown: pems.parse(certificate, key)?, digest: pems.digest(), read_at: Instant::now() };
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), held: Mutex::new(held) })
    }

    /// Returns what is shown now.
    fn shown(&self) -> Arc<CertifiedKey> {
        let now = Instant::now();
        let is_due = {
            let mut held = self.held();
            let is_due = now.saturating_duration_since(held.read_at) >= REREAD;
            if is_due {
                held.read_at = now;
            }
            is_due
        };
        // Nobody else waits while this one reads.
        if is_due && let Err((_, why)) = self.read_again() {
            tracing::warn!(error = why, "a certificate cannot be read again: the last one is shown");
        }
        self.held().shown.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_again(&self) -> Result<(), Wrong> {
        let pems = Pems::read(&self.certificate, &self.key)?;
        let digest = pems.digest();
        if digest != self.held().digest {
            let shown = pems.parse(&self.certificate, &self.key)?;
            let mut held = self.held();
            (held.shown, held.digest) = (shown, digest);
            tracing::info!(file = %self.certificate.display(), "a certificate was renewed");
        }
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }
}

impl ResolvesClientCert for Certificate {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.shown())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What is in the files.
struct Pems {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pems {
    fn read(certificate: &Path, key: &Path) -> Result<Self, Wrong> {
        let read = |part, file, holds| read_pem(file, holds).map_err(|why| (part, why));
        Ok(Self {
            certificate: read(Part::Certificate, certificate, Pem::Certificate)?,
            key: read(Part::Key, key, Pem::PrivateKey)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        sha256_of_each([&self.certificate[..], &self.key])
    }

    fn parse(&self, certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Wrong> {
        // The parser's own words are not passed on: it quotes what it could not read, which may be the key, also where the
        // two files were mixed up.
        let unusable =
            |part, file: &Path, what| (part, format!("{}: holds no usable PEM {what}", file.display()));
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, pem::Error>>()
            .map_err(|_| unusable(Part::Certificate, certificate, "certificate"))?;
        let private =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| unusable(Part::Key, key, "private key"))?;
        CertifiedKey::from_der(chain, private, &ring::default_provider()).map(Arc::new).map_err(|error| {
            let (certificate, key) = (certificate.display(), key.display());
            (Part::Both, format!("{certificate} cannot be shown with {key}: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
    }

    /// A renewed one was shown only after a restart.
    #[tokio::test(start_paused = true)]
    async fn a_renewed_certificate_is_shown_and_a_half_renewed_one_is_not() {
        let folder = std::env::temp_dir().join(format!("causeway-certificate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let put = |from: &str, to: &Path| {
            std::fs::copy(file(from), to).unwrap();
        };
        put("server.pem", &certificate);
        put("server.key", &key);
        let shown = Certificate::open(&certificate, &key).unwrap();
        let first = |name: &str| CertificateDer::from_pem_file(file(name)).unwrap();
        let is = |name: &str| shown.shown().cert[0] == first(name);
        put("client.pem", &certificate);
        assert!(is("server.pem"), "it was just read");
        tokio::time::advance(REREAD).await;
        assert!(is("server.pem"), "its key is not there yet");
        put("client.key", &key);
        tokio::time::advance(REREAD).await;
        assert!(is("client.pem"));
        std::fs::remove_dir_all(&folder).unwrap();
        tokio::time::advance(REREAD).await;
        assert!(is("client.pem"), "the last one stays");
    }
}
