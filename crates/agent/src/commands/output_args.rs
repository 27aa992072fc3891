//! The option `--json`, and the output of a command in either form.

use anyhow::Context;
use serde::Serialize;

use super::headings::OUTPUT;
use super::show;

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

impl OutputArgs {
    /// Prints the value as one line of JSON, or the text.
    pub(super) fn print(
        self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if !self.json {
            return show::print(&text());
        }
        let json = serde_json::to_string(value).context("format the result as JSON")?;
        show::print(&format!("{json}\n"))
    }

    /// Prints a text that says what has happened so far. It is no part of the JSON.
    pub(super) fn print_step(self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { show::print(text) }
    }
}
