//! `s3up retry`: asks the running agent to retry files with a problem.

use std::path::Path;

use anyhow::{Context, anyhow};
use s3up_cli::Exit;
use s3up_core::Count;
use serde::Serialize;

use super::output_args::OutputArgs;
use crate::config::Config;
use crate::database::{Lock, RetryScope, request_retry};

/// The output with `--json`.
#[derive(Debug, Serialize)]
struct RetryLine {
    /// Number of files that the running agent retries.
    retried: u64,
}

pub(super) async fn run(
    config: Config,
    path: Option<&Path>,
    output: OutputArgs,
) -> anyhow::Result<Exit> {
    let scope = match path {
        None => RetryScope::All,
        Some(path) => scope_of(&config, path)?,
    };
    if !Lock::is_held(&config.database) {
        return Err(anyhow!(
            "no agent runs on database {:?}; start it (s3up run), or run s3up scan: both retry \
             all files with a problem",
            config.database
        ));
    }
    let count = request_retry(&config.database, &scope).await?;
    match path {
        Some(path) if count == 0 => Err(anyhow!(
            "{} has no recorded problem; s3up status shows the state of all files",
            path.display()
        )),
        Some(_) | None => {
            let are = if count == 1 { "is" } else { "are" };
            let text = || format!("{} {are} retried\n", Count(count, "file"));
            output.print(&RetryLine { retried: count }, text)?;
            Ok(Exit::Done)
        }
    }
}

fn scope_of(config: &Config, path: &Path) -> anyhow::Result<RetryScope> {
    let path = std::path::absolute(path).context("resolve the path")?;
    let local_path = config.watches.iter().find_map(|watch| {
        let relative = path.strip_prefix(&watch.root).ok()?;
        Some(watch.local_path(relative).trim_end_matches('/').to_owned())
    });
    let outside = || {
        let what = format!("{} is not in a watch of the configuration", path.display());
        Exit::Usage.with(anyhow!(what))
    };
    local_path.map(RetryScope::At).ok_or_else(outside)
}
