//! Schema statements: what one does, to what, and how that is called. Nothing else of SQL is read.

use tonic::Status;

use crate::{
    emulator::status::Refusal,
    pb::google::spanner::admin::database::v1::{DatabaseDialect, DdlStatementActionInfo},
};

/// Longest statement.
const STATEMENT_BYTES_MAX: usize = 64 * 1024;
/// What a statement can begin with.
const ACTIONS: &[&str] = &["CREATE", "ALTER", "DROP", "RENAME", "GRANT", "REVOKE", "ANALYZE"];
/// Words between the action and what it is done to.
const ADJECTIVES: &[&str] = &["OR", "REPLACE", "UNIQUE", "NULL_FILTERED", "SEARCH", "VECTOR"];
/// What a statement can be about; several words are tried before one.
const ENTITIES: &[&str] = &[
    "CHANGE STREAM",
    "PROTO BUNDLE",
    "PROPERTY GRAPH",
    "LOCALITY GROUP",
    "DATABASE",
    "TABLE",
    "INDEX",
    "VIEW",
    "ROLE",
    "SEQUENCE",
    "SCHEMA",
    "MODEL",
    "FUNCTION",
    "PLACEMENT",
    "STATISTICS",
];

/// A statement that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) text: String,
    pub(super) action: String,
    /// For example `TABLE`; empty where a statement is about none of its own, as `GRANT`.
    pub(super) entity: &'static str,
    pub(super) name: String,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for text that is none.
    pub(super) fn parse(text: &str) -> Result<Self, Status> {
        let text = text.trim().trim_end_matches(';').trim_end();
        let fail = |why: &str| {
            let shown = &text[..text.floor_char_boundary(120)];
            let message = format!("Error parsing Spanner DDL statement: {shown} : {why}");
            Err(Refusal::invalid(message).field("statements", why).status())
        };
        if text.len() > STATEMENT_BYTES_MAX {
            return fail(&format!("is longer than {STATEMENT_BYTES_MAX} bytes"));
        }
        let mut words = Words(text);
        let action = words.next().unwrap_or_default().to_ascii_uppercase();
        if !ACTIONS.contains(&action.as_str()) {
            return fail(&format!("expecting one of {}", ACTIONS.join(", ")));
        }
        let named = !matches!(action.as_str(), "GRANT" | "REVOKE" | "ANALYZE");
        if !named {
            return Ok(Self { text: text.to_owned(), action, entity: "", name: String::new() });
        }
        while words.peek().is_some_and(|word| ADJECTIVES.iter().any(|it| it.eq_ignore_ascii_case(word))) {
            words.next();
        }
        let Some(entity) = ENTITIES.iter().find(|entity| words.eat(entity)) else {
            return fail(&format!("{action} of what?"));
        };
        if words.eat("IF NOT EXISTS") || words.eat("IF EXISTS") {
            // Whether it exists is found out when the statement is carried out.
        }
        let name = match *entity {
            // A database has one bundle, without a name.
            "PROTO BUNDLE" => "bundle".to_owned(),
            _ => unquoted(words.name()),
        };
        if name.is_empty() {
            return fail(&format!("the {} has no name", entity.to_ascii_lowercase()));
        }
        Ok(Self { text: text.to_owned(), action, entity, name })
    }

    /// Whether the statement minds that its object exists, or does not.
    pub(super) fn is_tolerant(&self) -> bool {
        let text = self.text.to_ascii_uppercase();
        let head: String = text.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
        head.contains(" IF NOT EXISTS") || head.contains(" IF EXISTS") || head.contains(" OR REPLACE ")
    }

    /// Returns the quoted value of an option, such as `version_retention_period = '7d'`.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        let at = self.text.to_ascii_lowercase().find(name)?;
        let rest = self.text.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        rest[1..].split(quote).next()
    }

    /// Tells what the statement does, for the metadata of operations.
    pub(super) fn info(&self) -> DdlStatementActionInfo {
        let named = !self.name.is_empty();
        DdlStatementActionInfo {
            action: self.action.clone(),
            entity_type: self.entity.to_owned(),
            entity_names: named.then(|| self.name.clone()).into_iter().collect(),
        }
    }
}

