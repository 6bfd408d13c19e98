//! Page sizes and page tokens.
//!
//! A token says where the next page starts and which list it belongs to. It holds `+`, `/` and `=` on purpose: clients
//! and gateways that put one into a URL as it is must find out here.

use base64_simd::STANDARD;
use tonic::Status;

use super::{hash, scenario::PageSizes, status::Refusal};

/// Encodes to `++//`.
const LEAD: [u8; 3] = [0xfb, 0xef, 0xff];

/// One page of a list.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Empty on the last page.
    pub(super) next: String,
}

/// What a caller asked for.
pub(super) struct Ask<'a> {
    pub(super) size: i32,
    pub(super) token: &'a str,
    /// Everything else of the request that must stay the same from page to page.
    pub(super) list: &'a str,
}

/// Cuts one page out of a list that is sorted by key. Keys, not positions, stand in the tokens, so items that come and
/// go between two pages neither repeat nor hide others.
///
/// # Errors
/// INVALID_ARGUMENT for a negative size, and for a token that is damaged or belongs to another list.
pub(super) fn page<'a, T>(
    sizes: PageSizes,
    ask: &Ask<'_>,
    after: impl FnOnce(Option<&str>) -> Box<dyn Iterator<Item = (&'a str, T)> + 'a>,
) -> Result<Page<T>, Status> {
    let size = usize::try_from(ask.size).map_err(|_| {
        Refusal::invalid("Invalid page size").field("page_size", "must not be negative").status()
    })?;
    let size = if size == 0 { sizes.default } else { size }.min(sizes.max).max(1);
    let start = if ask.token.is_empty() { None } else { Some(open(ask)?) };
    let mut rest = after(start.as_deref()).peekable();
    let (mut items, mut last) = (Vec::with_capacity(size.min(256)), "");
    while items.len() < size
        && let Some((key, item)) = rest.next()
    {
        items.push(item);
        last = key;
    }
    let next = if rest.peek().is_some() { seal(ask.list, last) } else { String::new() };
    Ok(Page { items, next })
}

fn seal(list: &str, last: &str) -> String {
    let mut bytes = LEAD.to_vec();
    bytes.extend(hash::of(&[list, last]).to_be_bytes());
    bytes.extend(last.as_bytes());
    // One byte more or two, so that the text always ends in `=`.
    let pad = if bytes.len() % 3 == 2 { 2 } else { 1 };
    bytes.extend(std::iter::repeat_n(pad, usize::from(pad)));
    STANDARD.encode_to_string(&bytes)
}

fn open(ask: &Ask<'_>) -> Result<String, Status> {
    let found = || {
        let bytes = STANDARD.decode_to_vec(ask.token).ok()?;
        let rest = bytes.strip_prefix(&LEAD)?;
        let (mark, rest) = rest.split_first_chunk::<8>()?;
        let pad = usize::from(*rest.last()?);
        let last = std::str::from_utf8(&rest[..rest.len().checked_sub(pad)?]).ok()?;
        (u64::from_be_bytes(*mark) == hash::of(&[ask.list, last])).then(|| last.to_owned())
    };
    found().ok_or_else(|| {
        Refusal::invalid("Invalid page token")
            .field("page_token", "is damaged, or was returned for another request")
            .status()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 7] = ["a", "bb", "ccc", "d", "e", "f", "g"];

    fn cut(size: i32, token: &str, list: &str) -> Result<(Vec<&'static str>, String), Status> {
        let sizes = PageSizes { default: 3, max: 5 };
        let page = page(sizes, &Ask { size, token, list }, |after| {
            let after = after.map(str::to_owned);
            Box::new(KEYS.into_iter().filter(move |key| after.as_deref() < Some(key)).map(|key| (key, key)))
        })?;
        Ok((page.items, page.next))
    }

    #[test]
    fn pages_follow_one_another_and_may_change_size() {
        let (first, token) = cut(0, "", "l").expect("a first page");
        assert_eq!(first, ["a", "bb", "ccc"]);
        let (second, token) = cut(1, &token, "l").expect("a second page");
        assert_eq!(second, ["d"]);
        let (third, token) = cut(100, &token, "l").expect("a third page");
        assert_eq!((third.as_slice(), token.as_str()), (&["e", "f", "g"][..], ""));
    }

    #[test]
    fn no_page_exceeds_the_maximum() {
        let (page, _) = cut(1000, "", "l").expect("a page");
        assert_eq!(page.len(), 5);
    }

    #[test]
    fn tokens_hold_what_urls_must_encode() {
        for size in 1..5 {
            let (_, token) = cut(size, "", "l").expect("a page");
            assert!(['+', '/', '='].iter().all(|c| token.contains(*c)), "{token}");
            cut(0, &token, "l").expect("the token is taken back");
        }
    }

    #[test]
    fn negative_sizes_and_foreign_tokens_are_refused() {
        let (_, token) = cut(1, "", "l").expect("a page");
        for refused in [cut(-1, "", "l"), cut(1, &token, "other"), cut(1, &token.replace('+', " "), "l")] {
            assert_eq!(refused.expect_err("refused").code(), tonic::Code::InvalidArgument);
        }
    }
}
