//! The composition root: from a configuration to a gateway that listens, in the order in which one explains it.

use std::{fmt, fs, io, net::SocketAddr, sync::Arc};

use tokio::net::TcpListener;

use crate::{
    audit::{Keeper, Recorder, Sealer},
    cache::PageCache,
    clock::Clock,
    config::{self, Config},
    crypto::{KEY_BYTES, Keys, Purpose},
    egress::{self, Egress, Roots, SystemResolver},
    gateway::{Aftermath, Gateway, Keeping, Ledger, unservable},
    http::{self, About, Audit, Listener, Parts, Server},
    identity::{Identity, Limits},
    kv::Kv,
    lifecycle::{Lifecycle, Unclean},
    operations::{Desk, Poller, Recovery, Sources, Tidier, Tracker, Waiters},
    schema::{Catalog, EMBEDDED, Pool, UpstreamSpec},
    store::{Store, journal::Journal},
    telemetry,
    transcode::Transcoder,
    upstream::Upstreams,
    webhooks::{self, Courier, Endpoints},
    workers::Workers,
};

/// A gateway whose port is bound and whose tasks run once [`App::run`] is called.
pub struct App {
    local_addr: SocketAddr,
    lifecycle: Lifecycle,
    workers: Arc<Workers>,
}

impl App {
    /// Builds everything that a configuration asks for, and binds the port.
    ///
    /// # Errors
    /// What keeps the gateway from starting: a sentence for each problem.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        let metrics = telemetry::start_metrics();
        let mut lifecycle = Lifecycle::new(config.http.drain_timeout);

        let catalog = catalog(&config)?;
        let transcoder = Transcoder::new(&catalog.pool);
        servable(&catalog, &transcoder)?;
        let known = catalog.methods.iter().map(|method| method.upstream.to_string()).collect();
        let store = open_store(&config, clock.clone()).await?;
        let keys = keys(&config.secrets, &store).await?;
        let keeper = Keeper::start(store.clone(), &config.audit).await.map_err(|error| one(error.told()))?;
        let (journal, journal_work) = Journal::new(store.clone());
        let (recorder, recorder_work) = Recorder::new(store.clone(), &keys);
        let sealer = Sealer::new(store.clone(), &keys);
        let upstreams = Upstreams::build(&config.upstreams, |key| catalog.oauth_scopes(key))
            .map_err(|error| one(error.told()))?;
        let kv = config.redis.url.as_ref().map(|url| Kv::new(url, &config.redis.tls));
        let kv = kv.transpose().map_err(|error| one(error.told()))?;
        let kv = kv.map(Arc::new);
        let tags = keys.mac(Purpose::CachedPage);
        let (pages, pages_work) =
            PageCache::new(&config.cache, kv.clone(), tags, clock.clone(), lifecycle.soft());

        let sources = Arc::new(Sources::new(transcoder.clone(), keys.sealer(Purpose::ResourceMeta)));
        let waiters = Waiters::new(store.clone(), kv.clone());
        let tracker = Tracker::new(store.clone(), sources, waiters.clone(), &catalog, pages.clone());
        let desk = Desk::new(tracker.clone(), upstreams.clone());
        let poller = Poller::new(tracker.clone(), &upstreams, &config.upstreams, &config.operations);
        let recovery =
            Arc::new(Recovery::new(tracker.clone(), upstreams.clone(), transcoder.clone(), &catalog));
        let aftermath = Aftermath::new(&catalog, &transcoder, upstreams.clone(), store.clone())
            .map_err(|error| one(error.told()))?;
        let aftermath = Arc::new(aftermath);
        let keeper = keeper.with_recovery(Arc::new(move |orphan| {
            let (recovery, aftermath) = (recovery.clone(), aftermath.clone());
            Box::pin(async move {
                let found = recovery.recover(&orphan).await?;
                if found.is_some() { Ok(found) } else { aftermath.recover(&orphan).await }
            })
        }));
        let ledger = Ledger::new(journal, tracker, &keys, http::status_of);
        let keeping = Keeping::new(pages, &keys, &config.cache, clock.clone());
        let gateway = Gateway::new(catalog, transcoder, upstreams, config.upstreams, ledger, keeping);

        let limits = Arc::new(Limits::new(&config.limits, kv.as_ref()));
        let identity = Identity::new(&config.identity, &store, limits.clone(), clock.clone())
            .map_err(|error| one(error.told()))?;
        let api_keys = identity.keys().clone();

