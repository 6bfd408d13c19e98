//! Parameters: what stands in the path, what may stand in the query, and what speaks to the gateway itself.

use serde_json::{Value, json};
use utoipa::openapi::{
    Deprecated, ObjectBuilder, Ref, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle},
};

use super::{
    Writer, across,
    address::{Path, Wildcard},
    fields,
    known::{self, Given},
    operation, pages,
    schemas::{Form, is_required, string},
};
use crate::schema::{Address, Behavior, Body, Cardinality, Effect, Field, Kind, MessageId, Pool};

/// How deep query parameters reach into messages: `a.b.c` is 3.
const QUERY_DEPTH_MAX: usize = 3;

/// Query parameters of one operation.
pub(super) const QUERY_PARAMETERS_MAX: usize = 100;

/// The parameter of what changes something.
const IDEMPOTENCY_KEY: &str = "IdempotencyKey";

/// What such a key can be: visible ASCII; one in quotes is fine too.
const KEY: &str = "^[!#-~][!-~]{0,254}$";

/// What one segment of a path can be.
const ONE_SEGMENT: &str = "^[^/]+$";

/// What `**` can be.
const SEGMENTS: &str = "^[^/]+(/[^/]+)*$";

/// The parameters of an operation.
pub(super) struct Told {
    pub(super) parameters: Vec<RefOr<Parameter>>,
    /// Whether the query takes more fields than are among them.
    pub(super) more: bool,
}

/// Describes the parameters of an operation.
pub(super) fn of(writer: &mut Writer<'_>, address: &Address<'_>, path: &Path) -> Told {
    let mut parameters = Vec::new();
    for wildcard in &path.wildcards {
        parameters.push(RefOr::T(in_path(writer, address, wildcard)));
    }
    let query = Query { address, bound: operation::bound(writer, address) };
    let (fields, more) = match given(writer.pool, address.method.input) {
        Given::Fields => query.fields(writer.pool),
        _ => (Vec::new(), false),
    };
    parameters.extend(fields.iter().map(|path| RefOr::T(query.parameter(writer, path))));
    let is_crossed = !across::wildcards(address, path).is_empty();
    let is_kept = pages::are_kept(address, path);
    let has_partial = writer.pool.message(address.method.input).field(across::PARTIAL_FIELD).is_some();
    let shared = shared().into_iter().filter(|(name, _)| match *name {
        IDEMPOTENCY_KEY => address.method.effect == Effect::Mutation,
        across::PARTIAL => is_crossed && !has_partial,
        pages::IF_NONE_MATCH | pages::CACHE_CONTROL => is_kept,
        _ => true,
    });
    parameters.extend(shared.map(|(name, _)| reference(name)));
    Told { parameters, more }
}

/// Refers to the Idempotency-Key of what changes something.
pub(super) fn idempotency_key() -> RefOr<Parameter> {
    reference(IDEMPOTENCY_KEY)
}

/// Refers to the header by which a caller asks for what it does not have yet.
pub(super) fn if_none_match() -> RefOr<Parameter> {
    reference(pages::IF_NONE_MATCH)
}

/// Refers to the header that says what a caller thinks of kept pages.
pub(super) fn cache_control() -> RefOr<Parameter> {
    reference(pages::CACHE_CONTROL)
}

fn reference(shared: &str) -> RefOr<Parameter> {
    RefOr::Ref(Ref::new(format!("#/components/parameters/{shared}")))
}

fn in_path(writer: &mut Writer<'_>, address: &Address<'_>, wildcard: &Wildcard) -> Parameter {
    let template = &address.template;
    let pattern = if wildcard.deep { SEGMENTS } else { ONE_SEGMENT };
    let mut schema: RefOr<Schema> = RefOr::T(string(Some(pattern), None).into());
    let mut text = String::new();
    if let Some(variable) = wildcard.variable {
        let span = template.span(variable);
        let name = &template.variables()[variable];
        let field = name.resolve(writer.pool, address.method.input).ok();
        let comment = field.map(|field| writer.schemas.description(field)).unwrap_or_default();
        if span.len() == 1 {
            text = comment;
            if let Some(kind) = field.map(|field| field.kind).filter(|kind| *kind != Kind::String) {
                schema = writer.schemas.kind(kind, Form::Text);
            }
        } else {
            let spelled = writer.spelled(template, variable);
            let whole = fields::spelled(writer.pool, address.method.input, name.as_str());
            text = format!("The `{}` in `{whole}`, which is `{spelled}`.", wildcard.name);
            if wildcard.position + 1 == span.len() && !comment.is_empty() {
                text.push_str(&format!(" {comment}"));
            }
        }
    }
    if wildcard.deep {
        text.push_str(
            " May have several segments: slashes are part of it and are sent as they are, not as %2F.",
        );
    }
    let example = writer.examples.wildcard(address, wildcard);
    ParameterBuilder::new()
        .name(&wildcard.name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(text.trim()))
        .schema(Some(schema))
        .example(Some(example))
        .build()
}

