//! From a name to addresses. A parameter, so that a story can change them between registration and delivery.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
};

use tokio::net::lookup_host;

/// What resolving a name comes to.
pub type Resolved<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns names into addresses. Shared as `Arc<dyn Resolve>`.
pub trait Resolve: Send + Sync + 'static {
    /// Returns every address of a name.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolved<'a>;
}

/// The resolver of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolved<'a> {
        Box::pin(async move {
            // RFC 6761: never asked of DNS, wherever the machine's own files stand.
            let bare = name.trim_end_matches('.');
            if bare == "localhost" || bare.ends_with(".localhost") {
                return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
            }
            Ok(lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
        })
    }
}
