//! Of which projects something is wanted, in words of either dialect.

use sqlx::{Database, Encode, Postgres, QueryBuilder, Sqlite, Type};

use super::plain;

/// Of which projects something is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Projects {
    /// Of all, and of none.
    #[default]
    All,
    /// Of the one with this id.
    One(String),
    /// Of those whose ids match one of these globs, in which `*` is any text.
    Like(Vec<String>),
}

/// A dialect, and how it matches globs and finds texts. Both tell upper from lower case.
pub(super) trait Globs: Database {
    /// Stands between text and glob.
    const OPERATOR: &str;
    /// Finds one text in another: its place from 1, or 0.
    const POSITION: &str;

    /// Spells a glob in which only `*` means something.
    fn spelled(glob: &str) -> String;
}

impl Globs for Postgres {
    const OPERATOR: &str = " LIKE ";
    const POSITION: &str = "strpos";

    fn spelled(glob: &str) -> String {
        glob.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "%")
    }
}

impl Globs for Sqlite {
    const OPERATOR: &str = " GLOB ";
    const POSITION: &str = "instr";

    fn spelled(glob: &str) -> String {
        glob.replace('[', "[[]").replace('?', "[?]")
    }
}

impl Projects {
    /// Narrows a query to them; `prefix` stands before the id in `column`.
    pub(super) fn narrow<DB>(&self, query: &mut QueryBuilder<DB>, column: &'static str, prefix: &str)
    where
        DB: Globs,
        String: Type<DB> + for<'q> Encode<'q, DB>,
    {
        match self {
            Self::All => {}
            Self::One(id) => {
                query.push(" AND ").push(column).push(" = ").push_bind(plain(format!("{prefix}{id}")));
            }
            Self::Like(globs) => {
                query.push(" AND (FALSE");
                for glob in globs {
                    let spelled = plain(DB::spelled(&format!("{prefix}{glob}")));
                    query.push(" OR ").push(column).push(DB::OPERATOR).push_bind(spelled);
                }
                query.push(")");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_star_means_something() {
        assert_eq!(Postgres::spelled(r"a*_%\b"), r"a%\_\%\\b");
        assert_eq!(Sqlite::spelled("a*[?]b"), "a*[[][?]]b");
    }
}
