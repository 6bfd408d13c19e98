//! One operation: a binding of a method, described.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Deprecated, HttpMethod, Ref, RefOr, Required, ResponseBuilder, Responses,
    ResponsesBuilder, Schema, ToArray,
    path::{Operation, OperationBuilder},
    request_body::{RequestBody, RequestBodyBuilder},
};

use super::{
    Writer, across,
    address::Path,
    errors, fields, headers, pages, parameters,
    prose::{listed, paragraphs},
    schemas::{Form, string},
};
use crate::{
    operations::Role,
    schema::{Address, Behavior, Body, Effect, MessageId, Method, Pool, Segment},
};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";
const ANYTHING: &str = "*/*";

/// Secret fields that are named one by one.
const SECRETS_MAX: usize = 3;

/// What is said of every method that starts something which is followed to its end.
const RECORDED: &str = "What it starts is put on record: `Causeway-Operation` in the answer names the record, which can be \
                        read, waited for (`:wait`) and watched (`:watch`), and webhooks tell how it goes. With an \
                        `Idempotency-Key` a repetition does not start it twice.";

/// What is said after that where no path is in a project.
const RECORDED_IF: &str = "Operations belong to projects, and nothing here names one: this holds if the upstream's name for \
                           what was started begins with `projects/`.";

/// What is said of a stream of `google.api.HttpBody`.
const RAW_STREAM: &str = "Answers with bytes: those of all messages, one after the other, of the content type that the first \
                          message names. A failure after that cuts the connection.";

/// Returns the verb of a binding as OpenAPI knows it; a binding for all verbs is shown with the one that suits it.
/// `None` for verbs that OpenAPI 3.1 cannot describe.
pub(super) fn verb(address: &Address<'_>) -> Option<HttpMethod> {
    Some(match address.binding.verb.as_str() {
        "GET" => HttpMethod::Get,
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        "HEAD" => HttpMethod::Head,
        "OPTIONS" => HttpMethod::Options,
        "TRACE" => HttpMethod::Trace,
        "*" if address.binding.body == Body::None => HttpMethod::Get,
        "*" => HttpMethod::Post,
        _ => return None,
    })
}

/// Describes a binding.
pub(super) fn describe(writer: &mut Writer<'_>, address: &Address<'_>, path: &Path) -> Operation {
    let method = address.method;
    let (summary, rest) = writer.prose.summary(&method.comment);
    let summary = if summary.is_empty() { method.name().to_owned() } else { summary };
    let place = if address.primary { None } else { places(address).last().cloned() };
    let told = parameters::of(writer, address, path);
    let title = place.map_or(summary.clone(), |place| format!("{summary} ({place})"));
    let mut operation = OperationBuilder::new()
        .operation_id(Some(writer.operation_id(address)))
        .tag(writer.tag(method))
        .summary(Some(title))
        .description(Some(description(
            writer,
            address,
            &summary,
            rest,
            across::told(address, path),
            told.more,
        )))
        .deprecated(method.deprecated.then_some(Deprecated::True));
    operation = operation.request_body(request_body(writer, address));
    let mut operation = operation.responses(responses(writer, address, path)).build();
    operation.parameters = Some(told.parameters);
    operation
}

/// Returns the collections that a path leads through, without the project.
pub(super) fn places(address: &Address<'_>) -> Vec<String> {
    let segments = address.template.segments();
    let pairs = segments.windows(2).filter_map(|pair| match pair {
        [Segment::Literal(collection), Segment::Any | Segment::AnyDepth] => Some(collection.to_string()),
        _ => None,
    });
    let last = segments.last().and_then(|segment| match segment {
        Segment::Literal(literal) => Some(literal.to_string()),
        Segment::Any | Segment::AnyDepth => None,
    });
    let mut places: Vec<String> = pairs.filter(|collection| collection != "projects").collect();
    places.extend(last);
    // What all bindings of one method have in common says nothing: an operation is one wherever it is.
    let collection = &address.method.collection;
    if places.len() > 1 && places.last().is_some_and(|last| last == collection) {
        places.pop();
    }
    places
}

