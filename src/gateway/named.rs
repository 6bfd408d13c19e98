//! What a request names beside the resource in its path: where a stream reads from, what a backup is a copy of.
//!
//! Upstreams see with the gateway's own account, which may see what the caller may not. So whatever a request names that could be
//! asked for here takes the same role as the resource in the path does.

use std::{borrow::Cow, collections::HashSet};

use super::{Route, is_below};
use crate::{
    error::{Error, Result},
    model::Principal,
    schema::{Binding, Catalog, Segment, check_name, is_version},
};

/// Names in one request that are looked at.
const NAMES_MAX: usize = 1000;
/// What names begin with that all upstreams have in common.
const PROJECTS: &str = "projects/";

/// The kinds of names that paths have: `projects/instances/backups/` stands for `projects/*/instances/*/backups/*`. What is
/// below no project is a name at its own upstream only, whose key stands before it.
#[derive(Default)]
pub(super) struct Named(HashSet<String>);

impl Named {
    /// Finds the kinds of names in the paths of all methods.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let kinds = catalog.methods.iter().flat_map(|method| {
            let kinds = method.bindings.iter().filter_map(kind_in);
            kinds.map(|kind| known(&method.upstream, kind))
        });
        Self(kinds.collect())
    }

    /// Returns the name of what could be asked for here, if a text to an upstream is one: as paths have it, or as the URL of a
    /// service.
    fn read<'t>(&self, upstream: &str, text: &'t str) -> Option<&'t str> {
        if !text.contains('/') {
            return None;
        }
        let name = match text.split_once("//") {
            Some(("" | "https:" | "http:", full)) => full.split_once('/')?.1,
            _ => text,
        };
        let name = match name.strip_prefix('/').unwrap_or(name).split_once('/') {
            Some((version, rest)) if is_version(version) => rest,
            _ => name,
        };
        let mut kind = String::new();
        for (at, segment) in name.split('/').enumerate() {
            if segment.is_empty() {
                return None;
            }
            if at % 2 == 0 {
                kind.push_str(segment);
                kind.push('/');
            }
        }
        let is_whole = name.split('/').count() % 2 == 0;
        (is_whole && self.0.contains(&known(upstream, kind))).then_some(name)
    }

    /// Refuses a request that names what its caller may not use so.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, with the name; `INVALID_FIELD` for what no path could have; `LIMIT_EXCEEDED` for too many.
    pub(super) fn require(
        &self,
        route: &Route,
        principal: &Principal,
        captures: &[Cow<'_, str>],
        message: &[u8],
    ) -> Result<()> {
        let resource = route.resource(captures);
        // It was looked at before, and may have a `-` in it that is narrowed later. What a path has in parts is looked at as a
        // whole.
        let is_of_path = |text: &str| {
            (resource == text || is_below(&resource, text)) && captures.iter().any(|value| value == text)
        };
        let mut seen = HashSet::new();
        route.request.message().texts(message, route.intent, |text| {
            if is_of_path(text) {
                return Ok(());
            }
            let Some(name) = self.read(&route.upstream_key, text).filter(|name| seen.insert(*name)) else {
                return Ok(());
            };
            if seen.len() > NAMES_MAX {
                return Err(Error::limit(format!("The request names more than {NAMES_MAX} resources.")));
            }
            check_name(name).map_err(|error| error.at("A resource that the request names"))?;
            route.require(principal, name)
        })
    }
}

/// Returns a kind as it is kept.
fn known(upstream: &str, kind: String) -> String {
    if kind.starts_with(PROJECTS) { kind } else { [upstream, " ", &kind].concat() }
}

/// Returns the kind of the name that a path has, with a slash behind each collection. `None` for what alternates not between
/// collections and ids.
fn kind_in(binding: &Binding) -> Option<String> {
    let template = &binding.template;
    let segments = template.segments();
    let version = |segment: &Segment| matches!(segment, Segment::Literal(text) if is_version(text));
    let start = segments.iter().position(version).map_or(0, |at| at + 1);
    let last = template.variables().len().checked_sub(1)?;
    let mut kind = String::new();
    for pair in segments.get(start..template.span(last).end)?.chunks(2) {
        let [Segment::Literal(collection), Segment::Any] = pair else { return None };
        kind.push_str(collection);
        kind.push('/');
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Body;

    fn named(templates: &[&str]) -> Named {
        let binding = |template: &&str| Binding {
            verb: "GET".to_owned(),
            template: template.parse().unwrap(),
            body: Body::None,
            response_body: None,
        };
        let kinds = templates.iter().map(binding).filter_map(|binding| kind_in(&binding));
        Named(kinds.map(|kind| known("here", kind)).collect())
    }

    #[test]
    fn a_name_is_of_a_kind_that_paths_have() {
        let named = named(&[
            "/v1/{name=projects/*/things/*}:run",
            "/v1/{parent=shelves/*}/books",
            "/v1/projects/{project}/zones/{zone}/disks",
            "/v1/{resource=**}:getIamPolicy",
            "/v1/{name=folders/**}",
            "/v1/{name}",
        ]);
        for name in ["projects/p/things/t", "shelves/s", "projects/-/zones/z"] {
            assert_eq!(named.read("here", name), Some(name));
            for before in ["//svc.example.com/", "https://svc.example.com/v1/", "/v1/", "v1/"] {
                assert_eq!(named.read("here", &format!("{before}{name}")), Some(name), "{before}");
            }
            let elsewhere = name.starts_with(PROJECTS).then_some(name);
            assert_eq!(named.read("elsewhere", name), elsewhere);
        }
        for other in [
            "",
            "shelves",
            "shelves/",
            "shelves/s/books",
            "shelves/s/books/b",
            "folders/f",
            "projects/p",
            "see shelves/s",
            "//shelves/s",
            "projects//things/t",
        ] {
            assert_eq!(named.read("here", other), None, "{other}");
        }
    }
}
