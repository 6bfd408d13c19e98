//! An answer as it is kept for its Idempotency-Key: the status and message of the upstream, to be rendered anew.

use bytes::Bytes;

use crate::{
    error::{Code, Detail, Error, Result},
    upstream::Reply,
};

/// First byte of a kept answer: the format below.
const FORMAT: u8 = 1;
/// First byte of a kept answer of several messages: their number, the messages, and the answer that ends them.
const STREAM: u8 = 2;

/// Prints an answer: the code, then every part with its length before it.
pub(super) fn print(result: &Result<Reply>) -> Vec<u8> {
    let mut out = Vec::new();
    print_end(&mut out, result.as_ref().map(|reply| &reply.message[..]));
    out
}

fn print_end(out: &mut Vec<u8>, result: std::result::Result<&[u8], &Error>) {
    out.push(FORMAT);
    match result {
        Ok(message) => {
            out.extend_from_slice(&0_i32.to_be_bytes());
            put(out, message);
        }
        Err(error) => {
            out.extend_from_slice(&error.code().number().to_be_bytes());
            put(out, error.message().as_bytes());
            for detail in error.details() {
                put(out, detail.type_url.as_bytes());
                put(out, &detail.value);
            }
        }
    }
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

/// Prints an answer of several messages, and what it ended with.
pub(super) fn print_stream(messages: &[Bytes], ended: &Result<()>) -> Vec<u8> {
    let mut out = vec![STREAM];
    out.extend_from_slice(&(messages.len() as u64).to_be_bytes());
    for message in messages {
        put(&mut out, message);
    }
    print_end(&mut out, ended.as_ref().map(|()| [].as_slice()));
    out
}

/// Reads what [`print_stream()`] printed; `None` for anything else.
pub(super) fn read_stream(kept: &[u8]) -> Option<(Vec<Bytes>, Result<()>)> {
    let (count, mut rest) = kept.strip_prefix(&[STREAM])?.split_first_chunk()?;
    let mut messages = Vec::new();
    for _ in 0..u64::from_be_bytes(*count) {
        messages.push(Bytes::copy_from_slice(take(&mut rest)?));
    }
    Some((messages, read(rest)?.map(|_nothing| ())))
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
    fn a_stream_is_read_as_it_was_kept() {
        let messages = [Bytes::from_static(b"one"), Bytes::new()];
        let (read, ended) = read_stream(&print_stream(&messages, &Ok(()))).unwrap();
        assert_eq!((&read[..], ended.is_ok()), (&messages[..], true));
        let kept = print_stream(&messages, &Err(Error::upstream(Code::NotFound, "gone", Vec::new())));
        assert_eq!(read_stream(&kept).unwrap().1.unwrap_err().message(), "gone");
        for at in 0..kept.len() {
            assert!(read_stream(&kept[..at]).is_none(), "{at}");
        }
    }

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
