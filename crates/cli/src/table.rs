//! Tables for people: each column is as wide as its longest cell.

use crate::one_line::one_line;

/// Formats a table with two spaces between columns and none at the end of a
/// line.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    // A name from a disk may contain control characters.
    let cell = |cell: String| {
        let cell = if cell.contains(char::is_control) { one_line(&cell) } else { cell };
        let width = if cell.is_ascii() { cell.len() } else { cell.chars().count() };
        (cell, width)
    };
    let rows = [header.map(str::to_owned)].into_iter().chain(rows);
    let rows: Vec<[(String, usize); COLUMNS]> = rows.map(|row| row.map(cell)).collect();
    let width = |n: usize| rows.iter().map(|row| row[n].1).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let mut spaces = 0;
        for ((cell, width), column) in row.iter().zip(widths) {
            if !cell.is_empty() {
                text.extend(std::iter::repeat_n(' ', spaces));
                text.push_str(cell);
                spaces = 0;
            }
            spaces += column - width + 2;
        }
        text.truncate(text.trim_end_matches(' ').len());
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
