//! Frames of gRPC: a flag, a length and a message, which may be compressed.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::{Asked, GRPC, STATUS};
use crate::{
    error::{Code, Error, Reason, Result},
    http::body::Body,
};

/// Bytes before a message.
const FRAME_HEAD: usize = 5;
/// How the caller's message is compressed, if its flag says that it is.
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// Where every answer says what is read here.
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip");

/// Reads the message of a call.
pub(super) async fn read(asked: &mut Asked<'_>) -> Result<Bytes> {
    let body = asked.body().await?;
    let (is_compressed, message) = split(&body)?;
    let message = match is_compressed {
        true => {
            require_gzip(&asked.head.headers)?;
            asked.inbound.gunzip(message, ENCODING.as_str())?
        }
        false => body.slice_ref(message),
    };
    asked.means(message.clone());
    Ok(message)
}

/// Takes the message out of its frame, and tells whether it is compressed.
fn split(body: &[u8]) -> Result<(bool, &[u8])> {
    let wrong = || Error::invalid_field("", "The body is not one gRPC message.");
    let (head, message) = body.split_at_checked(FRAME_HEAD).ok_or_else(wrong)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    match (head[0], u32::try_from(message.len())) {
        (flag @ (0 | 1), Ok(found)) if found == length => Ok((flag == 1, message)),
        _ => Err(wrong()),
    }
}

/// Refuses compressed messages of which nobody says how, or that only others can read: with the codes that gRPC's
/// compression.md has for that.
fn require_gzip(headers: &HeaderMap) -> Result<()> {
    let (code, text) = match headers.get(ENCODING).map_or(&b""[..], HeaderValue::as_bytes) {
        b"gzip" => return Ok(()),
        b"" | b"identity" => {
            (Code::Internal, "The message's flag says that it is compressed, and grpc-encoding not how.")
        }
        _ => (Code::Unimplemented, "Compressed messages are read with grpc-encoding gzip only."),
    };
    Err(Error::new(code, Reason::UnsupportedMediaType, text))
}

/// Puts a message into the answer to a call.
pub(super) fn framed(message: &[u8]) -> Response<Body> {
    let mut frame = Vec::with_capacity(FRAME_HEAD + message.len());
    frame.push(0);
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(message);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    answer(Body::with_trailers(frame, trailers))
}

/// Begins an answer.
pub(super) fn answer(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert(ACCEPT_ENCODING, ACCEPTED);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_one_message() {
        assert_eq!(split(b"\0\0\0\0\x02ab").unwrap(), (false, &b"ab"[..]));
        assert_eq!(split(b"\x01\0\0\0\x02ab").unwrap(), (true, &b"ab"[..]));
        for wrong in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab", b"\x02\0\0\0\x02ab"] {
            assert!(split(wrong).is_err(), "{wrong:?}");
        }
    }
}
