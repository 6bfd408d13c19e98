//! The gateway's own endpoints. They stand in the same route table as the proxied bindings, and in the same document:
//! what is written above each of them here is what its users read there.
//!
//! To add one:
//!
//! 1. Write its handler in the file of its noun, with `#[utoipa::path]` above it. The first line of its comment is the
//!    summary, the rest the description. Give `tag`, an `operation_id` (`operations.Get`), and an `example` for each
//!    parameter and body that works on a fresh `causeway dev`. What is sent and answered derives `ToSchema`, with a comment
//!    on each field and `#[schema(as = operations::Operation)]`.
//! 2. Add a variant to [`Own`], a line to [`ALL`] and an arm to [`answer`]. A test finds a path that is served and not
//!    described, or described and not served: `/v1/{name=projects/*/operations/*}:cancel` here is
//!    `/v1/projects/{project}/operations/{operation}:cancel` there.
//! 3. Name it in `paths(…)` of its part. A new part derives `utoipa::OpenApi`, with the tag and what it is about, and is
//!    added to [`PARTS`].
//! 4. `causeway openapi --write`, and read the page at `/docs`.
//!
//! Of errors, say only which can come and when, `(status = 404, description = "There is no such operation.")`: the form is
//! filled in, and so is what every request can meet (400, 414, 431; 413 and 415 with a body; 401, 403, 429 and 503 where
//! one has to be known).

mod api_keys;
mod asked;
mod audit_entries;
mod cache;
mod docs;
mod fields;
pub(super) mod grpc;
mod health;
mod landing;
mod metrics;
mod object;
pub(super) mod operations;
mod overview;
mod page;
mod shown;
mod spec;
mod tasks;
mod webhooks;

use http::{HeaderValue, Response, header};
use utoipa::{OpenApi as _, openapi::OpenApi};

use super::{
    Server,
    body::Body,
    edge::{Exchange, admit},
    openapi,
};
use crate::{
    error::{Error, Result},
    identity::access,
    model::Role,
    schema::Captures,
};

pub use self::audit_entries::audit_line;

pub(super) use self::{asked::Asked, spec::Spec};

use self::{grpc::Rpc, shown::Shown, webhooks::Webhook};

/// An endpoint that needs no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Root,
    Live,
    Ready,
    Metrics,
    Spec,
    Docs,
    DocsFile,
    CreateKey,
    ListKeys,
    GetKey,
    RevokeKey,
    AuditEntries,
    ProjectAuditEntries,
    GetAuditEntry,
    GetProjectAuditEntry,
    ExportAuditEntries,
    ExportProjectAuditEntries,
    ListOperations,
    ListProjectOperations,
    GetOperation,
    CancelOperation,
    DeleteOperation,
    WaitOperation,
    WatchOperation,
    WatchOperations,
    WatchProjectOperations,
    TrackOperation,
    TrackProjectOperation,
    CreateTask,
    ListTasks,
    GetTask,
    DeleteTask,
    TaskMetrics,
    TaskLogs,
    Webhook(Webhook),
    Overview,
    DeleteCache,
    /// Over gRPC, whose paths are not part of the document.
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

impl Own {
    /// Tells who may use it.
    pub(super) fn access(self) -> Access {
        match self {
            Self::Root | Self::Live | Self::Ready | Self::Spec | Self::Docs | Self::DocsFile => {
                Access::Public
            }
            Self::Metrics => Access::Permission("causeway.metrics.get", Role::Viewer),
            Self::CreateKey => Access::Permission(api_keys::CREATE, Role::Admin),
            Self::ListKeys => Access::Permission(api_keys::LIST, Role::Admin),
            Self::GetKey => Access::Permission(api_keys::GET, Role::Admin),
            Self::RevokeKey => Access::Permission(api_keys::REVOKE, Role::Admin),
            Self::AuditEntries | Self::ProjectAuditEntries => Access::of(audit_entries::LIST),
            Self::GetAuditEntry | Self::GetProjectAuditEntry => Access::of(audit_entries::GET),
            Self::ExportAuditEntries | Self::ExportProjectAuditEntries => Access::of(audit_entries::EXPORT),
            Self::Overview => Access::Permission(overview::PERMISSION, Role::Viewer),
            Self::DeleteCache => Access::Permission(cache::PERMISSION, Role::Operator),
            Self::ListOperations | Self::ListProjectOperations | Self::Grpc(Rpc::List) => {
                Access::of(operations::LIST)
            }
            // What a call needs at an upstream is told by the name in its message.
            Self::GetOperation | Self::Grpc(Rpc::Get) => Access::of(operations::GET),
            Self::CancelOperation | Self::Grpc(Rpc::Cancel) => Access::of(operations::CANCEL),
            Self::DeleteOperation | Self::Grpc(Rpc::Delete) => Access::of(operations::DELETE),
            Self::WaitOperation | Self::Grpc(Rpc::Wait) => Access::of(operations::WAIT),
            Self::WatchOperation | Self::WatchOperations | Self::WatchProjectOperations => {
                Access::of(operations::WATCH)
            }
            Self::TrackOperation | Self::TrackProjectOperation => Access::of(operations::TRACK),
            Self::CreateTask => Access::of(tasks::CREATE),
            Self::ListTasks => Access::of(tasks::LIST),
            Self::GetTask | Self::TaskMetrics | Self::TaskLogs => Access::of(tasks::GET),
            Self::DeleteTask => Access::of(tasks::DELETE),
            Self::Webhook(what) => {
                let permission = what.permission();
                Access::Permission(permission, access::role_for(permission, what.is_read_only()))
            }
        }
    }

