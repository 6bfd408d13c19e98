//! Pages of one list method, through the cache.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::HeaderName;

use super::{
    Form, Gateway, Notes, Route, access,
    forward::{self, Input},
    metadata::Caller,
    scopes,
};
use crate::{
    cache::{Key, Lookup, Page, Rule, Served, Wish},
    config::KNOWN_UPSTREAMS,
    crypto::Mac,
    error::{Error, Reason, Result},
    operations::{Answered, Role, Tracker},
    schema::{Binding, Method, Part},
    transcode::{Paged, Plan},
    upstream::{Call, Upstream},
};

/// Key of the error metadata that names an upstream.
const UPSTREAM: &str = "upstream";
/// Why a page is fetched around the cache.
const CACHE_OFF: &str = "off";
/// The same: nobody could tell when it is worthless.
const ACROSS_PROJECTS: &str = "across-projects";
/// The same: too many changes could make it worthless.
const TOO_DEEP: &str = "too-deep";

/// How the pages of a list method are kept.
pub(super) struct Listing {
    /// What the page's message is made of.
    pub(super) paged: Paged,
    /// An item, where those have names.
    pub(super) item: Option<Plan>,
    /// Whether the request says how many items it wants.
    pub(super) sized: bool,
    /// Where the parts of `-` come from, by the singular of the collection.
    pub(super) parts: BTreeMap<String, Part>,
    /// Whether there are none but those: what is not among them cannot be read across.
    pub(super) knows_parts: bool,
    /// `None`: they are not kept.
    rule: Option<Rule>,
    /// Tells its pages from those of others, and of other versions of the schema.
    salt: [u8; 32],
    collection: String,
    /// Whether the names of its resources are collections and members by turns.
    alternates: bool,
    /// What is shown depends on the caller's own credential.
    by_caller: Option<Mac>,
    /// The same for headers that go up because the configuration names them.
    by_headers: Option<(Mac, Arc<[HeaderName]>)>,
}

impl Listing {
    pub(super) fn of(gateway: &Gateway, method: &Method, binding: &Binding, salt: [u8; 32]) -> Option<Self> {
        let list = method.list.as_ref().filter(|_| !method.server_streaming)?;
        let output = gateway.transcoder.plan(method.output);
        let paged = output.paged(&list.items).ok()?;
        let section = gateway.config.get(&*method.upstream);
        let callers =
            section.is_some_and(|section| section.credentials == crate::config::Credentials::Caller);
        let forward_headers = gateway.forward_headers(&method.upstream);
        let (ttl, stale) = (method.cache.ttl, method.cache.stale);
        let on = gateway.keeping.pages.is_on()
            && binding.response_body.is_none()
            && method.cache.enabled.unwrap_or(ttl.is_some() || stale.is_some());
        let default = &gateway.keeping.life;
        let rule = Rule { ttl: ttl.unwrap_or(default.ttl), stale: stale.unwrap_or(default.stale) };
        Some(Self {
            paged,
            item: output.inside(&list.items).ok().filter(|item| item.has("name")),
            sized: gateway.transcoder.plan(method.input).has("page_size"),
            parts: method.parts.clone(),
            knows_parts: !method.parts.is_empty()
                || KNOWN_UPSTREAMS.iter().any(|known| *known.key == *method.upstream),
            rule: on.then_some(rule).filter(|rule| !rule.ttl.is_zero()),
            salt,
            collection: method.collection.clone(),
            alternates: access::alternates(&binding.template),
            by_caller: callers.then(|| gateway.keeping.visibility.clone()),
            by_headers: (!forward_headers.is_empty())
                .then(|| (gateway.keeping.visibility.clone(), forward_headers)),
        })
    }

    /// Whether there is a `-` that the gateway reads across.
    pub(super) fn is_crossed(&self) -> bool {
        self.parts.values().any(|part| *part != Part::Upstream)
    }

    fn key(&self, form: &Form, message: &[u8], caller: &Caller<'_>) -> Key {
        let language = caller.language();
        let mask = form.mask.as_deref().unwrap_or_default();
        let visibility = self.by_caller.as_ref().map(|mac| caller.visibility(mac));
        let visibility = visibility.as_ref().map_or(&[][..], |tag| &tag[..]);
        // What a caller says there may decide about what they see.
        let headers = self.by_headers.as_ref().map(|(mac, names)| mac.tag(&caller.forwarded_tag(names)));
        let headers = headers.as_ref().map_or(&[][..], |tag| &tag[..]);
        let parts = [&self.salt[..], &form.flags(), mask.as_bytes(), language, visibility, headers, message];
        Key::of(parts)
    }
}

