//! `[http]`: where and how requests come in.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::cidr::Cidr;
use super::host_name::HostName;
use super::section::Section;
use super::setting::Size;

/// More threads than this help nobody.
const WORKER_THREADS_MAX: usize = 512;

/// The listener and its limits.
#[derive(Clone, Debug)]
pub struct Http {
    /// `listen`: address and port; port 0 takes a free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `tls.certificate`, `tls.key`: serve TLS; plain HTTP without.
    pub tls: Option<HttpTls>,
    /// `trusted_proxies`: the networks whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<Cidr>,
    /// `hosts`: names that requests are addressed to, beside `localhost`, addresses and names without a dot, while callers are
    /// not asked who they are and no certificate says who answers. Default none.
    pub hosts: Vec<HostName>,
    /// `body_size_max`: the largest request body in bytes, also after decompression. Default 4 MiB.
    pub body_size_max: usize,
    /// `request_timeout`: the longest a request may take until its answer begins. Default 120 s.
    pub request_timeout: Duration,
    /// `idle_timeout`: the longest a keep-alive connection may be silent. Default 5 min.
    pub idle_timeout: Duration,
    /// `connections_max`: connections open at once; more wait to be accepted. Default 20 000.
    pub connections_max: usize,
    /// `worker_threads`: threads that serve, each the connections that it was given; as many do what is nobody's request.
    /// Default one for each core.
    pub worker_threads: usize,
    /// `drain_timeout`: how long requests may still run once the process is told to stop. Default 30 s.
    pub drain_timeout: Duration,
}

/// The certificate the gateway shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTls {
    /// PEM file with the certificate and those that vouch for it.
    pub certificate: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
}

impl Http {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            listen: s.value("listen", SocketAddr::from(([127, 0, 0, 1], 8080))),
            tls: s.section("tls", read_tls),
            trusted_proxies: s.value("trusted_proxies", Vec::new()),
            hosts: s.value("hosts", Vec::new()),
            body_size_max: s.bounded("body_size_max", Size::mib(4), Size::kib(1)..=Size::mib(256)).0,
            request_timeout: s.bounded(
                "request_timeout",
                Duration::from_secs(120),
                Duration::from_millis(100)..=Duration::from_secs(3600),
            ),
            idle_timeout: s.bounded(
                "idle_timeout",
                Duration::from_secs(300),
                Duration::from_secs(1)..=Duration::from_secs(86_400),
            ),
            connections_max: s.bounded("connections_max", 20_000, 1..=1_000_000),
            worker_threads: s.bounded("worker_threads", cores(), 1..=WORKER_THREADS_MAX),
            drain_timeout: s.bounded(
                "drain_timeout",
                Duration::from_secs(30),
                Duration::ZERO..=Duration::from_secs(3600),
            ),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(WORKER_THREADS_MAX)
}

fn read_tls(s: &mut Section<'_>) -> Option<HttpTls> {
    match (s.optional("certificate"), s.optional("key")) {
        (Some(certificate), Some(key)) => Some(HttpTls { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            s.wrong("key", "missing; tls.certificate needs the private key beside it");
            None
        }
        (None, Some(_)) => {
            s.wrong("certificate", "missing; tls.key needs the certificate beside it");
            None
        }
    }
}
