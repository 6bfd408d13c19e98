//! The gateway's own endpoints. They stand in the same route table as the proxied bindings.

mod api_keys;
pub(super) mod grpc;
pub(super) mod operations;
mod tasks;

use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use metrics::gauge;
use serde_json::{Value, json};

use self::grpc::Rpc;
use super::{
    Server, audit_entries,
    body::Body,
    edge::{Exchange, body::Inbound},
};
use crate::{
    error::Result, gateway::Notes, identity::access, model::Role, schema::Captures, store::Health,
    upstream::BreakerState,
};

/// An endpoint that needs no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Root,
    Live,
    Ready,
    Metrics,
    CreateKey,
    ListKeys,
    GetKey,
    RevokeKey,
    AuditEntries,
    ExportAuditEntries,
    ListOperations,
    GetOperation,
    CancelOperation,
    DeleteOperation,
    WaitOperation,
    WatchOperation,
    WatchOperations,
    TrackOperation,
    CreateTask,
    ListTasks,
    GetTask,
    DeleteTask,
    TaskMetrics,
    TaskLogs,
    Grpc(Rpc),
}

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody, known or not.
    Public,
    /// Whoever has this permission: the least role that has it, on anything at all. On what in particular is checked by the
    /// endpoint.
    Permission(&'static str, Role),
}

impl Access {
    const fn of((permission, role): (&'static str, Role)) -> Self {
        Self::Permission(permission, role)
    }
}

/// A request to one of them.
pub(super) struct Asked<'r> {
    /// The values of the template's variables.
    pub(super) captures: &'r Captures<'r>,
    /// The query.
    pub(super) query: &'r str,
    /// The head.
    pub(super) head: &'r Parts,
    /// The body, not yet read.
    pub(super) inbound: &'r mut Inbound,
    /// What is known of the request.
    pub(super) exchange: &'r Exchange,
    /// What is noted of it.
    pub(super) notes: &'r mut Notes,
}

/// What reading the audit log needs.
const AUDIT_LIST: &str = "causeway.auditEntries.list";
const AUDIT_EXPORT: &str = "causeway.auditEntries.export";

/// Their whole URL space.
pub(super) const ALL: [(&str, &str, Own); 34] = [
    ("GET", "/", Own::Root),
    ("GET", "/healthz", Own::Live),
    ("GET", "/readyz", Own::Ready),
    ("GET", "/metrics", Own::Metrics),
    ("POST", "/v1/apiKeys", Own::CreateKey),
    ("GET", "/v1/apiKeys", Own::ListKeys),
    ("GET", "/v1/apiKeys/{key}", Own::GetKey),
    ("DELETE", "/v1/apiKeys/{key}", Own::RevokeKey),
    ("GET", "/v1/auditEntries", Own::AuditEntries),
    ("GET", "/v1/{parent=projects/*}/auditEntries", Own::AuditEntries),
    ("GET", "/v1/auditEntries:export", Own::ExportAuditEntries),
    ("GET", "/v1/{parent=projects/*}/auditEntries:export", Own::ExportAuditEntries),
    ("GET", "/v1/operations", Own::ListOperations),
    ("GET", "/v1/{parent=projects/*}/operations", Own::ListOperations),
    ("GET", "/v1/{name=projects/*/operations/*}", Own::GetOperation),
    ("DELETE", "/v1/{name=projects/*/operations/*}", Own::DeleteOperation),
    ("POST", "/v1/{name=projects/*/operations/*}:cancel", Own::CancelOperation),
    ("POST", "/v1/{name=projects/*/operations/*}:wait", Own::WaitOperation),
    ("GET", "/v1/{name=projects/*/operations/*}:watch", Own::WatchOperation),
    ("GET", "/v1/operations:watch", Own::WatchOperations),
    ("GET", "/v1/{parent=projects/*}/operations:watch", Own::WatchOperations),
    ("POST", "/v1/operations:track", Own::TrackOperation),
    ("POST", "/v1/{parent=projects/*}/operations:track", Own::TrackOperation),
    ("POST", "/v1/{parent=projects/*/locations/*}/tasks", Own::CreateTask),
    ("GET", "/v1/{parent=projects/*/locations/*}/tasks", Own::ListTasks),
    ("GET", "/v1/{name=projects/*/locations/*/tasks/*}", Own::GetTask),
    ("DELETE", "/v1/{name=projects/*/locations/*/tasks/*}", Own::DeleteTask),
    ("GET", "/v1/{name=projects/*/locations/*/tasks/*}:metrics", Own::TaskMetrics),
    ("GET", "/v1/{name=projects/*/locations/*/tasks/*}:logs", Own::TaskLogs),
    ("POST", "/google.longrunning.Operations/GetOperation", Own::Grpc(Rpc::Get)),
    ("POST", "/google.longrunning.Operations/ListOperations", Own::Grpc(Rpc::List)),
    ("POST", "/google.longrunning.Operations/CancelOperation", Own::Grpc(Rpc::Cancel)),
    ("POST", "/google.longrunning.Operations/DeleteOperation", Own::Grpc(Rpc::Delete)),
    ("POST", "/google.longrunning.Operations/WaitOperation", Own::Grpc(Rpc::Wait)),
];

