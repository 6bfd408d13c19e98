//! The request body: bounded in bytes and time, decoded when it is gzip, and of a type that we read.

use std::{
    borrow::Cow,
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::share::{Counter, Shares};
use crate::{
    error::{Code, Error, Reason, Result},
    http::limits::{BODIES_BYTES_MAX, BODY_TIME_MAX, DISCARD_BYTES_MAX, DISCARD_TIME_MAX},
};

/// The body as it arrives. Read at most once; what nobody wanted is discarded before the answer leaves.
pub(in crate::http) struct Inbound {
    incoming: Option<Incoming>,
    bytes_max: usize,
    held: Held,
}

/// Bytes of bodies that are held at once: of all requests together, and of each principal's.
pub(in crate::http) struct Bodies {
    all: AtomicUsize,
    shares: Shares,
}

impl Bodies {
    pub(in crate::http) fn new() -> Self {
        Self { all: AtomicUsize::new(0), shares: Shares::new(BODIES_BYTES_MAX) }
    }
}

/// What of them is this request's, until it ends.
struct Held {
    bodies: Arc<Bodies>,
    own: usize,
    of: Option<Counter>,
}

impl Held {
    /// Counts so many more.
    fn add(&mut self, bytes: usize) -> Result<()> {
        self.own += bytes;
        let is_share = self.of.is_none_or(|of| self.bodies.shares.add(of, bytes));
        if self.bodies.all.fetch_add(bytes, Ordering::Relaxed) + bytes <= BODIES_BYTES_MAX && is_share {
            return Ok(());
        }
        let whose = if is_share { "" } else { " of yours" };
        let text = format!("The gateway holds as many bytes of requests{whose} as it can; try again later.");
        Err(Error::new(Code::Unavailable, Reason::Overloaded, text).with_retry_after(Duration::from_secs(1)))
    }

    fn give_back(&mut self, bytes: usize) {
        self.own -= bytes;
        self.bodies.all.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(of) = self.of {
            self.bodies.shares.give_back(of, bytes);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(self.own);
    }
}

impl Inbound {
    pub(super) fn new(incoming: Incoming, bytes_max: usize, bodies: Arc<Bodies>) -> Self {
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        Self { incoming, bytes_max, held: Held { bodies, own: 0, of: None } }
    }

    /// Says whose it is, before anything of it is read.
    pub(super) fn belongs_to(&mut self, principal: &str) {
        self.held.of = Some(self.held.bodies.shares.of(principal));
    }

    /// Reads all of it and undoes `Content-Encoding: gzip`. A second call returns nothing.
    pub(in crate::http) async fn read(&mut self, headers: &HeaderMap) -> Result<Bytes> {
        let Some(incoming) = &mut self.incoming else { return Ok(Bytes::new()) };
        let encoded = encoding(headers)?;
        let announced = incoming.size_hint().lower();
        if announced > self.bytes_max as u64 {
            return Err(too_large(self.bytes_max));
        }
        let bytes = match timeout(BODY_TIME_MAX, collect(incoming, self.bytes_max, &mut self.held)).await {
            Ok(bytes) => bytes?,
            Err(_elapsed) => {
                self.incoming = None;
                return Err(Error::limit(format!("The body did not arrive within {BODY_TIME_MAX:?}.")));
            }
        };
        self.incoming = None;
        match encoded {
            Encoding::Identity => Ok(bytes),
            Encoding::Gzip => {
                let plain = gunzip(&bytes, self.bytes_max, "Content-Encoding")?;
                self.held.give_back(bytes.len());
                self.held.add(plain.len())?;
                Ok(plain)
            }
        }
    }

    /// Undoes the gzip of a part of the body, which `header` tells of: within the bounds of the body, and counted as it is.
    pub(in crate::http) fn gunzip(&mut self, part: &[u8], header: &str) -> Result<Bytes> {
        let plain = gunzip(part, self.bytes_max, header)?;
        self.held.add(plain.len())?;
        Ok(plain)
    }

    /// Reads and drops what is left, within bounds: a client that is still writing would otherwise see its connection
    /// reset instead of the answer.
    pub(super) async fn discard(&mut self, headers: &HeaderMap) {
        let Some(mut incoming) = self.incoming.take() else { return };
        // Who asked first sends nothing until told to, and reading would tell it to.
        if headers.contains_key(header::EXPECT) || incoming.size_hint().lower() > DISCARD_BYTES_MAX as u64 {
            return;
        }
        let drain = async {
            let mut left = DISCARD_BYTES_MAX;
            while let Some(Ok(frame)) = incoming.frame().await {
                let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
                left = rest;
            }
        };
        // Out of time or not, the answer leaves now.
        let _ = timeout(DISCARD_TIME_MAX, drain).await;
    }
}

async fn collect(incoming: &mut Incoming, bytes_max: usize, held: &mut Held) -> Result<Bytes> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|source| {
            Error::new(Code::InvalidArgument, Reason::InvalidJson, "The body ended early or was malformed.")
                .with_source(source)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        held.add(data.len())?;
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

enum Encoding {
    Identity,
    Gzip,
}

fn encoding(headers: &HeaderMap) -> Result<Encoding> {
    let mut encoding = Encoding::Identity;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        match value.as_bytes().trim_ascii() {
            b"" | b"identity" => {}
            known if known.eq_ignore_ascii_case(b"gzip") && matches!(encoding, Encoding::Identity) => {
                encoding = Encoding::Gzip;
            }
            _ => return Err(unsupported("Content-Encoding must be gzip or absent.")),
        }
    }
    Ok(encoding)
}

fn gunzip(bytes: &[u8], bytes_max: usize, header: &str) -> Result<Bytes> {
    let mut plain = Vec::with_capacity(bytes.len().saturating_mul(2).min(bytes_max));
    flate2::bufread::MultiGzDecoder::new(bytes).take(bytes_max as u64 + 1).read_to_end(&mut plain).map_err(
        |source| {
            Error::invalid_field(header, "the body is not gzip, although this header says so")
                .with_source(source)
        },
    )?;
    if plain.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(plain.into()) }
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(
        Code::InvalidArgument,
        Reason::BodyTooLarge,
        format!("The body is larger than {bytes_max} bytes, decoded or as sent."),
    )
}

/// Cuts what the caller said to a length that an error can bear.
fn excerpt(text: &str) -> &str {
    const EXCERPT_BYTES_MAX: usize = 80;
    &text[..text.floor_char_boundary(EXCERPT_BYTES_MAX)]
}

fn unsupported(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, Reason::UnsupportedMediaType, message)
}

