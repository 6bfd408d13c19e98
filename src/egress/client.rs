//! Sending one message and reading what comes back.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer,
};

use super::{
    Policy, Refusal, Resolve, Target,
    connection::{Connection, NoConnection},
    limits::{ADDRESSES_MAX, ANSWER_BYTES_MAX, BODY_TIME_MAX, CONNECT_TIME_MAX, RESOLVE_TIME_MAX},
    pool::{Key, Pool},
};
use crate::error::{Error, Result};

/// Sends to addresses that callers name. Cheap to clone.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    policy: Policy,
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    pool: Pool,
    exchange_time_max: Duration,
}

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The machine's.
    Native,
    /// These, DER-encoded.
    Only(Vec<Vec<u8>>),
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Message {
    /// The verb.
    pub method: Method,
    /// Headers; `Host` and `Content-Length` are added.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status. One of 300 and above is an answer like any other.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The first bytes of the body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The address may not be called. Final.
    Refused(Refusal),
    /// The name could not be resolved.
    Dns(String),
    /// Nobody listens, or the way there is closed.
    Connect(String),
    /// The other side did not prove who it is, or speaks no TLS.
    Tls(String),
    /// The other side's certificate has expired: somebody forgot to renew it, and will.
    Expired(String),
    /// It took too long.
    Timeout(&'static str),
    /// What came was not HTTP, or ended early.
    Protocol(String),
}

impl Fault {
    /// Returns the class of the fault, as it is stored and shown.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused(_) => "REFUSED_TARGET",
            Self::Dns(_) => "DNS",
            Self::Connect(_) => "CONNECT",
            Self::Tls(_) => "TLS",
            Self::Expired(_) => "TLS_EXPIRED",
            Self::Timeout(_) => "TIMEOUT",
            Self::Protocol(_) => "PROTOCOL",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Dns(text) => write!(f, "the name could not be resolved: {text}"),
            Self::Connect(text) => write!(f, "no connection: {text}"),
            Self::Tls(text) | Self::Expired(text) => write!(f, "no encrypted connection: {text}"),
            Self::Timeout(what) => write!(f, "took too long: {what}"),
            Self::Protocol(text) => write!(f, "no valid answer: {text}"),
        }
    }
}

impl Egress {
    /// Prepares to send. `exchange_time_max` is for everything, from the name to the last byte of the answer.
    ///
    /// # Errors
    /// A root certificate cannot be read.
    pub fn new(
        policy: Policy,
        resolver: Arc<dyn Resolve>,
        roots: &Roots,
        exchange_time_max: Duration,
    ) -> Result<Self> {
        let tls = tls(roots)?;
        Ok(Self(Arc::new(Inner { policy, resolver, tls, pool: Pool::default(), exchange_time_max })))
    }