fn description(
    writer: &Writer<'_>,
    address: &Address<'_>,
    summary: &str,
    rest: String,
    across: Option<String>,
    more_parameters: bool,
) -> String {
    let (pool, method) = (writer.pool, address.method);
    let mut text = vec![format!("{summary}."), rest];
    if let Some(started) = &method.long_running {
        let mut told =
            "Takes time: the answer is a long-running operation. Read it under its `name` until `done` is \
                        true; then it has `error`, or `response`"
                .to_owned();
        if let Some(name) = &started.response_type {
            told.push_str(&format!(" with a `{name}`"));
        }
        told.push('.');
        if let Some(name) = &started.metadata_type {
            told.push_str(&format!(" Until then `metadata` tells how far it has come, as a `{name}`."));
        }
        text.push(told);
    }
    if is_recorded(method) {
        text.push(RECORDED.to_owned());
        if !method.may_be_in_project() {
            text.push(RECORDED_IF.to_owned());
        }
    }
    if let Some(list) = &method.list {
        let items = fields::spelled(pool, method.output, &list.items);
        let output = pool.message(method.output);
        let mut told = match output.field("next_page_token") {
            Some(_) => format!(
                "The answer is one page: `{items}`, and `nextPageToken` while there is more. Send that as `pageToken`, \
                 with everything else unchanged, for the next page."
            ),
            None => format!("The answer lists all `{items}`."),
        };
        if list.unreachable {
            told.push_str(" Places that could not be read are named in `unreachable`.");
        }
        text.push(told);
        text.extend(across);
    }
    if method.server_streaming && is_raw_answer(writer, address) {
        text.push(RAW_STREAM.to_owned());
    } else if method.server_streaming {
        text.push(format!(
            "Answers message by message: as a JSON array, or by `Accept` as lines (`{LINES}`) or server-sent events \
             (`{EVENTS}`). A failure after the first message is the last element, `{{\"error\": …}}`."
        ));
    }
    if more_parameters {
        let input = &pool.message(method.input).full_name;
        text.push(format!(
            "The query takes more fields of `{input}` than are listed here, each by the path that leads to it: `a.b.c`."
        ));
    }
    text.extend(secrets(pool, method));
    text.push(format!("Calls `{}` of the upstream `{}`.", method.full_name, method.upstream));
    paragraphs(text)
}

/// Says which fields are not logged. Those that are only ever sent are not returned either; the others are secret by their
/// names, or hold a secret somewhere inside, and what an upstream answers in them is shown.
fn secrets(pool: &Pool, method: &Method) -> Vec<String> {
    if method.secret_fields.len() > SECRETS_MAX {
        return Vec::new();
    }
    let is_input_only = |path: &&String| {
        let fields = fields::along(pool, method.input, path).unwrap_or_default();
        fields.iter().any(|field| field.is(Behavior::InputOnly))
    };
    let (sent, other): (Vec<&String>, Vec<&String>) = method.secret_fields.iter().partition(is_input_only);
    let told = |start: &str, paths: &[&String]| {
        let spelled: Vec<String> =
            paths.iter().map(|path| fields::spelled(pool, method.input, path)).collect();
        (!spelled.is_empty()).then(|| format!("{start}: {}.", listed(&spelled)))
    };
    [told("Never returned or logged", &sent), told("Never logged", &other)].into_iter().flatten().collect()
}

/// Whether what a method starts is put on record, so that its answer names the record.
fn is_recorded(method: &Method) -> bool {
    let starts = matches!(Role::of(method), Some(Role::StartsLro | Role::StartsBackfill));
    starts && method.effect == Effect::Mutation
}

fn request_body(writer: &mut Writer<'_>, address: &Address<'_>) -> Option<RequestBody> {
    let form = if address.binding.verb == "PATCH" { Form::Open } else { Form::Input };
    let pool = writer.pool;
    let method = address.method;
    let (schema, raw, about, required) = match &address.binding.body {
        Body::None => return None,
        Body::All => {
            let raw = is_http_body(writer, method.input);
            let bound = bound(writer, address);
            let input = pool.message(method.input);
            let demanded = input
                .fields
                .iter()
                .any(|field| super::schemas::is_required(field) && !bound.contains(&field.name));
            let schema = if raw { binary() } else { writer.request(address, &bound) };
            (schema, raw, writer.prose.text(&input.comment), demanded)
        }
        Body::Field(name) => {
            let field =
                pool.message(method.input).field(name).expect("a binding was checked when it was made");
            let raw = field.kind.message().is_some_and(|id| is_http_body(writer, id));
            let schema = if raw { binary() } else { writer.schemas.content(field, form) };
            (schema, raw, writer.schemas.description(field), true)
        }
    };
    let mut content = ContentBuilder::new().schema(Some(schema));
    if !raw {
        content = content.example(Some(writer.examples.body(address, &bound(writer, address))));
    }
    let required = if required { Required::True } else { Required::False };
    Some(
        RequestBodyBuilder::new()
            .description((!about.is_empty()).then_some(about))
            .required(Some(required))
            .content(if raw { ANYTHING } else { JSON }, content.build())
            .build(),
    )
}

