//! Statements that write many rows.
//!
//! There is one for the largest number of rows, one for half of it, and so on down to one row: any number of rows is a few of
//! them, or less than the half of one is left over. Each is written and prepared once; writing as many parameters as a batch has costs more than binding them.

use std::{iter::successors, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// The statements with how many rows each writes, the largest first.
pub(super) struct Statements(Box<[(usize, Arc<str>)]>);

impl Statements {
    /// Writes them, for up to `rows_max` rows of so many columns. `around` puts the rest around the rows, which are lists of
    /// parameters.
    pub(super) fn new(rows_max: usize, columns: usize, around: impl Fn(&str) -> String) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let sizes = successors(Some(rows_max), |rows| Some(rows / 2).filter(|rows| *rows > 0));
        Self(sizes.map(|rows| (rows, around(&vec![&*row; rows].join(", ")).into())).collect())
    }

    /// Returns the statement to write the next of so many rows with, and how many it writes; `None` when none is left.
    pub(super) fn next(&self, left: usize) -> Option<(SqlStr, usize)> {
        self.0.iter().find(|(rows, _)| *rows <= left).map(taken)
    }

    /// Returns the smallest statement that has room for so many rows, and for how many it has; `None` if none has.
    pub(super) fn with_room_for(&self, rows: usize) -> Option<(SqlStr, usize)> {
        self.0.iter().rev().find(|(room, _)| *room >= rows).map(taken)
    }
}

fn taken((rows, statement): &(usize, Arc<str>)) -> (SqlStr, usize) {
    // Our own text and placeholders.
    (AssertSqlSafe(statement.clone()).into_sql_str(), *rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_a_few_statements() {
        let statements = Statements::new(10, 2, |rows| format!("VALUES {rows}"));
        let of = |count: usize| (format!("VALUES {}", vec!["(?, ?)"; count].join(", ")), count);
        let next =
            |left| statements.next(left).map(|(statement, count)| (statement.as_str().to_owned(), count));
        assert_eq!([23, 10, 9, 4, 1].map(next), [10, 10, 5, 2, 1].map(|count| Some(of(count))));
        assert_eq!(next(0), None);
        let room = |rows| statements.with_room_for(rows).map(|(_, room)| room);
        assert_eq!([1, 2, 3, 5, 6, 10].map(room), [1, 2, 5, 5, 10, 10].map(Some));
        assert_eq!(room(11), None);
    }
}
