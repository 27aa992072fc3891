//! `s3up scan`: scans once, uploads all pending files and exits.

use std::path::Path;

use s3up_cli::Exit;

use super::show;
use super::start::start;
use crate::config::Config;
use crate::daemon::{self, Summary};

pub(super) async fn run(config: Config, file: &Path) -> anyhow::Result<Exit> {
    let agent = start(config, file).await?;
    let mut stopped = None;
    let stop = async { stopped = Some(s3up_cli::wait_for_shutdown().await) };
    let summary = daemon::scan_once(agent, stop).await;
    show::print(&summary.to_string())?;
    Ok(stopped.map_or_else(|| exit_of(&summary), Exit::from))
}

fn exit_of(summary: &Summary) -> Exit {
    if summary.is_clean() {
        Exit::Done
    } else if summary.is_partial() {
        Exit::Partial
    } else {
        Exit::Failed
    }
}
