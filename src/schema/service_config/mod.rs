//! The service YAML of an upstream: which services its host offers, and what their descriptors do not say.
//!
//! The format is the published one (`type: google.api.Service`), of which three parts are read: `apis`, `http.rules` and
//! the poll hints in `publishing.method_settings`. Everything else there is somebody else's business and is skipped.
//! One more key, `causeway`, is ours ([`Facts`]); in it and in the http rules an unknown key is an error, since a typo in
//! `permission` must not open a door.
//!
//! For one selector the last http rule and the last poll hints win. Facts are merged key by key, the later rule first, so
//! that a rule for `pkg.Service.*` can be followed by one for a single method.
//!
//! Selectors are checked against the methods that exist in [`super::Catalog`]; this part knows no descriptors.

mod document;
mod duration;
mod facts;

use serde_saphyr::Spanned;

use self::document::Document;
pub use self::facts::{CacheRule, Derive, Facts, ListRule, Part, SecretField, ToldEvent};
use super::proto::{CustomPattern, HttpRule, Pattern};

/// Bytes of one service YAML.
pub const SERVICE_CONFIG_BYTES_MAX: usize = 1 << 20;
/// Nodes of one service YAML, those that aliases repeat included.
const NODES_MAX: usize = 100_000;
const TYPE: &str = "google.api.Service";

/// A service YAML that cannot be used, in words that name the file, the line and the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfigError(pub String);

impl std::fmt::Display for ServiceConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServiceConfigError {}

/// What a service YAML says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceConfig {
    /// The name that errors call it by: a file name.
    pub file: String,
    /// Host name of the service, e.g. `datastream.googleapis.com`; empty if not given.
    pub name: String,
    /// Full names of the services that the host offers.
    pub services: Vec<String>,
    http: Vec<(Selector, HttpRule)>,
    polling: Vec<(Selector, PollHints)>,
    facts: Vec<(Selector, Facts)>,
}

/// Which methods a rule is about, and where that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    /// A full method name, or a prefix and `*`.
    pub(super) text: String,
    /// Line in the file, from 1.
    pub(super) line: u64,
}

/// How an operation is best polled.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PollHints {
    /// Wait before the first poll.
    pub initial_poll_delay: Option<std::time::Duration>,
    /// Factor from one wait to the next, 1 or more.
    pub poll_delay_multiplier: Option<f64>,
    /// Longest wait.
    pub max_poll_delay: Option<std::time::Duration>,
    /// After how long a client gives up.
    pub total_poll_timeout: Option<std::time::Duration>,
}