        let audit = Audit {
            recorder,
            sealer: sealer.clone(),
            tokens: keys.sealer(Purpose::PageToken),
            config: config.audit.clone(),
        };
        let egress = Egress::new(
            egress::Policy::from(&config.webhooks),
            Arc::new(SystemResolver),
            &Roots::Native,
            egress::limits::EXCHANGE_TIME_MAX,
        )
        .map_err(|error| one(error.told()))?;
        let secrets = keys.sealer(Purpose::WebhookSecret);
        let courier = Courier::new(store.clone(), egress.clone(), secrets.clone());
        let webhook_keeper = webhooks::Keeper::new(store.clone(), &egress, secrets.clone());
        let webhooks = Endpoints::new(store.clone(), egress, secrets, known);

        let rendered = metrics.clone();
        let about = About { started: clock.now(), metrics: Box::new(move || rendered.render()) };
        let parts = Parts {
            gateway,
            store: store.clone(),
            audit,
            operations: desk,
            identity,
            limits,
            webhooks,
            about,
        };
        let server =
            Server::new(parts, &config.http, &config.limits, lifecycle.soft()).map_err(StartError)?;

        let listen = config.http.listen;
        let socket = TcpListener::bind(listen)
            .await
            .map_err(|error| one(format!("http.listen: {}", no_room(listen, &error))))?;
        let workers = Workers::start(config.http.worker_threads)
            .map_err(|error| one(format!("http.worker_threads: {error}")))?;
        let workers = Arc::new(workers);
        let listener =
            Listener::new(socket, &config.http, workers.clone()).map_err(|error| one(error.told()))?;
        let local_addr = listener.local_addr().map_err(|error| one(format!("http.listen: {error}")))?;

        lifecycle.spawn("workers", workers.watch(lifecycle.soft()));
        lifecycle.spawn("http", listener.run(Arc::new(server), lifecycle.soft()));
        lifecycle.spawn("marks of use", {
            let soft = lifecycle.soft();
            async move { api_keys.keep_marks(soft).await }
        });
        lifecycle.spawn("journal", journal_work);
        lifecycle.spawn("page cache", pages_work);
        lifecycle.spawn("audit recorder", recorder_work);
        lifecycle.spawn("audit sealer", sealer.run(lifecycle.soft()));
        lifecycle.spawn("journal keeper", keeper.run(lifecycle.soft()));
        let tidier = Tidier::new(store.clone(), &config.operations);
        lifecycle.spawn("operations tidier", tidier.run(lifecycle.soft()));
        if config.operations.poll {
            lifecycle.spawn("operations poller", poller.run(lifecycle.soft()));
        }
        lifecycle.spawn("operations waiters", waiters.run(lifecycle.soft()));
        if config.webhooks.deliver {
            lifecycle.spawn("webhooks", courier.run(lifecycle.soft()));
        }
        lifecycle.spawn("webhook keeper", webhook_keeper.run(lifecycle.soft()));
        lifecycle.spawn("store clock", store.watch_clock(lifecycle.soft()));
        lifecycle.spawn("metrics upkeep", metrics.upkeep(lifecycle.soft()));
        tracing::info!(listen = %local_addr, tls = config.http.tls.is_some(), "listening");
        Ok(Self { local_addr, lifecycle, workers })
    }

    /// Returns the address that was bound: the port, where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Runs until told to stop and done. `next_signal` waits for the next wish to stop and names it.
    ///
    /// # Errors
    /// It did not end well: a task died, or work was cut short.
    pub async fn run(self, next_signal: impl AsyncFnMut() -> &'static str) -> Result<(), Unclean> {
        let ended = self.lifecycle.run(next_signal).await;
        // Not before: what a request has begun, and was to be finished, is on their threads.
        self.workers.end().await;
        ended
    }
}

/// Opens the database that a configuration names, or a temporary file where that is all it needs.
///
/// # Errors
/// It cannot be used, or a gateway that others rely on has none.
pub async fn open_store(config: &Config, clock: Arc<dyn Clock>) -> Result<Store, StartError> {
    if let Some(lacking) = config.lacks_to_serve() {
        return Err(one(lacking.to_string()));
    }
    let store = Store::open(&config.database, clock).await.map_err(|error| one(error.told()))?;
    if store.is_temporary() {
        tracing::warn!(
            "database.url is not set: records are kept in a temporary file and go when the gateway ends"
        );
    }
    Ok(store)
}

/// Name of the secret that the database keeps where none is configured.
const KEY: &str = "secrets.key";

