//! A page as it rests in Redis: authenticated, dated, and never believed otherwise.

use std::time::Duration;

use bytes::Bytes;

use super::{Key, Page};
use crate::crypto::Mac;

/// What every value begins with: what it is, and in which format.
const MAGIC: [u8; 5] = *b"CWPG\x01";
const TAG_BYTES: usize = 16;
/// How far ahead the clock of another replica may be.
const SKEW_MAX: Duration = Duration::from_secs(5);
/// Notes on a page that are read.
const NOTES_MAX: usize = 64;

/// Writes a page that was fetched at `born`, milliseconds since 1970, for a place: magic, tag, and, under the tag, the
/// time, the form, the notes and the body, each with its length before it.
pub(super) fn write(page: &Page, born: i64, place: &Key, tags: &Mac) -> Vec<u8> {
    let mut framed = Vec::with_capacity(page.weight());
    framed.extend_from_slice(&MAGIC);
    framed.extend_from_slice(&[0; TAG_BYTES]);
    framed.extend_from_slice(&place.0);
    let start = framed.len();
    framed.extend_from_slice(&born.to_be_bytes());
    framed.push(page.form);
    framed.push(u8::try_from(page.notes.len().min(NOTES_MAX)).expect("there are few notes"));
    for part in page.notes.iter().take(NOTES_MAX).map(String::as_bytes).chain([&page.body[..]]) {
        framed.extend_from_slice(&(part.len() as u64).to_be_bytes());
        framed.extend_from_slice(part);
    }
    // The place is under the tag and not in the value.
    let tag = tags.tag(&framed[MAGIC.len() + TAG_BYTES..]);
    framed[MAGIC.len()..MAGIC.len() + TAG_BYTES].copy_from_slice(&tag[..TAG_BYTES]);
    framed.drain(start - place.0.len()..start);
    framed
}

/// Reads what [`write()`] wrote for this place, and how old it is at `now`; `None` for anything else, and for what comes
/// from the future.
pub(super) fn read(framed: &[u8], now: i64, place: &Key, tags: &Mac) -> Option<(Page, Duration)> {
    let (tag, content) = framed.strip_prefix(&MAGIC)?.split_at_checked(TAG_BYTES)?;
    let mut message = Vec::with_capacity(place.0.len() + content.len());
    message.extend_from_slice(&place.0);
    message.extend_from_slice(content);
    if !tags.is_tag(&message, tag) {
        return None;
    }
    let message = Bytes::from(message).slice(place.0.len()..);
    let (born, rest) = message.split_first_chunk()?;
    let (&[form, count], mut rest) = rest.split_first_chunk()?;
    let age = now.checked_sub(i64::from_be_bytes(*born))?;
    if age < -i64::try_from(SKEW_MAX.as_millis()).ok()? {
        return None;
    }
    let mut notes = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        notes.push(String::from_utf8(take(&mut rest)?.to_vec()).ok()?);
    }
    let body = take(&mut rest)?;
    let page = Page::new(message.slice_ref(body), form, notes);
    rest.is_empty().then_some((page, Duration::from_millis(u64::try_from(age).unwrap_or(0))))
}

fn take<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Keys, Purpose};

    #[test]
    fn a_page_is_read_as_it_was_written_and_in_its_place_only() {
        let tags = Keys::new(&[3; 32], &[]).mac(Purpose::CachedPage);
        let (place, other) = (Key::of([&b"a"[..]]), Key::of([&b"b"[..]]));
        let page = Page::new(Bytes::from_static(b"{}"), 1, vec!["x.Y".to_owned()]);
        let framed = write(&page, 1_000, &place, &tags);
        assert_eq!(read(&framed, 3_500, &place, &tags), Some((page.clone(), Duration::from_millis(2_500))));
        assert_eq!(
            read(&framed, 900, &place, &tags),
            Some((page, Duration::ZERO)),
            "a clock a little behind"
        );
        assert_eq!(read(&framed, -9_000, &place, &tags), None, "a clock far behind");
        assert_eq!(read(&framed, 3_500, &other, &tags), None);
        let foreign = Keys::new(&[4; 32], &[]).mac(Purpose::CachedPage);
        assert_eq!(read(&framed, 3_500, &place, &foreign), None);
        for at in 0..framed.len() {
            let mut damaged = framed.clone();
            damaged[at] ^= 1;
            assert_eq!(read(&damaged, 3_500, &place, &tags), None, "byte {at}");
            assert_eq!(read(&framed[..at], 3_500, &place, &tags), None, "the first {at} bytes");
        }
    }
}