/// Returns the content type as text; bytes outside ASCII are replaced.
pub(in crate::http) fn content_type(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// Refuses a body that is not JSON in UTF-8. Nothing said counts as JSON; nothing sent may be of any type.
pub(in crate::http) fn require_json(headers: &HeaderMap, body: &[u8]) -> Result<()> {
    let Some(given) = content_type(headers).filter(|_| !body.is_empty()) else { return Ok(()) };
    let mut parts = given.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let json = matches!(essence.as_str(), "" | "application/json" | "text/json")
        || essence.rsplit_once('+').is_some_and(|(_, suffix)| suffix == "json");
    if !json {
        return Err(unsupported(format!(
            "The body is of type {:?}; send JSON with Content-Type: application/json.",
            excerpt(&essence)
        )));
    }
    for part in parts {
        let Some((name, value)) = part.split_once('=') else { continue };
        let charset = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
        {
            return Err(unsupported(format!("The body is in {:?}; send UTF-8.", excerpt(charset))));
        }
    }
    Ok(())
}

/// Tells whether the body is an HTML form, which may stand for a query.
pub(in crate::http) fn is_form(headers: &HeaderMap) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().split(|b| *b == b';').next())
        .is_some_and(|essence| essence.trim_ascii().eq_ignore_ascii_case(FORM))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    use super::*;

    fn typed(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))])
    }

    /// One caller with many large bodies kept everybody else's out.
    #[test]
    fn one_principal_has_half_of_the_bytes() {
        let bodies = Arc::new(Bodies::new());
        let held = |principal: &str| {
            let of = Some(bodies.shares.of(principal));
            Held { bodies: bodies.clone(), own: 0, of }
        };
        let mut alice = held("alice");
        alice.add(BODIES_BYTES_MAX / 2).unwrap();
        assert!(held("alice").add(1).unwrap_err().message().contains("of yours"));
        let others = (0..100).filter(|n| held(&format!("bob-{n}")).add(BODIES_BYTES_MAX / 4).is_ok()).count();
        assert!(others > 90, "{others}");
        let of = |principal: &str| bodies.shares.of(principal);
        let bob = (0..).map(|n| format!("bob-{n}")).find(|name| of(name) != of("alice")).unwrap();
        let mut bob = held(&bob);
        while bob.add(BODIES_BYTES_MAX / 8).is_ok() {}
        assert!(held("carol").add(1).is_err(), "there is no more");
        drop((alice, bob));
        assert_eq!(bodies.all.load(Ordering::Relaxed), 0);
        held("alice").add(BODIES_BYTES_MAX / 2).unwrap();
    }

    #[test]
    fn json_goes_by_many_names() {
        for value in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
            "text/json",
        ] {
            require_json(&typed(value), b"{}").expect(value);
        }
        require_json(&HeaderMap::new(), b"{}").expect("no type is JSON");
        require_json(&typed("image/png"), b"").expect("no body is of any type");
    }

    #[test]
    fn other_types_and_charsets_are_refused() {
        for value in [
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "application/json; charset=latin1",
            "application/jsonp",
        ] {
            let error = require_json(&typed(value), b"{}").expect_err(value);
            assert_eq!(error.reason(), Some(Reason::UnsupportedMediaType), "{value}");
        }
    }

    #[test]
    fn a_gzip_bomb_is_stopped_at_the_limit() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b' '; 1 << 20]).expect("a Vec takes all");
        let bomb = bomb.finish().expect("a Vec takes all");
        assert_eq!(gunzip(&bomb, 1 << 20, "h").expect("at the limit").len(), 1 << 20);
        let error = gunzip(&bomb, (1 << 20) - 1, "h").expect_err("past the limit");
        assert_eq!(error.reason(), Some(Reason::BodyTooLarge));
        assert!(gunzip(b"not gzip", 100, "h").is_err());
    }
}
