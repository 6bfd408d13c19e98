//! `causeway healthcheck`: is a gateway alive? For containers that have no curl.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header,
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime, time};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::Outcome;
use crate::{
    config::Endpoint,
    crypto::{Pem, read_pem},
    error::told,
};

/// The longest a healthy gateway may take to say so.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a running gateway whether it is alive, and exits with 0 if it is.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    causeway healthcheck\n  \
    causeway healthcheck --url http://127.0.0.1:9000\n  \
    causeway healthcheck --url https://127.0.0.1:8443 --ca-file tls.crt --domain gateway.example.com")]
pub(super) struct Healthcheck {
    /// Where the gateway listens.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = Endpoint::parse)]
    url: Endpoint,
    /// With https: whom to believe, as PEM. The gateway's own certificate, if it signed that itself, or its authority's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// With https: the name in the certificate, if it is not that of the URL.
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Healthcheck {
    pub(super) fn run(self) -> Outcome {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = runtime.block_on(async { time::timeout(TIMEOUT, self.ask()).await });
        let url = &self.url;
        match asked {
            Ok(Ok(StatusCode::OK)) => Ok(()),
            Ok(Ok(status)) => Err(format!("{url}/healthz answers {status}").into()),
            Ok(Err(error)) => Err(format!("{url}/healthz: {}", told(error.as_ref())).into()),
            Err(_) => Err(format!("{url}/healthz does not answer within {} s", TIMEOUT.as_secs()).into()),
        }
    }

    async fn ask(&self) -> Result<StatusCode, Failure> {
        let tls = if self.url.is_tls() { Some(self.tls()?) } else { None };
        let stream = TcpStream::connect((self.url.host(), self.url.port())).await?;
        match tls {
            Some((connector, name)) => self.send(TokioIo::new(connector.connect(name, stream).await?)).await,
            None => self.send(TokioIo::new(stream)).await,
        }
    }

    /// Says whom to believe, and under which name.
    fn tls(&self) -> Result<(TlsConnector, ServerName<'static>), Failure> {
        let file = self.ca_file.as_ref().ok_or(
            "https needs --ca-file: the gateway's certificate, if it signed that itself, or its authority's",
        )?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&read_pem(file, Pem::Certificate)?) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = self.domain.as_deref().unwrap_or(self.url.host()).to_owned();
        Ok((TlsConnector::from(Arc::new(config)), ServerName::try_from(name)?))
    }

    async fn send<I: Read + Write + Unpin>(&self, io: I) -> Result<StatusCode, Failure> {
        let (mut sender, connection) = http1::handshake(io).await?;
        let authority = self.url.as_str().split("://").last().unwrap_or_default();
        let request = Request::get("/healthz").header(header::HOST, authority).body(Empty::<Bytes>::new())?;
        let asking = sender.send_request(request);
        tokio::pin!(asking, connection);
        tokio::select! {
            biased;
            answer = &mut asking => Ok(answer?.status()),
            ended = &mut connection => {
                ended?;
                Ok(asking.await?.status())
            }
        }
    }
}
