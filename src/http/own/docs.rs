//! Swagger UI. Everything it loads comes from this process.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderValue, Response, header, request::Parts};
use utoipa_swagger_ui::Config;

use super::{page, spec::precompressed};
use crate::{
    error::{Code, Error, Reason, Result},
    http::{body::Body, conditional, openapi},
    schema::Captures,
};

/// Swagger UI sets styles from its scripts; scripts come from files only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Files change with the version only, and are asked for again a day later.
const FILE_CACHE: &str = "public, max-age=86400";

const PAGE: &str = include_str!("docs.html");
const STYLE: &str = include_str!("docs.css");
const SCRIPT: &str = include_str!("docs.js");

/// The files that the page asks for; the package has more.
const FILES: &[&str] = &[
    "favicon-16x16.png",
    "favicon-32x32.png",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];

/// How the page shows the document.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(
        Config::from("openapi.json")
            .use_base_layout()
            .deep_linking(true)
            .doc_expansion("none")
            .filter(true)
            .try_it_out_enabled(true)
            .display_request_duration(true)
            .default_models_expand_depth(0)
            .default_model_expand_depth(2)
            .show_common_extensions(true)
            .validator_url("none"),
    )
});

/// Shows this document, to read and to try out.
///
/// Swagger UI. Values are filled in: with `causeway dev` behind it, every call can be sent as it stands.
#[utoipa::path(
    get,
    path = "/docs",
    tag = openapi::GATEWAY,
    operation_id = "gateway.Docs",
    responses(
        (
            status = 200,
            description = "A page for browsers.",
            body = String,
            content_type = "text/html",
            example = "<!doctype html>"
        ),
        (status = 304, description = "It is the one that `If-None-Match` names.")
    )
)]
pub(super) fn docs(head: &Parts) -> Response<Body> {
    let mut response = ours(PAGE, "text/html; charset=utf-8");
    page::dress(&mut response, POLICY, "no-cache");
    conditional::unless_known(head, response)
}

/// Returns a part of the documentation page.
///
/// Scripts, styles and images.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = openapi::GATEWAY,
    operation_id = "gateway.DocsFile",
    params((
        "file" = String,
        Path,
        description = "Name of the file.",
        example = "swagger-initializer.js",
        pattern = "^[^/]+$"
    )),
    responses(
        (
            status = 200,
            description = "The file.",
            content(
                (String = "text/javascript", example = "window.onload = function() {}"),
                (String = "text/css", example = "body { margin: 0; }"),
                (Vec<u8> = "image/png")
            )
        ),
        (status = 304, description = "It is the one that `If-None-Match` names."),
        (status = 404, description = "There is no such file.")
    )
)]
pub(super) fn file(captures: &Captures<'_>, head: &Parts) -> Result<Response<Body>> {
    let name = captures.first().map(AsRef::as_ref).unwrap_or_default();
    let mut response = match name {
        "docs.css" => ours(STYLE, "text/css; charset=utf-8"),
        "docs.js" => ours(SCRIPT, "text/javascript; charset=utf-8"),
        _ => swagger(name, head)?,
    };
    page::dress(&mut response, POLICY, FILE_CACHE);
    Ok(conditional::unless_known(head, response))
}

/// Answers with a file of our own.
fn ours(text: &'static str, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::full(Bytes::from_static(text.as_bytes())));
    kind(&mut response, HeaderValue::from_static(content_type));
    response
}

/// Finds a file of Swagger UI.
fn swagger(name: &str, head: &Parts) -> Result<Response<Body>> {
    let missing = || Error::new(Code::NotFound, Reason::RouteNotFound, "There is no such file.");
    if !FILES.contains(&name) {
        return Err(missing());
    }
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG));
    let file = found.map_err(|error| Error::internal(error.to_string()))?.ok_or_else(missing)?;
    let bytes = match file.bytes {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => bytes.into(),
    };
    let mut response =
        if file.gzpipped { precompressed(bytes, head) } else { Response::new(Body::full(bytes)) };
    let text = file.content_type.starts_with("text/");
    let content_type = if text { format!("{}; charset=utf-8", file.content_type) } else { file.content_type };
    kind(&mut response, HeaderValue::from_str(&content_type).map_err(Error::internal)?);
    Ok(response)
}

/// Says what a file is, and which version.
fn kind(response: &mut Response<Body>, kind: HeaderValue) {
    const ETAG: HeaderValue = HeaderValue::from_static(concat!("W/\"", env!("CARGO_PKG_VERSION"), "\""));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::ETAG, ETAG);
}
