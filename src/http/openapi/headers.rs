//! Headers of answers: what each of them says, once for all answers that refer to it.
//!
//! Which answers have them is decided where those are described: by `operation` and `pages` for what is proxied, by
//! `errors` for failures, and by [`of_own()`] for our own endpoints. `across` has one more.

use utoipa::openapi::{
    ObjectBuilder, Ref, RefOr, Response, Schema, Type,
    header::{Header, HeaderBuilder},
};

use super::own::{Access, Own};

/// A header that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// As it is sent.
    name: &'static str,
    /// Its name as a component.
    component: &'static str,
    kind: What,
    /// What it says, and when it is there.
    about: &'static str,
}

/// What a header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Text,
    Seconds,
}

/// On every answer.
pub(super) const REQUEST_ID: Told = Told {
    name: "X-Request-Id",
    component: "RequestId",
    kind: What::Text,
    about: "The request's id: the caller's own, else a new one. Errors of ours quote it.",
};

/// On answers that tell of an operation on record.
pub(super) const OPERATION: Told = Told {
    name: "Causeway-Operation",
    component: "Operation",
    kind: What::Text,
    about: "Name of the operation on record, `projects/{project}/operations/{operation}`: GET it, `:wait` for its end or \
            `:watch` it, all below `/v1/`. Not there where nothing was started, or nothing that belongs to a project.",
};

/// On answers to what changes something.
pub(super) const CHANGED: [Told; 2] = [
    Told {
        name: "Idempotency-Replayed",
        component: "IdempotencyReplayed",
        kind: What::Text,
        about: "`true` if this is the answer that the first request with this `Idempotency-Key` got, and nothing was done \
                again. On an upstream's refusal that is repeated, too. Not there otherwise.",
    },
    Told {
        name: "Causeway-Audit",
        component: "Audit",
        kind: What::Text,
        about: "`deferred` if what came of it will be in the audit log only when the database is back. Not there \
                otherwise.",
    },
];

/// On answers to callers who have to be known.
pub(super) const LIMITS: [Told; 2] = [
    Told {
        name: "RateLimit",
        component: "RateLimit",
        kind: What::Text,
        about: "What is left, of the caller and of the project: `\"principal\";r=99;t=1` is 99 requests, and all of them \
                again in a second. On errors, too. Not there where nobody is asked who they are.",
    },
    Told {
        name: "RateLimit-Policy",
        component: "RateLimitPolicy",
        kind: What::Text,
        about: "What there is in all: `\"principal\";q=100;w=1` is 100 requests in a second. There where `RateLimit` is.",
    },
];

/// What names an answer that does not change each time.
pub(super) const ETAG: Told = Told {
    name: "ETag",
    component: "ETag",
    kind: What::Text,
    about: "Names this answer. Send it as `If-None-Match`, and the body comes only if it has changed.",
};

/// On pages that may have been kept.
pub(super) const KEPT: [Told; 3] = [
    ETAG,
    Told {
        name: "Cache-Status",
        component: "CacheStatus",
        kind: What::Text,
        about: "Where the page comes from (RFC 9211): `causeway; hit; ttl=7; detail=memory` is one that was kept and is good \
                for 7 seconds; `fwd=` says why it was fetched.",
    },
    Told { name: "Age", component: "Age", kind: What::Seconds, about: "Seconds since the page was fetched." },
];

/// On refusals that may be different later.
pub(super) const RETRY_AFTER: Told = Told {
    name: "Retry-After",
    component: "RetryAfter",
    kind: What::Seconds,
    about: "Seconds to wait before trying again, where known.",
};

/// Returns all of them by the names of their components.
pub(super) fn components() -> impl Iterator<Item = (&'static str, Header)> {
    let alone = [REQUEST_ID, OPERATION, RETRY_AFTER];
    let all = alone.into_iter().chain(CHANGED).chain(LIMITS).chain(KEPT);
    all.map(|told| (told.component, told.header()))
}

/// Refers to headers in an answer.
pub(super) fn refer(response: &mut Response, headers: impl IntoIterator<Item = Told>) {
    for told in headers {
        response.headers.insert(told.name.to_owned(), RefOr::Ref(told.reference()));
    }
}

/// Lists the headers of an endpoint of ours that has done what it was asked to.
pub(super) fn of_own(own: Own) -> Vec<Told> {
    let mut headers = vec![REQUEST_ID];
    if own.access() != Access::Public {
        headers.extend(LIMITS);
    }
    if own.changes() {
        headers.extend(CHANGED);
    }
    let names_operation = matches!(
        own,
        Own::GetOperation
            | Own::WaitOperation
            | Own::TrackOperation
            | Own::TrackProjectOperation
            | Own::CreateTask
    );
    if names_operation {
        headers.push(OPERATION);
    }
    headers
}

impl Told {
    fn reference(self) -> Ref {
        Ref::new(format!("#/components/headers/{}", self.component))
    }

    fn header(self) -> Header {
        let schema = match self.kind {
            What::Text => ObjectBuilder::new().schema_type(Type::String),
            What::Seconds => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)),
        };
        HeaderBuilder::new().schema(Some(Schema::from(schema))).description(Some(self.about)).build()
    }
}
