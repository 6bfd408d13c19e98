//! What the catalog says about operations: which methods start them, and where they are listed.

use std::collections::HashMap;

use super::Role;
use crate::schema::{Catalog, PollHints, RouteTable};

/// What the catalog says.
pub(super) struct Known {
    hints: HashMap<(String, String), PollHints>,
    /// By upstream and method that starts one: the collection that it works in, e.g. `instances`.
    collections: HashMap<(String, String), String>,
    /// By upstream: the templates of its lists of operations.
    lists: HashMap<String, RouteTable<()>>,
    /// Upstreams that run backfills.
    backfills: Vec<String>,
}

impl Known {
    /// Reads it out of the catalog.
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut known = Self {
            hints: HashMap::new(),
            collections: HashMap::new(),
            lists: HashMap::new(),
            backfills: Vec::new(),
        };
        for method in &catalog.methods {
            let upstream = method.upstream.to_string();
            match Role::of(method) {
                Some(role @ (Role::StartsLro | Role::StartsBackfill)) => {
                    let key = (upstream.clone(), method.full_name.clone());
                    known.collections.insert(key.clone(), method.collection.clone());
                    known.hints.insert(key, method.hints);
                    if role == Role::StartsBackfill {
                        known.backfills.push(upstream);
                    }
                }
                Some(Role::ListsLros) => {
                    let table = known.lists.entry(upstream).or_default();
                    for binding in method.bindings.iter().filter(|binding| binding.verb == "GET") {
                        // Twice the same template is the same list.
                        let _known = table.insert("GET", &binding.template, ());
                    }
                }
                _ => {}
            }
        }
        known
    }

    /// Returns how operations of a method are best looked after.
    pub(super) fn hints(&self, upstream: &str, method: &str) -> PollHints {
        self.hints.get(&(upstream.to_owned(), method.to_owned())).copied().unwrap_or_default()
    }

    /// Whether this upstream runs backfills.
    pub(super) fn runs_backfills(&self, upstream: &str) -> bool {
        self.backfills.iter().any(|key| key == upstream)
    }

    /// Returns what a list of operations calls the place where this one lives; empty where nothing lists it.
    pub(super) fn parent_of(&self, upstream: &str, name: &str) -> String {
        let collection = name.rsplit_once('/').map_or("", |(collection, _)| collection);
        let table = self.lists.get(upstream);
        table.and_then(|table| listed(table, &format!("/v1/{collection}"))).unwrap_or_default()
    }

    /// Returns the collection that a method which starts an operation works in.
    pub(super) fn collection(&self, upstream: &str, method: &str) -> Option<&str> {
        self.collections.get(&(upstream.to_owned(), method.to_owned())).map(String::as_str)
    }

    /// Returns the places where operations on a resource may be listed, the nearest first.
    pub(super) fn places_of(&self, upstream: &str, name: &str) -> Vec<String> {
        let Some(table) = self.lists.get(upstream) else { return Vec::new() };
        let segments: Vec<&str> = name.split('/').collect();
        let nearest_first = (2..=segments.len()).rev();
        nearest_first
            .filter_map(|length| listed(table, &format!("/v1/{}/operations", segments[..length].join("/"))))
            .collect()
    }
}

/// Returns what a path names, if there is such a list.
fn listed(table: &RouteTable<()>, path: &str) -> Option<String> {
    table.find("GET", path).ok()?.captures.first().map(ToString::to_string)
}
