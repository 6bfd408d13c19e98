//! What an Idempotency-Key stands for, and what is said to whoever uses one that is taken.

use std::borrow::Cow;

use serde_json::Value;

use super::{
    metadata,
    notes::Notes,
    route::{Repeat, Route},
};
use crate::{
    crypto,
    error::{Code, Error, Reason, Result},
    store::journal::KeyUse,
    transcode::{JsonOptions, Peeked},
    upstream::Call,
};

/// Namespace of the request ids that are made from Idempotency-Keys.
const REQUEST_IDS: [u8; 16] =
    [0x9c, 0x1d, 0x5a, 0x5e, 0x6b, 0x0c, 0x4f, 0x0e, 0x8d, 0x6e, 0x2f, 0x35, 0x0b, 0x57, 0x1e, 0xa9];

/// Bytes of a message that is looked at closely enough to tell it in whatever order it comes; a longer one has to come in the
/// same.
const SAID_BYTES_MAX: usize = 256 * 1024;

/// Works out what the key of a request to an endpoint of ours stands for. Nobody recognises a repetition of it but us;
/// `reissuable` tells whether doing it twice does no more than doing it once.
pub(super) fn own_key_use(notes: &Notes, asked: &[&[u8]], reissuable: bool) -> Option<KeyUse> {
    let key = notes.idempotency_key.as_ref()?;
    let scope = crypto::sha256_of_each([notes.entry.principal.as_bytes(), key.as_bytes()]);
    Some(KeyUse { scope, fingerprint: crypto::sha256_of_each(asked.iter().copied()), reissuable })
}

/// Works out what the key stands for, and names the request to an upstream that can tell repetitions.
pub(super) fn key_use(route: &Route, call: &mut Call, notes: &Notes) -> Result<Option<KeyUse>> {
    let Some(key) = &notes.idempotency_key else { return Ok(None) };
    let principal = notes.entry.principal.as_bytes();
    let scope = crypto::sha256_of_each([principal, key.as_bytes()]);
    let names = notes.entry.resource_names.iter().map(String::as_bytes);
    let method = [route.method.as_bytes()].into_iter();
    let said = said(route, &call.message);
    let forwarded = (!route.forward_headers.is_empty()).then(|| forwarded(route, call));
    let asked = method.chain(names).chain([&said[..]]).chain(forwarded.as_ref().map(|tag| &tag[..]));
    let fingerprint = crypto::sha256_of_each(asked);
    let mut reissuable = false;
    if let Repeat::WithRequestId(plan) = &route.repeat {
        reissuable = true;
        let given = plan.peek(&call.message, "request_id").ok().flatten().and_then(Peeked::text);
        if given.is_none_or(str::is_empty) {
            let name = [principal, key.as_bytes(), route.method.as_bytes()].join(&b"\0"[..]);
            let mut message = call.message.to_vec();
            plan.patch(&mut message, "request_id", crypto::uuid_v5(&REQUEST_IDS, &name).as_bytes())?;
            call.message = message.into();
        }
        call.retryable = true;
    }
    Ok(Some(KeyUse { scope, fingerprint, reissuable }))
}

/// What goes up because the configuration names it: with another tenant, say, it is another request.
fn forwarded(route: &Route, call: &Call) -> [u8; 32] {
    let pairs = call.metadata.iter().filter(|(name, _)| route.forward_headers.contains(name));
    metadata::tag(pairs.map(|(name, value)| (name, value)))
}

/// What a message says, in whatever order: neither the fields of JSON nor the entries of a map have one, and a client that
/// makes its body anew may write another.
fn said<'m>(route: &Route, message: &'m [u8]) -> Cow<'m, [u8]> {
    if message.len() > SAID_BYTES_MAX {
        return Cow::Borrowed(message);
    }
    let options = JsonOptions { enum_numbers: true, ..JsonOptions::default() };
    let mut json = Vec::new();
    let printed = route.request.message().to_json(message, &options, &mut json).is_ok();
    // The maps of a `Value` are sorted by their keys.
    let value: Option<Value> = serde_json::from_slice(&json).ok().filter(|_| printed);
    value.map_or(Cow::Borrowed(message), |value| Cow::Owned(value.to_string().into_bytes()))
}

pub(super) fn in_progress() -> Error {
    let text = "A request with this Idempotency-Key is still running. Try again when it is done.";
    Error::new(Code::Aborted, Reason::IdempotencyInProgress, text)
        .with_retry_after(std::time::Duration::from_secs(1))
}

pub(super) fn mismatch() -> Error {
    let text = "This Idempotency-Key was used for another request. Take a new one for every new request.";
    Error::new(Code::InvalidArgument, Reason::IdempotencyMismatch, text)
}

pub(super) fn unknown() -> Error {
    let text = "A request with this Idempotency-Key was sent, and nobody can say what came of it. Look at the resource, \
                then go on with a new key.";
    Error::new(Code::Aborted, Reason::OutcomeUnknown, text)
}

/// A kept answer that was sealed with a key that is gone.
pub(super) fn unreadable() -> Error {
    Error::internal("a kept answer cannot be opened; was its key taken from secrets.old_keys?")
}
