//! `google.longrunning.Operations` over gRPC, on the same port and under the same permissions: our names are answered by
//! us, others by the upstream that they belong to.
//!
//! Only unary calls, so a [`frame`] is read and written by hand, and the status behind it.

mod frame;
mod wait;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, header, request::Parts};
use prost::Message;

use super::{Asked, may_see, operations};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::{self, Input, Payload, Route},
    http::{Server, body::Body, edge::admit, proxied, server::Target},
    identity::access,
    operations::{Role, WAIT_MAX},
    pb::google::longrunning::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
        ListOperationsResponse, Operation, WaitOperationRequest,
    },
    schema::{Captures, check_name},
    transcode::Query,
};

/// What a gRPC body says it is.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// One of the service's methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Rpc {
    Get,
    List,
    Cancel,
    Delete,
    Wait,
}

/// Their paths.
pub(in crate::http) const ALL: [(&str, Rpc); 5] = [
    ("/google.longrunning.Operations/GetOperation", Rpc::Get),
    ("/google.longrunning.Operations/ListOperations", Rpc::List),
    ("/google.longrunning.Operations/CancelOperation", Rpc::Cancel),
    ("/google.longrunning.Operations/DeleteOperation", Rpc::Delete),
    ("/google.longrunning.Operations/WaitOperation", Rpc::Wait),
];

/// What whoever calls another method hears.
const UNSERVED: &str = "Over gRPC only google.longrunning.Operations is served here; other services are over REST \
                        (with Google's libraries: transport=\"rest\").";

/// Whether a request is a call.
pub(in crate::http) fn is_call(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    matches!(kind, b"application/grpc" | b"application/grpc+proto")
}

/// Answers a call.
pub(super) async fn answer(rpc: Rpc, server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    if !is_call(asked.head) {
        let text = "This path is for gRPC; REST has /v1/operations.";
        return Err(Error::new(Code::InvalidArgument, Reason::UnsupportedMediaType, text));
    }
    let message = frame::read(&mut asked).await?;
    let asked = &mut asked;
    let reply = match rpc {
        Rpc::Get => {
            let name = named(decode::<GetOperationRequest>(&message)?.name)?;
            if is_ours(&name) {
                get(server, asked, &name).await?
            } else {
                pass(server, asked, rpc, &name, &message).await?
            }
        }
        Rpc::List => {
            let mut request: ListOperationsRequest = decode(&message)?;
            request.name = named(request.name)?;
            let name = request.name.trim_end_matches("/operations").to_owned();
            if is_project(&name) {
                list(server, asked, &name, &request).await?
            } else {
                pass(server, asked, rpc, &request.name, &message).await?
            }
        }
        Rpc::Cancel => {
            let name = named(decode::<CancelOperationRequest>(&message)?.name)?;
            if is_ours(&name) {
                allow(server, asked, operations::CANCEL, &name).await?;
                operations::cancelled(server, asked, name).await?;
                Bytes::new()
            } else {
                pass(server, asked, rpc, &name, &message).await?
            }
        }
        Rpc::Delete => {
            let name = named(decode::<DeleteOperationRequest>(&message)?.name)?;
            if is_ours(&name) {
                allow(server, asked, operations::DELETE, &name).await?;
                operations::deleted(server, asked, name).await?;
                Bytes::new()
            } else {
                pass(server, asked, rpc, &name, &message).await?
            }
        }
        Rpc::Wait => {
            let mut request: WaitOperationRequest = decode(&message)?;
            request.name = named(request.name)?;
            wait(server, asked, &request).await?
        }
    };
    Ok(frame::framed(&reply))
}

async fn get(server: &Server, asked: &mut Asked<'_>, name: &str) -> Result<Bytes> {
    allow(server, asked, operations::GET, name).await?;
    let it = server.operations.get(name).await?;
    Ok(operations::view(server).wire(&it)?.into())
}

async fn wait(server: &Server, asked: &mut Asked<'_>, request: &WaitOperationRequest) -> Result<Bytes> {
    let name = &request.name;
    if is_ours(name) {
        allow(server, asked, operations::WAIT, name).await?;
        let it = operations::waited(server, asked.exchange, name, timeout(request)?).await?;
        return Ok(operations::view(server).wire(&it)?.into());
    }
    let over_rest = OverRest::of(Rpc::Wait, name);
    let way = Way::find(server, asked, &over_rest, name).await?;
    let longest = operations::longest(asked.exchange, timeout(request)?);
    wait::until_end(server, asked, &way, name, longest).await
}

