//! Field masks on encoded messages: which fields an update overwrites, and which never leave the service.
//!
//! Works on the wire form with the descriptors at hand, so nested paths cost no code per message. Paths are proto
//! names: over gRPC nothing else is valid, and a gateway that forwards camelCase must notice.

use prost::{
    bytes::Buf as _,
    encoding::{DecodeContext, WireType, decode_key, encode_key, encode_varint, skip_field},
};

use crate::schema::{Behavior, Field, MessageId, Pool};

/// Deepest path accepted.
const SEGMENTS_MAX: usize = 16;
/// Fields whose content is secret though their annotation does not say so.
const SECRETS: &[&str] =
    &["password", "security_token", "client_secret", "private_key", "client_key", "raw_value"];

/// One field of an encoded message: its number, and its bytes with and without the key.
struct Piece<'a> {
    number: u32,
    whole: &'a [u8],
    payload: &'a [u8],
}

/// Overwrites the field at `path` of `old` with that of `new`; `None` when the path names nothing that can be
/// overwritten.
pub(super) fn overwrite(pool: &Pool, of: MessageId, old: &[u8], new: &[u8], path: &str) -> Option<Vec<u8>> {
    let segments: Vec<&str> = path.split('.').take(SEGMENTS_MAX + 1).collect();
    if segments.len() > SEGMENTS_MAX {
        return None;
    }
    descend(pool, of, old, new, &segments)
}

fn descend(pool: &Pool, of: MessageId, old: &[u8], new: &[u8], path: &[&str]) -> Option<Vec<u8>> {
    let (first, rest) = path.split_first()?;
    let message = pool.message(of);
    let field = message.fields.iter().find(|field| field.name == *first)?;
    let mut added = Vec::new();
    if rest.is_empty() {
        for piece in pieces(new)?.iter().filter(|piece| piece.number == field.number) {
            added.extend_from_slice(piece.whole);
        }
    } else {
        let inner = field.kind.message().filter(|_| !field.is_repeated())?;
        let merged = descend(pool, inner, &joined(old, field)?, &joined(new, field)?, rest)?;
        delimited(field.number, &merged, &mut added);
    }
    let rivals = |number: u32| {
        number == field.number
            || !added.is_empty()
                && field.oneof.is_some()
                && message.fields.iter().any(|other| other.number == number && other.oneof == field.oneof)
    };
    let mut out = Vec::with_capacity(old.len() + added.len());
    for piece in pieces(old)?.iter().filter(|piece| !rivals(piece.number)) {
        out.extend_from_slice(piece.whole);
    }
    out.extend_from_slice(&added);
    Some(out)
}

/// Removes secrets from an encoded message at every depth; where a field `x_set` stands beside a secret `x`, it is set.
pub(super) fn without_secrets(pool: &Pool, of: MessageId, encoded: &[u8]) -> Option<Vec<u8>> {
    let message = pool.message(of);
    let mut out = Vec::with_capacity(encoded.len());
    for piece in pieces(encoded)? {
        let Some(field) = message.fields.iter().find(|field| field.number == piece.number) else { continue };
        if is_secret(field) {
            let companion = format!("{}_set", field.name);
            if let Some(companion) = message.fields.iter().find(|field| field.name == companion) {
                encode_key(companion.number, WireType::Varint, &mut out);
                encode_varint(1, &mut out);
            }
        } else if let Some(inner) = field.kind.message() {
            delimited(field.number, &without_secrets(pool, inner, piece.payload)?, &mut out);
        } else {
            out.extend_from_slice(piece.whole);
        }
    }
    Some(out)
}

fn is_secret(field: &Field) -> bool {
    let named = field.kind.message().is_none() && SECRETS.contains(&field.name.as_str());
    named || field.is(Behavior::InputOnly)
}

/// Returns the content of a message field; several occurrences merge by concatenation.
fn joined(encoded: &[u8], field: &Field) -> Option<Vec<u8>> {
    let all = pieces(encoded)?;
    Some(
        all.iter()
            .filter(|piece| piece.number == field.number)
            .flat_map(|piece| piece.payload.to_vec())
            .collect(),
    )
}

fn delimited(number: u32, payload: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(payload.len() as u64, out);
    out.extend_from_slice(payload);
}

fn pieces(encoded: &[u8]) -> Option<Vec<Piece<'_>>> {
    let (mut rest, mut out) = (encoded, Vec::new());
    while rest.has_remaining() {
        let start = rest;
        let (number, wire) = decode_key(&mut rest).ok()?;
        let mut body = rest;
        skip_field(wire, number, &mut rest, DecodeContext::default()).ok()?;
        if wire == WireType::LengthDelimited {
            prost::encoding::decode_varint(&mut body).ok()?;
        }
        let payload = &body[..body.len() - rest.len()];
        out.push(Piece { number, whole: &start[..start.len() - rest.len()], payload });
    }
    Some(out)
}
