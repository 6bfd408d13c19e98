//! One binding, with everything worked out that does not depend on the request.

use std::sync::Arc;

use http::{HeaderName, uri::PathAndQuery};

use super::{Access, Gateway, announcement::Announcement, listing::Listing, naming::Naming, scopes};
use crate::{
    cache::Scope,
    crypto,
    error::{Error, Result},
    operations::Role,
    schema::{Binding, Effect, FieldPath, Method},
    transcode::{
        Intent, JsonOptions, Plan, Printed, RequestPlan, ResponsePlan, Selection, Transcoder, UnknownFields,
    },
    upstream::Upstream,
};

/// What a request to one binding needs.
pub struct Route {
    /// Verb and template, e.g. `GET /v1/{name=projects/*}`: the name of the binding in metrics and logs.
    pub label: String,
    /// Key of the upstream.
    pub upstream_key: Arc<str>,
    /// How requests become messages.
    pub request: RequestPlan,
    /// How messages become answers.
    pub response: ResponsePlan,
    /// Whether the upstream answers with a stream.
    pub server_streaming: bool,
    /// What a caller needs.
    pub access: Access,
    /// Full name of the method.
    pub method: String,
    /// Whether it changes anything.
    pub mutation: bool,
    /// Headers of the caller that its upstream is given because the configuration says so.
    pub forward_headers: Arc<[HeaderName]>,
    pub(super) announcement: Option<Arc<Announcement>>,
    pub(super) naming: Arc<Naming>,
    pub(super) role: Option<Role>,
    pub(super) keepable: Selection,
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) path: PathAndQuery,
    pub(super) variables: Vec<FieldPath>,
    /// What a request does with the resource in it.
    pub(super) intent: Intent,
    pub(super) unknown: UnknownFields,
    pub(super) repeat: Repeat,
    /// How it pages, if it does.
    pub(super) listing: Option<Listing>,
    collection: String,
}

/// When a failed call may be made again.
#[derive(Clone, Debug)]
pub(super) enum Repeat {
    /// It changes nothing.
    Always,
    /// The upstream recognises a repetition by the `request_id` in it, if there is one.
    WithRequestId(Plan),
    /// Nobody can tell whether the first one took effect.
    Never,
}

impl Route {
    /// Tells what it has to do with operations.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Returns what a caller needs.
    pub fn permission(&self) -> &str {
        &self.access.permission
    }

    /// Prints an answer as JSON, behind what is in `out`.
    ///
    /// # Errors
    /// It is no message of the method's response type, or too much to show; upstream and method are named.
    pub fn print(&self, message: &[u8], options: &JsonOptions<'_>, out: &mut Vec<u8>) -> Result<Printed> {
        self.response.to_json(message, options, out).map_err(|error| self.blame(error))
    }

    #[cold]
    fn blame(&self, error: Error) -> Error {
        let (upstream, method) = (&*self.upstream_key, &*self.method);
        let error = error.at(&format!("Upstream `{upstream}`, {method}"));
        error.with_metadata("upstream", upstream).with_metadata("method", method)
    }
}

/// Tells what requests to a binding do with the resource in them: standard methods are called so, have no custom verb, and an
/// update has the name of what it changes in its path (AIP-130, AIP-133, AIP-134).
fn intent(method: &Method, binding: &Binding) -> Intent {
    let is_own_name = |path: &FieldPath| path.segments().next_back() == Some("name");
    match &*binding.verb {
        _ if binding.template.custom_verb().is_some() => Intent::Other,
        "POST" if method.name().starts_with("Create") => Intent::Create,
        "PATCH" | "PUT"
            if method.name().starts_with("Update")
                && binding.template.variables().iter().any(is_own_name) =>
        {
            Intent::Update
        }
        _ => Intent::Other,
    }
}

/// Makes the plan of a binding's requests.
///
/// # Errors
/// The binding does not fit its method's messages.
pub(super) fn request_plan(
    transcoder: &Transcoder,
    method: &Method,
    binding: &Binding,
) -> Result<RequestPlan> {
    let names: Vec<&str> = binding.template.variables().iter().map(FieldPath::as_str).collect();
    let plan = transcoder.request(method.input, &names, &binding.body)?;
    match (&*binding.verb, &method.update_mask) {
        ("PATCH", Some(mask)) => plan.with_mask(mask),
        _ => Ok(plan),
    }
}

impl Gateway {
    /// Returns the headers of callers that an upstream is given because its section names them.
    pub(super) fn forward_headers(&self, upstream: &str) -> Arc<[HeaderName]> {
        self.config.get(upstream).map_or_else(Arc::default, |section| section.forward_headers.clone().into())
    }

    /// Works out the route of a binding.
    ///
    /// # Errors
    /// The binding does not fit its method's messages, or its rule tells of what is no type of event.
    pub fn route(&self, method: &Method, binding: &Binding) -> Result<Route> {
        let variables = binding.template.variables().to_vec();
        let unknown = self.config.get(&*method.upstream).map_or(UnknownFields::Reject, |upstream| {
            match upstream.unknown_fields {
                crate::config::UnknownFields::Reject => UnknownFields::Reject,
                crate::config::UnknownFields::Ignore => UnknownFields::Ignore,
                crate::config::UnknownFields::Warn => UnknownFields::Warn,
            }
        });
        let naming = Arc::new(Naming::of(&self.transcoder, method));
        let salt = crypto::sha256_of_each([
            env!("CARGO_PKG_VERSION").as_bytes(),
            &self.catalog.pool.version().to_be_bytes(),
            method.upstream.as_bytes(),
            method.full_name.as_bytes(),
        ]);
        Ok(Route {
            listing: Listing::of(self, method, binding, salt),
            collection: method.collection.clone(),
            label: format!("{} {}", binding.verb, binding.template),
            upstream_key: method.upstream.clone(),
            request: request_plan(&self.transcoder, method, binding)?,
            response: self.transcoder.response(method.output, binding.response_body.as_deref())?,
            server_streaming: method.server_streaming,
            access: Access::of(method, binding),
            method: method.full_name.clone(),
            mutation: method.effect == Effect::Mutation,
            forward_headers: self.forward_headers(&method.upstream),
            announcement: Announcement::of(&self.transcoder, method, &naming)?,
            naming,
            role: Role::of(method),
            keepable: self.transcoder.plan(method.input).keepable(&method.secret_fields),
            upstream: self.upstreams.get(&method.upstream).cloned(),
            path: method.grpc_path.parse().map_err(Error::internal)?,
            variables,
            intent: intent(method, binding),
            unknown,
            repeat: match method.effect {
                Effect::ReadOnly => Repeat::Always,
                Effect::Mutation if method.request_id => {
                    Repeat::WithRequestId(self.transcoder.plan(method.input))
                }
                Effect::Mutation => Repeat::Never,
            },
        })
    }
}

impl Route {
    /// Returns what a change through this binding makes worthless.
    pub(super) fn changed(&self, resource: &str) -> Vec<Scope> {
        scopes::of_change(&self.upstream_key, resource, &self.collection)
    }
}
