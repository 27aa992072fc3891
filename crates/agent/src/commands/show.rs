//! Texts that the commands print on standard output.

pub(super) mod check;
mod drill;
mod restore;
pub(super) mod scan_json;
mod status;
pub(super) mod status_json;
mod summary;

use std::io::{self, Write};

use anyhow::Context;

/// Prints a text. A reader that has seen enough and closed the pipe is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("write to standard output"),
    }
}
