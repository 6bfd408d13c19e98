//! Who may come in: as many requests at once as we can work on, from callers that are known, as often as they may.

use std::{fmt::Write as _, sync::OnceLock, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use tokio::sync::SemaphorePermit;

use super::{Exchange, share::Share};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::{Notes, Route, project_of},
    http::{Server, Target, own::Own},
    identity::{Verdict, limit},
    model::Proof,
    schema::{Captures, NAME_BYTES_MAX},
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// When to come back after being sent away because there was no place.
const SHED_WAIT: Duration = Duration::from_secs(1);

/// What there is too much of when answers are not taken.
const UNREAD: &str = "answers that nobody takes as it can keep";

/// What the limits on callers said about a request: of its principal, of its project.
pub(super) type Verdicts = [OnceLock<Verdict>; 2];

/// Takes a place among the requests that are worked on. Without one a request is refused at once: one that waits here
/// would make all others slower and then be answered too late.
pub(super) fn place(server: &Server) -> Result<SemaphorePermit<'_>> {
    if server.unread[0].is_too_much() {
        return Err(overloaded(UNREAD));
    }
    server.places.try_acquire().map_err(|_| overloaded("requests as it can work on"))
}

/// Lets everybody read what everybody may, unless too much of it is not taken. Whoever asks how the gateway does always hears.
pub(super) fn to_read(server: &Server, reached: Option<&Target>) -> Result<()> {
    match reached {
        Some(Target::Own(Own::Live | Own::Ready, _)) => Ok(()),
        _ if server.unread[1].is_too_much() => Err(overloaded(UNREAD)),
        _ => Ok(()),
    }
}

pub(super) fn overloaded(why: &str) -> Error {
    let text = format!("The gateway has as many {why}; try again later.");
    Error::new(Code::Unavailable, Reason::Overloaded, text).with_retry_after(SHED_WAIT)
}

/// Finds out who calls, and counts it. Returns its share of the places.
pub(super) async fn caller<'s>(
    server: &'s Server,
    head: &Parts,
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<Option<Share<'s>>> {
    let caller = server.identity.authenticate(&head.headers, exchange.client).await?;
    let principal = exchange.caller.insert(caller).principal.clone();
    notes.entry.principal.clone_from(&principal.id);
    match &principal.proof {
        Proof::None => {}
        Proof::ApiKey(id) => notes.entry.authentication = format!("apiKey:{id}"),
        Proof::Jwt(issuer) => notes.entry.authentication = format!("jwt:{issuer}"),
    }
    if !server.identity.is_on() {
        return Ok(None);
    }
    let verdict = server.limits.principal(&principal.id).await;
    refuse(exchange.verdicts[0].get_or_init(|| verdict))?;
    server
        .shares
        .take(&principal.id)
        .map(Some)
        .ok_or_else(|| overloaded("requests of yours as it can work on"))
}

/// Lets the caller use a binding on a resource, and counts that on the resource's project: only then, since whoever may
/// not must not use up what others may.
pub(super) async fn to(
    server: &Server,
    route: &Route,
    captures: &Captures<'_>,
    exchange: &mut Exchange,
    notes: &mut Notes,
) -> Result<()> {
    let resource = route.resource(captures);
    notes.entry.method.clone_from(&route.method);
    notes.entry.upstream = route.upstream_key.to_string();
    notes.entry.permission.clone_from(&route.access.permission);
    fits(&resource)?;
    notes.entry.resource_names = vec![resource.clone().into_owned()];
    route.authorize(exchange.principal()?, captures, &resource)?;
    count(server, &resource, exchange).await
}

/// Refuses a name that could not be kept.
///
/// # Errors
/// `LIMIT_EXCEEDED`.
pub(in crate::http) fn fits(resource: &str) -> Result<()> {
    if resource.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::limit(format!("The path names a resource in more than {NAME_BYTES_MAX} bytes.")))
}

/// Counts a request on the project of a resource, which its caller may use.
pub(in crate::http) async fn count(server: &Server, resource: &str, exchange: &Exchange) -> Result<()> {
    if !server.identity.is_on() {
        return Ok(());
    }
    let Some(project) = project_of(resource) else { return Ok(()) };
    let verdict = server.limits.project(project).await;
    refuse(exchange.verdicts[1].get_or_init(|| verdict))
}

fn refuse(verdict: &Verdict) -> Result<()> {
    if verdict.allowed() { Ok(()) } else { Err(limit::exceeded(verdict)) }
}

/// Tells the caller what it may still ask for (draft-ietf-httpapi-ratelimit-headers).
pub(super) fn tell(server: &Server, verdicts: &Verdicts, headers: &mut HeaderMap) {
    let [principal, project] = verdicts.each_ref().map(OnceLock::get);
    let Some(principal) = principal else { return };
    let mut text = String::with_capacity(64);
    principal.print(&mut text);
    if let Some(project) = project {
        write!(text, ", ").expect("writing to a string does not fail");
        project.print(&mut text);
    }
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(LIMIT, value);
        headers.insert(POLICY, server.policies[usize::from(project.is_some())].clone());
    }
}
