//! Tables for people: each column is as wide as its longest cell.

use crate::one_line::one_line;

/// Formats a table with two spaces between columns and none at the end of a
/// line.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let rows: Vec<[String; COLUMNS]> = [header.map(str::to_owned)]
        .into_iter()
        .chain(rows)
        // A name from a disk may contain control characters.
        .map(|row| row.map(|cell| one_line(&cell)))
        .collect();
    let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let rows = [row(["data", "full", ""]), row(["häuser", "-", "a\nb"])];

        let text = table(["NAME", "KIND", "REASON"], rows);

        assert_eq!(text, "NAME    KIND  REASON\ndata    full\nhäuser  -     a\\nb\n");
    }
}
