//! The OpenAPI document: everything that is served, described from what the catalog knows.
//!
//! [`document`] is made of the catalog alone, so it always tells what the running configuration serves, and says the same
//! for the same configuration: nothing in it depends on time, order of maps or machine. `openapi/causeway.json` is the
//! document of the known upstreams, as `causeway openapi` prints it.
//!
//! - `address`: path templates as OpenAPI spells them. `parameters`, `operation`: one binding of a method.
//! - `schemas`: messages and enums as components; `names`: what those are called; `known`: the types with a JSON form of their
//!   own; `oneof`.
//! - `across`: lists whose paths take a `-`.
//! - `pages`: lists whose pages are kept. `headers`: what the headers of answers say.
//! - `errors`: the envelope and the responses that all operations share.
//! - `examples`: written for the known upstreams in `openapi/examples/`; `sample` makes up the rest.
//! - `prose`: from comments of protos to text. `fields`: paths of fields.
//!
//! Our own endpoints tell of themselves, in the attributes above their handlers; `own/mod.rs` says how to add one. What we
//! send by ourselves is made of the catalogue of events.
//!
//! What holds: every operation has a name of its own, a summary, a description, one tag, an example of what is sent and
//! of what comes back, and every status that can be answered. Each method is there under its bare paths; the same paths
//! below the upstream's key are told of once, in the introduction.
//!
//! It deliberately leaves out bindings to verbs that OpenAPI 3.1 has no word for, and query parameters for what no query
//! can carry: lists of messages, messages of any type, raw bytes, extensions.

mod across;
mod address;
mod envelope;
mod errors;
mod examples;
mod fields;
mod headers;
mod known;
mod names;
mod oneof;
mod operation;
mod pages;
mod parameters;
mod prose;
mod sample;
mod schemas;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref,
    RefOr, Schema, ServerBuilder, Tag,
    path::PathItemBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use self::{
    address::Names,
    errors::Meets,
    examples::Examples,
    prose::Prose,
    schemas::{Form, Schemas},
};
use super::own;
use crate::schema::{Address, BUILTINS, Catalog, Method, Pool, Segment, Template};

/// Tag of our own endpoints.
pub(super) const GATEWAY: &str = "gateway";

/// Ways of saying who calls, by their names as components.
const BEARER: &str = "bearer";
const API_KEY: &str = "apiKey";
const NO_SCOPES: [&str; 0] = [];

const INTRODUCTION: &str = include_str!("introduction.md");

/// Describes everything that is served.
pub fn document(catalog: &Catalog) -> OpenApi {
    let prose = Prose::new(&catalog.pool);
    let own = own_endpoints();
    let ours = own.components.iter().flat_map(|components| components.schemas.keys().cloned());
    let ours = ours.chain(envelope::schemas().map(|(name, _)| name.to_owned()));
    let writer = Writer {
        pool: &catalog.pool,
        prose: &prose,
        schemas: Schemas::new(&catalog.pool, &prose, ours),
        examples: Examples::new(&catalog.pool),
        names: Names::new(&catalog.pool),
        ids: HashSet::new(),
        bodies: BTreeMap::new(),
    };
    writer.document(catalog, own)
}

/// Prints the document for people and for the repository: over several lines, with a line break at the end.
pub fn print(catalog: &Catalog) -> String {
    let mut text = document(catalog).to_pretty_json().expect("the document is made of what JSON can say");
    text.push('\n');
    text
}

/// Spells the path template of an endpoint of ours as the document has it.
pub(super) fn spelled(template: &str) -> String {
    Names::default().path(&template.parse().expect("our own templates are well formed")).text
}

/// What is needed while the document is written.
struct Writer<'c> {
    pool: &'c Pool,
    prose: &'c Prose,
    schemas: Schemas<'c>,
    examples: Examples<'c>,
    names: Names,
    /// Operation ids that are taken.
    ids: HashSet<String>,
    /// Request messages that are sent as bodies: for what, which of their fields come from the path, and the schema.
    bodies: BTreeMap<String, (Form, Vec<String>, RefOr<Schema>)>,
}

