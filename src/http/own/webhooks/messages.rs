//! What receivers are sent, as the document has it: one webhook for each type of the catalogue.

use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, HttpMethod, ObjectBuilder, OpenApi, OpenApiBuilder,
    PathItem, PathsBuilder, Ref, RefOr, Required, ResponseBuilder, Responses, ResponsesBuilder, Schema, Type,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
};

use super::TAG;
use crate::webhooks::{
    WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
    event_type::{self, EventType},
};

/// Returns a document of nothing but what is sent.
pub(in crate::http) fn messages() -> OpenApi {
    let paths = event_type::ALL.iter().fold(PathsBuilder::new(), |paths, known| {
        paths.path(known.name, PathItem::new(HttpMethod::Post, operation(known)))
    });
    OpenApiBuilder::new().webhooks(Some(paths.build())).components(Some(schemas())).build()
}

fn schemas() -> Components {
    let schema = |known: &EventType| -> RefOr<Schema> {
        serde_json::from_value(known.schema()).expect("the catalogue's schemas are schemas")
    };
    let all = event_type::ALL.iter().map(|known| (component(known), schema(known)));
    ComponentsBuilder::new().schemas_from_iter(all).build()
}

fn component(known: &EventType) -> String {
    format!("{TAG}.sent.{}", known.name)
}

fn operation(known: &EventType) -> Operation {
    let body = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(component(known))))
        .example(Some(known.example()))
        .build();
    let mut text = "Sent to the endpoints of the project that want it, at least once and in no particular order. Verify it \
                    before you believe anything of it, and take a `webhook-id` that you know for done."
        .to_owned();
    if known.opt_in {
        text.push_str(" Only endpoints that name this type in full get it.");
    }
    OperationBuilder::new()
        .tag(TAG)
        .operation_id(Some(format!("{TAG}.sent.{}", known.name)))
        .summary(Some(known.description))
        .description(Some(text))
        // Who sends it is known by the signature.
        .securities(Some([]))
        .parameters(Some(headers()))
        .request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", body)
                .required(Some(Required::True))
                .build(),
        ))
        .responses(responses())
        .build()
}

/// The headers of Standard Webhooks.
fn headers() -> [Parameter; 3] {
    let header = |name: &str, text: &str, schema: ObjectBuilder, example: &str| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(text))
            .schema(Some(Schema::from(schema)))
            .example(Some(example.into()))
            .build()
    };
    let text = || ObjectBuilder::new().schema_type(Type::String);
    [
        header(
            WEBHOOK_ID.as_str(),
            "Id of the event: the same over all attempts, so that it tells what was received already.",
            text().pattern(Some("^evt_[0-9a-f]{32}$")),
            "evt_0193500000007000a000000000000003",
        ),
        header(
            WEBHOOK_TIMESTAMP.as_str(),
            "When this attempt was made, in seconds since 1970. Refuse what is further than five minutes from your own \
             clock.",
            text().pattern(Some("^[0-9]+$")),
            "1795251600",
        ),
        header(
            WEBHOOK_SIGNATURE.as_str(),
            "One entry for each secret that is in use, separated by spaces: `v1,` and the base64 of the HMAC-SHA256 of \
             `{webhook-id}.{webhook-timestamp}.{body}`, with the body as it came.",
            text(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ]
}

/// What a receiver can say, and what comes of it.
fn responses() -> Responses {
    let said = [
        ("2XX", "Received. With `webhook-delivery: disable` nothing more is sent to this endpoint."),
        ("410", "There is nobody here any more: the endpoint is disabled."),
        ("429", "Too much: nothing is sent to this endpoint before `Retry-After`, an hour at most."),
        ("503", "Not now: nothing is sent to this endpoint before `Retry-After`, an hour at most."),
        (
            "default",
            "Not received, redirects among them: it is sent again after 5 seconds, and again for four days. With \
             `webhook-delivery: abort-message` it is not sent again.",
        ),
    ];
    said.into_iter()
        .fold(ResponsesBuilder::new(), |responses, (status, text)| {
            responses.response(status, ResponseBuilder::new().description(text))
        })
        .build()
}
