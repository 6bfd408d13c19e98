//! A TCP connection that can be cut from our side, in the middle of whatever it carries.
//!
//! The server hands each connection to a task of its own, which an abort of the server does not reach; cutting the
//! wire does, as a crash would.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Holds connections together. When it is dropped, all of them are cut.
pub(super) struct Knife(watch::Sender<()>);

impl Knife {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Gets ready to cut a connection.
    pub(super) fn link(&self) -> impl Fn(TcpStream) -> Link + Send + 'static {
        let watch = self.0.subscribe();
        move |stream| {
            let mut watch = watch.clone();
            // Nothing is ever sent: the only change is that the sender is gone.
            Link { stream, cut: Some(Box::pin(async move { while watch.changed().await.is_ok() {} })) }
        }
    }
}

/// A connection.
pub(super) struct Link {
    stream: TcpStream,
    /// Gone once it has happened.
    cut: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Connected for Link {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // HTTP/2 always has a read pending, so this is where a cut is felt.
        let severed = self.cut.as_mut().is_none_or(|cut| cut.as_mut().poll(cx).is_ready());
        if severed {
            self.cut = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
