//! The ids that callers may choose.

use tonic::Status;

use super::refusal::invalid;

/// What an id may look like.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// Fewest and most characters.
    length: (usize, usize),
    /// Allowed beside lowercase letters and digits; the last character must be a letter or digit.
    marks: &'static [char],
}

/// Instances and partitions.
pub(super) const INSTANCE: Rule = Rule { length: (2, 64), marks: &['-'] };
/// Instance configurations, with their prefix.
pub(super) const CONFIG: Rule = Rule { length: (8, 64), marks: &['-'] };
/// Databases.
pub(super) const DATABASE: Rule = Rule { length: (2, 30), marks: &['-', '_'] };
/// Backups and their schedules.
pub(super) const BACKUP: Rule = Rule { length: (2, 60), marks: &['-', '_'] };
/// Operations on schemas.
pub(super) const OPERATION: Rule = Rule { length: (1, 60), marks: &['_'] };

/// Checks an id that a caller chose for something new.
pub(super) fn check(field: &str, id: &str, rule: Rule) -> Result<(), Status> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (least, most) = rule.length;
    let good = (least..=most).contains(&id.len())
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.ends_with(plain)
        && id.chars().all(|c| plain(c) || rule.marks.contains(&c));
    if good {
        return Ok(());
    }
    let marks: String = rule.marks.iter().map(|mark| format!(" and {mark}")).collect();
    let shown = &id[..id.floor_char_boundary(80)];
    Err(invalid(
        field,
        format!(
            "{shown:?} must be {least} to {most} lowercase letters, digits{marks}, begin with a letter and end with a \
             letter or digit"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_rule() {
        for (id, rule, good) in [
            ("ledger", INSTANCE, true),
            ("a", INSTANCE, false),
            ("ledger_1", INSTANCE, false),
            ("ledger_1", DATABASE, true),
            ("ledger-", DATABASE, false),
            ("Ledger", DATABASE, false),
            ("1ledger", BACKUP, false),
            (&*"a".repeat(31), DATABASE, false),
            (&*"a".repeat(60), BACKUP, true),
        ] {
            assert_eq!(check("id", id, rule).is_ok(), good, "{id}");
        }
    }
}
