//! Examples: those written for the known upstreams, which work against `causeway dev`, and made-up ones for the rest.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    address::Wildcard,
    prose::lower_camel,
    sample::{Purpose, Sampler},
};
use crate::schema::{Address, Behavior, Body, Cardinality, Field, Kind, Method, Pool, Segment};

/// The written ones, by upstream: all files of the folder.
const WRITTEN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// What is known about examples.
pub(super) struct Examples<'p> {
    pool: &'p Pool,
    written: BTreeMap<&'static str, Written>,
}

/// The examples of one upstream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Resource names that exist; the first that fits a path is taken.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// Values of single fields in paths, by their path in the request.
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Value>,
    /// Answers, by the full name of their type.
    #[serde(default)]
    pub(super) types: BTreeMap<String, Value>,
    /// By the full name of the method.
    #[serde(default)]
    pub(super) methods: BTreeMap<String, Call>,
}

/// One example of a method.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// Resource names to take instead of the upstream's, for paths of the same shape.
    #[serde(default)]
    pub(super) names: Vec<String>,
    /// Query parameters.
    #[serde(default)]
    pub(super) query: BTreeMap<String, Value>,
    /// The body.
    pub(super) body: Option<Value>,
    /// The answer.
    pub(super) response: Option<Value>,
    /// What takes the place of all this on one of its paths, by the path's template.
    #[serde(default)]
    pub(super) paths: BTreeMap<String, Call>,
}

impl<'p> Examples<'p> {
    pub(super) fn new(pool: &'p Pool) -> Self {
        let parse = |(key, text): &(&'static str, &str)| {
            let written = serde_saphyr::from_str(text).expect("a test reads all written examples");
            (*key, written)
        };
        Self { pool, written: WRITTEN.iter().map(parse).collect() }
    }

    /// Returns the value of a wildcard in a path.
    pub(super) fn wildcard(&self, address: &Address<'_>, wildcard: &Wildcard) -> Value {
        let fallback = || json!(format!("my-{}", wildcard.name));
        let Some(variable) = wildcard.variable else { return fallback() };
        let span = address.template.span(variable);
        let field = address.template.variables()[variable].as_str();
        if let Some(value) = self.written(address.method).and_then(|written| written.fields.get(field)) {
            return value.clone();
        }
        let typed = address.template.variables()[variable].resolve(self.pool, address.method.input).ok();
        if let Some(field) = typed.filter(|field| field.kind != Kind::String && span.len() == 1) {
            // What a field of this type takes, where a word of ours would be refused.
            let value = self.sampler(address.method).field(field, Purpose::Request, 0);
            return value.unwrap_or_else(fallback);
        }
        let Some(name) = self.name(address, &address.template.segments()[span]) else {
            return fallback();
        };
        let mut parts = name.split('/').skip(wildcard.position);
        if wildcard.deep {
            return json!(parts.collect::<Vec<_>>().join("/"));
        }
        parts.next().map_or_else(fallback, |part| json!(part))
    }

    /// Returns the value of a query parameter; `None` for one that is better left out.
    pub(super) fn query(
        &self,
        address: &Address<'_>,
        name: &str,
        field: &Field,
        required: bool,
    ) -> Option<Value> {
        if let Some(value) = self.call(address).and_then(|call| call.query.get(name)) {
            return Some(value.clone());
        }
        required.then(|| self.sampler(address.method).field(field, Purpose::Request, 0)).flatten()
    }

    /// Returns a body that the method takes.
    pub(super) fn body(&self, address: &Address<'_>, bound: &[String]) -> Value {
        if let Some(body) = self.call(address).and_then(|call| call.body.clone()) {
            return body;
        }
        let sampler = self.sampler(address.method);
        let input = self.pool.message(address.method.input);
        let purpose = if address.binding.verb == "PATCH" { Purpose::Update } else { Purpose::Request };
        match &address.binding.body {
            Body::Field(name) => input
                .field(name)
                .and_then(|field| sampler.field(field, purpose, 0))
                .unwrap_or_else(|| json!({})),
            Body::All | Body::None => sampler.message(address.method.input, purpose, 0, bound),
        }
    }

    /// Returns what the method may answer; one message where it streams.
    pub(super) fn answer(&self, address: &Address<'_>) -> Value {
        let method = address.method;
        if let Some(response) = self.call(address).and_then(|call| call.response.clone()) {
            return response;
        }
        let sampler = self.sampler(method);
        if let Some(started) = &method.long_running {
            return operation(method, &sampler, started.metadata_type.as_deref());
        }
        match &address.binding.response_body {
            Some(name) => self
                .pool
                .message(method.output)
                .field(name)
                .and_then(|field| sampler.field(field, Purpose::Answer, 0))
                .unwrap_or_else(|| json!({})),
            None => sampler.message(method.output, Purpose::Answer, 0, &[]),
        }
    }