/// Returns the keys of a configuration, or those made from a secret that the database keeps.
///
/// # Errors
/// The database is away.
pub async fn keys(secrets: &config::Secrets, store: &Store) -> Result<Keys, StartError> {
    if let Some(keys) = configured_keys(secrets) {
        // It is not taken from there unasked: whoever can write to the database could put one there, or what is none.
        let kept = store.find_generated_secret(KEY).await.ok().flatten();
        let mut known = secrets.key.iter().chain(&secrets.old_keys);
        if kept.is_some_and(|kept| known.all(|key| *key.expose() != kept)) {
            tracing::warn!(
                "the database keeps a generated key that is not in secrets.old_keys: what it has encrypted and signed \
                 cannot be opened and verified. See \"Keep it\" in the README, or delete it from generated_secrets"
            );
        }
        return Ok(keys);
    }
    let generated = store.generated_secret(KEY).await.map_err(|error| one(error.told()))?;
    tracing::warn!("secrets.key is not set: a generated key is kept in the database, beside what it seals");
    Ok(keys_of(&generated, secrets))
}

/// Returns the keys as [`keys`] does, but makes none.
///
/// # Errors
/// The database is away; or none is configured, and none is kept.
pub async fn keys_to_verify(secrets: &config::Secrets, store: &Store) -> Result<Keys, StartError> {
    if let Some(keys) = configured_keys(secrets) {
        return Ok(keys);
    }
    let generated = store.find_generated_secret(KEY).await.map_err(|error| one(error.told()))?;
    let generated = generated.ok_or_else(|| {
        one("secrets.key is not set, and no gateway has kept a generated key in this database: set the key that the \
             gateways have which write to it")
    })?;
    Ok(keys_of(&generated, secrets))
}

fn configured_keys(secrets: &config::Secrets) -> Option<Keys> {
    secrets.key.as_ref().map(|key| keys_of(key.expose(), secrets))
}

fn keys_of(key: &[u8; KEY_BYTES], secrets: &config::Secrets) -> Keys {
    let old: Vec<_> = secrets.old_keys.iter().map(|key| *key.expose()).collect();
    Keys::new(key, &old)
}

/// Reads the descriptor sets and service YAMLs that a configuration names, and puts together what is known about all
/// upstreams: those configured, and those that are known and not.
///
/// # Errors
/// Every file that cannot be read, every rule that does not fit.
pub fn catalog(config: &Config) -> Result<Catalog, StartError> {
    let mut problems = Vec::new();
    let mut sets = Vec::new();
    for path in &config.schema.descriptor_sets {
        match fs::read(path) {
            Ok(bytes) => sets.push((path.display().to_string(), bytes)),
            Err(error) => problems.push(format!("schema.descriptor_sets: {}: {error}", path.display())),
        }
    }
    let mut specs = Vec::new();
    for (key, upstream) in config.upstreams.iter().filter(|(key, upstream)| upstream.has_services(key)) {
        let file = upstream
            .service_config
            .as_ref()
            .map(|path| (path.display().to_string(), fs::read_to_string(path)));
        let service_config = match file {
            Some((name, Ok(text))) => Some((name, text)),
            Some((name, Err(error))) => {
                problems.push(format!("upstreams.{key}.service_config: {name}: {error}"));
                None
            }
            None => None,
        };
        specs.push(UpstreamSpec {
            key,
            services: upstream.services.clone(),
            service_config,
            primary: upstream.primary,
            configured: true,
        });
    }
    if !problems.is_empty() {
        return Err(StartError(problems));
    }
    let sets: Vec<(&str, &[u8])> = std::iter::once(EMBEDDED)
        .chain(sets.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
        .collect();
    let pool = Pool::load(&sets).map_err(|error| one(format!("schema.descriptor_sets: {error}")))?;
    Catalog::build(pool, &UpstreamSpec::with_builtins(specs))
        .map_err(|problems| StartError(problems.iter().map(ToString::to_string).collect()))
}

/// Checks that a gateway can serve all that is known about the upstreams: each path has one owner, none is the gateway's own,
/// and every rule can be followed.
///
/// # Errors
/// Everything that cannot be served.
pub fn servable(catalog: &Catalog, transcoder: &Transcoder) -> Result<(), StartError> {
    let mut problems = catalog.routes(|_, _| ()).err().unwrap_or_default();
    problems.extend(catalog.trespasses(http::own_paths()));
    problems.extend(unservable(catalog, transcoder));
    if problems.is_empty() {
        return Ok(());
    }
    Err(StartError(problems.iter().map(ToString::to_string).collect()))
}

/// Says why nobody can be listened to at an address.
fn no_room(listen: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "{listen} is taken by another process; end it, or choose another port (0: any that is free)"
            )
        }
        io::ErrorKind::AddrNotAvailable => format!("{listen} is no address of this machine"),
        _ => format!("{listen}: {error}"),
    }
}

fn one(problem: impl Into<String>) -> StartError {
    StartError(vec![problem.into()])
}

/// Why the gateway does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(pub Vec<String>);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for StartError {}