fn timeout(request: &WaitOperationRequest) -> Result<Duration> {
    let Some(timeout) = request.timeout else { return Ok(WAIT_MAX) };
    Duration::try_from(timeout).map_err(|_| Error::invalid_field("timeout", "must not be negative"))
}

async fn list(
    server: &Server,
    asked: &mut Asked<'_>,
    parent: &str,
    request: &ListOperationsRequest,
) -> Result<Bytes> {
    asked.notes.entry.resource_names = vec![parent.to_owned()];
    let principal = asked.exchange.principal()?;
    let parameters = operations::Parameters {
        filter: request.filter.clone(),
        page_size: request.page_size,
        page_token: request.page_token.clone(),
        ..operations::Parameters::default()
    };
    if may_see(asked.exchange, parent) {
        admit::count(server, parent, asked.exchange).await?;
    }
    let (found, next_page_token) = operations::page(server, principal, parent, parameters).await?;
    let view = operations::view(server);
    let mut answer = ListOperationsResponse { next_page_token, ..ListOperationsResponse::default() };
    for it in &found {
        answer.operations.push(decode::<Operation>(&view.wire(it)?)?);
    }
    Ok(answer.encode_to_vec().into())
}

/// Makes the call at the upstream that serves this name over REST.
async fn pass(server: &Server, asked: &mut Asked<'_>, rpc: Rpc, name: &str, message: &[u8]) -> Result<Bytes> {
    let over_rest = OverRest::of(rpc, name);
    let way = Way::find(server, asked, &over_rest, name).await?;
    if rpc != Rpc::List {
        return way.go(server, asked, message).await;
    }
    let mut request: ListOperationsRequest = decode(message)?;
    // Some upstreams want the collection and some its parent: each gets what it gets over REST.
    request.name = way.captures.first().map_or(request.name, ToString::to_string);
    way.go(server, asked, &request.encode_to_vec()).await
}

/// What a call about a name is over REST: one of these paths, and what is done there.
struct OverRest {
    verb: &'static str,
    paths: Vec<String>,
    role: Role,
}

impl OverRest {
    fn of(rpc: Rpc, name: &str) -> Self {
        let path = format!("/v1/{}", encode(name));
        let (verb, paths, role) = match rpc {
            Rpc::Get | Rpc::Wait => ("GET", vec![path], Role::GetsLro),
            Rpc::List => ("GET", vec![path.clone(), format!("{path}/operations")], Role::ListsLros),
            Rpc::Cancel => ("POST", vec![format!("{path}:cancel")], Role::CancelsLro),
            Rpc::Delete => ("DELETE", vec![path], Role::DeletesLro),
        };
        Self { verb, paths, role }
    }
}

/// The way to the upstream that a name belongs to, for a caller that may go it.
struct Way<'w> {
    route: &'w Route,
    captures: Captures<'w>,
}

impl<'w> Way<'w> {
    /// Finds it, notes what is asked for, and refuses a caller that may not have that.
    async fn find(
        server: &'w Server,
        asked: &mut Asked<'_>,
        over_rest: &'w OverRest,
        name: &str,
    ) -> Result<Self> {
        for path in &over_rest.paths {
            let Ok(found) = server.routes.find(over_rest.verb, path) else { continue };
            let Target::Proxied(proxied) = found.target else { continue };
            let route = &*proxied.route;
            if route.role() != Some(over_rest.role) {
                continue;
            }
            let resource = route.resource(&found.captures);
            let entry = &mut asked.notes.entry;
            entry.method.clone_from(&route.method);
            entry.upstream = route.upstream_key.to_string();
            entry.permission = route.permission().to_owned();
            entry.resource_names = vec![resource.clone().into_owned()];
            // Passed on as it is: nothing is narrowed to what the caller may see.
            route.require(asked.exchange.principal()?, &resource)?;
            route.require_readable(&found.captures)?;
            if route.reads_across(&found.captures) {
                return Err(Error::invalid_field(
                    "name",
                    "- stands for all there are over REST only; name one.",
                ));
            }
            if !route.mutation {
                server.require_audit()?;
            }
            admit::count(server, &resource, asked.exchange).await?;
            return Ok(Self { route, captures: found.captures });
        }
        let name: String = name.chars().take(200).collect();
        Err(Error::new(
            Code::NotFound,
            Reason::ResourceNotFound,
            format!("Nobody here has operations at {name:?}."),
        ))
    }

