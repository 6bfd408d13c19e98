//! What the facade does with a request once HTTP has understood it, and before HTTP prints the answer.
//!
//! - [`Gateway`]: everything a proxied call needs.
//! - [`Route`]: one binding, with all that can be worked out before the first request.
//! - [`Access`]: what a caller needs to use it.
//! - `named`: what else a request names, which takes the same.
//! - [`Ledger`]: where mutations are written down before they leave and before their answer does. [`Notes`]: what is
//!   noted of a request on its way.
//! - [`list()`]: a page of a list, through the cache, as its [`Form`] wants it. [`scopes`]: what makes it worthless.
//! - [`across()`]: a list whose path has a `-`: all that the caller may see there.
//! - [`overview()`]: everything of a project at a glance.
//! - `announcement`: the event of a mutation that is done when it answers. [`Aftermath`]: tells of those whose gateway died
//!   before it could. `naming`: how what came of a call is called, for that and for the audit log.
//! - [`Input`]: what a request brings; [`Forwarded`] and [`ForwardedStream`]: what comes of it.
//! - [`Answer`]: what something of our own comes to that changes something; [`Twice`]: what doing it again would.
//! - [`unservable()`]: what of a catalog cannot be served, for whoever checks a configuration.
//! - [`Probe`]: one harmless read of an upstream, for `causeway check --live`.
//!
//! What holds: every mistake of the caller's making is found before anything leaves for the upstream; messages stay
//! bytes on their way through; nothing but pages is kept between two requests, and what a mutation may have
//! touched of those is worthless before its answer leaves.
//!
//! It deliberately does not know HTTP: no status, no envelope, no content negotiation. `http::HeaderMap` is here only
//! because it is also how gRPC metadata is held.

mod access;
mod across;
mod aftermath;
mod announcement;
mod certainty;
mod connector;
mod form;
mod forward;
mod kept;
mod ledger;
mod listing;
mod metadata;
mod mutation;
mod named;
mod naming;
mod notes;
mod overview;
mod own;
mod probe;
mod repetition;
mod route;
mod routing_header;
mod scopes;
mod stream;
mod tasks;
mod unservable;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use self::named::Named;
use crate::{
    cache::{PageCache, Rule},
    clock::Clock,
    config,
    crypto::{Keys, Mac, Purpose, Sealer},
    schema::Catalog,
    transcode::Transcoder,
    upstream::Upstreams,
};

pub use self::{
    access::{Access, is_below, project_of},
    across::{Across, Freshness, across, forget_partial},
    aftermath::Aftermath,
    form::{Form, WIRE},
    forward::{Forwarded, Input, Payload, unary},
    ledger::Ledger,
    listing::list,
    metadata::Caller,
    notes::Notes,
    overview::{Counts, Overview, Section, Status, overview},
    own::{Answer, Twice, journaled},
    probe::{NoProbe, Probe, Surroundings},
    route::Route,
    stream::{ForwardedStream, Messages, server_streaming},
    tasks::{NewTask, create_task},
    unservable::unservable,
};

/// The services that are known, and the ways to reach them.
pub struct Gateway {
    catalog: Catalog,
    transcoder: Transcoder,
    upstreams: Upstreams,
    config: BTreeMap<String, config::Upstream>,
    ledger: Arc<Ledger>,
    keeping: Keeping,
    named: Named,
    lists: HashMap<Arc<str>, Vec<Arc<Route>>>,
}

/// What keeping pages takes.
pub struct Keeping {
    pages: PageCache,
    /// For methods whose rule does not say.
    life: Rule,
    /// Tells callers apart by what they hand over.
    visibility: Mac,
    /// Seals the tokens of pages that are put together here.
    tokens: Sealer,
    clock: Arc<dyn Clock>,
}

impl Keeping {
    /// Joins the parts.
    pub fn new(pages: PageCache, keys: &Keys, config: &config::Cache, clock: Arc<dyn Clock>) -> Self {
        let life = Rule { ttl: config.ttl, stale: config.stale };
        let (visibility, tokens) = (keys.mac(Purpose::CacheVisibility), keys.sealer(Purpose::PageToken));
        Self { pages, life, visibility, tokens, clock }
    }
}

impl Gateway {
    /// Joins the parts.
    pub fn new(
        catalog: Catalog,
        transcoder: Transcoder,
        upstreams: Upstreams,
        config: BTreeMap<String, config::Upstream>,
        ledger: Ledger,
        keeping: Keeping,
    ) -> Self {
        let ledger = Arc::new(ledger);
        let lists = HashMap::new();
        let named = Named::of(&catalog);
        let mut gateway = Self { catalog, transcoder, upstreams, config, ledger, keeping, named, lists };
        gateway.lists = gateway.list_routes();
        gateway
    }

    /// Makes the routes of all lists, for reads that the gateway makes by itself. What does not fit is told by who makes
    /// the others.
    fn list_routes(&self) -> HashMap<Arc<str>, Vec<Arc<Route>>> {
        let mut lists: HashMap<Arc<str>, Vec<Arc<Route>>> = HashMap::new();
        for method in self.catalog.methods.iter().filter(|method| method.list.is_some()) {
            let primary = method.bindings.first().and_then(|binding| self.route(method, binding).ok());
            if let Some(route) = primary {
                lists.entry(method.upstream.clone()).or_default().push(Arc::new(route));
            }
        }
        lists
    }

    /// Finds the primary binding of a list, by the upstream and the method's full name.
    fn list_route(&self, upstream: &str, method: &str) -> Option<&Arc<Route>> {
        self.lists.get(upstream)?.iter().find(|route| route.method == method)
    }

    /// Returns what keeps pages.
    pub fn pages(&self) -> &PageCache {
        &self.keeping.pages
    }

    /// Returns what is known about the services.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns the tables for messages of the catalog.
    pub fn transcoder(&self) -> &Transcoder {
        &self.transcoder
    }

    /// Returns the upstreams that have a section in the configuration.
    pub fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }
}
