//! The OpenAPI document, as bytes that are ready to be sent.
//!
//! It is made when it is first asked for, so that neither the start nor a gateway that nobody explores pays for it, and
//! kept compressed, which is how nearly everybody asks for it.

use std::{
    hash::{DefaultHasher, Hasher as _},
    io::{Read as _, Write as _},
};

use bytes::Bytes;
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};
use http::{HeaderValue, Response, header, request::Parts};

use crate::{
    http::{JSON, Server, body::Body, conditional, negotiate, openapi},
    schema::Catalog,
};

/// The document, printed.
pub(in crate::http) struct Spec {
    gzip: Bytes,
    etag: HeaderValue,
}

impl Spec {
    pub(in crate::http) fn of(catalog: &Catalog) -> Self {
        let plain = openapi::document(catalog).to_json().expect("the document is made of what JSON can say");
        let mut hasher = DefaultHasher::new();
        hasher.write(plain.as_bytes());
        // Weak, since it stands for the compressed bytes and for the plain ones.
        let etag = format!("W/\"{:016x}\"", hasher.finish());
        Self {
            gzip: compress(plain.as_bytes()),
            etag: HeaderValue::from_str(&etag).expect("digits can be in a header"),
        }
    }
}

/// Describes everything that is served here.
///
/// The OpenAPI 3.1 document of this gateway as it is configured: the one that `/docs` shows, for programs.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = openapi::GATEWAY,
    operation_id = "gateway.OpenApi",
    responses(
        (
            status = 200,
            description = "The document.",
            body = serde_json::Value,
            content_type = "application/json",
            example = json!({"openapi": "3.1.0"})
        ),
        (status = 304, description = "It is the one that `If-None-Match` names.")
    )
)]
pub(super) fn spec(server: &Server, head: &Parts) -> Response<Body> {
    let spec = server.spec.get_or_init(|| Spec::of(server.gateway.catalog()));
    let mut response = precompressed(spec.gzip.clone(), head);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::ETAG, spec.etag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    conditional::unless_known(head, response)
}

/// Answers with bytes that are gzip, unpacked for a caller that takes no gzip.
pub(super) fn precompressed(gzip: Bytes, head: &Parts) -> Response<Body> {
    let packed = negotiate::accepts_gzip(&head.headers);
    let body = if packed { gzip } else { unpack(&gzip) };
    let mut response = Response::new(Body::full(body));
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn compress(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all").into()
}

fn unpack(gzip: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut plain).expect("what was packed here or while building is gzip");
    plain.into()
}
