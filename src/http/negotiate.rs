//! What the caller accepts: `Accept` for streams, `Accept-Encoding` for compression.

use http::{HeaderMap, HeaderName, header};

/// Entries of one header that are looked at.
const ENTRIES_MAX: usize = 32;

/// How the messages of a stream are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamFormat {
    /// One JSON array, an element per message.
    Array,
    /// One line of JSON per message.
    Lines,
    /// Server-sent events, one `data:` line per message.
    Events,
}

/// Chooses the layout: the acceptable one of highest weight, the first of several, and an array when nothing says
/// otherwise. Never fails: a caller that accepts none of them still learns more from an array than from a refusal.
pub(super) fn stream_format(headers: &HeaderMap) -> StreamFormat {
    let mut best = (0, StreamFormat::Array);
    for (name, weight) in weighted(headers, &header::ACCEPT) {
        let format = if name.eq_ignore_ascii_case("text/event-stream") {
            StreamFormat::Events
        } else if ["application/x-ndjson", "application/ndjson", "application/jsonl"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            StreamFormat::Lines
        } else if ["application/json", "application/*", "*/*"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
        {
            StreamFormat::Array
        } else {
            continue;
        };
        if weight > best.0 {
            best = (weight, format);
        }
    }
    best.1
}

/// Tells whether the caller is a browser, or likes HTML better than JSON for another reason.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let (mut html, mut json, mut any) = (0, 0, 0);
    for (name, weight) in weighted(headers, &header::ACCEPT) {
        if name.eq_ignore_ascii_case("text/html") {
            html = weight;
        } else if name.eq_ignore_ascii_case("application/json") || name.eq_ignore_ascii_case("application/*")
        {
            json = weight.max(json);
        } else if name == "*/*" {
            any = weight;
        }
    }
    html > json && html >= any
}

/// Tells whether the caller takes gzip, and likes it no less than plain bytes.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for (name, weight) in weighted(headers, &header::ACCEPT_ENCODING) {
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            gzip = gzip.max(Some(weight));
        } else if name.eq_ignore_ascii_case("identity") {
            identity = Some(weight);
        } else if name == "*" {
            any = Some(weight);
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// Lists the entries of a header with their `q`, in thousandths; an unreadable `q` counts as 0.
fn weighted<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, u16)> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(ENTRIES_MAX)
        .map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1000, thousandths);
            (name, weight)
        })
}

fn thousandths(q: &str) -> u16 {
    let (whole, rest) = q.split_once('.').unwrap_or((q, ""));
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1000,
        "0" => rest.bytes().chain(*b"000").take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_used_where_it_is_welcome() {
        let cases = [
            ("gzip, deflate", true),
            ("gzip;q=0", false),
            ("gzip;q=0.001", true),
            ("identity", false),
            ("*", true),
            ("*;q=0", false),
            ("br, gzip;q=0.5, identity;q=0.8", false),
            ("GZIP ; q=1.0", true),
            ("gzip;q=nonsense", false),
            ("", false),
        ];
        for (value, expected) in cases {
            assert_eq!(accepts_gzip(&with(header::ACCEPT_ENCODING, value)), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        let cases = [
            (browser, true),
            ("text/html", true),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/html", false),
            ("application/json;q=0.5, text/html", true),
            ("text/html;q=0", false),
        ];
        for (value, expected) in cases {
            assert_eq!(prefers_html(&with(header::ACCEPT, value)), expected, "{value}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn streams_take_the_layout_that_is_asked_for() {
        let cases = [
            ("application/json", StreamFormat::Array),
            ("*/*", StreamFormat::Array),
            ("image/png", StreamFormat::Array),
            ("application/x-ndjson", StreamFormat::Lines),
            ("application/json;q=0.5, application/x-ndjson", StreamFormat::Lines),
            ("text/event-stream, */*;q=0.1", StreamFormat::Events),
        ];
        for (value, expected) in cases {
            assert_eq!(stream_format(&with(header::ACCEPT, value)), expected, "{value}");
        }
        assert_eq!(stream_format(&HeaderMap::new()), StreamFormat::Array);
    }
}
