//! Compares one text with its golden file.

use std::env;
use std::fs;
use std::path::Path;

use snapbox::Data;
use snapbox::report::{Palette, write_diff};

use super::redactions::Redactions;

pub(super) const WRITE: &str = "S3UP_WRITE_GOLDEN";

/// Returns true if tests write golden files instead of failing.
pub(super) fn writes() -> bool {
    env::var_os(WRITE).is_some()
}

/// Asserts that a file contains this text.
#[track_caller]
pub fn assert_golden(file: &Path, text: &str, redactions: &Redactions) {
    let actual = redactions.redact(text);
    let expected = fs::read_to_string(file).unwrap_or_default();
    let Some(difference) = difference(&expected, &actual, redactions) else { return };
    if writes() {
        fs::create_dir_all(file.parent().expect("a directory")).expect("a new directory");
        fs::write(file, actual).expect("a written golden file");
        return;
    }
    panic!("{} differs; {WRITE}=1 writes it:\n{difference}", file.display());
}

/// Returns the difference between two texts for people; `None` if they are equal.
pub(super) fn difference(expected: &str, actual: &str, redactions: &Redactions) -> Option<String> {
    let comparable = |text: &str| squeezed(&redactions.redact(text));
    if comparable(expected) == comparable(actual) {
        return None;
    }
    let mut text = String::new();
    let (expected, actual) = (Data::text(expected), Data::text(actual));
    let (golden, found): (_, _) = ("expected", "found");
    write_diff(&mut text, &expected, &actual, Some(&golden), Some(&found), Palette::plain())
        .expect("a string takes every text");
    Some(text)
}

/// Replaces the gaps between table columns by two spaces, and removes spaces at
/// the end of lines. Indentation stays.
fn squeezed(text: &str) -> String {
    let line = |line: &str| {
        let indent = line.len() - line.trim_start().len();
        let cells = line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        format!("{}{}\n", &line[..indent], cells.collect::<Vec<_>>().join("  "))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_width_of_columns_may_differ() {
        let redactions = Redactions::new();
        let same = |one, other| difference(one, other, &redactions).is_none();

        assert!(same("A     B\n  x   y z\n", "A  B\n  x  y z\n"));
        assert!(same("at 2026-01-31T12:00:00Z\n", "at 2027-12-01T01:02:03Z\n"));
        assert!(!same("a b\n", "a  b\n"), "one space separates words");
        assert!(!same("  a\n", "a\n"), "indentation counts");
        assert!(!same("a\n", "a\nb\n"));
    }

    #[test]
    fn a_difference_shows_both_lines() {
        let text = difference("one\ntwo\n", "one\nthree\n", &Redactions::new());

        let text = text.expect("a difference");
        assert!(text.contains("two") && text.contains("three"), "{text}");
    }
}
