//! What a `-` stands for.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    super::{
        Form, Gateway, Route,
        forward::{Input, Payload},
        listing,
    },
    dashes,
    merge::WIDTH,
    together::Together,
};
use crate::{
    cache::Wish,
    error::{Code, Error, Result},
    identity::access,
    schema,
    transcode::{Peeked, Query},
};

/// Parts of one read.
const PARTS_MAX: usize = 1000;
/// Pages of one list of parts.
const PAGES_MAX: usize = 20;
/// Items on such a page.
const PAGE_SIZE: &str = "1000";

/// One of the places that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The canonical name of what is read.
    pub(crate) name: String,
    /// The values of the path.
    pub(crate) captures: Vec<String>,
}

impl Part {
    /// Returns the values of the path as a request has them.
    pub(super) fn captures(&self) -> Vec<Cow<'_, str>> {
        self.captures.iter().map(|value| Cow::Borrowed(value.as_str())).collect()
    }
}

/// Lists the parts that the caller may see, by name.
///
/// # Errors
/// As their own lists have it; `LIMIT_EXCEEDED` for too many; `PERMISSION_DENIED` where none may be seen.
pub(crate) async fn parts(
    gateway: &Gateway,
    route: &Route,
    input: &Input<'_>,
    wish: Wish,
) -> Result<Vec<Part>> {
    let listing = route.listing.as_ref().ok_or_else(|| Error::internal("only lists are read across"))?;
    let principal = input.caller.principal;
    let mut found = BTreeMap::new();
    let mut open = vec![input.captures.iter().map(ToString::to_string).collect::<Vec<_>>()];
    let mut running = Together::new();
    loop {
        while let Some(captures) = open.pop_if(|_| running.count() < WIDTH) {
            let borrowed: Vec<Cow<'_, str>> = captures.iter().map(|value| value.as_str().into()).collect();
            let name = route.resource(&borrowed).into_owned();
            let Some(dash) = dashes::first(listing, &borrowed) else {
                if access::may(principal, route.access.role, &name) {
                    drop(borrowed);
                    found.insert(name, captures);
                }
                if found.len() > PARTS_MAX {
                    return Err(too_many());
                }
                continue;
            };
            // What is below this the caller may not see at all: nobody is asked what there is.
            if !access::may_within(principal, route.access.role, &name) {
                continue;
            }
            drop(borrowed);
            running.add(async move {
                let is_first = captures.iter().zip(input.captures).all(|(now, asked)| now == asked);
                let ids = match ids(gateway, route, &dash, input, wish).await {
                    // What another list had named is gone: nothing is below it.
                    Err(error) if !is_first && error.code() == Code::NotFound && error.reason().is_none() => {
                        Vec::new()
                    }
                    ids => ids?,
                };
                let prefix = dash.before.len();
                let with = |id: String| {
                    let mut captures = captures.clone();
                    captures[dash.capture].replace_range(prefix + 1..prefix + 2, &id);
                    captures
                };
                Ok::<Vec<Vec<String>>, Error>(ids.into_iter().map(with).collect())
            });
        }
        match running.next().await {
            Some(more) => open.extend(more?),
            None => break,
        }
        if open.len() > PARTS_MAX {
            return Err(too_many());
        }
    }
    if found.is_empty() {
        let resource = route.resource(input.captures);
        // Whoever may see all of it sees that there is nothing.
        route.require(principal, &resource)?;
    }
    Ok(found.into_iter().map(|(name, captures)| Part { name, captures }).collect())
}

/// Lists what one `-` stands for.
async fn ids(
    gateway: &Gateway,
    route: &Route,
    dash: &dashes::Dash<'_>,
    input: &Input<'_>,
    wish: Wish,
) -> Result<Vec<String>> {
    match dash.source {
        schema::Part::Config => {
            let section = gateway.config.get(&*route.upstream_key);
            let known = section.map(|section| section.locations.clone()).unwrap_or_default();
            if known.is_empty() {
                let key = &route.upstream_key;
                let why = format!(
                    "The locations that - stands for are not known: name them in upstreams.{key}.locations of the \
                     configuration, or one in the path."
                );
                return Err(Error::invalid_field("parent", why));
            }
            Ok(known)
        }
        schema::Part::Upstream => Ok(Vec::new()),
        schema::Part::Method(method) => {
            let list = gateway.list_route(&route.upstream_key, method);
            let list =
                list.ok_or_else(|| Error::internal(format!("{method} is no list that could be read")))?;
            let parent = dash.before.rsplit_once('/').map_or("", |(parent, _)| parent);
            names(gateway, list, parent, input, wish).await
        }
    }
}

/// Reads the whole list of what is below `parent`, and returns the last parts of the names.
async fn names(
    gateway: &Gateway,
    list: &Arc<Route>,
    parent: &str,
    input: &Input<'_>,
    wish: Wish,
) -> Result<Vec<String>> {
    let shape = list.listing.as_ref().ok_or_else(|| Error::internal("the list has no pages"))?;
    let item = shape.item.as_ref().ok_or_else(|| Error::internal("the items of the list have no names"))?;
    let mut ids = Vec::new();
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let mut query = Query::default();
        if shape.sized {
            query.pairs.push(("page_size".into(), PAGE_SIZE.into()));
        }
        if !token.is_empty() {
            query.pairs.push(("page_token".into(), token.clone().into()));
        }
        let asked = Input {
            captures: &[parent.into()],
            query: &query,
            payload: Payload::Json(b""),
            caller: input.caller,
        };
        let served = listing::list(gateway, list, &asked, &Form::wire(), wish, None).await?;
        let page = shape.paged.read(&served.page.body)?;
        for item_bytes in &page.items {
            let name = item.peek(item_bytes, "name")?.and_then(Peeked::text).unwrap_or_default();
            let id = name.rsplit('/').next().unwrap_or_default();
            if !id.is_empty() {
                ids.push(id.to_owned());
            }
        }
        if ids.len() > PARTS_MAX {
            return Err(too_many());
        }
        if page.next_page_token.is_empty() {
            return Ok(ids);
        }
        token = page.next_page_token.to_owned();
    }
    Err(too_many())
}

fn too_many() -> Error {
    Error::limit(format!("This reads across more than {PARTS_MAX} places; name one of them in the path."))
}