    /// Names the resource, or the parent, that its path is about; `None` where that is all there is.
    fn about(self, captures: &Captures<'_>) -> Option<String> {
        let first = captures.first()?;
        match self {
            Self::Webhook(what) => Some(what.resource(captures)),
            Self::Overview | Self::DeleteCache => Some(format!("projects/{first}")),
            Self::GetKey | Self::RevokeKey => Some(format!("apiKeys/{first}")),
            _ => first.starts_with("projects/").then(|| first.to_string()),
        }
    }

    /// Whether it changes something, and an Idempotency-Key keeps it from being done twice.
    pub(super) fn changes(self) -> bool {
        match self {
            Self::CreateKey
            | Self::RevokeKey
            | Self::CancelOperation
            | Self::DeleteOperation
            | Self::TrackOperation
            | Self::TrackProjectOperation
            | Self::CreateTask
            | Self::DeleteTask => true,
            Self::Webhook(what) => !what.is_read_only(),
            _ => false,
        }
    }

    /// Whether it may call an upstream, and pass on how that failed.
    pub(super) fn calls(self) -> bool {
        matches!(
            self,
            Self::CancelOperation
                | Self::TrackOperation
                | Self::TrackProjectOperation
                | Self::CreateTask
                | Self::DeleteTask
                | Self::TaskMetrics
                | Self::TaskLogs
        )
    }

    /// Whether it only looks at the process, and is not worth an entry in the audit log.
    pub(super) fn is_probe(self) -> bool {
        use Own::{Docs, DocsFile, Live, Metrics, Ready, Root, Spec};
        matches!(self, Root | Live | Ready | Metrics | Spec | Docs | DocsFile)
    }
}

