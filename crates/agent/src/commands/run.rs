//! `s3up run`: watches and uploads until a signal stops it.

use std::path::Path;

use s3up_cli::Exit;

use super::start::start;
use crate::config::Config;
use crate::daemon;

pub(super) async fn run(config: Config, file: &Path) -> anyhow::Result<Exit> {
    let agent = start(config, file).await?;
    daemon::run(agent, s3up_cli::wait_for_shutdown()).await;
    Ok(Exit::Done)
}
