//! One harmless read of an upstream, to find out whether it can be used before anybody depends on it.
//!
//! Which read is found by its descriptors: of the methods that change nothing and take no body, the one that needs to be
//! told the least. Names that cannot be known are made up; that nothing is there by such a name is an answer like any.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::HeaderValue;

use super::routing_header;
use crate::{
    error::{Code, Error, Result},
    schema::{Binding, Body, Catalog, Effect, FieldPath, Method, Segment},
    transcode::{Query, Transcoder, UnknownFields},
    upstream::{Call, Timeout, Upstream},
};

/// What stands for a name that cannot be known. No one has it.
const MADE_UP: &str = "causeway-check";

/// What is filled into the paths of resources.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'s> {
    /// For `projects/*`.
    pub project: Option<&'s str>,
    /// For `locations/*`.
    pub location: &'s str,
}

/// Why there is nothing to read.
#[derive(Debug)]
pub enum NoProbe {
    /// Every read needs a project, and none is known.
    ProjectUnknown,
    /// No method reads without a body, or none is served at all.
    NothingToRead,
    /// The request cannot be made: the project or the location is not one, or the descriptors do not fit together.
    Unfit(Error),
}

/// A read that is about to be made.
#[derive(Debug)]
pub struct Probe {
    /// What a caller of the gateway would ask, e.g. `GET /v1/projects/acme/locations`.
    pub request: String,
    upstream: Arc<Upstream>,
    call: Call,
    made_up: bool,
}

/// A way to fill a template.
struct Filled<'m> {
    method: &'m Method,
    binding: &'m Binding,
    segments: Vec<&'m str>,
    wildcards: usize,
    made_up: usize,
    lacks_project: bool,
}

impl Probe {
    /// Chooses a read.
    ///
    /// # Errors
    /// There is none that can be made.
    pub fn choose(
        catalog: &Catalog,
        transcoder: &Transcoder,
        upstream: &Arc<Upstream>,
        surroundings: Surroundings<'_>,
    ) -> Result<Self, NoProbe> {
        let methods = catalog.methods.iter().filter(|method| *method.upstream == *upstream.key());
        let filled = methods
            .filter(|method| method.effect == Effect::ReadOnly && !method.server_streaming)
            .filter_map(|method| fill(method, method.bindings.first()?, surroundings))
            .min_by_key(|filled| (filled.made_up, filled.wildcards, filled.method.list.is_none()))
            .ok_or(NoProbe::NothingToRead)?;
        if filled.lacks_project {
            return Err(NoProbe::ProjectUnknown);
        }
        Ok(Self {
            request: format!("{} {}", filled.binding.verb, path(&filled)),
            upstream: Arc::clone(upstream),
            call: call(catalog, transcoder, &filled).map_err(NoProbe::Unfit)?,
            made_up: filled.made_up > 0,
        })
    }

    /// Makes the call. `authorization` is what a caller would hand over for the upstream; it goes up where the upstream
    /// takes callers' credentials. `time_max` is for all of it.
    ///
    /// # Errors
    /// What the upstream answered or why it did not, unless it is that a name that was made up does not exist.
    pub async fn make(mut self, authorization: Option<HeaderValue>, time_max: Duration) -> Result<()> {
        self.call.authorization = authorization;
        self.call.timeout = Some(Timeout::of(time_max));
        match self.upstream.unary(self.call).await {
            Ok(_) => Ok(()),
            Err(error) if self.made_up && error.reason().is_none() && is_about_the_name(error.code()) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn call(catalog: &Catalog, transcoder: &Transcoder, filled: &Filled<'_>) -> Result<Call> {
    let Filled { method, binding, .. } = filled;
    let variables = binding.template.variables();
    let captures: Vec<Cow<'_, str>> = (0..variables.len())
        .map(|index| filled.segments[binding.template.span(index)].join("/").into())
        .collect();
    let names: Vec<&str> = variables.iter().map(FieldPath::as_str).collect();
    let plan = transcoder.request(method.input, &names, &binding.body)?;
    let mut query = Query::default();
    // A page of one: some services insist on a size, and nobody reads it.
    if catalog.pool.message(method.input).field("page_size").is_some() {
        query.pairs.push(("page_size".into(), "1".into()));
    }
    let parsed = plan.to_wire(&captures, &query, b"", UnknownFields::Reject)?;
    Ok(Call {
        path: method.grpc_path.parse().map_err(Error::internal)?,
        message: parsed.bytes.into(),
        metadata: Vec::new(),
        routing: routing_header::of(variables, &captures),
        timeout: None,
        retryable: false,
        authorization: None,
    })
}

fn is_about_the_name(code: Code) -> bool {
    matches!(code, Code::NotFound | Code::InvalidArgument)
}

fn fill<'m>(method: &'m Method, binding: &'m Binding, surroundings: Surroundings<'m>) -> Option<Filled<'m>> {
    if binding.verb != "GET" || binding.body != Body::None {
        return None;
    }
    let mut filled =
        Filled { method, binding, segments: Vec::new(), wildcards: 0, made_up: 0, lacks_project: false };
    for segment in binding.template.segments() {
        let before = filled.segments.last().copied();
        let text = match (segment, before) {
            (Segment::Literal(text), _) => &**text,
            (Segment::Any, Some("projects")) => {
                filled.lacks_project |= surroundings.project.is_none();
                surroundings.project.unwrap_or_default()
            }
            (Segment::Any, Some("locations")) => surroundings.location,
            (Segment::Any | Segment::AnyDepth, _) => {
                filled.made_up += 1;
                MADE_UP
            }
        };
        filled.wildcards += usize::from(!matches!(segment, Segment::Literal(_)));
        filled.segments.push(text);
    }
    Some(filled)
}

fn path(filled: &Filled<'_>) -> String {
    let mut path: String = filled.segments.iter().flat_map(|segment| ["/", segment]).collect();
    if let Some(verb) = filled.binding.template.custom_verb() {
        path.push(':');
        path.push_str(verb);
    }
    path
}
