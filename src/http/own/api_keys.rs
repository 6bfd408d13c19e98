//! `/v1/apiKeys`: who has keys, made and taken away by those who may.
//!
//! An admin sees and touches the keys whose every resource lies within what it is admin of, and makes no others.

use http::{HeaderValue, Response, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{Asked, fields::Fields};
use crate::{
    error::{Code, Error, Reason, Result},
    gateway::{Answer, Twice},
    http::{Server, body::Body, json},
    identity::{
        access,
        keys::{NewKey, require_over},
    },
    model::{ApiKey, Pattern, Principal, Role},
    store::Cursor,
    transcode::Query,
};

pub(super) const CREATE: &str = "causeway.apiKeys.create";
pub(super) const LIST: &str = "causeway.apiKeys.list";
pub(super) const GET: &str = "causeway.apiKeys.get";
pub(super) const REVOKE: &str = "causeway.apiKeys.delete";

/// Where they are.
const COLLECTION: &str = "apiKeys";

/// Keys on a page, unless asked for otherwise, and at most.
const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: u32 = 500;

/// Tag of these endpoints.
const TAG: &str = "keys";

/// Describes them.
#[derive(utoipa::OpenApi)]
#[openapi(
    paths(create, list, get, revoke),
    tags((name = TAG, description = "API keys: who has them and what they open. For admins."))
)]
pub(super) struct Described;

/// What a new key is to be.
#[expect(dead_code, reason = "it describes what is read field by field")]
#[derive(ToSchema)]
#[schema(as = keys::NewApiKey)]
#[serde(rename_all = "camelCase")]
struct NewApiKey {
    /// Who it stands for, as the audit log will say.
    #[schema(example = "billing-job")]
    principal: String,
    /// What it may do: `viewer`, `operator`, `editor` or `admin`.
    #[schema(example = "viewer")]
    role: String,
    /// Where: patterns of resource names, each with all that is below it.
    #[schema(example = json!(["projects/acme-*"]))]
    resources: Vec<String>,
    /// What it is for, in your words.
    #[schema(example = "nightly report")]
    note: Option<String>,
    /// When it stops working; never, if left out.
    #[schema(format = "date-time", example = "2030-01-31T00:00:00Z")]
    expire_time: Option<String>,
}

/// An API key, without the key.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = keys::ApiKey)]
#[serde(rename_all = "camelCase")]
struct ShownKey {
    /// Its name, made of the id that is in the key.
    #[schema(example = "apiKeys/k7f3m2q9")]
    name: String,
    /// Who it stands for.
    #[schema(example = "billing-job")]
    principal: String,
    /// What it may do.
    #[schema(example = "viewer")]
    role: String,
    /// Where: patterns of resource names.
    #[schema(example = json!(["projects/acme-*"]))]
    resources: Vec<String>,
    /// `ACTIVE`, `EXPIRED` or `REVOKED`.
    #[schema(example = "ACTIVE")]
    state: String,
    /// Who made it.
    #[schema(example = "anonymous")]
    created_by: String,
    /// When it was made.
    #[schema(format = "date-time", example = "2026-05-04T08:30:00Z")]
    create_time: String,
    /// When it stops working, if it does.
    #[schema(format = "date-time")]
    expire_time: Option<String>,
    /// When it was revoked.
    #[schema(format = "date-time")]
    revoke_time: Option<String>,
    /// When it was last used, give or take a minute.
    #[schema(format = "date-time")]
    last_use_time: Option<String>,
    /// What it is for.
    note: Option<String>,
    /// The key itself: in the answer to its creation, and nowhere else.
    key: Option<String>,
}

/// One page of keys.
#[expect(dead_code, reason = "it describes what is printed field by field")]
#[derive(ToSchema)]
#[schema(as = keys::Page)]
#[serde(rename_all = "camelCase")]
struct KeyPage {
    /// The keys, the newest first.
    api_keys: Vec<ShownKey>,
    /// Send it as `pageToken` for the next page; not there on the last.
    #[schema(nullable = false)]
    next_page_token: Option<String>,
}

/// Which page.
#[expect(dead_code, reason = "it describes what is read by name")]
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct Wanted {
    /// How many at most; 500 at most.
    #[param(minimum = 0)]
    page_size: Option<i32>,
    /// Where to go on: the token of the page before.
    page_token: Option<String>,
}

