//! Which collections a page is made of, and which ones a mutation touches.

use std::sync::Arc;

use super::{is_below, project_of};
use crate::cache::Scope;

/// The name by which callers ask for all members of a collection at once.
pub(super) const ALL_OF_THEM: &str = "-";

/// Parts of a name past which nothing is kept: each may be a collection whose changes are looked out for.
const PARTS_MAX: usize = 32;

/// Returns what makes a page worthless: a change of its collection or of one above it, in this project or, where it reads
/// through a `-`, anywhere in it. What reads across projects is for nobody to keep: see [`is_across_projects`]. Where names
/// do not alternate between collections and their members, each part may be a collection.
pub(super) fn of_page(upstream: &str, resource: &str, collection: &str, alternates: bool) -> Arc<[Scope]> {
    let name = listed(resource, collection);
    let project = project_of(&name);
    let mut scopes = Vec::with_capacity(4);
    scopes.extend(project.map(Scope::project));
    let (mut end, mut across) = (0, false);
    for (at, segment) in name.split('/').enumerate() {
        end += segment.len() + usize::from(at > 0);
        if segment == ALL_OF_THEM {
            across = true;
        } else if alternates && at % 2 == 1 {
            // A member.
        } else if across {
            scopes.push(Scope::across(upstream, project.unwrap_or_default(), segment));
        } else {
            scopes.push(Scope::collection(upstream, &name[..end]));
        }
    }
    scopes.into()
}

/// Whether a resource has so many parts above it that its pages are not kept.
pub(super) fn is_too_deep(resource: &str) -> bool {
    resource.split('/').nth(PARTS_MAX).is_some()
}

/// Whether a resource is of all projects.
pub(super) fn is_across_projects(resource: &str) -> bool {
    resource == "projects/-" || is_below(resource, "projects/-")
}

/// Returns what a change of a resource, or in a collection of one, makes worthless.
pub(super) fn of_change(upstream: &str, resource: &str, collection: &str) -> Vec<Scope> {
    let name = changed(resource, collection);
    let mut scopes = Scope::touched(upstream, &name).to_vec();
    if name.split('/').any(|segment| segment == ALL_OF_THEM) {
        scopes.extend(project_of(&name).map(Scope::project));
    }
    scopes
}

/// The collection that a list of `collection` reads: `resource` itself, or one right below it.
fn listed(resource: &str, collection: &str) -> String {
    match resource.rsplit('/').next() == Some(collection) {
        true => resource.to_owned(),
        false => format!("{resource}/{collection}"),
    }
}

/// The same for a change: here `resource` may also be a member of the collection.
fn changed(resource: &str, collection: &str) -> String {
    match resource.rsplit_once('/') {
        Some((parent, _)) if parent.rsplit('/').next() == Some(collection) => parent.to_owned(),
        _ => listed(resource, collection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(changed: (&str, &str), listed: (&str, &str), alternates: bool) -> bool {
        let changed = of_change("u", changed.0, changed.1);
        of_page("u", listed.0, listed.1, alternates).iter().any(|scope| changed.contains(scope))
    }

    #[test]
    fn a_change_meets_the_pages_it_may_be_seen_in_and_no_others() {
        let streams = ("projects/p/locations/l", "streams");
        let objects = ("projects/p/locations/l/streams/s", "objects");
        for (changed, listed, expected) in [
            (("projects/p/locations/l", "streams"), streams, true),
            (("projects/p/locations/l/streams/s", "streams"), streams, true),
            (("projects/p/locations/l/streams/s", "streams"), objects, true),
            (("projects/p/locations/l/streams/s/objects/o", "objects"), objects, true),
            (("projects/p/locations/l/streams/s/objects/o", "objects"), streams, false),
            (("projects/p/locations/l/streams/t/objects/o", "objects"), objects, false),
            (("projects/p/locations/m/streams/s", "streams"), streams, false),
            (("projects/q/locations/l/streams/s", "streams"), streams, false),
            (("projects/p/locations/l/routes/s", "routes"), streams, false),
            (("projects/p/locations/l", "streams"), ("projects/p", "locations"), false),
            (("projects/p/instances/i", "instances"), ("projects/p/instances/-", "partitions"), true),
            (
                ("projects/p/instances/i/partitions/x", "partitions"),
                ("projects/p/instances/-", "partitions"),
                true,
            ),
            (
                ("projects/q/instances/i/partitions/x", "partitions"),
                ("projects/p/instances/-", "partitions"),
                false,
            ),
            (("projects/p/instances/-", "partitions"), ("projects/p/instances/i", "partitions"), true),
            (("shelves/s/books/b", "books"), ("shelves/s", "books"), true),
            (("shelves/s", "books"), ("shelves/-", "books"), true),
            (("agents", "agents"), ("agents", "agents"), true),
        ] {
            assert_eq!(meets(changed, listed, true), expected, "{changed:?} {listed:?}");
        }
        assert!(is_across_projects("projects/-") && is_across_projects("projects/-/locations/l"));
        assert!(!is_across_projects("projects/-x") && !is_across_projects("projects/p/locations/-"));
        let other = of_change("v", "projects/p/locations/l", "streams");
        assert!(!of_page("u", streams.0, streams.1, true).iter().any(|scope| other.contains(scope)));
    }

    /// Every second part was taken for a collection, also where something stands before them or between: such a page stayed
    /// as it was after a change.
    #[test]
    fn a_change_meets_pages_of_names_that_do_not_alternate() {
        for (changed, listed, expected) in [
            (("api/shelves/s/books/b", "books"), ("api/shelves/s", "books"), true),
            (("api/shelves/s", "shelves"), ("api/shelves/s", "books"), true),
            (("shop/books", "books"), ("shop/books", "books"), true),
            (("shelves/s/inbox", "books"), ("shelves/s/inbox", "books"), true),
            (("shelves/s", "shelves"), ("shelves/s/inbox", "books"), true),
            (("shelves/s/inbox/books/b", "books"), ("shelves/-/inbox", "books"), true),
            (("shelves/t/inbox", "books"), ("shelves/s/inbox", "books"), false),
        ] {
            assert_eq!(meets(changed, listed, false), expected, "{changed:?} {listed:?}");
        }
        assert!(is_too_deep(&"a/".repeat(PARTS_MAX)) && !is_too_deep("projects/p/locations/l"));
    }
}
