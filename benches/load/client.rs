//! The client: a few connections that are kept alive, each with one request at a time.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::payload::{Case, Outcome};

/// Connections with a request under way, where nothing else is said: few, so that no time is hidden in a queue.
pub(crate) const CONNECTIONS: usize = 8;
/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// A request that is sent over and over.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Path and query.
    pub(crate) path: Uri,
    /// The rest of it, and the status that is expected.
    pub(crate) case: Case,
    /// Who asks.
    pub(crate) key: Option<header::HeaderValue>,
    /// Connections with a request under way.
    pub(crate) connections: usize,
}

/// One connection.
pub(crate) struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    ask: Ask,
    _driver: JoinSet<()>,
}

impl Line {
    /// Connects.
    pub(crate) async fn open(ask: Ask) -> Outcome<Self> {
        let stream = TcpStream::connect(ask.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // What breaks the connection also fails the request on it.
            let _ = connection.await;
        });
        Ok(Self { sender, ask, _driver: driver })
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn send(&mut self) -> Outcome<hyper::Response<Incoming>> {
        let mut request = Request::new(Full::new(self.ask.case.body.clone()));
        *request.method_mut() = self.ask.case.verb.clone();
        *request.uri_mut() = self.ask.path.clone();
        request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("127.0.0.1"));
        if let Some(key) = &self.ask.key {
            request.headers_mut().insert("x-goog-api-key", key.clone());
        }
        if !self.ask.case.body.is_empty() {
            let json = header::HeaderValue::from_static("application/json");
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// Asks once and returns what was answered.
    pub(crate) async fn fetch(&mut self) -> Outcome<(StatusCode, Bytes)> {
        let response = self.send().await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// Asks once, reads the answer without keeping it, and checks the status. Returns its bytes.
    async fn ask(&mut self) -> Outcome<usize> {
        let expected = self.ask.case.status;
        let response = self.send().await?;
        if response.status() != expected {
            return Err(format!("status {} instead of {expected}", response.status()).into());
        }
        drain(response.into_body()).await
    }
}

/// Reads a body to its end and returns how long it was.
pub(crate) async fn drain(mut body: Incoming) -> Outcome<usize> {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(bytes)
}

/// Keeps every connection busy for a while and returns how long each answer took.
pub(crate) async fn drive(ask: &Ask, time: Duration) -> Outcome<Vec<Duration>> {
    let mut lines = JoinSet::new();
    let end = Instant::now() + time;
    for _ in 0..ask.connections {
        let mut line = Line::open(ask.clone()).await?;
        lines.spawn(async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let sent = Instant::now();
                timeout(ANSWER_TIME_MAX, line.ask()).await??;
                took.push(sent.elapsed());
            }
            Outcome::Ok(took)
        });
    }
    let mut all = Vec::new();
    while let Some(line) = lines.join_next().await {
        all.extend(line??);
    }
    Ok(all)
}
