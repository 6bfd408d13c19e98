//! An answer as it is kept for its Idempotency-Key: the status and message of the upstream, to be rendered anew.

use bytes::Bytes;

use crate::{
    error::{Code, Detail, Error, Result},
    upstream::Reply,
};

/// First byte of every kept answer: the format below.
const FORMAT: u8 = 1;

/// Prints an answer: the code, then every part with its length before it.
pub(super) fn print(result: &Result<Reply>) -> Vec<u8> {
    let mut out = vec![FORMAT];
    match result {
        Ok(reply) => {
            out.extend_from_slice(&0_i32.to_be_bytes());
            put(&mut out, &reply.message);
        }
        Err(error) => {
            out.extend_from_slice(&error.code().number().to_be_bytes());
            put(&mut out, error.message().as_bytes());
            for detail in error.details() {
                put(&mut out, detail.type_url.as_bytes());
                put(&mut out, &detail.value);
            }
        }
    }
    out
}

/// Reads what [`print()`] printed; `None` for anything else.
pub(super) fn read(kept: &[u8]) -> Option<Result<Reply>> {
    let (code, mut rest) = kept.strip_prefix(&[FORMAT])?.split_first_chunk()?;
    let first = take(&mut rest)?;
    Some(match i32::from_be_bytes(*code) {
        0 => Ok(Reply { message: Bytes::copy_from_slice(first), headers: http::HeaderMap::new() }),
        code => {
            let mut details = Vec::new();
            while !rest.is_empty() {
                let type_url = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
                details.push(Detail { type_url, value: Bytes::copy_from_slice(take(&mut rest)?) });
            }
            Err(Error::upstream(Code::from_number(code)?, String::from_utf8(first.to_vec()).ok()?, details))
        }
    })
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_be_bytes());
    out.extend_from_slice(part);
}

fn take<'k>(rest: &mut &'k [u8]) -> Option<&'k [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_kept() {
        let reply = Reply { message: Bytes::from_static(b"\x0a\x01x"), headers: http::HeaderMap::new() };
        let kept = print(&Ok(reply));
        assert_eq!(read(&kept).unwrap().unwrap().message, b"\x0a\x01x"[..]);
        let detail = Detail { type_url: "t/a.B".into(), value: Bytes::from_static(b"v") };
        let kept = print(&Err(Error::upstream(Code::NotFound, "gone", vec![detail.clone()])));
        let error = read(&kept).unwrap().unwrap_err();
        assert_eq!((error.code(), error.message(), error.details()), (Code::NotFound, "gone", &[detail][..]));
        for at in 0..kept.len() - 1 {
            let _nothing_or_less = read(&kept[..at]);
        }
    }
}