impl Own {
    /// Whether it only looks at the process, and is not worth an entry in the audit log.
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Self::Root | Self::Live | Self::Ready | Self::Metrics)
    }

    /// Tells who may use it.
    pub(super) fn access(self) -> Access {
        match self {
            Self::Root | Self::Live | Self::Ready => Access::Public,
            Self::Metrics => Access::Permission("causeway.metrics.get", Role::Viewer),
            Self::CreateKey => Access::Permission(api_keys::CREATE, Role::Admin),
            Self::ListKeys => Access::Permission(api_keys::LIST, Role::Admin),
            Self::GetKey => Access::Permission(api_keys::GET, Role::Admin),
            Self::RevokeKey => Access::Permission(api_keys::REVOKE, Role::Admin),
            Self::AuditEntries => Access::Permission(AUDIT_LIST, Role::Admin),
            Self::ExportAuditEntries => Access::Permission(AUDIT_EXPORT, Role::Admin),
            Self::ListOperations | Self::WatchOperations => Access::of(operations::LIST),
            Self::GetOperation => Access::of(operations::GET),
            Self::CancelOperation => Access::of(operations::CANCEL),
            Self::DeleteOperation => Access::of(operations::DELETE),
            Self::WaitOperation => Access::of(operations::WAIT),
            Self::WatchOperation => Access::of(operations::WATCH),
            Self::TrackOperation => Access::of(operations::TRACK),
            Self::CreateTask => Access::of(tasks::CREATE),
            Self::ListTasks => Access::of(tasks::LIST),
            Self::GetTask | Self::TaskMetrics | Self::TaskLogs => Access::of(tasks::GET),
            Self::DeleteTask => Access::of(tasks::DELETE),
            // What is needed is told by the name in the message.
            Self::Grpc(Rpc::Get) => Access::of(operations::GET),
            Self::Grpc(Rpc::List) => Access::of(operations::LIST),
            Self::Grpc(Rpc::Cancel) => Access::of(operations::CANCEL),
            Self::Grpc(Rpc::Delete) => Access::of(operations::DELETE),
            Self::Grpc(Rpc::Wait) => Access::of(operations::WAIT),
        }
    }
}

