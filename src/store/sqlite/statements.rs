//! Statements that write many rows.
//!
//! There is one for 1, 2, 4 … rows, and any number of rows is a few of them: each is written and prepared once, and writing
//! as many parameters as a batch has costs more than binding them.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// One statement for each power of two.
pub(super) struct Statements(Box<[Arc<str>]>);

impl Statements {
    /// Writes them, for up to two to the power of `power_max` rows of so many columns. `around` puts the rest around the rows,
    /// which are lists of parameters.
    pub(super) fn new(power_max: u32, columns: usize, around: impl Fn(&str) -> String) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let statement = |power| around(&vec![&*row; 1_usize << power].join(", ")).into();
        Self((0..=power_max).map(statement).collect())
    }

    /// Returns the statement to write the next of so many rows with, and how many it writes; `None` when none is left.
    pub(super) fn next(&self, left: usize) -> Option<(SqlStr, usize)> {
        let power = (left.checked_ilog2()? as usize).min(self.0.len() - 1);
        // Words of our own and question marks.
        Some((AssertSqlSafe(self.0[power].clone()).into_sql_str(), 1 << power))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_a_few_statements() {
        let statements = Statements::new(2, 2, |rows| format!("VALUES {rows}"));
        let of = |count: usize| (format!("VALUES {}", vec!["(?, ?)"; count].join(", ")), count);
        let next =
            |left| statements.next(left).map(|(statement, count)| (statement.as_str().to_owned(), count));
        assert_eq!([11, 7, 3, 1].map(next), [4, 4, 2, 1].map(|count| Some(of(count))));
        assert_eq!(next(0), None);
    }
}
