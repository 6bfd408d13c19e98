//! Gzip for answers that are worth it.
//!
//! Up to [`COMPRESS_CHUNK_BYTES`] a body is compressed at once, with its length known; a larger one chunk by chunk while
//! it is sent, so that no request waits behind a big page and no thread is needed. Level 1: most of the saving for a
//! fraction of the time. Streams stay plain: a compressor would hold back what the caller waits for.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use http::{HeaderMap, HeaderValue, Response, header};

use crate::http::{
    body::Body,
    limits::{COMPRESS_BYTES_MIN, COMPRESS_CHUNK_BYTES},
    negotiate,
};

/// What decides about compression.
const ENCODING: &str = "Accept-Encoding";

/// The window of deflate, as a power of two: the largest.
const WINDOW_BITS: u8 = 15;

/// Room for the gzip frame and for data that does not shrink.
const SLACK_BYTES: usize = 128;

thread_local! {
    // Its tables are hundreds of kilobytes: too much to allocate for a body of two.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(compressor());
}

/// Compresses the answer if its body is at hand, large enough, of a type that shrinks, and the caller takes gzip.
pub(super) fn apply(request: &HeaderMap, response: &mut Response<Body>) {
    let Some(plain) = response.body().bytes() else { return };
    if plain.len() < COMPRESS_BYTES_MIN || !shrinks(response.headers()) {
        return;
    }
    let plain = plain.clone();
    let said = response.headers().get(header::VARY).map_or(&[][..], HeaderValue::as_bytes);
    if !said.ends_with(ENCODING.as_bytes()) {
        response.headers_mut().append(header::VARY, HeaderValue::from_static(ENCODING));
    }
    if !negotiate::accepts_gzip(request) {
        return;
    }
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    *response.body_mut() = if plain.len() <= COMPRESS_CHUNK_BYTES {
        Body::full(at_once(&plain))
    } else {
        Body::gzip(Gzip::new(plain))
    };
}

fn shrinks(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes();
    !headers.contains_key(header::CONTENT_ENCODING)
        && (kind.starts_with(b"application/json")
            || kind.starts_with(b"application/x-protobuf")
            || kind.starts_with(b"text/"))
}

fn compressor() -> Compress {
    Compress::new_gzip(Compression::fast(), WINDOW_BITS)
}

fn at_once(plain: &[u8]) -> Vec<u8> {
    COMPRESSOR.with_borrow_mut(|compressor| {
        compressor.reset();
        let mut out = Vec::with_capacity(plain.len() / 2 + SLACK_BYTES);
        while !run(compressor, plain, &mut out, FlushCompress::Finish) {}
        out
    })
}

/// Feeds what `compressor` has not seen of `plain` and tells whether the end is written. `out` grows as needed.
fn run(compressor: &mut Compress, plain: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> bool {
    if out.len() == out.capacity() {
        out.reserve(plain.len() / 4 + SLACK_BYTES);
    }
    let seen = usize::try_from(compressor.total_in()).expect("no more was fed than was in memory");
    compressor.compress_vec(&plain[seen..], out, flush).expect("deflate fails on a broken state only")
        == Status::StreamEnd
}

/// A body that is compressed while it is sent.
pub(in crate::http) struct Gzip {
    compressor: Compress,
    plain: Bytes,
    ended: bool,
}

impl Gzip {
    fn new(plain: Bytes) -> Self {
        Self { compressor: compressor(), plain, ended: false }
    }

    /// Bytes that are kept for what is not compressed yet.
    pub(in crate::http) fn held(&self) -> usize {
        self.plain.len()
    }

    /// Compresses the next part; `None` after the last.
    pub(in crate::http) fn next_chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(COMPRESS_CHUNK_BYTES / 4);
        // The first parts of a body may all fit into the compressor's own buffers.
        while out.is_empty() && !self.ended {
            let seen =
                usize::try_from(self.compressor.total_in()).expect("no more was fed than was in memory");
            let end = (seen + COMPRESS_CHUNK_BYTES).min(self.plain.len());
            let last = end == self.plain.len();
            let flush = if last { FlushCompress::Finish } else { FlushCompress::None };
            while !self.ended {
                self.ended = run(&mut self.compressor, &self.plain[..end], &mut out, flush);
                let all_seen = self.compressor.total_in() == end as u64;
                if !last && all_seen && out.len() < out.capacity() {
                    break;
                }
            }
        }
        (!out.is_empty()).then(|| out.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut plain).expect("what we wrote is gzip");
        plain
    }

    fn sample(len: usize, random: bool) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        (0..len).map(|i| if random { rng.u8(..) } else { b"{\"name\": \"projects\"}, "[i % 22] }).collect()
    }

    #[test]
    fn what_is_compressed_reads_back() {
        for len in
            [1, 1024, COMPRESS_CHUNK_BYTES, COMPRESS_CHUNK_BYTES + 1, 3 * COMPRESS_CHUNK_BYTES, 1 << 20]
        {
            for random in [false, true] {
                let plain = sample(len, random);
                assert_eq!(gunzip(&at_once(&plain)), plain, "{len} at once, random: {random}");
                let mut gzip = Gzip::new(plain.clone().into());
                let mut out = Vec::new();
                while let Some(chunk) = gzip.next_chunk() {
                    assert!(chunk.len() <= 2 * COMPRESS_CHUNK_BYTES, "a chunk stays small");
                    out.extend_from_slice(&chunk);
                }
                assert_eq!(gunzip(&out), plain, "{len} in chunks, random: {random}");
            }
        }
    }

    #[test]
    fn small_foreign_or_compressed_bodies_are_left_alone() {
        let accepts = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let with = |kind: &'static str, len: usize| {
            let mut response = Response::new(Body::full(sample(len, false)));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            apply(&accepts, &mut response);
            response.headers().contains_key(header::CONTENT_ENCODING)
        };
        assert!(with("application/json; charset=utf-8", COMPRESS_BYTES_MIN));
        assert!(!with("application/json", COMPRESS_BYTES_MIN - 1));
        assert!(!with("image/png", COMPRESS_BYTES_MIN));
    }
}
