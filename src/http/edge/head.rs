//! The request head as a whole, before anything of it is looked at: its limits, and what HTTP asks of every head.
//!
//! Who stands before us may have read a doubtful head in another way, so that it sees other requests than we do. A head
//! that leaves room for that is refused.

use http::{HeaderMap, HeaderValue, Uri, Version, header, request::Parts};

use crate::{
    error::{Error, Result},
    http::{
        limits::{HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX},
        status::{LIMIT, LIMIT_HEADER_BYTES, LIMIT_HEADERS, LIMIT_URL},
    },
};

/// Refuses a URL or headers past their limits (414 and 431), and a doubtful head (400).
pub(super) fn check(head: &Parts) -> Result<()> {
    limits(&head.uri, &head.headers)?;
    host(head.version, &head.headers)?;
    coding(&head.headers)
}

/// RFC 9112, 3.2: one `Host`, which HTTP/1.0 and HTTP/2 may do without.
fn host(version: Version, headers: &HeaderMap) -> Result<()> {
    let fewest = usize::from(version == Version::HTTP_11);
    if (fewest..=1).contains(&headers.get_all(header::HOST).iter().count()) {
        return Ok(());
    }
    Err(Error::invalid_field("host", "a request has exactly one Host header"))
}

/// `chunked` once is the only transfer coding that is undone here; hyper would hand on the bytes of any other.
fn coding(headers: &HeaderMap) -> Result<()> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter().map(HeaderValue::as_bytes);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Error::invalid_field("transfer-encoding", "send chunked, once, or a Content-Length")),
    }
}

fn limits(uri: &Uri, headers: &HeaderMap) -> Result<()> {
    let url = uri.path_and_query().map_or(0, |path_and_query| path_and_query.as_str().len());
    if url > URL_BYTES_MAX {
        return Err(Error::limit(format!(
            "The URL has {url} bytes; at most {URL_BYTES_MAX} are allowed. Long queries can be sent as the form body of \
             a POST with the header X-HTTP-Method-Override: GET."
        ))
        .with_metadata(LIMIT, LIMIT_URL));
    }
    if headers.len() > HEADERS_MAX {
        return Err(Error::limit(format!(
            "The request has {} header lines; at most {HEADERS_MAX} are allowed.",
            headers.len()
        ))
        .with_metadata(LIMIT, LIMIT_HEADERS));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES_MAX {
        return Err(Error::limit(format!(
            "The headers have {bytes} bytes; at most {HEADER_BYTES_MAX} are allowed."
        ))
        .with_metadata(LIMIT, LIMIT_HEADER_BYTES));
    }
    Ok(())
}
