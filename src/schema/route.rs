//! Finds what is bound to a verb and a path.
//!
//! One trie holds the proxied bindings and our own endpoints, so that conflicts are seen at start. At every segment a
//! literal is preferred to `*` and `*` to `**`; a choice that leads nowhere is taken back. A custom verb belongs to its
//! path: where `…:cancel` is bound for POST, a GET of it is 405 and never a GET of something named `x:cancel`.

use std::{borrow::Cow, ops::Deref};

use super::{
    path::{Decode, Path, decode, no_route},
    template::{Segment, TEMPLATE_SEGMENTS_MAX, Template, VARIABLES_MAX},
};
use crate::error::{Code, Error, Reason, Result, nearest};

/// Steps of one search. Templates with several `**` can be searched in a great many ways; a path that needs more steps
/// than this is refused.
pub const VISITS_MAX: usize = 1 << 14;
/// The verb that asks for what a GET would answer, without its body.
const HEAD: &str = "HEAD";
/// The verb of a binding that takes all verbs (`custom: { kind: "*" }`).
const ANY_VERB: &str = "*";

/// What is bound to which verb and template.
#[derive(Clone, Debug)]
pub struct RouteTable<T> {
    nodes: Vec<Node<T>>,
    /// Sorted; a colon is only looked at if what follows is here.
    custom_verbs: Vec<Box<str>>,
}

/// A binding that was found.
#[derive(Debug)]
pub struct Found<'t, 'p, T> {
    /// What is bound.
    pub target: &'t T,
    /// The values of the template's variables.
    pub captures: Captures<'p>,
}

/// The values of a template's variables, decoded, in order of appearance. Borrows from the path what needs no decoding.
#[derive(Clone, Debug)]
pub struct Captures<'p> {
    values: [Cow<'p, str>; VARIABLES_MAX],
    len: usize,
}

#[derive(Clone, Debug)]
struct Node<T> {
    /// Sorted by text.
    literals: Vec<(Box<str>, usize)>,
    any: Option<usize>,
    any_depth: Option<usize>,
    ends: Vec<End<T>>,
}

/// A template ends here.
#[derive(Clone, Debug)]
struct End<T> {
    verb: Box<str>,
    custom_verb: Option<Box<str>>,
    variables: Vec<Variable>,
    target: T,
}

/// The template segments that a variable covers, and how its value is decoded.
#[derive(Clone, Debug)]
struct Variable {
    start: usize,
    end: usize,
    decode: Decode,
}

/// One search: what is wanted, and what was seen on the way.
struct Search<'t, 'p, 's> {
    path: &'s Path<'p>,
    verb: &'s str,
    custom_verb: Option<&'p str>,
    /// `begins[i]` is the path segment at which template segment `i` begins on the way now being tried.
    begins: [usize; TEMPLATE_SEGMENTS_MAX + 1],
    visits: &'s mut usize,
    /// Verbs of the templates that match the path. Nothing is allocated before the first that does not fit.
    allow: Vec<&'t str>,
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::new()], custom_verbs: Vec::new() }
    }
}

impl<T> RouteTable<T> {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds `target` to an HTTP verb (`*` for all) and a template.
    ///
    /// # Errors
    /// Returns what is bound already to this verb and a template of the same shape; the table is unchanged.
    pub fn insert(&mut self, verb: &str, template: &Template, target: T) -> Result<(), &T> {
        let node = template.segments().iter().fold(0, |node, segment| self.child(node, segment));
        let custom_verb = template.custom_verb();
        let ends = &self.nodes[node].ends;
        if let Some(at) =
            ends.iter().position(|end| *end.verb == *verb && end.custom_verb.as_deref() == custom_verb)
        {
            return Err(&self.nodes[node].ends[at].target);
        }
        if let Some(text) = custom_verb
            && let Err(at) = self.custom_verbs.binary_search_by(|other| (**other).cmp(text))
        {
            self.custom_verbs.insert(at, text.into());
        }
        let variables = (0..template.variables().len()).map(|index| Variable {
            start: template.span(index).start,
            end: template.span(index).end,
            decode: if template.is_single(index) { Decode::All } else { Decode::KeepSlash },
        });
        let end = End {
            verb: verb.into(),
            custom_verb: custom_verb.map(Into::into),
            variables: variables.collect(),
            target,
        };
        self.nodes[node].ends.push(end);
        Ok(())
    }

    /// Finds what is bound to `verb` and `path`, the path of a URL without its query; to GET, if nothing is to HEAD. Allocates
    /// nothing for a path without percent sequences.
    ///
    /// # Errors
    /// `ROUTE_NOT_FOUND` (404) if no template matches, `METHOD_NOT_ALLOWED` (405) with the verbs that are bound,
    /// `INVALID_FIELD` (400) for a malformed path, `LIMIT_EXCEEDED` (400) for one that is too long or too costly.
    pub fn find<'t, 'p>(&'t self, verb: &str, path: &'p str) -> Result<Found<'t, 'p, T>> {
        let mut path = Path::parse(path)?;
        let mut visits = 0;
        if let Some((_, custom_verb)) = path.custom_verb()
            && self.custom_verbs.binary_search_by(|other| (**other).cmp(custom_verb)).is_ok()
        {
            let bytes = custom_verb.len() + 1;
            path.shorten(bytes);
            if let Some(found) = self.search(verb, &path, Some(custom_verb), &mut visits)? {
                return Ok(found);
            }
            path.lengthen(bytes);
        }
        self.search(verb, &path, None, &mut visits)?.ok_or_else(|| no_route(self.meant(&path)))
    }

