//! Making a connection, and remembering how that went: an endpoint that could not be reached is avoided for a while by
//! those who have another.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::backoff::Backoff;
use super::connection::{Connection, Purpose, Running, is_hang_up};
use super::gathered::Gathered;
use super::tls::Tls;

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

    /// No connection could be made, or none that lasted, at `now`. Of several tries that were under way together, as each
    /// worker makes its own, one counts, and the endpoint is avoided from the last of them on.
    pub(super) fn failed(&self, began: Instant, now: Instant) {
        let mut last = self.lock();
        if last.failed_at.is_some_and(|at| began < at) {
            let until = now + AVOIDED.step(last.failures);
            last.avoid_until = last.avoid_until.max(Some(until));
            return;
        }
        last.failed_at = Some(now);
        self.up.store(false, Ordering::Relaxed);
        last.failures = last.failures.saturating_add(1);
        last.avoid_until = Some(now + AVOIDED.step(last.failures));
    }

    /// Tells whether the last call was answered.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Tells whether there was no connection when one was last needed.
    pub(super) fn is_down(&self) -> bool {
        !self.is_up() && self.lock().failures > 0
    }

    /// A connection could be made: whether it lasts, a call will show.
    pub(super) fn found(&self) {
        if !self.is_up() {
            self.lock().avoid_until = None;
        }
    }

    /// Tells whether to use this endpoint while there are others.
    pub(super) fn stands(&self) -> bool {
        self.is_up() || self.lock().avoid_until.is_none()
    }

    /// Asks whether to find out how an endpoint stands that could not be reached. When its time of being avoided is over, the
    /// first to ask does so for all.
    pub(super) fn is_worth_a_look(&self, now: Instant) -> bool {
        if self.is_up() {
            return false;
        }
        let mut last = self.lock();
        let is_over = last.avoid_until.is_some_and(|until| until <= now);
        if is_over {
            last.avoid_until = Some(now + AVOIDED.step(last.failures));
        }
        is_over
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to one endpoint.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// `None`: in clear text.
    pub(super) tls: Option<Tls>,
    /// The longest for the name and the socket, again for TLS, and again for the greeting.
    pub(super) time_max: Duration,
}

impl Connector {
    /// How long making a connection can take.
    pub(super) fn longest(&self) -> Duration {
        self.time_max.saturating_mul(3)
    }

    /// Makes a connection, and the task that has to run for anything to happen on it.
    pub(super) async fn connect(&self, purpose: Purpose) -> io::Result<(Connection, Running)> {
        let socket = self.in_time("no connection", self.connect_to_any()).await?;
        socket.set_nodelay(true)?;
        let socket = Gathered::new(BufReader::with_capacity(READ_BYTES, socket));
        match &self.tls {
            None => self.in_time("no HTTP/2", in_clear_text(socket, purpose)).await,
            Some(tls) => {
                let socket = self.in_time("no TLS", tls.connect(socket)).await?;
                self.in_time("no HTTP/2", http2(socket, purpose)).await
            }
        }
    }

    async fn in_time<T>(&self, nothing: &str, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        timeout(self.time_max, work).await.unwrap_or_else(|_| {
            let text = format!("{nothing} within {:?}", self.time_max);
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })
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

async fn http2<S>(socket: S, purpose: Purpose) -> io::Result<(Connection, Running)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    Connection::open(socket, purpose).await.map_err(io::Error::other)
}

/// Says what else the server may speak: the error alone is one of HTTP/2, such as that a frame is too long.
async fn in_clear_text<S>(socket: S, purpose: Purpose) -> io::Result<(Connection, Running)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    Connection::open(socket, purpose).await.map_err(|error| {
        let why = if is_hang_up(&error) { "it hung up".to_owned() } else { error.to_string() };
        let text = format!(
            "HTTP/2 in clear text could not be begun ({why}): if the server speaks TLS, the endpoint begins with https://"
        );
        io::Error::new(io::ErrorKind::Unsupported, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_failed_is_avoided_for_longer_each_time() {
        let (link, mut now) = (Link::default(), Instant::now());
        assert!(link.stands() && !link.is_down());
        for step in [500, 1000, 2000] {
            link.failed(now, now);
            assert!(link.is_down());
            let over = now + Duration::from_millis(step);
            assert!(!link.is_worth_a_look(over - Duration::from_millis(1)));
            assert!(link.is_worth_a_look(over), "after {step} ms");
            assert!(!link.is_worth_a_look(over) && !link.stands(), "one finds out for all");
            link.found();
            assert!(link.stands() && link.is_down(), "a connection is not yet an answer");
            now = over;
        }
        link.reached();
        assert!(link.stands() && !link.is_down() && link.is_up());
    }

    /// Each worker waits for the same silent address; the fifth of them had it avoided for 8 s.
    #[test]
    fn tries_that_fail_together_count_once() {
        let (link, began) = (Link::default(), Instant::now());
        let failed = began + Duration::from_secs(5);
        for later in 0..5 {
            link.failed(began, failed + Duration::from_millis(later));
        }
        assert!(link.is_worth_a_look(failed + Duration::from_millis(504)));
    }
}
