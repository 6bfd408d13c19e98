//! Reading across: a `-` in the path of a list stands for all that the caller may see there.
//!
//! - `dashes`: where a path has a `-`, and whether it can be read across. `parts`: what it stands for, narrowed to
//!   what the caller may see. `merge`: a page of several parts. `token`: where it ended. `together`: some at once.
//!
//! What holds: parts are read in the order of their names and their items are never re-ordered, so whoever pages through
//! sees each item once; a part that the caller may not see is never asked; one deadline is around all of it; no more than
//! [`merge::WIDTH`] parts are asked at once, each through the page cache.
//!
//! It deliberately keeps no merged page: what one caller may see is not what another may.

mod dashes;
mod merge;
mod parts;
mod together;
mod token;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Form, Gateway, Notes, Route,
    forward::{self, Input, Payload},
    listing::Listing,
};
use crate::{
    cache::{Page, Wish},
    error::{Error, Result},
    transcode::{PageParts, Query},
};

pub use self::merge::Freshness;

pub(super) use self::{
    dashes::Reads,
    merge::{Asked, Merged, merge},
    parts::parts,
    token::Start,
};

/// The longest that reading across takes, however patient the caller.
const TIME_MAX: Duration = Duration::from_secs(10);
/// What is left of the caller's time for putting the answer together: this share, and no more than this.
const MARGIN_SHARE: u32 = 10;
const MARGIN_MAX: Duration = Duration::from_millis(200);
/// Items on a page, unless asked for otherwise, and at most.
const SIZE: usize = 100;
const SIZE_MAX: usize = 1000;
/// Whether what can be read is answered when some of it cannot: the parameter, and the field where a request has it.
const PARTIAL: &str = "returnPartialSuccess";
const PARTIAL_FIELD: &str = "return_partial_success";

/// A page of several parts.
pub struct Across {
    /// The page.
    pub page: Page,
    /// How old it is, and where it comes from.
    pub freshness: Freshness,
    /// The parts that did not answer.
    pub unreachable: Vec<String>,
}

/// Reads a page across what the `-` of a path stand for.
///
/// # Errors
/// `INVALID_FIELD` for a wrong page token or size; `PERMISSION_DENIED` where the caller may see nothing of it; as a part
/// has it, unless `returnPartialSuccess` is set.
pub async fn across(
    gateway: &Gateway,
    route: &std::sync::Arc<Route>,
    input: &Input<'_>,
    form: &Form,
    wish: Wish,
    notes: &mut Notes,
) -> Result<Across> {
    let listing = route.listing.as_ref().ok_or_else(|| Error::internal("only lists are read across"))?;
    let plan = route.request.message();
    let asked = Wanted::read(input.query, plan.has(PARTIAL_FIELD))?;
    let whole = Input { query: &asked.query, payload: Payload::Json(b""), ..*input };
    // Checked once for all parts, and noted as it came.
    forward::noted(gateway, route, &whole, notes)?;
    let resource = route.resource(input.captures).into_owned();
    let bound = token::bound(route, &resource, &asked.query);
    let start = Start::read(&asked.token, gateway, &bound)?;

    let mut caller = input.caller;
    caller.deadline = deadline(caller.deadline);
    let whole = Input { caller, ..whole };
    let parts = parts(gateway, route, &whole, wish).await?;
    let what = Asked { query: &asked.query, caller, size: asked.size, partial: asked.partial, wish };
    let merged = merge(gateway, route, &parts, start, &what).await?;

    let Merged { pages, next, unreachable, freshness } = merged;
    let next = next.map(|next| next.print(gateway, &bound)).unwrap_or_default();
    let mut shown = PageParts { next_page_token: &next, ..PageParts::default() };
    for page in &pages {
        let part = listing.paged.read(&page.body)?;
        shown.items.extend(part.items);
    }
    shown.unreachable = unreachable.iter().map(String::as_str).collect();
    let message = Bytes::from(listing.paged.write(&shown));
    Ok(Across { page: form.print(route, &message)?, freshness, unreachable })
}

/// Takes `returnPartialSuccess` out of what one part is asked, where only reading across has a meaning for it: whoever sends
/// it always should not have to look at the path.
///
/// # Errors
/// It is neither true nor false.
pub fn forget_partial(route: &Route, query: &mut Query<'_>) -> Result<()> {
    let ours = |name: &str| matches!(name, PARTIAL | PARTIAL_FIELD);
    if !query.pairs.iter().any(|(name, _)| ours(name)) {
        return Ok(());
    }
    let is_crossed = route.listing.as_ref().is_some_and(Listing::is_crossed);
    if is_crossed && !route.request.message().has(PARTIAL_FIELD) {
        for (name, value) in query.pairs.iter().filter(|(name, _)| ours(name)) {
            partial(name, value)?;
        }
        query.pairs.retain(|(name, _)| !ours(name));
    }
    Ok(())
}

fn partial(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::invalid_field(name, "expected true or false")),
    }
}

/// Returns when the parts must have answered.
pub(super) fn deadline(callers: Instant) -> Instant {
    let now = Instant::now();
    let left = callers.saturating_duration_since(now).min(TIME_MAX);
    now + left - (left / MARGIN_SHARE).min(MARGIN_MAX)
}

/// The query parameters that are about the page. Each is known by two names.
#[derive(Clone, Copy)]
enum Parameter {
    Token,
    Size,
    Partial,
}

/// What is asked of a page, besides what every part is asked.
struct Wanted<'q> {
    query: Query<'q>,
    token: String,
    size: usize,
    partial: bool,
}

impl<'q> Wanted<'q> {
    fn read(query: &Query<'q>, has_partial: bool) -> Result<Self> {
        let mut wanted = Self { query: Query::default(), token: String::new(), size: SIZE, partial: false };
        let mut seen = [false; 3];
        for (name, value) in &query.pairs {
            let ours = match &**name {
                "pageToken" | "page_token" => Parameter::Token,
                "pageSize" | "page_size" => Parameter::Size,
                PARTIAL | PARTIAL_FIELD => Parameter::Partial,
                _ => {
                    wanted.query.pairs.push((name.clone(), value.clone()));
                    continue;
                }
            };
            if std::mem::replace(&mut seen[ours as usize], true) {
                return Err(Error::invalid_field(&**name, "is given twice"));
            }
            match ours {
                Parameter::Token => wanted.token = value.to_string(),
                Parameter::Size => {
                    let size: i32 =
                        value.parse().ok().filter(|size| *size >= 0).ok_or_else(|| {
                            Error::invalid_field(&**name, "expected a number of zero or more")
                        })?;
                    let size = usize::try_from(size).unwrap_or(SIZE);
                    wanted.size = if size == 0 { SIZE } else { size.min(SIZE_MAX) };
                }
                Parameter::Partial => {
                    wanted.partial = partial(name, value)?;
                    if has_partial {
                        wanted.query.pairs.push((name.clone(), value.clone()));
                    }
                }
            }
        }
        wanted.query.pairs.sort();
        Ok(wanted)
    }
}
