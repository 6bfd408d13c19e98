//! All methods of all upstreams, and the route table over them.

use std::sync::Arc;

use super::{
    binding,
    builtin::{BUILTINS, Builtin, MIXINS},
    descriptor::{Pool, Rpc, Service, ServiceId},
    effect::Effect,
    method::{Method, Origin, full_name},
    problem::Problem,
    secret::SecretTypes,
    service_config::{Part, ServiceConfig},
};
use crate::error::nearest;

/// What the configuration says about an upstream, as far as descriptors are concerned.
#[derive(Clone, Debug)]
pub struct UpstreamSpec<'a> {
    /// Its key in the configuration, which is also the first segment of its own paths.
    pub key: &'a str,
    /// Full service names; empty for those of the known upstream, else of the YAML's `apis`.
    pub services: Vec<String>,
    /// File name and text of its service YAML; `None` for that of the known upstream, else none.
    pub service_config: Option<(String, String)>,
    /// Whether the paths are its own where another upstream claims them too.
    pub primary: bool,
    /// Whether the configuration has a section for it. One without is routed, so that it can answer that it is not
    /// configured, and gives way to all others.
    pub configured: bool,
}

/// Everything that is known about the methods behind the gateway.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The types.
    pub pool: Pool,
    /// The methods that have a path, by upstream, in the order of their protos.
    pub methods: Vec<Method>,
    /// What was left out, or is not what one may think, and why: for `causeway check`.
    pub notes: Vec<String>,
    pub(super) owners: Vec<Owner>,
}

/// An upstream, as the route table sees it.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) key: Arc<str>,
    pub(super) primary: bool,
    pub(super) configured: bool,
    /// The service YAML that speaks of it; empty without one.
    pub(super) service_config: String,
}

impl<'a> UpstreamSpec<'a> {
    /// Adds the known upstreams that the configuration does not mention.
    pub fn with_builtins(mut configured: Vec<Self>) -> Vec<Self> {
        for builtin in BUILTINS {
            if configured.iter().all(|spec| spec.key != builtin.key) {
                configured.push(Self {
                    key: builtin.key,
                    services: Vec::new(),
                    service_config: None,
                    primary: false,
                    configured: false,
                });
            }
        }
        configured
    }
}

impl Catalog {
    /// Puts together the methods of all upstreams.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first of it.
    pub fn build(pool: Pool, upstreams: &[UpstreamSpec<'_>]) -> Result<Self, Vec<Problem>> {
        let secrets = SecretTypes::of(&pool);
        let mut catalog = Self { pool, ..Self::default() };
        let mut problems = Vec::new();
        for spec in upstreams {
            let file = spec.service_config.as_ref().map(|(file, _)| file.clone());
            let owner = Owner {
                key: spec.key.into(),
                primary: spec.primary,
                configured: spec.configured,
                service_config: file.unwrap_or_default(),
            };
            if catalog.owners.iter().any(|other| other.key == owner.key) {
                problems.push(Problem::new(place(spec.key), "it is there twice", "remove one"));
                continue;
            }
            let mut build = Build {
                pool: &catalog.pool,
                secrets: &secrets,
                key: &owner.key,
                methods: Vec::new(),
                notes: &mut catalog.notes,
                problems: &mut problems,
            };
            build.upstream(spec);
            let methods = std::mem::take(&mut build.methods);
            catalog.methods.extend(methods);
            catalog.owners.push(owner);
        }
        if problems.is_empty() { Ok(catalog) } else { Err(problems) }
    }

    /// Collects the OAuth scopes of an upstream's services, each once. Any one of a service's scopes suffices for its
    /// methods.
    pub fn oauth_scopes(&self, upstream: &str) -> Vec<String> {
        let mut scopes: Vec<String> = Vec::new();
        for scope in self.methods.iter().filter(|m| *m.upstream == *upstream).flat_map(|m| &m.oauth_scopes) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }

    /// Returns the file that a rule about a method of this upstream belongs into: its service YAML, or what names one.
    pub fn rules_of(&self, upstream: &str) -> String {
        let owner = self.owners.iter().find(|owner| *owner.key == *upstream);
        match owner.map(|owner| &owner.service_config) {
            Some(file) if !file.is_empty() => file.clone(),
            _ => format!("a {}.service_config", place(upstream)),
        }
    }

    /// Finds a method by its upstream and its full name.
    pub fn find(&self, upstream: &str, full_name: &str) -> Option<&Method> {
        self.methods.iter().find(|method| *method.upstream == *upstream && method.full_name == full_name)
    }
}

/// The methods of one upstream in the making.
struct Build<'b> {
    pool: &'b Pool,
    secrets: &'b SecretTypes,
    key: &'b Arc<str>,
    methods: Vec<Method>,
    notes: &'b mut Vec<String>,
    problems: &'b mut Vec<Problem>,
}