impl Writer<'_> {
    fn document(mut self, catalog: &Catalog, own: OpenApi) -> OpenApi {
        let mut addresses = catalog.addresses();
        addresses.sort_by_key(|address| rank(&address.method.upstream));
        let mut tags: Vec<Tag> = Vec::new();
        // Grouped by tag, since readers show what is tagged alike in the order of paths.
        let mut paths: Vec<(String, String, PathItem)> = Vec::new();
        for address in &addresses {
            let Some(verb) = operation::verb(address) else { continue };
            let tag = self.tag(address.method);
            if tags.iter().all(|known| known.name != tag) {
                let mut described = Tag::new(&tag);
                described.description = Some(self.about(speaker(self.pool, &addresses, address.method)));
                tags.push(described);
            }
            let path = self.names.path(&address.template);
            let operation = operation::describe(&mut self, address, &path);
            let item = PathItemBuilder::new().operation(verb, operation).build();
            match paths.iter_mut().find(|(_, text, _)| *text == path.text) {
                Some((_, _, known)) => known.merge_operations(item),
                None => paths.push((tag, path.text, item)),
            }
        }
        let place = |tag: &String| tags.iter().position(|known| known.name == *tag);
        paths.sort_by_key(|(tag, _, _)| place(tag));
        let mut table = PathsBuilder::new();
        for (_, path, item) in paths {
            table = table.path(path, item);
        }
        let document = OpenApiBuilder::new()
            // Merging would leave them out.
            .webhooks(own.webhooks.clone())
            .info(
                InfoBuilder::new()
                    .title("Causeway")
                    .version(env!("CARGO_PKG_VERSION"))
                    .description(Some(INTRODUCTION.trim()))
                    .license(Some(
                        LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
                    ))
                    .build(),
            )
            .servers(Some([ServerBuilder::new()
                .url("/")
                .description(Some("The gateway that this document came from."))
                .build()]))
            // Any of them; none where the configuration asks for none.
            .security(Some([
                SecurityRequirement::default(),
                SecurityRequirement::new(BEARER, NO_SCOPES),
                SecurityRequirement::new(API_KEY, NO_SCOPES),
            ]))
            .paths(table.build())
            .tags(Some(tags))
            .components(Some(self.components()))
            .build();
        document.merge_from(own)
    }

    fn components(mut self) -> utoipa::openapi::Components {
        if let Some(any) = self.pool.find_message(known::ANY) {
            self.schemas.message(any, Form::Open);
        }
        let mut components = ComponentsBuilder::new();
        for (name, (_, _, schema)) in std::mem::take(&mut self.bodies) {
            components = components.schema(name, schema);
        }
        for (name, schema) in self.schemas.finish() {
            components = components.schema(name, schema);
        }
        for (name, schema) in envelope::schemas() {
            components = components.schema(name, schema);
        }
        for (name, response) in errors::responses() {
            components = components.response(name, response);
        }
        for (name, parameter) in parameters::shared() {
            components = components.parameter(name, parameter);
        }
        for (name, header) in headers::components() {
            components = components.header(name, header);
        }
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An API key of the gateway's, or a JSON Web Token of an issuer that it trusts.",
            ))
            .build();
        let key = ApiKeyValue::with_description("X-Goog-Api-Key", "An API key of the gateway's.");
        components
            .response(pages::NOT_MODIFIED, pages::not_modified())
            .header(across::UNREACHABLE.1, across::unreachable())
            .security_scheme(BEARER, SecurityScheme::Http(bearer))
            .security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key)))
            .build()
    }

    /// Returns the schema of a request message as a body. The first that is met is a component; the same message with
    /// other fields in the path, or for an update, is spelled out.
    fn request(&mut self, address: &Address<'_>, bound: &[String]) -> RefOr<Schema> {
        let id = address.method.input;
        let form = if address.binding.verb == "PATCH" { Form::Open } else { Form::Input };
        let name = self.schemas.body_name(id);
        let schema = self.schemas.body(id, bound, form);
        let first = || (form, bound.to_vec(), schema.clone());
        let (known, without, _) = self.bodies.entry(name.clone()).or_insert_with(first);
        if *known == form && *without == bound { RefOr::Ref(Ref::from_schema_name(name)) } else { schema }
    }

    /// Names an operation, the same way whatever else is served.
    fn operation_id(&mut self, address: &Address<'_>) -> String {
        let method = address.method;
        let mut parts = method.full_name.rsplit('.');
        let (rpc, service) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let mut id = format!("{}.{service}.{rpc}", method.upstream);
        if !address.primary {
            id = format!("{id}_{}", operation::places(address).join("_"));
        }
        let mut number = 2;
        let wanted = id.clone();
        while !self.ids.insert(id.clone()) {
            id = format!("{wanted}_{number}");
            number += 1;
        }
        id
    }

    /// Names the group that a method belongs to.
    fn tag(&self, method: &Method) -> String {
        format!("{}: {}", method.upstream, group(self.pool, method))
    }

    /// Says what a group is about: what the collection holds, else what the service does.
    fn about(&self, method: &Method) -> String {
        let group = group(self.pool, method);
        let holds = |pattern: &String| {
            let mut parts = pattern.rsplit('/');
            let (last, collection) = (parts.next(), parts.next());
            last.is_some_and(|last| last.starts_with('{')) && collection == Some(group)
        };
        let service = self.pool.service(method.service);
        let package = service.full_name.rsplit_once('.').map_or("", |(package, _)| package);
        let held = self.pool.messages().map(|(_, message)| message).find(|message| {
            message.full_name.starts_with(package)
                && message.resource.as_ref().is_some_and(|resource| resource.pattern.iter().any(holds))
        });
        let text = self.prose.text(held.map_or(&service.comment, |message| &message.comment));
        text.split("\n\n").next().unwrap_or_default().to_owned()
    }

    /// Spells the segments of one variable of a template.
    fn spelled(&mut self, template: &Template, variable: usize) -> String {
        let span = template.span(variable);
        let path = self.names.path(template);
        let text = path.text.split(':').next().unwrap_or_default();
        text.split('/').skip(1 + span.start).take(span.len()).collect::<Vec<_>>().join("/")
    }
}

