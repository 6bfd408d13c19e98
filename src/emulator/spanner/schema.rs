//! What schema statements add up to.

use tonic::{Code, Status};

use super::{
    ddl::Statement,
    refusal::{DOMAIN, into_rpc},
};
use crate::{
    emulator::status::Refusal,
    pb::google::{rpc, spanner::admin::database::v1::Database},
};

/// Most statements of one schema.
const STATEMENTS_MAX: usize = 5000;
/// Roles that every database has.
const SYSTEM_ROLES: &[&str] = &["public", "spanner_info_reader", "spanner_sys_reader"];
/// What has this in its name cannot be created: its data does not fit.
const FAIL: &str = "fail";

/// The schema of a database: as it is, and as it will be when everything under way is done.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    pub(super) now: Statements,
    pub(super) planned: Statements,
    /// Descriptors of the proto bundle.
    pub(super) proto_descriptors: Vec<u8>,
}

/// Statements that have been carried out.
#[derive(Clone, Debug, Default)]
pub(super) struct Statements(Vec<Statement>);

impl Statements {
    /// Returns the statements as they would be written again.
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(|statement| statement.text.clone()).collect()
    }

    /// Whether there is a table, index or whatever of this name.
    pub(super) fn has(&self, entity: &str, name: &str) -> bool {
        self.place(entity, name).is_some()
    }

    /// Returns the roles, those that every database has first.
    pub(super) fn roles(&self) -> impl Iterator<Item = &str> {
        let own = self.0.iter().filter(|it| it.action == "CREATE" && it.entity == "ROLE");
        SYSTEM_ROLES.iter().copied().chain(own.map(|it| it.name.as_str()))
    }

    /// Carries a statement out.
    ///
    /// # Errors
    /// FAILED_PRECONDITION for a name that is taken or data that does not fit, NOT_FOUND for one that does not exist.
    pub(super) fn apply(&mut self, statement: &Statement) -> Result<(), rpc::Status> {
        if self.0.len() >= STATEMENTS_MAX {
            let most = format!("at most {STATEMENTS_MAX} statements are kept of a schema");
            return Err(into_rpc(&Refusal::exhausted(DOMAIN, "schema", &most).status()));
        }
        let (entity, name) = (statement.entity, statement.name.as_str());
        let place = self.place(entity, name);
        match (statement.action.as_str(), place) {
            _ if name.to_ascii_lowercase().contains(FAIL) => {
                let why = format!("{entity} {name}: existing data does not fit");
                return Err(refusal(Code::FailedPrecondition, &why));
            }
            ("CREATE", Some(place))
                if statement.text.to_ascii_uppercase().starts_with("CREATE OR REPLACE") =>
            {
                self.0[place] = statement.clone();
            }
            ("CREATE" | "DROP", _)
                if statement.is_tolerant() && (place.is_some() == (statement.action == "CREATE")) => {}
            ("CREATE", Some(_)) => {
                return Err(refusal(Code::FailedPrecondition, &format!("Duplicate name in schema: {name}.")));
            }
            ("DROP", Some(_)) => {
                self.0.retain(|it| it.entity != entity || !it.name.eq_ignore_ascii_case(name));
            }
            ("DROP" | "ALTER" | "RENAME", None) if entity != "DATABASE" => {
                let kind = entity.to_ascii_lowercase();
                return Err(refusal(Code::NotFound, &format!("{kind} not found: {name}")));
            }
            _ => self.0.push(statement.clone()),
        }
        Ok(())
    }

    fn place(&self, entity: &str, name: &str) -> Option<usize> {
        let same = |it: &Statement| {
            it.action == "CREATE" && it.entity == entity && it.name.eq_ignore_ascii_case(name)
        };
        self.0.iter().position(same)
    }
}

/// Sets what a statement says about the database itself.
pub(super) fn configure(database: &mut Database, statement: &Statement) {
    if (statement.action.as_str(), statement.entity) != ("ALTER", "DATABASE") {
        return;
    }
    if let Some(period) = statement.option("version_retention_period") {
        period.clone_into(&mut database.version_retention_period);
    }
    if let Some(leader) = statement.option("default_leader") {
        leader.clone_into(&mut database.default_leader);
    }
}

/// Reads a retention period: `1h`, `7d`, `3600s`; `None` for what is none, or is not between an hour and a week.
pub(super) fn period(text: &str) -> Option<std::time::Duration> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let seconds = text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)?;
    (3600..=7 * 86_400).contains(&seconds).then(|| std::time::Duration::from_secs(seconds))
}

fn refusal(code: Code, message: &str) -> rpc::Status {
    let status: Status = Refusal::new(code, message).info("SCHEMA_CHANGE_FAILED", DOMAIN, &[]).status();
    into_rpc(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(statements: &mut Statements, text: &str) -> Result<(), i32> {
        statements.apply(&Statement::parse(text).expect("a statement")).map_err(|status| status.code)
    }

    #[test]
    fn statements_add_up() {
        let mut schema = Statements::default();
        assert_eq!(apply(&mut schema, "CREATE TABLE T (x INT64) PRIMARY KEY (x)"), Ok(()));
        assert_eq!(apply(&mut schema, "CREATE TABLE t (x INT64) PRIMARY KEY (x)"), Err(9));
        assert_eq!(apply(&mut schema, "CREATE TABLE IF NOT EXISTS t (x INT64) PRIMARY KEY (x)"), Ok(()));
        assert_eq!(apply(&mut schema, "ALTER TABLE T ADD COLUMN y INT64"), Ok(()));
        assert_eq!(apply(&mut schema, "ALTER TABLE U ADD COLUMN y INT64"), Err(5));
        assert_eq!(apply(&mut schema, "CREATE INDEX FailsToFit ON T(x)"), Err(9));
        assert_eq!(apply(&mut schema, "CREATE ROLE auditor"), Ok(()));
        assert_eq!(schema.roles().last(), Some("auditor"));
        assert_eq!(schema.texts().len(), 3);
        assert_eq!(apply(&mut schema, "DROP TABLE T"), Ok(()));
        assert_eq!(schema.texts(), ["CREATE ROLE auditor"]);
        assert_eq!(apply(&mut schema, "DROP TABLE T"), Err(5));
        assert_eq!(apply(&mut schema, "DROP TABLE IF EXISTS T"), Ok(()));
    }

    #[test]
    fn periods_have_units_and_bounds() {
        assert_eq!(period("1h").map(|it| it.as_secs()), Some(3600));
        assert_eq!(period("7d").map(|it| it.as_secs()), Some(7 * 86_400));
        for bad in ["", "h", "8d", "59m", "1w", "-1h", "é"] {
            assert_eq!(period(bad), None, "{bad}");
        }
    }
}
