//! One port: services behind their observer, gRPC health and reflection, and an orderly end.

use std::net::SocketAddr;

use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};
use tonic::{
    codegen::tokio_stream::StreamExt as _,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::ServingStatus;
use tonic_reflection::server::Builder;

use super::{limits::EMULATOR_STOP_MAX, link::Knife, observed::Observed};
use crate::{
    error::{Code, Error, Reason, Result},
    pb,
};

/// A port that is served. Dropping it closes the port and every connection at once.
pub(super) struct Listener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinSet<()>,
    knife: Option<Knife>,
}

impl Listener {
    /// Binds the address and serves the routes on it.
    pub(super) async fn bind(
        address: SocketAddr,
        routes: Routes,
        services: &'static [&'static str],
        observe: impl FnOnce(Routes) -> Observed<Routes>,
    ) -> Result<Self> {
        let failed = |error| {
            Error::new(Code::Unavailable, Reason::Internal, format!("cannot listen on {address}"))
                .with_source(error)
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let service = observe(with_extras(routes, services).await?.prepare());
        let (stop, stopped) = oneshot::channel::<()>();
        let knife = Knife::new();
        let link = knife.link();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let incoming = incoming.map(move |stream| stream.map(&link));
            let until = async {
                // A sender that is gone means the same as one that sends.
                let _ = stopped.await;
            };
            if let Err(error) = Server::builder().serve_with_incoming_shutdown(service, incoming, until).await
            {
                tracing::error!(%address, %error, "emulated upstream ended");
            }
        });
        Ok(Self { address, stop: Some(stop), task, knife: Some(knife) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks for an orderly end: no new calls, those under way may finish.
    pub(super) fn signal(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Nobody listens when the server has ended by itself.
            let _ = stop.send(());
        }
    }

    /// Waits for the end, a limited time.
    pub(super) async fn join(mut self) {
        self.signal();
        if tokio::time::timeout(EMULATOR_STOP_MAX, self.task.join_next()).await.is_err() {
            self.abort().await;
        }
    }

    /// Closes the port and every connection now.
    pub(super) async fn abort(&mut self) {
        self.knife = None;
        self.task.shutdown().await;
    }
}

/// Adds health, which serves from the start, and reflection over everything that is compiled in.
async fn with_extras(routes: Routes, services: &'static [&'static str]) -> Result<Routes> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in services {
        reporter.set_service_status(*service, ServingStatus::Serving).await;
    }
    // Tools in use still ask for the older of the two versions.
    let old = reflection(services).build_v1alpha().map_err(Error::internal)?;
    let new = reflection(services).build_v1().map_err(Error::internal)?;
    Ok(routes.add_service(health).add_service(old).add_service(new))
}

fn reflection(services: &'static [&'static str]) -> Builder<'static> {
    let builder = Builder::configure().register_encoded_file_descriptor_set(pb::DESCRIPTOR_SET);
    services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
}