    /// Finds a resource name of a shape, such as `projects/*/locations/*`.
    fn name(&self, address: &Address<'_>, shape: &[Segment]) -> Option<&str> {
        let own = self.call(address).map(|call| call.names.as_slice()).unwrap_or_default();
        let common = self.written(address.method).map(|written| written.names.as_slice()).unwrap_or_default();
        own.iter().chain(common).map(String::as_str).find(|name| fits(name, shape))
    }

    fn written(&self, method: &Method) -> Option<&Written> {
        self.written.get(&*method.upstream)
    }

    fn call(&self, address: &Address<'_>) -> Option<&Call> {
        let call = self.written(address.method)?.methods.get(&address.method.full_name)?;
        Some(call.paths.get(&address.binding.template.to_string()).unwrap_or(call))
    }

    fn sampler<'e>(&'e self, method: &Method) -> Sampler<'e> {
        Sampler { pool: self.pool, written: self.written(method) }
    }
}

/// An operation that has just been started.
fn operation(method: &Method, sampler: &Sampler<'_>, metadata: Option<&str>) -> Value {
    let mut packed = Map::new();
    if let Some(name) = metadata {
        packed.insert("@type".to_owned(), json!(format!("type.googleapis.com/{name}")));
        if let Some(id) = sampler.pool.find_message(name)
            && let Value::Object(fields) = sampler.message(id, Purpose::Answer, 0, &[])
        {
            packed.extend(fields);
        }
    }
    let names = sampler.written.map(|written| written.names.as_slice()).unwrap_or_default();
    let name =
        names.iter().find(|name| name.contains("/operations/")).map_or("operations/42", String::as_str);
    let mut operation = json!({"name": name});
    if !packed.is_empty() {
        operation["metadata"] = Value::Object(packed);
    }
    debug_assert!(method.long_running.is_some(), "only methods that take long answer with an operation");
    operation
}

/// Whether a name has the shape of a row of segments.
pub(super) fn fits(name: &str, shape: &[Segment]) -> bool {
    let mut parts = name.split('/');
    for segment in shape {
        match segment {
            Segment::AnyDepth => return parts.next().is_some(),
            Segment::Any if parts.next().is_some() => {}
            Segment::Literal(literal) if parts.next() == Some(literal) => {}
            Segment::Any | Segment::Literal(_) => return false,
        }
    }
    parts.next().is_none()
}

/// Whether a field is worth showing for a purpose.
pub(super) fn is_shown(field: &Field, purpose: Purpose) -> bool {
    match purpose {
        Purpose::Answer => !field.is(Behavior::InputOnly) && !field.deprecated,
        Purpose::Request | Purpose::Update => !field.is(Behavior::OutputOnly) && !field.deprecated,
    }
}

/// What a string is likely to hold, by the name of its field.
pub(super) fn likely_text(field: &Field) -> String {
    let name = lower_camel(&field.name);
    match (name.as_str(), field.kind) {
        ("etag", _) => "BwYCr3VTUoM=".to_owned(),
        ("displayName" | "title", _) => "An example".to_owned(),
        ("description", _) => "What it is for.".to_owned(),
        ("requestId", _) => "9b2f8a52-7a58-4a2b-9d3c-2f6f4f0f7c11".to_owned(),
        (_, Kind::String) if field.cardinality == Cardinality::Repeated => "one".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Catalog, EMBEDDED, Template, UpstreamSpec};

    #[test]
    fn written_examples_are_about_what_there_is() {
        let pool = Pool::load(&[EMBEDDED]).expect("the embedded set loads");
        let catalog = Catalog::build(pool, &UpstreamSpec::with_builtins(Vec::new())).expect("it builds");
        let examples = Examples::new(&catalog.pool);
        for (key, written) in &examples.written {
            for name in written.types.keys() {
                assert!(catalog.pool.find_message(name).is_some(), "{key}: {name} is no type");
            }
            for (name, call) in &written.methods {
                let method = catalog.find(key, name).unwrap_or_else(|| panic!("{key}: {name} is no method"));
                let paths: Vec<String> =
                    method.bindings.iter().map(|binding| binding.template.to_string()).collect();
                for path in call.paths.keys() {
                    assert!(paths.contains(path), "{key}: {name} has no path {path}");
                }
            }
        }
    }

    #[test]
    fn names_fit_shapes() {
        let template: Template = "/v1/{name=projects/*/things/**}".parse().unwrap();
        let shape = &template.segments()[1..];
        assert!(fits("projects/p/things/a/b", shape));
        assert!(!fits("projects/p/things", shape));
        assert!(!fits("projects/p/others/a", shape));
    }
}
