//! `$fields`: which parts of a response a caller wants, in the syntax of Google's APIs.
//!
//! `a,b/c,d(e,f/g),*`: commas separate, `/` or `.` goes inside, parentheses share a prefix, `*` means all. Both
//! spellings of a field name work. Lists and maps are gone through as if they were not there: `items/name` names the
//! `name` of every item, `labels/env` one key of a map.

use std::collections::BTreeMap;

use serde_json::Value;

use super::mask;
use super::tables::{Card, MessageTable, Op, Shape, Tables};
use crate::{
    error::{Error, Result},
    schema::is_secret_name,
};

/// Bytes of a selection.
const SELECTION_BYTES_MAX: usize = 4096;
/// Nesting of a selection.
const SELECTION_DEPTH_MAX: usize = 32;

/// A parsed and checked `$fields` parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Node);

/// What is chosen at one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    /// Everything below.
    all: bool,
    /// No entry of a map whose key speaks of a secret.
    spares_secrets: bool,
    children: BTreeMap<String, Node>,
}

impl Selection {
    /// Parses a selection on the message at `index`.
    pub(super) fn parse(text: &str, tables: &Tables, index: u32) -> Result<Self> {
        let selection = Self::parse_unchecked(text)?;
        check(&selection.0, tables, index, "")?;
        Ok(selection)
    }

    /// Parses a selection on JSON of which no message tells what it can hold: a name that is not there chooses nothing.
    ///
    /// # Errors
    /// It does not follow the syntax, is longer than 4096 bytes or nested deeper than 32.
    pub fn parse_unchecked(text: &str) -> Result<Self> {
        if text.len() > SELECTION_BYTES_MAX {
            return Err(Error::limit(format!("fields: longer than {SELECTION_BYTES_MAX} bytes.")));
        }
        let mut parser = Parser { text, at: 0 };
        let mut root = Node::default();
        parser.list(&mut root, 0)?;
        if parser.at < text.len() {
            return Err(parser.error("a closing parenthesis without an opening one"));
        }
        Ok(Self(root))
    }

    /// Leaves of a value what is chosen.
    pub fn keep(&self, value: &mut Value) {
        if let Some(root) = self.root() {
            root.keep(value);
        }
    }

    pub(super) fn of(root: Node) -> Self {
        Self(root)
    }

    /// Returns the chosen part of the root, or `None` if that is everything.
    pub(super) fn root(&self) -> Option<&Node> {
        self.0.narrowed()
    }
}

impl Node {
    /// Everything below.
    pub(super) fn whole() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// These parts, and nothing else.
    pub(super) fn of(children: Vec<(String, Self)>) -> Self {
        Self { children: children.into_iter().collect(), ..Self::default() }
    }

    /// This of every entry of a map, unless its key speaks of a secret.
    pub(super) fn of_entries(value: Self) -> Self {
        Self { spares_secrets: true, ..Self::of(vec![("*".to_owned(), value)]) }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.all
    }

    /// Returns this node, unless it means everything.
    pub(super) fn narrowed(&self) -> Option<&Self> {
        (!self.all).then_some(self)
    }

    /// Finds what is chosen of a field, by either name.
    pub(super) fn child(&self, json_name: &str, name: &str) -> Option<&Self> {
        self.children.get(json_name).or_else(|| self.children.get(name)).or_else(|| self.children.get("*"))
    }

    /// Finds what is chosen of a map entry, by its key as JSON prints it without quotes.
    pub(super) fn key(&self, key: &[u8]) -> Option<&Self> {
        let key = std::str::from_utf8(key).ok();
        if self.spares_secrets && key.is_some_and(is_secret_name) {
            return None;
        }
        key.and_then(|key| self.children.get(key)).or_else(|| self.children.get("*"))
    }

    fn keep(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.keep(item)),
            Value::Object(members) => {
                members.retain(|name, member| {
                    let chosen = self.child(name, &mask::to_snake(name));
                    chosen.and_then(Self::narrowed).into_iter().for_each(|chosen| chosen.keep(member));
                    chosen.is_some()
                });
            }
            _ => {}
        }
    }

    fn enter(&mut self, name: &str) -> &mut Self {
        self.children.entry(name.to_owned()).or_default()
    }
}

struct Parser<'s> {
    text: &'s str,
    at: usize,
}

impl Parser<'_> {
    fn list(&mut self, node: &mut Node, depth: usize) -> Result<()> {
        loop {
            self.path(node, depth)?;
            if self.peek() != Some(b',') {
                return Ok(());
            }
            self.at += 1;
        }
    }

    fn path(&mut self, node: &mut Node, depth: usize) -> Result<()> {
        if depth > SELECTION_DEPTH_MAX {
            return Err(self.error("nested too deep"));
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| !b",/.()".contains(&byte)) {
            self.at += 1;
        }
        let name = self.text[start..self.at].trim();
        if name.is_empty() {
            return Err(self.error("a field name is missing"));
        }
        if name == "*" && !matches!(self.peek(), Some(b'/' | b'.' | b'(')) {
            node.all = true;
            return Ok(());
        }
        let child = node.enter(name);
        match self.peek() {
            Some(b'/' | b'.') => {
                self.at += 1;
                self.path(child, depth + 1)
            }
            Some(b'(') => {
                self.at += 1;
                self.list(child, depth + 1)?;
                if self.peek() != Some(b')') {
                    return Err(self.error("a closing parenthesis is missing"));
                }
                self.at += 1;
                Ok(())
            }
            _ => {
                child.all = true;
                Ok(())
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, why: &str) -> Error {
        Error::invalid_field(
            "fields",
            format!(
                "{why} at character {}; write e.g. `name,connections(name,cloudSql/database)`.",
                self.at + 1
            ),
        )
    }
}

/// Refuses names that the message does not have. Where JSON is free (`Struct`, `Any`), any name goes.
fn check(node: &Node, tables: &Tables, index: u32, path: &str) -> Result<()> {
    let table = tables.message(index);
    if table.shape != Shape::Plain {
        return Ok(());
    }
    for (name, child) in &node.children {
        let at = join(path, name);
        if name == "*" {
            continue;
        }
        let Some(field) = table.by_name(name, usize::MAX).map(|at| &table.fields[at]) else {
            return Err(unknown(table, name, &at));
        };
        if child.children.is_empty() {
            continue;
        }
        if !matches!(field.op, Op::Message | Op::Group) {
            return Err(Error::invalid_field(
                "fields",
                format!("{at} has nothing inside that could be chosen."),
            ));
        }
        if field.card == Card::Map {
            continue;
        }
        check(child, tables, field.child, &at)?;
    }
    Ok(())
}

fn unknown(table: &MessageTable, name: &str, at: &str) -> Error {
    let hint = table.nearest(name).map(|near| format!(" Did you mean {near}?")).unwrap_or_default();
    Error::invalid_field("fields", format!("{at}: {} has no such field.{hint}", table.name))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}
