//! Texts that the commands print on standard output.

pub(super) mod check;
mod drill;
mod restore;
mod status;
pub(super) mod status_json;
mod summary;

use std::io::Write;

use anyhow::Context;

pub(super) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("write to standard output")
}
