//! Reading a table key by key: what is left over is unknown, what is wrong is collected, what is in force is shown.

use std::{collections::BTreeMap, ops::RangeInclusive};

use toml::{Table, Value};

use super::problem::{Origin, Problem, Problems};
use super::secret::without_password;
use super::setting::Setting;
use crate::error::nearest;

/// Characters of a wrong value that a message repeats.
const SHOWN_CHARS_MAX: usize = 60;

/// What reading has found so far.
#[derive(Default)]
pub(super) struct Report {
    problems: Vec<Problem>,
    warnings: Vec<String>,
    origins: BTreeMap<String, Origin>,
    raws: BTreeMap<String, String>,
    /// Whether a whole source is missing.
    is_partial: bool,
}

impl Report {
    pub(super) fn problem(&mut self, key: &str, message: impl Into<String>, origin: Option<Origin>) {
        self.problems.push(Problem { key: key.to_owned(), message: message.into(), origin });
    }

    /// Reports a source that cannot be read at all.
    pub(super) fn unreadable(&mut self, message: String, origin: Origin) {
        self.is_partial = true;
        self.problem("", message, Some(origin));
    }

    pub(super) fn warning(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// Remembers where `key` came from, and forgets what an earlier source wrote for it.
    pub(super) fn origin(&mut self, key: &str, origin: Origin) {
        self.raws.remove(key);
        self.origins.insert(key.to_owned(), origin);
    }

    /// Remembers the text of a value that came without quotes, so that `token=0123` stays a string.
    pub(super) fn raw(&mut self, key: &str, text: &str) {
        self.raws.insert(key.to_owned(), text.to_owned());
    }

    /// Finds the origin of a key, or of the first value below it.
    pub(super) fn origin_of(&self, key: &str) -> Option<Origin> {
        let below = format!("{key}.");
        self.origins
            .get(key)
            .or_else(|| {
                self.origins.iter().find(|(name, _)| name.starts_with(&below)).map(|(_, origin)| origin)
            })
            .cloned()
    }

    pub(super) fn into_parts(mut self) -> (Problems, Vec<String>) {
        if self.is_partial {
            // What is missing may well be in what could not be read.
            self.problems.retain(|problem| problem.origin.is_some());
        }
        (Problems(self.problems), self.warnings)
    }
}

/// One table on its way to becoming a struct.
pub(super) struct Section<'a> {
    path: String,
    input: Table,
    known: Vec<String>,
    shown: Table,
    report: &'a mut Report,
}

impl<'a> Section<'a> {
    pub(super) fn root(input: Table, report: &'a mut Report) -> Self {
        Self { path: String::new(), input, known: Vec::new(), shown: Table::new(), report }
    }

    /// Reads a key, or takes `default`; a wrong value is reported and the default stands.
    pub(super) fn value<T: Setting>(&mut self, key: &'static str, default: T) -> T {
        let value = self.take(key).unwrap_or(default);
        self.shown.insert(key.to_owned(), value.show());
        value
    }

    /// Reads a key that has no default.
    pub(super) fn optional<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        let value = self.take::<T>(key)?;
        self.shown.insert(key.to_owned(), value.show());
        Some(value)
    }

    /// Reads a key whose value must lie in a range.
    pub(super) fn bounded<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Setting + PartialOrd,
    {
        let value = match self.take::<T>(key) {
            None => default,
            Some(value) if range.contains(&value) => value,
            Some(value) => {
                let (min, max) = range.into_inner();
                let message =
                    format!("expected between {} and {}, found {}", min.show(), max.show(), value.show());
                self.wrong(key, message);
                default
            }
        };
        self.shown.insert(key.to_owned(), value.show());
        value
    }

    /// Reads a table below this one; an absent one is read as empty, so that its defaults stand in one place.
    pub(super) fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.known.push(key.to_owned());
        let input = match self.input.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                let message = format!("expected a table, found {}", shape(&other));
                self.wrong(key, message);
                Table::new()
            }
        };
        let mut inner = Section {
            path: self.key(key),
            input,
            known: Vec::new(),
            shown: Table::new(),
            report: self.report,
        };
        let value = read(&mut inner);
        let shown = inner.finish();
        if !shown.is_empty() {
            self.shown.insert(key.to_owned(), Value::Table(shown));
        }
        value
    }

    /// Lists the keys that are set and not yet read.
    pub(super) fn keys(&self) -> Vec<String> {
        self.input.keys().cloned().collect()
    }

    /// Says whether a key is set and not yet read.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.input.contains_key(key)
    }

    /// Says whether a key not yet read names nothing: it is not set, or an empty list. One with a wrong value names
    /// something, and is told of when it is read.
    pub(super) fn names_nothing(&self, key: &str) -> bool {
        self.input.get(key).is_none_or(|value| value.as_array().is_some_and(Vec::is_empty))
    }

    /// Says whether a key not yet read is set to just this.
    pub(super) fn is(&self, value: &Value, key: &str) -> bool {
        self.input.get(key) == Some(value)
    }

    /// Reports a mistake at `key`.
    pub(super) fn wrong(&mut self, key: &str, message: impl Into<String>) {
        let key = self.key(key);
        let origin = self.report.origin_of(&key);
        self.report.problem(&key, message, origin);
    }

    pub(super) fn warn(&mut self, key: &str, message: &str) {
        let key = self.key(key);
        self.report.warning(format!("{key}: {message}"));
    }

    /// Ends the table: reports what was not read, and returns what is in force.
    pub(super) fn finish(mut self) -> Table {
        for key in self.keys() {
            let message = match nearest(&key, self.known.iter().map(String::as_str)) {
                Some(known) => format!("unknown key; did you mean {}?", self.key(known)),
                None => format!("unknown key; known here are {}", self.known.join(", ")),
            };
            self.wrong(&key, message);
        }
        self.shown
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take<T: Setting>(&mut self, key: &'static str) -> Option<T> {
        self.known.push(key.to_owned());
        let value = self.input.remove(key)?;
        let full = self.key(key);
        let scalar = !matches!(value, Value::String(_) | Value::Array(_) | Value::Table(_));
        let value = match self.report.raws.get(&full) {
            Some(text) if T::TEXT && scalar => Value::String(text.clone()),
            _ => value,
        };
        match T::read(&value) {
            Ok(read) => Some(read),
            Err(why) => {
                let found = if T::SECRET { shape(&value).to_owned() } else { describe(&value) };
                let message = match why.0 {
                    Some(why) => format!("{why}; expected {}, found {found}", T::EXPECTED),
                    None => format!("expected {}, found {found}", T::EXPECTED),
                };
                self.wrong(key, message);
                None
            }
        }
    }
}

/// Names the shape of a value.
fn shape(value: &Value) -> &'static str {
    match value {
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Names the shape of a value that is no secret, and shows as much of it as fits.
fn describe(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() => {
            let text = without_password(text);
            let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
            let dots = if cut.len() < text.len() { "…" } else { "" };
            format!("the string {cut:?}{dots}")
        }
        Value::Integer(number) => format!("the integer {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Boolean(flag) => format!("the boolean {flag}"),
        _ => shape(value).to_owned(),
    }
}