/// Their whole URL space: verbs and path templates, as in `google.api.http`.
pub(super) const ALL: &[(&str, &str, Own)] = &[
    ("GET", "/", Own::Root),
    ("GET", "/healthz", Own::Live),
    ("GET", "/readyz", Own::Ready),
    ("GET", "/metrics", Own::Metrics),
    ("GET", "/openapi.json", Own::Spec),
    ("GET", "/docs", Own::Docs),
    ("GET", "/docs/{file}", Own::DocsFile),
    ("POST", "/v1/apiKeys", Own::CreateKey),
    ("GET", "/v1/apiKeys", Own::ListKeys),
    ("GET", "/v1/apiKeys/{key}", Own::GetKey),
    ("DELETE", "/v1/apiKeys/{key}", Own::RevokeKey),
    ("GET", "/v1/auditEntries", Own::AuditEntries),
    ("GET", "/v1/{parent=projects/*}/auditEntries", Own::ProjectAuditEntries),
    ("GET", "/v1/auditEntries/{auditEntry}", Own::GetAuditEntry),
    ("GET", "/v1/{name=projects/*/auditEntries/*}", Own::GetProjectAuditEntry),
    ("GET", "/v1/auditEntries:export", Own::ExportAuditEntries),
    ("GET", "/v1/{parent=projects/*}/auditEntries:export", Own::ExportProjectAuditEntries),
    ("GET", "/v1/operations", Own::ListOperations),
    ("GET", "/v1/{parent=projects/*}/operations", Own::ListProjectOperations),
    ("GET", "/v1/{name=projects/*/operations/*}", Own::GetOperation),
    ("DELETE", "/v1/{name=projects/*/operations/*}", Own::DeleteOperation),
    ("POST", "/v1/{name=projects/*/operations/*}:cancel", Own::CancelOperation),
    ("POST", "/v1/{name=projects/*/operations/*}:wait", Own::WaitOperation),
    ("GET", "/v1/{name=projects/*/operations/*}:watch", Own::WatchOperation),
    ("GET", "/v1/operations:watch", Own::WatchOperations),
    ("GET", "/v1/{parent=projects/*}/operations:watch", Own::WatchProjectOperations),
    ("POST", "/v1/operations:track", Own::TrackOperation),
    ("POST", "/v1/{parent=projects/*}/operations:track", Own::TrackProjectOperation),
    ("POST", "/v1/{parent=projects/*/locations/*}/tasks", Own::CreateTask),
    ("GET", "/v1/{parent=projects/*/locations/*}/tasks", Own::ListTasks),
    ("GET", "/v1/{name=projects/*/locations/*/tasks/*}", Own::GetTask),
    ("DELETE", "/v1/{name=projects/*/locations/*/tasks/*}", Own::DeleteTask),
    ("GET", "/v1/{name=projects/*/locations/*/tasks/*}:metrics", Own::TaskMetrics),
    ("GET", "/v1/{name=projects/*/locations/*/tasks/*}:logs", Own::TaskLogs),
    ("POST", "/v1/projects/{project}/webhookEndpoints", Own::Webhook(Webhook::Create)),
    ("GET", "/v1/projects/{project}/webhookEndpoints", Own::Webhook(Webhook::List)),
    ("GET", "/v1/projects/{project}/webhookEndpoints/{endpoint}", Own::Webhook(Webhook::Get)),
    ("PATCH", "/v1/projects/{project}/webhookEndpoints/{endpoint}", Own::Webhook(Webhook::Patch)),
    ("DELETE", "/v1/projects/{project}/webhookEndpoints/{endpoint}", Own::Webhook(Webhook::Delete)),
    ("POST", "/v1/projects/{project}/webhookEndpoints/{endpoint}:ping", Own::Webhook(Webhook::Ping)),
    (
        "POST",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}:rotateSecret",
        Own::Webhook(Webhook::RotateSecret),
    ),
    ("POST", "/v1/projects/{project}/webhookEndpoints/{endpoint}:enable", Own::Webhook(Webhook::Enable)),
    ("POST", "/v1/projects/{project}/webhookEndpoints/{endpoint}:replay", Own::Webhook(Webhook::Replay)),
    (
        "GET",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/replays/{replay}",
        Own::Webhook(Webhook::GetReplay),
    ),
    (
        "GET",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries",
        Own::Webhook(Webhook::ListDeliveries),
    ),
    (
        "GET",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}",
        Own::Webhook(Webhook::GetDelivery),
    ),
    (
        "GET",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}/attempts",
        Own::Webhook(Webhook::ListAttempts),
    ),
    (
        "POST",
        "/v1/projects/{project}/webhookEndpoints/{endpoint}/deliveries/{delivery}:resend",
        Own::Webhook(Webhook::Resend),
    ),
    ("GET", "/v1/projects/{project}/events", Own::Webhook(Webhook::ListEvents)),
    ("GET", "/v1/projects/{project}/events/{event}", Own::Webhook(Webhook::GetEvent)),
    ("GET", "/v1/eventTypes", Own::Webhook(Webhook::ListTypes)),
    ("GET", "/v1/projects/{project}:overview", Own::Overview),
    ("DELETE", "/v1/projects/{project}/cache", Own::DeleteCache),
];

/// The descriptions of all parts, in the order in which they are shown.
const PARTS: &[fn() -> OpenApi] = &[
    operations::Described::openapi,
    tasks::Described::openapi,
    api_keys::Described::openapi,
    audit_entries::Described::openapi,
    webhooks::Described::openapi,
    overview::Described::openapi,
    cache::Described::openapi,
    Gateway::openapi,
];

/// Describes the endpoints about the gateway itself.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(landing::root, health::live, health::ready, metrics::metrics, spec::spec, docs::docs, docs::file),
    tags((name = openapi::GATEWAY, description = "The gateway itself: what it serves, and how it is doing."))
)]
struct Gateway;

/// Returns the description of all of them, and of what is sent by ourselves.
pub(super) fn document() -> OpenApi {
    PARTS.iter().map(|part| part()).fold(webhooks::messages(), OpenApi::merge_from)
}

