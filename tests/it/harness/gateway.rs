//! The gateway under test.

use std::{future, net::SocketAddr, sync::Arc};

use causeway::{
    app::App,
    clock::{Clock, SystemClock},
    config::{Config, Sources},
    lifecycle::Unclean,
};
use http::HeaderMap;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    client::{Connection, Response},
    descriptors::library_file,
    scripted::Scripted,
};

/// A running gateway. Ends hard when dropped, softly by [`Gateway::stop`].
pub(crate) struct Gateway {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    signals: mpsc::Sender<()>,
    tasks: JoinSet<Result<(), Unclean>>,
}

impl Gateway {
    /// Starts with these `section.key=value`, on a free port.
    pub(crate) async fn start(settings: &[String]) -> Self {
        Self::start_at(settings, Arc::new(SystemClock)).await
    }

    /// The same by another clock.
    pub(crate) async fn start_at(settings: &[String], clock: Arc<dyn Clock>) -> Self {
        // As many workers on every machine: what is on which of them must not be its doing.
        let first = ["http.listen=127.0.0.1:0", "http.worker_threads=2", "identity.mode=none"];
        let mut set: Vec<String> = first.map(str::to_owned).into();
        set.extend_from_slice(settings);
        let config = Config::load(Sources { set, ..Sources::default() })
            .into_config()
            .unwrap_or_else(|problems| panic!("{problems}"));
        let app = Box::pin(App::build(config, clock)).await.unwrap_or_else(|error| panic!("{error}"));
        let address = app.local_addr();
        let (signals, mut wishes) = mpsc::channel(2);
        let mut tasks = JoinSet::new();
        tasks.spawn(app.run(async move || match wishes.recv().await {
            Some(()) => "the story",
            None => future::pending().await,
        }));
        Self { address, signals, tasks }
    }

    /// Starts in front of the library.
    pub(crate) async fn library(upstream: &Scripted) -> Self {
        Self::library_with(upstream, &[]).await
    }

    /// Starts in front of the library, with more settings.
    pub(crate) async fn library_with(upstream: &Scripted, more: &[&str]) -> Self {
        let mut settings = vec![
            format!("schema.descriptor_sets=[\"{}\"]", library_file()),
            "upstreams.library.services=[\"acme.v1.Library\"]".to_owned(),
            format!("upstreams.library.endpoint=http://{}", upstream.address),
        ];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        Self::start(&settings).await
    }

    /// Starts in front of the built-in services, all played by `upstream`.
    pub(crate) async fn builtin(upstream: &Scripted) -> Self {
        let endpoint = |key: &str| format!("upstreams.{key}.endpoint=http://{}", upstream.address);
        Self::start(&[endpoint("bigqueryconnection"), endpoint("datastream")]).await
    }

    /// Sends the first signal, or the second.
    pub(crate) async fn signal(&self) {
        self.signals.send(()).await.expect("the gateway runs");
    }

    /// Waits for the end.
    pub(crate) async fn ended(mut self) -> Result<(), Unclean> {
        self.tasks.join_next().await.expect("it was started").expect("it does not panic")
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::http1(self.address).await
    }

    /// Sends a request on a connection of its own. `target` goes out as it is.
    pub(crate) async fn send(
        &self,
        verb: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Response {
        self.connect().await.send(verb, target, headers, body).await
    }

    /// GETs.
    pub(crate) async fn get(&self, target: &str) -> Response {
        self.send("GET", target, &[], "").await
    }

    /// POSTs JSON.
    pub(crate) async fn post(&self, target: &str, json: &str) -> Response {
        self.send("POST", target, &[("content-type", "application/json")], json.to_owned()).await
    }

    /// Reads the metrics and finds the value of a series.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// Turns pairs into headers.
pub(crate) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().expect("a header name"), value.parse().expect("a header value")))
        .collect::<Vec<(http::HeaderName, http::HeaderValue)>>()
        .into_iter()
        .fold(HeaderMap::new(), |mut map, (name, value)| {
            map.append(name, value);
            map
        })
}
