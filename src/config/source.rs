//! Where values come from, and how four sources become one tree.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::problem::Origin;
use super::section::Report;

/// What every environment variable of the gateway begins with; the rest is `SECTION__KEY`.
pub const ENVIRONMENT_PREFIX: &str = "CAUSEWAY__";

/// The longest configuration file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The sources in rising order of precedence.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// What a command presumes, e.g. that `dev` listens on loopback: `section.key` and a value as `--set` takes it.
    pub command: Vec<(String, String)>,
    /// The file of `--config`.
    pub file: Option<PathBuf>,
    /// Name and value of environment variables; those without [`ENVIRONMENT_PREFIX`] are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// The arguments of `--set`, each `section.key=value`.
    pub set: Vec<String>,
}

/// Returns the environment of this process, for [`Sources::environment`].
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn process_environment() -> Vec<(OsString, OsString)> {
    env::vars_os().collect()
}

/// Returns where this system keeps temporary files.
pub(super) fn temporary_folder() -> PathBuf {
    env::temp_dir()
}

impl Sources {
    /// Merges everything; later sources win key by key, tables are joined, lists are replaced.
    pub(super) fn merge(self) -> (Table, Report) {
        let mut merge = Merge::default();
        for (key, value) in self.command {
            merge.put(&key, &value, Origin::Command);
        }
        if let Some(path) = self.file {
            merge.file(&path);
        }
        merge.environment(self.environment);
        for argument in self.set {
            merge.set(&argument);
        }
        (merge.tree, merge.report)
    }
}

#[derive(Default)]
struct Merge {
    tree: Table,
    report: Report,
}

impl Merge {
    fn file(&mut self, path: &Path) {
        let origin = Origin::File(path.to_owned());
        let read = match fs::metadata(path) {
            Ok(facts) if facts.len() > FILE_BYTES_MAX => {
                Err(format!("the file is larger than {FILE_BYTES_MAX} bytes"))
            }
            Ok(_) => fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}")),
            Err(error) => Err(format!("the file cannot be read: {error}")),
        };
        match read.and_then(|text| parse(&text)) {
            Ok(table) => {
                for (key, value) in &table {
                    self.remember(key, value, &origin);
                }
                join(&mut self.tree, table);
            }
            Err(message) => self.report.unreadable(message, origin),
        }
    }

    fn environment(&mut self, pairs: Vec<(OsString, OsString)>) {
        let mut ours = BTreeMap::new();
        for (name, value) in pairs {
            let Some(name) = name.to_str().map(str::to_owned) else { continue };
            if name.starts_with(ENVIRONMENT_PREFIX) {
                ours.insert(name, value);
            }
        }
        for (name, value) in ours {
            let key = name[ENVIRONMENT_PREFIX.len()..].to_lowercase().replace("__", ".");
            match value.to_str() {
                Some(value) => self.put(&key, value, Origin::Environment(name)),
                None => self.report.problem(&key, "the value is not UTF-8", Some(Origin::Environment(name))),
            }
        }
    }

    fn set(&mut self, argument: &str) {
        match argument.split_once('=') {
            Some((key, value)) => self.put(key.trim(), value, Origin::Set(key.trim().to_owned())),
            None => {
                let message = "expected section.key=value, found no `=`";
                self.report.problem(argument, message, Some(Origin::Set(argument.to_owned())));
            }
        }
    }

    /// Puts one value: TOML if it parses as such, else the text as it stands.
    fn put(&mut self, key: &str, text: &str, origin: Origin) {
        if key.split('.').any(str::is_empty) || !key.contains('.') {
            self.report.problem(key, "expected a key of the form section.key", Some(origin));
            return;
        }
        let value = text.parse::<Value>().unwrap_or_else(|_| Value::String(text.to_owned()));
        self.remember(key, &value, &origin);
        if !value.is_table() {
            self.report.raw(key, text);
        }
        let value = key
            .rsplit('.')
            .fold(value, |value, part| Value::Table(Table::from_iter([(part.to_owned(), value)])));
        if let Value::Table(table) = value {
            join(&mut self.tree, table);
        }
    }

    /// Remembers where each value below `key` came from; a later source overwrites.
    fn remember(&mut self, key: &str, value: &Value, origin: &Origin) {
        match value {
            Value::Table(table) => {
                for (name, value) in table {
                    self.remember(&format!("{key}.{name}"), value, origin);
                }
            }
            _ => self.report.origin(key, origin.clone()),
        }
    }
}

/// Parses a file; the message has line and column, and none of the file's text, which may hold a secret.
fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("not TOML at line {line}, column {column}: {}", error.message())
    })
}

fn join(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => join(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}
