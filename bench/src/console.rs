//! Output of the benchmarks: tables on stdout, progress and errors on stderr.

use std::io::{self, Write};

use anyhow::Context;

/// Prints `text` to stdout.
pub fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes()).context("write to standard output")
}

/// Prints one line to stderr.
#[expect(clippy::print_stderr, reason = "this is the progress of a benchmark, for a person")]
pub fn status(line: &str) {
    eprintln!("{line}");
}