/// Finds the query parameters of one operation.
struct Query<'a> {
    address: &'a Address<'a>,
    /// What comes from the path.
    bound: Vec<String>,
}

/// A field of the request or of a message in it: what leads to it, and where each stands in its message.
#[derive(Clone, Default)]
struct Place<'c> {
    positions: Vec<usize>,
    path: Vec<&'c Field>,
}

/// What a query can do with a field.
enum Use {
    /// Nothing.
    None,
    /// Give it.
    Value,
    /// Give fields of this message.
    Message(MessageId),
}

impl Query<'_> {
    /// Returns the fields that a query can give, each with what leads to it, and whether there are more. Those of the
    /// request are looked for before those of its messages, so that no message, however large, hides a field that stands
    /// further out; then they are in the order of their protos.
    fn fields<'c>(&self, pool: &'c Pool) -> (Vec<Vec<&'c Field>>, bool) {
        let mut found: Vec<Place<'c>> = Vec::new();
        let mut more = false;
        let mut level = vec![(self.address.method.input, Place::default())];
        'levels: while !level.is_empty() {
            let mut inside = Vec::new();
            for (message, outer) in level {
                for (position, field) in pool.message(message).fields.iter().enumerate() {
                    let mut place = outer.clone();
                    place.positions.push(position);
                    place.path.push(field);
                    match self.use_of(pool, &place.path) {
                        Use::None => {}
                        Use::Value if found.len() < QUERY_PARAMETERS_MAX => found.push(place),
                        Use::Value => {
                            more = true;
                            break 'levels;
                        }
                        Use::Message(inner) if place.path.len() < QUERY_DEPTH_MAX => {
                            inside.push((inner, place));
                        }
                        Use::Message(_) => more = true,
                    }
                }
            }
            level = inside;
        }
        found.sort_by(|one, other| one.positions.cmp(&other.positions));
        (found.into_iter().map(|place| place.path).collect(), more)
    }

    fn use_of(&self, pool: &Pool, path: &[&Field]) -> Use {
        let Some(field) = path.last() else { return Use::None };
        let taken = match &self.address.binding.body {
            Body::None => false,
            Body::All => true,
            Body::Field(name) => path.len() == 1 && *name == field.name,
        };
        let unreachable = field.is(Behavior::OutputOnly) || is_extension(field);
        if taken || unreachable || self.bound.contains(&joined(path, |field| field.name.as_str())) {
            return Use::None;
        }
        if let Cardinality::Map(entry) = field.cardinality {
            let value = pool.message(entry).field("value").and_then(|value| value.kind.message());
            return if value.is_none() { Use::Value } else { Use::None };
        }
        let Some(inner) = field.kind.message() else { return Use::Value };
        match given(pool, inner) {
            Given::Text | Given::Json => Use::Value,
            Given::Fields if field.cardinality != Cardinality::Repeated => Use::Message(inner),
            Given::Fields | Given::Never => Use::None,
        }
    }

    /// Describes the field at the end of a path.
    fn parameter(&self, writer: &mut Writer<'_>, path: &[&Field]) -> Parameter {
        let field = path.last().expect("a path has at least one field");
        let is_map = matches!(field.cardinality, Cardinality::Map(_));
        let style = is_map.then_some(ParameterStyle::DeepObject);
        let name = joined(path, in_query);
        let is_derived = self
            .address
            .method
            .update_mask
            .as_ref()
            .is_some_and(|mask| mask.derive && mask.field == field.name);
        let required = path.len() == 1 && is_required(field) && !is_derived;
        let mut schema = writer.schemas.field(field, Form::Text);
        match &mut schema {
            RefOr::Ref(reference) => reference.description.clear(),
            RefOr::T(Schema::Object(object)) => {
                object.description = None;
                // Every service refuses a negative one.
                let pages = self.address.method.list.is_some() && name == "pageSize";
                object.minimum = pages.then(|| 0.into()).or(object.minimum.take());
            }
            RefOr::T(Schema::Array(array)) => array.description = None,
            RefOr::T(_) => {}
        }
        let mut about = writer.schemas.description(field);
        let mut example = writer.examples.query(self.address, &name, field, required);
        let inner = field.kind.message().filter(|inner| given(writer.pool, *inner) == Given::Json);
        if let Some(inner) = inner {
            let form = known::about_json_text(&writer.pool.message(inner).full_name);
            about = format!("{about} {form}").trim_start().to_owned();
            example = example.map(|value| as_text(value, field.is_repeated()));
        }
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(if required { Required::True } else { Required::False })
            .description(Some(about))
            .deprecated(field.deprecated.then_some(Deprecated::True))
            .explode(style.as_ref().map(|_| true))
            .style(style)
            .schema(Some(schema))
            .example(example)
            .build()
    }
}