/// Returns the fields of the request that come from the path, by their original names.
pub(super) fn bound(writer: &Writer<'_>, address: &Address<'_>) -> Vec<String> {
    let input = address.method.input;
    let variables = address.template.variables().iter();
    variables.map(|variable| fields::original(writer.pool, input, variable.as_str())).collect()
}

fn responses(writer: &mut Writer<'_>, address: &Address<'_>, path: &Path) -> Responses {
    let method = address.method;
    let output = writer.pool.message(method.output);
    let raw = is_raw_answer(writer, address);
    let schema = match &address.binding.response_body {
        None => writer.schemas.message(method.output, Form::Open),
        Some(name) => {
            let field = output.field(name).expect("a binding was checked when it was made");
            writer.schemas.field(field, Form::Open)
        }
    };
    let about = if method.long_running.is_some() {
        "The operation that was started.".to_owned()
    } else {
        let text = writer.prose.text(&output.comment);
        if text.is_empty() { "Done.".to_owned() } else { text }
    };
    let mut success = ResponseBuilder::new().description(about);
    if raw {
        success = success.content(ANYTHING, Content::new(Some(binary())));
    } else {
        let example = writer.examples.answer(address);
        for (kind, content) in printed(method.server_streaming, schema, example) {
            success = success.content(kind, content);
        }
    }
    if !across::wildcards(address, path).is_empty() {
        let (name, component) = across::UNREACHABLE;
        success = success.header_ref(name, Ref::new(format!("#/components/headers/{component}")));
    }
    let (is_kept, mutation) = (pages::are_kept(address, path), method.effect == Effect::Mutation);
    let mut told = vec![headers::REQUEST_ID];
    told.extend(headers::LIMITS);
    if mutation {
        told.extend(headers::CHANGED);
    }
    if is_recorded(method) {
        told.push(headers::OPERATION);
    }
    if is_kept {
        told.extend(headers::KEPT);
    }
    let mut success = success.build();
    headers::refer(&mut success, told);
    let mut responses = ResponsesBuilder::new().response("200", success);
    if is_kept {
        let shared = format!("#/components/responses/{}", pages::NOT_MODIFIED);
        responses = responses.response("304", Ref::new(shared));
    }
    errors::add(responses, address.binding.body != Body::None, mutation).build()
}

/// Returns the forms in which messages are answered.
fn printed(stream: bool, schema: RefOr<Schema>, example: Value) -> Vec<(&'static str, Content)> {
    let content = |schema: RefOr<Schema>, example: Value| {
        ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
    };
    if !stream {
        return vec![(JSON, content(schema, example))];
    }
    let line = example.to_string();
    let text = || RefOr::T(Schema::from(string(None, None)));
    vec![
        (JSON, content(RefOr::T(schema.to_array().into()), json!([example]))),
        (LINES, content(text(), json!(format!("{line}\n")))),
        (EVENTS, content(text(), json!(format!("data: {line}\n\n")))),
    ]
}

fn binary() -> RefOr<Schema> {
    RefOr::T(string(None, Some("binary")).into())
}

/// Whether what is answered is bytes of any kind rather than JSON.
fn is_raw_answer(writer: &Writer<'_>, address: &Address<'_>) -> bool {
    let output = address.method.output;
    let shown = match &address.binding.response_body {
        None => Some(output),
        Some(name) => {
            let field = writer.pool.message(output).field(name).filter(|field| !field.is_repeated());
            field.and_then(|field| field.kind.message())
        }
    };
    shown.is_some_and(|id| is_http_body(writer, id))
}

fn is_http_body(writer: &Writer<'_>, id: MessageId) -> bool {
    &*writer.pool.message(id).full_name == "google.api.HttpBody"
}

#[cfg(test)]
mod tests {
    use crate::schema::{Catalog, EMBEDDED, Pool, UpstreamSpec};

    #[test]
    fn what_is_started_in_no_project_is_not_promised_a_record() {
        let rule = "http: { rules: [{ selector: google.cloud.datastream.v1.Datastream.DeleteStream, \
                    delete: '/v1/{name=shelves/*}' }] }";
        let spec = UpstreamSpec {
            key: "shelves",
            services: vec!["google.cloud.datastream.v1.Datastream".to_owned()],
            service_config: Some(("shelves.yaml".to_owned(), rule.to_owned())),
            primary: false,
            configured: true,
        };
        let pool = Pool::load(&[EMBEDDED]).expect("the embedded set loads");
        let document = super::super::print(&Catalog::build(pool, &[spec]).expect("it builds"));
        assert!(document.matches(super::RECORDED).count() > 1);
        assert_eq!(document.matches(super::RECORDED_IF).count(), 1);
    }
}
