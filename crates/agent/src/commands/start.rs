//! Starts an agent for a command. A lock that is held has an exit code of its own.

use std::path::Path;

use s3up_cli::Exit;

use crate::agent::{Agent, StartError};
use crate::config::Config;
use crate::database::LockError;
use crate::open_files;

/// Starts an agent with the configuration of `file`, which should be private.
pub(super) async fn start(config: Config, file: &Path) -> anyhow::Result<Agent> {
    if s3up_cli::is_open_to_all_users(file) {
        tracing::warn!(
            event = "config_world_readable",
            path = %file.display(),
            "every user of this host can read or change this file, which holds a client key; \
             run chmod 600 on it",
        );
    }
    open_files::raise_and_warn_if_low();
    Agent::start(config).await.map_err(|err| match err {
        StartError::Lock(LockError::Held { .. }) => Exit::Locked.with(err),
        StartError::Lock(_) | StartError::Database(_) | StartError::Client(_) => err.into(),
    })
}