/// Makes a key.
///
/// This answer is the only one that ever holds it: one to a repetition with the same `Idempotency-Key` does not. What it
/// opens must lie within what you are admin of, and so must what the configuration grants the name that it stands for, if
/// that is not your own.
#[utoipa::path(
    post,
    path = "/v1/apiKeys",
    tag = TAG,
    operation_id = "keys.Create",
    request_body(
        content = NewApiKey,
        example = json!({"principal": "billing-job", "role": "viewer", "resources": ["projects/acme-*"]})
    ),
    responses(
        (status = 200, description = "The key.", body = ShownKey),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn create(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let new = read(&asked.json().await?)?;
    let principal = asked.exchange.principal()?.clone();
    let entry = &mut asked.notes.entry;
    entry.resource_names = vec![COLLECTION.to_owned()];
    entry.request = wish(&new).to_string();
    require_over(&principal, CREATE, &new.resources)?;
    server.identity.require_over_name(&principal, CREATE, &new.principal)?;
    let keys = server.identity.keys().clone();
    let made = async move {
        let (kept, key) = keys.create(new, &principal.id).await?;
        let kept = show(&kept, keys.now());
        let mut shown = kept.clone();
        shown["key"] = json!(key.expose());
        Ok(Answer::once(&shown, &kept))
    };
    let mut response = json(&asked.change(server, Twice::More, made).await?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Lists keys.
///
/// The newest first. A page may be shorter than asked for, or empty, where keys of others are left out.
#[utoipa::path(
    get,
    path = "/v1/apiKeys",
    tag = TAG,
    operation_id = "keys.List",
    params(Wanted),
    responses(
        (status = 200, description = "A page of keys.", body = KeyPage),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn list(server: &Server, asked: &Asked<'_>) -> Result<Response<Body>> {
    let principal = asked.exchange.principal()?;
    let page = Page::read(asked.query)?;
    let query = ["apiKeys", principal.id.as_str()];
    let cursor = Cursor::read(&page.token, &server.audit.tokens, &query)?;
    let after = cursor.as_ref().map(position).transpose()?;
    let keys = server.identity.keys();
    let found = keys.list(after, page.size).await?;
    let full = found.len() as u64 == u64::from(page.size);
    let next = found.last().filter(|_| full).map(|last| {
        let keys = vec![last.created.as_microsecond().to_string(), last.id.clone()];
        Cursor { keys }.token(&server.audit.tokens, &query)
    });
    let now = keys.now();
    let shown: Vec<Value> =
        found.iter().filter(|key| administers(principal, key)).map(|key| show(key, now)).collect();
    let mut answer = json!({"apiKeys": shown});
    if let Some(next) = next {
        answer["nextPageToken"] = next.into();
    }
    Ok(json(&answer))
}

/// Shows one key.
///
/// One that you are not admin of is not found.
#[utoipa::path(
    get,
    path = "/v1/apiKeys/{key}",
    tag = TAG,
    operation_id = "keys.Get",
    params(("key" = String, Path, description = "Id of the key.", example = "k7f3m2q9", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The key, without itself.", body = ShownKey),
        (status = 404, description = "There is no such key for you."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn get(server: &Server, asked: &Asked<'_>) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let key = find(server, asked).await?;
    Ok(json(&show(&key, server.identity.keys().now())))
}

/// Revokes a key.
///
/// It opens nothing more, here at once and in other replicas within seconds; the answer shows what is left of it.
#[utoipa::path(
    delete,
    path = "/v1/apiKeys/{key}",
    tag = TAG,
    operation_id = "keys.Revoke",
    params(("key" = String, Path, description = "Id of the key.", example = "k7f3m2q9", pattern = "^[^/]+$")),
    responses(
        (status = 200, description = "The revoked key.", body = ShownKey),
        (status = 404, description = "There is no such key for you."),
        (status = 503, description = "The store cannot be used.")
    )
)]
pub(super) async fn revoke(server: &Server, mut asked: Asked<'_>) -> Result<Response<Body>> {
    asked.no_parameters()?;
    let key = find(server, &asked).await?;
    asked.notes.entry.resource_names = vec![format!("{COLLECTION}/{}", key.id)];
    let keys = server.identity.keys().clone();
    let id = key.id.clone();
    let gone = async move {
        let revoked = keys.revoke(&id).await?.ok_or_else(|| missing(&id))?;
        Ok(Answer::of(&show(&revoked, keys.now())))
    };
    let revoked = asked.change(server, Twice::Same, gone).await;
    server.identity.forget_key(&key.id);
    Ok(json(&revoked?))
}

/// Finds the key that is named. One that the principal does not administer is as good as not there.
async fn find(server: &Server, asked: &Asked<'_>) -> Result<ApiKey> {
    let id = asked.captures.first().map_or("", |id| id);
    let found = server.identity.keys().find(id).await?;
    let principal = asked.exchange.principal()?;
    found.filter(|key| administers(principal, key)).ok_or_else(|| missing(id))
}

fn administers(principal: &Principal, key: &ApiKey) -> bool {
    key.resources.iter().all(|pattern| access::may(principal, Role::Admin, pattern.as_str()))
}

fn missing(id: &str) -> Error {
    let id: String = id.chars().take(40).collect();
    Error::new(Code::NotFound, Reason::ResourceNotFound, format!("There is no key apiKeys/{id} for you."))
}

/// What is asked for, as the audit log keeps it.
fn wish(new: &NewKey) -> Value {
    json!({
        "principal": new.principal,
        "role": new.role.name(),
        "resources": new.resources.iter().map(Pattern::as_str).collect::<Vec<_>>(),
        "expireTime": new.expires.map(|time| time.to_string()),
        "note": new.note,
    })
}

fn show(key: &ApiKey, now: Timestamp) -> Value {
    let state = match (key.revoked, key.is_live(now)) {
        (Some(_), _) => "REVOKED",
        (None, true) => "ACTIVE",
        (None, false) => "EXPIRED",
    };
    let mut shown = json!({
        "name": format!("apiKeys/{}", key.id),
        "principal": key.principal,
        "role": key.role.name(),
        "resources": key.resources.iter().map(Pattern::as_str).collect::<Vec<_>>(),
        "state": state,
        "createdBy": key.created_by,
        "createTime": key.created.to_string(),
    });
    let times = [("expireTime", key.expires), ("revokeTime", key.revoked), ("lastUseTime", key.last_used)];
    for (name, time) in times {
        if let Some(time) = time {
            shown[name] = json!(time.to_string());
        }
    }
    if !key.note.is_empty() {
        shown["note"] = json!(key.note);
    }
    shown
}

/// Reads what a new key is to be.
fn read(body: &[u8]) -> Result<NewKey> {
    let mut fields = Fields::read(body)?;
    let new = NewKey {
        principal: fields.text("principal")?.ok_or_else(|| required("principal"))?,
        role: match fields.text("role")? {
            Some(name) => Role::find(&name)
                .ok_or_else(|| Error::invalid_field("role", "expected viewer, operator, editor or admin"))?,
            None => return Err(required("role")),
        },
        resources: match fields.take("resources") {
            Some(Value::Array(patterns)) => patterns.iter().map(pattern).collect::<Result<_>>()?,
            Some(_) => return Err(Error::invalid_field("resources", "expected a list of patterns")),
            None => return Err(required("resources")),
        },
        note: fields.text("note")?.unwrap_or_default(),
        expires: fields.time("expireTime")?,
    };
    fields.finish()?;
    Ok(new)
}

fn pattern(value: &Value) -> Result<Pattern> {
    let text = value.as_str().ok_or_else(|| Error::invalid_field("resources", "expected strings"))?;
    text.parse().map_err(|why: String| Error::invalid_field("resources", why))
}

fn required(name: &'static str) -> Error {
    Error::invalid_field(name, "is required")
}

/// Which page is asked for.
struct Page {
    size: u32,
    token: String,
}

impl Page {
    fn read(query: &str) -> Result<Self> {
        let mut page = Self { size: PAGE_SIZE, token: String::new() };
        for (name, value) in Query::parse(query, |name| name.starts_with("page"))?.pairs {
            match &*name {
                "pageSize" | "page_size" => {
                    let size: i64 = value.parse().ok().filter(|size| *size >= 0).ok_or_else(|| {
                        Error::invalid_field("pageSize", "expected a number of zero or more")
                    })?;
                    let size = u32::try_from(size).unwrap_or(PAGE_SIZE_MAX).min(PAGE_SIZE_MAX);
                    page.size = if size == 0 { PAGE_SIZE } else { size };
                }
                "pageToken" | "page_token" => page.token = value.into_owned(),
                name => return Err(Error::unknown_field(name, "expected pageSize and pageToken")),
            }
        }
        Ok(page)
    }
}

fn position(cursor: &Cursor) -> Result<(Timestamp, &str)> {
    let [created, id] = &cursor.keys[..] else {
        return Err(Error::internal("a page token of ours has other parts than we put in"));
    };
    let micros = created.parse().map_err(Error::internal)?;
    Ok((Timestamp::from_microsecond(micros).map_err(Error::internal)?, id))
}
