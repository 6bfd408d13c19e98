//! One rpc of one upstream, with everything that later parts ask about it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    binding::Binding,
    collection,
    descriptor::{Comment, Kind, MessageId, Pool, Rpc, Service, ServiceId},
    effect::Effect,
    list::List,
    long_running::LongRunning,
    mask::UpdateMask,
    permission,
    secret::SecretTypes,
    service_config::{CacheRule, Facts, Part, PollHints},
    tells::Tells,
    template::Segment,
};

/// A method that has a path. A method of a mixin exists once per upstream that binds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// Key of the upstream that serves it.
    pub upstream: Arc<str>,
    /// The service it belongs to.
    pub service: ServiceId,
    /// Full name, e.g. `google.longrunning.Operations.GetOperation`.
    pub full_name: String,
    /// Path of the gRPC call, e.g. `/google.longrunning.Operations/GetOperation`.
    pub grpc_path: String,
    /// Request type.
    pub input: MessageId,
    /// Response type.
    pub output: MessageId,
    /// Answers with a stream.
    pub server_streaming: bool,
    /// Verbs and paths; the first is the primary one. Never empty.
    pub bindings: Vec<Binding>,
    /// Whether it changes anything.
    pub effect: Effect,
    /// The collection it works on, e.g. `connections`.
    pub collection: String,
    /// What a caller needs, e.g. `bigqueryconnection.connections.get`.
    pub permission: String,
    /// How it pages, if it does.
    pub list: Option<List>,
    /// What is known of the operations it starts, if it does.
    pub long_running: Option<LongRunning>,
    /// The event of what it has done, where a rule says so.
    pub tells: Option<Tells>,
    /// What it starts, where its answer does not tell.
    pub starts: Option<String>,
    /// How what it starts is best polled.
    pub hints: PollHints,
    /// Paths of the request fields that are secret, by original names; a path through a list or map means every element.
    pub secret_fields: Vec<String>,
    /// Whether the request has a string field `request_id`, by which the upstream tells repetitions apart.
    pub request_id: bool,
    /// The mask of an update.
    pub update_mask: Option<UpdateMask>,
    /// OAuth scopes of the service; for a mixin without any, those of the upstream's other services.
    pub oauth_scopes: Vec<String>,
    /// How its pages are cached.
    pub cache: CacheRule,
    /// Where the parts of `-` come from.
    pub parts: BTreeMap<String, Part>,
    /// Marked `deprecated = true`.
    pub deprecated: bool,
    /// What the proto says above it.
    pub comment: Comment,
}

/// Where a method comes from, for [`Method::of`].
pub(super) struct Origin<'o> {
    pub(super) pool: &'o Pool,
    pub(super) secrets: &'o SecretTypes,
    pub(super) upstream: &'o Arc<str>,
    pub(super) service: ServiceId,
    pub(super) rpc: &'o Rpc,
}

impl Method {
    /// Returns the name of the rpc, e.g. `GetOperation`.
    pub fn name(&self) -> &str {
        self.full_name.rsplit('.').next().unwrap_or_default()
    }

    /// Whether a path of it can be in a project. What a method without one starts belongs to none, unless the upstream's own
    /// name for it does.
    pub fn may_be_in_project(&self) -> bool {
        let leads = |segment: &Segment| match segment {
            Segment::Literal(text) => &**text == "projects",
            Segment::AnyDepth => true,
            Segment::Any => false,
        };
        self.bindings.iter().any(|binding| binding.template.segments().iter().any(leads))
    }

    /// Puts together what is known.
    ///
    /// # Errors
    /// What the YAML's facts say that the messages do not allow.
    pub(super) fn of(
        origin: &Origin<'_>,
        bindings: Vec<Binding>,
        facts: Facts,
        hints: PollHints,
    ) -> Result<Self, Vec<String>> {
        let Origin { pool, secrets, upstream, service: id, rpc } = *origin;
        let service = pool.service(id);
        let mut problems = Vec::new();
        let list = List::of(pool, rpc, facts.list.as_ref()).unwrap_or_else(|why| {
            problems.push(why);
            None
        });
        let mut secret_fields = secrets.paths(pool, rpc.input);
        for secret in &facts.secret {
            let path = secret.path.as_str();
            match secret.path.resolve(pool, rpc.input) {
                Ok(_) if secret_fields.iter().any(|known| known == path) => {}
                Ok(_) => secret_fields.push(path.to_owned()),
                Err(_) if secret.where_present => {}
                Err(why) => problems.push(format!("secret: {why}")),
            }
        }
        let effect = Effect::of(pool, rpc, &bindings, facts.read_only);
        let tells = Tells::of(pool, secrets, rpc, effect, facts.tells).unwrap_or_else(|why| {
            problems.push(why);
            None
        });
        let update_mask =
            UpdateMask::of(pool, rpc, &bindings, effect, facts.derive_mask).unwrap_or_else(|why| {
                problems.push(why);
                None
            });
        if !problems.is_empty() {
            return Err(problems);
        }
        let primary = bindings.first().expect("a method without bindings is not made");
        let collection =
            facts.collection.unwrap_or_else(|| collection::of(&rpc.name, primary, list.is_some()));
        let permission =
            facts.permission.unwrap_or_else(|| permission::of(upstream, &collection, &rpc.name, primary));
        let request_id = pool.message(rpc.input).field("request_id");
        Ok(Self {
            upstream: Arc::clone(upstream),
            service: id,
            full_name: full_name(service, rpc),
            grpc_path: format!("/{}/{}", service.full_name, rpc.name),
            input: rpc.input,
            output: rpc.output,
            server_streaming: rpc.server_streaming,
            effect,
            collection,
            permission,
            list,
            long_running: LongRunning::of(pool, &service.full_name, rpc, hints),
            tells,
            starts: facts.starts,
            hints,
            secret_fields,
            request_id: request_id.is_some_and(|field| field.kind == Kind::String && !field.is_repeated()),
            update_mask,
            oauth_scopes: service.oauth_scopes.clone(),
            cache: facts.cache,
            parts: facts.parts,
            deprecated: rpc.deprecated,
            comment: rpc.comment.clone(),
            bindings,
        })
    }
}

/// Returns the full name of an rpc.
pub(super) fn full_name(service: &Service, rpc: &Rpc) -> String {
    format!("{}.{}", service.full_name, rpc.name)
}
