//! Text in aligned columns.

/// Rows of cells, printed so that columns line up.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row. An empty cell is printed as a dash, so that a column never seems to be missing.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(
            cells.into_iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }).collect(),
        );
    }

    /// Prints the rows, columns two spaces apart, no trailing space.
    pub(super) fn print(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["VERB", "PATH"]);
        table.row(["DELETE".to_owned(), "/v1/{name=é}".to_owned()]);
        table.row(["GET".to_owned(), String::new()]);
        assert_eq!(table.print(), "VERB    PATH\nDELETE  /v1/{name=é}\nGET     -\n");
    }
}