    /// Makes a call there.
    async fn go(&self, server: &Server, asked: &mut Asked<'_>, message: &[u8]) -> Result<Bytes> {
        let caller = proxied::caller(asked.head, asked.exchange)?;
        let query = Query::parse("", |_| false)?;
        let payload = Payload::Wire(message);
        let input = Input { captures: &self.captures, query: &query, payload, caller };
        Ok(gateway::unary(&server.gateway, self.route, input, asked.notes).await?.message)
    }
}

/// Lets the caller do something to an operation of ours, which is noted first: the log tells also what was refused.
async fn allow(
    server: &Server,
    asked: &mut Asked<'_>,
    (permission, role): (&'static str, crate::model::Role),
    name: &str,
) -> Result<()> {
    asked.notes.entry.resource_names = vec![name.to_owned()];
    access::require(asked.exchange.principal()?, permission, role, name)?;
    admit::count(server, name, asked.exchange).await
}

/// Returns a name that a path could have.
fn named(name: String) -> Result<String> {
    check_name(&name).map(|()| name)
}

/// Whether a name is of the form that our operations have.
fn is_ours(name: &str) -> bool {
    name.split_once("/operations/").is_some_and(|(project, id)| is_project(project) && !id.contains('/'))
}

fn is_project(name: &str) -> bool {
    name.strip_prefix("projects/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

fn encode(name: &str) -> String {
    use std::fmt::Write as _;
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => path.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => path.push(char::from(byte)),
            byte => write!(path, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    path
}

fn decode<M: Message + Default>(message: &[u8]) -> Result<M> {
    M::decode(message).map_err(|error| {
        Error::invalid_field("", "The message is not what this method takes.").with_source(error)
    })
}

/// Prints an error as gRPC has it.
pub(in crate::http) fn refusal(error: &Error) -> Response<Body> {
    let (code, text) = match error.reason() {
        // What REST has no path for, gRPC has no method for.
        Some(Reason::RouteNotFound) => (Code::Unimplemented, UNSERVED),
        // What HTTP has a status for.
        Some(Reason::BodyTooLarge) => (Code::ResourceExhausted, error.message()),
        _ => (error.code(), error.message()),
    };
    let mut response = frame::answer(Body::empty());
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(code.number()));
    let mut message = String::new();
    for byte in text.bytes() {
        use std::fmt::Write as _;
        match byte {
            b' '..=b'~' if byte != b'%' => message.push(char::from(byte)),
            byte => write!(message, "%{byte:02X}").expect("writing to a string does not fail"),
        }
    }
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert(MESSAGE, message);
    }
    let status = crate::pb::google::rpc::Status {
        code: code.number(),
        message: text.to_owned(),
        details: details(error),
    };
    let status = base64_simd::STANDARD_NO_PAD.encode_to_string(status.encode_to_vec());
    if let Ok(status) = HeaderValue::try_from(status) {
        headers.insert(DETAILS, status);
    }
    response
}

fn details(error: &Error) -> Vec<prost_types::Any> {
    let theirs = error
        .details()
        .iter()
        .map(|detail| prost_types::Any { type_url: detail.type_url.clone(), value: detail.value.to_vec() });
    let ours = error.reason().map(|reason| {
        let info = crate::pb::google::rpc::ErrorInfo {
            reason: reason.name().to_owned(),
            domain: "causeway".to_owned(),
            metadata: error
                .metadata()
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        };
        let type_url = "type.googleapis.com/google.rpc.ErrorInfo".to_owned();
        prost_types::Any { type_url, value: info.encode_to_vec() }
    });
    ours.into_iter().chain(theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_told_from_others() {
        assert!(is_ours("projects/p/operations/x") && is_project("projects/-"));
        for other in [
            "operations/x",
            "projects/p/locations/l/operations/x",
            "projects/p/operations/x/y",
            "projects//operations/x",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
