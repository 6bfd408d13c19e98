//! The status of a call: from `grpc-status`, `grpc-message` and `grpc-status-details-bin` to an [`Error`].
//!
//! Whatever stands in these headers was written by somebody else. Nothing in them can make us fail: what cannot be read
//! is left out, what is too long is cut, and a message that is a stack trace is summarised, since it tells the caller
//! nothing and an attacker a lot. The log gets all of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use prost::Message as _;

use crate::error::{Code, Detail, Error};

/// Details kept of one status.
const DETAILS_MAX: usize = 32;
/// Bytes of a message that reach the caller.
const MESSAGE_BYTES_MAX: usize = 4096;
/// The longest wait that an upstream's `RetryInfo` can ask for.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(3600);
/// The longest name of an exception that is repeated to the caller.
const EXCEPTION_BYTES_MAX: usize = 80;

/// What stands before and behind the name of an exception, where it sums up a stack trace.
const RAISED: &str = "` failed with ";
const IN_LOG: &str = ". The log of the gateway has its words.";

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
/// Stack traces of the server. Never passed on.
const DEBUG_INFO: &str = "type.googleapis.com/google.rpc.DebugInfo";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct Packed {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<PackedDetail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct PackedDetail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

/// Reads the status in headers or trailers. `None`: there is none.
pub(super) fn read(upstream: &str, headers: &HeaderMap) -> Option<Result<(), Error>> {
    let status = headers.get("grpc-status")?;
    if status.as_bytes() == b"0" {
        return Some(Ok(()));
    }
    let number = status.to_str().ok().and_then(|text| text.parse().ok());
    let code = number.and_then(Code::from_number).unwrap_or(Code::Unknown);
    let packed =
        headers.get("grpc-status-details-bin").and_then(|value| unpack(upstream, value)).unwrap_or_default();
    let mut message =
        headers.get("grpc-message").map(|value| percent_decode(value.as_bytes())).unwrap_or_default();
    if message.is_empty() {
        message = packed.message;
    }
    Some(Err(error(upstream, code, message, packed.details)))
}

fn error(upstream: &str, code: Code, message: String, packed: Vec<PackedDetail>) -> Error {
    let delay = packed.iter().find(|detail| detail.type_url == RETRY_INFO).and_then(retry_delay);
    let details = packed
        .into_iter()
        .filter(|detail| detail.type_url != DEBUG_INFO)
        .take(DETAILS_MAX)
        .map(|PackedDetail { type_url, value }| Detail { type_url, value })
        .collect();
    let mut error = if let Some(summary) = summarise(upstream, &message) {
        Error::upstream(code, summary, details).with_source(message)
    } else if message.is_empty() {
        Error::upstream(
            code,
            format!("Upstream `{upstream}` answered {} without a message.", code.name()),
            details,
        )
    } else {
        Error::upstream(code, cut(message, MESSAGE_BYTES_MAX), details)
    };
    if let Some(delay) = delay {
        error = error.with_retry_after(delay);
    }
    error
}

/// Names the exception that a failure was summed up by, if it was.
pub fn raised_by(error: &Error) -> Option<&str> {
    error.message().strip_suffix(IN_LOG)?.split_once(RAISED).map(|(_, name)| name)
}

/// The failure of a call that ended with this message.
#[cfg(test)]
pub(crate) fn failed_with(message: &str) -> Error {
    error("flyte", Code::Internal, message.to_owned(), Vec::new())
}

fn unpack(upstream: &str, value: &HeaderValue) -> Option<Packed> {
    let first = value.as_bytes().split(|b| *b == b',').next().unwrap_or_default();
    let packed =
        base64_simd::forgiving_decode_to_vec(first).ok().and_then(|bytes| Packed::decode(&bytes[..]).ok());
    if packed.is_none() {
        tracing::debug!(upstream, "the details of a status cannot be read");
    }
    packed
}

fn retry_delay(detail: &PackedDetail) -> Option<Duration> {
    let delay = RetryInfo::decode(detail.value.clone()).ok()?.retry_delay?;
    Duration::try_from(delay).ok().map(|delay| delay.min(RETRY_DELAY_MAX))
}

/// Undoes the percent encoding of `grpc-message`; what is not encoded properly stays as it is.
fn percent_decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

/// Says in one line what a stack trace is about; `None` where the message is none.
fn summarise(upstream: &str, message: &str) -> Option<String> {
    let python = message.contains("Traceback (most recent call last)");
    if !python && !message.lines().any(|line| is_frame(line) || is_goroutine(line)) {
        return None;
    }
    let name = if python { raised(message) } else { message.lines().find_map(exception) };
    Some(match name {
        Some(name) => format!("Upstream `{upstream}{RAISED}{name}{IN_LOG}"),
        None => format!("Upstream `{upstream}` failed{IN_LOG}"),
    })
}

/// Whether a line is a frame of Java, JavaScript or .NET: `at` a function and a place in a file. Whoever quotes SQL may say `at`, too.
fn is_frame(line: &str) -> bool {
    let Some(frame) = line.trim().strip_prefix("at ").filter(|_| line.starts_with([' ', '\t'])) else {
        return false;
    };
    // Behind the place some say which archive it is in.
    let place =
        frame.rsplit_once('(').map_or(frame, |(_, place)| place.split(')').next().unwrap_or_default());
    let number = place.rsplit_once(':').map_or("", |(_, number)| number);
    let has_no_line = ["Native Method", "Unknown Source", "SourceFile"].contains(&place)
        || [".java", ".kt", ".scala", ".groovy"].iter().any(|kind| place.ends_with(kind));
    has_no_line
        || is_number(number)
        || frame.rsplit_once(":line ").is_some_and(|(_, number)| is_number(number))
}

/// Whether a line begins the trace of a goroutine, such as `goroutine 1 [running]:`.
fn is_goroutine(line: &str) -> bool {
    let rest = line.strip_prefix("goroutine ").and_then(|rest| rest.split_once(" ["));
    rest.is_some_and(|(number, _)| is_number(number))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Finds the exception of a Python traceback: it stands behind the last frame, less indented than that. What follows may
/// be anything, lines that look like an exception included.
fn raised(message: &str) -> Option<&str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = message.lines().collect();
    let frame = lines.iter().rposition(|line| line.trim_start().starts_with("File \""))?;
    let outside = |line: &&&str| !line.trim().is_empty() && indent(line) < indent(lines[frame]);
    lines[frame..].iter().find(outside).and_then(|line| exception(line))
}

/// Finds the name in a line such as `google.api_core.exceptions.NotFound: 404 …`, and none of the words after it.
fn exception(line: &str) -> Option<&str> {
    let name = line.trim().split(':').next()?;
    let last = name.rsplit('.').next()?;
    let is_name = last.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        && name.len() <= EXCEPTION_BYTES_MAX;
    (is_name && !["Traceback", "Trace", "Message", "File"].contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    fn failed(pairs: &[(&'static str, &str)]) -> Error {
        read("flyte", &headers(pairs)).expect("a status").expect_err("not OK")
    }

    fn with_details(details: Vec<PackedDetail>) -> Error {
        let packed = Packed { message: "from the details".to_owned(), details };
        let text = base64_simd::STANDARD_NO_PAD.encode_to_string(packed.encode_to_vec());
        failed(&[("grpc-status", "14"), ("grpc-status-details-bin", &text)])
    }

    fn detail(type_url: &str, value: impl Into<Bytes>) -> PackedDetail {
        PackedDetail { type_url: type_url.to_owned(), value: value.into() }
    }

    #[test]
    fn code_and_words_pass_through() {
        assert!(read("x", &HeaderMap::new()).is_none());
        assert!(matches!(read("x", &headers(&[("grpc-status", "0")])), Some(Ok(()))));
        let error = failed(&[("grpc-status", "5"), ("grpc-message", "no caf%C3%A9 100%, %zz")]);
        assert_eq!((error.code(), error.reason()), (Code::NotFound, None));
        assert_eq!(error.message(), "no café 100%, %zz");
    }

    #[test]
    fn a_code_outside_the_enum_is_unknown() {
        for status in ["17", "99", "-1", "nonsense", "", "00000000000000000000"] {
            assert_eq!(failed(&[("grpc-status", status)]).code(), Code::Unknown, "{status}");
        }
    }

    #[test]
    fn details_pass_as_they_came_but_for_the_servers_stack() {
        let error = with_details(vec![
            detail("type.googleapis.com/google.rpc.ErrorInfo", &b"\x0a\x01R"[..]),
            detail(DEBUG_INFO, &b"secret frames"[..]),
            detail("example.com/unknown.Type", &b"\xff"[..]),
        ]);
        let urls: Vec<_> = error.details().iter().map(|detail| detail.type_url.as_str()).collect();
        assert_eq!(urls, ["type.googleapis.com/google.rpc.ErrorInfo", "example.com/unknown.Type"]);
        assert_eq!(&error.details()[0].value[..], b"\x0a\x01R");
        assert_eq!(error.message(), "from the details");
    }

    #[test]
    fn details_without_end_are_cut() {
        assert_eq!(with_details(vec![detail("t", Bytes::new()); 1000]).details().len(), DETAILS_MAX);
    }

    #[test]
    fn retry_info_becomes_retry_after() {
        let info = RetryInfo { retry_delay: Some(prost_types::Duration { seconds: 2, nanos: 500_000_000 }) };
        let error = with_details(vec![detail(RETRY_INFO, info.encode_to_vec())]);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(2500)));
        let negative = RetryInfo { retry_delay: Some(prost_types::Duration { seconds: -2, nanos: 0 }) };
        assert_eq!(with_details(vec![detail(RETRY_INFO, negative.encode_to_vec())]).retry_after(), None);
    }

    #[test]
    fn a_traceback_is_summarised_and_kept_for_the_log() {
        let traceback = "failed to create task with error:%0A Traceback (most recent call last):%0A  File \
                         \"/usr/lib/agent.py\", line 60, in create%0A    job(token=\"s3cr3t\")%0A\
                         google.api_core.exceptions.NotFound: 404 table s3cr3t%0A";
        let error = failed(&[("grpc-status", "13"), ("grpc-message", traceback)]);
        assert_eq!(
            error.message(),
            "Upstream `flyte` failed with google.api_core.exceptions.NotFound. The log of the gateway has its words."
        );
        assert!(error.told().contains("agent.py"));

        // As Flyte's connector words it when BigQuery refuses a query: what BigQuery says has lines of its own.
        let refused = "failed to create bigquery_query_job_task task with error:%0A Trace:%0A%0A    Traceback (most \
                       recent call last):%0A      File \"/site-packages/connector.py\", line 79, in create%0A        \
                       client.query(sql)%0A        ^^^^^^%0A    google.api_core.exceptions.Forbidden: 403 POST \
                       https://bigquery: Access Denied: Project s3cr3t%0A%0A    Location: EU%0A    Job ID: 1e38%0A%0A%0A\
                       Message:%0A%0A    Forbidden: 403 POST https://bigquery: Access Denied: Project s3cr3t%0A%0A    \
                       Location: EU%0A    Job ID: 1e38%0A.";
        let error = failed(&[("grpc-status", "13"), ("grpc-message", refused)]);
        assert_eq!(
            error.message(),
            "Upstream `flyte` failed with google.api_core.exceptions.Forbidden. The log of the gateway has its words."
        );
        let cut = "Traceback (most recent call last):%0A  File \"x\", line 1, in f%0A    g()";
        let error = failed(&[("grpc-status", "13"), ("grpc-message", cut)]);
        assert_eq!(error.message(), "Upstream `flyte` failed. The log of the gateway has its words.");

        let java = "java.lang.IllegalStateException: no%0A%09at com.acme.Main(Main.java:1)";
        let error = failed(&[("grpc-status", "2"), ("grpc-message", java)]);
        assert!(error.message().contains("IllegalStateException") && !error.message().contains("acme"));
        for frame in [
            "    at work (/srv/acme.js:3:14)",
            "    at /srv/acme.js:3:14",
            "goroutine 7 [running]:",
            "%09at a.B.acme(B.java:12) ~[acme.jar:1.2]",
            "%09at a.B.acme(Thread.java:829) [?:?]",
            "%09at a.B.acme(B.java)",
            "   at Acme.Run(String it) in C:\\acme\\run.cs:line 12",
        ] {
            let words = format!("it broke%0A{frame}");
            let error = failed(&[("grpc-status", "2"), ("grpc-message", &words)]);
            assert_eq!(error.message(), "Upstream `flyte` failed. The log of the gateway has its words.");
        }
    }

    /// Whoever had a slip in line two of a statement was not told so.
    #[test]
    fn a_quoted_statement_is_no_trace() {
        for words in [
            "Error parsing DDL: CREATE VIEW v AS SELECT CAST(x AS TIMESTAMP)%0A    at time zone \"UTC\" FROM t : \
             Syntax error on line 2, column 8",
            "Connection goroutine pool not found",
            "no goroutine [main]",
        ] {
            let error = failed(&[("grpc-status", "3"), ("grpc-message", words)]);
            assert_eq!(error.message(), words.replace("%0A", "\n"));
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let error = failed(&[("grpc-status", "3"), ("grpc-message", &"é".repeat(5000))]);
        assert!(error.message().len() <= MESSAGE_BYTES_MAX + '…'.len_utf8());
    }

    proptest! {
        #[test]
        fn no_header_makes_us_fail(
            status in proptest::collection::vec(any::<u8>(), 0..8),
            message in proptest::collection::vec(any::<u8>(), 0..200),
            details in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut map = HeaderMap::new();
            for (name, bytes) in [("grpc-status", status), ("grpc-message", message), ("grpc-status-details-bin", details)] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    map.insert(name, value);
                }
            }
            if let Some(Err(error)) = read("x", &map) {
                prop_assert!(!error.message().is_empty());
            }
        }
    }
}