impl Build<'_> {
    fn upstream(&mut self, spec: &UpstreamSpec<'_>) {
        let builtin = Builtin::find(spec.key);
        let config = match (&spec.service_config, builtin) {
            (Some((file, text)), _) => ServiceConfig::parse(file, text),
            // The YAML of a known upstream speaks of its own services, not of others that took its key.
            (None, Some(builtin)) if covers(builtin, &spec.services) => {
                ServiceConfig::parse(builtin.service_config.0, builtin.service_config.1)
            }
            (None, _) => Ok(ServiceConfig::default()),
        };
        let config = match config {
            Ok(config) => config,
            Err(error) => {
                return self.problem(
                    format!("{}.service_config", place(self.key)),
                    error.0,
                    "correct the file",
                );
            }
        };
        let services = self.services(spec, builtin, &config);
        let known = self.known_methods(&services, &config);
        self.check_selectors(&config, &known);
        let before = self.problems.len();
        for id in services {
            for rpc in &self.pool.service(id).methods {
                self.method(id, rpc, &config);
            }
        }
        if self.methods.is_empty() && self.problems.len() == before {
            self.notes.push(format!("{}: none of its methods has a path", place(self.key)));
        }
        self.check_parts(&known);
        self.lend_scopes();
    }

    /// Finds the services: as configured, else of the known upstream, else of the YAML; and the mixins that the YAML binds.
    fn services(
        &mut self,
        spec: &UpstreamSpec<'_>,
        builtin: Option<&Builtin>,
        config: &ServiceConfig,
    ) -> Vec<ServiceId> {
        let mut names: Vec<String> = match builtin {
            _ if !spec.services.is_empty() => spec.services.clone(),
            Some(builtin) => builtin.services.iter().map(|name| (*name).to_owned()).collect(),
            None => config.services.clone(),
        };
        let mixins = MIXINS.iter().filter(|mixin| config.binds(mixin)).map(|mixin| (*mixin).to_owned());
        names.extend(mixins);
        if names.is_empty() {
            self.problem(
                format!("{}.services", place(self.key)),
                "no service is named",
                "name them here, or give a service_config with apis",
            );
        }
        let mut found = Vec::new();
        for name in names {
            match self.pool.find_service(&name) {
                Some(id) if found.contains(&id) => {}
                Some(id) => found.push(id),
                None => {
                    let all = self.pool.services().map(|(_, service)| &*service.full_name);
                    let hint = nearest(&name, all).map(|name| format!("did you mean {name}? Otherwise "));
                    self.problem(
                        format!("{}.services", place(self.key)),
                        format!("{name} is in none of the loaded descriptor sets"),
                        format!("{}add its set to schema.descriptor_sets", hint.unwrap_or_default()),
                    );
                }
            }
        }
        found
    }

    /// Returns the full names of all methods that a rule of the YAML may be about.
    fn known_methods(&self, services: &[ServiceId], config: &ServiceConfig) -> Vec<String> {
        let listed = config.services.iter().filter_map(|name| self.pool.find_service(name));
        let mut ids: Vec<ServiceId> = services.iter().copied().chain(listed).collect();
        ids.sort_unstable();
        ids.dedup();
        let names =
            |service: &Service| service.methods.iter().map(|rpc| full_name(service, rpc)).collect::<Vec<_>>();
        ids.into_iter().flat_map(|id| names(self.pool.service(id))).collect()
    }

    fn check_selectors(&mut self, config: &ServiceConfig, known: &[String]) {
        for selector in config.selectors() {
            // A service that the host offers and nobody gave descriptors for is none of our business.
            let elsewhere = config.services.iter().any(|name| name == selector.service())
                && self.pool.find_service(selector.service()).is_none();
            if elsewhere || known.iter().any(|method| selector.matches(method)) {
                continue;
            }
            let meant = nearest(&selector.text, known.iter().map(String::as_str));
            self.problem(
                format!("{}: line {}", config.file, selector.line),
                format!("the selector {} matches no method of upstreams.{}", selector.text, self.key),
                meant.map_or("correct it, or add its service".to_owned(), |name| {
                    format!("did you mean {name}?")
                }),
            );
        }
    }

    fn method(&mut self, service: ServiceId, rpc: &Rpc, config: &ServiceConfig) {
        let home = self.pool.service(service);
        let name = full_name(home, rpc);
        let annotated = rpc.http.as_ref().filter(|_| !MIXINS.contains(&&*home.full_name));
        let Some(rule) = config.http_rule(&name).or(annotated) else {
            self.notes.push(format!("{}: {name} has no path and is not served", place(self.key)));
            return;
        };
        if rpc.client_streaming {
            self.notes.push(format!("{}: {name} takes a stream and is not served", place(self.key)));
            return;
        }
        let origin = Origin { pool: self.pool, secrets: self.secrets, upstream: self.key, service, rpc };
        let place = format!("{}: {name}", place(self.key));
        let home = if config.http_rule(&name).is_some() { &config.file } else { "its proto" };
        let bindings = match binding::compile(self.pool, rpc, rule) {
            Ok(bindings) => bindings,
            Err(problems) => {
                let way_out = format!("correct its http rule in {home}");
                return problems.into_iter().for_each(|what| self.problem(&place, what, &way_out));
            }
        };
        match Method::of(&origin, bindings, config.facts(&name), config.poll_hints(&name)) {
            Ok(method) => {
                let starts = method.long_running.is_some() && method.effect == Effect::Mutation;
                if starts && !method.may_be_in_project() {
                    self.notes.push(format!(
                        "{place} starts operations of no project; one is put on record only if the upstream's name for it \
                         begins with projects/"
                    ));
                }
                self.methods.push(method);
            }
            Err(problems) => {
                let way_out = format!("correct its rule under causeway in {}", config.file);
                problems.into_iter().for_each(|what| self.problem(&place, what, &way_out));
            }
        }
    }

    /// The methods that parts come from must exist: a fan-out that finds out at run time is too late.
    fn check_parts(&mut self, known: &[String]) {
        let mut missing = Vec::new();
        for method in &self.methods {
            for (part, source) in &method.parts {
                if let Part::Method(name) = source
                    && !known.contains(name)
                {
                    missing.push((method.full_name.clone(), part.clone(), name.clone()));
                }
            }
        }
        for (method, part, name) in missing {
            let meant = nearest(&name, known.iter().map(String::as_str));
            self.problem(
                format!("{}: {method}", place(self.key)),
                format!("parts.{part}: there is no method {name}"),
                meant.map_or("name a list method of this upstream".to_owned(), |name| {
                    format!("did you mean {name}?")
                }),
            );
        }
    }

    /// Mixins declare no OAuth scopes, or others than their host takes: they are called with those of the host's own.
    fn lend_scopes(&mut self) {
        let mut scopes: Vec<String> = Vec::new();
        let is_mixin =
            |method: &Method| MIXINS.iter().any(|mixin| method.full_name.starts_with(&format!("{mixin}.")));
        for method in self.methods.iter().filter(|method| !is_mixin(method)) {
            scopes.extend(
                method
                    .oauth_scopes
                    .iter()
                    .filter(|scope| !scopes.contains(scope))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        for method in self.methods.iter_mut().filter(|method| is_mixin(method)) {
            if !scopes.is_empty() {
                method.oauth_scopes.clone_from(&scopes);
            }
        }
    }

    fn problem(&mut self, place: impl Into<String>, what: impl Into<String>, way_out: impl Into<String>) {
        self.problems.push(Problem::new(place, what, way_out));
    }
}

/// Whether the YAML of a known upstream is about these services; none named means its own.
fn covers(builtin: &Builtin, services: &[String]) -> bool {
    services.is_empty() || services.iter().any(|name| builtin.services.contains(&name.as_str()))
}

/// Returns where the configuration speaks of an upstream.
pub(super) fn place(key: &str) -> String {
    format!("upstreams.{key}")
}

#[cfg(test)]
mod tests;
