//! `s3up status`: prints the state of all files, of one file or directory, or whether anything is
//! wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use s3up_cli::{Exit, progress};
use serde::Serialize;

use super::show;
use super::show::check::line;
use super::show::status_json::{PathLine, StatusLine};
use crate::clock;
use crate::config::Config;
use crate::database;
use crate::status::check::{Limits, problems};
use crate::status::{self, StatusReader};

/// The arguments of the command.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) path: Option<PathBuf>,
    /// Longest time for which a file may be pending; `None` without `--check`.
    pub(super) check: Option<Duration>,
    pub(super) json: bool,
}

pub(super) async fn run(config: Config, request: Request) -> anyhow::Result<Exit> {
    if let Some(path) = &request.path {
        return one_path(config, path, request.json).await;
    }
    let bar = progress::count("status: files");
    let status = status::status_counted(&config, &|files| bar.inc(files)).await;
    drop(bar);
    let status = status?;
    if let Some(pending_max) = request.check {
        let limits = Limits::new(pending_max, config.scans.every);
        let problems = problems(&status, &limits, clock::wall_seconds());
        show::print(&line(&status, &problems))?;
        return Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed });
    }
    if request.json {
        print_json(&StatusLine::of(&status))?;
    } else {
        show::print(&status.to_string())?;
    }
    Ok(Exit::Done)
}

async fn one_path(config: Config, path: &Path, json: bool) -> anyhow::Result<Exit> {
    let absolute = std::path::absolute(path).context("resolve the path")?;
    let reader = database::open_read_only(&config.database).await?;
    let status = StatusReader { config: Arc::new(config), reader: reader.clone() };
    let path = status.path(&absolute).await;
    reader.close().await;
    let Some(path) = path? else {
        let what = format!("{} is not in a watch of the configuration", absolute.display());
        return Err(Exit::Usage.with(anyhow!(what)));
    };
    if json {
        print_json(&PathLine::of(&path))?;
    } else {
        show::print(&path.to_string())?;
    }
    Ok(Exit::Done)
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value).context("format the status as JSON")?;
    show::print(&format!("{json}\n"))
}
