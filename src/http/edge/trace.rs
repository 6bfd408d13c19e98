//! W3C Trace Context: the caller's trace goes on through us.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::hex;

/// Names the trace and the span that called.
const PARENT: HeaderName = HeaderName::from_static("traceparent");

const PARENT_LEN: usize = 55;

/// Makes the `traceparent` of the call to the upstream: a new span in the caller's trace, or in a new trace that is
/// marked as not sampled, since we record no spans ourselves. The second value tells whether the caller had one.
pub(super) fn child(headers: &HeaderMap) -> (HeaderValue, bool) {
    let caller = headers.get(PARENT).and_then(|value| parse(value.as_bytes()));
    let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
    match caller {
        Some(parent) => value.copy_from_slice(parent),
        None => hex(&(fastrand::u128(..) | 1).to_be_bytes(), &mut value[3..35]),
    }
    hex(&(fastrand::u64(..) | 1).to_be_bytes(), &mut value[36..52]);
    let value = HeaderValue::from_bytes(&value).expect("hexadecimal digits and dashes are visible ASCII");
    (value, caller.is_some())
}

/// Reads version 00 strictly: lower-case digits, nothing after it, ids that are not all zero.
fn parse(value: &[u8]) -> Option<&[u8; PARENT_LEN]> {
    let value: &[u8; PARENT_LEN] = value.try_into().ok()?;
    let (trace, span, flags) = (&value[3..35], &value[36..52], &value[53..]);
    let digits = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    let framed = value.starts_with(b"00-") && value[35] == b'-' && value[52] == b'-';
    let valid = framed && digits(trace) && digits(span) && digits(flags) && !zero(trace) && !zero(span);
    valid.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn from(value: &str) -> (HeaderValue, bool) {
        child(&HeaderMap::from_iter([(PARENT, HeaderValue::from_str(value).expect("visible ASCII"))]))
    }

    #[test]
    fn the_trace_goes_on_with_a_span_of_ours() {
        let (value, known) = from(GIVEN);
        let value = value.to_str().expect("ASCII");
        assert!(known);
        assert_eq!(value[..36], GIVEN[..36]);
        assert_ne!(value[36..52], GIVEN[36..52]);
        assert_eq!(value[52..], GIVEN[52..]);
    }

    #[test]
    fn what_is_not_a_traceparent_starts_a_new_trace() {
        let wrong = [
            "",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ];
        for value in wrong {
            let (made, known) = from(value);
            assert!(!known, "{value}");
            assert!(parse(made.as_bytes()).is_some(), "{made:?}");
        }
    }
}