impl Route {
    /// Whether it reads a collection in pages, and those are kept for a while.
    pub fn keeps_pages(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.rule.is_some())
    }
}

/// Reads a page of a list: a kept one where there is one and the caller wants it, else from the upstream.
///
/// # Errors
/// As [`super::unary`].
pub async fn list(
    gateway: &Gateway,
    route: &Arc<Route>,
    input: &Input<'_>,
    form: &Form,
    wish: Wish,
    notes: Option<&mut Notes>,
) -> Result<Served> {
    let upstream = forward::upstream(route)?;
    let bytes = match notes {
        Some(notes) => forward::noted(gateway, route, input, notes)?,
        None => forward::transcode_in(route, input)?.bytes,
    };
    let bytes = Bytes::from(bytes);
    let end = input.caller.deadline;
    let resource = route.resource(input.captures);
    let fetch = |bytes: Bytes, timeout| {
        let mut call = forward::call(route, input, bytes);
        call.timeout = timeout;
        let seen = route.role.map(|role| Seen {
            role,
            tracker: gateway.ledger.tracker.clone(),
            principal: input.caller.principal.id.clone(),
            names: vec![resource.clone().into_owned()],
        });
        fetch(upstream.clone(), route.clone(), form.clone(), call, seen)
    };
    let around = async |why| -> Result<Served> {
        let left = input.caller.timeout();
        Ok(gateway.keeping.pages.around(fetch(bytes.clone(), Some(left)).await?, why))
    };
    let listing = route.listing.as_ref();
    let Some((listing, rule)) = listing.and_then(|listing| Some((listing, listing.rule?))) else {
        return around(CACHE_OFF).await;
    };
    if scopes::is_across_projects(&resource) {
        return around(ACROSS_PROJECTS).await;
    }
    if scopes::is_too_deep(&resource) {
        return around(TOO_DEEP).await;
    }
    let key = listing.key(form, &bytes, &input.caller);
    let scopes = || scopes::of_page(&route.upstream_key, &resource, &listing.collection, listing.alternates);
    let found = gateway.keeping.pages.look_up(key, rule, wish, scopes).await;
    Ok(match found {
        Lookup::Hit(served) => served,
        Lookup::Stale(served, ticket) => {
            gateway.keeping.pages.refresh(ticket, || fetch(bytes.clone(), None));
            served
        }
        // As long as the upstream may take, since others may wait for it who have more time.
        Lookup::Miss(ticket) => {
            let fetched = gateway.keeping.pages.fetch(ticket, end, || fetch(bytes.clone(), None)).await;
            fetched.map_err(|error| named(error, &route.upstream_key))?
        }
        Lookup::Bypass(why) => around(why).await?,
    })
}

/// Says which upstream was waited for in vain.
fn named(error: Error, upstream: &str) -> Error {
    let told = error.metadata().iter().any(|(key, _)| *key == UPSTREAM);
    match error.reason() {
        Some(Reason::UpstreamTimeout) if !told => error.at(upstream).with_metadata(UPSTREAM, upstream),
        _ => error,
    }
}

/// Where it is noted what a page tells about operations on record.
struct Seen {
    role: Role,
    tracker: Tracker,
    principal: String,
    names: Vec<String>,
}

async fn fetch(
    upstream: Arc<Upstream>,
    route: Arc<Route>,
    form: Form,
    call: Call,
    seen: Option<Seen>,
) -> Result<Page> {
    let reply = upstream.unary(call).await?;
    if let Some(Seen { role, tracker, principal, names }) = seen {
        let answered = Answered {
            upstream: &route.upstream_key,
            method: &route.method,
            principal: &principal,
            names: &names,
            reply: &reply.message,
        };
        tracker.saw(role, &answered).await;
    }
    let mut page = form.print(&route, &reply.message)?;
    // What is incomplete now may be whole in a moment.
    let paged = route.listing.as_ref().map(|listing| listing.paged);
    page.keep = match paged.filter(Paged::tells_unreachable) {
        Some(paged) => paged.read(&reply.message)?.unreachable.is_empty(),
        None => true,
    };
    Ok(page)
}