    /// Returns what was probably meant by the segment or custom verb that leads to nothing, on the most literal way.
    fn meant(&self, path: &Path<'_>) -> Option<&str> {
        let last = path.custom_verb();
        let mut node = &self.nodes[0];
        for at in 0..path.len() {
            let segment = last.filter(|_| at + 1 == path.len()).map_or(path.segment(at), |(value, _)| value);
            match node.literal(segment).or(node.any) {
                Some(child) => node = &self.nodes[child],
                None => {
                    let known = node.literals.iter().map(|(text, _)| &**text);
                    return nearest(&decode(segment, Decode::All), known);
                }
            }
        }
        let known = node.ends.iter().filter_map(|end| end.custom_verb.as_deref());
        nearest(last?.1, known)
    }

    /// Searches among the templates with this custom verb, or with none. `None` if none of them matches the path.
    fn search<'t, 'p>(
        &'t self,
        verb: &str,
        path: &Path<'p>,
        custom_verb: Option<&'p str>,
        visits: &mut usize,
    ) -> Result<Option<Found<'t, 'p, T>>> {
        let begins = [0; TEMPLATE_SEGMENTS_MAX + 1];
        let mut search = Search { path, verb, custom_verb, begins, visits, allow: Vec::new() };
        if let Some(end) = self.walk(0, 0, 0, &mut search)? {
            return Ok(Some(Found { target: &end.target, captures: search.captures(end) }));
        }
        if search.allow.is_empty() {
            return Ok(None);
        }
        let meant = if custom_verb.is_none() { self.meant(path) } else { None };
        Err(method_not_allowed(search.allow, meant))
    }

    /// Tries `node`, reached with `depth` template segments, against the path from segment `at` on.
    fn walk<'t>(
        &'t self,
        node: usize,
        depth: usize,
        at: usize,
        search: &mut Search<'t, '_, '_>,
    ) -> Result<Option<&'t End<T>>> {
        *search.visits += 1;
        if *search.visits > VISITS_MAX {
            return Err(Error::limit("The path matches too many templates in too many ways."));
        }
        search.begins[depth] = at;
        let node = &self.nodes[node];
        let len = search.path.len();
        if at == len {
            if let Some(end) = search.fitting(&node.ends) {
                return Ok(Some(end));
            }
        } else {
            let literal = node.literal(search.path.segment(at));
            for child in literal.into_iter().chain(node.any) {
                if let Some(end) = self.walk(child, depth + 1, at + 1, search)? {
                    return Ok(Some(end));
                }
            }
        }
        let Some(child) = node.any_depth else { return Ok(None) };
        // The shortest first: what stands after `**` in a template is then preferred to `**` reaching further.
        let shortest = if self.nodes[child].is_leaf() { len } else { at };
        for next in shortest..=len {
            if let Some(end) = self.walk(child, depth + 1, next, search)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn child(&mut self, node: usize, segment: &Segment) -> usize {
        let next = self.nodes.len();
        let home = &mut self.nodes[node];
        let child = match segment {
            Segment::Any => *home.any.get_or_insert(next),
            Segment::AnyDepth => *home.any_depth.get_or_insert(next),
            Segment::Literal(text) => match home.literals.binary_search_by(|(other, _)| other.cmp(text)) {
                Ok(at) => home.literals[at].1,
                Err(at) => {
                    home.literals.insert(at, (text.clone(), next));
                    next
                }
            },
        };
        if child == next {
            self.nodes.push(Node::new());
        }
        child
    }
}

impl<T> Node<T> {
    fn new() -> Self {
        Self { literals: Vec::new(), any: None, any_depth: None, ends: Vec::new() }
    }

    fn is_leaf(&self) -> bool {
        self.literals.is_empty() && self.any.is_none() && self.any_depth.is_none()
    }

    fn literal(&self, segment: &str) -> Option<usize> {
        if self.literals.is_empty() {
            return None;
        }
        let text = decode(segment, Decode::All);
        let at = self.literals.binary_search_by(|(other, _)| (**other).cmp(&text)).ok()?;
        Some(self.literals[at].1)
    }
}

impl<'t, 'p> Search<'t, 'p, '_> {
    /// Returns the binding with the wanted verb, else notes the verbs there are. A HEAD that nothing is bound to for its own
    /// sake is a GET.
    fn fitting<T>(&mut self, ends: &'t [End<T>]) -> Option<&'t End<T>> {
        let here = || ends.iter().filter(|end| end.custom_verb.as_deref() == self.custom_verb);
        let of = |verb: &str| here().find(|end| *end.verb == *verb);
        let get = || (self.verb == HEAD).then(|| of("GET")).flatten();
        let found = of(self.verb).or_else(get).or_else(|| of(ANY_VERB));
        if found.is_none() {
            let verbs: Vec<&str> = here().map(|end| &*end.verb).collect();
            self.allow.extend(verbs);
        }
        found
    }

    fn captures<T>(&self, end: &End<T>) -> Captures<'p> {
        let mut captures = Captures { values: Default::default(), len: end.variables.len() };
        for (value, variable) in captures.values.iter_mut().zip(&end.variables) {
            let raw = self.path.slice(self.begins[variable.start], self.begins[variable.end]);
            *value = decode(raw, variable.decode);
        }
        captures
    }
}

impl<'p> Deref for Captures<'p> {
    type Target = [Cow<'p, str>];

    fn deref(&self) -> &Self::Target {
        &self.values[..self.len]
    }
}

fn method_not_allowed(mut allow: Vec<&str>, meant: Option<&str>) -> Error {
    allow.sort_unstable();
    allow.dedup();
    let allow = allow.join(", ");
    let hint = meant.map(|meant| format!(" Did you mean :{meant}?")).unwrap_or_default();
    Error::new(Code::InvalidArgument, Reason::MethodNotAllowed, format!("This path takes {allow}.{hint}"))
        .with_allow(allow)
}

#[cfg(test)]
mod tests;
