//! A page of several parts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::timeout_at;

use super::{
    super::{
        Form, Gateway, Route,
        forward::{Input, Payload},
        listing,
        metadata::Caller,
    },
    parts::Part,
    together::Together,
    token::Start,
};
use crate::{
    cache::{How, Page, Served, Wish},
    error::{Code, Error, Reason, Result},
    transcode::Query,
};

/// Parts that are asked at once.
pub(super) const WIDTH: usize = 8;

/// What is asked of every part.
pub(crate) struct Asked<'r> {
    pub(crate) query: &'r Query<'r>,
    pub(crate) caller: Caller<'r>,
    /// Items on the page at most, unless a part gives more than it is asked for.
    pub(crate) size: usize,
    /// Whether a part may fail.
    pub(crate) partial: bool,
    pub(crate) wish: Wish,
}

/// How old a page of several parts is, and where they come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Age of the oldest part.
    pub age: Duration,
    /// Parts that were kept.
    pub kept: usize,
    /// Parts that were fetched.
    pub fetched: usize,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// The parts' pages in wire format, in order.
    pub(crate) pages: Vec<Arc<Page>>,
    /// Where the next page begins; `None` after the last.
    pub(crate) next: Option<Start>,
    /// What did not answer.
    pub(crate) unreachable: Vec<String>,
    pub(crate) freshness: Freshness,
}

/// Reads one page across parts, which are in the order of their names. A part's page is shown whole or, if it does not fit
/// any more, on the next page: only upstreams know how to begin in the middle.
///
/// # Errors
/// As a part has it, unless those may fail.
pub(crate) async fn merge(
    gateway: &Gateway,
    route: &Arc<Route>,
    parts: &[Part],
    start: Start,
    asked: &Asked<'_>,
) -> Result<Merged> {
    let listing = route.listing.as_ref().ok_or_else(|| Error::internal("only lists are read across"))?;
    let first = parts.partition_point(|part| part.name < start.part);
    let token_of = |at: usize| match parts[at].name == start.part {
        true => start.token.as_str(),
        false => "",
    };
    let mut merged = Merged::default();
    let mut answers: BTreeMap<usize, Result<Served>> = BTreeMap::new();
    let mut running = Together::new();
    let (mut begun, mut shown, mut items, mut known) = (first, first, 0, 0);
    let (is_first, mut missing) = (start.part.is_empty(), None);
    while shown < parts.len() {
        while begun < parts.len() && running.count() < WIDTH && known < asked.size {
            let (at, token) = (begun, token_of(begun));
            running.add(async move { (at, ask(gateway, route, &parts[at], token, asked).await) });
            begun += 1;
        }
        while let Some(answer) = answers.remove(&shown) {
            let part = &parts[shown];
            match answer {
                Ok(served) => {
                    let page = listing.paged.read(&served.page.body)?;
                    let count = page.items.len();
                    if items > 0 && items + count > asked.size {
                        merged.next =
                            Some(Start { part: part.name.clone(), token: token_of(shown).to_owned() });
                        return Ok(merged);
                    }
                    items += count;
                    merged.unreachable.extend(page.unreachable.iter().map(ToString::to_string));
                    let next = page.next_page_token.to_owned();
                    merged.freshness.add(&served);
                    merged.pages.push(served.page);
                    if !next.is_empty() {
                        merged.next = Some(Start { part: part.name.clone(), token: next });
                        return Ok(merged);
                    }
                }
                // It went after the parts were listed, or what the path has behind its `-` is only in some: nothing is there.
                Err(error) if error.code() == Code::NotFound && error.reason().is_none() => {
                    tracing::debug!(part = part.name, error = error.told(), "a part is not there");
                    merged.freshness.fetched += 1;
                    missing.get_or_insert_with(|| error.at(&part.name));
                }
                Err(error) if asked.partial && error.reason() != Some(Reason::Internal) => {
                    tracing::debug!(part = part.name, error = error.told(), "a part did not answer");
                    merged.unreachable.push(part.name.clone());
                    merged.freshness.fetched += 1;
                }
                Err(error) => return Err(error.at(&part.name)),
            }
            shown += 1;
            if items >= asked.size && shown < parts.len() {
                merged.next = Some(Start { part: parts[shown].name.clone(), token: String::new() });
                return Ok(merged);
            }
        }
        if shown == parts.len() {
            break;
        }
        match timeout_at(asked.caller.deadline, running.next()).await {
            Ok(Some((at, answer))) => {
                if let Ok(served) = &answer {
                    known += listing.paged.read(&served.page.body)?.items.len();
                }
                answers.insert(at, answer);
            }
            // All that were begun have answered, and what they have does not fill the page: more are begun.
            Ok(None) => known = items,
            Err(_) => {
                for at in shown..parts.len() {
                    answers.entry(at).or_insert_with(|| Err(too_late()));
                }
            }
        }
    }
    match missing {
        // Nobody has it, so it is not there.
        Some(missing) if is_first && merged.pages.is_empty() && merged.unreachable.is_empty() => Err(missing),
        _ => Ok(merged),
    }
}

async fn ask(
    gateway: &Gateway,
    route: &Arc<Route>,
    part: &Part,
    token: &str,
    asked: &Asked<'_>,
) -> Result<Served> {
    let mut query = asked.query.clone();
    if route.listing.as_ref().is_some_and(|listing| listing.sized) {
        query.pairs.push(("page_size".into(), asked.size.to_string().into()));
    }
    if !token.is_empty() {
        query.pairs.push(("page_token".into(), token.into()));
    }
    let input = Input {
        captures: &part.captures(),
        query: &query,
        payload: Payload::Json(b""),
        caller: asked.caller,
    };
    listing::list(gateway, route, &input, &Form::wire(), asked.wish, None).await
}

impl Freshness {
    fn add(&mut self, served: &Served) {
        self.age = self.age.max(served.age);
        match served.how {
            How::Hit(..) | How::Stale(..) => self.kept += 1,
            How::Fetched { .. } | How::Bypassed(_) => self.fetched += 1,
        }
    }
}

fn too_late() -> Error {
    let text = "It did not answer in the time that reading across all of them has.";
    Error::new(Code::DeadlineExceeded, Reason::UpstreamTimeout, text)
}