/// Reads which database a `CREATE DATABASE` statement names.
///
/// # Errors
/// INVALID_ARGUMENT for any other statement, and for an id with hyphens that is not quoted as the dialect demands.
pub(super) fn new_database(text: &str, dialect: DatabaseDialect) -> Result<String, Status> {
    let statement = Statement::parse(text)?;
    let wrong = |why: String| Err(super::refusal::invalid("create_statement", why));
    if (statement.action.as_str(), statement.entity) != ("CREATE", "DATABASE") {
        return wrong("must be CREATE DATABASE and a name".to_owned());
    }
    let quote = if dialect == DatabaseDialect::Postgresql { '"' } else { '`' };
    let quoted = statement.text.contains(&format!("{quote}{}{quote}", statement.name));
    if !quoted && (statement.name.contains('-') || statement.text.contains(['`', '"'])) {
        return wrong(format!("needs {quote} around a name with hyphens, and no other quotes"));
    }
    Ok(statement.name)
}

/// Words of a statement, one after the other.
struct Words<'t>(&'t str);

impl<'t> Words<'t> {
    fn peek(&self) -> Option<&'t str> {
        let text = self.0.trim_start();
        let end = text.find(|c: char| c.is_whitespace() || c == '(').unwrap_or(text.len());
        (end > 0).then(|| &text[..end])
    }

    fn next(&mut self) -> Option<&'t str> {
        let word = self.peek()?;
        self.0 = &self.0.trim_start()[word.len()..];
        Some(word)
    }

    /// Takes these words if they come next.
    fn eat(&mut self, wanted: &str) -> bool {
        let mut ahead = Words(self.0);
        let all = wanted.split(' ').all(|word| ahead.next().is_some_and(|it| it.eq_ignore_ascii_case(word)));
        if all {
            self.0 = ahead.0;
        }
        all
    }

    /// Takes a name, which quotes may surround.
    fn name(&mut self) -> &'t str {
        let text = self.0.trim_start();
        match text.chars().next() {
            Some(quote @ ('`' | '"')) => match text[1..].find(quote) {
                Some(end) => &text[..end + 2],
                None => "",
            },
            _ => self.next().unwrap_or_default(),
        }
    }
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['`', '"']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_tells_what_it_is_about() {
        for (text, expected) in [
            ("CREATE TABLE Accounts (Id INT64) PRIMARY KEY (Id)", Some(("CREATE", "TABLE", "Accounts"))),
            ("create table Accounts(Id INT64) PRIMARY KEY (Id);", Some(("CREATE", "TABLE", "Accounts"))),
            ("CREATE TABLE IF NOT EXISTS `a` (x INT64)", Some(("CREATE", "TABLE", "a"))),
            ("CREATE UNIQUE NULL_FILTERED INDEX ByName ON T(Name)", Some(("CREATE", "INDEX", "ByName"))),
            ("DROP CHANGE STREAM Everything", Some(("DROP", "CHANGE STREAM", "Everything"))),
            ("ALTER DATABASE ledger SET OPTIONS (x = 'y')", Some(("ALTER", "DATABASE", "ledger"))),
            ("CREATE OR REPLACE VIEW v SQL SECURITY INVOKER AS SELECT 1", Some(("CREATE", "VIEW", "v"))),
            ("GRANT SELECT ON TABLE t TO ROLE r", Some(("GRANT", "", ""))),
            ("CREATE PROTO BUNDLE (a.B)", Some(("CREATE", "PROTO BUNDLE", "bundle"))),
            ("BOGUS", None),
            ("CREATE", None),
            ("CREATE TABLE", None),
            ("CREATE TABLE `x", None),
            ("", None),
        ] {
            let read = Statement::parse(text).ok();
            let read = read.as_ref().map(|it| (it.action.as_str(), it.entity, it.name.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn a_new_database_is_named_and_quoted_as_its_dialect_demands() {
        use DatabaseDialect::{GoogleStandardSql as Google, Postgresql};
        for (text, dialect, name) in [
            ("CREATE DATABASE ledger", Google, Some("ledger")),
            ("CREATE DATABASE `ledger-2`", Google, Some("ledger-2")),
            ("CREATE DATABASE ledger-2", Google, None),
            ("CREATE DATABASE \"ledger-2\"", Postgresql, Some("ledger-2")),
            ("CREATE DATABASE `ledger`", Postgresql, None),
            ("CREATE TABLE t (x INT64) PRIMARY KEY (x)", Google, None),
        ] {
            assert_eq!(new_database(text, dialect).ok().as_deref(), name, "{text}");
        }
    }

    #[test]
    fn options_are_read_with_their_quotes() {
        let text = "ALTER DATABASE d SET OPTIONS (version_retention_period='7d', default_leader = \"eu\")";
        let statement = Statement::parse(text).expect("a statement");
        assert_eq!(statement.option("version_retention_period"), Some("7d"));
        assert_eq!(statement.option("default_leader"), Some("eu"));
        assert_eq!(statement.option("nothing"), None);
    }
}
