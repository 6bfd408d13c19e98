//! `causeway healthcheck`: is a gateway alive? For containers that have no curl.

use std::time::Duration;

use clap::Args;
use http_body_util::Empty;
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime, time};

use super::Outcome;
use crate::{config::Endpoint, error::told};

/// The longest a healthy gateway may take to say so.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks a running gateway whether it is alive, and exits with 0 if it is.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  causeway healthcheck\n  causeway healthcheck --url http://127.0.0.1:9000"
)]
pub(super) struct Healthcheck {
    /// Where the gateway listens; plain HTTP only.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = plain_http)]
    url: Endpoint,
}

fn plain_http(text: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::parse(text)?;
    if endpoint.is_tls() {
        Err("https is not spoken here: ask on a plain port".to_owned())
    } else {
        Ok(endpoint)
    }
}

impl Healthcheck {
    pub(super) fn run(self) -> Outcome {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let url = self.url;
        let asked = runtime.block_on(async { time::timeout(TIMEOUT, ask(&url)).await });
        match asked {
            Ok(Ok(StatusCode::OK)) => Ok(()),
            Ok(Ok(status)) => Err(format!("{url}/healthz answers {status}").into()),
            Ok(Err(error)) => Err(format!("{url}/healthz: {}", told(error.as_ref())).into()),
            Err(_) => Err(format!("{url}/healthz does not answer within {} s", TIMEOUT.as_secs()).into()),
        }
    }
}

async fn ask(url: &Endpoint) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect((url.host(), url.port())).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let authority = url.as_str().trim_start_matches("http://");
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
