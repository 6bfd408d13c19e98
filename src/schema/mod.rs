//! What the gateway knows about a service: descriptors, the service YAML beside them, and what follows from both.
//!
//! The cast, in the order in which one is made of the other:
//!
//! - [`Pool`]: all types and services of the loaded descriptor sets, as one arena of small ids.
//! - [`ServiceConfig`]: the YAML of an upstream. It binds mixins to paths, hints how to poll, and corrects what
//!   descriptors cannot tell ([`Facts`]). [`Builtin`]s are the upstreams whose YAML is in the binary.
//! - [`Template`] and [`FieldPath`]: the left and the right side of an http rule; a [`Binding`] is the whole rule, checked
//!   against the messages it speaks of.
//! - [`Method`]: one rpc of one upstream with everything later parts ask about it: [`Effect`], collection, permission,
//!   [`List`], [`LongRunning`], [`UpdateMask`], secret fields.
//! - [`Catalog`]: all methods of all upstreams; it makes the [`RouteTable`], in which our own endpoints are entered too.
//! - [`Problem`]: what keeps the gateway from starting. All are reported, not the first.
//!
//! Invariants:
//!
//! - Whatever is wrong with a descriptor set, a YAML or a rule is found when the catalog or its routes are built. Later
//!   parts index into the pool and the methods without asking.
//! - A method of a mixin (`google.longrunning.Operations` and its like) belongs to an upstream through its paths, so it is
//!   there once per upstream that binds it, and never by its annotations.
//! - A path means the same whichever order upstreams and endpoints were entered in: two that claim one shape are an error,
//!   and `literal` before `*` before `**` decides the rest.
//! - [`RouteTable::find`] takes bytes from strangers: its steps are bounded, it never panics, and a hit on a path without
//!   percent sequences allocates nothing.
//!
//! It deliberately knows no I/O, no HTTP library and no JSON: what a body means is the business of `transcode`, who may
//! call a method that of `identity`. Client-streaming methods have no place in it; [`Catalog::notes`] says which.

mod binding;
mod builtin;
mod catalog;
mod claims;
mod collection;
mod descriptor;
mod effect;
mod features;
mod field_path;
#[cfg(test)]
pub(crate) mod fixture;
mod list;
mod load;
mod long_running;
mod mask;
mod method;
mod path;
mod permission;
mod problem;
pub mod proto;
mod route;
mod secret;
mod service_config;
mod tells;
mod template;

pub use binding::{Binding, Body};
pub use builtin::{BUILTINS, Builtin, EMBEDDED};
pub use catalog::{Catalog, UpstreamSpec};
pub use claims::Address;
pub use collection::{is_version, singular};
pub use descriptor::*;
pub use effect::Effect;
pub use field_path::{FIELD_PATH_NAMES_MAX, FieldPath};
pub use list::List;
pub use load::{DESCRIPTOR_SET_BYTES_MAX, LoadError};
pub use long_running::LongRunning;
pub use mask::UpdateMask;
pub use method::Method;
pub use path::{NAME_BYTES_MAX, PATH_SEGMENTS_MAX, check_name};
pub use problem::Problem;
pub use route::{Captures, Found, RouteTable, VISITS_MAX};
pub use secret::is_secret_name;
pub use service_config::{
    CacheRule, Derive, Facts, ListRule, Part, PollHints, SERVICE_CONFIG_BYTES_MAX, SecretField,
    ServiceConfig, ServiceConfigError, ToldEvent,
};
pub use tells::Tells;
pub use template::{Segment, TEMPLATE_SEGMENTS_MAX, Template, TemplateError, VARIABLES_MAX};