/// Joins one of the names of each field.
fn joined(path: &[&Field], name: fn(&Field) -> &str) -> String {
    path.iter().map(|field| name(field)).collect::<Vec<_>>().join(".")
}

/// Returns the name by which a query can give a field: that of JSON, unless a query reads something else in it.
fn in_query(field: &Field) -> &str {
    let is_plain = !field.json_name.contains(['.', '[', ']']) && !field.json_name.starts_with('$');
    if is_plain { &field.json_name } else { &field.name }
}

/// Whether a field is an extension, whose name no query can spell.
fn is_extension(field: &Field) -> bool {
    field.name.starts_with('[')
}

fn given(pool: &Pool, id: MessageId) -> Given {
    known::given(&pool.message(id).full_name)
}

/// Writes JSON as text, or each element of a list of it.
fn as_text(value: Value, each: bool) -> Value {
    match value {
        Value::Array(items) if each => items.into_iter().map(|item| as_text(item, false)).collect(),
        other => json!(other.to_string()),
    }
}

/// The parameters that every proxied operation takes, the one that those take which change something, the one of lists
/// that can be read across, and those of lists whose pages are kept, by their names as components.
pub(super) fn shared() -> [(&'static str, Parameter); 7] {
    let query = |name: &str, text: &str, schema: Schema| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(Some(text))
            .schema(Some(schema))
            .build()
    };
    let header = |name: &str, text: &str, pattern: Option<&str>| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(text))
            .schema(Some(Schema::from(string(pattern, None))))
            .build()
    };
    [
        (
            "fields",
            query(
                "$fields",
                "Which parts of the answer are wanted: names separated by commas, `name,state`; parentheses or dots \
                 reach inside, `streams(name,state),nextPageToken`. Also as `fields`, or in the header \
                 `X-Goog-FieldMask`.",
                string(None, None).into(),
            ),
        ),
        (
            "alt",
            query(
                "$alt",
                "Form of the answer: `json`; `json;enum-encoding=int` for enums as numbers; `json;defaults=true` for \
                 fields that are zero or empty too; `media` for the bytes of a body that is no JSON; `proto` for the \
                 message in wire format; `sse` for server-sent events where a method streams.",
                string(None, None).into(),
            ),
        ),
        (
            "prettyPrint",
            query(
                "$prettyPrint",
                "Whether JSON is printed over several lines.",
                ObjectBuilder::new().schema_type(Type::Boolean).build().into(),
            ),
        ),
        (
            across::PARTIAL,
            query(
                across::PARTIAL,
                "With a `-` in the path: whether what can be read is answered when some of it cannot. \
                 `Causeway-Unreachable` names the rest, and so does `unreachable` where the answer has it.",
                ObjectBuilder::new().schema_type(Type::Boolean).build().into(),
            ),
        ),
        (
            IDEMPOTENCY_KEY,
            header(
                "Idempotency-Key",
                "A text of your own choice, new for each thing that you want done. A request with the same key is not done \
                 again: it gets the same answer, with `Idempotency-Replayed`. Kept for 24 hours.",
                Some(KEY),
            ),
        ),
        (
            pages::IF_NONE_MATCH,
            header(
                "If-None-Match",
                "The `ETag` of an answer that you have. Where you would get the same, the answer is 304 without a body.",
                None,
            ),
        ),
        (
            pages::CACHE_CONTROL,
            header(
                "Cache-Control",
                "What you think of kept pages: `no-cache` fetches a new one, `max-age=5` takes none that is older, \
                 `no-store` leaves the cache alone.",
                None,
            ),
        ),
    ]
}
