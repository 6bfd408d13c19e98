//! Who may come in: as many requests at once as we can work on, from callers that are known, as often as they may.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use tokio::sync::SemaphorePermit;

use super::Exchange;
use crate::{
    error::{Code, Error, Reason, Result},
    http::Server,
    identity::{Verdict, limit},
};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// When to come back after being sent away because there was no place.
const SHED_WAIT: Duration = Duration::from_secs(1);

/// What the limits on callers said about a request: of its principal, of its project.
pub(super) type Verdicts = [Option<Verdict>; 2];

/// Takes a place among the requests that are worked on. Without one a request is refused at once: one that waits here
/// would make all others slower and then be answered too late.
pub(super) fn place(server: &Server) -> Result<SemaphorePermit<'_>> {
    server.places.try_acquire().map_err(|_| {
        Error::new(
            Code::Unavailable,
            Reason::Overloaded,
            "The gateway has as many requests as it can work on; try again later.",
        )
        .with_retry_after(SHED_WAIT)
    })
}

/// Finds out who calls, and counts it.
pub(super) async fn caller(server: &Server, head: &Parts, exchange: &mut Exchange) -> Result<()> {
    let caller = server.identity.authenticate(&head.headers, exchange.client).await?;
    let id = exchange.caller.insert(caller).principal.id.clone();
    if !server.identity.is_on() {
        return Ok(());
    }
    let verdict = server.limits.principal(&id).await;
    exchange.verdicts[0] = Some(verdict);
    refuse(&verdict)
}

/// Counts a request on a project's resources, once its caller is known to be allowed there: whoever is not must not use
/// up what others may.
pub(in crate::http) async fn project(server: &Server, exchange: &mut Exchange, project: &str) -> Result<()> {
    if !server.identity.is_on() {
        return Ok(());
    }
    let verdict = server.limits.project(project).await;
    exchange.verdicts[1] = Some(verdict);
    refuse(&verdict)
}

fn refuse(verdict: &Verdict) -> Result<()> {
    if verdict.allowed() { Ok(()) } else { Err(limit::exceeded(verdict)) }
}

/// Tells the caller what it may still ask for (draft-ietf-httpapi-ratelimit-headers).
pub(super) fn tell(server: &Server, verdicts: &Verdicts, headers: &mut HeaderMap) {
    let [Some(principal), project] = verdicts else { return };
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
