//! Failures: one shared response for each status that a call can be answered with when something went wrong.

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Responses, ResponsesBuilder,
};

use super::{
    envelope::ENVELOPE,
    headers::{self, Told},
};
use crate::error::{Code, Reason};

/// What every error says how to read.
const SHAPE: &str = "See 400 for the form.";

/// One status that says that something went wrong.
pub(super) struct Failure {
    /// HTTP status.
    pub(super) status: u16,
    /// Name of the shared response.
    name: &'static str,
    /// What it means and what to do.
    text: &'static str,
    /// Canonical code of the example.
    code: Code,
    /// Reason of the example; `None` for one that an upstream gives.
    reason: Option<Reason>,
    message: &'static str,
    /// Who can get it.
    pub(super) whose: Whose,
}

/// Which operations a failure belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// All, our own endpoints too.
    All,
    /// Those that call an upstream.
    Proxied,
    /// Those of them that take a body.
    WithBody,
    /// Those of them that change something.
    Mutation,
}

/// All of them, by status.
pub(super) const FAILURES: &[Failure] = &[
    Failure {
        status: 400,
        name: "BadRequest",
        text: "The request is wrong: a field, a parameter, the JSON, or something that the upstream does not accept in \
               its present state. `details` names each field.",
        code: Code::InvalidArgument,
        reason: Some(Reason::UnknownField),
        message: "frendlyName: no such field",
        whose: Whose::All,
    },
    Failure {
        status: 401,
        name: "Unauthorized",
        text: "The caller is not known, to the gateway or to the upstream.",
        code: Code::Unauthenticated,
        reason: None,
        message: "Request had invalid authentication credentials.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 403,
        name: "Forbidden",
        text: "The caller is known and may not do this, by the gateway's rules or by the upstream's.",
        code: Code::PermissionDenied,
        reason: None,
        message: "The caller does not have permission.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 404,
        name: "NotFound",
        text: "There is no such resource, or no such path.",
        code: Code::NotFound,
        reason: None,
        message: "Not found.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 409,
        name: "Conflict",
        text: "It exists already, or another request was in the way: with an `Idempotency-Key` it may be the first one, still \
               under way, and `Retry-After` says when to ask again.",
        code: Code::AlreadyExists,
        reason: None,
        message: "Already exists.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 413,
        name: "ContentTooLarge",
        text: "The body is larger than the gateway takes.",
        code: Code::InvalidArgument,
        reason: Some(Reason::BodyTooLarge),
        message: "The body is larger than 4194304 bytes, decoded or as sent.",
        whose: Whose::WithBody,
    },
    Failure {
        status: 414,
        name: "UriTooLong",
        text: "The URL is too long. Send the query as the form body of a POST with `X-HTTP-Method-Override: GET`.",
        code: Code::InvalidArgument,
        reason: Some(Reason::LimitExceeded),
        message: "The URL has 20000 bytes; at most 16384 are allowed.",
        whose: Whose::All,
    },
    Failure {
        status: 415,
        name: "UnsupportedMediaType",
        text: "The body is not JSON in UTF-8, plain or gzip.",
        code: Code::InvalidArgument,
        reason: Some(Reason::UnsupportedMediaType),
        message: "The body is of type \"text/plain\"; send JSON with Content-Type: application/json.",
        whose: Whose::WithBody,
    },
    Failure {
        status: 422,
        name: "UnprocessableContent",
        text: "The `Idempotency-Key` was used for another request.",
        code: Code::InvalidArgument,
        reason: Some(Reason::IdempotencyMismatch),
        message: "The Idempotency-Key was used for another request.",
        whose: Whose::Mutation,
    },
    Failure {
        status: 429,
        name: "TooManyRequests",
        text: "A quota of the gateway's or the upstream's is used up, or too many calls are under way. Try again later; `Retry-After` may say when.",
        code: Code::ResourceExhausted,
        reason: None,
        message: "Quota exceeded.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 431,
        name: "RequestHeaderFieldsTooLarge",
        text: "Too many headers, or too large ones.",
        code: Code::InvalidArgument,
        reason: Some(Reason::LimitExceeded),
        message: "The request has 101 header lines; at most 100 are allowed.",
        whose: Whose::All,
    },
    Failure {
        status: 499,
        name: "ClientClosedRequest",
        text: "The call was cancelled.",
        code: Code::Cancelled,
        reason: None,
        message: "The call was cancelled.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 500,
        name: "InternalServerError",
        text: "The upstream failed, or answered with something that cannot be shown; or the gateway failed.",
        code: Code::Internal,
        reason: Some(Reason::UpstreamInvalidResponse),
        message: "The upstream's answer cannot be read.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 501,
        name: "NotImplemented",
        text: "The upstream does not offer this method, or the configuration has no section for the upstream.",
        code: Code::Unimplemented,
        reason: Some(Reason::UpstreamNotConfigured),
        message: "The upstream datastream is known but not configured.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 503,
        name: "ServiceUnavailable",
        text: "The upstream cannot be reached, or the gateway is stopping. Safe to try again if the call changes nothing; \
               `Retry-After` may say when.",
        code: Code::Unavailable,
        reason: Some(Reason::UpstreamUnavailable),
        message: "The upstream cannot be reached.",
        whose: Whose::Proxied,
    },
    Failure {
        status: 504,
        name: "GatewayTimeout",
        text: "The upstream did not answer in time. The call may have taken effect.",
        code: Code::DeadlineExceeded,
        reason: Some(Reason::UpstreamTimeout),
        message: "The upstream did not answer in time.",
        whose: Whose::Proxied,
    },
];

