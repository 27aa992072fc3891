//! Tables for people: each column is as wide as its longest cell.

use std::fmt::{Display, Write};

use crate::one_line::one_line;

/// Formats a table with two spaces between columns and none at the end of a
/// line.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut aligned = AlignedRows::new(header);
    rows.into_iter().for_each(|row| aligned.add(row.each_ref().map(|cell| cell as &dyn Display)));
    aligned.take(Header::Shown)
}

/// Rows that are collected and then aligned with each other and with the header of the table. A
/// long table is aligned in pieces, so that its memory does not depend on its length.
pub struct AlignedRows<const COLUMNS: usize> {
    /// The cells of all rows, one after the other.
    cells: String,
    /// The rows, of which the first is the header.
    rows: Vec<[Cell; COLUMNS]>,
}

/// A cell of a row, which begins where the one before it ends.
#[derive(Clone, Copy)]
struct Cell {
    end: usize,
    /// Number of its characters.
    width: usize,
}

/// Decides whether a piece of a table begins with the header. Columns are at least as wide as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    Shown,
    Hidden,
}

impl<const COLUMNS: usize> AlignedRows<COLUMNS> {
    pub fn new(header: [&str; COLUMNS]) -> AlignedRows<COLUMNS> {
        let mut aligned = AlignedRows { cells: String::new(), rows: Vec::new() };
        aligned.add(header.each_ref().map(|cell| cell as &dyn Display));
        aligned
    }

    pub fn add(&mut self, row: [&dyn Display; COLUMNS]) {
        let row = row.map(|cell| self.cell(cell));
        self.rows.push(row);
    }

    fn cell(&mut self, cell: &dyn Display) -> Cell {
        let start = self.cells.len();
        write!(self.cells, "{cell}").expect("a string takes every text");
        let text = &self.cells[start..];
        let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
        if is_plain {
            return Cell { end: self.cells.len(), width: text.len() };
        }
        // A name from a disk may contain control characters.
        if text.contains(char::is_control) {
            let text = one_line(text);
            self.cells.truncate(start);
            self.cells.push_str(&text);
        }
        Cell { end: self.cells.len(), width: self.cells[start..].chars().count() }
    }

    /// Returns the number of rows without the header.
    pub fn count(&self) -> usize {
        self.rows.len() - 1
    }

    /// Returns the text of the rows, and starts the next piece.
    pub fn take(&mut self, header: Header) -> String {
        let width = |n: usize| self.rows.iter().map(|row| row[n].width).max().unwrap_or(0);
        let widths: [usize; COLUMNS] = std::array::from_fn(width);
        let mut text = String::with_capacity(self.cells.len() + self.rows.len() * 4 * COLUMNS);
        let mut start = 0;
        for (n, row) in self.rows.iter().enumerate() {
            let (line, mut spaces) = (text.len(), 0);
            for (cell, column) in row.iter().zip(widths) {
                let cell_text = &self.cells[start..cell.end];
                start = cell.end;
                if !cell_text.is_empty() {
                    text.extend(std::iter::repeat_n(' ', spaces));
                    text.push_str(cell_text);
                    spaces = 0;
                }
                spaces += column - cell.width + 2;
            }
            text.truncate(line + text[line..].trim_end_matches(' ').len());
            text.push('\n');
            if n == 0 && header == Header::Hidden {
                text.truncate(line);
            }
        }
        self.rows.truncate(1);
        let header_bytes = self.rows.iter().flatten().map(|cell| cell.end).max().unwrap_or(0);
        self.cells.truncate(header_bytes);
        text
    }
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

    #[test]
    fn a_table_in_pieces_has_one_header_and_aligns_each_piece() {
        let mut rows = AlignedRows::new(["SIZE", "PATH"]);
        rows.add([&7, &"a\tb"]);
        rows.add([&123_456, &""]);
        assert_eq!(rows.count(), 2);
        assert_eq!(rows.take(Header::Shown), "SIZE    PATH\n7       a\\tb\n123456\n");

        assert_eq!(rows.count(), 0);
        rows.add([&"ü", &"c"]);

        assert_eq!(rows.take(Header::Hidden), "ü     c\n");
        assert_eq!(rows.take(Header::Hidden), "");
    }
}
