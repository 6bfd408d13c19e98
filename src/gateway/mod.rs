//! What the facade does with a request once HTTP has understood it, and before HTTP prints the answer.
//!
//! - [`Gateway`]: everything a proxied call needs.
//! - [`Route`]: one binding, with all that can be worked out before the first request.
//! - [`Access`]: what a caller needs to use it.
//! - [`Ledger`]: where mutations are written down before they leave and before their answer does. [`Notes`]: what is
//!   noted of a request on its way.
//! - `announcement`: the event of a mutation that is done when it answers.
//! - [`Input`]: what a request brings; [`Forwarded`] and [`ForwardedStream`]: what comes of it.
//! - [`Probe`]: one harmless read of an upstream, for `causeway check --live`.
//!
//! What holds: every mistake of the caller's making is found before anything leaves for the upstream; messages stay
//! bytes on their way through; nothing is kept between two requests.
//!
//! It deliberately does not know HTTP: no status, no envelope, no content negotiation. `http::HeaderMap` is here only
//! because it is also how gRPC metadata is held.

mod access;
mod announcement;
mod connector;
mod forward;
mod kept;
mod ledger;
mod metadata;
mod mutation;
mod notes;
mod probe;
mod route;
mod routing_header;
mod tasks;

use std::{collections::BTreeMap, sync::Arc};

use crate::{config, schema::Catalog, transcode::Transcoder, upstream::Upstreams};

pub use self::{
    access::{Access, project_of},
    forward::{Forwarded, ForwardedStream, Input, Payload, server_streaming, unary},
    ledger::Ledger,
    metadata::Caller,
    mutation::journaled,
    notes::Notes,
    probe::{NoProbe, Probe, Surroundings},
    route::Route,
    tasks::{NewTask, create_task},
};

/// The services that are known, and the ways to reach them.
pub struct Gateway {
    catalog: Catalog,
    transcoder: Transcoder,
    upstreams: Upstreams,
    config: BTreeMap<String, config::Upstream>,
    ledger: Arc<Ledger>,
}

impl Gateway {
    /// Joins the parts.
    pub fn new(
        catalog: Catalog,
        transcoder: Transcoder,
        upstreams: Upstreams,
        config: BTreeMap<String, config::Upstream>,
        ledger: Ledger,
    ) -> Self {
        Self { catalog, transcoder, upstreams, config, ledger: Arc::new(ledger) }
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