/// Returns the collection that a method is shown with: its own if its path has that, else the last that its path leads
/// through. `locations/*:fetchStaticIps` stands with the locations. Where no resource is named, all methods of a service
/// stand together.
fn group<'c>(pool: &'c Pool, method: &'c Method) -> &'c str {
    let Some(primary) = method.bindings.first() else { return &method.collection };
    let (template, segments) = (&primary.template, primary.template.segments());
    if (0..template.variables().len()).all(|variable| template.span(variable).len() < 2) {
        let service = &pool.service(method.service).full_name;
        return service.rsplit('.').next().unwrap_or(service);
    }
    let named = |literal: &Segment| matches!(literal, Segment::Literal(text) if **text == *method.collection);
    let mut passed = segments.windows(2).rev().filter_map(|pair| match pair {
        [Segment::Literal(text), Segment::Any | Segment::AnyDepth] => Some(&**text),
        _ => None,
    });
    if segments.iter().any(named) { &method.collection } else { passed.next().unwrap_or(&method.collection) }
}

/// Returns the method that says best what the group of another is about: one that works on that collection itself.
fn speaker<'c>(pool: &Pool, addresses: &[Address<'c>], other: &'c Method) -> &'c Method {
    let mut methods = addresses.iter().map(|address| address.method);
    let speaks =
        |method: &&Method| method.upstream == other.upstream && method.collection == group(pool, other);
    methods.find(speaks).unwrap_or(other)
}

/// Known upstreams come first, in their order; the sort is stable for the others.
fn rank(upstream: &str) -> usize {
    BUILTINS.iter().position(|builtin| builtin.key == upstream).unwrap_or(BUILTINS.len())
}

/// Returns the description of our own endpoints, with the errors that any of them can answer, and the envelope wherever
/// they say that they answer with an error.
fn own_endpoints() -> OpenApi {
    let mut document = own::document();
    for (verb, path, own) in own::ALL {
        let Some(item) = document.paths.paths.get_mut(&spelled(path)) else { continue };
        let operation = match *verb {
            "GET" => &mut item.get,
            "POST" => &mut item.post,
            "PATCH" => &mut item.patch,
            _ => &mut item.delete,
        };
        let Some(operation) = operation else { continue };
        let meets = Meets {
            body: operation.request_body.is_some(),
            anybody: own.access() == own::Access::Public,
            keys: own.changes(),
            upstream: own.calls(),
        };
        errors::complete(&mut operation.responses, &meets);
        let responses = &mut operation.responses.responses;
        let is_tagged = responses.contains_key("304");
        for status in ["200", "304"] {
            if let Some(RefOr::T(told)) = responses.get_mut(status) {
                headers::refer(told, headers::of_own(*own));
                headers::refer(told, is_tagged.then_some(headers::ETAG));
            }
        }
        let asked = [
            meets.keys.then(parameters::idempotency_key),
            is_tagged.then(parameters::if_none_match),
            // It looks through the page cache.
            (*own == own::Own::Overview).then(parameters::cache_control),
        ];
        let asked: Vec<_> = asked.into_iter().flatten().collect();
        if !asked.is_empty() {
            operation.parameters.get_or_insert_default().extend(asked);
        }
    }
    document
}
