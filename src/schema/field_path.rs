//! The path of a field: `connection.cloud_sql.database`.

use std::{fmt, str::FromStr};

use super::descriptor::{Field, MessageId, Pool};

/// Names in one path. A longer one cannot be meant: messages do not nest that deep.
pub const FIELD_PATH_NAMES_MAX: usize = 32;

/// One or more field names joined by dots. The text is kept as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Box<str>);

impl FieldPath {
    /// Returns the path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the names, outermost first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// Walks the path from `message` and returns the field it ends at.
    ///
    /// # Errors
    /// Says which name leads nowhere, or through what it cannot go: a scalar, a list or a map.
    pub fn resolve<'p>(&self, pool: &'p Pool, message: MessageId) -> Result<&'p Field, String> {
        let mut home = pool.message(message);
        let mut found: Option<&Field> = None;
        for name in self.segments() {
            if let Some(outer) = found {
                let inner = outer.kind.message().filter(|_| !outer.is_repeated());
                let Some(inner) = inner else {
                    return Err(format!("{self}: {} is no single message, so it has no {name}", outer.name));
                };
                home = pool.message(inner);
            }
            found = Some(
                home.field(name).ok_or_else(|| format!("{self}: {} has no field {name}", home.full_name))?,
            );
        }
        Ok(found.expect("a path has at least one name"))
    }
}

impl FromStr for FieldPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.split('.').count() > FIELD_PATH_NAMES_MAX {
            return Err(format!("a field path has at most {FIELD_PATH_NAMES_MAX} names"));
        }
        match text.split('.').find(|name| !is_identifier(name)) {
            Some(name) => Err(format!("{name:?} is no field name")),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` can be the name of a field or of one part of a package.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut letters = text.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_written() {
        let path: FieldPath = "connection.cloud_sql.database".parse().unwrap();
        assert_eq!(path.to_string(), "connection.cloud_sql.database");
        assert_eq!(path.segments().collect::<Vec<_>>(), ["connection", "cloud_sql", "database"]);
    }

    #[test]
    fn refuses_what_is_no_path() {
        for text in ["", ".", "a.", ".a", "a..b", "1a", "a-b", "a b", "a/b", "é"] {
            assert!(text.parse::<FieldPath>().is_err(), "{text:?}");
        }
        assert!(vec!["a"; FIELD_PATH_NAMES_MAX + 1].join(".").parse::<FieldPath>().is_err());
    }
}
