//! One connection: TCP to a judged address, TLS for the host of the URL, HTTP/1.1 on top.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

use super::limits::{HEAD_BYTES_MAX, HEADERS_MAX};

/// Why there is no connection.
pub(super) enum NoConnection {
    /// TCP.
    Connect(io::Error),
    /// TLS, the certificate included.
    Tls(io::Error),
    /// HTTP before the first request.
    Http(hyper::Error),
}

/// An open connection. Closes when dropped.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes; ends with the connection.
    _driver: JoinSet<()>,
    pub(super) idle_since: Instant,
}

impl Connection {
    pub(super) async fn open(
        address: SocketAddr,
        tls: Option<(&Arc<ClientConfig>, &str)>,
    ) -> Result<Self, NoConnection> {
        let stream = TcpStream::connect(address).await.map_err(NoConnection::Connect)?;
        stream.set_nodelay(true).map_err(NoConnection::Connect)?;
        match tls {
            None => Self::over(stream).await,
            Some((config, name)) => {
                let wrong = |error| NoConnection::Tls(io::Error::new(io::ErrorKind::InvalidInput, error));
                let name = ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(wrong)?;
                let stream = TlsConnector::from(config.clone())
                    .connect(name, stream)
                    .await
                    .map_err(NoConnection::Tls)?;
                Self::over(stream).await
            }
        }
    }

    async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: S,
    ) -> Result<Self, NoConnection> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(NoConnection::Http)?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ended is told to whoever waits for an answer on it.
            drop(connection.await);
        });
        Ok(Self { sender, _driver: driver, idle_since: Instant::now() })
    }

    /// Whether another request can be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Waits until the answer before is out of the way; `false` if the connection is of no more use.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }
}
