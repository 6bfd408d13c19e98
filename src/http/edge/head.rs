//! Limits of the request head: before anything of it is looked at.

use http::{HeaderMap, Uri};

use crate::{
    error::{Error, Result},
    http::{
        limits::{HEADER_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX},
        status::{LIMIT, LIMIT_HEADER_BYTES, LIMIT_HEADERS, LIMIT_URL},
    },
};

/// Refuses a URL or headers past their limits: 414 and 431.
pub(super) fn check(uri: &Uri, headers: &HeaderMap) -> Result<()> {
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