/// Adds the failures of an operation to its responses.
pub(super) fn add(responses: ResponsesBuilder, with_body: bool, mutation: bool) -> ResponsesBuilder {
    let apply = FAILURES.iter().filter(|failure| match failure.whose {
        Whose::All | Whose::Proxied => true,
        Whose::WithBody => with_body,
        Whose::Mutation => mutation,
    });
    apply.fold(responses, |responses, failure| {
        let shared = format!("#/components/responses/{}", failure.name);
        responses.response(failure.status.to_string(), Ref::new(shared))
    })
}

/// Completes the responses of an endpoint of ours: adds what is found before anybody knows what a request wants, and puts
/// the envelope where a failure is described by words alone.
pub(super) fn complete(responses: &mut Responses, meets: &Meets) {
    for failure in FAILURES {
        let status = failure.status.to_string();
        match responses.responses.get_mut(&status) {
            Some(RefOr::T(told)) if told.content.is_empty() => {
                told.content.insert("application/json".to_owned(), RefOr::T(content(failure)));
                headers::refer(told, headers_of(failure));
            }
            Some(_) => {}
            None if meets.failure(failure) => {
                let shared = Ref::new(format!("#/components/responses/{}", failure.name));
                responses.responses.insert(status, RefOr::Ref(shared));
            }
            None => {}
        }
    }
}

/// What an endpoint of ours can meet with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meets {
    /// It takes a body.
    pub(super) body: bool,
    /// Its caller need not be known.
    pub(super) anybody: bool,
    /// It changes something, once for each Idempotency-Key.
    pub(super) keys: bool,
    /// It calls an upstream.
    pub(super) upstream: bool,
}

impl Meets {
    fn failure(&self, failure: &Failure) -> bool {
        match failure.whose {
            Whose::All => true,
            Whose::WithBody => self.body,
            Whose::Proxied if self.upstream => true,
            Whose::Proxied if failure.status == 409 => self.keys,
            Whose::Proxied => !self.anybody && matches!(failure.status, 401 | 403 | 429 | 503),
            Whose::Mutation => self.keys,
        }
    }
}

/// Returns the shared responses by name.
pub(super) fn responses() -> impl Iterator<Item = (String, RefOr<Response>)> {
    FAILURES.iter().map(|failure| {
        let text = match failure.status {
            400 => failure.text.to_owned(),
            _ => format!("{} {SHAPE}", failure.text),
        };
        let mut response =
            ResponseBuilder::new().description(text).content("application/json", content(failure)).build();
        headers::refer(&mut response, headers_of(failure));
        (failure.name.to_owned(), RefOr::T(response))
    })
}

/// Lists the headers of a failure.
fn headers_of(failure: &Failure) -> Vec<Told> {
    let mut headers = vec![headers::REQUEST_ID];
    if matches!(failure.status, 409 | 429 | 503) {
        headers.push(headers::RETRY_AFTER);
    }
    if failure.status == 429 {
        headers.extend(headers::LIMITS);
    }
    headers
}

/// The envelope, with an example of a failure.
fn content(failure: &Failure) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(ENVELOPE)))
        .example(Some(example(failure)))
        .build()
}

fn example(failure: &Failure) -> Value {
    let mut details = Vec::new();
    if let Some(reason) = failure.reason {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason.name(),
            "domain": "causeway",
        }));
    }
    if let (Some(Reason::UnknownField), Some((field, why))) =
        (failure.reason, failure.message.split_once(": "))
    {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": field, "description": why}],
        }));
    }
    let mut error = json!({
        "code": failure.status,
        "message": failure.message,
        "status": failure.code.name(),
    });
    if !details.is_empty() {
        error["details"] = Value::Array(details);
    }
    json!({"error": error})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{error::Error, http::status};

    /// What a caller of a documented path and verb cannot get, and what nobody can get yet.
    const NOT_OF_AN_OPERATION: &[Reason] = &[Reason::MethodNotAllowed];

    #[test]
    fn exactly_the_statuses_that_are_sent_are_documented() {
        let codes = Code::ALL.iter().map(|code| status::of(&Error::upstream(*code, "", Vec::new())));
        let reasons = Reason::ALL
            .iter()
            .filter(|reason| !NOT_OF_AN_OPERATION.contains(reason))
            .map(|reason| status::of(&Error::new(Code::InvalidArgument, *reason, "")));
        let limits = [status::LIMIT_URL, status::LIMIT_HEADERS, status::LIMIT_HEADER_BYTES]
            .map(|limit| status::of(&Error::limit("").with_metadata(status::LIMIT, limit)));
        let sent: BTreeSet<u16> = codes.chain(reasons).chain(limits).map(|status| status.as_u16()).collect();
        let documented: BTreeSet<u16> = FAILURES.iter().map(|failure| failure.status).collect();
        assert_eq!(documented, sent);
    }

    #[test]
    fn examples_have_the_status_that_their_code_and_reason_have() {
        for failure in FAILURES {
            let error = match failure.reason {
                Some(Reason::LimitExceeded) => Error::limit("").with_metadata(
                    status::LIMIT,
                    if failure.status == 414 { status::LIMIT_URL } else { status::LIMIT_HEADERS },
                ),
                Some(reason) => Error::new(failure.code, reason, ""),
                None => Error::upstream(failure.code, "", Vec::new()),
            };
            assert_eq!(status::of(&error).as_u16(), failure.status);
        }
    }
}
