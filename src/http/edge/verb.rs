//! The verb that counts: the request's own, or the one it says it stands for.

use std::borrow::Cow;

use http::{HeaderName, Method, request::Parts};

use crate::error::{Error, Result};

const OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// Letters of a verb. Longer ones are on no route.
const VERB_MAX: usize = 32;

/// Finds the verb that `X-HTTP-Method-Override` names; only a POST may stand for another verb, elsewhere the header is
/// ignored. `None` without one.
pub(super) fn overridden(head: &Parts) -> Result<Option<Cow<'_, str>>> {
    let Some(value) = head.headers.get(OVERRIDE).filter(|_| head.method == Method::POST) else {
        return Ok(None);
    };
    value.to_str().ok().and_then(parse).map(Some).ok_or_else(|| {
        Error::invalid_field(OVERRIDE.as_str(), "expected a verb such as GET, PATCH or DELETE")
    })
}

/// Reads a verb; lower case is put right.
pub(super) fn parse(text: &str) -> Option<Cow<'_, str>> {
    let legal = (1..=VERB_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic());
    legal.then(|| {
        if text.bytes().all(|b| b.is_ascii_uppercase()) {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(text.to_ascii_uppercase())
        }
    })
}