impl ServiceConfig {
    /// Parses a service YAML; `file` is the name that errors call it by.
    ///
    /// # Errors
    /// Text that is no YAML, larger than [`SERVICE_CONFIG_BYTES_MAX`], or says something that cannot be meant.
    pub fn parse(file: &str, text: &str) -> Result<Self, ServiceConfigError> {
        let fail = |line: u64, why: &str| ServiceConfigError(format!("{file}: line {line}: {why}"));
        if text.len() > SERVICE_CONFIG_BYTES_MAX {
            return Err(ServiceConfigError(format!("{file}: larger than {SERVICE_CONFIG_BYTES_MAX} bytes")));
        }
        let options = serde_saphyr::options! {
            with_snippet: false,
            budget: serde_saphyr::budget! { max_events: NODES_MAX, max_depth: 64 },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: NODES_MAX },
        };
        let document: Document = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| ServiceConfigError(format!("{file}: {error}")))?;

        if let Some(kind) = document.kind.filter(|kind| kind.value != TYPE) {
            return Err(fail(kind.referenced.line(), &format!("type is {:?}, not {TYPE}", kind.value)));
        }
        let mut config =
            Self { file: file.to_owned(), name: document.name.unwrap_or_default(), ..Self::default() };
        config.services = document.apis.into_iter().flatten().map(|api| api.name).collect();
        for rule in document.http.and_then(|http| http.rules).unwrap_or_default() {
            let Some(selector) = &rule.selector else {
                return Err(ServiceConfigError(format!("{file}: an http rule has no selector")));
            };
            let line = selector.referenced.line();
            let selector = Selector::exact(selector).map_err(|why| fail(line, &why))?;
            config.http.push((selector, http_rule(rule).map_err(|why| fail(line, &why))?));
        }
        for settings in
            document.publishing.and_then(|publishing| publishing.method_settings).unwrap_or_default()
        {
            let Some(polling) = settings.long_running else { continue };
            let line = settings.selector.referenced.line();
            let selector = Selector::exact(&settings.selector).map_err(|why| fail(line, &why))?;
            config.polling.push((selector, polling.hints().map_err(|why| fail(line, &why))?));
        }
        for rule in document.causeway.and_then(|causeway| causeway.rules).unwrap_or_default() {
            let line = rule.selector.referenced.line();
            let selector = Selector::pattern(&rule.selector).map_err(|why| fail(line, &why))?;
            let facts = Facts::read(rule, &format!("{file}: line {line}")).map_err(|why| fail(line, &why))?;
            config.facts.push((selector, facts));
        }
        Ok(config)
    }

    /// Returns the http rule of a method, which replaces the annotated ones.
    pub fn http_rule(&self, method: &str) -> Option<&HttpRule> {
        self.http.iter().rev().find(|(selector, _)| selector.matches(method)).map(|(_, rule)| rule)
    }

    /// Returns the poll hints of a method that starts operations.
    pub fn poll_hints(&self, method: &str) -> PollHints {
        let hints = self.polling.iter().rev().find(|(selector, _)| selector.matches(method));
        hints.map(|(_, hints)| *hints).unwrap_or_default()
    }

    /// Returns what the `causeway` rules say about a method, merged.
    pub fn facts(&self, method: &str) -> Facts {
        let mut merged = Facts::default();
        for (_, facts) in self.facts.iter().filter(|(selector, _)| selector.matches(method)) {
            merged.overlay(facts);
        }
        merged
    }

    /// Returns the selectors of all rules.
    pub(super) fn selectors(&self) -> impl Iterator<Item = &Selector> {
        let http = self.http.iter().map(|(selector, _)| selector);
        let polling = self.polling.iter().map(|(selector, _)| selector);
        http.chain(polling).chain(self.facts.iter().map(|(selector, _)| selector))
    }

    /// Whether an http rule names a method of this service.
    pub(super) fn binds(&self, service: &str) -> bool {
        self.http.iter().any(|(selector, _)| selector.service() == service)
    }
}

impl Selector {
    fn exact(text: &Spanned<String>) -> Result<Self, String> {
        if text.value.contains('*') {
            return Err(format!("selector {:?}: this rule is about one method, named in full", text.value));
        }
        Self::pattern(text)
    }

    fn pattern(text: &Spanned<String>) -> Result<Self, String> {
        let name = text.value.strip_suffix('*').unwrap_or(&text.value);
        if text.value.is_empty() || name.contains(|letter: char| letter == '*' || letter.is_whitespace()) {
            return Err(format!("selector {:?} is neither a method name nor a prefix and \"*\"", text.value));
        }
        Ok(Self { text: text.value.clone(), line: text.referenced.line() })
    }

    /// Whether the rule is about `method`, a full name.
    pub(super) fn matches(&self, method: &str) -> bool {
        match self.text.strip_suffix('*') {
            Some(prefix) => method.starts_with(prefix),
            None => method == self.text,
        }
    }

    /// Returns the service that the selector names.
    pub(super) fn service(&self) -> &str {
        self.text.rsplit_once('.').map_or("", |(service, _)| service)
    }
}

/// Turns a rule of the YAML into the annotation it stands for.
fn http_rule(rule: document::HttpRule) -> Result<HttpRule, String> {
    let custom =
        rule.custom.map(|custom| Pattern::Custom(CustomPattern { kind: custom.kind, path: custom.path }));
    let patterns = [
        rule.get.map(Pattern::Get),
        rule.put.map(Pattern::Put),
        rule.post.map(Pattern::Post),
        rule.delete.map(Pattern::Delete),
        rule.patch.map(Pattern::Patch),
        custom,
    ];
    let mut patterns = patterns.into_iter().flatten();
    let pattern = patterns
        .next()
        .ok_or("a binding without a path: give it one of get, put, post, delete, patch and custom")?;
    if patterns.next().is_some() {
        return Err("a binding with two paths: move one to additional_bindings".to_owned());
    }
    let additional = rule.additional_bindings.unwrap_or_default().into_iter();
    Ok(HttpRule {
        selector: rule.selector.map(|selector| selector.value).unwrap_or_default(),
        pattern: Some(pattern),
        body: rule.body.unwrap_or_default(),
        response_body: rule.response_body.unwrap_or_default(),
        additional_bindings: additional.map(http_rule).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