/// Answers a request to an endpoint of ours, once its principal may make it.
pub(super) async fn answer(own: Own, server: &Server, asked: Asked<'_>) -> Result<Response<Body>> {
    let Asked { captures, head, .. } = asked;
    if let Access::Permission(permission, role) = own.access() {
        asked.notes.entry.permission = permission.to_owned();
        // Whoever is refused here is refused what the path names.
        let about = own.about(captures);
        about.as_deref().map_or(Ok(()), admit::fits)?;
        asked.notes.entry.resource_names = about.clone().into_iter().collect();
        // A call names in its message what it is about, and is refused that when it was read.
        if !matches!(own, Own::Grpc(_)) {
            let refused = access::require_somewhere(asked.exchange.principal()?, permission, role);
            refused.map_err(|error| match &about {
                Some(about) => error.with_metadata("resource", &**about),
                None => error,
            })?;
        }
        // Whoever may nothing there uses up nothing of it.
        if let Some(about) = about.filter(|about| may_see(asked.exchange, about)) {
            admit::count(server, &about, asked.exchange).await?;
        }
    }
    // What has no form to choose from, or is asked for by programs that know nothing of ours.
    let is_plain = own.access() == Access::Public || matches!(own, Own::Metrics | Own::Grpc(_));
    let shown = if is_plain { None } else { Some(Shown::read(asked.query, &head.headers)?) };
    let answer = match own {
        Own::Root => Ok(landing::root(server, head)),
        Own::Live => Ok(health::live()),
        Own::Ready => Ok(health::ready(server)),
        Own::Metrics => Ok(metrics::metrics(server)),
        Own::Spec => Ok(spec::spec(server, head)),
        Own::Docs => Ok(docs::docs(head)),
        Own::DocsFile => docs::file(captures, head),
        Own::CreateKey => api_keys::create(server, asked).await,
        Own::ListKeys => api_keys::list(server, &asked).await,
        Own::GetKey => api_keys::get(server, &asked).await,
        Own::RevokeKey => api_keys::revoke(server, asked).await,
        Own::AuditEntries => audit_entries::list(server, asked).await,
        Own::ProjectAuditEntries => audit_entries::list_of_project(server, asked).await,
        Own::GetAuditEntry => audit_entries::get(server, asked).await,
        Own::GetProjectAuditEntry => audit_entries::get_of_project(server, asked).await,
        Own::ExportAuditEntries => audit_entries::export(server, asked).await,
        Own::ExportProjectAuditEntries => audit_entries::export_of_project(server, asked).await,
        Own::ListOperations => operations::list(server, asked).await,
        Own::ListProjectOperations => operations::list_of_project(server, asked).await,
        Own::GetOperation => operations::get(server, asked).await,
        Own::CancelOperation => operations::cancel(server, asked).await,
        Own::DeleteOperation => operations::delete(server, asked).await,
        Own::WaitOperation => operations::wait(server, asked).await,
        Own::WatchOperation => operations::watch(server, asked).await,
        Own::WatchOperations => operations::watch_all(server, asked).await,
        Own::WatchProjectOperations => operations::watch_project(server, asked).await,
        Own::TrackOperation => operations::track(server, asked).await,
        Own::TrackProjectOperation => operations::track_in_project(server, asked).await,
        Own::CreateTask => tasks::create(server, asked).await,
        Own::ListTasks => tasks::list(server, asked).await,
        Own::GetTask => tasks::get(server, asked).await,
        Own::DeleteTask => tasks::delete(server, asked).await,
        Own::TaskMetrics => tasks::metrics(server, asked).await,
        Own::TaskLogs => tasks::logs(server, asked).await,
        Own::Webhook(what) => webhooks::answer(what, server, asked).await,
        Own::Overview => overview::get(server, asked).await,
        Own::DeleteCache => cache::delete(server, asked).await,
        Own::Grpc(rpc) => grpc::answer(rpc, server, asked).await,
    };
    answer.map(|answer| match shown {
        Some(shown) => shown.shape(answer),
        None => answer,
    })
}

/// Whether the caller may see anything of the project of a resource.
fn may_see(exchange: &Exchange, resource: &str) -> bool {
    let project = resource.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    exchange.principal().is_ok_and(|principal| access::may_within(principal, Role::Viewer, &project))
}

/// Refuses `-` where nothing is read across projects.
fn one_project(field: &str, project: &str) -> Result<()> {
    if project == "-" || project.is_empty() || project.contains('/') {
        return Err(Error::invalid_field(field, "name one project; this is not read across projects"));
    }
    Ok(())
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_is_described_and_no_other() {
        let described: BTreeSet<String> = document().paths.paths.keys().cloned().collect();
        let served: BTreeSet<String> = ALL.iter().map(|(_, path, _)| openapi::spelled(path)).collect();
        assert_eq!(described, served);
    }
}
