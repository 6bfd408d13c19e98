//! Path templates as OpenAPI writes them: `{name=projects/*/locations/*}` becomes `projects/{project}/locations/{location}`.
//!
//! A variable that covers several segments is spelled out, one parameter for each wildcard, named after the resource
//! patterns of the protos, else after the collection before it. `**` has no counterpart in OpenAPI: it becomes one
//! parameter whose description says that slashes belong to it.

use std::collections::HashMap;

use super::prose::lower_camel;
use crate::schema::{Pool, Segment, Template};

/// A path, and what stands in braces in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// As OpenAPI writes it.
    pub(super) text: String,
    /// The parameters in order of appearance.
    pub(super) wildcards: Vec<Wildcard>,
}

/// One parameter of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// Name of the parameter.
    pub(super) name: String,
    /// Which variable of the template it is part of; `None` for a wildcard outside of variables.
    pub(super) variable: Option<usize>,
    /// Where it stands among the segments of that variable.
    pub(super) position: usize,
    /// Whether it is `**`.
    pub(super) deep: bool,
}

/// Names for wildcards.
#[derive(Default)]
pub(super) struct Names {
    /// By the pattern up to and with the wildcard: `projects/*/locations/*` is `location`.
    by_prefix: HashMap<String, String>,
    /// By the shape of a whole template: OpenAPI wants one spelling for one path.
    by_shape: HashMap<String, Vec<String>>,
}

impl Names {
    /// Reads the resource patterns of all messages.
    pub(super) fn new(pool: &Pool) -> Self {
        let mut by_prefix = HashMap::new();
        let resources = pool.messages().filter_map(|(_, message)| message.resource.as_ref());
        for pattern in resources.flat_map(|resource| &resource.pattern) {
            let mut prefix = String::new();
            for segment in pattern.split('/') {
                let variable = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                push(&mut prefix, if variable.is_some() { "*" } else { segment });
                if let Some(name) = variable {
                    by_prefix.entry(prefix.clone()).or_insert_with(|| lower_camel(name));
                }
            }
        }
        Self { by_prefix, by_shape: HashMap::new() }
    }

    /// Spells a template.
    pub(super) fn path(&mut self, template: &Template) -> Path {
        let mut wildcards = self.wildcards(template);
        let known = self
            .by_shape
            .entry(template.shape())
            .or_insert_with(|| wildcards.iter().map(|wildcard| wildcard.name.clone()).collect());
        for (wildcard, name) in wildcards.iter_mut().zip(known) {
            wildcard.name.clone_from(name);
        }
        let mut names = wildcards.iter().map(|wildcard| &wildcard.name);
        let mut text = String::new();
        for segment in template.segments() {
            text.push('/');
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Any | Segment::AnyDepth => {
                    text.push_str(&format!("{{{}}}", names.next().expect("a name for each wildcard")));
                }
            }
        }
        if text.is_empty() {
            text.push('/');
        }
        if let Some(verb) = template.custom_verb() {
            text.push_str(&format!(":{verb}"));
        }
        Path { text, wildcards }
    }

    fn wildcards(&self, template: &Template) -> Vec<Wildcard> {
        let mut wildcards: Vec<Wildcard> = Vec::new();
        for (at, segment) in template.segments().iter().enumerate() {
            if matches!(segment, Segment::Literal(_)) {
                continue;
            }
            let variable =
                (0..template.variables().len()).find(|variable| template.span(*variable).contains(&at));
            let start = variable.map_or(at, |variable| template.span(variable).start);
            let mut name = match variable {
                Some(variable) if template.span(variable).len() == 1 => {
                    // Without dots, which generators take for something else.
                    lower_camel(&template.variables()[variable].as_str().replace('.', "_"))
                }
                _ => self.name(&template.segments()[start..=at], template.segments().get(at.wrapping_sub(1))),
            };
            if wildcards.iter().any(|other| other.name == name) {
                name = format!("{name}{}", wildcards.len() + 1);
            }
            wildcards.push(Wildcard {
                name,
                variable,
                position: at - start,
                deep: *segment == Segment::AnyDepth,
            });
        }
        wildcards
    }

    fn name(&self, segments: &[Segment], before: Option<&Segment>) -> String {
        let mut prefix = String::new();
        for segment in segments {
            push(&mut prefix, &segment.to_string());
        }
        if let Some(name) = self.by_prefix.get(&prefix) {
            return name.clone();
        }
        match before {
            Some(Segment::Literal(collection)) => singular(collection),
            _ => "segment".to_owned(),
        }
    }
}

fn push(path: &mut String, segment: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(segment);
}

/// Names one member of a collection.
fn singular(collection: &str) -> String {
    let name = match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None if collection.ends_with("sses") => collection.trim_end_matches("es").to_owned(),
        None if collection.ends_with("elves") => format!("{}f", collection.trim_end_matches("ves")),
        None => match collection.strip_suffix('s').filter(|stem| !stem.ends_with('s')) {
            Some(stem) => stem.to_owned(),
            None => collection.to_owned(),
        },
    };
    lower_camel(&name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let by_prefix = [("projects/*/sets/*".to_owned(), "configSet".to_owned())].into();
        Names { by_prefix, by_shape: HashMap::new() }
    }

    fn spelled(template: &str) -> String {
        names().path(&template.parse().expect(template)).text
    }

    #[test]
    fn every_wildcard_gets_a_name() {
        for (template, expected) in [
            (
                "/v1/{name=projects/*/locations/*}:cancel",
                "/v1/projects/{project}/locations/{location}:cancel",
            ),
            ("/v1/{a.name=projects/*/sets/*}/policies", "/v1/projects/{project}/sets/{configSet}/policies"),
            ("/v1/{parent=projects/*}/policies/{policy_id}", "/v1/projects/{project}/policies/{policyId}"),
            ("/v1/{name=operations/**}", "/v1/operations/{operation}"),
            ("/v1/{name=**}:get", "/v1/{name}:get"),
            ("/v1/{meta.name}/{meta.version}", "/v1/{metaName}/{metaVersion}"),
            ("/v1/*/x/*", "/v1/{v1}/x/{x}"),
            ("/v1/{name=a/*/a/*}", "/v1/a/{a}/a/{a2}"),
            ("/", "/"),
        ] {
            assert_eq!(spelled(template), expected, "{template}");
        }
    }

    #[test]
    fn one_path_has_one_spelling() {
        let mut names = names();
        let first = names.path(&"/v1/things/{name}".parse().unwrap());
        let second = names.path(&"/v1/things/{thing.id}".parse().unwrap());
        assert_eq!(first.text, second.text);
    }
}
