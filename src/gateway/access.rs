//! What a caller needs for a method, and on which resource: decided before anything is read, looked up or sent.

use std::borrow::Cow;

use super::{Route, across::Reads};
use crate::{
    error::Result,
    identity::access,
    model::{Principal, Role},
    schema::{Binding, Effect, Method, Segment, Template, is_version},
};

/// What follows this in a name is a project.
const PROJECTS: &str = "projects/";

/// What a caller needs to use one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The permission, e.g. `datastream.streams.get`.
    pub permission: String,
    /// The least role that has it.
    pub role: Role,
    name: Name,
}

/// Where the name of the resource is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    /// It is the value of the template's only variable: `/v1/{name=projects/*}`.
    Whole,
    /// It is made of several values and what stands between them: `/v1/projects/{project}/zones/{zone}`.
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    /// The value of a variable, which is one segment or several.
    Value {
        index: usize,
        single: bool,
    },
    /// A wildcard whose value nobody keeps: it could be anything.
    Unnamed,
}

impl Access {
    pub(super) fn of(method: &Method, binding: &Binding) -> Self {
        let read_only = method.effect == Effect::ReadOnly;
        Self {
            permission: method.permission.clone(),
            role: access::role_for(&method.permission, read_only),
            name: Name::of(binding),
        }
    }
}

/// Returns where names begin in a path: behind its version, and behind all that stands before a variable which holds a
/// name by itself, as in `/api/{name=projects/*}`. What stands before one that is a part of a name belongs to it.
fn start(template: &Template) -> usize {
    let segments = template.segments();
    let version = |segment: &Segment| matches!(segment, Segment::Literal(text) if is_version(text));
    let behind_version = segments.iter().position(version).map_or(0, |at| at + 1);
    let first = (!template.variables().is_empty()).then(|| template.span(0));
    let names = first.filter(|span| matches!(segments[span.start], Segment::Literal(_)));
    names.map_or(behind_version, |span| span.start)
}

/// Whether the names in a path are collections and their members by turns, and end with a collection.
pub(super) fn alternates(template: &Template) -> bool {
    let names = &template.segments()[start(template)..];
    let mut by_turns = names.iter().enumerate();
    names.len() % 2 == 1
        && by_turns.all(|(at, segment)| match segment {
            Segment::Literal(_) => at % 2 == 0,
            Segment::Any => at % 2 == 1,
            Segment::AnyDepth => false,
        })
}

impl Name {
    /// Reads the template from where names begin to its last variable; without one, to its end.
    fn of(binding: &Binding) -> Self {
        let template = &binding.template;
        let segments = template.segments();
        let start = start(template);
        let spans: Vec<_> = (0..template.variables().len()).map(|index| template.span(index)).collect();
        if let [only] = &spans[..]
            && only.start <= start
        {
            return Self::Whole;
        }
        let end = spans.last().map_or(segments.len(), |last| last.end);
        let mut parts = Vec::new();
        let mut at = start;
        while at < end {
            if let Some(index) = spans.iter().position(|span| span.start <= at && at < span.end) {
                let single = spans[index].len() == 1 && segments[at] != Segment::AnyDepth;
                parts.push(Part::Value { index, single });
                at = spans[index].end;
                continue;
            }
            parts.push(match &segments[at] {
                Segment::Literal(text) => Part::Literal(text.clone()),
                Segment::Any | Segment::AnyDepth => Part::Unnamed,
            });
            at += 1;
        }
        Self::Parts(parts)
    }

    fn fill<'c>(&self, captures: &'c [Cow<'_, str>]) -> Cow<'c, str> {
        let parts = match self {
            Self::Whole => return Cow::Borrowed(captures.first().map_or("", |value| value)),
            Self::Parts(parts) => parts,
        };
        let mut name = String::new();
        for part in parts {
            if !name.is_empty() {
                name.push('/');
            }
            match part {
                Part::Literal(text) => name.push_str(text),
                // Asks for all of them, and so needs a grant on all of them.
                Part::Unnamed => name.push('-'),
                Part::Value { index, single } => {
                    let value = captures.get(*index).map_or("", |value| value);
                    // A slash within one segment is not one between two.
                    match *single && value.contains('/') {
                        true => name.push_str(&value.replace('/', "%2F")),
                        false => name.push_str(value),
                    }
                }
            }
        }
        Cow::Owned(name)
    }
}

impl Route {
    /// Returns the canonical name of the resource that a request is about: the one that is checked, audited and sent.
    pub fn resource<'c>(&self, captures: &'c [Cow<'_, str>]) -> Cow<'c, str> {
        self.access.name.fill(captures)
    }

    /// Lets a principal use this binding on a resource, or refuses. What is read across is narrowed later, to what the
    /// principal may see; here it is enough that this may be something.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn authorize(&self, principal: &Principal, captures: &[Cow<'_, str>], resource: &str) -> Result<()> {
        if self.reads(captures) == Reads::Across && access::may_within(principal, self.access.role, resource)
        {
            return Ok(());
        }
        self.require(principal, resource)
    }

