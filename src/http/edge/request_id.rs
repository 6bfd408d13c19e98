//! The id under which a request is found again in every log.

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::{http::limits::REQUEST_ID_MAX, store::time_ordered};

/// Taken from the caller, sent to the upstream, printed in every answer.
pub(in crate::http) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Takes over the caller's id when it is harmless to print and to send on, else makes one. Ours grow with time, so that
/// the index of the audit log grows at its end and not all over.
pub(in crate::http) fn of(headers: &HeaderMap, now: Timestamp) -> HeaderValue {
    match headers.get(HEADER) {
        Some(id) if is_safe(id.as_bytes()) => id.clone(),
        Some(_) | None => fresh(now),
    }
}

/// A key of ours among the characters would end up in logs and upstream.
fn is_safe(id: &[u8]) -> bool {
    !id.windows(3).any(|three| three.eq_ignore_ascii_case(b"cw_"))
        && (1..=REQUEST_ID_MAX).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b))
}

fn fresh(now: Timestamp) -> HeaderValue {
    let mut id = [0; 32];
    super::hex(&time_ordered(now.as_microsecond()), &mut id);
    HeaderValue::from_bytes(&id).expect("hexadecimal digits are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &HeaderMap) -> HeaderValue {
        super::of(headers, Timestamp::UNIX_EPOCH)
    }

    fn given(id: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_static(id))])
    }

    #[test]
    fn a_harmless_id_is_kept() {
        assert_eq!(of(&given("projects/7:abc-1_2.3+4=@")), "projects/7:abc-1_2.3+4=@");
    }

    #[test]
    fn anything_else_is_replaced() {
        for id in ["", "a b", "a\"b", "<script>", "x-cw_1"] {
            let made = of(&given(id));
            assert_eq!(made.len(), 32, "{id}");
            assert!(made.as_bytes().iter().all(u8::is_ascii_hexdigit), "{id}");
        }
        let long = HeaderValue::from_str(&"a".repeat(REQUEST_ID_MAX + 1)).expect("letters");
        assert_eq!(of(&HeaderMap::from_iter([(HEADER, long)])).len(), 32);
    }

    #[test]
    fn a_later_request_gets_a_greater_id() {
        let at = |millis| super::of(&HeaderMap::new(), Timestamp::from_millisecond(millis).unwrap());
        assert!(at(1_700_000_000_000).as_bytes() < at(1_700_000_000_001).as_bytes());
    }

    #[test]
    fn two_requests_get_two_ids() {
        assert_ne!(of(&HeaderMap::new()), of(&HeaderMap::new()));
    }
}