    /// Returns what may be called.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    /// Resolves a target and judges every address.
    ///
    /// # Errors
    /// An address is refused, or there is none.
    pub async fn vet(&self, target: &Target) -> Result<Vec<SocketAddr>, Fault> {
        let addresses = match target.literal() {
            Some(address) => vec![address],
            None => self.resolve(&target.name()).await?,
        };
        for address in &addresses {
            target.vet(*address, &self.0.policy).map_err(Fault::Refused)?;
        }
        Ok(addresses.into_iter().take(ADDRESSES_MAX).map(|ip| SocketAddr::new(ip, target.port())).collect())
    }

    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        match timeout(RESOLVE_TIME_MAX, self.0.resolver.resolve(name)).await {
            Err(_elapsed) => Err(Fault::Timeout("resolving the name")),
            Ok(Err(error)) => Err(Fault::Dns(error.to_string())),
            Ok(Ok(addresses)) if addresses.is_empty() => Err(Fault::Dns("it has no address".to_owned())),
            Ok(Ok(addresses)) => Ok(addresses),
        }
    }

    /// Sends a message to an address that is judged now, and reads the answer.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, target: &Target, message: Message) -> Result<Answer, Fault> {
        let deadline = Instant::now() + self.0.exchange_time_max;
        match timeout_at(deadline, self.exchange(target, message, deadline)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Fault::Timeout("the answer")),
        }
    }

    async fn exchange(&self, target: &Target, message: Message, deadline: Instant) -> Result<Answer, Fault> {
        let addresses = self.vet(target).await?;
        let tls_name = target.is_https().then(|| target.name());
        for address in &addresses {
            let key = Key { address: *address, tls_name: tls_name.clone() };
            let Some(connection) = self.0.pool.take(&key) else { continue };
            // The other side may have closed it at this very moment. Then nothing came back, and the message is sent
            // again on a fresh one: at least once is what is promised.
            if let Ok(answer) = self.over(key, connection, request(target, &message)?, deadline).await {
                return Ok(answer);
            }
            break;
        }
        let (key, connection) = self.connect(&addresses, tls_name.as_deref()).await?;
        self.over(key, connection, request(target, &message)?, deadline).await
    }

    async fn connect(
        &self,
        addresses: &[SocketAddr],
        tls_name: Option<&str>,
    ) -> Result<(Key, Connection), Fault> {
        let tls = tls_name.map(|name| (&self.0.tls, name));
        let share = CONNECT_TIME_MAX / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = Fault::Dns("it has no address".to_owned());
        for address in addresses {
            last = match timeout(share, Connection::open(*address, tls)).await {
                Ok(Ok(connection)) => {
                    let key = Key { address: *address, tls_name: tls_name.map(str::to_owned) };
                    return Ok((key, connection));
                }
                Ok(Err(NoConnection::Connect(error))) => Fault::Connect(error.to_string()),
                Ok(Err(NoConnection::Tls(error))) if is_expired(&error) => Fault::Expired(error.to_string()),
                Ok(Err(NoConnection::Tls(error))) => Fault::Tls(error.to_string()),
                Ok(Err(NoConnection::Http(error))) => Fault::Protocol(words(&error)),
                Err(_elapsed) => Fault::Timeout("connecting"),
            };
        }
        Err(last)
    }

    async fn over(
        &self,
        key: Key,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, Fault> {
        let response = connection.send(request).await.map_err(|error| Fault::Protocol(words(&error)))?;
        let (head, mut incoming) = response.into_parts();
        let until = deadline.min(Instant::now() + BODY_TIME_MAX);
        let mut body = BytesMut::new();
        let whole = timeout_at(until, read(&mut incoming, &mut body)).await.unwrap_or(false);
        drop(incoming);
        if whole && timeout_at(until, connection.is_ready()).await.unwrap_or(false) {
            self.0.pool.give(key, connection);
        }
        Ok(Answer { status: head.status, headers: head.headers, body: body.freeze() })
    }
}

/// Reads as much of a body as is wanted; tells whether that was all.
async fn read(incoming: &mut Incoming, body: &mut BytesMut) -> bool {
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else { return false };
        let Some(data) = frame.data_ref() else { continue };
        let room = ANSWER_BYTES_MAX - body.len();
        body.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return false;
        }
    }
    true
}

fn request(target: &Target, message: &Message) -> Result<Request<Full<Bytes>>, Fault> {
    let wrong = |error: http::Error| Fault::Protocol(error.to_string());
    let mut request = Request::builder()
        .method(message.method.clone())
        .uri(target.path())
        .body(Full::new(message.body.clone()))
        .map_err(wrong)?;
    *request.headers_mut() = message.headers.clone();
    let host =
        HeaderValue::try_from(target.authority()).map_err(|error| Fault::Protocol(error.to_string()))?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

fn tls(roots: &Roots) -> Result<Arc<ClientConfig>> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Native => {
            // Some machines carry certificates that nobody can read; the others are enough.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Roots::Only(certificates) => {
            for certificate in certificates {
                store.add(CertificateDer::from(certificate.clone())).map_err(Error::internal)?;
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn is_expired(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(
        cause,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        ))
    )
}

/// Tells an error with its cause: the outermost says hardly anything.
fn words(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