    /// Refuses a principal that may not use this binding on all of what a resource names.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`.
    pub fn require(&self, principal: &Principal, resource: &str) -> Result<()> {
        access::require(principal, &self.access.permission, self.access.role, resource)
    }
}

/// Whether a name is of something within a resource: its children, theirs, and not itself.
pub fn is_below(name: &str, resource: &str) -> bool {
    !resource.is_empty() && name.strip_prefix(resource).is_some_and(|rest| rest.starts_with('/'))
}

/// Returns the project that a resource belongs to; `None` for one without, and for all of them at once.
pub fn project_of(resource: &str) -> Option<&str> {
    let project = resource.strip_prefix(PROJECTS)?.split('/').next()?;
    (!project.is_empty() && project != "-").then_some(project)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Body;

    #[test]
    fn what_is_below_a_resource_begins_with_a_segment_of_its_own() {
        for (name, resource, expected) in [
            ("projects/p/things/t", "projects/p", true),
            ("projects/p/things/t", "projects/p/things", true),
            ("projects/p2/things/t", "projects/p", false),
            ("projects/p", "projects/p", false),
            ("projects", "projects/p", false),
            ("/things/t", "", false),
        ] {
            assert_eq!(is_below(name, resource), expected, "{name} below {resource}");
        }
    }

    fn name(template: &str, captures: &[&str]) -> String {
        let binding = Binding {
            verb: "GET".to_owned(),
            template: template.parse().unwrap(),
            body: Body::None,
            response_body: None,
        };
        let captures: Vec<Cow<'_, str>> = captures.iter().map(|value| (*value).into()).collect();
        Name::of(&binding).fill(&captures).into_owned()
    }

    #[test]
    fn the_name_is_what_the_path_says() {
        for (template, captures, expected) in [
            ("/v1/{name=projects/*/locations/*}", &["projects/p/locations/l"][..], "projects/p/locations/l"),
            ("/v1/{parent=projects/*}/things", &["projects/p"], "projects/p"),
            ("/v1/{thing.name=projects/*/things/*}", &["projects/p/things/t"], "projects/p/things/t"),
            ("/v1/{resource=**}:getIamPolicy", &["projects/p/things/t"], "projects/p/things/t"),
            ("/v1beta1/{name}", &["projects/p"], "projects/p"),
            ("/v1/projects/{project}/zones/{zone}/disks", &["p", "z"], "projects/p/zones/z"),
            ("/v1/projects/{project}/zones", &["p"], "projects/p"),
            ("/v1/projects/{project}", &["p/../q"], "projects/p%2F..%2Fq"),
            ("/v1/{parent=projects/*}/things/{thing}", &["projects/p", "t"], "projects/p/things/t"),
            ("/v1/shelves/*/books/{book}", &["b"], "shelves/-/books/b"),
            ("/api/v1/agents", &[], "agents"),
            ("/api/v1/agent/task/{c.name}/{meta}", &["n", "m"], "agent/task/n/m"),
            ("/status", &[], "status"),
            // A key for the project was refused: these were names of their own.
            ("/api/{name=projects/*/things/*}", &["projects/p/things/t"], "projects/p/things/t"),
            ("/v1/lib/{parent=projects/*}/things/{thing}", &["projects/p", "t"], "projects/p/things/t"),
            ("/v1/files/{path=**}", &["projects/p"], "files/projects/p"),
            ("/v1/{a=projects/*}/{b=things/*}", &["projects/p", "things/t"], "projects/p/things/t"),
        ] {
            assert_eq!(name(template, captures), expected, "{template}");
        }
    }

    #[test]
    fn names_alternate_or_not() {
        for (template, expected) in [
            ("/v1/{parent=projects/*/locations/*}/things", true),
            ("/v1/{name=projects/*/instances/*/operations}", true),
            ("/v1/projects/{project}/zones/{zone}/disks", true),
            ("/api/{parent=shelves/*}/books", true),
            ("/api/v1/agents", true),
            ("/api/shelves/{shelf}/books", false),
            ("/v1/{parent=shelves/*/inbox}/books", false),
            ("/v1/shop/books", false),
            ("/v1/{parent=**}/books", false),
            ("/v1/{parent}/books", false),
        ] {
            assert_eq!(alternates(&template.parse().unwrap()), expected, "{template}");
        }
    }

    #[test]
    fn a_project_is_the_first_part_of_a_name() {
        assert_eq!(project_of("projects/acme/locations/us"), Some("acme"));
        for without in ["projects/-", "projects/-/locations/us", "projects/", "shelves/s", "projects", ""] {
            assert_eq!(project_of(without), None, "{without}");
        }
    }
}
