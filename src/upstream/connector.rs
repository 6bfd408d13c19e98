//! Making a TCP connection, and remembering how that went.
//!
//! tonic makes connections on first use and again when they are lost, one try per waiting call. A dead address would so
//! hold up each call in turn for the whole connect timeout. Here the calls that queued up behind a failed try fail with
//! it, and an endpoint that failed is avoided for a while by those who have another.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::BufReader;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::backoff::Backoff;
use super::gathered::Gathered;

/// Calls that come within this time after a failed try share its fate.
const SHARED_FATE: Duration = Duration::from_millis(20);
/// How long an endpoint that cannot be reached is avoided while another one can.
const AVOIDED: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// Bytes that are read at once. The HTTP/2 implementation asks for eight kilobytes at a time.
const READ_BYTES: usize = 64 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// What is known about the way to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Link {
    up: AtomicBool,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    failures: u32,
    failed_at: Option<Instant>,
    avoid_until: Option<Instant>,
}

impl Link {
    /// The upstream answered.
    pub(super) fn reached(&self) {
        if !self.up.swap(true, Ordering::Relaxed) {
            *self.lock() = Last::default();
        }
    }

    /// A try to connect failed at `now`. Those who shared its fate report it too and change nothing.
    pub(super) fn failed(&self, now: Instant) {
        let mut last = self.lock();
        if last.shares_fate(now) {
            return;
        }
        self.up.store(false, Ordering::Relaxed);
        last.failures = last.failures.saturating_add(1);
        last.failed_at = Some(now);
        last.avoid_until = Some(now + AVOIDED.step(last.failures));
    }

    /// Tells whether the last call was answered.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Tells whether the last try to connect failed.
    pub(super) fn is_down(&self) -> bool {
        !self.is_up() && self.lock().failures > 0
    }

    /// Asks whether to use this endpoint while there are others. When its time of being avoided is over, the first to
    /// ask finds out for all how it stands now.
    pub(super) fn is_worth_a_try(&self, now: Instant) -> bool {
        if self.is_up() {
            return true;
        }
        let mut last = self.lock();
        match last.avoid_until {
            Some(until) if now < until => false,
            Some(_) => {
                last.avoid_until = Some(now + AVOIDED.step(last.failures));
                true
            }
            None => true,
        }
    }

    fn shares_fate(&self, now: Instant) -> bool {
        self.lock().shares_fate(now)
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn shares_fate(&self, now: Instant) -> bool {
        self.failed_at.is_some_and(|at| now.saturating_duration_since(at) < SHARED_FATE)
    }
}

/// Connects to one endpoint. TLS is tonic's business, on top.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    host: Arc<str>,
    port: u16,
    time_max: Duration,
    link: Arc<Link>,
}

impl Connector {
    pub(super) fn new(host: &str, port: u16, time_max: Duration, link: Arc<Link>) -> Self {
        Self { host: host.into(), port, time_max, link }
    }

    async fn connect(self) -> io::Result<TokioIo<Gathered<BufReader<TcpStream>>>> {
        if self.link.shares_fate(Instant::now()) {
            return Err(io::Error::other("a try to connect failed just now"));
        }
        let stream = match timeout(self.time_max, self.connect_to_any()).await {
            Ok(stream) => stream,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {:?}", self.time_max),
            )),
        };
        if stream.is_err() {
            self.link.failed(Instant::now());
        }
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(Gathered::new(BufReader::with_capacity(READ_BYTES, stream))))
    }

    /// Tries the addresses of the name in order; each has an equal share of the time that is left.
    async fn connect_to_any(&self) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> =
            lookup_host((&*self.host, self.port)).await?.take(ADDRESSES_MAX).collect();
        let end = Instant::now() + self.time_max;
        let mut error = io::Error::other("the name has no address");
        for (tried, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
            let share = end.saturating_duration_since(Instant::now()) / left;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(refused)) => error = refused,
                Err(_) => {
                    error = io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {address}"));
                }
            }
        }
        Err(error)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Gathered<BufReader<TcpStream>>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_failed_is_avoided_for_longer_each_time() {
        let (link, mut now) = (Link::default(), Instant::now());
        assert!(link.is_worth_a_try(now) && !link.is_down());
        for step in [500, 1000, 2000] {
            link.failed(now);
            link.failed(now);
            assert!(link.is_down());
            let over = now + Duration::from_millis(step);
            assert!(!link.is_worth_a_try(over - Duration::from_millis(1)));
            assert!(link.is_worth_a_try(over), "after {step} ms");
            assert!(!link.is_worth_a_try(over), "one finds out for all");
            now = over;
        }
        link.reached();
        assert!(link.is_worth_a_try(now) && !link.is_down() && link.is_up());
    }
}