/// Answers a request to an endpoint of ours, once its principal may make it.
pub(super) async fn answer(own: Own, server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let Asked { captures, query, .. } = asked;
    if let Access::Permission(permission, role) = own.access() {
        asked.notes.entry.permission = permission.to_owned();
        access::require_somewhere(asked.exchange.principal()?, permission, role)?;
        if matches!(own, Own::AuditEntries | Own::ExportAuditEntries) {
            // Without a parent it is everybody's entries that are asked for.
            let parent = captures.first().map_or("-", |parent| parent);
            access::require(asked.exchange.principal()?, permission, role, parent)?;
        }
    }
    match own {
        Own::Root => Ok(root(server)),
        Own::Live => Ok(text("text/plain; charset=utf-8", "ok\n".to_owned())),
        Own::Ready => Ok(ready(server)),
        Own::Metrics => Ok(metrics(server)),
        Own::CreateKey => api_keys::create(server, asked).await,
        Own::ListKeys => api_keys::list(server, &asked).await,
        Own::GetKey => api_keys::get(server, &asked).await,
        Own::RevokeKey => api_keys::revoke(server, asked).await,
        Own::AuditEntries => audit_entries::list(server, captures, query, asked.notes).await,
        Own::ExportAuditEntries => audit_entries::export(server, captures, query, asked.notes).await,
        Own::ListOperations => operations::list(server, asked).await,
        Own::GetOperation => operations::get(server, asked).await,
        Own::CancelOperation => operations::cancel(server, asked).await,
        Own::DeleteOperation => operations::delete(server, asked).await,
        Own::WaitOperation => operations::wait(server, asked).await,
        Own::WatchOperation => operations::watch(server, asked).await,
        Own::WatchOperations => operations::watch_all(server, asked).await,
        Own::TrackOperation => operations::track(server, asked).await,
        Own::CreateTask => Box::pin(tasks::create(server, asked)).await,
        Own::ListTasks => tasks::list(server, asked).await,
        Own::GetTask => tasks::get(server, asked).await,
        Own::DeleteTask => tasks::delete(server, asked).await,
        Own::TaskMetrics => tasks::metrics(server, asked).await,
        Own::TaskLogs => tasks::logs(server, asked).await,
        Own::Grpc(rpc) => Box::pin(grpc::answer(rpc, server, asked)).await,
    }
}

fn root(server: &Server) -> Response<Body> {
    super::json(&json!({
        "name": "causeway",
        "version": env!("CARGO_PKG_VERSION"),
        "startTime": server.about.started.to_string(),
        "links": ALL
            .iter()
            .map(|(_, path, _)| *path)
            .filter(|path| *path != "/" && !path.contains('{') && !path.starts_with("/google."))
            .collect::<Vec<_>>(),
    }))
}

/// Ready as long as the store is and we are not stopping. An upstream that is down is named, but the other upstreams can still be served,
/// so it takes no replica out of rotation.
fn ready(server: &Server) -> Response<Body> {
    let upstreams: Vec<Value> = server
        .gateway
        .upstreams()
        .iter()
        .map(|upstream| {
            let health = upstream.health();
            json!({
                "name": upstream.key(),
                "state": health.status.name(),
                "breaker": health.breaker.name(),
                "inFlight": health.in_flight,
                "endpointsUp": health.endpoints_up,
                "endpointsDown": health.endpoints_down,
            })
        })
        .collect();
    let stopping = server.soft.is_cancelled();
    let store = server.store.health();
    let status = match (stopping, store) {
        (true, _) => "STOPPING",
        (false, Health::Ready) => "READY",
        (false, Health::Away | Health::ClockJumped) => "NOT_READY",
    };
    let mut response = super::json(&json!({"status": status, "store": store.name(), "upstreams": upstreams}));
    if status != "READY" {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn metrics(server: &Server) -> Response<Body> {
    for upstream in server.gateway.upstreams().iter() {
        let health = upstream.health();
        let key = upstream.key().to_owned();
        gauge!("causeway_upstream_in_flight", "upstream" => key.clone()).set(health.in_flight as f64);
        let breaker = match health.breaker {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        gauge!("causeway_upstream_breaker_state", "upstream" => key).set(breaker);
    }
    text("text/plain; version=0.0.4; charset=utf-8", (server.about.metrics)())
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
