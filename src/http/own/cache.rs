//! `/v1/projects/*/cache`.

use std::time::Duration;

use http::Response;
use serde_json::json as object;

use super::{Asked, one_project};
use crate::{
    cache::Scope,
    error::{Code, Error, Reason, Result},
    gateway::{Answer, Twice},
    http::{Server, body::Body, json},
    identity::access,
    model::Role,
};

/// What emptying it needs, on the project.
pub(super) const PERMISSION: &str = "causeway.cache.delete";

/// Describes it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(delete))]
pub(super) struct Described;

/// Forgets the kept pages of a project.
///
/// After the answer no list of the project, through any replica, shows a page that was read before. It is for changes that
/// did not go through the gateway; those that do need nothing of it.
#[utoipa::path(
    delete,
    path = "/v1/projects/{project}/cache",
    tag = "overview",
    operation_id = "projects.DeleteCache",
    params(("project" = String, Path, description = "Id of the project.", example = "acme-data", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "They are forgotten.", body = Object, example = json!({})),
        (status = 503, description = "Redis is away: this replica forgot them, and others will.")
    )
)]
pub(super) async fn delete(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let project = asked.captures.first().map_or("", |project| project).to_owned();
    let name = format!("projects/{project}");
    asked.notes.entry.resource_names = vec![name.clone()];
    one_project("project", &project)?;
    access::require(asked.exchange.principal()?, PERMISSION, Role::Operator, &name)?;
    let pages = server.gateway.pages().clone();
    let forget = async move {
        match pages.bump(&[Scope::project(&project)]).await {
            true => Ok(Answer::of(&object!({}))),
            false => Err(away()),
        }
    };
    Ok(json(&asked.change(server, Twice::Same, forget).await?))
}

fn away() -> Error {
    let text = "Redis cannot be told now; this replica shows nothing from before, and others will be told when it is back.";
    Error::new(Code::Unavailable, Reason::StoreUnavailable, text).with_retry_after(Duration::from_secs(2))
}
