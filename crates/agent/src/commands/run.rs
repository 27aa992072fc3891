//! `s3up run`: watches and uploads until a signal stops it.

use std::path::Path;

use s3up_cli::Exit;

use super::start::start;
use crate::config::{self, Config};
use crate::daemon;

pub(super) async fn run(config: Config, file: &Path) -> anyhow::Result<Exit> {
    if config::is_readable_by_all(file) {
        tracing::warn!(
            event = "config_world_readable",
            path = %file.display(),
            "every user of this host can read the API key; run chmod 0640 on the file",
        );
    }
    let agent = start(config).await?;
    daemon::run(agent, s3up_cli::wait_for_shutdown()).await;
    Ok(Exit::Done)
}
