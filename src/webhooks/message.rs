//! What is sent: the body of an event with the headers of Standard Webhooks.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;

use super::{body, directory::Receiver};
use crate::{egress::Message, model::WebhookEvent};

/// Says which event it is: the same over all attempts.
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// Says when this attempt was made, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// Proves that it comes from us.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Makes the message that tells a receiver of an event now.
pub(super) fn of(event: &WebhookEvent, receiver: &Receiver, now: Timestamp) -> Message {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const AGENT: HeaderValue = HeaderValue::from_static(concat!("causeway/", env!("CARGO_PKG_VERSION")));
    let body = body::of(event);
    let signature = receiver.secrets.sign(&event.id, now, body.as_bytes());
    let mut headers: HeaderMap = receiver.headers.clone();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(header::USER_AGENT, AGENT);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_second()));
    for (name, value) in [(WEBHOOK_ID, &event.id), (WEBHOOK_SIGNATURE, &signature)] {
        // Both are made of letters, digits and a few signs.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    Message { method: Method::POST, headers, body: body.into() }
}
